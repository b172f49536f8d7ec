package audit

import (
	"context"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// A coupon may be claimed in one partition and used in another, which have clocks of
// their own. But whether a purchase of this partition uses it is decided here alone.

// ours says whether a coupon is used by a receipt of this partition; nobody's is not.
func (w *walk) ours(c sale.CouponStand) bool {
	p, ok := sale.PartitionOf(c.UsedBy)
	return ok && p == w.p
}

// same says that two tell one story of a coupon: one set of terms, and if either has
// it used in this partition, both do.
func (w *walk) same(a, b sale.CouponStand) bool {
	if (w.ours(a) || w.ours(b)) && a.UsedBy != b.UsedBy {
		return false
	}
	a.UsedBy = b.UsedBy
	return a == b
}

// couponsStood: a batch was decided on the coupons as the batches before it left
// them, and on all that its entries name.
func (w *walk) couponsStood(b sale.Batch) {
	for id, fact := range b.Facts.Coupons {
		if had, known := w.coupons[id]; known && !w.same(fact, had) {
			w.n.found(Continuity, w.p, fact.Sale, "batch to %s stands on coupon %s as %+v, the batches before made %+v", b.Last, id, fact, had)
		}
		w.coupons[id] = fact
	}
	for _, e := range b.Entries {
		had, known := w.coupons[e.Coupon]
		if _, given := b.Facts.Coupons[e.Coupon]; known && !given {
			w.n.found(Continuity, w.p, e.Sale, "batch to %s did not know coupon %s, made before as %+v", b.Last, e.Coupon, had)
		}
	}
}

// claims: a coupon is claimed while it is valid, and is then its buyer's.
func (w *walk) claims(t *turn, e sale.Entry) {
	c := sale.CouponStand{
		Sale: e.Sale, Buyer: e.Buyer, Seller: t.terms.Seller, Amount: t.terms.AmountOff, ValidFrom: t.terms.ValidFrom, ValidUntil: t.terms.ValidUntil,
	}
	w.valid(c, e)
	w.coupons[e.Receipt] = c
}

// uses: a coupon is used while it is valid, by its owner, against its seller, and by
// nobody else at that time. It answers what it takes off.
func (w *walk) uses(t *turn, e sale.Entry) (off int64) {
	if e.Coupon == uuid.Nil {
		return 0
	}
	c, known := w.coupons[e.Coupon]
	if !known {
		w.n.found(Coupons, w.p, e.Sale, "%s %s at %s uses coupon %s, which there is not", e.Verb, e.Receipt, e.ID, e.Coupon)
		return 0
	}
	if c.Buyer != e.Buyer || c.Seller != t.terms.Seller || c.UsedBy != uuid.Nil {
		w.n.found(Coupons, w.p, e.Sale, "%s %s at %s by %d uses coupon %s, which is %+v", e.Verb, e.Receipt, e.ID, e.Buyer, e.Coupon, c)
	}
	w.valid(c, e)
	c.UsedBy = e.Receipt
	w.coupons[e.Coupon] = c
	return c.Amount
}

func (w *walk) valid(c sale.CouponStand, e sale.Entry) {
	if e.ID.At < c.ValidFrom || e.ID.At >= c.ValidUntil {
		w.n.found(Coupons, w.p, e.Sale, "%s %s at %s is of a coupon that is valid from %d to %d", e.Verb, e.Receipt, e.ID, c.ValidFrom, c.ValidUntil)
	}
}

// over: who leaves a sale has his coupon back, while it is valid.
func (w *walk) over(m sale.Move) {
	c, known := w.coupons[m.Receipt.Coupon]
	if m.Receipt.Status.Final() && known && c.UsedBy == m.Receipt.ID && m.At < c.ValidUntil {
		c.UsedBy = uuid.Nil
		w.coupons[m.Receipt.Coupon] = c
	}
}

// couponsMade: what a batch makes of coupons is what its purchases made of them.
func (w *walk) couponsMade(b sale.Batch) {
	for _, e := range b.Effects.Coupons {
		c, known := w.coupons[e.Coupon]
		if !known || c.UsedBy != e.UsedBy {
			w.n.found(Coupons, w.p, c.Sale, "batch to %s leaves coupon %s used by %s, its purchases leave it as %+v", b.Last, e.Coupon, e.UsedBy, c)
			c.UsedBy = e.UsedBy
			w.coupons[e.Coupon] = c
		}
	}
}

// couponsEnd: the coupons in Postgres are as the log has left them.
func (w *walk) couponsEnd(ctx context.Context) error {
	ids := make([][16]byte, 0, len(w.coupons))
	for id := range w.coupons {
		ids = append(ids, id)
	}
	rows, err := w.record.CouponStands(ctx, ids)
	if err != nil {
		return err
	}
	for id, c := range w.coupons {
		if row, ok := rows[id]; !ok || !w.same(row, c) {
			w.n.found(Continuity, w.p, c.Sale, "coupon %s is %+v in Postgres, the log made %+v", id, row, c)
		}
	}
	return nil
}
