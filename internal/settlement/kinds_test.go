package settlement

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// This file is the figures and the mistakes of the four originals, over the real
// pipeline.

// reservation is a sale of chairs: held for a second, then to be paid.
func (h *house) reservation(change func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	return h.sale(func(s *sale.Sale) {
		s.Kind, s.Title, s.Limit = sale.Reservation, "chair", 1
		s.Price, s.Hold, s.LineMost = sale.Price{Policy: sale.Fixed, Start: 100}, time.Hour, 1000
		if change != nil {
			change(s)
		}
	})
}

// coupon is a sale of coupons of 30 points off.
func (h *house) coupon(change func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	return h.sale(func(s *sale.Sale) {
		s.Kind, s.Title, s.Limit, s.Price = sale.Coupon, "30 off", 1, sale.Price{Policy: sale.Fixed}
		s.AmountOff, s.ValidFrom, s.ValidUntil, s.RefundWindow = 30, s.OpensAt, s.ClosesAt, 0
		if change != nil {
			change(s)
		}
	})
}

// event is an evening free of charge.
func (h *house) event(change func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	return h.sale(func(s *sale.Sale) {
		s.Kind, s.Title, s.Limit = sale.Event, "evening", 1
		s.Price, s.Hold = sale.Price{Policy: sale.Fixed}, time.Hour
		if change != nil {
			change(s)
		}
	})
}

// everybody queues one request of each buyer.
func (h *house) everybody(s sale.Sale, verb sale.Verb, quantity int64, buyers []int64) (ids []uuid.UUID) {
	h.t.Helper()
	for _, buyer := range buyers {
		ids = append(ids, h.admit(s, sale.Request{Verb: verb, Buyer: buyer, Quantity: quantity}))
	}
	return ids
}

// about queues a request about a receipt.
func (h *house) about(s sale.Sale, verb sale.Verb, target uuid.UUID) uuid.UUID {
	h.t.Helper()
	return h.admit(s, sale.Request{Verb: verb, Buyer: h.receipt(target).Buyer, Target: target})
}

// is fails unless the receipts stand so.
func (h *house) is(ids []uuid.UUID, want map[string]int) {
	h.t.Helper()
	got := h.count(ids)
	for word, n := range want {
		if got[word] != n {
			h.t.Errorf("%d %s, not %d: %v", got[word], word, n, got)
		}
	}
	if len(got) != len(want) {
		h.t.Errorf("%v, not %v", got, want)
	}
}

// units fails unless the sale has so many, in Redis and in Postgres.
func (h *house) units(s sale.Sale, free, held, sold, waiting int64) {
	h.t.Helper()
	if got := h.agree(s); got.Free != free || got.Held != held || got.Sold != sold || got.Waiting != waiting {
		h.t.Errorf("%d free, %d held, %d sold, %d waiting; not %d, %d, %d, %d", got.Free, got.Held, got.Sold, got.Waiting, free, held, sold, waiting)
	}
}

func TestClaims1500On1000(t *testing.T) {
	h := newHouse(t)
	s := h.coupon(func(s *sale.Sale) { s.Stock = 1000 })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Claim, 1, h.buyers(1500, 0))
	h.drain(o)
	h.is(ids, map[string]int{"confirmed": 1000, "rejected sold_out": 500})
	h.units(s, 0, 0, 1000, 0)
}

func TestJoins200On10(t *testing.T) {
	h := newHouse(t)
	s := h.event(nil)
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Join, 1, h.buyers(200, 0))
	h.drain(o)
	h.is(ids, map[string]int{"confirmed": 10, "rejected sold_out": 190})
	h.is(ids[:10], map[string]int{"confirmed": 10}) // the first to come
	h.units(s, 0, 0, 10, 0)
}

func TestOrders400On500(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock = 500 })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Reserve, 1, h.buyers(400, 100))
	h.drain(o)
	h.units(s, 100, 400, 0, 0)
	for _, id := range ids {
		h.about(s, sale.Pay, id)
	}
	h.drain(o)
	h.is(ids, map[string]int{"confirmed": 400})
	h.units(s, 100, 0, 400, 0)
	if got := h.points(s.Escrow); got != 40_000 {
		t.Errorf("escrow has %d points", got)
	}
}

