package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Proof holds one thing that was measured against what the simulation makes of it.
type Proof struct {
	What      string  `json:"what"`
	Unit      string  `json:"unit"`
	Measured  float64 `json:"measured"`
	Predicted float64 `json:"predicted"`
	Within    float64 `json:"within"` // how far off the prediction may be, as a share of what was measured
	From      string  `json:"from"`

	Neighbours float64 `json:"neighbours"` // share of the cores that others had meanwhile
}

// Off is how far off the prediction is, as a share of what was measured.
func (p Proof) Off() float64 { return p.Predicted/p.Measured - 1 }

// Holds says whether it is within what is stated.
func (p Proof) Holds() bool { return !p.Judged() || math.Abs(p.Off()) <= p.Within }

// Judged says whether it was measured on a machine that had nothing else to do: a rate says
// little where neighbours took much of the cores.
func (p Proof) Judged() bool { return p.Neighbours <= neighboursMost }

// neighboursMost is how much of the cores others may have had.
const neighboursMost = 0.1

const (
	provedCores   = 2   // of the machine on which the benchmarks are measured, for everything together
	provedCallers = 256 // of a closed loop
	loopback      = 15e-6
	provedSeconds = 3.0 // that are simulated, behind one to warm up
)

// How far off a prediction may be.
const (
	ratesWithin = 0.35
	timesWithin = 0.60
)

// Prove has the machine simulated on which the benchmarks were measured, under each load that
// they were measured under, and holds the outcome against them.
func Prove(benchmarks []byte) ([]Proof, error) {
	costs, err := Measured(benchmarks)
	if err != nil {
		return nil, err
	}
	seen, err := readMeasured(benchmarks)
	if err != nil {
		return nil, err
	}
	var all []Proof
	rate := func(from, what string, measured, predicted float64) {
		all = append(all, Proof{What: what, Unit: "/s", Measured: measured, Predicted: predicted, Within: ratesWithin, From: from})
	}
	one := proved{costs: costs, partitions: 1, consumers: 1, sales: 1}
	rate("settle", "settled of a backlog, all win, one partition", seen.rate("settle", "sluice, all win"), one.backlog(60_000, 1))
	rate("settle", "settled of a backlog, sold out, one partition", seen.rate("settle", "sluice, sold out"), one.backlog(60_000, 0))
	many := one
	many.sales = 1000
	rate("sales", "settled of a backlog, 1,000 sales in one partition", seen.value("sales", "1,000 sales", "settled/s"), many.backlog(15_000, 1))
	for _, partitions := range []int{4, 16, 64} {
		p := one
		p.partitions = partitions
		rate("partitions", fmt.Sprintf("settled of a backlog, all win, %d partitions", partitions),
			seen.value("partitions", fmt.Sprintf("%d partitions", partitions), "settled/s"), p.backlog(max(15_000, 1000*partitions), 1))
	}
	for _, kind := range []struct {
		name string
		wins float64
		n    int
	}{{"all win", 1, 80_000}, {"sold out", 0, 160_000}} {
		for _, consumers := range []int{1, 2, 4} {
			p := proved{costs: costs, partitions: 16, consumers: consumers, sales: 4}
			name := fmt.Sprintf("%d consumers", consumers)
			if consumers == 1 {
				name = "1 consumer"
			}
			rate("consumers", "settled of a backlog, "+kind.name+", 16 partitions, "+name, seen.rate("consumers", name+", "+kind.name), p.backlog(kind.n, kind.wins))
			all[len(all)-1].Neighbours = seen.optional("consumers", name+", "+kind.name, "neighbours, % of the cores") / 100
		}
	}
	whole := one
	whole.ask(seen.fitting())
	alone := whole
	alone.consumers = 0
	accepted, _, _ := alone.closed(false, provedSeconds)
	rate("door", "accepted POSTs, nobody settles", seen.rate("door", "sluice"), accepted)
	_, settled, _ := whole.closed(false, provedSeconds)
	rate("lock", "accepted and settled, all win", seen.rate("lock", "sluice"), settled)
	_, capacity, _ := whole.closed(true, provedSeconds)
	rate("verdict", "verdicts, 256 who ask as fast as they can", seen.rate("verdict", "capacity"), capacity)
	for _, percent := range []int{30, 70} {
		load := seen.nearest("verdict", "load", "p50", seen.rate("verdict", "capacity")*float64(percent)/100)
		all = append(all, Proof{
			What: fmt.Sprintf("verdict, p50 at %d %% of that (%.0f/s)", percent, load[0]), Unit: "ms", Measured: load[1],
			Predicted: whole.open(load[0], provedSeconds).P50, Within: timesWithin, From: "verdict",
		})
	}
	if len(seen.missing) > 0 {
		return nil, fmt.Errorf("the benchmarks do not tell %q", seen.missing)
	}
	return all, nil
}

