package audit

import (
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// due lets happen what a sale owes to time up to a moment, as far as it is recorded:
// holds that end, each with the promotions that follow at once, and the line that is
// turned away at the close. Of the moves of a batch, those that something else has
// brought about begin with another one.
func (w *walk) due(t *turn, until sale.Instant) {
	for {
		m := w.peek(t)
		switch {
		case m.At > until || m.Receipt.ID == uuid.Nil:
			return
		case t.blind:
			w.next(t)
		case m.Receipt.Status == sale.Expired:
			w.expires(t, w.next(t))
		case m.Receipt.Status == sale.Rejected:
			w.turnsAway(t, w.next(t))
		default:
			return
		}
	}
}

// overdue: what time has brought about by then has happened before anything else
// does. What is due after the close changes nothing for anybody else.
func (w *walk) overdue(t *turn, e sale.Entry) {
	if r, any := t.ends(); any && r.PayBy <= e.ID.At && r.PayBy < t.closes {
		w.loses(t, Holds, "%s %s at %s finds receipt %s still held, which ended at %d", e.Verb, e.Receipt, e.ID, r.ID, r.PayBy)
	}
}

// expires: a hold ends at its pay_by, unpaid, and those of an open sale in that
// order.
func (w *walk) expires(t *turn, m sale.Move) {
	r, held := t.held[m.Receipt.ID]
	first, _ := t.ends()
	switch {
	case !held:
		w.loses(t, Holds, "receipt %s expires at %d, which is not held", m.Receipt.ID, m.At)
		return
	case m.At != r.PayBy || m.Receipt.PayBy != r.PayBy:
		w.loses(t, Holds, "receipt %s expires at %d, it is held until %d", r.ID, m.At, r.PayBy)
		return
	case t.sells(m.At) && r.ID != first.ID:
		w.loses(t, Holds, "receipt %s expires at %d before %s, which ends at %d", r.ID, m.At, first.ID, first.PayBy)
		return
	}
	delete(t.held, r.ID)
	t.free += r.Quantity
	w.promotes(t, m.At)
}

// turnsAway: who waits when the sale closes, and not before, is rejected then.
func (w *walk) turnsAway(t *turn, m sale.Move) {
	i, waits := t.find(m.Receipt)
	if !waits || m.At != t.closes {
		w.loses(t, Line, "receipt %s is turned away at %d; it waits: %t, the sale closes at %d", m.Receipt.ID, m.At, waits, t.closes)
		return
	}
	t.steps(i)
}

// promotes: units that are free go to the first in line at once, as long as they are
// enough for him, with a fresh pay_by; only where there are too few for him, and only
// so often, to one behind him. Nothing is promoted after the close, nor while the sale
// is suspended.
func (w *walk) promotes(t *turn, at sale.Instant) {
	for !t.blind && !t.suspended && t.sells(at) && t.free > 0 {
		i := t.whose()
		if i < 0 {
			return
		}
		w.passes(t, i, at)
		r, m := t.line[i], w.next(t)
		want := r
		want.Status, want.PayBy = sale.Held, at.Add(t.terms.Hold)
		if t.terms.Kind == sale.Event && r.Cost() == 0 { // nothing to pay, nothing to wait for
			want.Status, want.PayBy = sale.Confirmed, 0
		}
		switch {
		case t.blind:
			return
		case m.Receipt.ID != r.ID || m.From != sale.Waiting || m.At != at:
			w.loses(t, Line, "%d units are free at %d and go to %s, in line first for them is %s", t.free, at, orNobody(m), r.ID)
			return
		case m.Receipt.Status != want.Status || m.Receipt.PayBy != want.PayBy:
			w.loses(t, Holds, "receipt %s is promoted at %d to %s, must be %s until %d", r.ID, at, tell(m.Receipt, true), want.Status, want.PayBy)
			return
		}
		t.steps(i)
		t.free -= r.Quantity
		if want.Status == sale.Held {
			t.hold(want)
		}
	}
}

// whose answers the place in line of whom free units go to, −1 when they stay free.
func (t *turn) whose() int {
	for i, r := range t.line[:min(len(t.line), sale.BypassReach)] {
		switch {
		case r.Quantity <= t.free:
			return i
		case r.Passed >= t.terms.MaxBypass:
			return -1
		}
	}
	return -1
}

// serves says whether a new request for so many units must be served at once: there
// are enough, and all who wait may still be passed.
func (t *turn) serves(units int64) bool {
	first := func(r sale.Receipt) bool { return r.Passed >= t.terms.MaxBypass }
	return units <= t.free && (len(t.line) == 0 || len(t.line) < sale.BypassReach && !slices.ContainsFunc(t.line, first))
}

// takes: a purchase has its units only when they are free at its turn, and passes
// only whom it may.
func (w *walk) takes(t *turn, e sale.Entry, units int64) {
	switch {
	case units > t.free:
		w.n.found(Turns, w.p, e.Sale, "%s %s at %s gets %d units, while %d are free", e.Verb, e.Receipt, e.ID, units, t.free)
	case !t.serves(units):
		w.n.found(Line, w.p, e.Sale, "%s %s at %s gets %d units, while %d wait for theirs", e.Verb, e.Receipt, e.ID, units, len(t.line))
	}
	w.passes(t, len(t.line), e.ID.At)
	t.free -= units
}

// passes: each time that somebody goes before others in line is counted for all of
// those.
func (w *walk) passes(t *turn, n int, at sale.Instant) {
	for i := range t.line[:n] {
		r := &t.line[i]
		m := w.next(t)
		if m.Receipt.ID != r.ID || m.Receipt.Status != sale.Waiting || m.Receipt.Passed != r.Passed+1 || m.At != at {
			w.loses(t, Line, "receipt %s is passed at %d for the %d. time, and nothing tells", r.ID, at, r.Passed+1)
			return
		}
		r.Passed++
	}
}

// pays: a hold is paid before it ends.
func (w *walk) pays(t *turn, e sale.Entry, o sale.Outcome) {
	if t.blind {
		return
	}
	r, held := t.held[e.Target]
	m := w.next(t)
	switch {
	case !held || r.PayBy <= e.ID.At:
		w.loses(t, Holds, "pay %s at %s is confirmed; receipt %s is held: %t, until %d", e.Receipt, e.ID, e.Target, held, r.PayBy)
		return
	case m.Receipt.ID != r.ID || m.Receipt.Status != sale.Confirmed || m.At != e.ID.At:
		w.loses(t, Holds, "pay %s at %s is confirmed, but receipt %s does not move", e.Receipt, e.ID, e.Target)
		return
	case o.UnitPrice != r.UnitPrice:
		w.n.found(Price, w.p, e.Sale, "pay %s at %s pays %d for receipt %s, held at %d", e.Receipt, e.ID, o.UnitPrice, r.ID, r.UnitPrice)
	}
	delete(t.held, r.ID)
}

// paysLate: a payment for a hold that has ended buys what the hold was for, if it is
// free and nobody waits for it.
func (w *walk) paysLate(t *turn, b sale.Batch, e sale.Entry, o sale.Outcome) {
	if t.blind {
		return
	}
	w.inTime(t, e)
	r, known := b.Facts.Receipts[e.Target]
	for i, of := range b.Entries {
		if of.Receipt == e.Target && !b.Outcomes[i].Stands {
			r, known = asked(of, b.Outcomes[i]), true
		}
	}
	if _, held := t.held[e.Target]; held || !known {
		w.loses(t, Holds, "pay %s at %s buys anew what receipt %s is held for: %t, known: %t", e.Receipt, e.ID, e.Target, held, known)
		return
	}
	if o.Quantity != r.Quantity || o.UnitPrice != r.UnitPrice || r.Coupon != uuid.Nil {
		w.n.found(Price, w.p, e.Sale, "pay %s at %s buys %d at %d; it was for %s", e.Receipt, e.ID, o.Quantity, o.UnitPrice, tell(r, true))
	}
	w.takes(t, e, o.Quantity)
}

// leaves: a cancel, or a change of slot, ends what its target has, and what is free
// then goes on at once. What was paid is paid back only while its points are in
// escrow, and seats are given back only until the doors close.
func (w *walk) leaves(t *turn, e sale.Entry) {
	if t.blind {
		return
	}
	m := w.next(t)
	held, holds := t.held[e.Target]
	i, waits := t.find(m.Receipt)
	from := sale.Confirmed
	switch {
	case holds:
		from = sale.Held
	case waits:
		from = sale.Waiting
	}
	if m.Receipt.ID != e.Target || m.Receipt.Status != sale.Cancelled || m.From != from || m.At != e.ID.At {
		w.loses(t, Turns, "%s %s at %s is confirmed; its target %s, %s, must be cancelled, next moves %s", e.Verb, e.Receipt, e.ID, e.Target, from, orNobody(m))
		return
	}
	switch from {
	case sale.Held:
		delete(t.held, held.ID)
		t.free += held.Quantity
	case sale.Waiting:
		t.steps(i)
	default:
		last := t.payout()
		switch {
		case t.terms.RefundWindow == 0 && m.Receipt.Cost() > 0:
			last = 0
		case t.terms.Kind == sale.Event:
			last = t.closes
		}
		if e.ID.At >= last {
			w.n.found(Turns, w.p, t.id, "%s %s at %s gives back what was bought; that ended at %d", e.Verb, e.Receipt, e.ID, last)
		}
		t.free += m.Receipt.Quantity
	}
	w.promotes(t, e.ID.At)
}

// sells says whether t sells at that time.
func (t *turn) sells(at sale.Instant) bool { return at >= t.terms.OpensAt && at < t.closes }

// steps out of the line.
func (t *turn) steps(i int) {
	if i == 0 {
		t.line = t.line[1:] // the usual way, and no copying
		return
	}
	t.line = slices.Delete(t.line, i, i+1)
}

// find answers the place of r in line.
func (t *turn) find(r sale.Receipt) (int, bool) {
	i, _ := slices.BinarySearchFunc(t.line, r.LinePlace(), func(r sale.Receipt, p sale.Place) int { return r.LinePlace().Compare(p) })
	return i, i < len(t.line) && t.line[i].ID == r.ID
}

// peek answers the next move of a sale in this batch, of no receipt when there is
// none.
func (w *walk) peek(t *turn) (m sale.Move) {
	if rest := w.moves[t.id]; len(rest) > 0 {
		m = rest[0]
	}
	return m
}

// next is peek, and takes it away.
func (w *walk) next(t *turn) sale.Move {
	m := w.peek(t)
	if m.Receipt.ID != uuid.Nil {
		w.moves[t.id] = w.moves[t.id][1:]
		w.over(m)
	}
	return m
}

func orNobody(m sale.Move) string {
	if m.Receipt.ID == uuid.Nil {
		return "nobody"
	}
	return m.Receipt.ID.String() + " (" + m.From.String() + " to " + tell(m.Receipt, true) + ")"
}
