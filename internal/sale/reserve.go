package sale

import "github.com/google/uuid"

// wants answers why a buyer may not have so many units more: 0, or a reason.
func (s *working) wants(buyer, units int64) Reason {
	switch has := s.units(buyer); {
	case s.now.Phase == Scheduled:
		return NotOpen
	case s.now.Phase == PhaseClosed:
		return Closed
	case s.now.Suspended:
		return Suspended
	case units < 1:
		return Internal // refused at the edge; must not reach the arithmetic
	case s.now.Limit == 1 && has > 0:
		return Duplicate
	case units > s.now.Limit-has:
		return OverLimit
	}
	return 0
}

// sells says whether a verb is one that s is asked with.
func (s *working) sells(v Verb) bool {
	switch s.now.Kind {
	case Reservation:
		return v == Reserve
	case Event:
		return (v == Reserve) == (s.now.Store != 0)
	}
	return false
}

// take decides a reserve or a join: free units are held or confirmed at once, else
// it waits where there is a line.
func (d *decider) take(s *working, e Entry) Outcome {
	if !s.sells(e.Verb) {
		return rejected(UnknownSale)
	}
	if why := s.wants(e.Buyer, e.Quantity); why != 0 {
		return rejected(why)
	}
	now := s.mayPass(e.Quantity)
	switch {
	case !now && s.now.LineMost == 0:
		return rejected(SoldOut)
	case !now && s.now.Waiting >= s.now.LineMost:
		return rejected(LineFull)
	}
	price := s.now.Price.Start
	cost := price * e.Quantity // cannot overflow, since Quantity ≤ Limit ≤ Stock: Check bounds Start × Stock
	discount, ok := d.discount(s, e, cost)
	if !ok {
		return rejected(CouponUnusable)
	}
	outcome := Outcome{Status: Waiting, UnitPrice: price, Discount: discount}
	switch {
	case !now:
		s.queue(e.Settled(outcome))
		s.buyers[e.Buyer] += e.Quantity
	case s.now.Kind == Reservation:
		outcome.Status, outcome.PayBy = Held, e.ID.At.Add(s.now.Hold)
		d.grant(s, e, e.Quantity)
		s.hold(e.Settled(outcome))
	default:
		if d.balances[e.Buyer] < cost {
			return rejected(ShortPoints)
		}
		outcome.Status = Confirmed
		d.grant(s, e, e.Quantity)
		d.buy(s, e.Receipt, e.Buyer, e.Quantity, cost)
	}
	d.use(e)
	return outcome
}

// grant gives free units to the buyer of e, past everybody in line: mayPass must
// have said that he may.
func (d *decider) grant(s *working, e Entry, units int64) {
	d.pass(s, len(s.line), e.ID.At)
	s.now.Free -= units
	s.buyers[e.Buyer] += units
}

func (d *decider) pay(s *working, e Entry) Outcome {
	target, ok := d.target(e)
	switch {
	case e.Quantity != 0:
		return rejected(Internal) // refused at the edge: a payment that names units would pass for a purchase of them
	case !ok, !target.Purchase():
		return rejected(NotPayable)
	case target.Buyer != e.Buyer:
		return rejected(NotYours)
	}
	target = d.overtaken(s, target, e.ID.At)
	switch target.Status {
	case Held:
	case Expired:
		return d.payLate(s, e, target)
	case Waiting, Confirmed:
		return rejected(NotPayable)
	default:
		return rejected(AlreadyFinal)
	}
	if d.balances[e.Buyer] < target.Cost() {
		return rejected(ShortPoints)
	}
	s.unhold(target)
	d.buy(s, e.Receipt, e.Buyer, target.Quantity, target.Cost())
	target.Status = Confirmed
	d.move(target, Held, e.ID.At)
	return Outcome{Status: Confirmed, UnitPrice: target.UnitPrice}
}

