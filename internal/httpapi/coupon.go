package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/catalog"
	"sluice/internal/coupons"
	"sluice/internal/sale"
)

// couponsBody is a page of somebody's coupons as JSON.
type couponsBody struct {
	Coupons    []couponBody `json:"coupons"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

type couponBody struct {
	Coupon     uuid.UUID `json:"coupon"` // the receipt of its claim
	Sale       int64     `json:"sale"`   // that it was claimed from
	Seller     int64     `json:"seller"` // against whom it can be used
	AmountOff  int64     `json:"amount_off"`
	ValidFrom  time.Time `json:"valid_from"`
	ValidUntil time.Time `json:"valid_until"`
	State      string    `json:"state"`            // usable (from valid_from on), used or expired
	UsedBy     uuid.UUID `json:"used_by,omitzero"` // receipt of the purchase
}

// The states of a coupon.
const (
	usable  = "usable"
	used    = "used"
	expired = "expired"
)

func couponOf(id uuid.UUID, s sale.CouponStand, now sale.Instant) couponBody {
	body := couponBody{Coupon: id, Sale: s.Sale, Seller: s.Seller, AmountOff: s.Amount,
		ValidFrom: s.ValidFrom.Time(), ValidUntil: s.ValidUntil.Time(), State: usable, UsedBy: s.UsedBy}
	switch {
	case s.UsedBy != uuid.Nil:
		body.State = used
	case now >= s.ValidUntil:
		body.State = expired
	}
	return body
}

// listMyCoupons is GET /v1/me/coupons.
func (a *API) listMyCoupons(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter coupons.Filter
	page, err := readPage(c, listCoupons, who.Account, param{"state", into(&filter.State, oneOf(usable, used, expired))})
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, coupons.Cursor{At: page.after.at, ID: page.after.receipt}
	found, more, err := a.coupons.Mine(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	body, now := couponsBody{Coupons: make([]couponBody, len(found))}, sale.At(time.Now())
	for i, coupon := range found {
		body.Coupons[i] = couponOf(coupon.ID, coupon.CouponStand, now)
		body.NextCursor = page.next(more, position{at: coupon.ValidUntil, receipt: coupon.ID})
	}
	return c.JSON(body)
}

// listClaimable is GET /v1/coupons: those on offer that who asks has not claimed.
func (a *API) listClaimable(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	page, err := readPage(c, listClaimable, who.Account)
	if err != nil {
		return err
	}
	stands, more, now, err := a.coupons.Claimable(ctx, who.Account, coupons.ClaimableFilter{
		Limit: page.limit, After: coupons.SaleCursor{At: page.after.at, ID: page.after.id},
	})
	if err != nil {
		return err
	}
	return c.JSON(pageOfSales(who, page, stands, more, now, catalog.ByClosing))
}
