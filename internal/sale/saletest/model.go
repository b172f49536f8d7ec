// Package saletest is for the tests of whatever settles requests: the rules of the
// domain once more, as a naive model, and random histories to hold it against.
// Nothing but a _test.go file may import it.
package saletest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Model is the rules of the domain written as plainly as they can be said: one entry
// after the other, no batches, no effects, no counters. All it remembers of a sale
// beside its terms is the receipts, in the order of the stream; whatever else is
// asked is counted from them anew. It shares nothing with sale.Decide but the words.
//
// What is due for a sale happens when an entry for it is heard, each at its own
// time. One freedom that the rules leave is used as Decide uses it, so that the two
// can be compared at every step: after the close, who still waits is rejected, and a
// hold that has ended expires, when a tick is heard or somebody asks about that very
// receipt. A tick of the model has no TickMost.
type Model struct {
	generation int64
	sales      map[int64]*modelSale
	receipts   map[uuid.UUID]*sale.Receipt
	refused    map[uuid.UUID]sale.Outcome // rejected at once: nothing of it stays
	points     map[int64]int64
	coupons    map[uuid.UUID]*sale.CouponStand
}

type modelSale struct {
	sale.Sale
	phase    sale.Phase
	paidOut  bool
	stopped  bool            // suspended
	receipts []*sale.Receipt // in stream order
}

// NewModel is the model of a world in which nobody has asked anything yet. Wallets
// that are missing are empty.
func NewModel(generation int64, sales []sale.Sale, points map[int64]int64) *Model {
	m := &Model{
		generation: generation, sales: map[int64]*modelSale{}, receipts: map[uuid.UUID]*sale.Receipt{},
		refused: map[uuid.UUID]sale.Outcome{}, points: maps.Clone(points), coupons: map[uuid.UUID]*sale.CouponStand{},
	}
	for _, terms := range sales {
		m.sales[terms.ID] = &modelSale{Sale: terms, phase: sale.Scheduled}
	}
	return m
}

// Hear answers what becomes of the next entry.
func (m *Model) Hear(e sale.Entry) sale.Outcome {
	if e.Verb == sale.Rebuilt {
		return sale.Outcome{Status: sale.Confirmed, Stands: true}
	}
	if e.Verb == 0 && e.Receipt == uuid.Nil {
		return sale.Outcome{Status: sale.Rejected, Reason: sale.Internal, Stands: true}
	}
	if known, was := m.refused[e.Receipt]; was {
		known.Stands = true
		return known
	}
	if r := m.receipts[e.Receipt]; r != nil {
		return sale.Outcome{Status: r.Status, Reason: r.Reason, UnitPrice: r.UnitPrice, Discount: r.Discount, PayBy: r.PayBy, Stands: true}
	}
	o := m.judge(e)
	if o.Status == sale.Rejected {
		m.refused[e.Receipt] = o
		return o
	}
	units := o.Quantity
	if e.Verb != sale.Pay && e.Verb != sale.Cancel && e.Verb != sale.Refund {
		units += e.Quantity // those three are about another receipt's units
	}
	r := &sale.Receipt{
		ID: e.Receipt, Verb: e.Verb, Sale: e.Sale, Buyer: e.Buyer, Quantity: units, Target: e.Target, Coupon: e.Coupon,
		Fingerprint: e.Sum(), Seq: e.Seq, At: e.ID.At, Status: o.Status, UnitPrice: o.UnitPrice, Discount: o.Discount, PayBy: o.PayBy,
	}
	m.receipts[r.ID] = r
	m.sales[r.Sale].receipts = append(m.sales[r.Sale].receipts, r)
	if s := m.sales[r.Sale]; r.Verb == sale.Claim {
		m.coupons[r.ID] = &sale.CouponStand{
			Sale: s.ID, Buyer: r.Buyer, Seller: s.Seller, Amount: s.AmountOff, ValidFrom: s.ValidFrom, ValidUntil: s.ValidUntil,
		}
	}
	if r.Coupon != uuid.Nil {
		m.coupons[r.Coupon].UsedBy = r.ID
	}
	return o
}

// Receipts answers every receipt that has had an effect, as it stands.
func (m *Model) Receipts() map[uuid.UUID]sale.Receipt {
	all := map[uuid.UUID]sale.Receipt{}
	for id, r := range m.receipts {
		all[id] = *r
	}
	return all
}

// Refused says whether a receipt was rejected at once, so that nothing of it stays
// but the answer.
func (m *Model) Refused(id uuid.UUID) bool {
	_, was := m.refused[id]
	return was
}

// Points answers every wallet's balance. The sum of them never changes.
func (m *Model) Points() map[int64]int64 { return maps.Clone(m.points) }

// Coupons answers every coupon, by the number of its claim.
func (m *Model) Coupons() map[uuid.UUID]sale.CouponStand {
	all := map[uuid.UUID]sale.CouponStand{}
	for id, c := range m.coupons {
		all[id] = *c
	}
	return all
}

