package sessions

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func (f *fixture) allow(what string, l Limit) time.Duration {
	f.t.Helper()
	wait, err := f.Allow(f.ctx, what, l)
	f.must(err)
	return wait
}

func TestThrottle(t *testing.T) {
	each(t, func(f *fixture) {
		three := Limit{3, time.Minute}
		for i := range 3 {
			if wait := f.allow("x", three); wait != 0 {
				f.t.Fatalf("attempt %d waits %s", i, wait)
			}
		}
		for range 3 { // refused ones do not count
			if wait := f.allow("x", three); wait <= 0 || wait > time.Minute {
				f.t.Fatalf("the fourth waits %s", wait)
			}
		}
		if wait := f.allow("y", three); wait != 0 {
			f.t.Errorf("another waits %s", wait)
		}
		f.must(f.GiveBack(f.ctx, "x"))
		if f.allow("x", three) != 0 || f.allow("x", three) == 0 {
			f.t.Error("what was given back is not one attempt")
		}
		f.must(f.Reset(f.ctx, "x"))
		for range 3 {
			if wait := f.allow("x", three); wait != 0 {
				f.t.Errorf("after a reset it waits %s", wait)
			}
		}
		for range 5 { // more than was taken
			f.must(f.GiveBack(f.ctx, "x"))
		}
		for i := range 4 {
			if wait := f.allow("x", three); (wait != 0) != (i == 3) {
				f.t.Errorf("attempt %d waits %s", i, wait)
			}
		}
		if left := f.raw.PTTL(f.ctx, throttleKey("x")).Val(); left <= 0 || left > time.Minute {
			f.t.Errorf("it is kept for %s", left)
		}
		f.must(f.GiveBack(f.ctx, "never asked for"))
		f.must(f.Reset(f.ctx, "never asked for"))
	})
}

func TestThrottleOfManyAtOnce(t *testing.T) {
	each(t, func(f *fixture) {
		var allowed atomic.Int64
		var crowd sync.WaitGroup
		for range 50 {
			crowd.Go(func() {
				if wait, err := f.Allow(f.ctx, "x", Limit{10, time.Minute}); err != nil {
					f.t.Error(err)
				} else if wait == 0 {
					allowed.Add(1)
				}
			})
		}
		crowd.Wait()
		if n := allowed.Load(); n != 10 {
			f.t.Errorf("%d were allowed", n)
		}
	})
}

// TestWindowEnds: it began with the first attempt, and refused ones do not make it
// longer.
func TestWindowEnds(t *testing.T) {
	server := miniredis.RunT(t)
	f := on(t, "redis://"+server.Addr())
	l := Limit{2, 15 * time.Minute}
	f.allow("x", l)
	server.FastForward(10 * time.Minute)
	f.allow("x", l)
	if wait := f.allow("x", l); wait != 5*time.Minute {
		t.Errorf("the third waits %s", wait)
	}
	server.FastForward(5 * time.Minute)
	if wait := f.allow("x", l); wait != 0 {
		t.Errorf("in the next window it waits %s", wait)
	}
}
