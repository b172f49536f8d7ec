package saletest

import (
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// Histories draws what a stream really carries: every entry has a receipt of its
// own. Stocks are small, buyers few, holds short, and time likes to stop at the very
// moments at which something happens, one millisecond before and after them.
var Histories = rapid.Custom(func(t *rapid.T) History { return drawHistory(t, false) })

// OddHistories draws also what only mishaps bring: entries that come again, that are
// too old, that cannot be read, and the marks of a rebuilt partition.
var OddHistories = rapid.Custom(func(t *rapid.T) History { return drawHistory(t, true) })

// evenly draws one of up to 64 choices, each as likely as the others (rapid's own
// generators love the ends), and shrinks towards the first.
func evenly[V any](t *rapid.T, label string, choices ...V) V {
	n := 0
	for range 6 {
		n *= 2
		if rapid.Bool().Draw(t, label) {
			n++
		}
	}
	return choices[n*len(choices)/64]
}

// once draws true about once in so many times.
func once(t *rapid.T, label string, in int) bool {
	choices := make([]bool, in)
	choices[in-1] = true
	return evenly(t, label, choices...)
}

func seldom(t *rapid.T, label string) bool { return once(t, label, 16) }

// themes are the sales that meet in one history.
var themes = [][]func(*rapid.T) sale.Sale{
	{chair}, {chair}, {seat}, {auction},
	{chair, coupon}, {bulb, coupon, chair}, {chair, coupon, bulb, auction},
	{table, table}, {table, table, elsewhere},
	{auction, bulb}, {seat, chair},
	{auction, chair, coupon, seat, table, table, bulb},
}

func drawHistory(t *rapid.T, odd bool) History {
	h := History{Points: map[int64]int64{}, Odd: odd}
	for i, draw := range evenly(t, "theme", themes...) {
		s := numbered(draw(t), int64(i+1))
		if err := s.Check(Start); err != nil {
			t.Fatalf("drew a sale that may not be: %v", err)
		}
		h.Sales = append(h.Sales, s)
	}
	for buyer := int64(1); buyer <= Buyers; buyer++ {
		h.Points[buyer] = evenly[int64](t, "points", 20_000, 20_000, 6000, 2000, 500, 99, 0)
	}
	d := drawer{T: t, h: &h, m: h.Model(), at: Start.Add(seconds(t, "begin", 2, 2, 2, 0))}
	for range evenly(t, "length", 0, 20, 40, 60, 80) + rapid.IntRange(1, 20).Draw(t, "entries") {
		e := d.entry()
		d.m.Hear(e)
		h.Entries = append(h.Entries, e)
		if d.over() && once(t, "enough", 8) {
			break
		}
	}
	h.Cuts = rapid.SliceOfN(rapid.IntRange(1, 8), 1, 5).Draw(t, "cuts")
	h.Depth = evenly(t, "depth", 0, 1, 2, 3, 100)
	return h
}

// drawer draws one entry after the other, looking at how things stand.
type drawer struct {
	*rapid.T
	h  *History
	m  *Model
	at sale.Instant
}

// over says whether every sale is closed.
func (d *drawer) over() bool {
	for _, s := range d.m.sales {
		if d.at < s.ClosesAt {
			return false
		}
	}
	return true
}

// pass lets time pass: mostly none, then a little, or up to something that is due.
func (d *drawer) pass() {
	switch evenly(d.T, "step", []int{13: 1, 1, 2}...) {
	case 1:
		d.at += evenly[sale.Instant](d.T, "pause", 0, 1, 1000, 3000)
	case 2:
		if due := d.m.Due(d.at); len(due) > 0 {
			next := due[min(evenly(d.T, "which", 0, 0, 0, 0, 0, 0, 1, 2), len(due)-1)]
			d.at = max(d.at, next+evenly[sale.Instant](d.T, "about", 0, 0, -1, 1))
		}
	}
}

// entry draws the next entry: mostly sensible, sometimes anything.
func (d *drawer) entry() sale.Entry {
	d.pass()
	i := len(d.h.Entries)
	id := sale.EntryID{At: d.at, No: int64(i)}
	if d.h.Odd && i > 0 && once(d.T, "again", 8) {
		e := evenly(d.T, "entry again", d.h.Entries[max(0, i-16):]...)
		e.ID = id
		return e
	}
	s := d.m.sales[evenly(d.T, "sale", d.h.Sales...).ID]
	e := sale.Entry{ID: id, Seq: int64(i + 1), Generation: Generation}
	e.Receipt, e.Sale, e.Verb = receiptID(i), s.ID, evenly(d.T, "verb", verbs[s.Kind]...)
	e.Buyer = evenly[int64](d.T, "buyer", 1, 2, 3, 4, 5, 6)
	if s.Store != 0 && e.Verb == sale.Join {
		e.Verb = sale.Reserve
	}
	if e.Verb == sale.Close { // which time brings about as well
		d.stop(&e, s)
	}
	if once(d.T, "any verb", 32) {
		e.Verb = sale.Verb(rapid.IntRange(int(sale.Bid), int(sale.Resume)).Draw(d.T, "any verb"))
		if e.Verb == sale.Rebuilt {
			e.Verb = sale.Expire
		}
	}
	if once(d.T, "elsewhere", 64) {
		e.Sale = 99
	}
	d.ask(&e, s)
	if d.h.Odd {
		d.oddly(&e)
	}
	return e
}

// verbs is what a kind of sale is asked, each as often as it stands here. What a
// slot is asked is said above.
var verbs = map[sale.Kind][]sale.Verb{
	sale.Auction: {sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Bid, sale.Refund, sale.Refund, sale.Refund, sale.Change, sale.Payout, sale.Open, sale.Close},
	sale.Reservation: {sale.Reserve, sale.Reserve, sale.Reserve, sale.Reserve, sale.Reserve, sale.Reserve, sale.Pay, sale.Pay, sale.Pay, sale.Pay,
		sale.Cancel, sale.Cancel, sale.Cancel, sale.Change, sale.Expire, sale.Close, sale.Payout},
	sale.Coupon: {sale.Claim, sale.Claim, sale.Claim, sale.Claim, sale.Claim, sale.Change, sale.Close, sale.Cancel},
	sale.Event: {sale.Join, sale.Join, sale.Join, sale.Join, sale.Join, sale.Join, sale.Pay, sale.Pay, sale.Cancel, sale.Cancel, sale.Cancel,
		sale.Change, sale.Expire, sale.Close, sale.Payout},
}

// ask fills in what belongs to the verb.
func (d *drawer) ask(e *sale.Entry, s *modelSale) {
	switch e.Verb {
	case sale.Bid:
		e.Quantity = evenly[int64](d.T, "quantity", 1, 1, 1, 1, 2, 2, 3, 0)
		price := Price(s.Sale, d.at)
		e.Price = evenly(d.T, "price", price, price, price, s.Price.Start, price-1, price+1)
		e.Exact = evenly(d.T, "exact", false, false, true)
		e.Coupon = d.coupon(e.Buyer)
	case sale.Reserve, sale.Join:
		e.Quantity = evenly[int64](d.T, "quantity", 1, 1, 2, 2, 3)
		if s.Limit == 1 {
			e.Quantity = evenly[int64](d.T, "one", 1, 1, 1, 1, 1, 1, 1, 2)
		}
		if once(d.T, "nothing", 32) {
			e.Quantity = 0
		}
		if e.Verb == sale.Reserve {
			e.Coupon = d.coupon(e.Buyer)
			d.change(e, s)
		}
	case sale.Claim:
		e.Quantity = 1
	case sale.Pay, sale.Cancel, sale.Refund:
		d.target(e, s)
		if seldom(d.T, "units") {
			e.Quantity = 1
		}
	case sale.Change:
		e.Quantity = evenly[int64](d.T, "growth", 1, 2, 0, -1)
		if rapid.Bool().Draw(d.T, "later") {
			e.ClosesAt = s.ClosesAt + evenly[sale.Instant](d.T, "close", 5000, 60_000, 0, -1, 366*24*3600*1000)
		}
		if !seldom(d.T, "other seller") {
			e.Buyer = s.Seller
		}
	case sale.Suspend, sale.Resume:
		if !seldom(d.T, "by an account") {
			e.Buyer = 0
		}
	default:
		e.Buyer = 0
	}
}

// stop turns some entries into one that suspends a sale, and mostly soon into one that
// resumes it.
func (d *drawer) stop(e *sale.Entry, s *modelSale) {
	switch {
	case s.stopped:
		e.Verb = sale.Resume
	case evenly(d.T, "suspend", false, false, true):
		e.Verb = sale.Suspend
	}
}

// coupon draws one, mostly a usable one of this buyer; often none.
func (d *drawer) coupon(buyer int64) uuid.UUID {
	var own, any []uuid.UUID
	for _, s := range d.h.Sales {
		for _, r := range d.m.sales[s.ID].receipts {
			if r.Verb == sale.Claim {
				any = append(any, r.ID)
				if r.Buyer == buyer {
					own = append(own, r.ID)
				}
			}
		}
	}
	switch evenly(d.T, "with coupon", 0, 1, 1, 1, 1, 1, 1, 2) {
	case 1:
		if len(own) > 0 {
			return own[rapid.IntRange(0, len(own)-1).Draw(d.T, "own")]
		}
	case 2:
		if len(any) > 0 {
			return any[rapid.IntRange(0, len(any)-1).Draw(d.T, "any")]
		}
		if seldom(d.T, "never claimed") {
			return receiptID(-1)
		}
	}
	return uuid.Nil
}

// target draws what a pay, cancel or refund is about: mostly a live purchase of the
// sale, and mostly by its buyer.
func (d *drawer) target(e *sale.Entry, s *modelSale) {
	var live, all []*sale.Receipt
	for _, r := range s.receipts {
		all = append(all, r)
		wanted := r.Status == sale.Held || r.Status == sale.Confirmed && e.Verb != sale.Pay || r.Status == sale.Waiting && e.Verb == sale.Cancel ||
			r.Status == sale.Expired && e.Verb == sale.Pay && s.phase == sale.PhaseOpen
		if wanted && purchase(r) {
			live = append(live, r)
		}
	}
	e.Target = receiptID(-1)
	from := live
	if len(live) == 0 || once(d.T, "not live", 8) {
		from = all
	}
	if len(from) == 0 {
		// Perhaps one that was rejected: of that nothing stays, so that it is as unknown
		// as one that never was. Where such a one may come again, it would be known.
		if n := len(d.h.Entries); n > 0 && !d.h.Odd {
			e.Target = d.h.Entries[rapid.IntRange(0, n-1).Draw(d.T, "any entry")].Receipt
		}
		return
	}
	r := from[rapid.IntRange(0, len(from)-1).Draw(d.T, "target")]
	e.Target = r.ID
	if !seldom(d.T, "not yours") {
		e.Buyer = r.Buyer
	}
}

// change turns a reserve into a change of slot, where somebody has another one.
func (d *drawer) change(e *sale.Entry, s *modelSale) {
	if evenly(d.T, "change of slot", false, true) == (s.Store == 0) {
		return
	}
	var others []*sale.Receipt
	for _, other := range d.h.Sales {
		if other.ID == s.ID && !seldom(d.T, "the same slot") {
			continue
		}
		for _, r := range d.m.sales[other.ID].receipts {
			if purchase(r) && (!final(r.Status) || seldom(d.T, "gone")) {
				others = append(others, r)
			}
		}
	}
	if len(others) == 0 || s.Store == 0 && !seldom(d.T, "no slot") {
		return
	}
	r := others[rapid.IntRange(0, len(others)-1).Draw(d.T, "booking")]
	e.Target, e.From, e.Coupon = r.ID, r.Sale, uuid.Nil
	if !seldom(d.T, "not yours") {
		e.Buyer = r.Buyer
	}
	if seldom(d.T, "from elsewhere") {
		e.From = evenly(d.T, "from", d.h.Sales...).ID
	}
}

// oddly makes something of e that only a mishap brings.
func (d *drawer) oddly(e *sale.Entry) {
	switch evenly(d.T, "odd", []int{28: 1, 2, 3, 4}...) {
	case 1:
		e.Generation = Generation - 1
	case 2:
		e.Request = sale.Request{Verb: sale.Rebuilt}
	case 3:
		e.Request = sale.Request{}
	case 4:
		e.Verb = 0
	}
}

// seconds draws whole seconds.
func seconds(t *rapid.T, label string, choices ...int) time.Duration {
	return time.Duration(evenly(t, label, choices...)) * time.Second
}
