package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
)

// TestTogether: what comes while a batch is under way is the next one, up to its bound;
// everybody is told his own answer, and an error all of those whom it concerns.
func TestTogether(t *testing.T) {
	broke := errors.New("broke")
	under, on := make(chan struct{}), make(chan struct{})
	var sizes []int
	all := doTogether(3, func(_ context.Context, n []int) ([]int, error) {
		sizes = append(sizes, len(n))
		under <- struct{}{}
		<-on
		doubled := make([]int, len(n))
		for i := range n {
			doubled[i] = 2 * n[i]
		}
		if len(n) == 2 {
			return nil, broke
		}
		return doubled, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var running, asking sync.WaitGroup
	running.Go(func() { all.run(ctx) })
	ask := func(n int, want error) {
		asking.Go(func() {
			if got, err := all.ask(t.Context(), n); err != want || err == nil && got != 2*n {
				t.Errorf("%d is answered %d, %v", n, got, err)
			}
		})
	}
	ask(1, nil)
	<-under
	for n := range 3 { // a whole batch, all of it there before the next one begins
		ask(n, nil)
	}
	for len(all.in) < 3 {
		runtime.Gosched()
	}
	on <- struct{}{}
	<-under
	ask(8, broke)
	ask(9, broke)
	for len(all.in) < 2 {
		runtime.Gosched()
	}
	on <- struct{}{}
	<-under
	on <- struct{}{}
	asking.Wait()
	stop()
	running.Wait()
	if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 3 || sizes[2] != 2 {
		t.Errorf("batches of %v", sizes)
	}
	if _, err := all.ask(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody does it, and it is answered %v", err)
	}
}
