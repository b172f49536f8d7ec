package sale

import (
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Phase is how far stream time has moved a sale.
type Phase string

// The phases, in order.
const (
	Scheduled   Phase = "scheduled"
	PhaseOpen   Phase = "open"
	PhaseClosed Phase = "closed"
)

// Stand is a sale and how it stands at one watermark of its partition.
type Stand struct {
	Sale
	Phase            Phase
	Free, Held, Sold int64 // units; their sum is Stock
	PaidOut          bool
	Buyers           map[int64]int64 // units each buyer has (confirmed, held, waiting); those with none may be missing
}

// Exhausted says that every unit is gone and none can come back, so that a new
// bid need not even be queued. A grown stock ends it.
func (s *Stand) Exhausted() bool { return s.Free == 0 && s.Held == 0 }

// Payee is the wallet that a purchase is paid into: escrow, or the seller
// himself when nothing can be refunded.
func (s *Stand) Payee() int64 {
	if s.RefundWindow == 0 {
		return s.Seller
	}
	return s.Escrow
}

// State is the sales that a batch touches, by ID. A sale that is missing does
// not exist.
type State map[int64]*Stand

// Facts is what Postgres knows, at the same watermark, of what a batch touches.
// It is locked until the batch is committed.
type Facts struct {
	Generation int64                 // of the partition; entries of an older one are lost
	Balances   map[int64]int64       // points by wallet; a missing wallet has none
	Receipts   map[uuid.UUID]Receipt // those of the entries and of their targets that are settled
}

// Outcome is what becomes of one entry.
type Outcome struct {
	Status    Status
	Reason    Reason
	UnitPrice int64
	// Stands says that the receipt was settled before (or that there is none, as
	// for a Rebuilt mark): nothing is written, the outcome is only said again.
	Stands bool
}

// Decision is what becomes of a batch: one outcome per entry, in order, and the
// effects that make it true.
type Decision struct {
	Outcomes []Outcome
	Effects  Effects
}

// Effects is everything a batch changes beside the receipts of its own entries.
type Effects struct {
	Sales     []SaleEffect // by ID; every known sale of the batch, changed or not
	Moves     []Move       // receipts of earlier entries that change their status
	Transfers []Transfer
}

// SaleEffect is what a batch does to one sale.
type SaleEffect struct {
	Sale                    int64
	Free, Held, Sold, Stock int64 // units more or less
	Revenue                 int64 // points more or less: sold − refunded

	// How the sale stands afterwards.
	Phase     Phase
	PaidOut   bool
	Exhausted bool
	ClosesAt  Instant

	Buyers []BuyerEffect // by buyer

	Changed bool // whether anything of it differs from before
}

// BuyerEffect is how many units more or less a buyer has of a sale.
type BuyerEffect struct{ Buyer, Units int64 }

// Move is the receipt of an earlier entry as it stands afterwards.
type Move struct{ Receipt Receipt }

// Transfer moves points from one wallet to another: an entry of the ledger.
type Transfer struct {
	Receipt       uuid.UUID // on whose account
	Debit, Credit int64     // wallets
	Amount        int64     // points, 1 to MaxPoints
}

// Decide says what becomes of entries, which must be in stream order, given how
// the sales stand and what Postgres knows. It changes none of its arguments and
// depends on nothing else: the same batch gets the same decision for ever, and
// cutting a stream into other batches gives the same outcomes.
//
// Before an entry at time t the sale's own due events up to t happen first.
func Decide(state State, facts Facts, entries []Entry) Decision {
	d := decider{
		facts:    facts,
		stands:   make(map[int64]*working, len(state)),
		balances: maps.Clone(facts.Balances),
		receipts: map[uuid.UUID]Receipt{},
		moved:    map[uuid.UUID]int{},
	}
	if d.balances == nil {
		d.balances = map[int64]int64{}
	}
	d.Outcomes = make([]Outcome, len(entries))
	for i, e := range entries {
		d.Outcomes[i] = d.entry(state, e)
	}
	for _, w := range d.stands {
		d.Effects.Sales = append(d.Effects.Sales, w.effect())
	}
	slices.SortFunc(d.Effects.Sales, func(a, b SaleEffect) int { return cmp.Compare(a.Sale, b.Sale) })
	return d.Decision
}

// decider is the scratch paper of one Decide.
type decider struct {
	Decision
	facts    Facts
	stands   map[int64]*working
	balances map[int64]int64
	receipts map[uuid.UUID]Receipt // decided in this batch
	moved    map[uuid.UUID]int     // index into Effects.Moves
}

// working is one sale's scratch paper: as it stood, and as it stands by now.
type working struct {
	before  *Stand
	now     Stand // its Buyers is nil: see buyers
	revenue int64
	buyers  map[int64]int64 // units more or less

	drops, price int64 // the price after so many drops, since computing a curve anew for each bid is dear
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
		return Outcome{Status: r.Status, Reason: r.Reason, UnitPrice: r.UnitPrice, Stands: true}
	}
	outcome := d.fresh(state, e)
	d.receipts[e.Receipt] = e.receipt(outcome)
	return outcome
}

// receipt finds a receipt as it stands by now.
func (d *decider) receipt(id uuid.UUID) (Receipt, bool) {
	if i, ok := d.moved[id]; ok {
		return d.Effects.Moves[i].Receipt, true
	}
	if r, ok := d.receipts[id]; ok {
		return r, true
	}
	r, ok := d.facts.Receipts[id]
	return r, ok
}