// Stand answers how a sale stands, with all holds, the whole line, and every buyer
// who has anything; nil when there is no such sale.
func (m *Model) Stand(id int64) *sale.Stand {
	s := m.sales[id]
	if s == nil {
		return nil
	}
	stand := &sale.Stand{
		Sale: s.Sale, Phase: s.phase, PaidOut: s.paidOut, Suspended: s.stopped,
		Free: s.free(), Held: s.units(sale.Held), Sold: s.sold(), Waiting: int64(len(s.line())), Buyers: map[int64]int64{},
	}
	for _, r := range s.receipts {
		if n := s.has(r.Buyer); n != 0 {
			stand.Buyers[r.Buyer] = n
		}
	}
	for _, r := range s.holds() {
		stand.Holds = append(stand.Holds, sale.Place{Receipt: r.ID, Seq: r.Seq, At: r.PayBy})
	}
	for _, r := range s.line() {
		stand.Line = append(stand.Line, sale.Place{Receipt: r.ID, Seq: r.Seq, At: r.At})
	}
	return stand
}

// Due answers the moments after t at which something happens by itself: a sale
// opens, closes or is paid out, a price drops, a hold ends, a coupon begins or ends
// to be valid. In order.
func (m *Model) Due(t sale.Instant) (due []sale.Instant) {
	for _, s := range m.sales {
		due = append(due, s.OpensAt, s.ClosesAt, s.payoutAt(), s.ValidFrom, s.ValidUntil)
		for _, r := range s.holds() {
			due = append(due, r.PayBy)
		}
		period := sale.Instant(s.Price.Period.Milliseconds())
		for drop := s.OpensAt + period; drop > s.OpensAt && drop < s.ClosesAt; drop += period {
			due = append(due, drop)
		}
	}
	slices.Sort(due)
	due = slices.Compact(due)
	return slices.DeleteFunc(due, func(at sale.Instant) bool { return at <= t })
}

// purchase says whether a receipt is for units: those that buy, and a payment that
// came too late and bought a free unit.
func purchase(r *sale.Receipt) bool {
	switch r.Verb {
	case sale.Bid, sale.Reserve, sale.Claim, sale.Join:
		return true
	case sale.Pay:
		return r.Quantity > 0
	}
	return false
}

// units counts those of all purchases that stand so.
func (s *modelSale) units(status sale.Status) (n int64) {
	for _, r := range s.receipts {
		if purchase(r) && r.Status == status {
			n += r.Quantity
		}
	}
	return n
}

// sold counts units: an auction's are sold for good, even when they are refunded.
func (s *modelSale) sold() int64 {
	return s.units(sale.Confirmed) + s.units(sale.Refunded)
}

func (s *modelSale) free() int64 { return s.Stock - s.sold() - s.units(sale.Held) }

// has counts what a buyer has of the sale, or waits for.
func (s *modelSale) has(buyer int64) (n int64) {
	for _, r := range s.receipts {
		if purchase(r) && r.Buyer == buyer && (r.Status == sale.Confirmed || r.Status == sale.Held || r.Status == sale.Waiting) {
			n += r.Quantity
		}
	}
	return n
}

// line is who waits, first come first.
func (s *modelSale) line() (line []*sale.Receipt) {
	for _, r := range s.receipts {
		if r.Status == sale.Waiting {
			line = append(line, r)
		}
	}
	return line
}

// holds is who holds, the first to end first.
func (s *modelSale) holds() (holds []*sale.Receipt) {
	for _, r := range s.receipts {
		if r.Status == sale.Held {
			holds = append(holds, r)
		}
	}
	slices.SortStableFunc(holds, func(a, b *sale.Receipt) int { return cmp.Compare(a.PayBy, b.PayBy) })
	return holds
}

func (s *modelSale) payoutAt() sale.Instant {
	return s.ClosesAt + sale.Instant(s.RefundWindow.Milliseconds())
}

// returns says whether its units can come back, which are those that can be held.
func (s *modelSale) returns() bool { return s.Kind == sale.Reservation || s.Kind == sale.Event }

// fixed says whether its price never changes.
func (s *modelSale) fixed() bool {
	return s.Kind != sale.Auction || s.OpensAt+sale.Instant(s.Price.Period.Milliseconds()) == s.ClosesAt
}

// payee is who gets the points of a purchase: nobody else once they cannot be asked
// back, until then the escrow.
func (s *modelSale) payee() int64 {
	if s.RefundWindow == 0 || s.paidOut {
		return s.Seller
	}
	return s.Escrow
}

// Price is the unit price of a sale at a moment, walked from drop to drop. It is for
// prices so small that nothing overflows.
func Price(s sale.Sale, at sale.Instant) int64 {
	price := s.Price.Start
	period := sale.Instant(s.Price.Period.Milliseconds())
	if period == 0 {
		return price
	}
	for drop := s.OpensAt + period; drop <= at && drop < s.ClosesAt; drop += period {
		if s.Price.Policy == sale.Constant {
			price -= s.Price.Drop
		} else {
			price = price * (10_000 - s.Price.Rate) / 10_000
		}
	}
	return price
}
