package sale_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/sale"
)

// now is when sellers of these tests create their sales.
const now = sale.Instant(1_800_000_000_000)

// auction is a sale that every creation rule allows: 10 minutes, from 1000
// points down to 100.
func auction() sale.Sale {
	return sale.Sale{
		ID: 7, Kind: sale.Auction, Partition: 3, Seller: 70, Escrow: 71, Title: "lamp",
		Price: sale.Price{Policy: sale.Constant, Start: 1000, Drop: 100, Period: time.Minute},
		Stock: 10, Limit: 2,
		OpensAt: now, ClosesAt: now.Add(10 * time.Minute),
		RefundWindow: sale.DefaultRefund, ShowStock: true,
	}
}

// falling is the auction with another length and price.
func falling(length time.Duration, price sale.Price) sale.Sale {
	s := auction()
	s.ClosesAt, s.Price = s.OpensAt.Add(length), price
	return s
}

func constant(start, drop int64, period time.Duration) sale.Price {
	return sale.Price{Policy: sale.Constant, Start: start, Drop: drop, Period: period}
}

func percentage(start, rate int64, period time.Duration) sale.Price {
	return sale.Price{Policy: sale.Percentage, Start: start, Rate: rate, Period: period}
}

// faulty names the fields that Check complains about, in its order.
func faulty(t *testing.T, s sale.Sale) (fields []string) {
	t.Helper()
	err := s.Check(now)
	if err == nil {
		return nil
	}
	var faults sale.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("Check answered %v, which is not Faults", err)
	}
	for _, f := range faults {
		if f.Rule == "" || !strings.Contains(err.Error(), f.Field+" "+f.Rule) {
			t.Errorf("%q does not tell the fault %+v", err, f)
		}
		fields = append(fields, f.Field)
	}
	return fields
}

// TestCheckPublished are the creation cases of the domain, by its numbers.
func TestCheckPublished(t *testing.T) {
	const s, m = time.Second, time.Minute
	type of struct {
		name   string
		sale   sale.Sale
		faults []string
	}
	cases := []of{
		{"10 min / 1 min from 512 at 50 %", falling(10*m, percentage(512, 5000, m)), nil},
		{"10 min / 1 min from 256 at 50 %", falling(10*m, percentage(256, 5000, m)), []string{"start_price"}},
		{"drop 100, 1000, 60 min, 10 min", falling(60*m, constant(1000, 100, 10*m)), nil},
		{"drop 100, 500, 60 min, 10 min", falling(60*m, constant(500, 100, 10*m)), []string{"start_price"}},
		{"drop 100, 1000, 30 min, 10 min", falling(30*m, constant(1000, 100, 10*m)), nil},
		{"drop 100, 300, 30 min, 5 min", falling(30*m, constant(300, 100, 5*m)), []string{"start_price"}},
		{"60 min", falling(60*m, constant(1000, 100, 60*m)), nil},
		{"60 min + 1 s", falling(60*m+s, constant(1000, 100, 60*m)), []string{"closes_at"}},
		{"fixed price: period = length", falling(10*m, constant(2, 1, 10*m)), nil},
	}
	for _, seconds := range []time.Duration{7, 11, 13, 14, 21, 31} {
		name := "60 min / " + (seconds * s).String()
		cases = append(cases, of{name, falling(60*m, constant(sale.MaxPoints/10, 1, seconds*s)), []string{"period"}})
	}
	for _, seconds := range []time.Duration{6, 10, 12, 15, 20, 30} {
		name := "1 min / " + (seconds * s).String()
		cases = append(cases, of{name, falling(m, constant(1000, 1, seconds*s)), nil})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := faulty(t, c.sale); !slices.Equal(got, c.faults) {
				t.Errorf("faults in %q, want %q", got, c.faults)
			}
		})
	}
	if p := percentage(512, 5000, m); p.After(9) != 1 {
		t.Errorf("the last price from 512 is %d, want 1", p.After(9))
	}
}

