package ledger

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// is fails unless a receipt stands so.
func (st *stage) is(e sale.Entry, status sale.Status) sale.Receipt {
	st.t.Helper()
	r := st.outcome(e)
	if r.Status != status {
		st.t.Errorf("%s of %d is %s %s, not %s", e.Verb, e.Buyer, r.Status, r.Reason, status)
	}
	return r
}

// order is how the order of a receipt stands.
func (st *stage) order(e sale.Entry) (status string, created, changed sale.Instant) {
	st.t.Helper()
	var c, h time.Time
	st.must(st.pool.QueryRow(st.ctx, `
		select status, created_at, changed_at
		from orders
		where receipt = $1`, [16]byte(e.Receipt)).Scan(&status, &c, &h))
	return status, sale.At(c), sale.At(h)
}

func (st *stage) ordered(e sale.Entry, status string, created, changed sale.Instant) {
	st.t.Helper()
	if s, c, h := st.order(e); s != status || c != created || h != changed {
		st.t.Errorf("the order of %d is %s, made at %d, changed at %d, not %s, %d, %d", e.Buyer, s, c, h, status, created, changed)
	}
}

func TestAHoldIsPaidOrEnds(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 4, Limit: 4, Price: sale.Price{Start: 25}, RefundWindow: time.Hour})
	who := st.buyers(3, 100)
	began := st.clock
	paying, ending, leaving := st.ask(sale.Reserve, s.ID, who[0], units(2)), st.ask(sale.Reserve, s.ID, who[1]), st.ask(sale.Reserve, s.ID, who[2])
	st.settle(paying, ending, leaving)
	if r := st.is(paying, sale.Held); r.PayBy != began.Add(s.Hold) || r.UnitPrice != 25 {
		t.Errorf("held %+v", r)
	}
	st.ordered(paying, "pending", began, began)
	st.later(time.Minute)
	paid := st.ask(sale.Pay, s.ID, who[0], about(paying.Receipt))
	left := st.ask(sale.Cancel, s.ID, who[2], about(leaving.Receipt))
	st.settle(paid, left)
	st.is(paying, sale.Confirmed)
	st.is(leaving, sale.Cancelled)
	st.ordered(paying, "paid", began, st.clock)
	st.ordered(leaving, "cancelled", began, st.clock)
	if st.points(who[0]) != 50 || st.points(s.Escrow) != 50 {
		t.Errorf("paid %d", 100-st.points(who[0]))
	}

	st.later(s.Hold)
	st.settle(st.ask(sale.Expire, s.ID, 0))
	st.is(ending, sale.Expired)
	st.ordered(ending, "expired", began, began.Add(s.Hold))

	// A payment that comes too late buys a free unit under its own number, once.
	late := st.ask(sale.Pay, s.ID, who[1], about(ending.Receipt))
	again := st.ask(sale.Pay, s.ID, who[1], about(ending.Receipt))
	b := st.settle(late)
	st.is(late, sale.Confirmed)
	st.is(ending, sale.Expired)
	st.ordered(late, "paid", b.Last.At, b.Last.At)
	if b := st.settle(again); b.Outcomes[0].Reason != sale.AlreadyFinal {
		t.Errorf("paid again: %+v", b.Outcomes[0])
	}
	st.later(time.Minute)
	b = st.settle(st.ask(sale.Cancel, s.ID, who[1], about(late.Receipt)))
	st.is(late, sale.Cancelled)
	if _, _, changed := st.order(late); changed != b.Last.At || st.points(who[1]) != 100 {
		t.Errorf("paid back %d at %d", st.points(who[1]), changed)
	}

	// Held and given up in one batch: there was an order all the same.
	brief := st.ask(sale.Reserve, s.ID, who[2])
	st.settle(brief, st.ask(sale.Cancel, s.ID, who[2], about(brief.Receipt)))
	st.is(brief, sale.Cancelled)
}

func TestALineMovesUpAndCloses(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, LineMost: 10, Price: sale.Price{Start: 5}, Hold: 2 * time.Hour})
	who := st.buyers(5, 100)
	var all []sale.Entry
	for _, buyer := range who {
		all = append(all, st.ask(sale.Reserve, s.ID, buyer))
	}
	st.settle(all[:4]...)
	st.is(all[1], sale.Waiting)
	st.later(time.Minute)
	st.settle(st.ask(sale.Cancel, s.ID, who[0], about(all[0].Receipt)))
	if r := st.is(all[1], sale.Held); r.PayBy != st.clock.Add(s.Hold) {
		t.Errorf("promoted at %d until %d", st.clock, r.PayBy)
	}
	st.ordered(all[1], "pending", st.clock, st.clock)
	st.settle(st.ask(sale.Cancel, s.ID, who[2], about(all[2].Receipt)))
	st.is(all[2], sale.Cancelled)

	// One waits, another comes and waits, and the sale closes: they are told, and have
	// rows; who comes after that has none.
	last := st.ask(sale.Reserve, s.ID, who[4])
	last.ID.At = s.ClosesAt - 1
	st.clock = s.ClosesAt
	late := st.ask(sale.Reserve, s.ID, who[2])
	st.settle(last, st.ask(sale.Close, s.ID, 0), late)
	if r := st.is(last, sale.Rejected); r.Reason != sale.Closed {
		t.Errorf("sent away for %s", r.Reason)
	}
	if _, known := st.receipts[late.Receipt]; known {
		t.Error("who was never in line has a row")
	}
	if r, err := st.Receipt(st.ctx, last.Receipt); err != nil || r != st.outcome(last) {
		t.Errorf("recorded %+v, %v", r, err)
	}
	if stand, err := st.Sale(st.ctx, s.ID); err != nil || stand.Phase != sale.PhaseClosed || stand.Waiting != 0 {
		t.Errorf("closed as %+v, %v", stand, err)
	}
}

