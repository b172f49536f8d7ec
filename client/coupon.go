package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// CouponState says what a coupon is to its owner.
type CouponState string

// The states of a coupon.
const (
	Usable        CouponState = "usable" // from ValidFrom on
	Used          CouponState = "used"
	CouponExpired CouponState = "expired"
)

// OwnCoupon is a coupon that somebody has claimed.
type OwnCoupon struct {
	ID         string      `json:"coupon"` // of its claim, too
	Sale       int64       `json:"sale"`   // that it was claimed from
	Seller     int64       `json:"seller"` // account against whose reservations and fixed prices it can be used
	AmountOff  int64       `json:"amount_off"`
	ValidFrom  time.Time   `json:"valid_from"`
	ValidUntil time.Time   `json:"valid_until"`
	State      CouponState `json:"state"`
	UsedBy     string      `json:"used_by,omitempty"` // receipt of the purchase
}

type couponPage struct {
	Coupons []OwnCoupon `json:"coupons"`
	Next    string      `json:"next_cursor"`
}

// Coupons are those of the account that c speaks for, in one state or, with "", in
// all. Usable ones that end first come first, else those that ended last.
func (c *Client) Coupons(ctx context.Context, state CouponState) iter.Seq2[OwnCoupon, error] {
	query := filter{}
	query.word("state", string(state))
	return pages(ctx, c, mePath+"/coupons", url.Values(query), func(p *couponPage) ([]OwnCoupon, string) { return p.Coupons, p.Next })
}

// ClaimableCoupons are the sales of coupons that the buyer can claim: open, some
// left, and not claimed by him yet; those that close first come first.
func (c *Client) ClaimableCoupons(ctx context.Context) iter.Seq2[Sale, error] {
	return pages(ctx, c, "/v1/coupons", nil, func(p *salePage) ([]Sale, string) { return p.Sales, p.Next })
}
