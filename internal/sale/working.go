package sale

import (
	"cmp"
	"maps"
	"slices"
)

// working is one sale's scratch paper: as it stood, and as it stands by now.
type working struct {
	before  *Stand
	now     Stand // its Buyers, Holds and Line are nil: see below
	revenue int64
	buyers  map[int64]int64 // units more or less

	holds  []Place       // in order: of those that stood, the ones shown
	line   []*waiter     // in order: its beginning
	beyond int64         // receipts in the line behind those, which the state does not show
	tail   []*waiter     // those that joined it in this batch, behind them
	lined  map[Place]int // places taken (1) or left (−1)
	held   map[Place]int // the same of holds
	short  bool          // more of the line would have been needed

	drops, price int64 // the price after so many drops, since computing a curve anew for each bid is dear
}

// waiter is a receipt in the line.
type waiter struct {
	Place
	quantity, passed int64
}

// stand answers the paper of a sale, nil when there is no such sale. A place whose
// receipt does not stand there is left out, and the state counts as short: no
// decision can be made on facts that contradict it.
func (d *decider) stand(state State, id int64) *working {
	s := d.stands[id]
	if s != nil || state[id] == nil {
		return s
	}
	stand := state[id]
	s = &working{
		before: stand, now: *stand, buyers: map[int64]int64{}, drops: -1,
		lined: map[Place]int{}, held: map[Place]int{},
		beyond: stand.Waiting - int64(len(stand.Line)),
	}
	s.now.Buyers, s.now.Holds, s.now.Line = nil, nil, nil
	for _, p := range stand.Holds {
		if r := d.facts.Receipts[p.Receipt]; r.Status == Held && r.HoldPlace() == p {
			s.holds = append(s.holds, p)
		} else {
			s.short = true
		}
	}
	for _, p := range stand.Line {
		if r := d.facts.Receipts[p.Receipt]; r.Status == Waiting && r.LinePlace() == p {
			s.line = append(s.line, &waiter{p, r.Quantity, r.Passed})
		} else {
			s.short = true
		}
	}
	s.join()
	d.stands[id] = s
	return s
}

// join puts the tail behind the line once all of that is shown.
func (s *working) join() {
	if s.beyond <= 0 {
		s.line, s.tail = append(s.line, s.tail...), nil
	}
}

// hold keeps r until its pay_by.
func (s *working) hold(r Receipt) {
	p := r.HoldPlace()
	i, _ := slices.BinarySearchFunc(s.holds, p, Place.Compare)
	s.holds = slices.Insert(s.holds, i, p)
	s.held[p]++
	s.now.Held += r.Quantity
}

// unhold ends the hold of r. It may be one that ends later than the batch, and is
// not shown.
func (s *working) unhold(r Receipt) {
	p := r.HoldPlace()
	if i, shown := slices.BinarySearchFunc(s.holds, p, Place.Compare); shown {
		s.holds = without(s.holds, i)
	}
	s.held[p]--
	s.now.Held -= r.Quantity
}

// queue puts r at the end of the line.
func (s *working) queue(r Receipt) {
	s.tail = append(s.tail, &waiter{r.LinePlace(), r.Quantity, r.Passed})
	s.join()
	s.lined[r.LinePlace()]++
	s.now.Waiting++
}

// unqueue takes r out of the line.
func (s *working) unqueue(r Receipt) {
	p := r.LinePlace()
	is := func(w *waiter) bool { return w.Place == p }
	if i := slices.IndexFunc(s.line, is); i >= 0 {
		s.line = without(s.line, i)
	} else if i := slices.IndexFunc(s.tail, is); i >= 0 {
		s.tail = without(s.tail, i)
	} else {
		s.beyond--
		s.join()
	}
	s.lined[p]--
	s.now.Waiting--
}

// without takes one out of a list. It is mostly the first, and a list may be long.
func without[T any](list []T, i int) []T {
	if i == 0 {
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
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
		Waiting: s.now.Waiting - was.Waiting, Revenue: s.revenue,
		Phase: s.now.Phase, PaidOut: s.now.PaidOut, Suspended: s.now.Suspended, Exhausted: s.now.Exhausted(), ClosesAt: s.now.ClosesAt,
		Holds: places(s.held), Line: places(s.lined),
	}
	for buyer, units := range s.buyers {
		if units != 0 {
			effect.Buyers = append(effect.Buyers, BuyerEffect{buyer, units})
		}
	}
	slices.SortFunc(effect.Buyers, func(a, b BuyerEffect) int { return cmp.Compare(a.Buyer, b.Buyer) })
	effect.Changed = effect.Free != 0 || effect.Held != 0 || effect.Sold != 0 || effect.Stock != 0 || effect.Waiting != 0 || effect.Revenue != 0 ||
		effect.Phase != was.Phase || effect.PaidOut != was.PaidOut || effect.Suspended != was.Suspended || effect.ClosesAt != was.ClosesAt ||
		len(effect.Buyers) > 0 || len(effect.Holds) > 0 || len(effect.Line) > 0
	return effect
}

// places answers, in order, those that are taken or left in the end.
func places(changes map[Place]int) (effects []PlaceEffect) {
	for _, p := range slices.SortedFunc(maps.Keys(changes), Place.Compare) {
		if n := changes[p]; n != 0 {
			effects = append(effects, PlaceEffect{p, n < 0})
		}
	}
	return effects
}