func TestACouponIsUsedAndComesBack(t *testing.T) {
	st := newStage(t)
	c := st.offer(sale.Sale{Kind: sale.Coupon, Stock: 2, AmountOff: 30})
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 9, Limit: 9, Price: sale.Price{Start: 20}, RefundWindow: time.Hour})
	a := st.offer(sale.Sale{Kind: sale.Auction, Stock: 9, Limit: 9, RefundWindow: time.Hour})
	who := st.buyers(3, 1000)
	claims := []sale.Entry{st.ask(sale.Claim, c.ID, who[0]), st.ask(sale.Claim, c.ID, who[1]), st.ask(sale.Claim, c.ID, who[2])}

	// Claimed and used in one batch; a second use is refused, and nothing is written.
	first := st.ask(sale.Reserve, s.ID, who[0], units(2), with(claims[0].Receipt))
	b := st.settle(append(claims, first, st.ask(sale.Bid, a.ID, who[0], with(claims[0].Receipt)))...)
	if r := st.is(first, sale.Held); r.Discount != 30 || r.Cost() != 10 {
		t.Errorf("held %+v", r)
	}
	if b.Outcomes[2].Reason != sale.SoldOut || b.Outcomes[4].Reason != sale.CouponUnusable {
		t.Errorf("outcomes %+v", b.Outcomes)
	}
	// Given up by one and taken by another of his in the same batch.
	second := st.ask(sale.Reserve, s.ID, who[0], with(claims[0].Receipt))
	st.settle(st.ask(sale.Cancel, s.ID, who[0], about(first.Receipt)), second)
	if r := st.is(second, sale.Held); r.Discount != 20 {
		t.Errorf("held %+v", r)
	}
	// A hold that ends gives it back, by a tick that names neither.
	st.later(s.Hold)
	st.settle(st.ask(sale.Expire, s.ID, 0))
	st.is(second, sale.Expired)
	bid := st.ask(sale.Bid, a.ID, who[0], with(claims[0].Receipt))
	st.settle(bid)
	if r := st.is(bid, sale.Confirmed); r.Discount != 30 || st.points(who[0]) != 930 {
		t.Errorf("paid %d for %+v", 1000-st.points(who[0]), r)
	}
	// And so does a refund, while it is valid.
	st.clock = a.ClosesAt
	st.settle(st.ask(sale.Refund, a.ID, who[0], about(bid.Receipt)))
	st.is(bid, sale.Refunded)
	if n := st.count(`select count(*) from coupons where used_by is null`); n != 2 || st.points(who[0]) != 1000 {
		t.Errorf("%d coupons are free, %d points are back", n, st.points(who[0]))
	}
}

func TestSeatsAndTables(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Event, Stock: 1, LineMost: 5, Price: sale.Price{Start: 40}, RefundWindow: time.Hour})
	free := st.offer(sale.Sale{Kind: sale.Event, Stock: 1, LineMost: 5})
	who := st.buyers(3, 100)
	seat, wait := st.ask(sale.Join, s.ID, who[0]), st.ask(sale.Join, s.ID, who[1])
	gift, next := st.ask(sale.Join, free.ID, who[0]), st.ask(sale.Join, free.ID, who[1])
	st.settle(seat, wait, gift, next)
	st.is(seat, sale.Confirmed)
	st.is(wait, sale.Waiting)
	if st.points(who[0]) != 60 || st.count(`select count(*) from orders`) != 0 {
		t.Errorf("%d points left", st.points(who[0]))
	}
	st.settle(st.ask(sale.Cancel, s.ID, who[0], about(seat.Receipt)), st.ask(sale.Cancel, free.ID, who[0], about(gift.Receipt)))
	st.is(wait, sale.Held) // promotion never charges
	st.is(next, sale.Confirmed)
	if st.points(who[0]) != 100 {
		t.Errorf("%d points are back", st.points(who[0]))
	}
	st.settle(st.ask(sale.Pay, s.ID, who[1], about(wait.Receipt)))
	st.is(wait, sale.Confirmed)

	// A change of slot moves a table and its points at once.
	store := st.store()
	var slots []sale.Sale
	for _, hour := range []time.Duration{1, 2} {
		starts := st.opens.Add(hour * time.Hour)
		slots = append(slots, st.offer(sale.Sale{Kind: sale.Event, Stock: 1, LineMost: 100, Store: store, StartsAt: starts, ClosesAt: starts,
			Price: sale.Price{Start: 10}, RefundWindow: time.Hour}))
	}
	table, behind := st.ask(sale.Reserve, slots[0].ID, who[2]), st.ask(sale.Reserve, slots[0].ID, who[0])
	st.settle(table, behind)
	moved := st.ask(sale.Reserve, slots[1].ID, who[2], about(table.Receipt), func(r *sale.Request) { r.From = slots[0].ID })
	st.settle(moved)
	st.is(table, sale.Cancelled)
	st.is(moved, sale.Confirmed)
	st.is(behind, sale.Held)
	if st.points(slots[0].Escrow) != 0 || st.points(slots[1].Escrow) != 10 || st.points(who[2]) != 90 {
		t.Errorf("escrows %d, %d; %d points left", st.points(slots[0].Escrow), st.points(slots[1].Escrow), st.points(who[2]))
	}
}

