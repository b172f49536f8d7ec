package ledger

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"sluice/internal/sale"
)

// everyKind is a sale of each, with every term that it may have.
func (st *stage) everyKind(store int64) map[string]sale.Sale {
	day := 24 * time.Hour
	starts := st.opens.Add(2 * day)
	base := sale.Sale{Seller: st.seller, Title: "lamp", Description: "It burns.", Stock: 9, Limit: 3,
		OpensAt: st.opens, ClosesAt: st.opens.Add(day), RefundWindow: 90 * day, ShowStock: true}
	reservation, coupon, event, slot := base, base, base, base
	reservation.Kind, reservation.Price = sale.Reservation, sale.Price{Policy: sale.Fixed, Start: 25}
	reservation.Hold, reservation.LineMost, reservation.MaxBypass = 7*day, 100_000, 1000
	coupon.Kind, coupon.Price, coupon.Limit, coupon.RefundWindow = sale.Coupon, sale.Price{Policy: sale.Fixed}, 1, 0
	coupon.AmountOff, coupon.ValidFrom, coupon.ValidUntil = 30, st.opens-5, st.opens.Add(300*day)
	event.Kind, event.Price = sale.Event, sale.Price{Policy: sale.Fixed}
	event.Hold, event.LineMost, event.StartsAt = time.Second, 1, starts
	slot.Kind, slot.Price, slot.Limit, slot.ClosesAt = sale.Event, sale.Price{Policy: sale.Fixed, Start: 5}, 1, starts
	slot.Hold, slot.LineMost, slot.StartsAt, slot.Store, slot.Partition = time.Minute, 100, starts, store, 3
	return map[string]sale.Sale{"reservation": reservation, "coupon": coupon, "event": event, "slot": slot}
}

func TestSalesOfEveryKindComeBack(t *testing.T) {
	st := newStage(t)
	for name, s := range st.everyKind(st.store()) {
		st.must(s.Check(s.OpensAt))
		request := sale.RequestID(st.seller, "sale", name)
		made, replayed, err := st.CreateSaleOnce(st.ctx, s, parts, request)
		st.must(err)
		again, once, err := st.CreateSaleOnce(st.ctx, s, parts, request)
		st.must(err)
		if replayed || !once || again.Sale != made.Sale {
			t.Errorf("%s: made %+v, then %+v", name, made, again)
		}
		if s.Store == 0 {
			s.Partition = int(made.ID) % parts
		}
		s.ID, s.Escrow = made.ID, -made.ID
		stand, _, err := st.Stand(st.ctx, made.ID)
		st.must(err)
		if made.Sale != s || stand.Sale != s || stand.Free != s.Stock || stand.Phase != sale.Scheduled {
			t.Errorf("%s: recorded %+v\ncame back %+v", name, s, stand)
		}
		if p, err := st.Place(st.ctx, s.ID); err != nil || p != s.Partition {
			t.Errorf("%s: placed in %d, %v", name, p, err)
		}
	}
}