// TestQuantityOf10 was decremented by 1 in the original.
func TestQuantityOf10(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock, s.Limit = 25, 10 })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Reserve, 10, h.buyers(3, 0))
	h.drain(o)
	h.is(ids, map[string]int{"held": 2, "waiting": 1})
	h.units(s, 5, 20, 0, 1)
}

// TestExpiredSeatReturns: it goes to the first in line with a clock of his own, and
// once nobody waits it is free.
func TestExpiredSeatReturns(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock, s.Hold = 1, 2*time.Second })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Reserve, 1, h.buyers(2, 100))
	h.drain(o)
	h.is(ids, map[string]int{"held": 1, "waiting": 1})
	first := h.receipt(ids[0])
	tick := func() {
		h.admit(s, sale.Request{Verb: sale.Expire})
		h.drain(o)
	}
	h.until("the first has expired", func() bool { tick(); return h.receipt(ids[0]).Status == sale.Expired })
	second := h.receipt(ids[1])
	if second.Status != sale.Held || second.PayBy != first.PayBy.Add(s.Hold) {
		t.Errorf("promoted: %s, pays by %d; the first had to by %d", second.Status, second.PayBy, first.PayBy)
	}
	h.until("the second has expired", func() bool { tick(); return h.receipt(ids[1]).Status == sale.Expired })
	h.units(s, 1, 0, 0, 0)

	late := h.about(s, sale.Pay, ids[0]) // too late, but the seat is free: the payment buys it
	again := h.about(s, sale.Pay, ids[1])
	h.drain(o)
	if r := h.receipt(late); r.Status != sale.Confirmed || r.Quantity != 1 || r.Cost() != 100 || h.receipt(ids[0]).Status != sale.Expired {
		t.Errorf("late payment: %+v", r)
	}
	if r := h.receipt(again); r.Status != sale.Rejected || r.Reason != sale.ReasonExpired || h.points(r.Buyer) != 100 {
		t.Errorf("later payment: %+v, has %d points", r, h.points(r.Buyer))
	}
	h.units(s, 0, 0, 1, 0)
}

// TestOneCancelPromotesOne, and nobody twice; who cancelled may reserve again.
func TestOneCancelPromotesOne(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock = 2 })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Reserve, 1, h.buyers(5, 100))
	h.drain(o)
	h.about(s, sale.Pay, ids[1])
	h.drain(o)
	paid := h.points(h.receipt(ids[1]).Buyer)
	h.about(s, sale.Cancel, ids[1]) // one that is paid
	h.drain(o)
	h.is(ids[2:3], map[string]int{"held": 1})
	h.is(ids[3:], map[string]int{"waiting": 2})
	h.units(s, 0, 2, 0, 2)
	if got := h.points(h.receipt(ids[1]).Buyer); paid != 0 || got != 100 {
		t.Errorf("%d points after the payment, %d after the cancel", paid, got)
	}
	both := []uuid.UUID{h.about(s, sale.Cancel, ids[0]), h.about(s, sale.Cancel, ids[0])} // twice at once
	h.drain(o)
	h.is(both, map[string]int{"confirmed": 1, "rejected already_final": 1})
	h.is(ids[3:4], map[string]int{"held": 1})
	h.is(ids[4:], map[string]int{"waiting": 1})
	back := h.everybody(s, sale.Reserve, 1, []int64{h.receipt(ids[0]).Buyer})
	h.drain(o)
	h.is(back, map[string]int{"waiting": 1})
	h.units(s, 0, 2, 0, 2)
}

