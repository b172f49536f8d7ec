package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Coupon is one that somebody has claimed.
type Coupon struct {
	ID uuid.UUID // receipt of the claim
	sale.CouponStand
}

// What a coupon may be to its owner. One that is not valid yet is usable: it will be.
const (
	CouponUsable  = "usable"
	CouponUsed    = "used"
	CouponExpired = "expired" // and never used
)

// CouponCursor is a place in a list of coupons: behind ID, which is valid until At.
// The zero cursor is the beginning.
type CouponCursor struct {
	At sale.Instant
	ID uuid.UUID
}

// CouponFilter says which coupons of a buyer are listed.
type CouponFilter struct {
	Buyer int64
	State string // CouponUsable, CouponUsed or CouponExpired; "": all
	After CouponCursor
	Limit int
}

// Coupons lists what a buyer has claimed, and says whether there is more. What is
// usable is ordered by its end, the nearest first; everything else the other way
// round. It walks coupons_unused and coupons_used, each from its own place on.
func (l *Ledger) Coupons(ctx context.Context, f CouponFilter) (coupons []Coupon, more bool, err error) {
	query, args := f.query()
	coupons, _, err = list(ctx, l, query, args, func(row pgx.CollectableRow) (c Coupon, err error) {
		var from, until time.Time
		err = row.Scan((*[16]byte)(&c.ID), &c.Sale, &c.Buyer, &c.Seller, &c.Amount, &from, &until, (*[16]byte)(&c.UsedBy))
		c.ValidFrom, c.ValidUntil = sale.At(from), sale.At(until)
		return c, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list coupons: %w", err)
	}
	coupons, more = page(coupons, f.Limit)
	return coupons, more, nil
}

func (f CouponFilter) query() (string, []any) {
	q := &conditions{}
	q.add(`buyer = %s`, f.Buyer)
	further, direction := `<`, ` desc`
	states := []string{`used_by is null`, `used_by is not null`}
	switch f.State {
	case CouponUsable:
		further, direction = `>`, ``
		states = []string{`used_by is null and valid_until > now()`}
	case CouponExpired:
		states = []string{`used_by is null and valid_until <= now()`}
	case CouponUsed:
		states = states[1:]
	}
	if f.After != (CouponCursor{}) {
		q.add(`(valid_until, id) `+further+` (%s, %s)`, f.After.At.Time(), [16]byte(f.After.ID))
	}
	return q.merged(`coupons`, `
		id, sale, buyer, seller, amount, valid_from, valid_until, coalesce(used_by, '00000000-0000-0000-0000-000000000000')`,
		states, `valid_until`+direction+`, id`+direction, f.Limit)
}

// Claimable lists coupons as sales, those that can be claimed now by a buyer: open,
// valid, units left, none of them his. The first to close come first, and the cursor
// is of closes_at; now is the moment it is of, by the clock of Postgres. It walks
// shown_of_kind_by_closing, passing over what he has.
func (l *Ledger) Claimable(ctx context.Context, buyer int64, after SaleCursor, limit int) (stands []*sale.Stand, more bool, now sale.Instant, err error) {
	query, args := claimable(buyer, after, limit)
	stands, now, err = list(ctx, l, query, args, scanStand)
	if err != nil {
		return nil, false, 0, fmt.Errorf("list claimable coupons: %w", err)
	}
	stands, more = page(stands, limit)
	return stands, more, now, nil
}

// claimable asks for each coupon whether it is his, in a case as shownNow does: a
// join could be turned round, and read everything he has.
func claimable(buyer int64, after SaleCursor, limit int) (string, []any) {
	q := &conditions{}
	q.add(`s.store is null`)
	q.add(`case
				when s.valid_from > now() then false
				when s.valid_until <= now() then false
				when (
					select true
					from coupons c
					where c.buyer = %s and c.sale = s.id) then false
				else true end`, buyer)
	if after != (SaleCursor{}) {
		q.add(`(s.closes_at, s.id) > (%s, %s)`, after.At.Time(), after.ID)
	}
	return q.sales([]sale.Kind{sale.Coupon}, sale.ShownOpen, `
		order by s.closes_at, s.id
		limit `+q.value(limit+1))
}