// nearest is the point of a curve whose x is nearest.
func (m *measured) nearest(scenario, curve, series string, x float64) (found [2]float64) {
	for i, p := range m.points(scenario, curve, series) {
		if i == 0 || math.Abs(p[0]-x) < math.Abs(found[0]-x) {
			found = p
		}
	}
	return found
}

// proved is a deployment on the machine of the benchmarks: all of it, and who asks, on the
// same cores.
type proved struct {
	costs                        Costs
	partitions, consumers, sales int     // sales in each partition
	asking, following            float64 // µs of the generator
}

func (d proved) world() *world {
	w := &world{costs: d.costs, random: rand.New(rand.NewPCG(1, 2)), network: loopback, sales: float64(d.sales), told: newTold()}
	w.load = Workload{Backlog: 1 << 40, Sales: d.sales * d.partitions}
	cores := newHost(&w.clock, provedCores)
	cores.wake = d.costs.us("wake")
	w.postgres = cores
	w.masters = []*program{newProgram("redis", cores, 1)}
	for range d.consumers {
		w.consumers = append(w.consumers, newProgram("consumer", cores, provedCores))
	}
	for p := range d.partitions {
		o := &owner{world: w, no: p, master: w.masters[0]}
		if d.consumers > 0 {
			o.by = w.consumers[p%d.consumers]
		}
		w.partitions = append(w.partitions, o)
	}
	return w
}

// serve adds what asks, and what it asks.
func (d proved) serve(w *world) {
	w.generator, w.asking, w.following = newProgram("generator", w.postgres, provedCores), d.asking/1e6, d.following/1e6
	served := newProgram("api", w.postgres, provedCores)
	w.generator.rouse, served.rouse = d.costs.us("api_rouse"), d.costs.us("api_rouse")
	w.apis = []*api{{
		program: served, admissions: make([]desk, d.partitions), readings: make([]desk, d.partitions),
	}}
}

// backlog is how many are settled a second of so many that wait, of whom a share wins.
func (d proved) backlog(n int, wins float64) float64 {
	w := d.world()
	for i := range n {
		o := w.partitions[i%d.partitions]
		o.queue.add(&request{of: o, wins: float64(i%100) < wins*100})
		o.queued++
	}
	for _, o := range w.partitions {
		o.wake()
	}
	for w.step() {
	}
	return float64(w.told.settled) / w.told.last
}

// closed is how many are accepted, and settled, a second when so many ask, each as soon as he
// is answered: the POST, or his outcome; and what the API computes for one, in µs.
func (d proved) closed(outcome bool, seconds float64) (accepted, settled, computed float64) {
	w := d.world()
	d.serve(w)
	warm := min(1, seconds)
	until := warm + seconds
	var begun, ended float64
	var first, last int
	var again func()
	again = func() {
		if w.now >= until {
			return
		}
		r := &request{of: w.partitions[0], at: w.apis[0], wins: true, waits: outcome}
		if !outcome {
			r.let = again
		}
		w.ask(r)
	}
	if outcome {
		w.told.finished = func(*request) { again() }
	}
	for range provedCallers {
		again()
	}
	for w.step() {
		if begun == 0 && w.now >= warm {
			begun, first = w.now, w.told.admitted
		}
		if w.now < until {
			ended, last = w.now, w.told.admitted
		}
	}
	accepted = float64(last-first) / (ended - begun)
	settled, computed = float64(w.told.settled)/max(w.told.last, until), w.apis[0].computed/float64(w.told.came)*1e6
	if outcome {
		settled = accepted
	}
	return accepted, settled, computed
}

// open is how long it takes to an outcome when so many come a second at random, for so many
// seconds.
func (d proved) open(rate, seconds float64) Times {
	t, _ := d.opened(rate, seconds)
	return t
}

// opened is open, and what the API computes for one of them, in µs.
func (d proved) opened(rate, seconds float64) (Times, float64) {
	w := d.world()
	d.serve(w)
	var come func()
	come = func() {
		w.after(w.random.ExpFloat64()/rate, func() {
			if w.now >= seconds {
				return
			}
			w.ask(&request{of: w.partitions[0], at: w.apis[0], wins: true, waits: true})
			come()
		})
	}
	come()
	for w.step() {
	}
	return times(w.told.verdicts), w.apis[0].computed / float64(w.told.came) * 1e6
}
