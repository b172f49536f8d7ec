package process_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
)

// TestOverload sends a Sluice whose Postgres is slow many times what it can settle, and
// finds that the queue, Redis and the API stay bounded, that whoever was let in is decided
// in time, and that whoever was refused and comes back at his turn is let in at about that
// time, before those who come without one. People who hold connections open and others who
// send far too much disturb nobody.
func TestOverload(t *testing.T) {
	d := deploy(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), 1000)
	o := d.overload(&overload{backlog: 1200, warm: 2, latency: 200 * time.Millisecond, lasts: 3 * time.Second, horizon: 4 * time.Second})
	t.Log(o)
	if o.deepest > o.backlog {
		t.Errorf("%d were queued, of %d that may be", o.deepest, o.backlog)
	}
	if o.redis > 100<<20 || o.api > 300<<20 {
		t.Errorf("Redis took %d MB more, the API %d MB", o.redis>>20, o.api>>20)
	}
	if o.odd.Load() > 0 {
		t.Errorf("%d were answered neither 202 nor overloaded with a turn", o.odd.Load())
	}
	if o.deepest < o.backlog*9/10 || o.turned.Load() < o.backlog {
		t.Errorf("%d were queued and %d refused: that is no overload", o.deepest, o.turned.Load())
	}
	// What was in the queue at worst, and as much again for what a busy machine does.
	if most := 2*o.drains() + 10*time.Second; o.slowest > most {
		t.Errorf("who was let in waited %s, with a queue of %s", o.slowest, o.drains())
	}
	if len(o.returned) < 100 {
		t.Fatalf("%d came back: that shows nothing", len(o.returned))
	}
	for _, r := range o.returned {
		if r.admitted < r.told {
			t.Fatalf("told to come in %s, and let in after %s", r.told, r.admitted)
		}
	}
	// Who was promised an early turn comes in before who was promised a late one.
	early, late := o.thirds()
	if early >= late {
		t.Errorf("those with early turns were let in after %s, those with late ones after %s", early, late)
	}
	// And few pass them who have none, however many try: none while half of the queue is full.
	if passed := o.passed.Load(); passed > int64(len(o.returned))/2 {
		t.Errorf("%d passed the %d who came at their turn", passed, len(o.returned))
	}
}

// overload is a flood, and what came of it.
type overload struct {
	backlog int64
	warm    int           // times that it is filled beforehand
	latency time.Duration // of Postgres
	every   time.Duration // each of the callers sends one; 0: as fast as he can
	lasts   time.Duration // at least, where they send as fast as they can: until as many are refused as the queue has room for
	horizon time.Duration // who is told to come later than that goes away

	drain                             float64 // per second, from then on
	deepest                           int64   // queue that was seen
	redis, api                        int64   // bytes more than before, at most
	accepted, turned, decided, passed atomic.Int64
	odd                               atomic.Int64  // answers that should not be
	slowest                           time.Duration // from 202 to settled
	returned                          []comeback
	nuisances                         atomic.Int64 // that were sent away
}

// comeback is how one fared who was refused and came back at his turn.
type comeback struct{ told, admitted time.Duration } // from the refusal on

const flooders = 64

func (o *overload) drains() time.Duration {
	return time.Duration(float64(o.backlog) / o.drain * float64(time.Second))
}

// right is the part of those who came back that was let in within half of what it was told.
func (o *overload) right() float64 {
	n := 0
	for _, r := range o.returned {
		if r.admitted-r.told <= r.told/2 {
			n++
		}
	}
	return float64(n) / float64(max(len(o.returned), 1))
}

