package sale

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Outcome is what becomes of one entry.
type Outcome struct {
	Status    Status
	Reason    Reason
	UnitPrice int64   // points: as of Receipt
	Quantity  int64   // units, more than the request itself names: a late payment's
	Discount  int64   // points off
	PayBy     Instant // of a hold
	// Stands says that the receipt was settled before (or that there is none, as
	// for a Rebuilt mark): nothing is written, the outcome is only said again.
	Stands bool
}

// Decision is what becomes of a batch: one outcome per entry, in order, and the
// effects that make it true.
type Decision struct {
	Outcomes []Outcome
	Effects  Effects

	// Short is the sales whose line the state shows too little of, or whose places
	// contradict the facts. If there are any, the decision is none: ask again with
	// more; with all there is, it is none for the second reason.
	Short []int64
}

// Effects is everything a batch changes beside the receipts of its own entries.
type Effects struct {
	Sales     []SaleEffect // by ID; every known sale of the batch, changed or not
	Moves     []Move       // in the order in which they happened
	Transfers []Transfer
	Coupons   []CouponEffect // by coupon; those made by a claim of the batch are only here if they are used already
}

// SaleEffect is what a batch does to one sale.
type SaleEffect struct {
	Sale                    int64
	Free, Held, Sold, Stock int64 // units more or less
	Waiting                 int64 // receipts more or less
	Revenue                 int64 // points more or less: sold − refunded

	// How the sale stands afterwards.
	Phase     Phase
	PaidOut   bool
	Suspended bool
	Exhausted bool
	ClosesAt  Instant

	Buyers      []BuyerEffect // by buyer
	Holds, Line []PlaceEffect // in order

	Changed bool // whether anything of it differs from before
}

// BuyerEffect is how many units more or less a buyer has of a sale.
type BuyerEffect struct{ Buyer, Units int64 }

// PlaceEffect is a place that was taken, or left.
type PlaceEffect struct {
	Place
	Left bool
}

// Move is one step of a receipt that is settled, or was decided earlier in the same
// batch: from a status to that of Receipt, at a moment of stream time. One that
// was passed in the line moves from waiting to waiting.
type Move struct {
	Receipt Receipt
	From    Status
	At      Instant
}

// CouponEffect is what a coupon is used by afterwards; uuid.Nil when it is free
// again.
type CouponEffect struct{ Coupon, UsedBy uuid.UUID }

// Transfer moves points from one wallet to another: an entry of the ledger.
type Transfer struct {
	Receipt       uuid.UUID // on whose account
	Debit, Credit int64     // wallets
	Amount        int64     // points, 1 to MaxPoints
}

// TickMost is how many receipts one tick moves. What is due beyond that is left to
// the next one, so that no batch grows without bound.
const TickMost = 500

// Decide says what becomes of entries, which must be in stream order, given how
// the sales stand and what Postgres knows. It changes none of its arguments and
// depends on nothing else: the same batch gets the same decision for ever, and
// cutting a stream into other batches gives the same outcomes.
//
// Before an entry at time t the sale's own due events up to t happen first, each
// at its own time: it opens, holds end in the order of pay_by, it closes.
func Decide(state State, facts Facts, entries []Entry) Decision {
	d := decider{
		facts:    facts,
		stands:   make(map[int64]*working, len(state)),
		balances: maps.Clone(facts.Balances),
		coupons:  maps.Clone(facts.Coupons),
		entries:  entries,
		decided:  make(map[uuid.UUID]int, len(entries)),
		moved:    map[uuid.UUID]int{},
		touched:  map[uuid.UUID]bool{},
	}
	if d.balances == nil {
		d.balances = map[int64]int64{}
	}
	if d.coupons == nil {
		d.coupons = map[uuid.UUID]CouponStand{}
	}
	d.Outcomes = make([]Outcome, len(entries))
	for i, e := range entries {
		d.Outcomes[i] = d.entry(state, e)
		if !d.Outcomes[i].Stands {
			d.decided[e.Receipt] = i
		}
	}
	for _, w := range d.stands {
		d.Effects.Sales = append(d.Effects.Sales, w.effect())
		if w.short {
			d.Short = append(d.Short, w.now.ID)
		}
	}
	slices.SortFunc(d.Effects.Sales, func(a, b SaleEffect) int { return cmp.Compare(a.Sale, b.Sale) })
	slices.Sort(d.Short)
	for _, id := range slices.SortedFunc(maps.Keys(d.touched), compareIDs) {
		d.Effects.Coupons = append(d.Effects.Coupons, CouponEffect{id, d.coupons[id].UsedBy})
	}
	return d.Decision
}

