package settlement

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
)

// The promises about sharing. Tests allow ten times as much.
const (
	pauseBound    = time.Second     // of a partition that is handed over
	takeoverBound = 5 * time.Second // of a partition whose owner dies
	stopBound     = 5 * time.Second // of a consumer, whatever hangs
)

// TestSharesStayEven: consumers come and go under traffic. The shares are even
// after each change, no partition pauses for long, and nothing is lost by it.
func TestSharesStayEven(t *testing.T) {
	c := newCrew(t)
	end := c.busy()
	var all []int
	for p := range crewPartitions {
		all = append(all, p)
	}
	for _, n := range []int{2, 3, 8, 5, 1} {
		began := c.resize(n)
		took := time.Since(began)
		p50, _, worst := spread(c.pauses(all, began))
		t.Logf("%d consumers: even after %s; pauses of the partitions: median %s, worst %s", n, took, p50, worst)
		if worst > 10*pauseBound {
			t.Errorf("a partition paused for %s", worst)
		}
	}
	end()
	c.proves()
}

// TestHandOverInOrder: a consumer that is told to go hands over everything, at once.
func TestHandOverInOrder(t *testing.T) {
	c := newCrew(t)
	c.resize(3)
	end := c.busy()
	goes := c.members[1]
	moved, since := goes.Owned(), time.Now()
	c.leave(goes)
	c.must(goes.err)
	if left := goes.Owned(); len(left) != 0 {
		t.Errorf("it still has %v", left)
	}
	c.even()
	_, _, worst := spread(c.pauses(moved, since))
	t.Logf("%d partitions handed over, worst pause %s; the consumer ended after %s", len(moved), worst, goes.took)
	if worst > 10*pauseBound || goes.took > 10*stopBound {
		t.Errorf("a partition paused for %s, the consumer took %s", worst, goes.took)
	}
	end()
	c.proves()
}

// TestDeathWithoutNews: somebody who had half of it dies and says nothing. He is
// missed as soon as he may be.
func TestDeathWithoutNews(t *testing.T) {
	c := newCrew(t)
	c.leave(c.members[0])
	raw := c.raw()
	began := time.Now()
	_, _, err := c.store.Share(c.ctx, "ghost")
	c.must(err)
	for p := range crewPartitions / 2 {
		held, err := c.store.Hold(c.ctx, p, "ghost")
		if c.must(err); !held {
			t.Fatal("somebody is here already")
		}
	}
	heir := c.join("heir")
	c.until("the heir has its share", func() bool { return len(heir.Owned()) == crewPartitions/2 })
	if n := raw.Exists(c.ctx, "{s0}:owner").Val(); n != 1 {
		t.Fatal("the ghost has died too early: the test shows nothing")
	}
	c.even()
	took := time.Since(began)
	t.Logf("all is taken over %s after the last sign of life", took)
	if took > 10*takeoverBound {
		t.Error("that is too late")
	}
}

// TestTwoOfOneName share like any two.
func TestTwoOfOneName(t *testing.T) {
	c := newCrew(t)
	end := c.busy()
	c.join("first")
	c.even()
	for _, m := range c.members {
		if len(m.Owned()) != crewPartitions/2 {
			t.Errorf("one has %v", m.Owned())
		}
	}
	c.leave(c.members[0])
	c.even()
	end()
	c.proves()
}

// TestDroppedLeaseIsNotRenewed: a beat that is under way while an owner gives its
// lease back must not take it again, for nobody would work under it.
func TestDroppedLeaseIsNotRenewed(t *testing.T) {
	h := newHouse(t)
	o := h.owner(1)
	held, err := o.renew(h.ctx, "me")
	if h.must(err); !held {
		t.Fatal("a free lease is not taken")
	}
	h.must(o.drop(h.ctx, "me"))
	held, err = o.renew(h.ctx, "me")
	if h.must(err); held {
		t.Error("it is renewed after it was given back")
	}
	if held, err := h.store.Hold(h.ctx, 1, "next"); err != nil || !held {
		t.Errorf("it is not free: %v", err)
	}
}

// TestOwnNewsComesAfterTheEnd: a consumer may want a partition again that it has just
// let go. When the others hear of it, the consumer itself still has it in its book; so
// it is told once more.
func TestOwnNewsComesAfterTheEnd(t *testing.T) {
	h := newHouse(t)
	c := h.consumer("a")
	held, err := c.store.Hold(h.ctx, 1, c.who)
	if h.must(err); !held {
		t.Fatal("somebody is here already")
	}
	c.own(h.ctx, h.ctx, 1)
	c.owners()[0].stop()
	select {
	case <-c.freed:
	case <-time.After(patience):
		t.Fatal("it is not told")
	}
	if c.owns(1) {
		t.Error("it is told before it is true")
	}
	if held, err := h.store.Hold(h.ctx, 1, "next"); err != nil || !held {
		t.Errorf("the lease is not free: %v", err)
	}
	c.wg.Wait()
}

// raw is a plain connection to the crew's Redis.
func (c *crew) raw() redis.UniversalClient {
	c.Helper()
	return embeddedtest.Client(c, c.redis)
}

// TestRedisIsLostForLong: one of two consumers cannot reach Redis for longer than
// its leases last. The other one takes all; then both share again.
func TestRedisIsLostForLong(t *testing.T) {
	c := newCrewOn(t, embeddedtest.RedisServer(t).URL) // a link is to one server
	link := newLink(t, c.redis)
	cut := c.comes("cut off", link.url, c.pg, nil)
	c.starts(cut)
	c.even()
	end := c.busy()
	moved, since := cut.Owned(), time.Now()
	link.cut()
	other := c.members[0]
	c.until("the other one has all", func() bool { return len(other.Owned()) == crewPartitions })
	_, _, worst := spread(c.pauses(moved, since))
	t.Logf("taken over %s after the link broke; worst pause %s", time.Since(since), worst)
	if worst > 10*takeoverBound {
		t.Errorf("a partition paused for %s", worst)
	}
	link.mend()
	c.even()
	if mine := cut.Owned(); !slices.ContainsFunc(mine, func(p int) bool { return !slices.Contains(other.Owned(), p) }) {
		t.Errorf("the one that came back has %v", mine)
	}
	end()
	c.proves()
	if share, _, err := c.store.Share(c.ctx, cut.who); err != nil || share != crewPartitions/2 {
		t.Errorf("its share is %d, %v", share, err)
	}
	if worst < partition.LeaseFor-beat {
		t.Errorf("only %s passed: the test shows nothing", worst)
	}
}
