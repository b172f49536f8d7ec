package audit

import (
	"math/bits"
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// This file, with line.go and coupons.go, judges the outcomes without sale.Decide
// and without its arithmetic, so that a wrong rule there does not prove itself
// right. It follows each sale through the log: the units that are free, the holds
// and when they end, the line. From these it knows at each request what must happen,
// and compares that with what is recorded.

// turn is a sale as the next request in stream order finds it.
type turn struct {
	id     int64
	terms  sale.Sale    // as Postgres has them; none when it is deleted
	closes sale.Instant // which a change may move
	free   int64        // units

	suspended bool

	held    map[uuid.UUID]sale.Receipt
	pending []sale.Place   // of the holds, the first to end first; it may still have some that are over
	line    []sale.Receipt // in order

	whole bool // it was seen from its beginning: no hold can be there that it does not know
	blind bool // it cannot be followed until the next batch tells again how it stands

	drops, price int64 // the price after so many drops: it only ever falls, so it is carried along
}

// turn answers the turn of a sale at the beginning of a batch. The last state before
// the opening says how it stands, or the first one recorded; after that only outcomes
// and moves count.
func (w *walk) turn(b sale.Batch, s *sale.Stand) *turn {
	t := w.turns[s.ID]
	if t == nil || t.blind || s.Phase == sale.Scheduled { // its seller may have given it another stock since
		t = &turn{id: s.ID, free: s.Free, closes: s.ClosesAt, suspended: s.Suspended, held: map[uuid.UUID]sale.Receipt{}, whole: untouched(s)}
		for _, p := range s.Line {
			t.line = append(t.line, b.Facts.Receipts[p.Receipt])
		}
		row := w.rows[s.ID]
		if row != nil {
			t.terms = row.Sale
		}
		t.blind = row == nil || s.Waiting != int64(len(s.Line))
	}
	return t
}

// take goes through a batch in stream order.
func (w *walk) take(b sale.Batch) {
	w.moves = map[int64][]sale.Move{}
	for _, m := range b.Effects.Moves {
		w.moves[m.Receipt.Sale] = append(w.moves[m.Receipt.Sale], m)
	}
	for id, s := range b.State {
		w.turns[id] = w.turn(b, s)
	}
	for _, r := range b.Facts.Receipts { // a hold from before the log is seen when it matters
		if t := w.turns[r.Sale]; t != nil && !t.whole && r.Status == sale.Held {
			t.hold(r)
		}
	}
	for i, e := range b.Entries {
		o, t := b.Outcomes[i], w.turns[e.Sale]
		if o.Stands || e.Verb == 0 || o.Reason == sale.Lost || t == nil || b.State[e.Sale] == nil {
			continue // nothing happens
		}
		from := w.turns[e.From] // of a change of slot
		if from == nil || b.State[e.From] == nil {
			from = &turn{blind: true}
		}
		w.due(t, e.ID.At)
		w.due(from, e.ID.At)
		if !e.Verb.Tick() { // which may leave some to the next one
			w.overdue(t, e)
		}
		switch {
		case o.Status == sale.Rejected:
			w.refused(t, e, o)
		case e.Verb == sale.Suspend, e.Verb == sale.Resume:
			w.stops(t, e)
		case e.Verb.Buys():
			w.gets(t, from, e, o)
		default:
			w.others(t, b, e, o)
		}
		if t.blind { // what it has brought about is over, too
			w.due(t, e.ID.At)
		}
		if from.blind {
			w.due(from, e.ID.At)
		}
	}
	for id, rest := range w.moves {
		for _, m := range rest {
			w.over(m)
		}
		if t := w.turns[id]; len(rest) > 0 && t != nil && !t.blind {
			w.strays(t, rest[0])
		}
	}
	w.couponsMade(b)
}

// strays tells of a move that nothing has brought about.
func (w *walk) strays(t *turn, m sale.Move) {
	rule := Line
	if m.Receipt.Status == sale.Expired {
		rule = Holds
	}
	w.loses(t, rule, "receipt %s goes from %s to %s at %d, for no reason", m.Receipt.ID, m.From, tell(m.Receipt, true), m.At)
}

// loses tells what is wrong and follows the sale no further: one fault is one
// finding.
func (w *walk) loses(t *turn, rule Rule, detail string, args ...any) {
	if !t.blind {
		w.n.found(rule, w.p, t.id, detail, args...)
	}
	t.blind = true
}

// refused: nobody is sold out while there is enough for him at his turn, or told that
// the line is full while it is not, or that the sale is suspended.
func (w *walk) refused(t *turn, e sale.Entry, o sale.Outcome) {
	if o.Reason == sale.Suspended && !t.blind && !t.suspended {
		w.n.found(Turns, w.p, e.Sale, "%s %s at %s is %s; the sale is not", e.Verb, e.Receipt, e.ID, say(o))
	}
	if o.Reason != sale.SoldOut && o.Reason != sale.LineFull || t.blind {
		return
	}
	w.inverted(t, e, o)
	if e.Target == uuid.Nil && int64(len(t.line)) < t.terms.LineMost && !t.serves(e.Quantity) {
		w.n.found(Line, w.p, e.Sale, "%s %s at %s is %s, while %d of at most %d wait", e.Verb, e.Receipt, e.ID, say(o), len(t.line), t.terms.LineMost)
	}
}

// inverted: nobody is sold out, or put in line, while enough units are free for
// him at his turn and nobody waits whom he must not pass.
func (w *walk) inverted(t *turn, e sale.Entry, o sale.Outcome) {
	if t.serves(e.Quantity) {
		w.n.Inversions++
		w.n.found(Inversions, w.p, e.Sale, "%s %s at %s wants %d units and is %s, while %d are free", e.Verb, e.Receipt, e.ID, e.Quantity, say(o), t.free)
	}
}

// gets: a purchase is confirmed, held or put in line as its turn has it, at its
// price.
func (w *walk) gets(t, from *turn, e sale.Entry, o sale.Outcome) {
	if t.terms.ID == 0 {
		return
	}
	if e.Verb == sale.Claim {
		w.claims(t, e)
	}
	off := w.uses(t, e)
	if t.blind {
		return
	}
	w.inTime(t, e)
	w.costs(t, e, o, off)
	r := asked(e, o)
	if o.Status == sale.Waiting {
		w.inverted(t, e, o)
		if t.line = append(t.line, r); int64(len(t.line)) > t.terms.LineMost {
			w.n.found(Line, w.p, e.Sale, "%s %s at %s is number %d in a line of at most %d", e.Verb, e.Receipt, e.ID, len(t.line), t.terms.LineMost)
		}
		return
	}
	if e.Target != uuid.Nil {
		w.overdue(from, e)
		w.leaves(from, e)
	}
	w.takes(t, e, e.Quantity)
	var until sale.Instant // nothing but a reservation is held at once
	if t.terms.Kind == sale.Reservation {
		until = e.ID.At.Add(t.terms.Hold)
	}
	if o.PayBy != until || (o.Status == sale.Held) != (until != 0) {
		w.n.found(Holds, w.p, e.Sale, "%s %s at %s is %s, must be held until %d", e.Verb, e.Receipt, e.ID, say(o), until)
	}
	if o.Status == sale.Held {
		t.hold(r)
	}
}

// asked answers the receipt of e as it is first decided.
func asked(e sale.Entry, o sale.Outcome) sale.Receipt {
	return sale.Receipt{
		ID: e.Receipt, Verb: e.Verb, Sale: e.Sale, Buyer: e.Buyer, Quantity: e.Quantity, UnitPrice: o.UnitPrice, Discount: o.Discount,
		Coupon: e.Coupon, Status: o.Status, PayBy: o.PayBy, Seq: e.Seq, At: e.ID.At,
	}
}

// others: what does not ask for units, but may give some back.
func (w *walk) others(t *turn, b sale.Batch, e sale.Entry, o sale.Outcome) {
	switch {
	case e.Verb == sale.Refund:
		w.refunds(t, e)
	case e.Verb == sale.Cancel:
		w.leaves(t, e)
	case e.Verb == sale.Pay && o.Quantity > 0:
		w.paysLate(t, b, e, o)
	case e.Verb == sale.Pay:
		w.pays(t, e, o)
	case e.Verb == sale.Payout:
		w.running(t, e)
	case e.Verb == sale.Change:
		w.running(t, e)
		t.free += e.Quantity
		t.closes = max(t.closes, e.ClosesAt)
		w.promotes(t, e.ID.At)
	}
}

// inTime: a purchase counts only from opens_at until before closes_at.
func (w *walk) inTime(t *turn, e sale.Entry) {
	if !t.sells(e.ID.At) {
		w.n.found(Turns, w.p, e.Sale, "%s %s at %s counts; the sale sells from %d to %d", e.Verb, e.Receipt, e.ID, t.terms.OpensAt, t.closes)
	}
	w.running(t, e)
}

// running: while a sale is suspended nobody buys anything of it, it does not grow, and
// its seller is not paid.
func (w *walk) running(t *turn, e sale.Entry) {
	if t.suspended && !t.blind {
		w.n.found(Turns, w.p, e.Sale, "%s %s at %s is confirmed, and the sale is suspended", e.Verb, e.Receipt, e.ID)
	}
}

// stops: what is suspended sells nothing from then on; what is resumed serves its line
// at once.
func (w *walk) stops(t *turn, e sale.Entry) {
	t.suspended = e.Verb == sale.Suspend
	w.promotes(t, e.ID.At)
}

// refunds: a refund is confirmed only from closes_at until before payout_at, and
// takes its bid along.
func (w *walk) refunds(t *turn, e sale.Entry) {
	if t.blind {
		return
	}
	if e.ID.At < t.closes || e.ID.At >= t.payout() {
		w.n.found(Turns, w.p, e.Sale, "refund %s at %s is confirmed; the sale refunds from %d to %d", e.Receipt, e.ID, t.closes, t.payout())
	}
	if m := w.next(t); m.Receipt.ID != e.Target || m.Receipt.Status != sale.Refunded || m.At != e.ID.At && m.At != 0 {
		w.loses(t, Turns, "refund %s at %s is confirmed, but its bid %s does not move", e.Receipt, e.ID, e.Target)
	}
}

// payout is when escrow goes to the seller.
func (t *turn) payout() sale.Instant { return t.closes.Add(t.terms.RefundWindow) }

// costs: a purchase pays the price of its own stream time by the curve that Postgres
// has, no more than it said, and less by just what its coupon is worth.
func (w *walk) costs(t *turn, e sale.Entry, o sale.Outcome, off int64) {
	if e.Verb == sale.Claim {
		return // which is free
	}
	price, ok := t.priceAt(e.ID.At)
	if !ok {
		return // which inTime has told
	}
	bad := o.UnitPrice != price || o.Discount != min(off, price*e.Quantity)
	if e.Verb == sale.Bid {
		bad = bad || e.Price < price || e.Exact && e.Price != price
	}
	if bad {
		w.n.found(Price, w.p, e.Sale, "%s %s at %s offers %d and pays %d less %d; the price is %d, its coupon worth %d",
			e.Verb, e.Receipt, e.ID, e.Price, o.UnitPrice, o.Discount, price, off)
	}
}

// priceAt is the unit price at that time; there is none when the sale does not sell.
func (t *turn) priceAt(at sale.Instant) (int64, bool) {
	curve := t.terms.Price
	switch {
	case curve.Policy == sale.Fixed:
		return curve.Start, true
	case curve.Period.Milliseconds() <= 0 || !t.sells(at):
		return 0, false
	}
	drops := int64(at-t.terms.OpensAt) / curve.Period.Milliseconds()
	if drops < t.drops || t.price == 0 {
		t.drops, t.price = 0, curve.Start
	}
	for ; t.drops < drops; t.drops++ {
		switch curve.Policy {
		case sale.Constant:
			t.price -= curve.Drop
		case sale.Percentage:
			t.price = keep(t.price, curve.Rate)
		}
	}
	return t.price, true
}

// keep is floor(price × (10000 − rate) / 10000), through 128 bits.
func keep(price, rate int64) int64 {
	high, low := bits.Mul64(uint64(price), uint64(10_000-rate))
	quotient, _ := bits.Div64(high, low, 10_000)
	return int64(quotient)
}

// hold keeps r until its pay_by.
func (t *turn) hold(r sale.Receipt) {
	if _, known := t.held[r.ID]; known {
		return
	}
	t.held[r.ID] = r
	i, _ := slices.BinarySearchFunc(t.pending, r.HoldPlace(), sale.Place.Compare)
	t.pending = slices.Insert(t.pending, i, r.HoldPlace())
}

// ends answers the hold that ends first.
func (t *turn) ends() (sale.Receipt, bool) {
	for ; len(t.pending) > 0; t.pending = t.pending[1:] {
		if r, live := t.held[t.pending[0].Receipt]; live {
			return r, true
		}
	}
	return sale.Receipt{}, false
}
