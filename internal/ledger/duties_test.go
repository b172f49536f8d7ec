package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

func TestDuties(t *testing.T) {
	b := open(t)
	opening := b.sale(-time.Minute, time.Hour)
	b.sale(time.Minute, time.Hour) // not yet
	closing := b.sale(-2*time.Hour, -time.Hour)
	paying := b.sale(-4*time.Hour, -3*time.Hour)
	_, err := b.pool.Exec(b.ctx, `update sales set phase = 'open' where id = $1`, closing.ID)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update sales set phase = 'closed' where id = $1`, paying.ID)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update partitions set generation = 3 where id = $1`, closing.Partition)
	b.must(err)
	duties, err := b.Duties(b.ctx, sale.At(time.Now()), 10)
	b.must(err)
	want := []Duty{
		{Sale: opening.ID, Partition: opening.Partition, Verb: sale.Open, Due: opening.OpensAt},
		{Sale: closing.ID, Partition: closing.Partition, Verb: sale.Close, Due: closing.ClosesAt, Generation: 3},
		{Sale: paying.ID, Partition: paying.Partition, Verb: sale.Payout, Due: paying.PayoutAt()},
	}
	if !slices.Equal(duties, want) {
		t.Errorf("duties %+v\nnot    %+v", duties, want)
	}
}

// due answers the duties at this moment of stream time.
func (st *stage) due() []Duty {
	st.t.Helper()
	duties, err := st.Duties(st.ctx, st.clock, 10)
	st.must(err)
	return duties
}

// tick is the entry that a scheduler makes of a duty.
func (st *stage) tick(d Duty) sale.Entry {
	return st.ask(d.Verb, d.Sale, 0, func(r *sale.Request) { r.Receipt = d.Receipt() })
}

// TestDutiesAreRepeatedUntilNothingIsDue: many holds end at one moment and many
// wait when the sale closes; a tick moves a part of them, and the next one is
// another, for whichever scheduler looks.
func TestDutiesAreRepeatedUntilNothingIsDue(t *testing.T) {
	const holds, waits = 1200, 700
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: holds, LineMost: 1000, Hold: 2 * time.Hour})
	other := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, Hold: 3 * time.Hour})
	who := st.buyers(holds+waits, 0)
	var all []sale.Entry
	for _, buyer := range who {
		all = append(all, st.ask(sale.Reserve, s.ID, buyer))
	}
	for i := range all {
		all[i].ID = sale.EntryID{At: st.clock, No: int64(i)}
	}
	st.settle(append(all, st.ask(sale.Reserve, other.ID, who[0]))...)
	if len(st.due()) != 0 {
		t.Fatalf("due before its time: %+v", st.due())
	}
	st.clock = s.OpensAt.Add(4 * time.Hour) // the sales have closed, the holds are over
	made := map[uuid.UUID]bool{}
	var verbs []sale.Verb
	for range 20 {
		duties := st.due()
		if !slices.Equal(duties, st.due()) {
			t.Fatal("two schedulers see different duties")
		}
		if len(duties) == 0 {
			break
		}
		var ticks []sale.Entry
		for _, d := range duties {
			if made[d.Receipt()] {
				t.Fatalf("the tick %+v was made before", d)
			}
			made[d.Receipt()] = true
			if d.Sale == s.ID {
				verbs = append(verbs, d.Verb)
			}
			ticks = append(ticks, st.tick(d))
		}
		b := st.settle(ticks...)
		if n := len(b.Effects.Moves); n > len(ticks)*sale.TickMost {
			t.Errorf("%d ticks move %d receipts", len(ticks), n)
		}
		st.later(time.Millisecond)
	}
	for _, e := range all[:holds] {
		st.is(e, sale.Expired)
	}
	for _, e := range all[holds:] {
		st.is(e, sale.Rejected)
	}
	if left := st.due(); len(left) != 0 {
		t.Errorf("still due: %+v", left)
	}
	t.Log(verbs)
}

// TestALostTickIsDueAgain: what a rebuilt partition has lost is queued under
// another number.
func TestALostTickIsDueAgain(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1})
	st.settle(st.ask(sale.Reserve, s.ID, st.buyers(1, 0)[0]))
	st.later(s.Hold)
	lost := st.due()
	mark, err := st.RaiseGeneration(st.ctx, 0, st.mark.Epoch)
	st.must(err)
	b := st.batch(st.tick(lost[0]))
	b.Facts.Generation = mark.Generation
	st.must(st.Settle(st.ctx, b))
	st.mark.Applied, st.mark.Seq = b.Last, b.Seq
	if b.Outcomes[0].Reason != sale.Lost {
		t.Fatalf("outcome %+v", b.Outcomes[0])
	}
	again := st.due()
	if len(again) != 1 || again[0].Verb != sale.Expire || again[0].Receipt() == lost[0].Receipt() {
		t.Fatalf("due %+v", again)
	}
	e := st.tick(again[0])
	e.Generation = mark.Generation
	st.settle(e)
	if left := st.due(); len(left) != 0 {
		t.Errorf("still due: %+v", left)
	}
}

// TestDutiesOfManySales: each sale with holds that are over once, by its earliest;
// a slot that nobody asked for opens for nobody.
func TestDutiesOfManySales(t *testing.T) {
	st := newStage(t)
	who := st.buyers(3, 0)
	var ids []int64
	for i := range 3 {
		s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 3, Hold: time.Duration(3-i) * time.Minute})
		ids = append(ids, s.ID)
	}
	starts := st.opens.Add(time.Hour)
	st.offer(sale.Sale{Kind: sale.Event, Stock: 1, Store: st.store(), StartsAt: starts, ClosesAt: starts})
	for range 2 {
		var all []sale.Entry
		for _, id := range ids {
			all = append(all, st.ask(sale.Reserve, id, who[0]))
		}
		st.settle(all...)
		who = who[1:]
		st.later(time.Second)
	}
	st.clock = st.opens.Add(3*time.Minute + 500*time.Millisecond)
	var sales []int64
	for _, d := range st.due() {
		if d.Verb != sale.Expire || d.Held != 2 || d.Due > st.clock || d.More {
			t.Errorf("duty %+v", d)
		}
		sales = append(sales, d.Sale)
	}
	slices.Sort(sales)
	if !slices.Equal(sales, ids) {
		t.Errorf("due are %v, not %v", sales, ids)
	}
}