// thirds are the medians of when those were let in who were told the shortest and the
// longest times.
func (o *overload) thirds() (early, late time.Duration) {
	all := slices.SortedFunc(slices.Values(o.returned), func(a, b comeback) int { return int(a.told - b.told) })
	median := func(of []comeback) time.Duration {
		var times []time.Duration
		for _, r := range of {
			times = append(times, r.admitted)
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	return median(all[:len(all)/3]), median(all[len(all)-len(all)/3:])
}

func (o *overload) String() string {
	return fmt.Sprintf("%.0f/s settled, %d accepted, %d refused, at most %d of %d queued, decided within %s (a full queue: %s); "+
		"%d came back, %.1f %% let in within 150 %% of what they were told, %d passed them; Redis took %d KB more, the API %d KB; %d nuisances sent away",
		o.drain, o.accepted.Load(), o.turned.Load(), o.deepest, o.backlog, o.slowest.Round(time.Millisecond), o.drains().Round(time.Millisecond),
		len(o.returned), 100*o.right(), o.passed.Load(), o.redis>>10, o.api>>10, o.nuisances.Load())
}

// overload runs one: it warms up until the rate is known, floods, and waits until all who
// come back are in and all who were let in are decided.
func (d *deployment) overload(o *overload) *overload {
	d.Helper()
	api := d.run("api", fmt.Sprint("SLUICE_BACKLOG=", o.backlog), "SLUICE_BUYER_RATE=0")
	d.run("consumer", "SLUICE_POSTGRES_URL="+d.throttled(o.latency))
	s := d.auction()
	asked, settled := sync.Map{}, sync.Map{} // receipt: when
	stop := d.watched(func(c partition.Changes) {
		for _, r := range c.Receipts {
			settled.Store(r.Receipt, c.At.Time())
			o.decided.Add(1)
		}
	})
	defer stop()
	door := api.door(s, 4*flooders)
	defer door.client.CloseIdleConnections()
	var bids atomic.Int64
	bid := func(token int, key, turn string) reply {
		r, err := door.bid(d.tokens[token%len(d.tokens)], key, turn)
		switch {
		case err != nil:
			d.Error(err)
		case r.status == http.StatusAccepted:
			o.accepted.Add(1)
			asked.Store(r.receipt, time.Now())
		case r.status == http.StatusServiceUnavailable && r.turn != "" && r.wait > 0:
			o.turned.Add(1)
		default:
			o.odd.Add(1)
		}
		return r
	}

	// The queue is filled a few times, so that the rate is known before promises stand on it.
	// Not to the brim: the ticks of the sale need room, too, and who is refused is promised a
	// turn.
	var crowd sync.WaitGroup
	fill := o.backlog * 9 / 10
	for round := range o.warm {
		for range flooders {
			crowd.Go(func() {
				for n := bids.Add(1); n <= int64(round+1)*fill; n = bids.Add(1) {
					bid(int(n), fmt.Sprint("warm-", n), "")
				}
				bids.Add(-1)
			})
		}
		crowd.Wait()
		d.until("the queue is empty", func() bool { return o.decided.Load() >= o.accepted.Load() })
	}
	redisBefore, apiBefore := d.redisMemory(), api.memory()

	watching := make(chan struct{})
	var watch sync.WaitGroup
	for every, look := range map[time.Duration]func(){
		20 * time.Millisecond: func() { // beside the other, which may wait for an answer of the API while the queue is full
			for _, p := range d.pulses() {
				o.deepest = max(o.deepest, p.Queued())
			}
		},
		100 * time.Millisecond: func() {
			o.redis, o.api = max(o.redis, d.redisMemory()-redisBefore), max(o.api, api.memory()-apiBefore)
		},
	} {
		watch.Go(func() {
			for {
				look()
				select {
				case <-watching:
					return
				case <-time.After(every):
				}
			}
		})
	}
	var mu sync.Mutex
	var first atomic.Bool // somebody has been refused
	comeBack := func(n int64, key string, r reply) {
		refused, told := time.Now(), r.wait
		for r.status == http.StatusServiceUnavailable {
			time.Sleep(r.wait)
			r = bid(int(n), key, r.turn)
		}
		mu.Lock()
		defer mu.Unlock()
		o.returned = append(o.returned, comeback{told, time.Since(refused)})
	}
	began, before := time.Now(), o.decided.Load()
	over := began.Add(o.lasts)
	goesOn := func() bool {
		return time.Now().Before(over) || o.every == 0 && o.turned.Load() < o.backlog && time.Since(began) < patience
	}
	nuisance := d.annoy(api, o, over)
	for range flooders {
		crowd.Go(func() {
			for next := time.Now(); goesOn(); next = next.Add(o.every) {
				time.Sleep(time.Until(next))
				n := bids.Add(1)
				key, full := fmt.Sprint("flood-", n), first.Load()
				r := bid(int(n), key, "")
				switch {
				case r.status == http.StatusServiceUnavailable:
					first.Store(true)
					if r.wait <= o.horizon {
						crowd.Go(func() { comeBack(n, key, r) })
					}
				case full:
					o.passed.Add(1)
				}
			}
		})
	}
	crowd.Wait()
	nuisance.Wait()
	d.until("everybody who was let in is decided", func() bool { return o.decided.Load() >= o.accepted.Load() })
	o.drain = float64(o.decided.Load()-before) / time.Since(began).Seconds()
	close(watching)
	watch.Wait()
	asked.Range(func(receipt, at any) bool {
		when, ok := settled.Load(receipt.(uuid.UUID))
		if !ok {
			d.Errorf("%s was let in and is not decided", receipt)
			return false
		}
		o.slowest = max(o.slowest, when.(time.Time).Sub(at.(time.Time)))
		return true
	})
	return o
}

func (d *deployment) pulses() map[int]partition.Pulse {
	all, _, err := d.store.Pulses(d.ctx)
	if err != nil {
		d.Error(err)
	}
	return all
}

func (p *program) memory() int64 {
	return int64(p.metrics("process_resident_memory_bytes")["process_resident_memory_bytes"])
}

// annoy has people hold connections on which they never end a request, and others send
// far more than anybody wants.
func (d *deployment) annoy(api *program, o *overload, until time.Time) *sync.WaitGroup {
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for time.Now().Before(until) {
				conn, err := net.Dial("tcp", api.api)
				if err != nil {
					d.Error(err)
					return
				}
				request := "POST /v1/sales/1/bids HTTP/1.1\r\nHost: api\r\n"
				if i%2 == 0 {
					request += "Content-Length: 100000000\r\n\r\n" + strings.Repeat("x", 1<<16)
				}
				_ = conn.SetDeadline(until.Add(patience))
				_, _ = conn.Write([]byte(request))
				_, _ = conn.Read(make([]byte, 1)) // until it is answered or cut off
				_ = conn.Close()
				o.nuisances.Add(1)
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	return &all
}
