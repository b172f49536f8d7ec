package sale

import (
	"fmt"
	"time"
)

// Policy says how the price of a sale falls.
type Policy string

// The price policies.
const (
	Constant   Policy = "constant"   // price(k) = start − k × drop
	Percentage Policy = "percentage" // price(k+1) = floor(price(k) × (10000 − rate) / 10000)
	Fixed      Policy = "fixed"      // the only one of every kind but the auction: Start, for ever
)

// Policies is all of them.
var Policies = []Policy{Constant, Percentage, Fixed}

// whole is 100 % in basis points.
const whole = 10_000

// MaxRate is the steepest percentage policy, in basis points (domain, "Auction").
const MaxRate = 5_000

// Price is the price curve of a sale. The fixed price of an auction is a Period as
// long as the sale itself.
type Price struct {
	Policy Policy
	Start  int64         // points: of an auction > 0, else the unit price ≥ 0
	Drop   int64         // points per period, 0 < Drop < Start; constant only
	Rate   int64         // basis points per period, 0 < Rate ≤ MaxRate; percentage only
	Period time.Duration // of an auction: whole seconds that divide the length of the sale
}

// After is the price after k ≥ 0 drops, floored at every step, never below 0.
func (p Price) After(k int64) int64 {
	if p.Policy == Fixed {
		return p.Start
	}
	if p.Policy == Constant {
		if k > p.Start/p.Drop {
			return 0
		}
		return p.Start - k*p.Drop
	}
	price := p.Start
	for ; k > 0 && price > 0; k-- {
		price = less(price, p.Rate)
	}
	return price
}

// next is the price one drop after price. A fixed one never drops.
func (p Price) next(price int64) int64 {
	if p.Policy == Constant {
		return max(price-p.Drop, 0)
	}
	return less(price, p.Rate)
}

// less is floor(price × (10000 − rate) / 10000), in a form that cannot overflow.
func less(price, rate int64) int64 {
	keep := whole - rate
	return price/whole*keep + price%whole*keep/whole
}

// check tells which rules the curve of an auction of this length breaks. A length of
// 0 is not known, and what depends on it is left out.
func (p Price) check(length time.Duration) (faults Faults) {
	add := func(field, rule string, args ...any) {
		faults = append(faults, Fault{field, fmt.Sprintf(rule, args...)})
	}
	if p.Start <= 0 || p.Start > MaxPoints {
		add("start_price", "must be between 1 and %d", int64(MaxPoints))
	}
	switch p.Policy {
	case Constant:
		if p.Drop <= 0 || p.Drop >= p.Start {
			add("drop", "must be more than 0 and less than start_price")
		}
		if p.Rate != 0 {
			add("rate", "belongs to the percentage policy")
		}
	case Percentage:
		if p.Rate <= 0 || p.Rate > MaxRate {
			add("rate", "must be between 1 and %d basis points", MaxRate)
		}
		if p.Drop != 0 {
			add("drop", "belongs to the constant policy")
		}
	default:
		add("policy", "must be constant or percentage")
	}
	switch {
	case p.Period <= 0 || p.Period%time.Second != 0:
		add("period", "must be a whole number of seconds")
	case length == 0:
	case length%p.Period != 0:
		add("period", "must divide the length of the sale")
	case len(faults) == 0 && p.After(int64(length/p.Period)-1) <= 0:
		add("start_price", "must stay above 0 until the last drop")
	}
	return faults
}

// checkFixed tells which rules the price of any other kind breaks.
func (p Price) checkFixed() (faults Faults) {
	if p.Start < 0 || p.Start > MaxPoints {
		faults = append(faults, Fault{"unit_price", fmt.Sprintf("must be between 0 and %d", int64(MaxPoints))})
	}
	if p != (Price{Policy: Fixed, Start: p.Start}) {
		faults = append(faults, Fault{"policy", "belongs to an auction, as start_price, drop, rate and period do"})
	}
	return faults
}
