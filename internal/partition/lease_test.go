package partition

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// Announce answers how many live.
func (s *Store) Announce(ctx context.Context, who string) (living int, err error) {
	names, _, err := s.announce(ctx, who, "here")
	return len(names), err
}

func TestLeases(t *testing.T) {
	f := open(t)
	hold := func(who string, want bool) {
		t.Helper()
		if got, err := f.Hold(f.ctx, p, who); err != nil || got != want {
			t.Errorf("%s: %v, %v", who, got, err)
		}
	}
	hold("a", true)
	hold("b", false)
	hold("a", true) // a renewal
	if held, left, err := f.Take(f.ctx, p, "b"); err != nil || held || left <= 0 || left > LeaseFor {
		t.Errorf("somebody else's lease: %v, for %s, %v", held, left, err)
	}
	f.must(f.Drop(f.ctx, p, "b"))
	hold("b", false)
	f.must(f.Drop(f.ctx, p, "a"))
	hold("b", true)
	if ttl := f.raw.PTTL(f.ctx, leaseKey(p)).Val(); ttl <= 0 || ttl > LeaseFor {
		t.Errorf("lease lasts %s", ttl)
	}
	f.must(f.raw.Set(f.ctx, leaseKey(p), "by hand", 0).Err())
	if held, left, err := f.Take(f.ctx, p, "b"); err != nil || held || left != LeaseFor {
		t.Errorf("a lease without an end: %v, for %s, %v", held, left, err)
	}
	for i := range 3 {
		n, err := f.Announce(f.ctx, strconv.Itoa(i))
		if err != nil || n != i+1 {
			t.Errorf("%d live, %v", n, err)
		}
	}
	f.must(f.Leave(f.ctx, "1"))
	f.must(f.raw.ZIncrBy(f.ctx, livingKey, -float64(LeaseFor.Milliseconds()+1), "0").Err())
	if n, err := f.Announce(f.ctx, "2"); err != nil || n != 1 {
		t.Errorf("%d live, %v", n, err)
	}
	// The clock steps back: who was heard of in what is now the future may have died.
	f.must(f.raw.ZAdd(f.ctx, livingKey, redis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: "0"}).Err())
	if n, err := f.Announce(f.ctx, "2"); err != nil || n != 1 {
		t.Errorf("%d live, %v", n, err)
	}
}

// TestKeep: all leases that are still his are renewed, and none else is said to be.
func TestKeep(t *testing.T) {
	f := open(t)
	all := []int{0, 1, 2, 3}
	for _, p := range all {
		held, err := f.Hold(f.ctx, p, "a")
		if f.must(err); !held {
			t.Fatal("somebody is here already")
		}
		f.must(f.raw.PExpire(f.ctx, leaseKey(p), time.Second).Err())
	}
	f.must(f.raw.Del(f.ctx, leaseKey(1)).Err())
	f.must(f.raw.Set(f.ctx, leaseKey(2), "b", time.Minute).Err())
	kept, silent, err := f.Keep(f.ctx, all, "a")
	if want := map[int]bool{0: true, 3: true}; err != nil || !maps.Equal(kept, want) || len(silent) > 0 {
		t.Errorf("kept %v, nothing of %v, %v", kept, silent, err)
	}
	for _, p := range []int{0, 3} {
		if ttl := f.raw.PTTL(f.ctx, leaseKey(p)).Val(); ttl <= time.Second || ttl > LeaseFor {
			t.Errorf("lease %d lasts %s", p, ttl)
		}
	}
	if n := f.raw.Exists(f.ctx, leaseKey(1)).Val(); n != 0 {
		t.Error("a lease that had lapsed is taken")
	}
	if ttl := f.raw.PTTL(f.ctx, leaseKey(2)).Val(); ttl > LeaseFor {
		t.Errorf("somebody else's lasts %s", ttl)
	}
	f.must(f.raw.Del(f.ctx, leaseKey(0)).Err())
	f.must(f.raw.LPush(f.ctx, leaseKey(0), "no lease").Err())
	kept, silent, err = f.Keep(f.ctx, all, "a")
	if err == nil || !maps.Equal(kept, map[int]bool{3: true}) || !slices.Equal(silent, []int{0}) {
		t.Errorf("where one is no lease %v are kept, and nothing is known of %v (%v)", kept, silent, err)
	}
}

