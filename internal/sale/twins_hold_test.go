package sale_test

import (
	"slices"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

var twinsOfHolds = []twin{
	{"sells half its stock", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.Returns() {
				s.Free = max(s.Free-s.Stock/2, 0)
			}
		}), facts, entries)
	}},
	{"takes one unit whatever is asked", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		entries = slices.Clone(entries)
		for i := range entries {
			if entries[i].Verb == sale.Reserve {
				entries[i].Quantity = min(entries[i].Quantity, 1)
			}
		}
		return sale.Decide(state, facts, entries)
	}},
	{"promotes with the pay_by of the hold that ended", "hold", moving(func(d *sale.Decision, m *sale.Move) {
		if m.From == sale.Waiting && m.Receipt.Status == sale.Held {
			keep(d, m.Receipt, func(p *sale.Place) { p.At = m.At })
			m.Receipt.PayBy = m.At
		}
	})},
	{"promotes two for one freed unit", "stock", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.Waiting > 1 && slices.ContainsFunc(entries, func(e sale.Entry) bool { return e.Verb == sale.Cancel }) {
				s.Free++
			}
		}), facts, entries)
	}},
	{"promotes somebody twice", "once", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for _, m := range d.Effects.Moves {
			if m.From == sale.Waiting && m.Receipt.Status == sale.Held {
				d.Effects.Moves = append(d.Effects.Moves, m)
			}
		}
		return d
	}},
	{"loses the unit of a hold that ended", "stock", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for _, m := range d.Effects.Moves {
			if m.Receipt.Status == sale.Expired {
				of(&d, m.Receipt.Sale).Free -= m.Receipt.Quantity
			}
		}
		return d
	}},
	{"ignores that holds end", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) { s.Holds = nil }), facts, entries)
	}},
	{"ends holds when the sale closes", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Receipts = alteredMap(facts.Receipts, func(r *sale.Receipt) {
			if s := state[r.Sale]; s != nil && r.Status == sale.Held {
				r.PayBy = min(r.PayBy, s.ClosesAt-1)
			}
		})
		return sale.Decide(altered(state, func(s *sale.Stand) {
			s.Holds = slices.Clone(s.Holds)
			for i := range s.Holds {
				s.Holds[i].At = min(s.Holds[i].At, s.ClosesAt-1)
			}
		}), facts, entries)
	}},
	{"serves the last in line first", "turn", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			s.Line = slices.Clone(s.Line)
			slices.Reverse(s.Line)
		}), facts, entries)
	}},
	{"lets everybody pass", "turn", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.LineMost > 0 {
				s.MaxBypass++
			}
		}), facts, entries)
	}},
	{"does not count who was passed", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		d.Effects.Moves = slices.DeleteFunc(d.Effects.Moves, func(m sale.Move) bool { return m.Receipt.Status == sale.Waiting })
		return d
	}},
	{"has no end of the line", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.LineMost > 0 {
				s.LineMost = 1000
			}
		}), facts, entries)
	}},
	{"judges by the beginning of the line it was shown", "view", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) { s.Waiting = int64(len(s.Line)) }), facts, entries)
	}},
	{"keeps the line after the close", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		return sale.Decide(altered(state, func(s *sale.Stand) {
			if s.Returns() {
				s.ClosesAt += 3600_000
			}
		}), facts, entries)
	}},
	{"never lets a buyer come again", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i := range d.Effects.Sales {
			s := &d.Effects.Sales[i]
			s.Buyers = slices.DeleteFunc(s.Buyers, func(b sale.BuyerEffect) bool { return b.Units < 0 })
		}
		return d
	}},
	{"keeps the points of who cancels", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		cancels := map[uuid.UUID]bool{}
		for _, e := range entries {
			cancels[e.Receipt] = e.Verb == sale.Cancel
		}
		d.Effects.Transfers = slices.DeleteFunc(d.Effects.Transfers, func(t sale.Transfer) bool { return cancels[t.Receipt] })
		return d
	}},
	{"revives a hold that is paid too late", "once", moving(func(d *sale.Decision, m *sale.Move) {
		if m.Receipt.Status == sale.Expired {
			m.Receipt.Status, m.From = sale.Held, sale.Expired
		}
	})},
	{"takes a payment that is too late for nothing", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i := range d.Outcomes {
			if d.Outcomes[i].Reason == sale.ReasonExpired {
				d.Outcomes[i] = sale.Outcome{Status: sale.Confirmed}
			}
		}
		return d
	}},
	{"gives up the old table before it has the new one", "state", upFront},

	{"uses a coupon twice", "coupon", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Coupons = alteredMap(facts.Coupons, func(c *sale.CouponStand) { c.UsedBy = uuid.Nil })
		return sale.Decide(state, facts, entries)
	}},
	{"takes anybody's coupon", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Coupons = alteredMap(facts.Coupons, func(c *sale.CouponStand) {
			for _, e := range entries {
				if e.Coupon != uuid.Nil {
					c.Buyer = e.Buyer
				}
			}
		})
		return sale.Decide(state, facts, entries)
	}},
	{"never frees a coupon", "state", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		d.Effects.Coupons = slices.DeleteFunc(d.Effects.Coupons, func(c sale.CouponEffect) bool { return c.UsedBy == uuid.Nil })
		return d
	}},
	{"forgets until when a coupon is valid", "outcome", func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		facts.Coupons = alteredMap(facts.Coupons, func(c *sale.CouponStand) { c.ValidUntil += 3600_000 })
		return sale.Decide(state, facts, entries)
	}},
}

// moving is Decide with every move altered.
func moving(with func(*sale.Decision, *sale.Move)) decideFunc {
	return func(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
		d := sale.Decide(state, facts, entries)
		for i := range d.Effects.Moves {
			with(&d, &d.Effects.Moves[i])
		}
		return d
	}
}

// of is the effect on one sale.
func of(d *sale.Decision, id int64) *sale.SaleEffect {
	i := slices.IndexFunc(d.Effects.Sales, func(s sale.SaleEffect) bool { return s.Sale == id })
	return &d.Effects.Sales[i]
}

// keep alters the place of a hold.
func keep(d *sale.Decision, r sale.Receipt, with func(*sale.Place)) {
	s := of(d, r.Sale)
	for i := range s.Holds {
		if s.Holds[i].Receipt == r.ID && !s.Holds[i].Left {
			with(&s.Holds[i].Place)
		}
	}
}

// alteredMap is a map in which every value is different.
func alteredMap[V any](m map[uuid.UUID]V, with func(*V)) map[uuid.UUID]V {
	other := map[uuid.UUID]V{}
	for id, v := range m {
		with(&v)
		other[id] = v
	}
	return other
}

// upFront cancels the old table of every change of slot that finds no new one.
func upFront(state sale.State, facts sale.Facts, entries []sale.Entry) sale.Decision {
	d := sale.Decide(state, facts, entries)
	given := slices.Clone(entries)
	for i, e := range given {
		if e.From != 0 && d.Outcomes[i].Reason == sale.SoldOut {
			given[i].Verb, given[i].Sale, given[i].From = sale.Cancel, e.From, 0
		}
	}
	worse := sale.Decide(state, facts, given)
	worse.Outcomes = d.Outcomes
	return worse
}
