package sale_test

import (
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// twins are deliberately wrong deciders, each with the promise it breaks. Most
// are mistakes that the four originals really made. Those of holds, lines and
// coupons are in twins_hold_test.go, those of a suspended sale in suspend_test.go.
var twins = append([]twin{
	{"forgets what a buyer has", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) { s.Buyers = nil }), facts, entries)
	}},
	{"last come, first served", "cuts", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, backwards(entries))
		slices.Reverse(d.Outcomes)
		return d
	}},
	{"sells on credit", "points", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Balances = map[int64]int64{1: 1e9, 2: 1e9, 3: 1e9, 4: 1e9, 5: 1e9, 6: 1e9}
		return sale.Decide(state, facts, entries)
	}},
	{"computes per cent in doubles", "outcome", inDoubles},
	{"forgets the generation", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Generation = 0
		return sale.Decide(state, facts, entries)
	}},
	{"reads a stale stock", "stock", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) { s.Free = s.Stock }), facts, entries)
	}},
	{"keeps one unit back", "turn", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) { s.Free = max(s.Free-1, 0) }), facts, entries)
	}},
	{"forgets to mark the refunded", "once", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		d.Effects.Moves = slices.DeleteFunc(d.Effects.Moves, func(m sale.Move) bool { return m.Receipt.Status == sale.Refunded })
		return d
	}},
	{"charges twice", "once", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		d.Effects.Transfers = slices.Concat(d.Effects.Transfers, d.Effects.Transfers)
		return d
	}},
	{"judges a batch by its first moment", "cuts", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		entries = slices.Clone(entries)
		for i := range entries {
			entries[i].ID.At = entries[0].ID.At
		}
		return sale.Decide(state, facts, entries)
	}},
	{"counts units straight on the state", "pure", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for _, e := range d.Effects.Sales {
			state[e.Sale].Free += e.Free
		}
		return d
	}},
	{"tosses a coin", "replay", func() decideFunc {
		tosses := 0
		return func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
			d := sale.Decide(state, facts, entries)
			if tosses++; tosses%2 == 0 {
				d.Outcomes = slices.Repeat([]sale.Outcome{{Status: sale.Rejected, Reason: sale.Internal}}, len(entries))
			}
			return d
		}
	}()},
}, slices.Concat(twinsOfHolds, twinsOfSuspension)...)

type twin struct {
	name   string
	breaks string
	decide decideFunc
}

// altered is a state in which every stand is different.
func altered(state sale.State, with func(*sale.Stand)) sale.State {
	other := sale.State{}
	for id, s := range state {
		stand := *s
		with(&stand)
		other[id] = &stand
	}
	return other
}

func backwards(entries []sale.Entry) []sale.Entry {
	entries = slices.Clone(entries)
	slices.Reverse(entries)
	return entries
}

// inDoubles charges every bid what a program with floating point would.
func inDoubles(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
	d := sale.Decide(state, facts, entries)
	for i, e := range entries {
		o := &d.Outcomes[i]
		if e.Verb != sale.Bid || o.Status != sale.Confirmed || o.Stands || e.Receipt == uuid.Nil {
			continue
		}
		s := state[e.Sale]
		if s.Price.Policy != sale.Percentage {
			continue
		}
		price := s.Price.Start
		for range int64(e.ID.At-s.OpensAt) / s.Price.Period.Milliseconds() {
			price = int64(float64(price) * (float64(10_000-s.Price.Rate) / 10_000))
		}
		o.UnitPrice = price
	}
	return d
}
