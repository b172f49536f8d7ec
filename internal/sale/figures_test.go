package sale_test

import (
	"fmt"
	"slices"
	"testing"

	"sluice/internal/sale"
)

// The figures that the originals publish, in batches of 64 as they might come.
func TestPublishedFigures(t *testing.T) {
	each := func(n int, make func(receipt string, buyer int64) sale.Entry) (entries []sale.Entry) {
		for i := range n {
			entries = append(entries, make(fmt.Sprint("r", i), int64(i+1)))
		}
		return entries
	}
	for _, c := range []struct {
		name    string
		sale    sale.Sale
		entries []sale.Entry
		want    []string
		units   string
	}{
		{"1500 claims on 1000 coupons", voucher(stock(1000), number(lamp)),
			each(1500, func(receipt string, buyer int64) sale.Entry { return in(lamp, claim("0:00", receipt, buyer)) }),
			append(slices.Repeat([]string{"confirmed"}, 1000), slices.Repeat([]string{"rejected sold_out"}, 500)...), "free 0 held 0 sold 1000 waiting 0"},
		{"200 joins on 10 seats", evening(stock(10), line(0)),
			each(200, func(receipt string, buyer int64) sale.Entry { return join("0:00", receipt, buyer, 1) }),
			append(slices.Repeat([]string{"confirmed"}, 10), slices.Repeat([]string{"rejected sold_out"}, 190)...), "free 0 held 0 sold 10 waiting 0"},
		{"200 joins on 10 seats with a line of 100", evening(stock(10), line(100)),
			each(200, func(receipt string, buyer int64) sale.Entry { return join("0:00", receipt, buyer, 1) }),
			slices.Concat(slices.Repeat([]string{"confirmed"}, 10), slices.Repeat([]string{"waiting"}, 100), slices.Repeat([]string{"rejected line_full"}, 90)),
			"free 0 held 0 sold 10 waiting 100"},
		{"400 orders on a stock of 500", chair(stock(500), price(0)),
			slices.Concat(each(400, func(receipt string, buyer int64) sale.Entry { return reserve("0:00", receipt, buyer, 1) }),
				each(400, func(receipt string, buyer int64) sale.Entry { return pay("0:01", buyer, receipt) })),
			append(slices.Repeat([]string{"held by 10:00"}, 400), slices.Repeat([]string{"confirmed"}, 400)...), "free 100 held 0 sold 400 waiting 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ofSales(c.sale)()
			var said []string
			for batch := range slices.Chunk(numbered(c.entries, 0), 64) {
				words, _ := s.decide(t, batch...)
				said = append(said, words...)
				for _, complaint := range s.broken() {
					t.Error(complaint)
				}
			}
			if !slices.Equal(said, c.want) {
				t.Errorf("said %q", said)
			}
			if got := s.units(lamp); got != c.units {
				t.Errorf("ends with %s, want %s", got, c.units)
			}
		})
	}
}
