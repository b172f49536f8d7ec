package client_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// opened records a sale of a seller that has opened already, behind the API's back.
func (h *house) opened(seller int64, change func(*sale.Sale)) int64 {
	h.Helper()
	record, err := ledger.Open(h.Context(), ledger.Options{URL: h.postgres})
	h.must(err)
	defer record.Close()
	opens := sale.At(time.Now()) - 1000
	s := sale.Sale{
		Kind: sale.Reservation, Seller: seller, Title: "Chairs", Stock: 1, Limit: 1, RefundWindow: time.Hour, ShowStock: true,
		Price: sale.Price{Policy: sale.Fixed, Start: 1000}, Hold: 2 * time.Second, LineMost: 5, OpensAt: opens, ClosesAt: opens.Add(time.Hour),
	}
	change(&s)
	s, err = record.CreateSale(h.Context(), s, 16)
	h.must(err)
	return s.ID
}

// becomes waits for what comes of a request, and then until it stands so.
func (h *house) becomes(c *client.Client, want client.Status, r client.Receipt, err error) client.Receipt {
	h.Helper()
	h.must(err)
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	r, err = c.WaitUntil(ctx, r, func(r client.Receipt) bool { return r.Status == want })
	h.must(err)
	return r
}

// TestRealReservation: held, waited for, paid, cancelled and expired.
func TestRealReservation(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	bob, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	eve, _ := h.join("eve@example.com", client.Buyer)
	for _, c := range []*client.Client{ada, eve} {
		_, err := c.TopUp(ctx, 5000)
		h.must(err)
	}
	id := h.opened(seller.Account, func(*sale.Sale) {})
	chair, err := ada.Sale(ctx, id)
	h.must(err)
	if chair.Kind != client.Reservation || chair.UnitPrice != 1000 || chair.Hold != 2*time.Second || chair.Line != 5 || *chair.Stock != (client.Stock{Total: 1, Free: 1}) {
		t.Errorf("shown %+v", chair)
	}
	asked, err := ada.Reserve(ctx, id, client.Reserve{Quantity: 1}, client.WithKey("mine"))
	held := h.becomes(ada, client.Held, asked, err)
	if held.Amount != 1000 || held.PayBy.Sub(held.RequestedAt) != chair.Hold || held.Verb != client.VerbReserve {
		t.Errorf("held %+v", held)
	}
	asked, err = eve.Reserve(ctx, id, client.Reserve{Quantity: 1})
	waits := h.becomes(eve, client.Waiting, asked, err)
	if waits.Position != 1 || waits.PollAfter == 0 {
		t.Errorf("waits %+v", waits)
	}
	orders := collect(h, ada.Orders(ctx, client.OrderPending))
	if len(orders) != 1 || orders[0].Receipt != held.ID || orders[0].Amount != 1000 || !orders[0].PayBy.Equal(held.PayBy) {
		t.Errorf("orders %+v", orders)
	}
	_, err = ada.Join(ctx, id, 1)
	h.refused("seats of a chair", err, client.CodeWrongKind)
	asked, err = ada.Pay(ctx, held.ID)
	paid := h.becomes(ada, client.Confirmed, asked, err)
	if paid.Verb != client.VerbPay || paid.Target != held.ID {
		t.Errorf("paid %+v", paid)
	}
	asked, err = ada.Cancel(ctx, held.ID)
	h.becomes(ada, client.Confirmed, asked, err)
	h.becomes(ada, client.Cancelled, held, nil)
	promoted := h.becomes(eve, client.Held, waits, nil)
	if _, err := eve.WaitUntil(ctx, promoted, client.Receipt.Settled); err != nil {
		t.Error(err)
	}
	h.becomes(eve, client.Expired, promoted, nil)
	asked, err = eve.Pay(ctx, promoted.ID) // too late, but nobody else wants it
	late := h.becomes(eve, client.Confirmed, asked, err)
	if late.Quantity != 1 || late.Amount != 1000 {
		t.Errorf("late %+v", late)
	}

	words := func(list []client.Notice) (all string) {
		for _, n := range list {
			all += string(n.Word) + " "
		}
		return all
	}
	if got := words(collect(h, ada.Notices(ctx, true))); got != "refunded confirmed held " {
		t.Errorf("ada was told %s", got)
	}
	notice := collect(h, ada.Notices(ctx, false))[2]
	if n, err := ada.MarkRead(ctx, notice.ID); err != nil || n != 1 || !notice.PayBy.Equal(held.PayBy) || notice.Receipt != held.ID || notice.Sale != id || notice.Read {
		t.Errorf("%d, %v of %+v", n, err, notice)
	}
	if n, err := ada.MarkAllRead(ctx); err != nil || n != 2 || len(collect(h, ada.Notices(ctx, true))) != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if me, err := ada.SwitchNotices(ctx, false); err != nil || me.Notices {
		t.Errorf("%+v, %v", me, err)
	}

	asked, err = bob.ExtendSale(ctx, id, chair.ClosesAt.Add(time.Hour))
	h.becomes(bob, client.Confirmed, asked, err)
	if later, err := bob.Sale(ctx, id); err != nil || !later.ClosesAt.Equal(chair.ClosesAt.Add(time.Hour)) {
		t.Errorf("%+v, %v", later, err)
	}
	sum, err := bob.Summary(ctx, id)
	h.must(err)
	if sum.Revenue != 1000 || sum.Refunded != 1000 || sum.Stock.Sold != 1 || sum.Receipts[client.Cancelled] != 1 || sum.Receipts[client.Expired] != 1 || len(sum.Rejections) != 0 {
		t.Errorf("sum %+v", sum)
	}
	text, err := bob.ReceiptsCSV(ctx, id, client.SaleReceiptFilter{})
	h.must(err)
	rows, err := csv.NewReader(text).ReadAll()
	h.must(errors.Join(err, text.Close()))
	if len(rows) != 4 || rows[0][0] != "receipt" || rows[1][0] != late.ID || rows[3][0] != held.ID {
		t.Errorf("rows %v", rows)
	}
	_, err = ada.ReceiptsCSV(ctx, id, client.SaleReceiptFilter{})
	h.refused("a buyer's CSV", err, client.CodeForbidden)
}

