package sale

import "github.com/google/uuid"

// A coupon has the number of its claim. It is used from the moment that a purchase
// with it is confirmed, held or placed in line, and free again when that is over
// while it is valid.

// claim decides a request for a coupon.
func (d *decider) claim(s *working, e Entry) Outcome {
	if s.now.Kind != Coupon {
		return rejected(UnknownSale)
	}
	switch why := s.wants(e.Buyer, e.Quantity); {
	case why != 0:
		return rejected(why)
	case e.Quantity > s.now.Free:
		return rejected(SoldOut)
	case e.ID.At < s.now.ValidFrom, e.ID.At >= s.now.ValidUntil:
		return rejected(CouponUnusable)
	}
	s.now.Free -= e.Quantity
	s.now.Sold += e.Quantity
	s.buyers[e.Buyer] += e.Quantity
	d.coupons[e.Receipt] = CouponStand{
		Sale: s.now.ID, Buyer: e.Buyer, Seller: s.now.Seller, Amount: s.now.AmountOff,
		ValidFrom: s.now.ValidFrom, ValidUntil: s.now.ValidUntil,
	}
	return Outcome{Status: Confirmed}
}

// discount answers the points that the coupon of e takes off cost, and whether it
// may be used: his own, valid at that time, not used, from the same seller, for a
// fixed price.
func (d *decider) discount(s *working, e Entry, cost int64) (int64, bool) {
	if e.Coupon == uuid.Nil {
		return 0, true
	}
	c, known := d.coupons[e.Coupon]
	usable := known && c.Buyer == e.Buyer && c.Seller == s.now.Seller && c.UsedBy == uuid.Nil &&
		e.ID.At >= c.ValidFrom && e.ID.At < c.ValidUntil &&
		s.now.Kind != Event && s.now.FixedPrice()
	return min(c.Amount, cost), usable
}

// use marks the coupon of e as used by it.
func (d *decider) use(e Entry) {
	if e.Coupon != uuid.Nil {
		d.mark(e.Coupon, e.Receipt)
	}
}

// release frees the coupon of a purchase that is over, while it is valid.
func (d *decider) release(r Receipt, at Instant) {
	if c, known := d.coupons[r.Coupon]; known && c.UsedBy == r.ID && at < c.ValidUntil {
		d.mark(r.Coupon, uuid.Nil)
	}
}

func (d *decider) mark(coupon, by uuid.UUID) {
	c := d.coupons[coupon]
	c.UsedBy = by
	d.coupons[coupon] = c
	d.touched[coupon] = true
}
