package torture

import (
	"slices"
	"time"

	"sluice/client"
)

// The rules of one sale, told once more from the words of the domain, by one clerk who
// counts everything anew each time.

// The rules' own bounds.
const (
	reach     = 100                 // nobody passes from behind so many in line
	stockMost = 1_000_000_000       // units
	pointsTop = 1<<53 - 1           // points
	spanMost  = 366 * 24 * 3600_000 // ms from the opening to the close
)

// terms are a sale as it was offered. Times are ms of stream time.
type terms struct {
	kind                     client.Kind
	store                    int64 // whose slot it is; 0: none
	seller                   int64
	stock, limit             int64
	opens, closes, starts    int64
	refunds                  int64 // ms after the close; 0: none
	start, drop, rate        int64 // the price curve
	period                   int64 // ms; 0: the price does not fall
	hold, lineMost, passMost int64
	validFrom, validUntil    int64
}

func termsOf(s client.Sale) terms {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	t := terms{
		kind: s.Kind, store: s.Store, seller: s.Seller, limit: s.Limit,
		opens: ms(s.OpensAt), closes: ms(s.ClosesAt), starts: ms(s.StartsAt), refunds: s.RefundWindow.Milliseconds(),
		start: s.UnitPrice, hold: s.Hold.Milliseconds(), lineMost: s.Line, passMost: s.MaxBypass,
		validFrom: ms(s.ValidFrom), validUntil: ms(s.ValidUntil),
	}
	if s.Stock != nil {
		t.stock = s.Stock.Total
	}
	if s.Kind == client.Auction {
		t.start, t.period = s.StartPrice, s.Period.Milliseconds()
		if s.Policy == client.Constant {
			t.drop = s.Drop
		} else {
			t.rate = s.Rate
		}
	}
	return t
}

// fixed says that its price never falls.
func (t terms) fixed() bool { return t.period == 0 || t.period == t.closes-t.opens }

// returns says that its units can come back.
func (t terms) returns() bool { return t.kind == client.Reservation || t.kind == client.Event }

// price walks the curve from drop to drop.
func (t terms) priceAt(at int64) int64 {
	price := t.start
	if t.period == 0 {
		return price
	}
	for fall := t.opens + t.period; fall <= at && fall < t.closes; fall += t.period {
		price = (price - t.drop) * (10_000 - t.rate) / 10_000
	}
	return price
}

func no(why client.Reason) booking {
	b := booking{reason: why}
	b.become(client.Rejected)
	return b
}

func yes(price int64) booking {
	b := booking{price: price}
	b.become(client.Confirmed)
	return b
}

// decide answers what becomes of a now, and does what it does to others. What depends
// on other sales, it reads from how a was seen.
func (c counter) decide(a *asking) booking {
	switch a.verb {
	case client.VerbBid:
		return c.bid(a)
	case client.VerbClaim:
		return c.claim(a)
	case client.VerbReserve, client.VerbJoin:
		if a.moves() {
			return c.move(a)
		}
		return c.take(a)
	case client.VerbPay:
		return c.pay(a)
	case client.VerbCancel:
		return c.cancel(a)
	case client.VerbRefund:
		return c.refund(a)
	case client.VerbChange:
		return c.change(a)
	}
	return no(client.ReasonInternal)
}

// was says whether a was seen rejected for a reason.
func (a *asking) was(why client.Reason) bool {
	return a.sure && a.seen[0].Status == client.Rejected && a.seen[0].Reason == why
}

// short says whether the points were not enough for a cost.
func (a *asking) short(cost int64) bool { return cost > 0 && a.was(client.ReasonShortPoints) }

// may answers why somebody may not ask for so many units more; "": he may.
func (c counter) may(account, units int64) client.Reason {
	has := c.has(account)
	switch {
	case c.at < c.terms.opens:
		return client.ReasonNotOpen
	case c.closed:
		return client.ReasonClosed
	case has+units <= c.terms.limit:
		return ""
	case has > 0 && c.terms.limit == 1 && c.terms.kind != client.Auction:
		return client.ReasonDuplicate
	}
	return client.ReasonOverLimit
}

// booked is a booking of units for a.
func (c counter) booked(a *asking, status client.Status, price, off int64) booking {
	b := booking{units: a.Quantity, price: price, off: off}
	if status == client.Waiting || status == client.Held && c.terms.passMost > 0 {
		c.turns++
		b.turn = c.turns
	}
	if status == client.Held {
		b.payBy = c.at + c.terms.hold
	}
	b.become(status)
	return b
}