// TestRealCouponsAndEvents: a coupon is claimed and used, seats are taken, an opening
// is watched.
func TestRealCouponsAndEvents(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	bob, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	_, err := ada.TopUp(ctx, 5000)
	h.must(err)
	opens := time.Now().Add(time.Hour)
	for _, offer := range []client.NewSale{
		{Kind: client.Coupon, Title: "Off", Stock: 5, OpensAt: opens, ClosesAt: opens.Add(time.Hour), AmountOff: 300, ValidUntil: opens.Add(2 * time.Hour)},
		{Kind: client.Event, Title: "Show", Stock: 5, Limit: 2, OpensAt: opens, ClosesAt: opens.Add(time.Hour), StartsAt: opens.Add(2 * time.Hour), Line: 3, Hold: time.Minute},
		{Kind: client.Reservation, Title: "Chair", Stock: 5, Limit: 2, OpensAt: opens, ClosesAt: opens.Add(time.Hour), UnitPrice: 7},
	} {
		made, err := bob.CreateSale(ctx, offer)
		h.must(err)
		if made.Kind != offer.Kind || made.AmountOff != offer.AmountOff || made.UnitPrice != offer.UnitPrice || made.Line != offer.Line || made.StartsAt.IsZero() == (offer.Kind == client.Event) {
			t.Errorf("made %+v", made)
		}
		h.must(ada.Watch(ctx, made.ID))
		h.must(ada.Unwatch(ctx, made.ID))
		_, err = bob.EditSale(ctx, made.ID, client.SaleEdit{StartPrice: new(int64(5))})
		h.refused("an auction's price", err, client.CodeInvalidFields)
		h.must(bob.DeleteSale(ctx, made.ID))
	}

	gift := h.opened(seller.Account, func(s *sale.Sale) {
		s.Kind, s.Price.Start, s.Hold, s.LineMost, s.RefundWindow = sale.Coupon, 0, 0, 0, 0
		s.Stock, s.AmountOff, s.ValidFrom, s.ValidUntil = 5, 300, s.OpensAt, s.ClosesAt
	})
	h.refused("an opening that was", ada.Watch(ctx, gift), client.CodeOpened)
	for len(collect(h, ada.ClaimableCoupons(ctx))) != 1 { // once Postgres knows that it is open
		h.must(ctx.Err())
	}
	asked, err := ada.Claim(ctx, gift)
	claim := h.becomes(ada, client.Confirmed, asked, err)
	coupons := collect(h, ada.Coupons(ctx, client.Usable))
	if len(coupons) != 1 || coupons[0].ID != claim.ID || coupons[0].AmountOff != 300 || coupons[0].Seller != seller.Account || coupons[0].State != client.Usable {
		t.Errorf("coupons %+v", coupons)
	}
	if left := collect(h, ada.ClaimableCoupons(ctx)); len(left) != 0 {
		t.Errorf("claimable %+v", left)
	}
	chair := h.opened(seller.Account, func(s *sale.Sale) { s.Hold = time.Minute })
	asked, err = ada.Reserve(ctx, chair, client.Reserve{Quantity: 1, Coupon: claim.ID})
	held := h.becomes(ada, client.Held, asked, err)
	if held.Discount != 300 || held.Amount != 700 || held.Coupon != claim.ID {
		t.Errorf("held %+v", held)
	}
	if used := collect(h, ada.Coupons(ctx, client.Used)); len(used) != 1 || used[0].UsedBy != held.ID {
		t.Errorf("used %+v", used)
	}
	show := h.opened(seller.Account, func(s *sale.Sale) { s.Kind, s.Stock, s.Limit, s.Price.Start = sale.Event, 5, 2, 10 })
	asked, err = ada.Join(ctx, show, 2)
	if seats := h.becomes(ada, client.Confirmed, asked, err); seats.Amount != 20 || seats.Quantity != 2 || seats.Verb != client.VerbJoin {
		t.Errorf("seats %+v", seats)
	}
	asked, err = ada.Join(ctx, show, 1)
	h.must(err)
	if more, err := ada.Wait(ctx, asked); err != nil || more.Reason != client.ReasonOverLimit {
		t.Errorf("more %+v, %v", more, err)
	}
}

