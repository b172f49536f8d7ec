package plan

import (
	"fmt"
	"math/rand/v2"
)

// Loss is what dies in a simulation, and for how long.
type Loss struct {
	What    string  `json:"what"`    // master, consumer, postgres; "": nothing
	Seconds float64 `json:"seconds"` // until it is back, or another one has taken over
}

// Losses are what may die.
var Losses = []string{"master", "consumer", "postgres"}

func (l Loss) check() error {
	for _, what := range Losses {
		if l.What == what && l.Seconds > 0 && l.Seconds <= 3600 {
			return nil
		}
	}
	if l == (Loss{}) {
		return nil
	}
	return fmt.Errorf("what dies is one of %q, for up to 3600 seconds, not %q for %v", Losses, l.What, l.Seconds)
}

// Simulated is what came of a simulated crowd.
type Simulated struct {
	Seconds   float64 `json:"seconds"` // that the crowd came for
	Came      int     `json:"came"`
	Refused   int     `json:"refused"` // at the door: the queue was full, or the master away
	Settled   int     `json:"settled"`
	Left      int     `json:"left"`              // neither: it must be none
	AtRisk    int     `json:"at_risk,omitempty"` // queued on a master when it died: what its replica had not heard of is lost
	Accepted  Times   `json:"accepted_ms"`       // from the POST to the 202
	Verdict   Times   `json:"verdict_ms"`        // from the POST to the outcome, of those who were let in
	Batch     float64 `json:"batch"`             // settled at once, on average
	QueueMost int     `json:"queue_most"`        // queued at once, of all partitions
	Drained   float64 `json:"drained_seconds"`   // from the last request until nothing is queued
	Recovered float64 `json:"recovered_seconds,omitempty"`
	Waiting   float64 `json:"waiting"` // answers held at once, in one API, on average
	Queue     []Depth `json:"queue"`
}

// Depth is how much is queued at a moment.
type Depth struct {
	At      float64 `json:"at"`
	All     int     `json:"all"`
	Hottest int     `json:"hottest"` // in the partition of the hottest sale
}

const (
	depths     = 24   // looks at the queue while the crowd comes
	recovering = 0.02 // seconds between looks at it once what died is back
)

// Simulate has a crowd come to a deployment, for at most so many requests.
func (s sizing) Simulate(d Deployment, seed uint64, requests int, loss Loss) Simulated {
	w := s.world(d, seed)
	seconds := min(s.Peak, float64(requests)/s.Rate)
	var come func()
	come = func() {
		w.after(w.random.ExpFloat64()/s.Rate, func() {
			if w.now >= seconds {
				return
			}
			w.ask(s.one(w))
			come()
		})
	}
	come()
	out := Simulated{Seconds: seconds}
	queued := func() (all int) {
		for _, o := range w.partitions {
			all += o.queued
		}
		return all
	}
	every := seconds / depths
	died, back := seconds/3, seconds/3+loss.Seconds
	var before int
	var look func()
	look = func() {
		depth := Depth{At: w.now, All: queued(), Hottest: w.partitions[0].queued}
		out.Queue = append(out.Queue, depth)
		out.QueueMost = max(out.QueueMost, depth.All)
		if w.now < seconds || depth.All > 0 || loss.What != "" && w.now < back {
			w.after(every, look)
		}
	}
	w.after(every, look)
	if loss.What != "" {
		w.after(died, func() {
			before = queued()
			out.AtRisk = w.lose(loss)
		})
		var recover func()
		recover = func() {
			if queued() <= 2*before+batchMost {
				out.Recovered = w.now - back
				return
			}
			w.after(recovering, recover)
		}
		w.after(back+recovering, recover)
	}
	for w.step() {
	}
	t := w.told
	out.Came, out.Refused, out.Settled = t.came, t.refused, t.settled
	out.Left = t.came - t.refused - t.settled
	out.Accepted, out.Verdict = times(t.accepts), times(t.verdicts)
	if t.batches > 0 {
		out.Batch = float64(t.settled) / float64(t.batches)
	}
	out.Drained = max(0, t.last-seconds)
	out.Waiting = s.Rate * s.Waits * t.verdicts.Mean() / 1e6 / float64(d.APIs)
	return out
}

// world is the deployment, every process on a host of its own.
func (s sizing) world(d Deployment, seed uint64) *world {
	w := &world{
		costs: s.costs, load: s.Workload, random: rand.New(rand.NewPCG(seed, 9)), told: newTold(),
		network: s.Network / 1000, commit: s.Commit / 1000, sales: s.others(d),
	}
	host := func(cores int) *host {
		h := newHost(&w.clock, float64(cores))
		h.wake = s.costs.us("wake")
		return h
	}
	w.postgres = host(s.PostgresCores)
	for range d.APIs {
		served := newProgram("api", host(s.APICores), s.APICores)
		served.rouse = s.costs.us("api_rouse")
		w.apis = append(w.apis, &api{program: served, admissions: make([]desk, d.Partitions), readings: make([]desk, d.Partitions)})
	}
	for range d.Masters {
		w.masters = append(w.masters, newProgram("redis", host(1), 1))
	}
	for range d.Consumers {
		w.consumers = append(w.consumers, newProgram("consumer", host(s.ConsumerCores), s.ConsumerCores))
	}
	for p := range d.Partitions {
		w.partitions = append(w.partitions, &owner{world: w, no: p, master: w.masters[p%d.Masters], by: w.consumers[p%d.Consumers]})
	}
	return w
}

// one is a request of the crowd. The hottest sale is in partition 0.
func (s sizing) one(w *world) *request {
	r := &request{at: w.apis[w.random.IntN(len(w.apis))], wins: w.random.Float64() < s.Wins, waits: w.random.Float64() < s.Waits}
	if r.hot = w.random.Float64() < s.hot(); r.hot {
		r.of = w.partitions[0]
	} else {
		r.of = w.partitions[w.random.IntN(len(w.partitions))]
	}
	return r
}

// lose has something die, and come back, and answers how many requests were queued on it.
func (w *world) lose(loss Loss) (atRisk int) {
	hot := w.partitions[0]
	switch loss.What {
	case "master": // the one of the hottest sale: its partitions neither let in nor settle
		hot.master.stop()
		for _, o := range w.partitions {
			if o.master == hot.master {
				atRisk += o.queued
			}
		}
		w.after(loss.Seconds, hot.master.resume)
	case "consumer": // its partitions stand still until their leases have ended; then the others take them
		dead, i := hot.by, 0
		for _, o := range w.partitions {
			if o.by != dead || len(w.consumers) == 1 {
				continue
			}
			for w.consumers[i%len(w.consumers)] == dead {
				i++
			}
			o.by, o.until = w.consumers[i%len(w.consumers)], w.now+leaseFor
			i++
			w.after(max(loss.Seconds, leaseFor), func() { o.by = dead }) // shared evenly again
		}
		if len(w.consumers) == 1 {
			for _, o := range w.partitions {
				o.until = w.now + loss.Seconds
			}
		}
	case "postgres":
		for _, o := range w.partitions {
			o.until = w.now + loss.Seconds
		}
	}
	return atRisk
}
