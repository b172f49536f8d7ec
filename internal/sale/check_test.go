package sale_test

import (
	"slices"
	"testing"
	"time"

	"sluice/internal/sale"
)

// Each kind with what belongs to it, and with what belongs to another.
func TestCheckKinds(t *testing.T) {
	slot := func(s *sale.Sale) { s.Store, s.StartsAt = 500, s.ClosesAt }
	for _, c := range []struct {
		name   string
		sale   sale.Sale
		change func(*sale.Sale)
		faults []string
	}{
		{"a raffle", chair(), func(s *sale.Sale) { s.Kind = "raffle" }, []string{"kind", "hold", "line"}},

		{"chair", chair(), nil, nil},
		{"chair free of charge", chair(price(0)), nil, nil},
		{"chair below 0", chair(price(-1)), nil, []string{"unit_price"}},
		{"chair at more than all points", chair(price(sale.MaxPoints + 1)), nil, []string{"unit_price", "stock"}},
		{"chairs at more than all points", chair(price(sale.MaxPoints), stock(2)), nil, []string{"stock"}},
		{"chair at a falling price", chair(), func(s *sale.Sale) { s.Price = constant(100, 1, time.Minute) }, []string{"policy"}},
		{"chair for a year", chair(), func(s *sale.Sale) { s.ClosesAt = s.OpensAt.Add(sale.MaxSpan) }, nil},
		{"chair for more", chair(), func(s *sale.Sale) { s.ClosesAt = s.OpensAt.Add(sale.MaxSpan) + 1 }, []string{"closes_at"}},
		{"chair for no whole minute", chair(), func(s *sale.Sale) { s.ClosesAt = s.OpensAt + 1 }, nil},
		{"without a hold", chair(), func(s *sale.Sale) { s.Hold = 0 }, []string{"hold"}},
		{"held for half a second", chair(), func(s *sale.Sale) { s.Hold = time.Second / 2 }, []string{"hold"}},
		{"held for a second", chair(), func(s *sale.Sale) { s.Hold = time.Second }, nil},
		{"held for a second and a half", chair(), func(s *sale.Sale) { s.Hold = 3 * time.Second / 2 }, []string{"hold"}},
		{"held for a week", chair(), func(s *sale.Sale) { s.Hold = sale.MaxHold }, nil},
		{"held for longer", chair(), func(s *sale.Sale) { s.Hold = sale.MaxHold + time.Second }, []string{"hold"}},
		{"no line", chair(line(0)), nil, nil},
		{"a line below 0", chair(line(-1)), nil, []string{"line"}},
		{"the longest line", chair(line(sale.MaxLine)), nil, nil},
		{"a longer one", chair(line(sale.MaxLine + 1)), nil, []string{"line"}},
		{"bypass", chair(bypass(sale.MaxBypass)), nil, nil},
		{"more bypass", chair(bypass(sale.MaxBypass + 1)), nil, []string{"max_bypass"}},
		{"bypass without a line", chair(line(0), bypass(1)), nil, []string{"max_bypass"}},
		{"a chair with a coupon's terms", chair(), func(s *sale.Sale) { s.AmountOff, s.ValidFrom, s.ValidUntil = 1, opens, closes },
			[]string{"amount_off", "valid_from", "valid_until"}},
		{"a chair with an event's terms", chair(), slot, []string{"starts_at", "store"}},

		{"coupon", voucher(), nil, nil},
		{"two coupons for a buyer", voucher(limit(2)), nil, []string{"limit"}},
		{"coupon at a price", voucher(price(1)), nil, []string{"unit_price"}},
		{"coupon of nothing", voucher(), func(s *sale.Sale) { s.AmountOff = 0 }, []string{"amount_off"}},
		{"coupon of all points", voucher(), func(s *sale.Sale) { s.AmountOff = sale.MaxPoints }, nil},
		{"coupon of more", voucher(), func(s *sale.Sale) { s.AmountOff = sale.MaxPoints + 1 }, []string{"amount_off"}},
		{"coupon valid from the close", voucher(), func(s *sale.Sale) { s.ValidFrom = s.ClosesAt }, []string{"valid_from"}},
		{"coupon valid never", voucher(), func(s *sale.Sale) { s.ValidUntil = s.ValidFrom }, []string{"valid_until", "valid_until"}},
		{"coupon valid before it can be claimed", voucher(), func(s *sale.Sale) { s.ValidFrom, s.ValidUntil = opens-2, opens }, []string{"valid_until"}},
		{"coupon valid for ever", voucher(), func(s *sale.Sale) { s.ValidUntil = 1 << 60 }, []string{"valid_until"}},
		{"coupon with a hold", voucher(), func(s *sale.Sale) { s.Hold = time.Minute }, []string{"hold"}},
		{"coupon with a line", voucher(line(1)), nil, []string{"line"}},

		{"event", evening(), nil, nil},
		{"event that says when it starts", evening(), func(s *sale.Sale) { s.StartsAt = s.ClosesAt + 1 }, nil},
		{"event that starts before its close", evening(), func(s *sale.Sale) { s.StartsAt = s.ClosesAt - 1 }, []string{"starts_at"}},
		{"event that never starts", evening(), func(s *sale.Sale) { s.StartsAt = 1 << 60 }, []string{"starts_at"}},
		{"slot", evening(slot), nil, nil},
		{"slot that closes before it starts", evening(slot), func(s *sale.Sale) { s.StartsAt++ }, []string{"starts_at"}},
		{"slot with two tables for a buyer", evening(slot, stock(2), limit(2)), nil, []string{"starts_at"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.sale)
			}
			if got := faulty(t, c.sale); !slices.Equal(got, c.faults) {
				t.Errorf("faults in %q, want %q", got, c.faults)
			}
		})
	}
}

func TestFixedPrice(t *testing.T) {
	for name, c := range map[string]struct {
		sale sale.Sale
		want bool
	}{
		"lamp":                            {auction(), false},
		"lamp whose period is its length": {falling(10*time.Minute, constant(100, 1, 10*time.Minute)), true},
		"chair":                           {chair(), true},
	} {
		if got := c.sale.FixedPrice(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	c := chair()
	if _, drops := c.NextDrop(c.OpensAt); drops || c.PriceAt(c.ClosesAt-1) != 100 || !slices.Equal(c.Prices(), []sale.Step{{At: c.OpensAt, Price: 100}}) {
		t.Errorf("a chair drops: %t, costs %d, %v", drops, c.PriceAt(c.ClosesAt-1), c.Prices())
	}
}

func TestRemindAt(t *testing.T) {
	for hold, before := range map[time.Duration]time.Duration{
		time.Hour: 2 * time.Minute, 10 * time.Minute: 2 * time.Minute, 5 * time.Minute: time.Minute, time.Second: 200 * time.Millisecond,
	} {
		s := chair(func(s *sale.Sale) { s.Hold = hold })
		if got := s.RemindAt(opens); got != opens.Add(-before) {
			t.Errorf("held for %s: told %d ms before", hold, opens-got)
		}
	}
}