// discount answers what the coupon of a takes off a cost, and whether it may be used.
func (a *asking) discount(cost int64) (off int64, usable bool) {
	switch {
	case a.Coupon == "":
		return 0, true
	case a.useless, a.was(client.ReasonCouponUnusable):
		return 0, false
	case a.worth >= 0:
		return min(a.worth, cost), true
	case a.sure:
		return max(cost-a.seen[0].Amount, 0), true
	}
	return 0, true
}

func (c counter) bid(a *asking) booking {
	if c.terms.kind != client.Auction {
		return no(client.ReasonUnknownSale)
	}
	price := c.terms.priceAt(c.at)
	why := c.may(a.account, a.Quantity)
	switch {
	case why != "":
		return no(why)
	case a.Quantity > c.free():
		return no(client.ReasonSoldOut)
	case a.Price < price, a.Exact && a.Price != price:
		return no(client.ReasonPriceChanged)
	}
	off, usable := a.discount(price * a.Quantity)
	switch {
	case !usable:
		return no(client.ReasonCouponUnusable)
	case a.short(price*a.Quantity - off):
		return no(client.ReasonShortPoints)
	}
	return c.booked(a, client.Confirmed, price, off)
}

func (c counter) claim(a *asking) booking {
	if c.terms.kind != client.Coupon {
		return no(client.ReasonUnknownSale)
	}
	why := c.may(a.account, a.Quantity)
	switch {
	case why != "":
		return no(why)
	case a.Quantity > c.free():
		return no(client.ReasonSoldOut)
	case c.at < c.terms.validFrom, c.at >= c.terms.validUntil:
		return no(client.ReasonCouponUnusable)
	}
	return c.booked(a, client.Confirmed, 0, 0)
}

// sells says whether the sale is asked with a reserve, or with a join.
func (c counter) sells(v client.Verb) bool {
	reserved := c.terms.kind == client.Reservation || c.terms.store != 0
	return c.terms.returns() && reserved == (v == client.VerbReserve)
}

// take is a reserve or a join.
func (c counter) take(a *asking) booking {
	if !c.sells(a.verb) {
		return no(client.ReasonUnknownSale)
	}
	if why := c.may(a.account, a.Quantity); why != "" {
		return no(why)
	}
	now, waiting := c.mayPass(a.Quantity), int64(len(c.line()))
	switch {
	case now:
	case c.terms.lineMost == 0:
		return no(client.ReasonSoldOut)
	case waiting >= c.terms.lineMost:
		return no(client.ReasonLineFull)
	}
	cost := c.terms.start * a.Quantity
	off, usable := a.discount(cost)
	switch {
	case !usable:
		return no(client.ReasonCouponUnusable)
	case !now:
		return c.booked(a, client.Waiting, c.terms.start, off)
	case c.terms.kind == client.Reservation:
		c.pass(c.line())
		return c.booked(a, client.Held, c.terms.start, off)
	case a.short(cost):
		return no(client.ReasonShortPoints)
	}
	c.pass(c.line())
	return c.booked(a, client.Confirmed, c.terms.start, off)
}

// mayPass says whether somebody new gets so many units at once: as if he stood at the
// end of the line, and everybody in it lets him pass.
func (c counter) mayPass(units int64) bool {
	line := c.line()
	return units <= c.free() && len(line) < reach &&
		!slices.ContainsFunc(line, func(i int) bool { return c.bookings[i].passed >= c.terms.passMost })
}

func (c counter) pass(line []int) {
	for _, i := range line {
		c.bookings[i].passed++
	}
}

// serve gives free units to the line. Who wants more than are free lets others pass as
// often as the sale says.
func (c counter) serve(at int64) {
	for !c.closed && c.serveOne(at) {
	}
}

func (c counter) serveOne(at int64) bool {
	line := c.line()
	for n, i := range line[:min(len(line), reach)] {
		b := &c.bookings[i]
		switch {
		case b.units <= c.free():
			c.pass(line[:n])
			if c.terms.kind == client.Reservation || b.cost() > 0 {
				b.payBy = at + c.terms.hold // fresh
				c.turn(i, client.Held)
			} else {
				c.turn(i, client.Confirmed)
			}
			return true
		case b.passed >= c.terms.passMost:
			return false
		}
	}
	return false
}

// target is the purchase that a is about; nil when there is none.
func (c counter) target(a *asking) *booking {
	if a.about == nil || !slices.Contains(c.sales, a.about.sale) {
		return nil
	}
	if b := &c.bookings[a.about.index]; b.units > 0 && !b.atOnce() {
		return b
	}
	return nil
}

