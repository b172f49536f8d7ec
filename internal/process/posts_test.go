package process

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/internal/embedded/embeddedtest"
)

// TestPosts: nobody has any at first; then whoever works has them, the partitions as by
// the book, the lead only as long as he lives.
func TestPosts(t *testing.T) {
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	c.Name = "worker"
	p := open(t, c)
	posts := func() Posts {
		t.Helper()
		now, err := p.Posts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	if now := posts(); now.Leader != "" || len(now.Owners) != c.Partitions || slices.ContainsFunc(now.Owners, func(who string) bool { return who != "" }) || slices.Max(now.Epochs) != 0 {
		t.Errorf("before anybody works: %+v", now)
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for _, run := range []func(context.Context) error{p.RunConsumer, p.RunScheduler} {
		work.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		now := posts()
		if now.Leader == "worker" && !slices.ContainsFunc(now.Owners, func(who string) bool { return who != "worker" }) && slices.Min(now.Epochs) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %+v", now)
		}
	}
	stop()
	work.Wait()
	if now := posts(); now.Leader != "" || now.Owners[0] != "worker" {
		t.Errorf("after they have gone: %+v", now)
	}
}
