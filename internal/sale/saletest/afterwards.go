package saletest

import (
	"github.com/google/uuid"

	"sluice/internal/sale"
)

// What is asked about a purchase, and of a sale as a whole.

// about finds the purchase that e is about, and whose; nil when there is none.
func (m *Model) about(e sale.Entry, sold int64) *sale.Receipt {
	r := m.receipts[e.Target]
	if r == nil || r.Sale != sold || !purchase(r) {
		return nil
	}
	return r
}

// final says whether nothing can follow a status any more.
func final(s sale.Status) bool {
	return s == sale.Rejected || s == sale.Expired || s == sale.Cancelled || s == sale.Refunded
}

// cost is what all units of a receipt cost.
func cost(r *sale.Receipt) int64 { return r.UnitPrice*r.Quantity - r.Discount }

func (m *Model) pay(s *modelSale, e sale.Entry) sale.Outcome {
	if e.Quantity != 0 {
		return no(sale.Internal)
	}
	r := m.about(e, e.Sale)
	if r == nil {
		return no(sale.NotPayable)
	}
	if r.Buyer != e.Buyer {
		return no(sale.NotYours)
	}
	m.happenTo(s, r, e.ID.At)
	if r.Status == sale.Waiting || r.Status == sale.Confirmed {
		return no(sale.NotPayable)
	}
	if r.Status == sale.Expired {
		return m.payLate(s, e, r)
	}
	if final(r.Status) {
		return no(sale.AlreadyFinal)
	}
	if m.points[e.Buyer] < cost(r) {
		return no(sale.ShortPoints)
	}
	m.move(e.Buyer, s.payee(), cost(r))
	r.Status = sale.Confirmed
	return sale.Outcome{Status: sale.Confirmed, UnitPrice: r.UnitPrice}
}

// payLate decides a payment after the hold has ended: if units are free it is itself
// the purchase, once. The coupon of the hold, if any, has gone back, so that there is
// no price to buy at.
func (m *Model) payLate(s *modelSale, e sale.Entry, r *sale.Receipt) sale.Outcome {
	for _, other := range s.receipts {
		if other.Verb == sale.Pay && other.Target == r.ID {
			return no(sale.AlreadyFinal)
		}
	}
	if r.Coupon != uuid.Nil || s.may(e.Buyer, r.Quantity) != 0 || !s.mayBeServed(r.Quantity) {
		return no(sale.ReasonExpired)
	}
	if m.points[e.Buyer] < cost(r) {
		return no(sale.ShortPoints)
	}
	m.move(e.Buyer, s.payee(), cost(r))
	s.served()
	return sale.Outcome{Status: sale.Confirmed, UnitPrice: r.UnitPrice, Quantity: r.Quantity}
}

// mayReturn says whether a purchase that is not over may be cancelled: before it is
// paid always, then as long as its points are in escrow; a seat not after the close,
// and what was free of charge as long as what was not.
func (s *modelSale) mayReturn(r *sale.Receipt, t sale.Instant) bool {
	if r.Status != sale.Confirmed {
		return true
	}
	if s.Kind == sale.Event && s.phase == sale.PhaseClosed {
		return false
	}
	if cost(r) > 0 && s.RefundWindow == 0 {
		return false
	}
	if s.phase != sale.PhaseClosed {
		return true
	}
	return t < s.payoutAt() && (cost(r) == 0 || !s.paidOut)
}

// giveBack ends a purchase: the points go back if any were paid, and the units to
// the line.
func (m *Model) giveBack(s *modelSale, r *sale.Receipt, at sale.Instant) {
	if r.Status == sale.Confirmed {
		m.move(s.Escrow, r.Buyer, cost(r))
	}
	r.Status = sale.Cancelled
	m.freeCoupon(r, at)
	m.serve(s, at)
}

func (m *Model) cancel(s *modelSale, e sale.Entry) sale.Outcome {
	r := m.about(e, e.Sale)
	if r == nil || !s.returns() {
		return no(sale.NotRefundable)
	}
	if r.Buyer != e.Buyer {
		return no(sale.NotYours)
	}
	m.happenTo(s, r, e.ID.At)
	if final(r.Status) {
		return no(sale.AlreadyFinal)
	}
	if !s.mayReturn(r, e.ID.At) {
		return no(sale.NotRefundable)
	}
	o := yes
	if r.Status == sale.Confirmed {
		o.UnitPrice = r.UnitPrice
	}
	m.giveBack(s, r, e.ID.At)
	return o
}