func (c counter) pay(a *asking) booking {
	b := c.target(a)
	switch {
	case b == nil:
		return no(client.ReasonNotPayable)
	case a.about.account != a.account:
		return no(client.ReasonNotYours)
	case b.status == client.Expired:
		return c.payLate(a, *b)
	case b.status == client.Waiting, b.status == client.Confirmed:
		return no(client.ReasonNotPayable)
	case b.status != client.Held:
		return no(client.ReasonAlreadyFinal)
	case a.short(b.cost()):
		return no(client.ReasonShortPoints)
	}
	c.turn(a.about.index, client.Confirmed)
	return yes(b.price)
}

// payLate is a payment after the end of its hold: it is the purchase, once, if there
// are units that nobody waits for.
func (c counter) payLate(a *asking, b booking) booking {
	for i, other := range c.asked {
		if other.verb == client.VerbPay && other.about == a.about && c.bookings[i].status != "" && !c.bookings[i].atOnce() {
			return no(client.ReasonAlreadyFinal)
		}
	}
	switch {
	case a.about.Coupon != "", c.may(a.account, b.units) != "", !c.mayPass(b.units):
		return no(client.ReasonExpired)
	case a.short(b.cost()):
		return no(client.ReasonShortPoints)
	}
	c.pass(c.line())
	late := yes(b.price)
	late.units = b.units
	return late
}

func (c counter) cancel(a *asking) booking {
	b := c.target(a)
	if b == nil || !c.terms.returns() {
		return no(client.ReasonNotRefundable)
	}
	if why := c.mayReturn(a, *b); why != "" {
		return no(why)
	}
	done := yes(0)
	if b.status == client.Confirmed {
		done.price = b.price
	}
	c.turn(a.about.index, client.Cancelled)
	c.serve(c.at)
	return done
}

// mayReturn answers why a may not give b back; "": it may. What is not paid always may.
func (c counter) mayReturn(a *asking, b booking) client.Reason {
	switch {
	case a.about.account != a.account:
		return client.ReasonNotYours
	case b.final():
		return client.ReasonAlreadyFinal
	case b.status != client.Confirmed:
		return ""
	case c.terms.kind == client.Event && c.closed, b.cost() > 0 && c.terms.refunds == 0, c.at >= c.closes+c.terms.refunds:
		return client.ReasonNotRefundable
	}
	return ""
}

// move is a change of slot: the other table, and the one he had back, or nothing.
func (c counter) move(a *asking) booking {
	b := c.target(a)
	switch {
	case !c.sells(a.verb):
		return no(client.ReasonUnknownSale)
	case b == nil, a.about.sale == a.sale:
		return no(client.ReasonNotRefundable)
	}
	old := c.counter(a.about.which)
	if why := old.mayReturn(a, *b); why != "" {
		return no(why)
	}
	if why := c.may(a.account, a.Quantity); why != "" {
		return no(why)
	}
	costs := c.terms.start * a.Quantity
	if b.status == client.Confirmed {
		costs -= b.cost() // which comes back
	}
	switch {
	case !c.mayPass(a.Quantity):
		return no(client.ReasonSoldOut)
	case a.short(costs):
		return no(client.ReasonShortPoints)
	}
	old.turn(a.about.index, client.Cancelled)
	old.serve(c.at)
	c.pass(c.line())
	return c.booked(a, client.Confirmed, c.terms.start, 0)
}

func (c counter) refund(a *asking) booking {
	b := c.target(a)
	switch {
	case b == nil, a.about.verb != client.VerbBid:
		return no(client.ReasonNotRefundable)
	case a.about.account != a.account:
		return no(client.ReasonNotYours)
	case b.final():
		return no(client.ReasonAlreadyFinal)
	case !c.closed, c.at >= c.closes+c.terms.refunds:
		return no(client.ReasonNotRefundable)
	}
	c.turn(a.about.index, client.Refunded)
	return yes(b.price)
}

func (c counter) change(a *asking) booking {
	later := a.ClosesAtMS != 0 && a.ClosesAtMS != c.closes
	switch {
	case a.account != c.terms.seller:
		return no(client.ReasonNotYours)
	case c.closed:
		return no(client.ReasonClosed)
	case later && c.terms.kind == client.Auction:
		return no(client.ReasonPriceChanged)
	case later && (a.ClosesAtMS < c.closes || a.ClosesAtMS > c.terms.opens+spanMost || c.terms.starts != 0 && a.ClosesAtMS > c.terms.starts):
		return no(client.ReasonOverLimit)
	case a.Quantity < 0, a.Quantity > min(stockMost, pointsTop/max(c.terms.start, 1))-c.stock:
		return no(client.ReasonOverLimit)
	}
	if later {
		if c.extended == 0 {
			c.earlier = c.closes
		}
		c.closes, c.extended = a.ClosesAtMS, c.done
	}
	c.stock += a.Quantity
	c.serve(c.at)
	return yes(0)
}
