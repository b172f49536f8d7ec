package sale_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// TestSaleSum: the fingerprint is of everything a seller asks for, and of nothing
// that we add. It is stored, so it must not change.
func TestSaleSum(t *testing.T) {
	s := auction()
	if got, want := s.Sum(), uint64(0xd00bb8c2b13a96df); got != want {
		t.Errorf("sum %#x, want %#x", got, want)
	}
	sums := map[uint64]string{s.Sum(): "nothing"}
	for name, change := range map[string]func(*sale.Sale){
		"seller": func(s *sale.Sale) { s.Seller++ }, "kind": func(s *sale.Sale) { s.Kind = sale.Coupon },
		"title": func(s *sale.Sale) { s.Title += "!" }, "description": func(s *sale.Sale) { s.Description += "!" },
		"text moved over": func(s *sale.Sale) { s.Title, s.Description = "lamp 0:", "" },
		"policy":          func(s *sale.Sale) { s.Price.Policy = sale.Percentage }, "start_price": func(s *sale.Sale) { s.Price.Start++ },
		"drop": func(s *sale.Sale) { s.Price.Drop++ }, "rate": func(s *sale.Sale) { s.Price.Rate++ },
		"period": func(s *sale.Sale) { s.Price.Period += time.Second }, "stock": func(s *sale.Sale) { s.Stock++ },
		"limit": func(s *sale.Sale) { s.Limit++ }, "opens_at": func(s *sale.Sale) { s.OpensAt++ },
		"closes_at": func(s *sale.Sale) { s.ClosesAt++ }, "refund_window": func(s *sale.Sale) { s.RefundWindow += time.Second },
		"show_stock": func(s *sale.Sale) { s.ShowStock = false },
	} {
		changed := s
		change(&changed)
		if other, taken := sums[changed.Sum()]; taken {
			t.Errorf("%s has the sum of %s", name, other)
		}
		sums[changed.Sum()] = name
	}
	c := chair()
	sums[c.Sum()] = "chair"
	for name, change := range map[string]func(*sale.Sale){
		"hold": func(s *sale.Sale) { s.Hold += time.Second }, "line": func(s *sale.Sale) { s.LineMost++ }, "max_bypass": func(s *sale.Sale) { s.MaxBypass++ },
		"amount_off": func(s *sale.Sale) { s.AmountOff++ }, "valid_from": func(s *sale.Sale) { s.ValidFrom++ }, "valid_until": func(s *sale.Sale) { s.ValidUntil++ },
		"starts_at": func(s *sale.Sale) { s.StartsAt++ }, "store": func(s *sale.Sale) { s.Store++ },
	} {
		changed := c
		change(&changed)
		if other, taken := sums[changed.Sum()]; taken {
			t.Errorf("%s of a chair has the sum of %s", name, other)
		}
		sums[changed.Sum()] = name + " of a chair"
	}
	ours := s
	ours.ID, ours.Partition, ours.Escrow = 1, 2, 3
	if ours.Sum() != s.Sum() {
		t.Error("the sum depends on what we add")
	}
}

func TestRequestID(t *testing.T) {
	id := sale.RequestID(70, "topup", "k")
	if want := uuid.MustParse("c5bce1e6-93ea-8000-8690-1ca341bd9a4b"); id != want {
		t.Errorf("ID %s, want %s", id, want)
	}
	ids := map[uuid.UUID]bool{id: true}
	for _, other := range []uuid.UUID{
		sale.RequestID(71, "topup", "k"), sale.RequestID(70, "sale", "k"), sale.RequestID(70, "topup", "l"),
		sale.RequestID(70, "topup", ""), sale.RequestID(70, "topup", ""),
		sale.KeyedReceiptID(0, 70, 0, sale.Bid, "k"),
	} {
		if ids[other] {
			t.Errorf("%s twice", other)
		}
		ids[other] = true
	}
}

// TestPrices: the curve is the price at each moment that it changes, from the
// opening to the close.
func TestPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		periods := rapid.IntRange(1, 60).Draw(t, "periods")
		price := sale.Price{
			Policy: sale.Constant, Start: rapid.Int64Range(60, sale.MaxPoints).Draw(t, "start"), Drop: 1,
			Period: time.Hour / time.Duration([]int{1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60}[rapid.IntRange(0, 11).Draw(t, "period")]),
		}
		if rapid.Bool().Draw(t, "percentage") {
			price.Policy, price.Drop, price.Rate = sale.Percentage, 0, rapid.Int64Range(1, sale.MaxRate).Draw(t, "rate")
		}
		s := falling(time.Duration(periods)*price.Period, price)
		steps := s.Prices()
		if len(steps) != periods {
			t.Fatalf("%d steps in %d periods", len(steps), periods)
		}
		next := s.OpensAt
		for k, step := range steps {
			if step.At != next || step.Price != s.PriceAt(step.At) || k > 0 && steps[k-1].Price != s.PriceAt(step.At-1) {
				t.Fatalf("step %d is %+v, the price there %d", k, step, s.PriceAt(step.At))
			}
			next, _ = s.NextDrop(step.At)
		}
	})
}
