package catalog

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// chair is a reservation, coupon a coupon, evening an event, an hour from now.
func (h *house) chair() sale.Sale {
	s := h.lamp()
	s.Kind, s.Title, s.Price = sale.Reservation, "Chair", sale.Price{Policy: sale.Fixed, Start: 500}
	s.Hold, s.LineMost, s.MaxBypass = sale.DefaultHold, 20, 2
	return s
}

func (h *house) coupon() sale.Sale {
	s := h.lamp()
	s.Kind, s.Title, s.Price, s.Limit, s.RefundWindow = sale.Coupon, "Ten off", sale.Price{Policy: sale.Fixed}, 1, 0
	s.AmountOff, s.ValidFrom, s.ValidUntil = 10, s.OpensAt, s.ClosesAt.Add(24*time.Hour)
	return s
}

func (h *house) evening() sale.Sale {
	s := h.chair()
	s.Kind, s.Title, s.StartsAt = sale.Event, "Evening", s.ClosesAt.Add(time.Hour)
	return s
}

// TestEditKinds: every field of every kind changes, and is shown, before the opening.
func TestEditKinds(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		s    sale.Sale
		edit func(want *sale.Sale) Edit
	}{
		"a reservation": {h.chair(), func(want *sale.Sale) Edit {
			want.Price.Start, want.Hold, want.LineMost, want.MaxBypass = 0, time.Minute, 7, 1
			return Edit{UnitPrice: &want.Price.Start, Hold: &want.Hold, Line: &want.LineMost, MaxBypass: &want.MaxBypass}
		}},
		"a reservation of a year": {h.chair(), func(want *sale.Sale) Edit {
			want.ClosesAt = want.OpensAt.Add(sale.MaxSpan)
			return Edit{ClosesAt: &want.ClosesAt}
		}},
		"a coupon": {h.coupon(), func(want *sale.Sale) Edit {
			want.AmountOff, want.ValidFrom, want.ValidUntil = 50, want.OpensAt+1000, want.ClosesAt+1000
			return Edit{AmountOff: &want.AmountOff, ValidFrom: &want.ValidFrom, ValidUntil: &want.ValidUntil}
		}},
		"an event": {h.evening(), func(want *sale.Sale) Edit {
			want.Price.Start, want.StartsAt, want.LineMost, want.MaxBypass = 70, want.ClosesAt, 0, 0
			return Edit{UnitPrice: &want.Price.Start, StartsAt: &want.StartsAt, Line: &want.LineMost, MaxBypass: &want.MaxBypass}
		}},
	} {
		s := h.create(c.s).Sale
		if shown := h.shown(s.ID); shown.Sale != s {
			t.Errorf("%s: created %+v, shown %+v", name, s, shown.Sale)
		}
		want := s
		e := c.edit(&want)
		stand, err := h.Edit(h.ctx, h.seller, s.ID, e)
		h.must(err)
		if shown := h.shown(s.ID); stand.Sale != want || shown.Sale != want {
			t.Errorf("%s: edited %+v, shown %+v, not %+v", name, stand.Sale, shown.Sale, want)
		}
	}
}

// TestEditForeignFields: a sale never gets what its kind does not have, nor another
// kind.
func TestEditForeignFields(t *testing.T) {
	h := open(t)
	lamp, chair, coupon := h.create(h.lamp()), h.create(h.chair()), h.create(h.coupon())
	one, second, policy, kind := int64(1), time.Second, sale.Constant, sale.Event
	at := lamp.ClosesAt
	for name, c := range map[string]struct {
		id   int64
		e    Edit
		want string
	}{
		"an auction's":     {lamp.ID, Edit{UnitPrice: &one, Hold: &second, Line: &one, MaxBypass: &one, AmountOff: &one, ValidFrom: &at, ValidUntil: &at, StartsAt: &at}, "amount_off hold line max_bypass starts_at unit_price valid_from valid_until"},
		"a reservation's":  {chair.ID, Edit{StartPrice: &one, Policy: &policy, Drop: &one, Rate: &one, Period: &second, StartsAt: &at, AmountOff: &one}, "amount_off drop period policy rate start_price starts_at"},
		"a coupon's":       {coupon.ID, Edit{UnitPrice: &one, Hold: &second, StartsAt: &at}, "hold starts_at unit_price"},
		"another kind":     {chair.ID, Edit{Kind: &kind}, "kind"},
		"a line that is 0": {chair.ID, Edit{Line: new(int64)}, "max_bypass"},
		"two coupons each": {coupon.ID, Edit{Limit: new(int64(2))}, "limit"},
	} {
		_, err := h.Edit(h.ctx, h.seller, c.id, c.e)
		var faults sale.Faults
		errors.As(err, &faults)
		if got := fields(faults); got != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []*sale.Stand{lamp, chair, coupon} {
		if shown := h.shown(s.ID); shown.Sale != s.Sale {
			t.Errorf("shown %+v, not %+v", shown.Sale, s.Sale)
		}
	}
}

// TestEditOfAnOpenKind names each field by the name that its seller gave it.
func TestEditOfAnOpenKind(t *testing.T) {
	h := open(t)
	s := h.chair()
	s.OpensAt = sale.At(time.Now()) - 1000
	s.ClosesAt = s.OpensAt.Add(time.Hour)
	s, err := h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	one, closes := int64(1), s.ClosesAt+1
	_, err = h.Edit(h.ctx, h.seller, s.ID, Edit{UnitPrice: &one, Line: &one, ClosesAt: &closes, Hold: &s.Hold})
	var opened *Opened
	if !errors.As(err, &opened) || fields(opened.Fields) != "closes_at line unit_price" {
		t.Errorf("%v", err)
	}
}

// TestSlotIsItsStores: the terms of a slot are not changed one by one, nor is it
// taken back, however long it is until it opens.
func TestSlotIsItsStores(t *testing.T) {
	h := open(t)
	store, _, err := h.ledger.CreateStoreOnce(h.ctx, sale.Store{
		Seller: h.seller, Title: "noodles", TimeZone: "UTC", Tables: 2, Hold: time.Minute, DaysAhead: 1,
		Hours: sale.Hours{{Opens: 12 * 60, Closes: 12 * 60}},
	}, 2, uuid.Nil)
	h.must(err)
	opens := sale.At(time.Now()).Add(time.Hour)
	slot, err := h.ledger.CreateSale(h.ctx, store.Slot(opens.Add(time.Hour), opens), 2)
	h.must(err)
	stock, title := slot.Stock+1, "Soup"
	if _, err := h.Edit(h.ctx, h.seller, slot.ID, Edit{Stock: &stock}); !errors.Is(err, ErrOpened) {
		t.Errorf("its tables: %v", err)
	}
	if err := h.Delete(h.ctx, h.seller, slot.ID); !errors.Is(err, ErrOpened) {
		t.Errorf("deleted: %v", err)
	}
	if s, err := h.Edit(h.ctx, h.seller, slot.ID, Edit{Title: &title}); err != nil || s.Title != title {
		t.Errorf("its title: %+v, %v", s, err)
	}
}
