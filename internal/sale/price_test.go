package sale_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// The curve the domain prints, 10000 at 10 %.
func TestPercentageCurve(t *testing.T) {
	p := percentage(10_000, 1000, time.Minute)
	for k, want := range []int64{10000, 9000, 8100, 7290, 6561, 5904, 5313, 4781, 4302, 3871, 3483} {
		if got := p.After(int64(k)); got != want {
			t.Errorf("after %d drops %d, want %d", k, got, want)
		}
	}
}

// Where the original's doubles went wrong by one.
func TestIntegerTruths(t *testing.T) {
	for _, c := range []struct{ start, percent, want int64 }{
		{90, 30, 63}, {100, 43, 57}, {100, 42, 58}, {150, 18, 123}, {2150, 6, 2021},
	} {
		if got := percentage(c.start, c.percent*100, time.Minute).After(1); got != c.want {
			t.Errorf("%d at %d %%: %d, want %d", c.start, c.percent, got, c.want)
		}
	}
}

// exact is the same curve in numbers that cannot overflow or round.
func exact(price *big.Int, rate int64) *big.Int {
	next := new(big.Int).Mul(price, big.NewInt(10_000-rate))
	return next.Quo(next, big.NewInt(10_000))
}

// TestPercentageAgainstBig follows whole curves, every step until nothing is left.
func TestPercentageAgainstBig(t *testing.T) {
	starts := []int64{999, 1000, 2150, 9_999, 10_000, 10_001, 1<<31 - 1, 1 << 31, math.MaxInt64 / 10_000,
		math.MaxInt64/10_000 + 1, sale.MaxPoints - 1, sale.MaxPoints}
	for start := int64(1); start <= 200; start++ {
		starts = append(starts, start)
	}
	for _, percent := range []int64{6, 18, 30, 31, 42, 43} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			t.Parallel()
			for _, start := range starts {
				p := percentage(start, percent*100, time.Second)
				want := big.NewInt(start)
				for k := int64(0); ; k++ {
					if got := p.After(k); got != want.Int64() {
						t.Fatalf("%d after %d drops: %d, want %d", start, k, got, want)
					}
					if want.Sign() == 0 {
						break
					}
					want = exact(want, p.Rate)
				}
			}
		})
	}
}

func TestPercentageAgainstBigAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := percentage(rapid.Int64Range(1, sale.MaxPoints).Draw(t, "start"), rapid.Int64Range(1, sale.MaxRate).Draw(t, "rate"), time.Second)
		drops := rapid.Int64Range(0, 3599).Draw(t, "drops")
		want := big.NewInt(p.Start)
		for range drops {
			want = exact(want, p.Rate)
		}
		if got := p.After(drops); got != want.Int64() {
			t.Fatalf("%+v after %d drops: %d, want %d", p, drops, got, want)
		}
	})
}

func TestConstantCurve(t *testing.T) {
	for _, c := range []struct{ start, drop, drops, want int64 }{
		{1000, 100, 0, 1000}, {1000, 100, 1, 900}, {1000, 100, 9, 100}, {1000, 100, 10, 0}, {1000, 100, 11, 0},
		{1000, 300, 3, 100}, {1000, 300, 4, 0}, {2, 1, math.MaxInt64, 0},
		{sale.MaxPoints, sale.MaxPoints - 1, 1, 1}, {sale.MaxPoints, sale.MaxPoints - 1, math.MaxInt64, 0},
		{sale.MaxPoints, 1, 3599, sale.MaxPoints - 3599},
	} {
		if got := constant(c.start, c.drop, time.Second).After(c.drops); got != c.want {
			t.Errorf("%d less %d × %d: %d, want %d", c.start, c.drops, c.drop, got, c.want)
		}
	}
}

// TestBoundaries asks for the price and the next drop at both sides of every edge.
func TestBoundaries(t *testing.T) {
	s := auction() // 1000 less 100 each minute, 10 minutes
	const minute = 60_000
	opens, closes := s.OpensAt, s.ClosesAt
	for _, c := range []struct {
		name  string
		at    sale.Instant
		price int64
		next  sale.Instant // 0: no more drops
	}{
		{"a year before opening", opens.Add(-365 * 24 * time.Hour), 1000, opens + minute},
		{"just before opening", opens - 1, 1000, opens + minute},
		{"at opens_at", opens, 1000, opens + minute},
		{"last ms before a drop", opens + minute - 1, 1000, opens + minute},
		{"at a drop", opens + minute, 900, opens + 2*minute},
		{"just after a drop", opens + minute + 1, 900, opens + 2*minute},
		{"last ms before the last drop", opens + 9*minute - 1, 200, opens + 9*minute},
		{"at the last drop", opens + 9*minute, 100, 0},
		{"last ms", closes - 1, 100, 0},
		{"at closes_at", closes, 100, 0},
		{"a year later", closes.Add(365 * 24 * time.Hour), 100, 0},
	} {
		if got := s.PriceAt(c.at); got != c.price {
			t.Errorf("%s: price %d, want %d", c.name, got, c.price)
		}
		next, ok := s.NextDrop(c.at)
		if ok != (c.next != 0) || ok && next != c.next {
			t.Errorf("%s: next drop %d ms after opening (%t), want %d", c.name, next-opens, ok, c.next-opens)
		}
	}
}

func TestFixedPriceNeverDrops(t *testing.T) {
	s := falling(10*time.Minute, percentage(1000, 5000, 10*time.Minute))
	for _, at := range []sale.Instant{s.OpensAt - 1, s.OpensAt, s.ClosesAt - 1, s.ClosesAt} {
		if got := s.PriceAt(at); got != 1000 {
			t.Errorf("%d ms after opening the price is %d", at-s.OpensAt, got)
		}
		if next, ok := s.NextDrop(at); ok {
			t.Errorf("%d ms after opening it will drop at %d", at-s.OpensAt, next-s.OpensAt)
		}
	}
}

// A price only ever falls, exactly at the moment NextDrop names, and never to 0
// while Check allows the sale.
func TestNextDropIsWhereThePriceDrops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := saletest.Auctions.Draw(t, "sale")
		at := s.OpensAt + sale.Instant(rapid.Int64Range(-1000, int64(s.ClosesAt-s.OpensAt)+1000).Draw(t, "at"))
		before := s.PriceAt(at)
		next, ok := s.NextDrop(at)
		switch {
		case before <= 0:
			t.Fatalf("price %d at %d", before, at)
		case !ok && s.PriceAt(s.ClosesAt) != before:
			t.Fatalf("the price falls from %d to %d without a drop", before, s.PriceAt(s.ClosesAt))
		case ok && (next <= at || s.PriceAt(next-1) != before || s.PriceAt(next) >= before):
			t.Fatalf("next drop at %d: %d, %d, %d", next, before, s.PriceAt(next-1), s.PriceAt(next))
		}
	})
}