func TestCheckFields(t *testing.T) {
	const big = sale.MaxPoints
	cases := []struct {
		name   string
		change func(*sale.Sale)
		faults []string
	}{
		{"nothing", func(*sale.Sale) {}, nil},
		{"a hold", func(s *sale.Sale) { s.Hold = time.Minute }, []string{"hold"}},
		{"a line", func(s *sale.Sale) { s.LineMost, s.MaxBypass = 1, 1 }, []string{"line", "max_bypass"}},
		{"no title", func(s *sale.Sale) { s.Title = "" }, []string{"title"}},
		{"blank title", func(s *sale.Sale) { s.Title = " \t\n" }, []string{"title"}},
		{"longest title", func(s *sale.Sale) { s.Title = strings.Repeat("é", sale.MaxTitle) }, nil},
		{"title too long", func(s *sale.Sale) { s.Title = strings.Repeat("é", sale.MaxTitle+1) }, []string{"title"}},
		{"title not UTF-8", func(s *sale.Sale) { s.Title = "\xff" }, []string{"title"}},
		{"title with NUL", func(s *sale.Sale) { s.Title = "a\x00" }, []string{"title"}},
		{"longest description", func(s *sale.Sale) { s.Description = strings.Repeat("é\n", sale.MaxDescription/2) }, nil},
		{"description too long", func(s *sale.Sale) { s.Description = strings.Repeat("é", sale.MaxDescription+1) }, []string{"description"}},
		{"description not UTF-8", func(s *sale.Sale) { s.Description = "\xff" }, []string{"description"}},
		{"description with NUL", func(s *sale.Sale) { s.Description = "\x00" }, []string{"description"}},
		{"limit 0", func(s *sale.Sale) { s.Limit = 0 }, []string{"limit"}},
		{"limit of everything", func(s *sale.Sale) { s.Limit = 10 }, nil},
		{"limit over stock", func(s *sale.Sale) { s.Limit = 11 }, []string{"stock"}},
		{"one unit", func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 }, nil},
		{"no units", func(s *sale.Sale) { s.Stock, s.Limit = 0, 0 }, []string{"limit"}},
		{"stock below nothing", func(s *sale.Sale) { s.Stock = -1 }, []string{"stock"}},
		{"largest stock", func(s *sale.Sale) { s.Stock = sale.MaxStock }, nil},
		{"stock too large", func(s *sale.Sale) { s.Stock = sale.MaxStock + 1 }, []string{"stock"}},
		{"opens now", func(s *sale.Sale) { s.OpensAt, s.ClosesAt = now, now.Add(10*time.Minute) }, nil},
		{"opened a moment ago", func(s *sale.Sale) { s.OpensAt, s.ClosesAt = now-1, now-1+600_000 }, []string{"opens_at"}},
		{"closes as it opens", func(s *sale.Sale) { s.ClosesAt = s.OpensAt }, []string{"closes_at"}},
		{"closes before it opens", func(s *sale.Sale) { s.ClosesAt = s.OpensAt - 60_000 }, []string{"closes_at"}},
		{"half a minute", func(s *sale.Sale) { s.ClosesAt = s.OpensAt + 30_000 }, []string{"closes_at"}},
		{"a millisecond too long", func(s *sale.Sale) { s.ClosesAt++ }, []string{"closes_at"}},
		{"a year", func(s *sale.Sale) { s.ClosesAt = s.OpensAt.Add(365 * 24 * time.Hour) }, []string{"closes_at"}},
		{"for ever", func(s *sale.Sale) { s.ClosesAt = 1<<63 - 1 }, []string{"closes_at"}},
		{"no refund window", func(s *sale.Sale) { s.RefundWindow = 0 }, nil},
		{"longest refund window", func(s *sale.Sale) { s.RefundWindow = sale.MaxRefundWindow }, nil},
		{"refund window too long", func(s *sale.Sale) { s.RefundWindow = sale.MaxRefundWindow + time.Millisecond }, []string{"refund_window"}},
		{"refund window below nothing", func(s *sale.Sale) { s.RefundWindow = -time.Hour }, []string{"refund_window"}},
		{"refund window in microseconds", func(s *sale.Sale) { s.RefundWindow = time.Microsecond }, []string{"refund_window"}},
		{"no policy", func(s *sale.Sale) { s.Price.Policy = "" }, []string{"policy"}},
		{"start price 0", func(s *sale.Sale) { s.Price = percentage(0, 1000, time.Minute) }, []string{"start_price"}},
		{"start price below 0", func(s *sale.Sale) { s.Price = percentage(-5, 1000, time.Minute) }, []string{"start_price"}},
		{"drop 0", func(s *sale.Sale) { s.Price.Drop = 0 }, []string{"drop"}},
		{"drop below 0", func(s *sale.Sale) { s.Price.Drop = -1 }, []string{"drop"}},
		{"drop as large as start", func(s *sale.Sale) { s.Price.Drop = s.Price.Start }, []string{"drop"}},
		{"constant with a rate", func(s *sale.Sale) { s.Price.Rate = 1 }, []string{"rate"}},
		{"rate 0", func(s *sale.Sale) { s.Price = percentage(1000, 0, time.Minute) }, []string{"rate"}},
		{"rate over 50 %", func(s *sale.Sale) { s.Price = percentage(1000, sale.MaxRate+1, time.Minute) }, []string{"rate"}},
		{"percentage with a drop", func(s *sale.Sale) { s.Price = percentage(1000, 100, time.Minute); s.Price.Drop = 1 }, []string{"drop"}},
		{"period 0", func(s *sale.Sale) { s.Price.Period = 0 }, []string{"period"}},
		{"period below 0", func(s *sale.Sale) { s.Price.Period = -time.Minute }, []string{"period"}},
		{"period of half a second", func(s *sale.Sale) { s.Price.Period = time.Second / 2 }, []string{"period"}},
		{"period longer than the sale", func(s *sale.Sale) { s.Price.Period = 20 * time.Minute }, []string{"period"}},
		{"start × stock = 2^53 − 1", func(s *sale.Sale) { s.Stock, s.Limit, s.Price = 1, 1, percentage(big, 1, time.Minute) }, nil},
		{"start × stock = 2^53", func(s *sale.Sale) { s.Stock, s.Price = 1<<20, percentage(1<<33, 1, time.Minute) }, []string{"stock"}},
		{"start × stock just below 2^53", func(s *sale.Sale) { s.Stock, s.Price = 1<<20-1, percentage(1<<33, 1, time.Minute) }, nil},
		{"start over 2^53 − 1", func(s *sale.Sale) { s.Stock, s.Limit, s.Price = 1, 1, percentage(big+1, 1, time.Minute) }, []string{"start_price", "stock"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := auction()
			c.change(&s)
			if got := faulty(t, s); !slices.Equal(got, c.faults) {
				t.Errorf("faults in %q, want %q", got, c.faults)
			}
		})
	}
}

