package sale_test

import (
	"fmt"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// model is the rules of the domain once more, written as plainly as they can be
// said: one entry after the other, no batches, no effects, no shortcuts. It
// shares nothing with Decide but the words.
type model struct {
	generation int64
	sales      map[int64]*modelSale
	points     map[int64]int64
	receipts   map[uuid.UUID]*modelReceipt
}

type modelSale struct {
	terms sale.Sale
	stock int64
	sold  int64
	owns  map[int64]int64
}

type modelReceipt struct {
	verb                         sale.Verb
	sale, buyer, quantity, price int64
	status, reason               string
}

func newModel(s scene) *model {
	m := &model{generation: s.facts.Generation, sales: map[int64]*modelSale{}, points: map[int64]int64{}, receipts: map[uuid.UUID]*modelReceipt{}}
	for id, stand := range s.state {
		m.sales[id] = &modelSale{terms: stand.Sale, stock: stand.Stock, owns: map[int64]int64{}}
	}
	for wallet, points := range s.facts.Balances {
		m.points[wallet] = points
	}
	return m
}

// hear answers an entry in the words of say.
func (m *model) hear(e sale.Entry) string {
	if e.Verb == sale.Rebuilt {
		return "confirmed, stands"
	}
	if e.Verb == 0 && e.Receipt == uuid.Nil {
		return "rejected internal, stands"
	}
	if known := m.receipts[e.Receipt]; known != nil {
		return known.words() + ", stands"
	}
	r := &modelReceipt{verb: e.Verb, sale: e.Sale, buyer: e.Buyer, quantity: e.Quantity, status: "confirmed"}
	if r.reason = m.judge(e, r); r.reason != "" {
		r.status = "rejected"
	}
	m.receipts[e.Receipt] = r
	return r.words()
}

func (r *modelReceipt) words() string {
	words := r.status
	if r.reason != "" {
		words += " " + r.reason
	}
	if r.price != 0 {
		words += fmt.Sprint(" at ", r.price)
	}
	return words
}

// judge answers the reason against e, or "" and makes it happen.
func (m *model) judge(e sale.Entry, r *modelReceipt) string {
	if e.Verb == 0 {
		return "internal"
	}
	if e.Generation < m.generation {
		return "lost"
	}
	s := m.sales[e.Sale]
	if s == nil {
		return "unknown_sale"
	}
	at := e.ID.At
	paidAt := s.terms.ClosesAt + sale.Instant(s.terms.RefundWindow.Milliseconds())
	switch e.Verb {
	case sale.Bid:
		return m.bid(s, e, r)
	case sale.Refund:
		target := m.receipts[e.Target]
		if target == nil || target.verb != sale.Bid || target.sale != e.Sale || target.status == "rejected" {
			return "not_refundable"
		}
		if target.buyer != e.Buyer {
			return "not_yours"
		}
		if target.status == "refunded" {
			return "already_final"
		}
		if at < s.terms.ClosesAt || at >= paidAt {
			return "not_refundable"
		}
		m.points[s.terms.Escrow] -= target.price * target.quantity
		m.points[e.Buyer] += target.price * target.quantity
		s.owns[e.Buyer] -= target.quantity
		target.status, r.price = "refunded", target.price
	case sale.Change:
		if e.Buyer != s.terms.Seller {
			return "not_yours"
		}
		if at >= s.terms.ClosesAt {
			return "closed"
		}
		if e.ClosesAt != 0 && e.ClosesAt != s.terms.ClosesAt {
			return "price_changed"
		}
		if e.Quantity < 0 || e.Quantity > 1_000_000_000-s.stock {
			return "over_limit"
		}
		s.stock += e.Quantity
	case sale.Payout:
		if at < paidAt {
			return "not_payable"
		}
		m.points[s.terms.Seller] += m.points[s.terms.Escrow]
		m.points[s.terms.Escrow] = 0
	}
	return ""
}

func (m *model) bid(s *modelSale, e sale.Entry, r *modelReceipt) string {
	if e.ID.At < s.terms.OpensAt {
		return "not_open"
	}
	if e.ID.At >= s.terms.ClosesAt {
		return "closed"
	}
	if e.Quantity < 1 {
		return "internal"
	}
	if s.owns[e.Buyer]+e.Quantity > s.terms.Limit {
		return "over_limit"
	}
	if s.sold+e.Quantity > s.stock {
		return "sold_out"
	}
	price := modelPrice(s.terms, e.ID.At)
	if price > e.Price || e.Exact && price != e.Price {
		return "price_changed"
	}
	if m.points[e.Buyer] < price*e.Quantity {
		return "short_points"
	}
	payee := s.terms.Escrow
	if s.terms.RefundWindow == 0 {
		payee = s.terms.Seller
	}
	m.points[e.Buyer] -= price * e.Quantity
	m.points[payee] += price * e.Quantity
	s.sold += e.Quantity
	s.owns[e.Buyer] += e.Quantity
	r.price = price
	return ""
}

// modelPrice walks from drop to drop. Prices here are small: nothing overflows.
func modelPrice(s sale.Sale, at sale.Instant) int64 {
	price := s.Price.Start
	period := sale.Instant(s.Price.Period.Milliseconds())
	for drop := s.OpensAt + period; drop <= at && drop < s.ClosesAt; drop += period {
		if s.Price.Policy == sale.Constant {
			price -= s.Price.Drop
		} else {
			price = price * (10_000 - s.Price.Rate) / 10_000
		}
	}
	return price
}
