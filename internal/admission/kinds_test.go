package admission

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/sale"
)

// offer records a sale that has opened. Its partition is loaded.
func (h *house) offer(change func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s := sale.Sale{
		Kind: sale.Reservation, Seller: h.seller, Title: "chair", Stock: 2, Limit: 2, Price: sale.Price{Policy: sale.Fixed, Start: 100},
		Hold: time.Minute, LineMost: 5, OpensAt: now - 1, ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour,
	}
	change(&s)
	s, err := h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	h.until("its partition is open", func() bool {
		_, err := h.store.Projection(h.ctx, s.Partition, nil)
		return err == nil
	})
	return s
}

func asReservation(*sale.Sale) {}

func asCoupon(s *sale.Sale) {
	s.Kind, s.Price.Start, s.Hold, s.LineMost, s.RefundWindow, s.Limit = sale.Coupon, 0, 0, 0, 0, 1
	s.AmountOff, s.ValidFrom, s.ValidUntil = 30, s.OpensAt, s.ClosesAt
}

func asEvent(s *sale.Sale) { s.Kind = sale.Event }

// slots are those of a store: n of them, an hour apart.
func (h *house) slots(n int) (slots []sale.Sale) {
	h.t.Helper()
	always := &sale.Span{Opens: 0, Closes: 23*60 + 30}
	store, _, err := h.ledger.CreateStoreOnce(h.ctx, sale.Store{
		Seller: h.seller, Title: "noodles", TimeZone: "UTC", Tables: 2, UnitPrice: 10, RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 1,
		Hours: sale.Hours{always, always, always, always, always, always, always},
	}, 2, uuid.Nil)
	h.must(err)
	now := sale.At(time.Now())
	for i := range n {
		slot, err := h.ledger.CreateSale(h.ctx, store.Slot(now.Add(time.Duration(i+1)*time.Hour), now-1), 2)
		h.must(err)
		if slot.Partition != store.Partition {
			h.t.Fatalf("slot in partition %d of a store in %d", slot.Partition, store.Partition)
		}
		slots = append(slots, slot)
	}
	h.until("its partition is open", func() bool {
		_, err := h.store.Projection(h.ctx, store.Partition, nil)
		return err == nil
	})
	return slots
}

// wants waits for what comes of a request.
func (h *house) wants(status sale.Status, standing sale.Standing, err error) sale.Standing {
	h.t.Helper()
	h.must(err)
	if got := h.settled(standing); got.Status != status {
		h.t.Errorf("%s %+v, not %s", got.Verb, got, status)
	}
	return standing
}

// TestVerbs: each verb of each kind finds its sale and comes to its end.
func TestVerbs(t *testing.T) {
	h := open(t)
	by := Asker{Account: h.buyers[0]}
	ask := func(status sale.Status) func(sale.Standing, error) sale.Standing {
		return func(standing sale.Standing, err error) sale.Standing {
			h.t.Helper()
			return h.wants(status, standing, err)
		}
	}
	chair, gift, show := h.offer(asReservation), h.offer(asCoupon), h.offer(asEvent)
	coupon := ask(sale.Confirmed)(h.Claim(h.ctx, by, gift.ID))
	held := ask(sale.Held)(h.Reserve(h.ctx, by, chair.ID, 1, coupon.ID))
	if r := h.settled(held); r.Discount != 30 || r.Coupon != coupon.ID || r.Cost() != 70 {
		t.Errorf("%+v", r)
	}
	ask(sale.Confirmed)(h.Pay(h.ctx, by, held.ID))
	ask(sale.Confirmed)(h.Cancel(h.ctx, by, held.ID))
	if r := h.settled(held); r.Status != sale.Cancelled {
		t.Errorf("%+v", r)
	}
	seats := ask(sale.Confirmed)(h.Join(h.ctx, by, show.ID, 2))
	ask(sale.Confirmed)(h.Cancel(h.ctx, by, seats.ID))
	if points, err := h.ledger.Points(h.ctx, by.Account); err != nil || points != 10_000 {
		t.Errorf("%d points, %v", points, err)
	}
	slots := h.slots(2)
	booked := ask(sale.Confirmed)(h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil))
	moved := ask(sale.Confirmed)(h.ChangeSlot(h.ctx, by, booked.ID, slots[1].ID))
	if r := h.settled(moved); r.Verb != sale.Reserve || r.Target != booked.ID || r.Sale != slots[1].ID || h.settled(booked).Status != sale.Cancelled {
		t.Errorf("%+v", r)
	}
}