// changeSlot decides whether somebody gets a table at another time for the one he
// has: both or nothing.
func (m *Model) changeSlot(s *modelSale, e sale.Entry) sale.Outcome {
	old := m.sales[e.From]
	if !s.asked(e.Verb) || s.Store == 0 || old == nil || old.Store != s.Store {
		return no(sale.UnknownSale)
	}
	m.happen(old, e.ID.At, false)
	r := m.about(e, e.From)
	if r == nil || e.From == e.Sale {
		return no(sale.NotRefundable)
	}
	if r.Buyer != e.Buyer {
		return no(sale.NotYours)
	}
	m.happenTo(old, r, e.ID.At)
	if final(r.Status) {
		return no(sale.AlreadyFinal)
	}
	if !old.mayReturn(r, e.ID.At) {
		return no(sale.NotRefundable)
	}
	if why := s.may(e.Buyer, e.Quantity); why != 0 {
		return no(why)
	}
	if !s.mayBeServed(e.Quantity) {
		return no(sale.SoldOut)
	}
	if e.Coupon != uuid.Nil {
		return no(sale.CouponUnusable)
	}
	has, costs := m.points[e.Buyer], s.Price.Start*e.Quantity
	if r.Status == sale.Confirmed {
		has += cost(r)
	}
	if has < costs {
		return no(sale.ShortPoints)
	}
	m.giveBack(old, r, e.ID.At)
	m.move(e.Buyer, s.payee(), costs)
	s.served()
	return sale.Outcome{Status: sale.Confirmed, UnitPrice: s.Price.Start}
}

// refund decides whether a buyer gets back what he paid in an auction. The units
// stay sold.
func (m *Model) refund(s *modelSale, e sale.Entry) sale.Outcome {
	r := m.about(e, e.Sale)
	if r == nil || r.Verb != sale.Bid {
		return no(sale.NotRefundable)
	}
	if r.Buyer != e.Buyer {
		return no(sale.NotYours)
	}
	if r.Status == sale.Refunded {
		return no(sale.AlreadyFinal)
	}
	if e.ID.At < s.ClosesAt || e.ID.At >= s.payoutAt() {
		return no(sale.NotRefundable)
	}
	m.move(s.Escrow, e.Buyer, cost(r))
	r.Status = sale.Refunded
	m.freeCoupon(r, e.ID.At)
	return sale.Outcome{Status: sale.Confirmed, UnitPrice: r.UnitPrice}
}

// change lets the stock grow, and what is no auction close later: within a year of
// its opening, and not after it starts.
func (m *Model) change(s *modelSale, e sale.Entry) sale.Outcome {
	if e.Buyer != s.Seller {
		return no(sale.NotYours)
	}
	if s.phase == sale.PhaseClosed {
		return no(sale.Closed)
	}
	if s.stopped {
		return no(sale.Suspended)
	}
	if e.ClosesAt != 0 && e.ClosesAt != s.ClosesAt {
		if s.Kind == sale.Auction {
			return no(sale.PriceChanged)
		}
		if e.ClosesAt < s.ClosesAt || e.ClosesAt > s.OpensAt+366*24*60*60*1000 || s.StartsAt != 0 && e.ClosesAt > s.StartsAt {
			return no(sale.OverLimit)
		}
	}
	if e.Quantity < 0 || e.Quantity > 1_000_000_000-s.Stock {
		return no(sale.OverLimit)
	}
	if s.Price.Start > 0 && e.Quantity > (1<<53-1)/s.Price.Start-s.Stock {
		return no(sale.OverLimit)
	}
	if e.ClosesAt != 0 {
		s.ClosesAt = e.ClosesAt
	}
	s.Stock += e.Quantity
	m.serve(s, e.ID.At)
	return yes
}

// stop decides whether a sale sells nothing from now on, or sells on. Nobody who buys or
// sells may ask for either, and what is not open cannot be stopped.
func (m *Model) stop(s *modelSale, e sale.Entry) sale.Outcome {
	if e.Buyer != 0 {
		return no(sale.NotYours)
	}
	if s.phase == sale.Scheduled {
		return no(sale.NotOpen)
	}
	s.stopped = e.Verb == sale.Suspend
	m.serve(s, e.ID.At)
	return yes
}
