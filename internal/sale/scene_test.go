package sale_test

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// scene is how things stand before a batch: all of it, as the stores keep it.
type scene struct {
	state   sale.State
	facts   sale.Facts
	refused map[uuid.UUID]sale.Receipt // rejected at once: they have no row, the log alone knows them
}

// newScene is a scene in which nobody came yet.
func newScene(points map[int64]int64, sales ...sale.Sale) scene {
	s := scene{
		state:   sale.State{},
		facts:   sale.Facts{Generation: 1, Balances: maps.Clone(points), Receipts: map[uuid.UUID]sale.Receipt{}, Coupons: map[uuid.UUID]sale.CouponStand{}},
		refused: map[uuid.UUID]sale.Receipt{},
	}
	for _, terms := range sales {
		s.state[terms.ID] = &sale.Stand{Sale: terms, Phase: sale.Scheduled, Free: terms.Stock, Buyers: map[int64]int64{}}
	}
	return s
}

// view is what a batch is decided on: nothing but what Stand and Facts say it needs,
// and of each line so many places.
func (s scene) view(entries []sale.Entry, depth int) (sale.State, sale.Facts) {
	state, facts := sale.State{}, sale.Facts{
		Generation: s.facts.Generation, Balances: maps.Clone(s.facts.Balances),
		Receipts: map[uuid.UUID]sale.Receipt{}, Coupons: map[uuid.UUID]sale.CouponStand{},
	}
	know := func(id uuid.UUID) {
		if r, ok := s.facts.Receipts[id]; ok {
			facts.Receipts[id] = r
		}
	}
	for _, e := range entries {
		for _, id := range []int64{e.Sale, e.From} {
			if stand := s.state[id]; stand != nil && state[id] == nil {
				state[id] = shown(stand, entries, depth)
			}
		}
		know(e.Receipt)
		know(e.Target)
		if r, ok := s.refused[e.Receipt]; ok {
			facts.Receipts[e.Receipt] = r
		}
		for id, r := range s.facts.Receipts {
			if r.Verb == sale.Pay && e.Verb == sale.Pay && r.Target == e.Target {
				know(id)
			}
		}
	}
	for _, stand := range state {
		for _, p := range slices.Concat(stand.Holds, stand.Line) {
			know(p.Receipt)
		}
	}
	for _, r := range facts.Receipts {
		if c, ok := s.facts.Coupons[r.Coupon]; ok {
			facts.Coupons[r.Coupon] = c
		}
	}
	for _, e := range entries {
		if c, ok := s.facts.Coupons[e.Coupon]; ok {
			facts.Coupons[e.Coupon] = c
		}
	}
	return state, facts
}

func shown(whole *sale.Stand, entries []sale.Entry, depth int) *sale.Stand {
	part := *whole
	part.Buyers = map[int64]int64{}
	for _, e := range entries {
		if n := whole.Buyers[e.Buyer]; n != 0 {
			part.Buyers[e.Buyer] = n
		}
	}
	last := entries[len(entries)-1].ID.At
	part.Holds = nil
	for _, p := range whole.Holds {
		if p.At <= last {
			part.Holds = append(part.Holds, p)
		}
	}
	part.Line = slices.Clone(whole.Line[:min(depth, len(whole.Line))])
	return &part
}

// decide asks Decide, which must leave its arguments alone, and makes the batch
// true, so that the next one stands on it. It answers the outcomes in words.
func (s scene) decide(t *testing.T, entries ...sale.Entry) ([]string, sale.Effects) {
	t.Helper()
	b := s.settle(t, entries...)
	var said []string
	for _, o := range b.Outcomes {
		said = append(said, say(o))
	}
	return said, b.Effects
}

// settle is decide that answers all of it.
func (s scene) settle(t *testing.T, entries ...sale.Entry) sale.Batch {
	t.Helper()
	state, facts := s.view(entries, 1<<20)
	beforeState, beforeFacts := s.view(entries, 1<<20)
	asked := slices.Clone(entries)
	b := sale.Batch{Entries: entries, State: state, Facts: facts, Decision: sale.Decide(state, facts, entries)}
	if !reflect.DeepEqual(state, beforeState) || !reflect.DeepEqual(facts, beforeFacts) || !reflect.DeepEqual(entries, asked) {
		t.Error("Decide changed its arguments")
	}
	if len(b.Short) > 0 {
		t.Errorf("short of %v, though all is shown", b.Short)
	}
	s.apply(b)
	return b
}