// TestWrongKinds: what a kind does not know is refused before anything is queued, and
// is counted.
func TestWrongKinds(t *testing.T) {
	h := open(t)
	by := Asker{Account: h.buyers[0]}
	lamp, chair, gift, show, slots := h.sale(time.Hour), h.offer(asReservation), h.offer(asCoupon), h.offer(asEvent), h.slots(2)
	elsewhere := h.slots(1)[0]
	bid := func(id int64) error { _, err := h.Bid(h.ctx, by, id, 1, 100, false, uuid.Nil); return err }
	reserve := func(id int64) error { _, err := h.Reserve(h.ctx, by, id, 1, uuid.Nil); return err }
	claim := func(id int64) error { _, err := h.Claim(h.ctx, by, id); return err }
	join := func(id int64) error { _, err := h.Join(h.ctx, by, id, 1); return err }
	change := func(target uuid.UUID, to int64) error { _, err := h.ChangeSlot(h.ctx, by, target, to); return err }
	about := func(ask func(uuid.UUID) error) func(sale.Standing) error {
		return func(s sale.Standing) error { return ask(s.ID) }
	}
	pay := about(func(id uuid.UUID) error { _, err := h.Pay(h.ctx, by, id); return err })
	cancel := about(func(id uuid.UUID) error { _, err := h.Cancel(h.ctx, by, id); return err })
	refund := about(func(id uuid.UUID) error { _, err := h.Refund(h.ctx, by, id); return err })
	of := func(standing sale.Standing, err error) sale.Standing {
		t.Helper()
		h.must(err)
		h.settled(standing)
		return standing
	}
	bought := of(h.Bid(h.ctx, by, lamp.ID, 1, 100, false, uuid.Nil))
	held := of(h.Reserve(h.ctx, by, chair.ID, 1, uuid.Nil))
	coupon := of(h.Claim(h.ctx, by, gift.ID))
	seat := of(h.Join(h.ctx, by, show.ID, 1))
	table := of(h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil))
	for name, err := range map[string]error{
		"bid for a chair": bid(chair.ID), "bid for a coupon": bid(gift.ID), "bid for a seat": bid(show.ID), "bid for a table": bid(slots[0].ID),
		"reserve a lamp": reserve(lamp.ID), "reserve a coupon": reserve(gift.ID), "reserve a seat": reserve(show.ID),
		"claim a lamp": claim(lamp.ID), "claim a chair": claim(chair.ID), "claim a seat": claim(show.ID),
		"join a lamp": join(lamp.ID), "join a chair": join(chair.ID), "join a coupon": join(gift.ID), "join a table": join(slots[0].ID),
		"pay a bid": pay(bought), "pay a coupon": pay(coupon), "cancel a bid": cancel(bought), "cancel a coupon": cancel(coupon),
		"refund a chair": refund(held), "refund a coupon": refund(coupon), "refund a seat": refund(seat), "refund a table": refund(table),
		"a slot for a lamp": change(table.ID, lamp.ID), "a seat for a table": change(table.ID, show.ID), "a slot of another store": change(table.ID, elsewhere.ID),
		"a table for a chair": change(held.ID, slots[1].ID), "a table for a seat": change(seat.ID, slots[1].ID),
	} {
		if !errors.Is(err, ErrKind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := testutil.ToFloat64(h.answered.WithLabelValues("bid", "wrong_kind")); n != 4 {
		t.Errorf("counted %v bids", n)
	}
}

// TestTargets: somebody else's receipt, or none, is told at the door, whatever is
// asked about it.
func TestTargets(t *testing.T) {
	h := open(t)
	me, other := Asker{Account: h.buyers[0]}, Asker{Account: h.buyers[1]}
	slots := h.slots(2)
	table, err := h.Reserve(h.ctx, me, slots[0].ID, 1, uuid.Nil)
	h.must(err)
	h.settled(table)
	for name, ask := range map[string]func(by Asker, target uuid.UUID) error{
		"pay":    func(by Asker, id uuid.UUID) error { _, err := h.Pay(h.ctx, by, id); return err },
		"cancel": func(by Asker, id uuid.UUID) error { _, err := h.Cancel(h.ctx, by, id); return err },
		"refund": func(by Asker, id uuid.UUID) error { _, err := h.Refund(h.ctx, by, id); return err },
		"change": func(by Asker, id uuid.UUID) error { _, err := h.ChangeSlot(h.ctx, by, id, slots[1].ID); return err },
	} {
		if err := ask(other, table.ID); !errors.Is(err, sale.ErrNotYours) {
			t.Errorf("%s of another's: %v", name, err)
		}
		for _, id := range []uuid.UUID{sale.NewReceiptID(0), sale.NewReceiptID(77), {}, uuid.New()} {
			if err := ask(me, id); !errors.Is(err, sale.ErrUnknown) {
				t.Errorf("%s of %s: %v", name, id, err)
			}
		}
	}
	if n := testutil.ToFloat64(h.answered.WithLabelValues("pay", "not_yours")); n != 1 {
		t.Errorf("counted %v", n)
	}
	// Redis may have forgotten it: Postgres has it.
	keys, err := h.redis.Keys(h.ctx, "*:r:*").Result()
	h.must(err)
	h.must(h.redis.Del(h.ctx, keys...).Err())
	cancelled, err := h.Cancel(h.ctx, me, table.ID)
	h.wants(sale.Confirmed, cancelled, err)
}

// TestOneKeyForAStore: all slots of a store are one address, so that one key is one
// request for whichever of them it was.
func TestOneKeyForAStore(t *testing.T) {
	h := open(t)
	by := Asker{Account: h.buyers[0], Key: "table"}
	slots := h.slots(3)
	first, err := h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil)
	h.must(err)
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			again, err := h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil)
			if err != nil || again.ID != first.ID || !again.Known {
				t.Errorf("again %+v, %v", again, err)
			}
		})
	}
	crowd.Wait()
	h.wants(sale.Confirmed, first, nil)
	_, err = h.Reserve(h.ctx, by, slots[1].ID, 1, uuid.Nil)
	wantRefusal(t, err, sale.RefusedMismatch)
	_, err = h.ChangeSlot(h.ctx, by, first.ID, slots[1].ID)
	wantRefusal(t, err, sale.RefusedMismatch)
	by.Key = "move"
	moved, err := h.ChangeSlot(h.ctx, by, first.ID, slots[1].ID)
	h.wants(sale.Confirmed, moved, err)
	again, err := h.ChangeSlot(h.ctx, by, first.ID, slots[1].ID)
	if err != nil || again.ID != moved.ID || !again.Known || again.Status != sale.Confirmed {
		t.Errorf("again %+v, %v", again, err)
	}
	_, err = h.ChangeSlot(h.ctx, by, first.ID, slots[2].ID)
	wantRefusal(t, err, sale.RefusedMismatch)
	elsewhere, err := h.Reserve(h.ctx, by, h.slots(1)[0].ID, 1, uuid.Nil) // another store is another address
	h.wants(sale.Confirmed, elsewhere, err)
}