// TestShares: whatever the number of consumers, all shares together are all
// partitions, and nobody has two more than another.
func TestShares(t *testing.T) {
	f := open(t)
	for n := 1; n <= 9; n++ {
		for i := range n {
			_, _, err := f.Share(f.ctx, fmt.Sprint("consumer-", i))
			f.must(err)
		}
		var shares []int
		sum := 0
		for i := range n {
			share, next, err := f.Share(f.ctx, fmt.Sprint("consumer-", i))
			f.must(err)
			if next <= 0 || next > LeaseFor {
				t.Errorf("the next one dies in %s", next)
			}
			shares = append(shares, share)
			sum += share
		}
		if sum != f.Partitions() || slices.Max(shares)-slices.Min(shares) > 1 {
			t.Errorf("%d share %v", n, shares)
		}
	}
	f.must(f.raw.ZIncrBy(f.ctx, livingKey, -1000, "consumer-0").Err())
	if _, next, err := f.Share(f.ctx, "consumer-1"); err != nil || next > LeaseFor-time.Second {
		t.Errorf("one unheard of for a second dies in %s, %v", next, err)
	}
}

// TestNews: consumers hear of each change, of nothing else, and nobody who hears is
// left behind.
func TestNews(t *testing.T) {
	f := open(t)
	f.must(f.raw.Ping(f.ctx).Err())
	once, heard := context.WithCancel(f.ctx)
	f.Hear(once, func(News) { heard() })
	before := goleak.IgnoreCurrent() // connected, its clients watch sentinels, if there are any
	ctx, cancel := context.WithCancel(f.ctx)
	news, ended := make(chan News, 100), make(chan struct{})
	go func() {
		defer close(ended)
		f.Hear(ctx, func(n News) { news <- n })
	}()
	expect := func(what string, want News) {
		t.Helper()
		select {
		case got := <-news:
			if got != want {
				t.Errorf("%s: %q", what, got)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: nothing is heard", what)
		}
	}
	share := func(who string) {
		_, _, err := f.Share(f.ctx, who)
		f.must(err)
	}
	expect("it can hear", Living)
	share("a")
	expect("a came", Living)
	share("a") // no news
	share("b")
	expect("b came", Living)
	f.must(f.raw.ZIncrBy(f.ctx, livingKey, -float64(LeaseFor.Milliseconds()+1), "a").Err())
	share("b")
	expect("a is found dead", Living)
	_, err := f.Hold(f.ctx, p, "b")
	f.must(err)
	f.must(f.Drop(f.ctx, p, "a")) // not his: no news
	f.must(f.Leave(f.ctx, "a"))   // not among the living: no news
	_, err = f.HoldLead(f.ctx, "scheduler")
	f.must(err)
	f.must(f.DropLead(f.ctx, "scheduler")) // no lease of a partition
	f.must(f.Drop(f.ctx, p, "b"))
	expect("b gave its lease back", Freed)
	f.must(f.Leave(f.ctx, "b"))
	expect("b left", Living)
	f.must(f.raw.ClientKillByFilter(f.ctx, "type", "pubsub").Err())
	expect("it can hear again", Living)
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it hears for ever")
	}
	if len(news) != 0 {
		t.Errorf("%d more were heard", len(news))
	}
	goleak.VerifyNone(t, before)
}

// TestNewsEndsWithTheStore: whoever hears is let go when the store closes.
func TestNewsEndsWithTheStore(t *testing.T) {
	f := open(t)
	before := goleak.IgnoreCurrent()
	hears, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		f.Hear(f.ctx, func(News) { hears <- struct{}{} })
	}()
	<-hears
	f.must(f.Close())
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it hears for ever")
	}
	goleak.VerifyNone(t, before)
}
