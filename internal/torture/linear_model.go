package torture

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"sluice/client"
)

// stand is how a sale stands at one moment of stream time. It never changes once it is
// made: a step makes another.
type stand struct {
	*course
	at       int64     // stream time
	done     int       // requests with a stream time that were decided
	told     int       // things shown that were looked at
	refused  int       // refusals at the door that were looked at
	shelves  []shelf   // of the sales
	bookings []booking // by the index of their request
	wrong    snag      // what became of somebody cannot be, by what was seen of him
}

// shelf is what changes of a sale beside its bookings.
type shelf struct {
	stock  int64 // units
	closes int64 // stream time
	closed bool
	turns  int // given to those whose place in the stream matters

	// What may be told at the door.
	spent    int   // 1 + the requests after which, last of all, everything was sold for good; 0: never
	extended int   // the requests with which the close was put off last; 0: never
	earlier  int64 // the close before it was ever put off
}

// counter is one sale of a stand, where the clerk sits.
type counter struct {
	*stand
	*shelf
	terms terms
	which int
}

func (s *stand) counter(which int) counter {
	return counter{s, &s.shelves[which], s.course.terms[which], which}
}

// booking is a request and what became of it. It is no booking before it was decided,
// or when it was not done.
type booking struct {
	status client.Status
	reason client.Reason
	been   been
	units  int64 // that it is for; none of a payment in time, a cancel, a refund, a change
	price  int64 // points per unit
	off    int64 // points off all of them
	payBy  int64 // stream time
	passed int64 // times that others went before it in the line
	turn   int   // its number in the sale, where that matters: in the line, and of a hold whose end may let others pass
}

// been is the statuses in which a receipt has been.
type been uint8

func bit(s client.Status) been {
	return 1 << slices.Index([]client.Status{client.Confirmed, client.Held, client.Waiting, client.Rejected, client.Expired, client.Cancelled, client.Refunded}, s)
}

func (b *booking) become(s client.Status) {
	b.status = s
	b.been |= bit(s)
}

func (b *booking) String() string {
	if b.reason != "" {
		return fmt.Sprintf("%s (%s)", b.status, b.reason)
	}
	return string(b.status)
}

func (b *booking) cost() int64 { return b.units*b.price - b.off }

// atOnce says that b was rejected when it was decided: nothing of it stays.
func (b *booking) atOnce() bool { return b.been == bit(client.Rejected) }

func (b *booking) final() bool { return len(after[b.status]) == 0 }

func (c *course) begin() *stand {
	s := &stand{course: c, bookings: make([]booking, len(c.asked))}
	for _, t := range c.terms {
		s.shelves = append(s.shelves, shelf{stock: t.stock, closes: t.closes})
	}
	return s
}

func (s *stand) clone() *stand {
	n := *s
	n.shelves, n.bookings = slices.Clone(s.shelves), slices.Clone(s.bookings)
	return &n
}

func (s *stand) equal(o *stand) bool {
	return s.at == o.at && s.done == o.done && s.told == o.told && s.refused == o.refused && slices.Equal(s.shelves, o.shelves) && slices.Equal(s.bookings, o.bookings)
}

func (s *stand) String() string {
	var text []string
	for i := range s.sales {
		text = append(text, s.counter(i).String())
	}
	return strings.Join(text, "; ")
}

func (c counter) String() string {
	var held int64
	for i, b := range c.bookings {
		if b.status == client.Held && c.asked[i].which == c.which {
			held += b.units
		}
	}
	return fmt.Sprintf("sale %d at %d: %d of %d units free, %d held, %d waiting, closed %t",
		c.sales[c.which], c.at, c.free(), c.stock, held, len(c.line()), c.closed)
}

// never is after everything.
const never = math.MaxInt64

// snag is why something cannot be next, and of which request.
type snag struct {
	of   *asking
	text string
}

// step answers how a sale may stand after a: in more than one way where nobody knows
// when, or whether, it was done. In none, and why, when it cannot be next.
func (c *course) step(s *stand, a *asking) (next []*stand, why snag) {
	if !s.mayBeNext(a) {
		return nil, snag{a, "it was answered before others were sent that have an earlier stream time"}
	}
	for _, at := range s.moments(a) {
		n := s.clone()
		for i := range n.shelves {
			n.counter(i).advance(at)
		}
		n.at = max(n.at, at)
		if why = n.tell(a); why.of == nil {
			why = n.wrong
		}
		if why.of != nil {
			continue
		}
		if a.at != 0 {
			n.done++
		}
		if a.end {
			next = append(next, n)
			continue
		}
		if !a.sure {
			next = append(next, n.clone())
		}
		b := n.counter(a.which).decide(a)
		if !a.fits(b) {
			why = snag{a, "by the rules it is " + b.String()}
			continue
		}
		if n.wrong.of != nil {
			why = n.wrong
			continue
		}
		if a.sure || b.status != client.Rejected { // else it is as if it was not done
			n.bookings[a.index] = b
			next = append(next, n)
		}
	}
	return next, why
}

// mayBeNext says whether all are decided that have an earlier stream time than a.
func (s *stand) mayBeNext(a *asking) bool {
	return a.at == 0 || s.done >= a.before && (!s.strict || s.done == a.index-s.timeless)
}

