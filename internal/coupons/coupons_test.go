package coupons

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

// mine is what an account has in one state.
func (h *house) mine(account int64, state string) []Coupon {
	h.T.Helper()
	coupons, more, err := h.Mine(h.Ctx, account, Filter{State: state, Limit: 100})
	h.Must(err)
	if more {
		h.T.Error("more than a hundred")
	}
	return coupons
}

func (h *house) claimable(account int64) (ids []int64) {
	h.T.Helper()
	sales, _, now, err := h.Claimable(h.Ctx, account, ClaimableFilter{Limit: 100})
	h.Must(err)
	for _, s := range sales {
		if s.ShownAt(now, s.Free) != sale.ShownOpen {
			h.T.Errorf("sale %d is %s", s.ID, s.ShownAt(now, s.Free))
		}
		ids = append(ids, s.ID)
	}
	return ids
}

// TestTheLifeOfACoupon: it can be claimed, is mine, is used, and mine again when the
// purchase is cancelled.
func TestTheLifeOfACoupon(t *testing.T) {
	h := open(t)
	now := sale.At(time.Now())
	lists := func(account int64, usable, used int) {
		t.Helper()
		if n := len(h.mine(account, Usable)); n != usable {
			t.Errorf("%d are usable, not %d", n, usable)
		}
		if n := len(h.mine(account, Used)); n != used {
			t.Errorf("%d are used, not %d", n, used)
		}
		if n := len(h.mine(account, "")); n != usable+used || len(h.mine(account, Expired)) != 0 {
			t.Errorf("%d in all, not %d", n, usable+used)
		}
	}
	offer := h.Offer(sale.Sale{Kind: sale.Coupon, AmountOff: 30, ValidFrom: now, ValidUntil: now.Add(48 * time.Hour)})
	h.Offer(sale.Sale{Kind: sale.Coupon, AmountOff: 30, OpensAt: now.Add(time.Hour), ValidFrom: now, ValidUntil: now.Add(48 * time.Hour)})
	lamp := h.Offer(sale.Sale{Kind: sale.Reservation, Price: sale.Price{Start: 50}, Hold: time.Minute})
	me, another := h.Buyers[0], h.Buyers[1]
	by := admission.Asker{Account: me}
	if ids := h.claimable(me); len(ids) != 1 || ids[0] != offer.ID {
		t.Fatalf("claimable: %d", ids)
	}
	lists(me, 0, 0)

	claim := h.Outcome(h.Admission.Claim(h.Ctx, by, offer.ID))
	if claim.Status != sale.Confirmed || len(h.claimable(me)) != 0 || len(h.claimable(another)) != 1 {
		t.Errorf("claimed: %s %s; then %d and %d are claimable", claim.Status, claim.Reason, len(h.claimable(me)), len(h.claimable(another)))
	}
	lists(me, 1, 0)
	lists(another, 0, 0)
	if c := h.mine(me, Usable)[0]; c.ID != claim.ID || c.Sale != offer.ID || c.Seller != h.Seller || c.Amount != 30 || c.ValidUntil != offer.ValidUntil || c.UsedBy != uuid.Nil {
		t.Errorf("%+v", c)
	}

	held := h.Outcome(h.Admission.Reserve(h.Ctx, by, lamp.ID, 1, claim.ID))
	if held.Status != sale.Held || held.Cost() != 20 {
		t.Errorf("reserved with it: %s %s for %d", held.Status, held.Reason, held.Cost())
	}
	lists(me, 0, 1)
	if c := h.mine(me, Used)[0]; c.UsedBy != held.ID {
		t.Errorf("%+v", c)
	}

	h.Outcome(h.Admission.Cancel(h.Ctx, by, held.ID))
	lists(me, 1, 0)
	page, more, err := h.Mine(h.Ctx, me, Filter{State: Usable, After: Cursor{At: offer.ValidUntil, ID: claim.ID}, Limit: 1})
	if err != nil || len(page) != 0 || more {
		t.Errorf("behind the last one: %d, more %t, %v", len(page), more, err)
	}
}