// TestNoBatchOnOldTermsOfEveryKind: each term that a seller may change before the
// opening voids a batch that was viewed before.
func TestNoBatchOnOldTermsOfEveryKind(t *testing.T) {
	st := newStage(t)
	ids := map[string]int64{}
	for name, s := range st.everyKind(st.store()) {
		s.Partition = 0
		s, err := st.CreateSale(st.ctx, s, 1)
		st.must(err)
		ids[name] = s.ID
	}
	who := st.buyers(1, 100)[0]
	for name, change := range map[string]func(s *sale.Stand){
		"reservation hold":     func(s *sale.Stand) { s.Hold = time.Second },
		"reservation line":     func(s *sale.Stand) { s.LineMost-- },
		"reservation bypass":   func(s *sale.Stand) { s.MaxBypass-- },
		"reservation price":    func(s *sale.Stand) { s.Price.Start++ },
		"reservation refund":   func(s *sale.Stand) { s.RefundWindow -= time.Second },
		"coupon off":           func(s *sale.Stand) { s.AmountOff++ },
		"coupon from":          func(s *sale.Stand) { s.ValidFrom++ },
		"coupon until":         func(s *sale.Stand) { s.ValidUntil++ },
		"event start":          func(s *sale.Stand) { s.StartsAt = max(s.StartsAt, s.ClosesAt) + 1 },
		"event without start":  func(s *sale.Stand) { s.StartsAt = 0 },
		"slot of more tables":  func(s *sale.Stand) { s.Stock++; s.Free++ },
		"slot at another time": func(s *sale.Stand) { s.StartsAt, s.ClosesAt = s.StartsAt+1, s.ClosesAt+1 },
	} {
		var id int64
		for kind, of := range ids {
			if len(name) > len(kind) && name[:len(kind)] == kind {
				id = of
			}
		}
		b := st.batch(st.ask(sale.Reserve, id, who))
		before := b.State[id].Sale
		s, err := st.EditSale(st.ctx, id, func(s *sale.Stand, _ sale.Instant) error {
			change(s)
			return nil
		})
		st.must(err)
		recorded, err := st.Sale(st.ctx, id)
		st.must(err)
		if recorded.Sale != s.Sale || recorded.Sale == before {
			t.Errorf("%s: recorded %+v", name, recorded)
		}
		var edited *Edited
		if err := st.Settle(st.ctx, b); !errors.As(err, &edited) || !slices.Equal(edited.Sales, []int64{id}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublishSlots(t *testing.T) {
	st := newStage(t)
	store := st.store()
	_, err := st.pool.Exec(st.ctx, `update stores set partition = 2`)
	st.must(err)
	slot := st.everyKind(0)["slot"]
	var slots []sale.Sale
	for i := range 30 {
		slot.StartsAt = st.opens.Add(time.Duration(24+i) * time.Hour)
		slot.ClosesAt, slot.Partition, slot.Seller = slot.StartsAt, 0, 0 // these are the store's to say
		slots = append(slots, slot)
	}
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	publish := func(through time.Time, slots []sale.Sale, want int) {
		t.Helper()
		if n, err := st.PublishSlots(st.ctx, store, through, slots); err != nil || n != want {
			t.Errorf("%d are new, not %d, %v", n, want, err)
		}
	}
	publish(day, slots[:20], 20)
	publish(day.AddDate(0, 0, 1), slots[10:], 10) // some are there
	publish(day, slots, 0)                        // a scheduler that is behind
	var published time.Time
	st.must(st.pool.QueryRow(st.ctx, `select published from stores`).Scan(&published))
	if !published.Equal(day.AddDate(0, 0, 1)) {
		t.Errorf("published through %s", published)
	}
	if n := st.count(`
		select count(*)
		from sales s
		join wallets w on w.id = -s.id and w.kind = 'escrow' and w.balance = 0
		where s.partition = 2 and s.seller = $1 and s.store = $2`, st.seller, store); n != 30 {
		t.Errorf("%d slots are whole", n)
	}
	if len(st.due()) != 0 {
		t.Error("slots are due to open")
	}
	for _, end := range []string{
		`update stores set closed_at = now()`,
		`update stores set closed_at = null; update accounts set deleted_at = now()`,
		`delete from sales; delete from stores`,
	} {
		_, err = st.pool.Exec(st.ctx, end)
		st.must(err)
		if n, err := st.PublishSlots(st.ctx, store, day, slots); !errors.Is(err, sale.ErrUnknown) || n != 0 {
			t.Errorf("after %s: %d are new, %v", end, n, err)
		}
	}
}

// TestStandCountsEveryPurchase: what a buyer has is what he was given by any verb,
// and has not lost.
func TestStandCountsEveryPurchase(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 3, Limit: 3, LineMost: 9})
	who := st.buyers(3, 0)
	ended, waits, gone := st.ask(sale.Reserve, s.ID, who[0], units(3)), st.ask(sale.Reserve, s.ID, who[1], units(2)), st.ask(sale.Reserve, s.ID, who[2])
	st.settle(ended, waits, gone, st.ask(sale.Cancel, s.ID, who[2], about(gone.Receipt)))
	st.later(s.Hold)
	st.settle(st.ask(sale.Cancel, s.ID, who[1], about(waits.Receipt)), st.ask(sale.Pay, s.ID, who[0], about(ended.Receipt)))
	stand, applied, err := st.Stand(st.ctx, s.ID)
	st.must(err)
	if applied != st.mark.Applied || !maps.Equal(stand.Buyers, map[int64]int64{who[0]: 3}) || len(stand.Holds)+len(stand.Line) != 0 || stand.Sold != 3 {
		t.Errorf("at %s stands %+v", applied, stand)
	}
}
