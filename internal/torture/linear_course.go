package torture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sluice/client"
)

// course is what the clients know of one sale; or of all slots of one store, since a
// change of slot is about two.
type course struct {
	sales    []int64
	terms    []terms   // the same
	unknown  string    // why the model cannot judge it; "": it can
	asked    []*asking // in the order of their stream time; those without one first
	timeless int       // how many these are
	strict   bool      // the order within a millisecond is as asked has it
	shown    []showing // in the order of the clients' clock
	refused  []*asking // at the door, in the order in which they were told
}

// asking is an accepted request as the model hears it, or one that nobody knows to
// have been accepted, or not.
type asking struct {
	Asked
	index          int
	which          int // of the sales of its course
	key            string
	receipt        string
	account, sale  int64
	verb           client.Verb
	about          *asking     // Target
	sent, answered int64       // µs by the clients' clock; not answered: 0
	at             int64       // ms of stream time; 0: not known
	before         int         // requests with an earlier one
	door           client.Code // with which it was refused there
	least          int         // requests of which it had to be known then: they were seen decided
	seen           []Sighting  // once it was decided
	sure           bool        // it was done, and decided
	vanished       bool        // its end was not seen
	worth          int64       // points that its coupon takes off; −1: not known
	useless        bool        // its coupon cannot be usable
	end            bool        // no request, but the end
}

// showing is a receipt that was shown as it was at some time until then.
type showing struct {
	Sighting
	asked *asking
}

func (s Sighting) String() string {
	text := string(s.Status)
	if s.Reason != "" {
		text += " (" + string(s.Reason) + ")"
	}
	if s.Quantity != 0 {
		text += fmt.Sprintf(", %d units at %d, for %d", s.Quantity, s.UnitPrice, s.Amount)
	}
	if s.PayByMS != 0 {
		text += fmt.Sprintf(", to be paid by %d", s.PayByMS)
	}
	return text
}

func (a *asking) String() string {
	if a.end {
		return "the end"
	}
	text := fmt.Sprintf("%s %s by %d", a.key, a.verb, a.account)
	if a.Quantity != 0 {
		text += fmt.Sprintf(" of %d", a.Quantity)
	}
	if a.Target != "" {
		text += " of " + a.Target
	}
	if a.door != "" {
		return text + ": refused, " + string(a.door)
	}
	text += fmt.Sprintf(" at %d:", a.at)
	for _, s := range a.seen {
		text += " " + s.String() + ";"
	}
	return strings.TrimSuffix(text, ";")
}

// bears says whether a can be judged with what is known of it.
func (a *asking) bears() bool {
	switch a.verb {
	case client.VerbBid, client.VerbClaim, client.VerbJoin, client.VerbReserve:
		return a.Quantity > 0
	case client.VerbPay, client.VerbCancel, client.VerbRefund:
		return a.Target != ""
	case client.VerbChange:
		return a.Quantity != 0 || a.ClosesAtMS != 0
	}
	return false
}

// moves says whether it is a change of slot.
func (a *asking) moves() bool { return a.verb == client.VerbReserve && a.Target != "" }

// courses tells h sale by sale, and store by store.
func courses(h History) (all []*course) {
	offered := map[int64]client.Sale{}
	for _, s := range h.Sales {
		offered[s.ID] = s
	}
	var asked, refused []*asking
	byReceipt := map[string]*asking{}
	for _, r := range h.Requests {
		if a, ok := hear(r); ok {
			asked = append(asked, a)
			if a.receipt != "" {
				byReceipt[a.receipt] = a
			}
		} else if r.Refused != "" && r.AnsweredUS != 0 {
			a.door, a.answered = client.Code(r.Refused), r.AnsweredUS
			refused = append(refused, a)
		}
	}
	type one struct{ store, sale int64 }
	found := map[one]*course{}
	of := func(sale int64) *course {
		s, known := offered[sale]
		key := one{sale: sale}
		if s.Store != 0 {
			key = one{store: s.Store}
		}
		c := found[key]
		if c == nil {
			c = &course{}
			found[key] = c
			all = append(all, c)
		}
		if !slices.Contains(c.sales, sale) {
			c.sales, c.terms = append(c.sales, sale), append(c.terms, termsOf(s))
			if !known {
				c.unknown = "its terms are not known"
			}
		}
		return c
	}
	for _, a := range asked {
		if a.about = byReceipt[a.Target]; a.about != nil && a.verb != client.VerbReserve {
			a.sale = a.about.sale
		}
		c := of(a.sale)
		a.which = slices.Index(c.sales, a.sale)
		c.asked = append(c.asked, a)
		if !a.bears() {
			c.unknown = cmp.Or(c.unknown, "the model does not know "+a.String())
		}
		if a.about != nil && a.moves() && of(a.about.sale) != c {
			c.unknown = cmp.Or(c.unknown, "it is mixed up with others")
			of(a.about.sale).unknown = c.unknown
		}
		a.price(c.terms[a.which], byReceipt[a.Coupon], offered)
	}
	for _, a := range refused {
		c := of(a.sale)
		a.which = slices.Index(c.sales, a.sale)
		c.refused = append(c.refused, a)
	}
	for _, c := range all {
		c.order()
	}
	return all
}

