package audit_test

import (
	"sync"
	"testing"
	"time"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// BenchmarkPatrol goes round a thousand live sales after a hundred thousand requests: a
// round that finds nothing new (ms/round), and what following the log costs (µs/request).
func BenchmarkPatrol(b *testing.B) {
	const callers = 32
	live, requests := 1000, 100_000
	if testing.Short() {
		live, requests = 50, 2000
	}
	h, now := begin(b)
	buyers, err := h.ledger.CreateAccounts(b.Context(), "buyer", 1000, 1_000_000)
	h.must(err)
	var sales []sale.Sale
	for range live {
		sales = append(sales, h.sale(sale.Sale{
			Seller: seller, Price: sale.Price{Policy: sale.Percentage, Start: 100, Rate: 100, Period: time.Minute},
			Stock: 1_000_000, Limit: 1_000_000, OpensAt: now, ClosesAt: now + 3_600_000, RefundWindow: time.Hour,
		}))
	}
	stop := h.consume()
	defer stop()
	p := h.patrol()
	ask := func(n int) {
		var crowd sync.WaitGroup
		for caller := range callers {
			crowd.Go(func() {
				for i := caller; i < n; i += callers {
					s := sales[i%live]
					r := sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Bid, Sale: s.ID, Buyer: buyers[i/live%len(buyers)], Quantity: 1, Price: 100}
					if _, err := h.store.Admit(b.Context(), s.Partition, r, partition.Anytime, free); err != nil {
						b.Error(err)
					}
				}
			})
		}
		crowd.Wait()
		h.quiet()
	}
	ask(live) // which opens them
	p.content("begin", 0)
	var followed time.Duration
	var judged int64
	for range 20 {
		ask(requests / 20)
		began := time.Now()
		report := p.content("after requests", requests)
		followed, judged = followed+time.Since(began), judged+report.Requests
		if report.Verdict != audit.OK || report.Sales < int64(live) || report.Requests < int64(requests)/20 {
			b.Fatalf("%+v", report)
		}
	}
	for b.Loop() {
		if report := p.goes(); report.Verdict != audit.OK {
			b.Fatalf("%+v", report)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/round")
	b.ReportMetric(float64(followed.Microseconds())/float64(judged), "µs/request")
}
