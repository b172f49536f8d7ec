// Package coupons shows the two lists of whoever collects coupons: what he has, and
// what he could still claim. Both walk an index, so neither costs more with a
// million coupons about. Claiming one, and using it, are requests like any other.
package coupons

import (
	"context"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// Coupons shows them. Its methods may be called concurrently.
type Coupons struct{ ledger *ledger.Ledger }

// New answers the coupons of a ledger.
func New(ledger *ledger.Ledger) *Coupons { return &Coupons{ledger} }

// Coupon is one that somebody has claimed.
type Coupon = ledger.Coupon

// What a coupon may be to its owner.
const (
	Usable  = ledger.CouponUsable
	Used    = ledger.CouponUsed
	Expired = ledger.CouponExpired
)

// Cursor is a place in a list of coupons: behind ID, which is valid until At.
type Cursor = ledger.CouponCursor

// Filter says which of his own coupons somebody sees.
type Filter struct {
	State string // Usable, Used or Expired; "": all
	After Cursor
	Limit int
}

// Mine answers a page of what an account has claimed, and whether there is more:
// what is usable by its end, the nearest first, everything else the other way round.
func (c *Coupons) Mine(ctx context.Context, account int64, f Filter) (coupons []Coupon, more bool, err error) {
	return c.ledger.Coupons(ctx, ledger.CouponFilter{Buyer: account, State: f.State, After: f.After, Limit: f.Limit})
}

// SaleCursor is a place in a list of sales; of claimable coupons, by closes_at.
type SaleCursor = ledger.SaleCursor

// ClaimableFilter says where the list goes on.
type ClaimableFilter struct {
	After SaleCursor
	Limit int
}

// Claimable answers a page of the coupons that an account could claim at the moment
// now, by the clock of Postgres, and whether there are more: open, valid, not sold
// out, not his yet; the first to close come first.
func (c *Coupons) Claimable(ctx context.Context, account int64, f ClaimableFilter) (sales []*sale.Stand, more bool, now sale.Instant, err error) {
	return c.ledger.Claimable(ctx, account, f.After, f.Limit)
}
