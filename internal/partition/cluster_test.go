package partition

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// yard is a store over a cluster that the test may break.
type yard struct {
	*fixture
	cluster *embedded.Cluster
}

func clustered(t *testing.T) *yard {
	t.Helper()
	cluster := embeddedtest.Cluster(t, embedded.ClusterOptions{Masters: 3, Replicas: 1})
	store, err := Open(t.Context(), Options{URL: cluster.URL, Partitions: 4, Hooks: []redis.Hook{&allSlots}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &yard{&fixture{Store: store, t: t, ctx: t.Context()}, cluster}
}

// open leads and trusts all partitions, and loads a sale into the one of the tests.
func (y *yard) open() {
	y.t.Helper()
	for _, p := range y.all() {
		y.lead(p)
	}
	y.must(y.Load(y.ctx, 0, sale.EntryID{}, lamp(nil)))
}

// lead is what an owner does who has not yet trusted this server.
func (y *yard) lead(p int) {
	y.t.Helper()
	y.until("the partition is led", func() error {
		lead, err := y.Lead(y.ctx, p, 1, 1)
		if err == nil && lead.Empty {
			err = y.Rebuild(y.ctx, p, 1, 1, sale.EntryID{}, 0)
		}
		if err == nil {
			err = y.Trust(y.ctx, p, 1, lead.Applied)
		}
		return err
	})
}

// until tries again while the cluster changes, for a minute.
func (y *yard) until(what string, try func() error) {
	y.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	y.t.Fatalf("in vain: %s: %v", what, err)
}

// master is the server that has a partition, and theirs all that it has.
func (y *yard) master(p int) (server int, theirs []int) {
	y.t.Helper()
	server, err := y.cluster.Master(y.ctx, keySlot(slot(p)))
	y.must(err)
	for _, other := range y.all() {
		if at, err := y.cluster.Master(y.ctx, keySlot(slot(other))); err == nil && at == server {
			theirs = append(theirs, other)
		}
	}
	return server, theirs
}

// bid asks for one unit.
func (y *yard) bid(buyer int64) (sale.Standing, error) {
	return y.Admit(y.ctx, p, bid(buyer, 1), Selling, unlimited)
}

// TestFailoverIsNoticed: who waits for entries is told when another server has the
// partition, nobody is let in there before its owner has trusted it, and what was admitted
// is found.
func TestFailoverIsNoticed(t *testing.T) {
	y := clustered(t)
	y.open()
	standing, err := y.bid(1001)
	if err != nil || standing.Durability != sale.InMemory {
		t.Fatalf("%+v, %v", standing, err)
	}
	entries, err := y.Read(y.ctx, p, sale.EntryID{}, 10)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	ended := make(chan error, 1)
	go func() {
		for { // a read comes to its end when nothing comes for some seconds
			more, err := y.Read(y.ctx, p, entries[len(entries)-1].ID, 10)
			if err != nil || len(more) > 0 {
				ended <- err
				return
			}
		}
	}()
	at, _ := y.master(p)
	y.must(y.cluster.Promote(y.ctx, 3+at, "")) // the replicas come behind the masters, in their order
	if err := <-ended; err == nil {
		t.Error("who reads is not told")
	} else if _, moved := redis.IsMovedError(err); !moved && !passes(err) {
		t.Logf("told by a broken connection: %v", err) // which is an error to the owner, too
	}
	var refusal *sale.Refusal
	y.until("the new server lets nobody in", func() error {
		_, err := y.bid(1002)
		if errors.As(err, &refusal) && refusal.Code == sale.RefusedLoading {
			return nil
		}
		if err == nil {
			t.Fatal("somebody is let in by a server that nobody has trusted")
		}
		if !errors.Is(err, sale.ErrUnavailable) {
			t.Logf("meanwhile: %v", err)
		}
		return err
	})
	y.lead(p)
	y.until("it lets in", func() error { _, err := y.bid(1003); return err })
	y.until("all is there", func() error {
		found, err := y.Read(y.ctx, p, sale.EntryID{}, 10)
		if err == nil && len(found) != len(entries)+1 {
			t.Fatalf("%d entries, want %d and one more", len(found), len(entries))
		}
		return err
	})
}

// TestStrangeServer: a batch that is applied where nobody has trusted yet is true, and its
// owner is told.
func TestStrangeServer(t *testing.T) {
	f := started(t)
	f.must(f.Trust(f.ctx, p, 1, sale.EntryID{}))
	b := f.batch()
	f.must(f.raw.HSet(f.ctx, slot(p), "run", "another", "mark", "0 another").Err())
	if at, err := f.Bury(f.ctx, 1, b, 0, nil); at == 0 || !errors.Is(err, ErrStrange) {
		t.Errorf("applied at %d, %v", at, err)
	}
	f.must(f.Trust(f.ctx, p, 1, b.Last))
	f.load(lamp(nil))
	f.admit(bid(1001, 1))
	if at, err := f.Bury(f.ctx, 1, f.batch(), 0, nil); at == 0 || err != nil {
		t.Errorf("once it is trusted: applied at %d, %v", at, err)
	}
}

// TestDeadMasterConcernsItsPartitionsOnly: all others are asked as if nothing had happened,
// and what was that server's comes back with the one that takes its place.
func TestDeadMasterConcernsItsPartitionsOnly(t *testing.T) {
	y := clustered(t)
	y.open()
	for _, p := range y.all() {
		if held, err := y.Hold(y.ctx, p, "me"); err != nil || !held {
			t.Fatal(held, err)
		}
	}
	flowing, changes := make(chan []int, 100), make(chan Changes, 100)
	broken := make(chan []int, 100)
	ctx, stop := context.WithCancel(y.ctx)
	watched := make(chan error, 1)
	go func() {
		watched <- y.Watch(ctx, func(partitions []int, err error) {
			if err == nil {
				flowing <- partitions
			} else {
				broken <- partitions
			}
		}, func(c Changes) { changes <- c })
	}()
	defer func() {
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	}()
	for heard := map[int]bool{}; len(heard) < y.n; {
		for _, p := range <-flowing {
			heard[p] = true
		}
	}
	at, theirs := y.master(p)
	others := slices.DeleteFunc(y.all(), func(p int) bool { return slices.Contains(theirs, p) })
	if len(others) == 0 {
		t.Fatal("one server has all partitions: the test shows nothing")
	}
	y.cluster.Kill(at)

	kept, silent, err := y.Keep(y.ctx, y.all(), "me")
	if slices.Sort(silent); err == nil || !slices.Equal(slices.Sorted(maps.Keys(kept)), others) || !slices.Equal(silent, theirs) {
		t.Errorf("leases: kept %v, nothing of %v (%v), while %v are away", kept, silent, err, theirs)
	}
	pulses, _, err := y.Pulses(y.ctx)
	if err != nil || !slices.Equal(slices.Sorted(maps.Keys(pulses)), others) {
		t.Errorf("pulses of %v (%v), while %v are away", slices.Sorted(maps.Keys(pulses)), err, theirs)
	}
	seen, err := y.Survey(y.ctx)
	if err != nil || seen.Masters != 3 || seen.Reached != 2 {
		t.Errorf("%d of %d servers reached (%v)", seen.Reached, seen.Masters, err)
	}
	for p, condition := range seen.Partitions {
		if condition.Known == slices.Contains(theirs, p) {
			t.Errorf("partition %d is known: %t", p, condition.Known)
		}
	}
	if err := y.Ping(y.ctx); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if _, err := y.bid(1001); err == nil {
		t.Error("a dead server lets in")
	}
	if told := <-broken; !slices.Equal(told, theirs) {
		t.Errorf("no news of %v, want %v", told, theirs)
	}
	other := others[0]
	applied, err := y.Read(y.ctx, other, sale.EntryID{}, 1)
	if err != nil || len(applied) != 1 {
		t.Fatal(applied, err)
	}
	last := applied[0].ID
	y.must(y.Apply(y.ctx, 1, sale.Batch{Partition: other, Last: last, Seq: 1}, 0))
	if c := <-changes; c.Partition != other {
		t.Errorf("news of %d, want those of %d", c.Partition, other)
	}

	y.must(y.cluster.Healthy(y.ctx))
	for _, p := range theirs {
		y.lead(p)
	}
	y.until("the replica lets in", func() error { _, err := y.bid(1002); return err })
	for heard := map[int]bool{}; len(heard) < len(theirs); {
		for _, p := range <-flowing {
			heard[p] = true
		}
	}
}

// TestWatchEndsInQuiet: who watches no longer is told of nothing broken.
func TestWatchEndsInQuiet(t *testing.T) {
	y := clustered(t)
	ctx, stop := context.WithCancel(y.ctx)
	defer stop()
	flowing, watched := make(chan []int, 100), make(chan error, 1)
	go func() {
		watched <- y.Watch(ctx, func(partitions []int, broken error) {
			if broken != nil {
				t.Errorf("of %v: %v", partitions, broken)
			}
			flowing <- partitions
		}, func(Changes) {})
	}()
	for heard := 0; heard < y.n; {
		heard += len(<-flowing)
	}
	stop()
	if err := <-watched; err != nil {
		t.Error(err)
	}
}

// TestSlotMovesWhileItSells: whoever asks meanwhile is queued or told to come again, and
// everybody who was queued is there when the slot is.
func TestSlotMovesWhileItSells(t *testing.T) {
	y := clustered(t)
	y.open()
	queued := 0
	for buyer := range int64(20) {
		if _, err := y.bid(1001 + buyer); err != nil {
			t.Fatal(err)
		}
		queued++
	}
	from, _ := y.master(p)
	buyer, refused := int64(2000), 0
	y.must(y.cluster.MoveSlot(y.ctx, keySlot(slot(p)), (from+1)%3, func(int, int) {
		var refusal *sale.Refusal
		buyer++
		switch _, err := y.bid(buyer); {
		case err == nil:
			queued++
		case errors.Is(err, sale.ErrUnavailable), errors.As(err, &refusal) && refusal.Code == sale.RefusedLoading:
			refused++
		default:
			t.Errorf("while it moves: %v", err)
		}
	}))
	if refused == 0 {
		t.Error("nobody was refused: nothing moved while somebody asked")
	}
	y.until("who reads finds it", func() error {
		_, err := y.Read(y.ctx, p, sale.EntryID{}, 10)
		return err
	})
	y.lead(p)
	y.until("it lets in", func() error { _, err := y.bid(3000); return err })
	queued++
	entries, err := y.Peek(y.ctx, p, sale.EntryID{}, 1000)
	if err != nil || len(entries) != 1+queued { // the mark of the rebuild comes first
		t.Errorf("%d entries (%v), want %d", len(entries), err, 1+queued)
	}
}

// TestScriptsOnEveryServer: one that has none is sent them.
func TestScriptsOnEveryServer(t *testing.T) {
	y := clustered(t)
	y.open()
	for i := range 3 {
		c := redis.NewClient(&redis.Options{Addr: y.cluster.Addr(i)})
		y.must(c.ScriptFlush(y.ctx).Err())
		y.must(c.Close())
	}
	y.until("it lets in", func() error { // without scripts a server has another mark, and is asked who it is
		_, err := y.bid(1001)
		return err
	})
	for _, p := range y.all() {
		if held, err := y.Hold(y.ctx, p, "me"); err != nil || !held {
			t.Error(held, err)
		}
	}
}
