package partition

import (
	"slices"

	"sluice/internal/sale"
)

// After makes of what View has shown to a batch that goes up to last what it will show
// once one more batch is applied, whose effects are these. It answers false, and leaves
// the state good for nothing, when that cannot be told from what was shown: a sale is
// not there, somebody waits in a line, or holds that were not shown matter.
func After(state sale.State, effects []sale.SaleEffect, asks map[int64]*Ask, last sale.EntryID) bool {
	for id := range asks {
		if state[id] == nil {
			return false
		}
	}
	for _, e := range effects {
		if ask := asks[e.Sale]; ask != nil && e.Changed && !ask.after(state[e.Sale], e, last) {
			return false
		}
	}
	return true
}

func (a *Ask) after(s *sale.Stand, e sale.SaleEffect, last sale.EntryID) bool {
	switch open := s.Phase != sale.PhaseClosed && e.Phase != sale.PhaseClosed; {
	case s.Waiting > 0 || len(e.Line) > 0: // how much of it is shown depends on what comes free
		return false
	case len(e.Holds) == 0 && (s.Held == 0 || s.Phase == e.Phase):
	case open && a.Requests > 0: // every hold is shown that ends by then
		for _, hold := range e.Holds {
			i, there := slices.BinarySearchFunc(s.Holds, hold.Place, sale.Place.Compare)
			switch {
			case hold.Left && there:
				s.Holds = slices.Delete(s.Holds, i, i+1)
			case !hold.Left && !there && hold.At <= last.At:
				s.Holds = slices.Insert(s.Holds, i, hold.Place)
			}
		}
	default:
		return false
	}
	s.Free, s.Held, s.Sold, s.Stock = s.Free+e.Free, s.Held+e.Held, s.Sold+e.Sold, s.Stock+e.Stock
	s.Phase, s.PaidOut, s.Suspended, s.ClosesAt = e.Phase, e.PaidOut, e.Suspended, e.ClosesAt
	changes := make(map[int64]int64, len(e.Buyers))
	for _, of := range e.Buyers {
		changes[of.Buyer] = of.Units
	}
	for _, buyer := range a.Buyers {
		if units := s.Buyers[buyer] + changes[buyer]; units != 0 {
			s.Buyers[buyer] = units
		} else {
			delete(s.Buyers, buyer)
		}
	}
	return true
}
