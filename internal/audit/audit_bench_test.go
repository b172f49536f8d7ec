package audit_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// BenchmarkAudit audits a run of so many requests of all kinds. Of ten, three are bids,
// three reservations (of which a third is held and the rest waits in a long line), one
// joins, one claims, and two pay or cancel a reservation.
func BenchmarkAudit(b *testing.B) {
	sizes := []int{5_000, 20_000}
	if testing.Short() {
		sizes = []int{500}
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkAudit(b, n) })
	}
}

func benchmarkAudit(b *testing.B, n int) {
	h, now := begin(b)
	buyers, err := h.ledger.CreateAccounts(b.Context(), "buyer", n/4, 1_000_000)
	h.must(err)
	fixed := sale.Price{Policy: sale.Fixed, Start: 10}
	stock := int64(n / 20)
	var sales []sale.Sale
	for _, s := range []sale.Sale{
		{Kind: sale.Auction, Price: sale.Price{Policy: sale.Percentage, Start: 1000, Rate: 100, Period: time.Second}, Limit: 2},
		{Kind: sale.Reservation, Price: fixed, Limit: 10, Hold: time.Hour, LineMost: 100_000},
		{Kind: sale.Event, Price: fixed, Limit: 10, Hold: time.Hour, LineMost: 100_000},
		{Kind: sale.Coupon, Price: sale.Price{Policy: sale.Fixed}, Limit: 1, AmountOff: 1, ValidFrom: now, ValidUntil: now + 60_000},
	} {
		for range partitions {
			s.Seller, s.Stock, s.OpensAt, s.ClosesAt = seller, stock, now, now+60_000
			if s.Kind != sale.Coupon {
				s.RefundWindow = time.Second
			}
			sales = append(sales, h.sale(s))
		}
	}
	of := func(kind, n int) sale.Sale { return sales[kind*partitions+n%partitions] }
	reserved := make([]uuid.UUID, n)
	request := func(i int) sale.Request {
		r := sale.Request{Verb: sale.Bid, Sale: of(0, i/10).ID, Buyer: buyers[i/4%len(buyers)], Quantity: 1, Price: 1000}
		switch {
		case i%10 < 3:
		case i%10 < 6:
			r.Verb, r.Sale = sale.Reserve, of(1, i/10).ID
		case i%10 == 6:
			r.Verb, r.Sale = sale.Join, of(2, i/10).ID
		case i%10 == 7:
			r.Verb, r.Sale = sale.Claim, of(3, i/10).ID
		default:
			r.Verb, r.Sale, r.Buyer, r.Quantity = sale.Pay, of(1, i/10).ID, buyers[(i-4)/4%len(buyers)], 0
			r.Target = reserved[i-4] // a four or a five
			if i%3 == 0 {
				r.Verb = sale.Cancel
			}
		}
		return r
	}
	stop := h.consume()
	var crowd sync.WaitGroup
	for worker := range 32 {
		crowd.Go(func() {
			for ten := worker; ten < n/10; ten += 32 {
				for i := ten * 10; i < ten*10+10; i++ {
					r, p := request(i), of(0, ten).Partition
					r.Receipt = sale.NewReceiptID(p)
					reserved[i] = r.Receipt
					if _, err := h.store.Admit(b.Context(), p, r, partition.Anytime, free); err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	crowd.Wait()
	h.quiet()
	stop()
	b.Log(h.statuses())
	for b.Loop() {
		if report := h.audit(); report.Verdict != audit.OK || report.Requests < int64(n) {
			b.Fatalf("%+v", report)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/request")
}