// TestCouponIsUsedOnce: a thousand attempts, two at a time, in two partitions that
// are settled at the same moment.
func TestCouponIsUsedOnce(t *testing.T) {
	h := newHouse(t)
	const rounds = 500
	coupons := h.coupon(func(s *sale.Sale) { s.Stock = rounds })
	places := []sale.Sale{
		h.reservation(func(s *sale.Sale) { s.Stock = rounds }),
		h.reservation(func(s *sale.Sale) { s.Stock = rounds }),
	}
	if places[0].Partition == places[1].Partition {
		t.Fatal("both in one partition")
	}
	owners := []*owner{h.owner(places[0].Partition), h.owner(places[1].Partition)}
	buyers := h.buyers(rounds, 0)
	theirs := h.owner(coupons.Partition)
	claims := h.everybody(coupons, sale.Claim, 1, buyers)
	h.drain(theirs)
	h.is(claims, map[string]int{"confirmed": rounds})

	uses := make([][]uuid.UUID, 2)
	var both sync.WaitGroup
	for i, s := range places {
		for j, buyer := range buyers {
			uses[i] = append(uses[i], h.admit(s, sale.Request{Verb: sale.Reserve, Buyer: buyer, Quantity: 1, Coupon: claims[j]}))
		}
	}
	for _, o := range owners {
		both.Go(func() { h.settle(o) })
	}
	both.Wait()
	var held int64
	for j := range buyers {
		one, two := h.receipt(uses[0][j]), h.receipt(uses[1][j])
		if one.Status == two.Status || one.Status != sale.Held && two.Status != sale.Held {
			t.Errorf("coupon %d: %s and %s", j, one.Status, two.Status)
		}
		for _, r := range []sale.Receipt{one, two} {
			if r.Status == sale.Held && r.Cost() != 70 || r.Status == sale.Rejected && r.Reason != sale.CouponUnusable {
				t.Errorf("coupon %d: %+v", j, r)
			}
		}
	}
	for _, s := range places {
		held += h.agree(s).Held
	}
	if held != rounds {
		t.Errorf("%d units held for %d coupons", held, rounds)
	}
}

// settle is drain for a goroutine of its own: faults that pass are tried again.
func (h *house) settle(o *owner) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		lead, err := h.store.Lead(h.ctx, o.partition, o.mark.Epoch, o.mark.Generation)
		if err == nil && lead.AppliedSeq == lead.Seq {
			return
		}
		if err = o.step(h.ctx); err != nil {
			err = o.sync(h.ctx)
		}
		if err != nil {
			h.t.Log(err)
		}
	}
	h.t.Error("the partition does not drain")
}

// TestRedisBurnsUnderALine: holds, line and their order come back from Postgres.
func TestRedisBurnsUnderALine(t *testing.T) {
	h := newHouse(t)
	s := h.reservation(func(s *sale.Sale) { s.Stock = 2 })
	o := h.owner(s.Partition)
	ids := h.everybody(s, sale.Reserve, 1, h.buyers(5, 100))
	h.drain(o)
	before := h.agree(s)
	h.must(h.raw().FlushDB(h.ctx).Err())
	o = h.owner(s.Partition)
	h.open(s)
	after := h.agree(s)
	if !slices.Equal(before.Holds, after.Holds) || !slices.Equal(before.Line, after.Line) || len(after.Holds) != 2 || len(after.Line) != 3 {
		t.Errorf("holds %v, line %v; they were %v, %v", after.Holds, after.Line, before.Holds, before.Line)
	}
	h.about(s, sale.Cancel, ids[0])
	h.drain(o)
	h.is(ids[2:3], map[string]int{"held": 1})
	h.is(ids[3:], map[string]int{"waiting": 2})
	place, _, err := h.store.LinePlace(h.ctx, s.Partition, s.ID, h.receipt(ids[4]).LinePlace())
	h.must(err)
	if place != 2 {
		t.Errorf("the last one has place %d", place)
	}
	h.units(s, 0, 2, 0, 2)
}

// slots records a store with slots that all lie in one partition, an hour apart.
func (h *house) slots(tables int64, n int) (slots []sale.Sale) {
	h.t.Helper()
	var id int64
	h.query(&id, `
		insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes)
		values (1, $1, 'Lamp and table', 'UTC', $2, 0, 0, 600000, 14, '{0,0,0,0,0,0,0}', '{1410,1410,1410,1410,1410,1410,1410}')
		returning id`, h.seller, tables)
	for i := range n {
		slots = append(slots, h.event(func(s *sale.Sale) {
			s.Store, s.Partition, s.Stock, s.LineMost, s.RefundWindow = id, 1, tables, 100, 0
			s.StartsAt = s.OpensAt.Add(time.Duration(24+i) * time.Hour)
			s.ClosesAt = s.StartsAt
		}))
	}
	return slots
}