// TestRealStore: a store, its slots, a booking, a change of it, and the end.
func TestRealStore(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	bob, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	hours := client.Hours{}
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		hours[day] = "12:00-13:00"
	}
	offer := client.NewStore{Title: "Noodles", TimeZone: "America/New_York", Tables: 2, Hours: hours, DaysAhead: 2}
	store, err := bob.CreateStore(ctx, offer, client.WithKey("noodles"))
	h.must(err)
	again, err := bob.CreateStore(ctx, offer, client.WithKey("noodles"))
	h.must(err)
	if store.ID == 0 || again.ID != store.ID || store.Seller != seller.Account || store.RefundWindow != 24*time.Hour || store.Hold != 10*time.Minute || fmt.Sprint(store.Hours) != fmt.Sprint(hours) {
		t.Errorf("made %+v, then %+v", store, again)
	}
	shown, err := ada.Store(ctx, store.ID)
	h.must(err)
	if all := collect(h, ada.Stores(ctx, seller.Account)); len(all) != 1 || all[0].ID != shown.ID || shown.Title != "Noodles" {
		t.Errorf("shown %+v, listed %+v", shown, all)
	}
	zone, err := time.LoadLocation(store.TimeZone)
	h.must(err)
	slots, err := ada.Slots(ctx, store.ID, time.Now().In(zone).AddDate(0, 0, 1).Format(time.DateOnly))
	h.must(err)
	if len(slots) != 3 || slots[0].At.In(zone).Hour() != 12 || slots[0].Free != 2 || slots[0].State != client.Open {
		t.Fatalf("slots %+v", slots)
	}
	_, err = ada.ReserveSlot(ctx, store.ID, slots[0].At.Add(time.Minute))
	h.refused("a minute past", err, client.CodeInvalidSlot)
	_, err = ada.ReserveSlot(ctx, store.ID, slots[0].At.AddDate(0, 0, 7))
	h.refused("next week", err, client.CodeUnknownSlot)
	_, err = ada.ReserveSlot(ctx, 404, slots[0].At)
	h.refused("no store", err, client.CodeUnknownStore)
	asked, err := ada.ReserveSlot(ctx, store.ID, slots[0].At)
	booked := h.becomes(ada, client.Confirmed, asked, err)
	asked, err = ada.ChangeSlot(ctx, booked.ID, slots[2].At)
	moved := h.becomes(ada, client.Confirmed, asked, err)
	if moved.Target != booked.ID || moved.Sale != slots[2].Sale {
		t.Errorf("moved %+v", moved)
	}
	h.becomes(ada, client.Cancelled, booked, nil)
	h.refused("before it began", bob.Attend(ctx, moved.ID, client.Completed), client.CodeTooEarly)
	h.refused("a booked store", bob.CloseStore(ctx, store.ID), client.CodeStoreBooked)
	asked, err = ada.Cancel(ctx, moved.ID)
	h.becomes(ada, client.Confirmed, asked, err)
	edited, err := bob.EditStore(ctx, store.ID, client.StoreEdit{Tables: new(int64(5)), Hours: client.Hours{"sun": "10:00-10:00"}})
	h.must(err)
	if edited.Tables != 5 || len(edited.Hours) != 1 {
		t.Errorf("edited %+v", edited)
	}
	for range 2 {
		_, err = bob.CreateStore(ctx, offer)
		h.must(err)
	}
	_, err = bob.CreateStore(ctx, offer)
	h.refused("a fourth", err, client.CodeStoreLimit)
	h.must(bob.CloseStore(ctx, store.ID))
	if shown, err := ada.Store(ctx, store.ID); err != nil || !shown.Closed {
		t.Errorf("%+v, %v", shown, err)
	}
}
