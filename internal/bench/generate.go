package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Generate is the generator: a command of kong that reads a Load as JSON, and writes what
// came of it.
type Generate struct{}

// Run is the command.
func (Generate) Run(ctx context.Context) error {
	var l Load
	if err := json.NewDecoder(os.Stdin).Decode(&l); err != nil {
		return fmt.Errorf("read the load: %w", err)
	}
	debug.SetGCPercent(400) // little is kept: to collect the rest less often takes less from the others
	return generate(ctx, l, os.Stdout)
}

func generate(ctx context.Context, l Load, w io.Writer) error {
	if err := l.check(); err != nil {
		return err
	}
	g := &generator{Load: l}
	for _, token := range l.Tokens {
		g.bearers = append(g.bearers, "Bearer "+token)
	}
	return json.NewEncoder(w).Encode(g.run(ctx))
}

// check tells what is wrong with l.
func (l Load) check() error {
	switch {
	case l.Address == "", l.Connections < 1, l.Count <= 0 && l.Length <= 0, len(l.Expect) == 0:
		return errors.New("a load needs an address, connections, an end and what to expect")
	case l.Keep && (l.Count <= 0 || l.Rate > 0):
		return errors.New("only of a closed loop that is counted are the receipts kept")
	case l.Rate < 0, l.Rate > 0 && l.Length <= 0:
		return errors.New("an open loop needs a rate and a length")
	case l.Journey == Read && len(l.Paths) == 0, (l.Journey == Post || l.Journey == Verdict) && (l.Path == "" || len(l.Tokens) == 0):
		return errors.New("a load needs something to ask for")
	case l.Journey != Read && l.Journey != Post && l.Journey != Verdict:
		return fmt.Errorf("there is no journey %q", l.Journey)
	}
	return nil
}

// generator is one load being made.
type generator struct {
	Load
	bearers []string

	began time.Time
	next  atomic.Int64 // number of the next request
	wrong atomic.Pointer[error]

	shards [8]shard // of what the connections saw
	kept   []string // locations, by the number of the request
}

// shard is what some of the connections saw.
type shard struct {
	mu       sync.Mutex
	n        int
	statuses map[int]int
	took     *hdrhistogram.Histogram // µs
	late     *hdrhistogram.Histogram // µs
	last     time.Time               // when the last answer came
}

const (
	longest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

// run makes the load. Errors are told as Loaded.Wrong.
func (g *generator) run(ctx context.Context) Loaded {
	for i := range g.shards {
		g.shards[i] = shard{statuses: map[int]int{}, took: hdrhistogram.New(1, longest, digits), late: hdrhistogram.New(1, longest, digits)}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	fail := func(err error) {
		if g.wrong.CompareAndSwap(nil, &err) {
			stop()
		}
	}
	if g.Keep {
		g.kept = make([]string, g.Count)
	}
	computed := computedSoFar()
	g.began = time.Now()
	var due chan time.Time
	var all sync.WaitGroup
	if g.Rate > 0 {
		due = make(chan time.Time, 1)
		all.Go(func() { defer close(due); g.come(ctx, due) })
	}
	var drained atomic.Int64
	for c := range g.Connections {
		all.Go(func() {
			caller := newCaller(g.Load, g.bearers)
			defer caller.hangUp()
			into := &g.shards[c%len(g.shards)]
			var err error
			if due != nil {
				err = g.answerDue(ctx, caller, into, due)
			} else {
				err = g.repeat(ctx, caller, into)
			}
			if err == nil && g.Drain && ctx.Err() == nil {
				if err = caller.untilFinal(ctx); err == nil {
					at := int64(time.Since(g.began))
					for before := drained.Load(); at > before && !drained.CompareAndSwap(before, at); before = drained.Load() {
					}
				}
			}
			if err != nil {
				fail(err)
			}
		})
	}
	all.Wait()
	told := g.sum()
	told.CPU = (computedSoFar() - computed).Seconds()
	told.Drained = time.Duration(drained.Load()).Seconds()
	if err := g.wrong.Load(); err != nil {
		told.Wrong = (*err).Error()
	} else if ctx.Err() != nil {
		told.Wrong = context.Cause(ctx).Error()
	} else if told.N == 0 {
		told.Wrong = "nothing was asked at all"
	}
	return told
}

// repeat is a closed loop: one request after the other.
func (g *generator) repeat(ctx context.Context, c *caller, into *shard) error {
	for ctx.Err() == nil {
		i := g.next.Add(1) - 1
		if g.Count > 0 && i >= int64(g.Count) {
			return nil
		}
		begin := time.Now()
		if g.Length > 0 && begin.Sub(g.began) >= g.Length {
			return nil
		}
		status, err := c.ask(ctx, i)
		if err != nil {
			return err
		}
		into.add(status, time.Now(), begin, begin)
		if g.Keep {
			g.kept[i] = c.last
		}
	}
	return nil
}

// come has requests come at random moments, as many a second as the rate says: the gaps
// between them are exponential, as those between people who know nothing of each other.
// Whoever has no free connection waits for one; his time is running.
func (g *generator) come(ctx context.Context, due chan<- time.Time) {
	runtime.LockOSThread() // the thread sleeps; Go's own timers are a millisecond late
	at, n := g.began, 0
	for {
		at = at.Add(time.Duration(rand.ExpFloat64() / g.Rate * float64(time.Second)))
		if at.Sub(g.began) >= g.Length || g.Count > 0 && n >= g.Count {
			return
		}
		n++
		sleepUntil(at)
		select {
		case due <- at:
		case <-ctx.Done():
			return
		}
	}
}

// answerDue is one connection of an open loop.
func (g *generator) answerDue(ctx context.Context, c *caller, into *shard, due <-chan time.Time) error {
	for at := range due {
		sent := time.Now()
		status, err := c.ask(ctx, g.next.Add(1)-1)
		if err != nil {
			return err
		}
		into.add(status, time.Now(), at, sent)
	}
	return nil
}

// add takes an answer in.
func (s *shard) add(status int, answered, due, sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.statuses[status]++
	// What is out of the histogram's range has long been an error: nobody is waited for
	// that long.
	_ = s.took.RecordValue(max(answered.Sub(due).Microseconds(), 1))
	_ = s.late.RecordValue(max(sent.Sub(due).Microseconds(), 1))
	if answered.After(s.last) {
		s.last = answered
	}
}

// sum sums up what all have seen.
func (g *generator) sum() Loaded {
	told := Loaded{Statuses: map[int]int{}, Kept: g.kept}
	took, late := hdrhistogram.New(1, longest, digits), hdrhistogram.New(1, longest, digits)
	last := g.began
	for i := range g.shards {
		s := &g.shards[i]
		told.N += s.n
		for status, n := range s.statuses {
			told.Statuses[status] += n
		}
		took.Merge(s.took)
		late.Merge(s.late)
		if s.last.After(last) {
			last = s.last
		}
	}
	told.Seconds = last.Sub(g.began).Seconds()
	told.Latency, told.Mean = latencyOf(took), took.Mean()/1000
	told.Late = latencyOf(late)
	return told
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}