// A seller who got everything wrong is told everything at once, so he has to
// come back only once.
func TestCheckTellsEverything(t *testing.T) {
	s := sale.Sale{Kind: sale.Auction, Stock: -1, OpensAt: now - 1, ClosesAt: now + 600_000 - 1, RefundWindow: -time.Second}
	want := []string{"title", "limit", "stock", "opens_at", "refund_window", "start_price", "policy", "period"}
	if got := faulty(t, s); !slices.Equal(got, want) {
		t.Errorf("faults in %q, want %q", got, want)
	}
	// A wrong length must not hide the faults of the price.
	s = falling(-time.Minute, percentage(0, 9000, time.Second/3))
	want = []string{"closes_at", "start_price", "rate", "period"}
	if got := faulty(t, s); !slices.Equal(got, want) {
		t.Errorf("with a wrong length: faults in %q, want %q", got, want)
	}
}

func TestShownAt(t *testing.T) {
	s := auction()
	cases := []struct {
		name string
		at   sale.Instant
		free int64
		want sale.Shown
	}{
		{"before opening", s.OpensAt - 1, 10, sale.ShownScheduled},
		{"before opening, nothing free", s.OpensAt - 1, 0, sale.ShownScheduled},
		{"at opens_at", s.OpensAt, 10, sale.ShownOpen},
		{"last unit", s.OpensAt + 1, 1, sale.ShownOpen},
		{"all gone", s.OpensAt, 0, sale.ShownSoldOut},
		{"last moment", s.ClosesAt - 1, 1, sale.ShownOpen},
		{"last moment, all gone", s.ClosesAt - 1, 0, sale.ShownSoldOut},
		{"at closes_at", s.ClosesAt, 1, sale.ShownClosed},
		{"at closes_at, all gone", s.ClosesAt, 0, sale.ShownClosed},
	}
	for _, c := range cases {
		if got := s.ShownAt(c.at, c.free); got != c.want {
			t.Errorf("%s: shown %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPayoutAt(t *testing.T) {
	s := auction()
	if got, want := s.PayoutAt(), s.ClosesAt+24*3600*1000; got != want {
		t.Errorf("payout at %d, want %d", got, want)
	}
}

func TestInstant(t *testing.T) {
	moment := time.Date(2027, 1, 15, 8, 0, 0, 123_999_999, time.FixedZone("KST", 9*3600))
	i := sale.At(moment)
	if want := time.Date(2027, 1, 14, 23, 0, 0, 123_000_000, time.UTC); !i.Time().Equal(want) || i.Time().Location() != time.UTC {
		t.Errorf("%v became %v, want %v", moment, i.Time(), want)
	}
	if got := i.Add(time.Second + 999*time.Microsecond); got != i+1000 {
		t.Errorf("a second later is %d ms later", got-i)
	}
}