func TestALaterCloseMovesThePayout(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, RefundWindow: time.Hour})
	st.settle(st.ask(sale.Change, s.ID, st.seller, units(3), func(r *sale.Request) { r.ClosesAt = s.ClosesAt.Add(40 * 24 * time.Hour) }))
	stand, err := st.Sale(st.ctx, s.ID)
	st.must(err)
	if stand.ClosesAt != s.ClosesAt.Add(40*24*time.Hour) || stand.RefundWindow != time.Hour || stand.Stock != 4 || stand.Free != 4 {
		t.Errorf("changed to %+v", stand)
	}
}

// TestWhoWantsNoNotices: neither he who has switched them off nor he who has left
// is told.
func TestWhoWantsNoNotices(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Coupon, Stock: 9})
	who := st.buyers(3, 0)
	_, err := st.pool.Exec(st.ctx, `update accounts set notices = id <> $1, deleted_at = case id when $2 then now() end`, who[0], who[1])
	st.must(err)
	b := st.batch(st.ask(sale.Claim, s.ID, who[0]), st.ask(sale.Claim, s.ID, who[1]), st.ask(sale.Claim, s.ID, who[2]))
	st.must(st.Settle(st.ctx, b))
	if n := st.count(`select count(*) from notices`); n != 1 || st.count(`select count(*) from notices where account = $1`, who[2]) != 1 {
		t.Errorf("%d are told", n)
	}
}

// TestPlacesThatPostgresHasNot: a state that shows somebody where his receipt does
// not have him is not decided on, whatever the batch is about.
func TestPlacesThatPostgresHasNot(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, LineMost: 10})
	who := st.buyers(3, 0)
	held, waits := st.ask(sale.Reserve, s.ID, who[0]), st.ask(sale.Reserve, s.ID, who[1])
	st.settle(held, waits)
	for name, lie := range map[string]func(*sale.Stand){
		"a hold of nobody":       func(s *sale.Stand) { s.Holds[0].Receipt = uuid.New() },
		"a hold that waits":      func(s *sale.Stand) { s.Holds[0].Receipt = s.Line[0].Receipt },
		"a hold of another time": func(s *sale.Stand) { s.Holds[0].At++ },
		"a hold out of turn":     func(s *sale.Stand) { s.Holds[0].Seq++ },
		"a line of nobody":       func(s *sale.Stand) { s.Line[0].Receipt = uuid.New() },
		"a line of the held":     func(s *sale.Stand) { s.Line[0].Receipt = s.Holds[0].Receipt },
		"a line of another time": func(s *sale.Stand) { s.Line[0].At++ },
	} {
		b := st.batch(st.ask(sale.Reserve, s.ID, who[2]))
		lie(b.State[s.ID])
		if err := st.Settle(st.ctx, b); !errors.Is(err, ErrPlaces) {
			t.Errorf("%s: %v", name, err)
		}
	}
	st.settle(st.ask(sale.Reserve, s.ID, who[2]))
}

// TestTooLittleOfALine: what was shown is not enough; nothing is written, and with
// more of it the same batch goes through.
func TestTooLittleOfALine(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, LineMost: 10})
	who := st.buyers(4, 0)
	var all []sale.Entry
	for _, buyer := range who {
		all = append(all, st.ask(sale.Reserve, s.ID, buyer))
	}
	st.settle(all...)
	leave := st.ask(sale.Cancel, s.ID, who[0], about(all[0].Receipt))
	b := st.batch(leave)
	b.State[s.ID].Line = nil
	var short *Short
	if err := st.Settle(st.ctx, b); !errors.As(err, &short) || !slices.Equal(short.Sales, []int64{s.ID}) {
		t.Errorf("answer %v", err)
	}
	if mark, err := st.Watermark(st.ctx, 0); err != nil || mark.Applied != st.mark.Applied {
		t.Errorf("the watermark is at %s, %v", mark.Applied, err)
	}
	st.check()
	st.settle(leave)
	st.is(all[1], sale.Held)
}