// hear tells a request to the model. It answers false when that had no effect.
func hear(r *Request) (*asking, bool) {
	a := &asking{Asked: r.Asked, key: r.Key, account: r.Account, sale: r.Sale, verb: r.Verb, sent: r.SentUS}
	if !r.accepted() { // what was refused for our own faults may have been done before that
		return a, r.Unanswered != "" || r.Refused != "" && !slices.Contains(refusals, r.Refused)
	}
	a.receipt, a.answered, a.at = r.Answers[0], r.AnsweredUS, r.StreamMS
	if a.verb == client.VerbChange {
		a.Quantity = cmp.Or(a.Quantity, r.Grown)
	}
	for _, s := range r.Seen {
		if s.Status == client.Queued {
			a.seen = nil // what was decided before was lost, and asked again
			continue
		}
		a.seen = append(a.seen, s)
	}
	a.sure, a.vanished = len(a.seen) > 0, r.Vanished != ""
	return a, r.last().Reason != suspended && !slices.Contains(faults, r.last().Reason)
}

// suspended is the reason of what an account asks that may not ask: nothing of it is
// known here.
const suspended client.Reason = "suspended"

// price notes what the coupon of a is worth.
func (a *asking) price(t terms, claim *asking, offered map[int64]client.Sale) {
	a.worth = -1
	if a.Coupon == "" {
		a.worth = 0
		return
	}
	a.useless = t.kind == client.Event || !t.fixed() || claim != nil && (claim.verb != client.VerbClaim || claim.account != a.account)
	if claim == nil {
		return
	}
	if s, known := offered[claim.sale]; known {
		a.worth = s.AmountOff
		a.useless = a.useless || s.Seller != t.seller
	}
}

// likely guesses how a stands among others of the same millisecond: who gives
// something back, who got what he wanted, who waited, in the order in which they got
// it or left, and who was turned away.
func (a *asking) likely(hold, left int64) (class int, until int64) {
	switch {
	case !a.sure:
		return 4, 0
	case a.seen[0].Status == client.Rejected && a.seen[0].Reason != client.ReasonClosed:
		return 3, 0
	case a.verb == client.VerbCancel || a.verb == client.VerbChange:
		return 0, 0
	}
	waited, until := a.seen[0].Status == client.Waiting, cmp.Or(left, never)
	for _, s := range a.seen {
		if s.PayByMS != 0 {
			waited, until = waited || s.PayByMS != a.at+hold, s.PayByMS-hold
		}
	}
	if waited {
		return 2, until
	}
	return 1, 0
}

// order puts everything in order.
func (c *course) order() {
	left := map[*asking]int64{}
	for _, a := range c.asked {
		if (a.verb == client.VerbCancel || a.moves()) && a.about != nil && a.sure && a.seen[0].Status != client.Rejected {
			left[a.about] = a.at
		}
	}
	likely := func(a *asking) (int, int64) { return a.likely(c.terms[a.which].hold, left[a]) }
	slices.SortStableFunc(c.asked, func(a, b *asking) int {
		first, until := likely(a)
		second, till := likely(b)
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(first, second), cmp.Compare(until, till))
	})
	for i, a := range c.asked {
		a.index, a.before = i, i-c.timeless
		switch {
		case a.at == 0:
			a.before = 0
			c.timeless++
		case i > 0 && a.at == c.asked[i-1].at:
			a.before = c.asked[i-1].before
		}
		for _, s := range a.seen {
			c.shown = append(c.shown, showing{s, a})
		}
	}
	slices.SortStableFunc(c.shown, func(a, b showing) int { return cmp.Compare(a.AtUS, b.AtUS) })
	slices.SortStableFunc(c.refused, func(a, b *asking) int { return cmp.Compare(a.answered, b.answered) })
	for _, r := range c.refused {
		for _, a := range c.asked {
			if a.sure && a.at != 0 && a.seen[0].AtUS < r.sent {
				r.least = max(r.least, a.before+1)
			}
		}
	}
}
