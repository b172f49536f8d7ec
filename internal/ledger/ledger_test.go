package ledger

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const parts = 4

// books is a ledger over a real Postgres, with a seller.
type books struct {
	*Ledger
	t      testing.TB
	ctx    context.Context
	seller int64
}

func open(t testing.TB) *books {
	t.Helper()
	if os.Getenv("SLUICE_TEST_REPLICA") == "paused" {
		return openBesidePaused(t)
	}
	l, err := Open(t.Context(), Options{URL: embeddedtest.Postgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return furnished(t, l)
}

// openBesidePaused is open with a replica that has none of what the test writes, and
// passes for fresh: whoever reads there what he must not, decides wrongly.
func openBesidePaused(t testing.TB) *books {
	t.Helper()
	r := embeddedtest.Replicated(t)
	l, err := Open(t.Context(), Options{URL: r.Primary, ReplicaURL: r.URL, ReplicaLag: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	for deadline := time.Now().Add(time.Minute); l.replica.past() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the replica is never fit")
		}
	}
	r.Do(`select pg_wal_replay_pause()`)
	return furnished(t, l)
}

func furnished(t testing.TB, l *Ledger) *books {
	t.Helper()
	b := &books{l, t, t.Context(), 0}
	b.must(l.EnsurePartitions(b.ctx, parts))
	sellers, err := l.CreateAccounts(b.ctx, "seller", 1, 0)
	b.must(err)
	b.seller = sellers[0]
	return b
}

func (b *books) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) sale(opens, closes time.Duration) sale.Sale {
	b.t.Helper()
	now := sale.At(time.Now())
	s, err := b.CreateSale(b.ctx, sale.Sale{
		Kind: sale.Auction, Seller: b.seller, Title: "lamp", Stock: 10, Limit: 2,
		Price:   sale.Price{Policy: sale.Percentage, Start: 100, Rate: 1000, Period: time.Minute},
		OpensAt: now.Add(opens), ClosesAt: now.Add(closes), RefundWindow: time.Hour,
	}, parts)
	b.must(err)
	return s
}

func TestPartitionsAreFixed(t *testing.T) {
	b := open(t)
	b.must(b.EnsurePartitions(b.ctx, parts))
	for _, n := range []int{parts - 1, parts + 1} {
		if err := b.EnsurePartitions(b.ctx, n); err == nil || !strings.Contains(err.Error(), "cannot be changed") {
			t.Errorf("%d partitions: %v", n, err)
		}
	}
}

func TestPartitionsMadeByManyAtOnce(t *testing.T) {
	l, err := Open(t.Context(), Options{URL: embeddedtest.Postgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := l.EnsurePartitions(t.Context(), 16); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestSaleComesBack(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	stand, applied, err := b.Stand(b.ctx, s.ID)
	b.must(err)
	if stand.Sale != s || stand.Free != 10 || stand.Phase != sale.Scheduled || applied != (sale.EntryID{}) {
		t.Errorf("recorded %+v, came back %+v at %s", s, stand, applied)
	}
	if p, err := b.Place(b.ctx, s.ID); err != nil || p != s.Partition {
		t.Errorf("placed in %d, %v", p, err)
	}
	if points, err := b.Points(b.ctx, s.Escrow); err != nil || points != 0 {
		t.Errorf("escrow %d, %v", points, err)
	}
	for _, lookup := range []func() error{
		func() error { _, err := b.Place(b.ctx, 404); return err },
		func() error { _, err := b.Place(b.ctx, 404); return err }, // remembered
		func() error { _, err := b.Sale(b.ctx, 404); return err },
		func() error { _, _, err := b.Stand(b.ctx, 404); return err },
		func() error { _, err := b.Points(b.ctx, 404); return err },
		func() error { _, err := b.Receipt(b.ctx, uuid.New()); return err },
	} {
		if err := lookup(); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("answer %v", err)
		}
	}
}

func TestPlaceFindsASaleMadeAfterItWasAskedFor(t *testing.T) {
	b := open(t)
	if _, err := b.Place(b.ctx, 1); !errors.Is(err, sale.ErrUnknown) {
		t.Fatal(err)
	}
	b.sale(0, time.Hour)
	for deadline := time.Now().Add(10 * unknownFor); ; time.Sleep(10 * time.Millisecond) {
		if p, err := b.Place(b.ctx, 1); err == nil && p == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays unknown")
		}
	}
}

func TestAccountsArePaidFromTheSource(t *testing.T) {
	b := open(t)
	ids, err := b.CreateAccounts(b.ctx, "buyer", 1000, 250)
	b.must(err)
	if len(ids) != 1000 {
		t.Fatalf("%d accounts", len(ids))
	}
	if points, err := b.Points(b.ctx, ids[999]); err != nil || points != 250 {
		t.Errorf("points %d, %v", points, err)
	}
	if owes, err := b.Points(b.ctx, Source); err != nil || owes != -250_000 {
		t.Errorf("source %d, %v", owes, err)
	}
	// More points than can be counted exactly are refused, and nothing is half done.
	if _, err := b.CreateAccounts(b.ctx, "buyer", 2, sale.MaxPoints/2+1); err == nil {
		t.Error("the source gave more than it has")
	}
	if owes, _ := b.Points(b.ctx, Source); owes != -250_000 {
		t.Errorf("source %d after a refusal", owes)
	}
}

// batch is a bid of one unit by a buyer with points, at the start of partition p.
func (b *books) batch(s sale.Sale, points int64) *sale.Batch {
	b.t.Helper()
	mark, err := b.Lead(b.ctx, s.Partition, "test")
	b.must(err)
	buyers, err := b.CreateAccounts(b.ctx, "buyer", 1, points)
	b.must(err)
	stand, _, err := b.Stand(b.ctx, s.ID)
	b.must(err)
	e := sale.Entry{ID: sale.EntryID{At: sale.At(time.Now())}, Seq: mark.Seq + 1, Request: sale.Request{
		Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Bid, Sale: s.ID, Buyer: buyers[0], Quantity: 1, Price: 100,
	}}
	return &sale.Batch{Partition: s.Partition, Epoch: mark.Epoch, Prev: mark.Applied, Last: e.ID, Seq: e.Seq,
		Entries: []sale.Entry{e}, State: sale.State{s.ID: stand}}
}

func TestSettleWritesEverythingOrNothing(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	batch := b.batch(s, 100)
	b.must(b.Settle(b.ctx, batch))
	id := batch.Entries[0].Receipt
	r, err := b.Receipt(b.ctx, id)
	b.must(err)
	if r.Status != sale.Confirmed || r.UnitPrice != 90 || r.Fingerprint != batch.Entries[0].Sum() || r.At != batch.Last.At {
		t.Errorf("receipt %+v", r)
	}
	logged, err := b.BatchesAfter(b.ctx, s.Partition, sale.EntryID{}, 10)
	b.must(err)
	if len(logged) != 1 || logged[0].Last != batch.Last || len(logged[0].Receipts()) != 1 || logged[0].Receipts()[0] != r {
		t.Errorf("log %+v", logged)
	}

	if err := b.Settle(b.ctx, batch); !errors.Is(err, ErrMoved) {
		t.Errorf("a second time: %v", err)
	}
	late := b.batch(s, 100) // raises the epoch
	late.Epoch--
	if err := b.Settle(b.ctx, late); !errors.Is(err, ErrFenced) {
		t.Errorf("an epoch gone by: %v", err)
	}

	// A state that lies makes the schema refuse the batch: no trace of it remains.
	lying := b.batch(s, 10_000)
	lying.State[s.ID].Free, lying.State[s.ID].Sold, lying.State[s.ID].Limit = 100, 0, 100
	lying.Entries[0].Quantity = 50
	before, err := b.Watermark(b.ctx, s.Partition)
	b.must(err)
	if err := b.Settle(b.ctx, lying); err == nil {
		t.Error("oversold")
	}
	after, err := b.Watermark(b.ctx, s.Partition)
	b.must(err)
	if before != after {
		t.Errorf("watermark moved from %+v to %+v", before, after)
	}
	if points, _ := b.Points(b.ctx, lying.Entries[0].Buyer); points != 10_000 {
		t.Errorf("paid %d for nothing", 10_000-points)
	}
}

// TestLeadWaitsForAnOpenTransaction: the old owner's transaction either commits
// before the epoch is raised or never.
func TestLeadWaitsForAnOpenTransaction(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	batch := b.batch(s, 100)
	inside, leave := make(chan struct{}), make(chan struct{})
	b.wrapTx = func(tx pgx.Tx) pgx.Tx { return paused{tx, inside, leave} }
	settled := make(chan error, 1)
	go func() { settled <- b.Settle(b.ctx, batch) }()
	<-inside
	led := make(chan Watermark, 1)
	go func() {
		mark, err := b.Lead(b.ctx, s.Partition, "next")
		if err != nil {
			t.Error(err)
		}
		led <- mark
	}()
	select {
	case <-led:
		t.Error("the epoch was raised under an open transaction")
	case <-time.After(100 * time.Millisecond): // it waits, as it should
	}
	close(leave)
	b.must(<-settled)
	if mark := <-led; mark.Applied != batch.Last || mark.Epoch != batch.Epoch+1 {
		t.Errorf("the next owner starts at %+v", mark)
	}
}

// paused stops a transaction before its commit.
type paused struct {
	pgx.Tx
	inside, leave chan struct{}
}

func (p paused) Commit(ctx context.Context) error {
	close(p.inside)
	<-p.leave
	return p.Tx.Commit(ctx)
}

func TestTrimKeepsTheLastOne(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	var last sale.EntryID
	for range 3 {
		batch := b.batch(s, 100)
		batch.Last.At = max(batch.Last.At, batch.Prev.At+1)
		batch.Entries[0].ID = batch.Last
		b.must(b.Settle(b.ctx, batch))
		last = batch.Last
	}
	if n, err := b.TrimBatches(b.ctx, time.Now().Add(-time.Hour), 100); err != nil || n != 0 {
		t.Errorf("young ones went: %d, %v", n, err)
	}
	if n, err := b.TrimBatches(b.ctx, time.Now().Add(time.Hour), 1); err != nil || n != 1 {
		t.Errorf("bounded trim: %d, %v", n, err)
	}
	if n, err := b.TrimBatches(b.ctx, time.Now().Add(time.Hour), 100); err != nil || n != 1 {
		t.Errorf("trim: %d, %v", n, err)
	}
	// A part of them leaves no hole, in whatever order they lie on the disk.
	_, err := b.pool.Exec(b.ctx, `
		insert into batches (partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, at, entries, facts, outcomes, effects)
		select b.partition, n - 1, 0, n, 0, 0, b.epoch, b.at, b.entries, b.facts, b.outcomes, b.effects
		from batches b, generate_series(5, 1, -1) as n`)
	b.must(err)
	if n, err := b.TrimBatches(b.ctx, time.Now().Add(time.Hour), 2); err != nil || n != 2 {
		t.Errorf("trim: %d, %v", n, err)
	}
	rest, err := b.BatchesAfter(b.ctx, s.Partition, sale.EntryID{}, 3)
	b.must(err)
	if rest[0].Last.At != 3 || rest[1].Last.At != 4 || rest[2].Last.At != 5 {
		t.Errorf("left %+v", rest)
	}
	_, err = b.TrimBatches(b.ctx, time.Now().Add(time.Hour), 100)
	b.must(err)
	left, err := b.BatchesAfter(b.ctx, s.Partition, sale.EntryID{}, 10)
	b.must(err)
	if len(left) != 1 || left[0].Last != last {
		t.Errorf("left %+v", left)
	}
}