func (d *decider) fresh(state State, e Entry) Outcome {
	switch {
	case e.Verb == 0: // unreadable: what it says of its sale means nothing
		return rejected(Internal)
	case e.Generation < d.facts.Generation:
		return rejected(Lost)
	}
	s := d.stands[e.Sale]
	if s == nil {
		stand := state[e.Sale]
		if stand == nil {
			return rejected(UnknownSale)
		}
		s = &working{before: stand, now: *stand, buyers: map[int64]int64{}, drops: -1}
		s.now.Buyers = nil
		d.stands[e.Sale] = s
	}
	s.advance(e.ID.At)
	switch e.Verb {
	case Bid:
		return d.bid(s, e)
	case Refund:
		return d.refund(s, e)
	case Change:
		return s.change(e)
	case Payout:
		return d.payout(s, e)
	case Open, Close: // ticks: what was due has just happened
		return Outcome{Status: Confirmed}
	}
	return rejected(Internal)
}

// advance lets the sale's own events up to t happen.
func (s *working) advance(t Instant) {
	if s.now.Phase == Scheduled && t >= s.now.OpensAt {
		s.now.Phase = PhaseOpen
	}
	if s.now.Phase == PhaseOpen && t >= s.now.ClosesAt {
		s.now.Phase = PhaseClosed
	}
}

func (d *decider) bid(s *working, e Entry) Outcome {
	price := s.priceAt(e.ID.At)
	cost := price * e.Quantity // cannot overflow once Quantity ≤ Stock: Check bounds Start × Stock
	switch {
	case s.now.Phase == Scheduled:
		return rejected(NotOpen)
	case s.now.Phase == PhaseClosed:
		return rejected(Closed)
	case e.Quantity < 1:
		return rejected(Internal) // refused at the edge; must not reach the arithmetic
	case e.Quantity > s.now.Limit-s.units(e.Buyer):
		return rejected(OverLimit)
	case e.Quantity > s.now.Free:
		return rejected(SoldOut)
	case e.Price < price, e.Exact && e.Price != price:
		return rejected(PriceChanged)
	case d.balances[e.Buyer] < cost:
		return rejected(ShortPoints)
	}
	d.transfer(e.Receipt, e.Buyer, s.now.Payee(), cost)
	s.now.Free -= e.Quantity
	s.now.Sold += e.Quantity
	s.revenue += cost
	s.buyers[e.Buyer] += e.Quantity
	return Outcome{Status: Confirmed, UnitPrice: price}
}

func (d *decider) refund(s *working, e Entry) Outcome {
	target, ok := d.receipt(e.Target)
	switch {
	case !ok, target.Verb != Bid, target.Sale != e.Sale, target.Status == Rejected:
		// A rejected target is known to its own batch only: later it is !ok.
		return rejected(NotRefundable)
	case target.Buyer != e.Buyer:
		return rejected(NotYours)
	case target.Status.Final():
		return rejected(AlreadyFinal)
	case target.Status != Confirmed, s.now.Phase != PhaseClosed, s.now.PaidOut, e.ID.At >= s.now.PayoutAt():
		return rejected(NotRefundable)
	}
	amount := target.UnitPrice * target.Quantity
	d.transfer(e.Receipt, s.now.Escrow, e.Buyer, amount)
	s.revenue -= amount
	s.buyers[e.Buyer] -= target.Quantity
	target.Status = Refunded
	d.moved[target.ID] = len(d.Effects.Moves)
	d.Effects.Moves = append(d.Effects.Moves, Move{target})
	return Outcome{Status: Confirmed, UnitPrice: target.UnitPrice}
}

// change lets the stock grow. The close of an auction is fixed: to move it would
// change the price curve its buyers have seen.
func (s *working) change(e Entry) Outcome {
	switch {
	case e.Buyer != s.now.Seller:
		return rejected(NotYours)
	case s.now.Phase == PhaseClosed:
		return rejected(Closed)
	case e.ClosesAt != 0 && e.ClosesAt != s.now.ClosesAt:
		return rejected(PriceChanged)
	case e.Quantity < 0, e.Quantity > min(MaxStock, MaxPoints/s.now.Price.Start)-s.now.Stock:
		return rejected(OverLimit)
	}
	s.now.Stock += e.Quantity
	s.now.Free += e.Quantity
	return Outcome{Status: Confirmed}
}

func (d *decider) payout(s *working, e Entry) Outcome {
	if e.ID.At < s.now.PayoutAt() {
		return rejected(NotPayable)
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

func (s *working) units(buyer int64) int64 { return s.before.Buyers[buyer] + s.buyers[buyer] }

func (s *working) priceAt(t Instant) int64 {
	if k := s.now.dropsAt(t); k != s.drops {
		s.drops, s.price = k, s.now.Price.After(k)
	}
	return s.price
}

func (s *working) effect() SaleEffect {
	was := s.before
	effect := SaleEffect{
		Sale: was.ID,
		Free: s.now.Free - was.Free, Held: s.now.Held - was.Held, Sold: s.now.Sold - was.Sold, Stock: s.now.Stock - was.Stock,
		Revenue: s.revenue,
		Phase:   s.now.Phase, PaidOut: s.now.PaidOut, Exhausted: s.now.Exhausted(), ClosesAt: s.now.ClosesAt,
	}
	for buyer, units := range s.buyers {
		if units != 0 {
			effect.Buyers = append(effect.Buyers, BuyerEffect{buyer, units})
		}
	}
	slices.SortFunc(effect.Buyers, func(a, b BuyerEffect) int { return cmp.Compare(a.Buyer, b.Buyer) })
	effect.Changed = effect.Free != 0 || effect.Held != 0 || effect.Sold != 0 || effect.Stock != 0 || effect.Revenue != 0 ||
		effect.Phase != was.Phase || effect.PaidOut != was.PaidOut || effect.ClosesAt != was.ClosesAt || len(effect.Buyers) > 0
	return effect
}
