package partition

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/sale"
)

// blocked waits until so many reads wait in Redis.
func (f *fixture) blocked(n int) {
	f.t.Helper()
	for range 1000 {
		list, err := f.raw.ClientList(f.ctx).Result()
		f.must(err)
		if strings.Count(list, "flags=b") == n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("there are not %d reads that wait", n)
}

// TestReadIsInterrupted: who does not want the answer any more does not wait for it, nor
// does Redis; and the next read has a connection of its own.
func TestReadIsInterrupted(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	f.admit(bid(1000, 1)) // which has connections of its own
	prev := f.settle().Last
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := f.Read(ctx, p, prev, 10)
		ended <- err
	}()
	f.blocked(1)
	if busy, idle := f.blocking.count(); busy != 1 || idle != 0 {
		t.Errorf("%d connections read, %d are idle", busy, idle)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) { // a read that came to its end has no error
		t.Errorf("it ended with %v", err)
	}
	f.blocked(0)
	if _, err := f.Read(ctx, p, prev, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a read that nobody wants: %v", err)
	}
	f.admit(bid(1001, 1))
	for range 3 {
		entries, err := f.Read(f.ctx, p, prev, 10)
		if f.must(err); len(entries) != 1 {
			t.Errorf("read %d entries", len(entries))
		}
	}
	if busy, idle := f.blocking.count(); busy != 0 || idle != 1 {
		t.Errorf("%d connections read, %d are idle", busy, idle)
	}
	f.blocking.end()
	goleak.VerifyNone(t, before)
}

// TestReadEndsWithTheStore: so do all that wait, and there is none after it.
func TestReadEndsWithTheStore(t *testing.T) {
	f := started(t)
	prev := f.settle().Last
	ended := make(chan error, 2)
	for range cap(ended) {
		go func() {
			_, err := f.Read(f.ctx, p, prev, 10)
			ended <- err
		}()
	}
	f.blocked(cap(ended))
	f.must(f.Close())
	for range cap(ended) {
		if err := <-ended; err == nil {
			t.Error("it ended as if there were no entries")
		}
	}
	if _, err := f.Read(f.ctx, p, sale.EntryID{}, 10); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("a read after the end: %v", err)
	}
}
