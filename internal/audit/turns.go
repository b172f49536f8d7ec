package audit

import (
	"math/bits"

	"sluice/internal/sale"
)

// This file judges the outcomes without sale.Decide and without its arithmetic,
// so that a wrong rule there does not prove itself right.

// turn is a sale as the next request in stream order finds it.
type turn struct {
	free int64 // units

	drops, price int64 // the price after so many drops: it only ever falls, so it is carried along
}

// take goes through a batch in stream order, with the units that are free at each
// turn. The last state before the opening says how many there were, or the first one
// recorded; after that only outcomes count.
func (w *walk) take(b sale.Batch) {
	for id, s := range b.State {
		if s.Phase == sale.Scheduled { // its seller may have given it another stock since
			delete(w.turns, id)
		}
	}
	for i, e := range b.Entries {
		o, s := b.Outcomes[i], b.State[e.Sale]
		if o.Stands || s == nil {
			continue
		}
		t := w.turns[e.Sale]
		if t == nil {
			t = &turn{free: s.Free}
			w.turns[e.Sale] = t
		}
		switch {
		case o.Reason == sale.SoldOut, o.Status == sale.Waiting:
			w.inverted(t, e, o)
		case e.Verb == sale.Bid && (o.Status == sale.Confirmed || o.Status == sale.Held):
			w.sells(t, e)
			w.costs(t, e, o)
			t.free -= e.Quantity
		case e.Verb == sale.Refund && o.Status == sale.Confirmed:
			w.returns(e)
		case e.Verb == sale.Change && o.Status == sale.Confirmed:
			t.free += e.Quantity
		}
	}
}

// inverted: nobody is sold out, or put in line, while enough units are free for
// him at his turn.
func (w *walk) inverted(t *turn, e sale.Entry, o sale.Outcome) {
	if e.Quantity <= t.free {
		w.n.Inversions++
		w.n.found(Inversions, w.p, e.Sale, "%s %s at %s wants %d units and is %s, while %d are free", e.Verb, e.Receipt, e.ID, e.Quantity, say(o), t.free)
	}
}

// sells: a bid is confirmed only from opens_at until before closes_at, and only
// when its units are free at its turn.
func (w *walk) sells(t *turn, e sale.Entry) {
	if e.Quantity > t.free {
		w.n.found(Turns, w.p, e.Sale, "bid %s at %s gets %d units, while %d are free", e.Receipt, e.ID, e.Quantity, t.free)
	}
	if s := w.rows[e.Sale]; s != nil && (e.ID.At < s.OpensAt || e.ID.At >= s.ClosesAt) {
		w.n.found(Turns, w.p, e.Sale, "bid %s at %s is confirmed; the sale sells from %d to %d", e.Receipt, e.ID, s.OpensAt, s.ClosesAt)
	}
}

// returns: a refund is confirmed only from closes_at until before payout_at.
func (w *walk) returns(e sale.Entry) {
	if s := w.rows[e.Sale]; s != nil && (e.ID.At < s.ClosesAt || e.ID.At >= s.PayoutAt()) {
		w.n.found(Turns, w.p, e.Sale, "refund %s at %s is confirmed; the sale refunds from %d to %d", e.Receipt, e.ID, s.ClosesAt, s.PayoutAt())
	}
}

// costs: a bid pays the price of its own stream time by the curve that Postgres
// has, and no more than it said.
func (w *walk) costs(t *turn, e sale.Entry, o sale.Outcome) {
	s := w.rows[e.Sale]
	if s == nil || s.Price.Period.Milliseconds() <= 0 || e.ID.At < s.OpensAt || e.ID.At >= s.ClosesAt {
		return // which sells has told
	}
	drops := int64(e.ID.At-s.OpensAt) / s.Price.Period.Milliseconds()
	if drops < t.drops || t.price == 0 {
		t.drops, t.price = 0, s.Price.Start
	}
	for ; t.drops < drops; t.drops++ {
		switch s.Price.Policy {
		case sale.Constant:
			t.price -= s.Price.Drop
		case sale.Percentage:
			t.price = keep(t.price, s.Price.Rate)
		}
	}
	if o.UnitPrice != t.price || e.Price < t.price || e.Exact && e.Price != t.price {
		w.n.found(Price, w.p, e.Sale, "bid %s at %s offers %d and pays %d; the price is %d", e.Receipt, e.ID, e.Price, o.UnitPrice, t.price)
	}
}

// keep is floor(price × (10000 − rate) / 10000), through 128 bits.
func keep(price, rate int64) int64 {
	high, low := bits.Mul64(uint64(price), uint64(10_000-rate))
	quotient, _ := bits.Div64(high, low, 10_000)
	return int64(quotient)
}