// TestSameKeyOtherCoupon: a coupon is part of what is asked.
func TestSameKeyOtherCoupon(t *testing.T) {
	h := open(t)
	s := h.offer(asReservation)
	by := Asker{Account: h.buyers[0], Key: "k"}
	first, err := h.Reserve(h.ctx, by, s.ID, 1, uuid.Nil)
	h.wants(sale.Held, first, err)
	_, err = h.Reserve(h.ctx, by, s.ID, 1, sale.NewReceiptID(0))
	wantRefusal(t, err, sale.RefusedMismatch)
	_, err = h.Reserve(h.ctx, by, s.ID, 2, uuid.Nil)
	wantRefusal(t, err, sale.RefusedMismatch)
}

// TestClosedStoreTakesNothing: a slot that was asked for before outlives its store,
// but not at the door. What was repeated is answered, and what somebody has of it
// may still be given back.
func TestClosedStoreTakesNothing(t *testing.T) {
	h := open(t)
	slots := h.slots(2)
	by := Asker{Account: h.buyers[0], Key: "table"}
	first, err := h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil)
	h.wants(sale.Confirmed, first, err)
	second, err := h.Reserve(h.ctx, Asker{Account: h.buyers[1]}, slots[1].ID, 1, uuid.Nil)
	h.wants(sale.Confirmed, second, err)
	for id, buyer := range map[uuid.UUID]int64{first.ID: h.buyers[0], second.ID: h.buyers[1]} {
		cancelled, err := h.Cancel(h.ctx, Asker{Account: buyer}, id)
		h.wants(sale.Confirmed, cancelled, err)
	}
	twice := Asker{Account: h.buyers[0], Key: "two"}
	rejected, err := h.Reserve(h.ctx, twice, slots[0].ID, 2, uuid.Nil) // which only Redis remembers
	h.wants(sale.Rejected, rejected, err)
	h.must(h.ledger.CloseStore(h.ctx, slots[0].Store, func(sale.Store) error { return nil }))

	_, err = h.Reserve(h.ctx, Asker{Account: h.buyers[1]}, slots[0].ID, 1, uuid.Nil)
	wantRefusal(t, err, sale.RefusedClosed)
	_, err = h.ChangeSlot(h.ctx, Asker{Account: h.buyers[0]}, first.ID, slots[1].ID)
	wantRefusal(t, err, sale.RefusedClosed)
	again, err := h.Reserve(h.ctx, by, slots[0].ID, 1, uuid.Nil)
	if err != nil || again.ID != first.ID || again.Status != sale.Cancelled || !again.Known {
		t.Errorf("again %+v, %v", again, err)
	}
	if again, err = h.Reserve(h.ctx, twice, slots[0].ID, 2, uuid.Nil); err != nil || again.ID != rejected.ID || again.Status != sale.Rejected {
		t.Errorf("again %+v, %v", again, err)
	}
	_, err = h.Reserve(h.ctx, by, slots[1].ID, 1, uuid.Nil)
	wantRefusal(t, err, sale.RefusedMismatch)
	late, err := h.Cancel(h.ctx, Asker{Account: h.buyers[0]}, first.ID)
	h.must(err)
	if got := h.settled(late); got.Reason != sale.AlreadyFinal {
		t.Errorf("%+v", got)
	}
}