// payLate decides a payment for a hold that has ended. That stays expired; where
// units are free and nobody waits for them, the payment itself is the purchase, at
// the price of the hold. One with a coupon is not, since that has gone back to its
// owner.
func (d *decider) payLate(s *working, e Entry, target Receipt) Outcome {
	switch {
	case d.paidLate(target.ID):
		return rejected(AlreadyFinal)
	case target.Coupon != uuid.Nil, s.wants(e.Buyer, target.Quantity) != 0, !s.mayPass(target.Quantity):
		return rejected(ReasonExpired)
	case d.balances[e.Buyer] < target.Cost():
		return rejected(ShortPoints)
	}
	d.paid[target.ID] = true
	d.grant(s, e, target.Quantity)
	d.buy(s, e.Receipt, e.Buyer, target.Quantity, target.Cost())
	return Outcome{Status: Confirmed, UnitPrice: target.UnitPrice, Quantity: target.Quantity}
}

// paidLate says whether a payment has already bought what an ended hold was for,
// whatever has become of that purchase.
func (d *decider) paidLate(hold uuid.UUID) bool {
	if d.paid == nil {
		d.paid = map[uuid.UUID]bool{}
		for _, r := range d.facts.Receipts {
			if r.Verb == Pay && r.Status != Rejected {
				d.paid[r.Target] = true
			}
		}
	}
	return d.paid[hold]
}

func (d *decider) cancel(s *working, e Entry) Outcome {
	target, ok := d.target(e)
	switch {
	case !ok, !target.Purchase(), !s.now.Returns():
		return rejected(NotRefundable)
	case target.Buyer != e.Buyer:
		return rejected(NotYours)
	}
	target = d.overtaken(s, target, e.ID.At)
	switch {
	case target.Status.Final():
		return rejected(AlreadyFinal)
	case !s.returns(target, e.ID.At):
		return rejected(NotRefundable)
	}
	outcome := Outcome{Status: Confirmed}
	if target.Status == Confirmed {
		outcome.UnitPrice = target.UnitPrice
	}
	d.giveBack(s, e, target)
	return outcome
}

// returns says whether r may still be cancelled at t: a hold or a place in line
// always; seats until the doors close; what was paid while its points are in
// escrow, and what was free of charge as long.
func (s *working) returns(r Receipt, t Instant) bool {
	switch {
	case r.Status != Confirmed:
		return true
	case s.now.Kind == Event && s.now.Phase == PhaseClosed:
		return false
	case s.now.RefundWindow == 0 && r.Cost() > 0: // the seller has its points
		return false
	}
	return t < s.now.PayoutAt()
}

// giveBack cancels r: its points, units and coupon return, and the line moves up.
func (d *decider) giveBack(s *working, e Entry, r Receipt) {
	if r.Status == Confirmed {
		d.payBack(s, e, r)
	}
	d.let(s, r, Cancelled, e.ID.At)
	d.promote(s, e.ID.At)
}

// rebook decides a change of slot: the new table and the old one back, or nothing.
// It never waits, since that would be to hold one table and wait for another.
func (d *decider) rebook(state State, s *working, e Entry) Outcome {
	old := d.stand(state, e.From)
	if !s.sells(e.Verb) || old == nil || s.now.Store == 0 || old.now.Store != s.now.Store {
		return rejected(UnknownSale)
	}
	d.advance(old, e.ID.At, false)
	target, ok := d.target(e)
	switch {
	case !ok, target.Sale != e.From, e.From == e.Sale, !target.Purchase():
		return rejected(NotRefundable)
	case target.Buyer != e.Buyer:
		return rejected(NotYours)
	}
	target = d.overtaken(old, target, e.ID.At)
	switch {
	case target.Status.Final():
		return rejected(AlreadyFinal)
	case !old.returns(target, e.ID.At):
		return rejected(NotRefundable)
	}
	if why := s.wants(e.Buyer, e.Quantity); why != 0 {
		return rejected(why)
	}
	var back int64
	if target.Status == Confirmed {
		back = target.Cost()
	}
	cost := s.now.Price.Start * e.Quantity
	switch {
	case !s.mayPass(e.Quantity):
		return rejected(SoldOut)
	case e.Coupon != uuid.Nil:
		return rejected(CouponUnusable)
	case d.balances[e.Buyer]+back < cost:
		return rejected(ShortPoints)
	}
	d.giveBack(old, e, target)
	d.grant(s, e, e.Quantity)
	d.buy(s, e.Receipt, e.Buyer, e.Quantity, cost)
	return Outcome{Status: Confirmed, UnitPrice: s.now.Price.Start}
}
