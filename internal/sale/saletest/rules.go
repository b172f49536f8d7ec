package saletest

import (
	"github.com/google/uuid"

	"sluice/internal/sale"
)

func no(why sale.Reason) sale.Outcome {
	return sale.Outcome{Status: sale.Rejected, Reason: why}
}

var yes = sale.Outcome{Status: sale.Confirmed}

// judge decides an entry that is heard for the first time.
func (m *Model) judge(e sale.Entry) sale.Outcome {
	if e.Verb == 0 {
		return no(sale.Internal)
	}
	if e.Generation < m.generation {
		return no(sale.Lost)
	}
	s := m.sales[e.Sale]
	if s == nil {
		return no(sale.UnknownSale)
	}
	tick := e.Verb == sale.Open || e.Verb == sale.Close || e.Verb == sale.Expire || e.Verb == sale.Payout
	m.happen(s, e.ID.At, tick)
	switch e.Verb {
	case sale.Bid:
		return m.bid(s, e)
	case sale.Reserve, sale.Join:
		if e.Target != uuid.Nil {
			return m.changeSlot(s, e)
		}
		return m.reserve(s, e)
	case sale.Claim:
		return m.claim(s, e)
	case sale.Pay:
		return m.pay(s, e)
	case sale.Cancel:
		return m.cancel(s, e)
	case sale.Refund:
		return m.refund(s, e)
	case sale.Change:
		return m.change(s, e)
	case sale.Payout:
		if e.ID.At < s.payoutAt() {
			return no(sale.NotPayable)
		}
		if s.stopped {
			return no(sale.Suspended)
		}
		m.move(s.Escrow, s.Seller, m.points[s.Escrow])
		s.paidOut = true
	case sale.Suspend, sale.Resume:
		return m.stop(s, e)
	}
	return yes
}

func (m *Model) move(from, to, points int64) {
	m.points[from] -= points
	m.points[to] += points
}

// happen lets happen what is due for a sale at t. It closes before a hold that ends
// at that very moment.
func (m *Model) happen(s *modelSale, t sale.Instant, tick bool) {
	if s.phase == sale.Scheduled && t >= s.OpensAt {
		s.phase = sale.PhaseOpen
	}
	if s.phase == sale.PhaseOpen {
		for {
			holds := s.holds()
			if len(holds) == 0 || holds[0].PayBy > t || holds[0].PayBy >= s.ClosesAt {
				break
			}
			m.expire(s, holds[0])
		}
		if t >= s.ClosesAt {
			s.phase = sale.PhaseClosed
		}
	}
	if s.phase == sale.PhaseClosed && tick {
		for _, r := range s.line() {
			m.turnAway(s, r)
		}
		for _, r := range s.holds() {
			if r.PayBy <= t {
				m.expire(s, r)
			}
		}
	}
}

// happenTo lets happen what is due for one receipt at t, once its sale is closed.
func (m *Model) happenTo(s *modelSale, r *sale.Receipt, t sale.Instant) {
	if s.phase != sale.PhaseClosed {
		return
	}
	if r.Status == sale.Waiting {
		m.turnAway(s, r)
	}
	if r.Status == sale.Held && r.PayBy <= t {
		m.expire(s, r)
	}
}

func (m *Model) expire(s *modelSale, r *sale.Receipt) {
	r.Status = sale.Expired
	m.freeCoupon(r, r.PayBy)
	m.serve(s, r.PayBy)
}

func (m *Model) turnAway(s *modelSale, r *sale.Receipt) {
	r.Status, r.Reason = sale.Rejected, sale.Closed
	m.freeCoupon(r, s.ClosesAt)
}

// freeCoupon gives a coupon back to its owner while it is valid.
func (m *Model) freeCoupon(r *sale.Receipt, at sale.Instant) {
	if r.Coupon != uuid.Nil && at < m.coupons[r.Coupon].ValidUntil {
		m.coupons[r.Coupon].UsedBy = uuid.Nil
	}
}

// serve gives free units to those who wait, in their order. Somebody for whom there
// are not enough lets others pass, as often as the sale says; nobody passes from
// behind the first hundred.
func (m *Model) serve(s *modelSale, at sale.Instant) {
	if s.phase != sale.PhaseOpen || s.stopped {
		return
	}
	for m.serveOne(s, at) {
	}
}

func (m *Model) serveOne(s *modelSale, at sale.Instant) bool {
	line := s.line()
	for i, r := range line {
		if i == 100 {
			return false
		}
		if r.Quantity <= s.free() {
			for _, passed := range line[:i] {
				passed.Passed++
			}
			if s.Kind == sale.Reservation || s.Price.Start > 0 {
				r.Status, r.PayBy = sale.Held, at+sale.Instant(s.Hold.Milliseconds())
			} else {
				r.Status = sale.Confirmed
			}
			return true
		}
		if r.Passed >= s.MaxBypass {
			return false
		}
	}
	return false
}