// decider is the scratch paper of one Decide.
type decider struct {
	Decision
	facts    Facts
	stands   map[int64]*working
	balances map[int64]int64
	coupons  map[uuid.UUID]CouponStand
	touched  map[uuid.UUID]bool // coupons
	entries  []Entry
	decided  map[uuid.UUID]int  // receipts of this batch: index into entries and Outcomes
	moved    map[uuid.UUID]int  // receipts that went on from there: index into Effects.Moves of the last step
	paid     map[uuid.UUID]bool // holds that a late payment has bought anew; nil: not looked up yet
}

func rejected(why Reason) Outcome { return Outcome{Status: Rejected, Reason: why} }

func (d *decider) entry(state State, e Entry) Outcome {
	switch {
	case e.Verb == Rebuilt:
		return Outcome{Status: Confirmed, Stands: true}
	case e.Verb == 0 && e.Receipt == uuid.Nil:
		return Outcome{Status: Rejected, Reason: Internal, Stands: true}
	}
	if r, ok := d.receipt(e.Receipt); ok {
		return Outcome{Status: r.Status, Reason: r.Reason, UnitPrice: r.UnitPrice, Discount: r.Discount, PayBy: r.PayBy, Stands: true}
	}
	return d.fresh(state, e)
}

// receipt finds a receipt as it stands by now.
func (d *decider) receipt(id uuid.UUID) (Receipt, bool) {
	if i, ok := d.moved[id]; ok {
		return d.Effects.Moves[i].Receipt, true
	}
	if i, ok := d.decided[id]; ok {
		return d.entries[i].Settled(d.Outcomes[i]), true
	}
	r, ok := d.facts.Receipts[id]
	return r, ok
}

// move notes that a receipt has gone on to r, at a moment of stream time.
func (d *decider) move(r Receipt, from Status, at Instant) {
	d.moved[r.ID] = len(d.Effects.Moves)
	d.Effects.Moves = append(d.Effects.Moves, Move{r, from, at})
}

func (d *decider) fresh(state State, e Entry) Outcome {
	switch {
	case e.Verb == 0: // unreadable: what it says of its sale means nothing
		return rejected(Internal)
	case e.Generation < d.facts.Generation:
		return rejected(Lost)
	}
	s := d.stand(state, e.Sale)
	if s == nil {
		return rejected(UnknownSale)
	}
	d.advance(s, e.ID.At, e.Verb.Tick())
	switch e.Verb {
	case Bid:
		return d.bid(s, e)
	case Reserve, Join:
		if e.Target != uuid.Nil {
			return d.rebook(state, s, e)
		}
		return d.take(s, e)
	case Claim:
		return d.claim(s, e)
	case Pay:
		return d.pay(s, e)
	case Cancel:
		return d.cancel(s, e)
	case Refund:
		return d.refund(s, e)
	case Change:
		return d.change(s, e)
	case Payout:
		return d.payout(s, e)
	case Suspend, Resume:
		return d.suspend(s, e)
	case Open, Close, Expire: // ticks: what was due has just happened
		return Outcome{Status: Confirmed}
	}
	return rejected(Internal)
}

func (d *decider) bid(s *working, e Entry) Outcome {
	if s.now.Kind != Auction {
		return rejected(UnknownSale)
	}
	price := s.priceAt(e.ID.At)
	switch {
	case s.now.Phase == Scheduled:
		return rejected(NotOpen)
	case s.now.Phase == PhaseClosed:
		return rejected(Closed)
	case s.now.Suspended:
		return rejected(Suspended)
	case e.Quantity < 1:
		return rejected(Internal) // refused at the edge; must not reach the arithmetic
	case e.Quantity > s.now.Limit-s.units(e.Buyer):
		return rejected(OverLimit)
	case e.Quantity > s.now.Free:
		return rejected(SoldOut)
	case e.Price < price, e.Exact && e.Price != price:
		return rejected(PriceChanged)
	}
	cost := price * e.Quantity // cannot overflow, since Quantity ≤ Stock: Check bounds Start × Stock
	discount, ok := d.discount(s, e, cost)
	switch {
	case !ok:
		return rejected(CouponUnusable)
	case d.balances[e.Buyer] < cost-discount:
		return rejected(ShortPoints)
	}
	d.use(e)
	d.grant(s, e, e.Quantity)
	d.buy(s, e.Receipt, e.Buyer, e.Quantity, cost-discount)
	return Outcome{Status: Confirmed, UnitPrice: price, Discount: discount}
}