// apply is what Postgres and Redis do with a batch.
func (s scene) apply(b sale.Batch) {
	for _, e := range b.Effects.Sales {
		stand := s.state[e.Sale]
		stand.Free += e.Free
		stand.Held += e.Held
		stand.Sold += e.Sold
		stand.Stock += e.Stock
		stand.Waiting += e.Waiting
		stand.Phase, stand.PaidOut, stand.Suspended, stand.ClosesAt = e.Phase, e.PaidOut, e.Suspended, e.ClosesAt
		for _, of := range e.Buyers {
			if stand.Buyers[of.Buyer] += of.Units; stand.Buyers[of.Buyer] == 0 {
				delete(stand.Buyers, of.Buyer)
			}
		}
		stand.Holds = replace(stand.Holds, e.Holds)
		stand.Line = replace(stand.Line, e.Line)
	}
	for _, transfer := range b.Effects.Transfers {
		s.facts.Balances[transfer.Debit] -= transfer.Amount
		s.facts.Balances[transfer.Credit] += transfer.Amount
	}
	moved := map[uuid.UUID]bool{}
	for _, m := range b.Effects.Moves {
		moved[m.Receipt.ID] = true
	}
	for _, r := range b.Receipts() {
		if r.Status == sale.Rejected && !moved[r.ID] {
			s.refused[r.ID] = r
			continue
		}
		if stand := s.state[r.Sale]; r.Verb == sale.Claim && stand != nil {
			s.facts.Coupons[r.ID] = sale.CouponStand{
				Sale: r.Sale, Buyer: r.Buyer, Seller: stand.Seller, Amount: stand.AmountOff, ValidFrom: stand.ValidFrom, ValidUntil: stand.ValidUntil,
			}
		}
		s.facts.Receipts[r.ID] = r
	}
	for _, e := range b.Effects.Coupons {
		c := s.facts.Coupons[e.Coupon]
		c.UsedBy = e.UsedBy
		s.facts.Coupons[e.Coupon] = c
	}
}

// replace puts places in and takes them out, and keeps the order.
func replace(places []sale.Place, effects []sale.PlaceEffect) []sale.Place {
	for _, e := range effects {
		if e.Left {
			places = slices.DeleteFunc(places, func(p sale.Place) bool { return p == e.Place })
		} else {
			places = append(places, e.Place)
		}
	}
	slices.SortFunc(places, func(a, b sale.Place) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq))
	})
	if len(places) == 0 {
		return nil
	}
	return places
}

// say puts an outcome into words: "confirmed at 900", "rejected sold_out, stands",
// "held at 100 less 30 by 10:00". The time is since the opening of the table tests.
func say(o sale.Outcome) string {
	words := o.Status.String()
	if o.Reason != 0 {
		words += " " + o.Reason.String()
	}
	if o.UnitPrice != 0 {
		words += fmt.Sprint(" at ", o.UnitPrice)
	}
	if o.Discount != 0 {
		words += fmt.Sprint(" less ", o.Discount)
	}
	if o.Quantity != 0 {
		words += fmt.Sprint(" for ", o.Quantity)
	}
	if o.PayBy != 0 {
		words += " by " + clock(o.PayBy)
	}
	if o.Stands {
		words += ", stands"
	}
	return words
}

func clock(at sale.Instant) string {
	ms := at - opens
	words := fmt.Sprintf("%d:%02d", ms/60_000, ms/1000%60)
	if ms%1000 != 0 {
		words += fmt.Sprintf(".%03d", ms%1000)
	}
	return words
}

// broken tells which laws of a standing scene do not hold.
func (s scene) broken() (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	for id, stand := range s.state {
		if stand.Free+stand.Held+stand.Sold != stand.Stock || min(stand.Free, stand.Held, stand.Sold) < 0 {
			complain("stock: sale %d has free %d + held %d + sold %d of %d", id, stand.Free, stand.Held, stand.Sold, stand.Stock)
		}
		for buyer, units := range stand.Buyers {
			if units < 0 || units > stand.Limit {
				complain("stock: buyer %d has %d units of sale %d, limit %d", buyer, units, id, stand.Limit)
			}
		}
		if stand.Waiting != int64(len(stand.Line)) || stand.Waiting > stand.LineMost {
			complain("stock: %d wait for sale %d, %d in line, at most %d", stand.Waiting, id, len(stand.Line), stand.LineMost)
		}
		if stand.Phase == sale.PhaseOpen && !stand.Suspended && len(stand.Line) > 0 && s.facts.Receipts[stand.Line[0].Receipt].Quantity <= stand.Free {
			complain("turn: %d units of sale %d are free while the first in line waits", stand.Free, id)
		}
	}
	for wallet, points := range s.facts.Balances {
		if points < 0 || points > sale.MaxPoints {
			complain("points: wallet %d has %d", wallet, points)
		}
	}
	users := map[uuid.UUID]int{}
	for _, r := range s.facts.Receipts {
		if r.Coupon != uuid.Nil && !r.Status.Final() {
			users[r.Coupon]++
		}
	}
	for coupon, n := range users {
		if n > 1 {
			complain("coupon: %s is used by %d purchases", coupon, n)
		}
	}
	return complaints
}

func (s scene) total() (points int64) {
	for _, balance := range s.facts.Balances {
		points += balance
	}
	return points
}