// TestChangeOfSlotLosesNoTable: everybody wants to move to the next slot at once,
// and everybody ends with exactly one table, his old one or the new.
func TestChangeOfSlotLosesNoTable(t *testing.T) {
	h := newHouse(t)
	const tables, slots = 5, 4
	all := h.slots(tables, slots)
	o := h.owner(1)
	booked := map[int64]uuid.UUID{}
	var buyers []int64
	for i, s := range all {
		n := tables
		if i == slots-1 {
			n = 2 // three tables are free in the last one
		}
		guests := h.buyers(n, 0)
		for j, id := range h.everybody(s, sale.Reserve, 1, guests) {
			booked[guests[j]] = id
		}
		buyers = append(buyers, guests...)
	}
	h.drain(o)
	changes := map[int64]uuid.UUID{}
	for _, buyer := range buyers {
		old := h.receipt(booked[buyer])
		for i, s := range all {
			if next := all[(i+1)%slots]; s.ID == old.Sale {
				changes[buyer] = h.admit(next, sale.Request{Verb: sale.Reserve, Buyer: buyer, Quantity: 1, Target: old.ID, From: old.Sale})
			}
		}
	}
	h.drain(o)
	moved := 0
	for _, buyer := range buyers {
		old, change := h.receipt(booked[buyer]), h.receipt(changes[buyer])
		switch {
		case old.Status == sale.Confirmed && change.Status == sale.Rejected && change.Reason == sale.SoldOut:
		case old.Status == sale.Cancelled && change.Status == sale.Confirmed:
			moved++
		default:
			t.Errorf("buyer %d: old %s, change %s %s", buyer, old.Status, change.Status, change.Reason)
		}
	}
	if moved < 3 {
		t.Errorf("only %d moved", moved)
	}
	var sold int64
	for _, s := range all {
		sold += h.agree(s).Sold
	}
	if sold != int64(len(buyers)) {
		t.Errorf("%d tables taken by %d", sold, len(buyers))
	}
}

// TestManyDueAtOnce: more holds end at one moment than a tick moves, and more wait
// at the close; ticks finish both, and a request in between is judged right.
func TestManyDueAtOnce(t *testing.T) {
	h := newHouse(t)
	const seats, line = 1200, 1300
	s := h.reservation(func(s *sale.Sale) { s.Stock, s.LineMost, s.Hold = seats, line, time.Second })
	o := h.owner(s.Partition)
	buyers := h.buyers(seats+line, 0)
	held := h.everybody(s, sale.Reserve, 1, buyers[:seats])
	h.drain(o)
	var ends sale.Instant
	for _, id := range held {
		ends = max(ends, h.receipt(id).PayBy)
	}
	h.until("all holds are over", func() bool { return sale.At(time.Now()) > ends })
	tick := h.admit(s, sale.Request{Verb: sale.Expire})
	h.drain(o)
	h.is([]uuid.UUID{tick}, map[string]int{"confirmed": 1})
	h.is(held, map[string]int{"expired": sale.TickMost, "held": seats - sale.TickMost})
	late := h.about(s, sale.Cancel, held[seats-1])
	h.drain(o)
	h.is([]uuid.UUID{late}, map[string]int{"rejected already_final": 1})
	h.is(held, map[string]int{"expired": seats})
	h.units(s, seats, 0, 0, 0)
}

// query asks Postgres for one value.
func (h *house) query(into any, statement string, args ...any) {
	h.t.Helper()
	c, err := pgx.Connect(h.ctx, h.pg)
	h.must(err)
	defer c.Close(h.ctx)
	h.must(c.QueryRow(h.ctx, statement, args...).Scan(into))
}