// buy pays for units and adds them to those sold. Where they come from is the
// caller's business.
func (d *decider) buy(s *working, receipt uuid.UUID, buyer, units, cost int64) {
	d.transfer(receipt, buyer, s.now.Payee(), cost)
	s.now.Sold += units
	s.revenue += cost
}

func (d *decider) refund(s *working, e Entry) Outcome {
	target, ok := d.target(e)
	switch {
	case !ok, target.Verb != Bid:
		return rejected(NotRefundable)
	case target.Buyer != e.Buyer:
		return rejected(NotYours)
	case target.Status.Final():
		return rejected(AlreadyFinal)
	case target.Status != Confirmed, s.now.Phase != PhaseClosed, s.now.PaidOut, e.ID.At >= s.now.PayoutAt():
		return rejected(NotRefundable)
	}
	d.payBack(s, e, target)
	d.release(target, e.ID.At)
	s.buyers[e.Buyer] -= target.Quantity
	target.Status = Refunded
	d.move(target, Confirmed, e.ID.At)
	return Outcome{Status: Confirmed, UnitPrice: target.UnitPrice}
}

// payBack returns what a purchase cost.
func (d *decider) payBack(s *working, e Entry, purchase Receipt) {
	d.transfer(e.Receipt, s.now.Escrow, e.Buyer, purchase.Cost())
	s.revenue -= purchase.Cost()
}

// target finds the receipt of the same sale that e is about. One that was rejected
// at once is known to its own batch only, so it counts as unknown in that one, too.
func (d *decider) target(e Entry) (Receipt, bool) {
	r, ok := d.receipt(e.Target)
	if i, here := d.decided[e.Target]; here && d.Outcomes[i].Status == Rejected {
		ok = false
	}
	return r, ok && (r.Sale == e.Sale || e.From != 0 && r.Sale == e.From)
}

// change lets the stock grow, or the sale close later. The close of an auction is
// fixed: to move it would change the price curve its buyers have seen. A slot
// closes when it begins.
func (d *decider) change(s *working, e Entry) Outcome {
	most := s.now.OpensAt.Add(MaxSpan)
	if s.now.StartsAt != 0 {
		most = min(most, s.now.StartsAt)
	}
	later := e.ClosesAt != 0 && e.ClosesAt != s.now.ClosesAt
	switch {
	case e.Buyer != s.now.Seller:
		return rejected(NotYours)
	case s.now.Phase == PhaseClosed:
		return rejected(Closed)
	case s.now.Suspended:
		return rejected(Suspended)
	case later && s.now.Kind == Auction:
		return rejected(PriceChanged)
	case later && (e.ClosesAt < s.now.ClosesAt || e.ClosesAt > most),
		e.Quantity < 0, e.Quantity > min(MaxStock, MaxPoints/max(s.now.Price.Start, 1))-s.now.Stock:
		return rejected(OverLimit)
	}
	if later {
		s.now.ClosesAt = e.ClosesAt
	}
	s.now.Stock += e.Quantity
	s.now.Free += e.Quantity
	d.promote(s, e.ID.At)
	return Outcome{Status: Confirmed}
}

func (d *decider) payout(s *working, e Entry) Outcome {
	switch {
	case e.ID.At < s.now.PayoutAt():
		return rejected(NotPayable)
	case s.now.Suspended:
		return rejected(Suspended)
	}
	d.transfer(e.Receipt, s.now.Escrow, s.now.Seller, d.balances[s.now.Escrow])
	s.now.PaidOut = true
	return Outcome{Status: Confirmed}
}

func (d *decider) transfer(receipt uuid.UUID, debit, credit, amount int64) {
	if amount == 0 || debit == credit {
		return
	}
	d.balances[debit] -= amount
	d.balances[credit] += amount
	d.Effects.Transfers = append(d.Effects.Transfers, Transfer{receipt, debit, credit, amount})
}