// moments are the stream times at which a may be decided.
func (s *stand) moments(a *asking) []int64 {
	switch {
	case a.end:
		return []int64{never}
	case a.at != 0:
		return []int64{a.at}
	}
	latest := int64(never)
	if i := s.timeless + s.done; i < len(s.asked) {
		latest = s.asked[i].at
	}
	all := []int64{max(s.at, min(s.course.terms[a.which].opens, latest))}
	for _, b := range s.bookings {
		if b.status == client.Held && b.payBy > s.at && b.payBy <= latest {
			all = append(all, b.payBy)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fits says whether b can have been the outcome of a, going by how that was seen first.
func (a *asking) fits(b booking) bool {
	if !a.sure {
		return true
	}
	first := a.seen[0]
	switch {
	case b.status == client.Rejected:
		return first.Status == client.Rejected && first.Reason == b.reason
	case first.Status == client.Rejected:
		return b.status == client.Waiting && first.Reason == client.ReasonClosed
	}
	return first.Status == b.status || slices.Contains(after[b.status], first.Status)
}

// tell looks at what had been shown, and refused, when a was sent: that must have come
// true before. It says what has not.
func (s *stand) tell(a *asking) snag {
	for ; s.told < len(s.shown) && s.shown[s.told].AtUS < a.sent; s.told++ {
		shown := s.shown[s.told]
		if is := s.against(shown); is != "" {
			return snag{shown.asked, fmt.Sprintf("it was shown, %d µs after the beginning, as %s, and is %s", shown.AtUS, shown.Sighting, is)}
		}
	}
	for i := range s.shelves {
		if c := s.counter(i); !c.terms.returns() && c.free() == 0 {
			c.spent = s.done + 1
		}
	}
	for ; s.refused < len(s.course.refused) && s.course.refused[s.refused].answered < a.sent; s.refused++ {
		r := s.course.refused[s.refused]
		if s.timeless == 0 && !s.counter(r.which).turnsAway(r) {
			return snag{r, "it was refused at the door for what was not so"}
		}
	}
	return snag{}
}

// turnsAway says whether a request can have been refused at the door until now, going
// by how the sale stood after what it had to know of.
func (c counter) turnsAway(r *asking) bool {
	switch r.door {
	case client.CodeSoldOut:
		return c.spent > r.least
	case client.CodeClosed:
		return c.closed || c.extended > r.least && c.earlier <= c.at
	}
	return true // not open yet, or for what is the business of another rule
}

// against says as what a receipt should have been shown; "": as it was.
func (s *stand) against(shown showing) string {
	b := s.bookings[shown.asked.index]
	switch {
	case b.status == "":
		return "not decided"
	case b.been&bit(shown.Status) == 0:
		return b.String()
	case shown.Status == client.Rejected:
		if shown.Reason != b.reason {
			return string(b.reason)
		}
	case shown.UnitPrice != b.price:
		return fmt.Sprint("at ", b.price)
	case shown.asked.verb != client.VerbChange && shown.Quantity != b.units:
		return fmt.Sprint(b.units, " units")
	case b.units > 0 && shown.Amount != b.cost():
		return fmt.Sprint("for ", b.cost())
	case shown.Status == client.Held && shown.PayByMS != b.payBy:
		return fmt.Sprint("to be paid by ", b.payBy)
	}
	return ""
}

// advance lets happen what is due by t, each at its own time: the holds end, and the
// sale closes, at one moment before they do.
func (c counter) advance(t int64) {
	for {
		h := c.soonest()
		switch {
		case h >= 0 && c.bookings[h].payBy <= t && (c.closed || c.bookings[h].payBy < c.closes):
			c.turn(h, client.Expired)
			c.serve(c.bookings[h].payBy)
		case !c.closed && c.closes <= t:
			c.closed = true
			for _, i := range c.line() {
				c.bookings[i].reason = client.ReasonClosed
				c.turn(i, client.Rejected)
			}
		default:
			return
		}
	}
}

// turn lets a booking go on, and notes when that cannot be: it is better noticed now
// than when it is shown.
func (c counter) turn(i int, to client.Status) {
	b, a := &c.bookings[i], c.asked[i]
	b.become(to)
	if c.terms.passMost == 0 || to != client.Held {
		b.turn = 0
	}
	if !a.sure || a.vanished || c.wrong.of != nil {
		return
	}
	last := a.seen[len(a.seen)-1].Status
	fits := last == to || slices.Contains(after[to], last) || !(client.Receipt{Status: last}).Settled()
	for _, s := range a.seen {
		fits = fits && (to != client.Held || s.Status != client.Held || s.PayByMS == b.payBy)
	}
	if !fits {
		c.wrong = snag{a, fmt.Sprintf("by the rules it goes on to be %s, to be paid by %d", b, b.payBy)}
	}
}

// soonest is the hold that ends first; −1: there is none.
func (c counter) soonest() int {
	first := -1
	for i, b := range c.bookings {
		if b.status == client.Held && c.asked[i].which == c.which &&
			(first < 0 || cmp.Or(cmp.Compare(b.payBy, c.bookings[first].payBy), cmp.Compare(b.turn, c.bookings[first].turn)) < 0) {
			first = i
		}
	}
	return first
}

// free counts the units that nobody has. Refunded ones are not sold again.
func (c counter) free() int64 {
	free := c.stock
	for i := range c.bookings {
		switch c.bookings[i].status {
		case client.Held, client.Confirmed, client.Refunded:
			if c.asked[i].which == c.which {
				free -= c.bookings[i].units
			}
		}
	}
	return free
}

// has counts the units that a buyer has, or waits for.
func (c counter) has(account int64) (n int64) {
	for i, a := range c.asked {
		switch c.bookings[i].status {
		case client.Held, client.Confirmed, client.Waiting:
			if a.which == c.which && a.account == account {
				n += c.bookings[i].units
			}
		}
	}
	return n
}

// line is who waits, first come first.
func (c counter) line() (line []int) {
	for i := range c.bookings {
		if c.bookings[i].status == client.Waiting && c.asked[i].which == c.which {
			line = append(line, i)
		}
	}
	slices.SortFunc(line, func(i, j int) int { return cmp.Compare(c.bookings[i].turn, c.bookings[j].turn) })
	return line
}