// mayBeServed says whether somebody who comes now for so many units gets them at
// once: as if he stood at the end of the line.
func (s *modelSale) mayBeServed(units int64) bool {
	line := s.line()
	for _, r := range line {
		if r.Passed >= s.MaxBypass {
			return false
		}
	}
	return len(line) < 100 && units <= s.free()
}

// served counts that somebody new passed the whole line.
func (s *modelSale) served() {
	for _, r := range s.line() {
		r.Passed++
	}
}

// may answers why a buyer may not ask for so many units now, or 0.
func (s *modelSale) may(buyer, units int64) sale.Reason {
	if s.phase == sale.Scheduled {
		return sale.NotOpen
	}
	if s.phase == sale.PhaseClosed {
		return sale.Closed
	}
	if s.stopped {
		return sale.Suspended
	}
	if units < 1 {
		return sale.Internal
	}
	if has := s.has(buyer); has+units > s.Limit {
		if has > 0 && s.Limit == 1 && s.Kind != sale.Auction {
			return sale.Duplicate
		}
		return sale.OverLimit
	}
	return 0
}

// couponFor answers what the coupon of e takes off a cost; false when it may not be
// used.
func (m *Model) couponFor(s *modelSale, e sale.Entry, cost int64) (off int64, usable bool) {
	if e.Coupon == uuid.Nil {
		return 0, true
	}
	c := m.coupons[e.Coupon]
	if c == nil || c.Buyer != e.Buyer || c.Seller != s.Seller || c.UsedBy != uuid.Nil {
		return 0, false
	}
	if e.ID.At < c.ValidFrom || e.ID.At >= c.ValidUntil {
		return 0, false
	}
	if s.Kind == sale.Event || !s.fixed() {
		return 0, false
	}
	return min(c.Amount, cost), true
}

func (m *Model) bid(s *modelSale, e sale.Entry) sale.Outcome {
	if s.Kind != sale.Auction {
		return no(sale.UnknownSale)
	}
	if why := s.may(e.Buyer, e.Quantity); why != 0 {
		return no(why)
	}
	if e.Quantity > s.free() {
		return no(sale.SoldOut)
	}
	price := Price(s.Sale, e.ID.At)
	if price > e.Price || e.Exact && price != e.Price {
		return no(sale.PriceChanged)
	}
	off, usable := m.couponFor(s, e, price*e.Quantity)
	if !usable {
		return no(sale.CouponUnusable)
	}
	if m.points[e.Buyer] < price*e.Quantity-off {
		return no(sale.ShortPoints)
	}
	m.move(e.Buyer, s.payee(), price*e.Quantity-off)
	return sale.Outcome{Status: sale.Confirmed, UnitPrice: price, Discount: off}
}

func (m *Model) claim(s *modelSale, e sale.Entry) sale.Outcome {
	if s.Kind != sale.Coupon {
		return no(sale.UnknownSale)
	}
	if why := s.may(e.Buyer, e.Quantity); why != 0 {
		return no(why)
	}
	if e.Quantity > s.free() {
		return no(sale.SoldOut)
	}
	if e.ID.At < s.ValidFrom || e.ID.At >= s.ValidUntil {
		return no(sale.CouponUnusable)
	}
	return yes
}

// asked says whether it is what this sale is asked with.
func (s *modelSale) asked(verb sale.Verb) bool {
	switch {
	case s.Kind == sale.Reservation, s.Kind == sale.Event && s.Store != 0:
		return verb == sale.Reserve
	case s.Kind == sale.Event:
		return verb == sale.Join
	}
	return false
}

func (m *Model) reserve(s *modelSale, e sale.Entry) sale.Outcome {
	if !s.asked(e.Verb) {
		return no(sale.UnknownSale)
	}
	if why := s.may(e.Buyer, e.Quantity); why != 0 {
		return no(why)
	}
	served := s.mayBeServed(e.Quantity)
	if !served && s.LineMost == 0 {
		return no(sale.SoldOut)
	}
	if !served && int64(len(s.line())) >= s.LineMost {
		return no(sale.LineFull)
	}
	cost := s.Price.Start * e.Quantity
	off, usable := m.couponFor(s, e, cost)
	if !usable {
		return no(sale.CouponUnusable)
	}
	o := sale.Outcome{Status: sale.Waiting, UnitPrice: s.Price.Start, Discount: off}
	if !served {
		return o
	}
	if s.Kind == sale.Reservation {
		o.Status, o.PayBy = sale.Held, e.ID.At+sale.Instant(s.Hold.Milliseconds())
	} else {
		if m.points[e.Buyer] < cost {
			return no(sale.ShortPoints)
		}
		m.move(e.Buyer, s.payee(), cost)
		o.Status = sale.Confirmed
	}
	s.served()
	return o
}
