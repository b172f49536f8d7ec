package torture

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// The kinds of faults.
const (
	killProcess   = "kill_process"   // SIGKILL of a worker, started again after a while
	pauseConsumer = "pause_consumer" // SIGSTOP, SIGCONT after a while: shorter and longer than a lease
	killRedis     = "kill_redis"     // SIGKILL, started again on its data after a while
	killPostgres  = "kill_postgres"
)

// kindsOfFaults, and how many of a hundred are of each.
var kindsOfFaults = []struct {
	name string
	of   int
}{{killProcess, 40}, {pauseConsumer, 25}, {killRedis, 15}, {killPostgres, 20}}

// Bounds of the dice.
const (
	firstFault             = time.Second
	gapLeast, gapMost      = 500 * time.Millisecond, 3500 * time.Millisecond
	restLeast, restMost    = 100 * time.Millisecond, 2500 * time.Millisecond
	pauseLeast, pauseMost  = 500 * time.Millisecond, 6 * time.Second
	patienceWithOneRestart = time.Minute
)

// fault is one thing that will be done.
type fault struct {
	at     time.Duration // since the traffic began
	kind   string
	target int           // which worker, or which consumer
	lasts  time.Duration // until it is started again, or goes on
}

// plan throws the dice for all faults at once: it depends on the seed and on the
// length alone. The first four are one of each kind, so that no run is without.
func plan(seed uint64, length time.Duration) (faults []fault) {
	dice := rand.New(rand.NewPCG(seed, 1))
	first := dice.Perm(len(kindsOfFaults))
	for at := firstFault; at < length; at += between(dice, gapLeast, gapMost) {
		f := fault{at: at, target: dice.IntN(1 << 20), lasts: between(dice, restLeast, restMost)}
		thrown := dice.IntN(100)
		if n := len(faults); n < len(first) {
			f.kind = kindsOfFaults[first[n]].name
		} else {
			for _, kind := range kindsOfFaults {
				if f.kind = kind.name; thrown < kind.of {
					break
				}
				thrown -= kind.of
			}
		}
		if f.kind == pauseConsumer {
			f.lasts = between(dice, pauseLeast, pauseMost)
		}
		faults = append(faults, f)
	}
	return faults
}

// between is a time from least to most, all alike.
func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)+1))
}

// struck counts the faults that were done.
type struck struct {
	mu      sync.Mutex
	done    map[string]int
	skipped int   // their target was down already
	err     error // the first: something did not come back
}

func (s *struck) count(kind string, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done {
		s.done[kind]++
	} else {
		s.skipped++
	}
}

func (s *struck) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.done {
		n += m
	}
	return n
}

// strike does the faults at their times and returns when all are healed again: who
// was killed is up, who was paused goes on. When ctx ends it begins no more.
func (h *house) strike(ctx context.Context, faults []fault) error {
	var all sync.WaitGroup
	for _, f := range faults {
		if wait(ctx, time.Until(h.began.Add(f.at))) != nil {
			break
		}
		all.Go(func() { h.inflict(f) })
	}
	all.Wait()
	h.struck.mu.Lock()
	defer h.struck.mu.Unlock()
	return h.struck.err
}

func (h *house) inflict(f fault) {
	switch f.kind {
	case killProcess:
		done := h.fleet.workers[f.target%len(h.fleet.workers)].kill(f.lasts)
		h.struck.count(f.kind, done)
		if done {
			time.Sleep(f.lasts)
		}
	case pauseConsumer:
		goOn := h.fleet.workers[apis+f.target%consumers].pause()
		h.struck.count(f.kind, goOn != nil)
		if goOn != nil {
			time.Sleep(f.lasts)
			goOn()
		}
	case killRedis:
		h.crash(f, h.servers.crashRedis)
	case killPostgres:
		h.crash(f, h.servers.crashPostgres)
	}
}

// crash does not end with ctx: what was killed must come back.
func (h *house) crash(f fault, crash func(context.Context, func()) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patienceWithOneRestart)
	defer cancel()
	err := h.fleet.without(func() error {
		return crash(ctx, func() { time.Sleep(f.lasts) })
	})
	h.struck.count(f.kind, err == nil)
	if err != nil {
		h.struck.mu.Lock()
		h.struck.err = cmp.Or(h.struck.err, fmt.Errorf("%s: %w", f.kind, err))
		h.struck.mu.Unlock()
	}
}
