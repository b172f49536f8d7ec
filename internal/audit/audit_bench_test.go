package audit_test

import (
	"sync"
	"testing"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// BenchmarkAudit audits a run of 20,000 bids by 5,000 buyers, half of which are
// confirmed.
func BenchmarkAudit(b *testing.B) {
	h, now := begin(b)
	buyers, err := h.ledger.CreateAccounts(b.Context(), "buyer", 5_000, 1_000_000)
	h.must(err)
	sales := []sale.Sale{}
	for range partitions {
		sales = append(sales, h.sale(sale.Sale{
			Seller: seller, Price: sale.Price{Policy: sale.Percentage, Start: 1000, Rate: 100, Period: 1_000_000_000},
			Stock: 5_000, Limit: 2, OpensAt: now, ClosesAt: now + 60_000, RefundWindow: 1_000_000_000,
		}))
	}
	stop := h.consume()
	var crowd sync.WaitGroup
	for i := range 32 {
		crowd.Go(func() {
			for n := i; n < 20_000; n += 32 {
				s := sales[n%len(sales)]
				_, err := h.store.Admit(b.Context(), s.Partition, sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Bid,
					Sale: s.ID, Buyer: buyers[n/4], Quantity: 1, Price: 1000}, partition.Anytime, free)
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	for p := range partitions {
		h.until(func() bool {
			seen, err := h.store.Projection(b.Context(), p, nil)
			return err == nil && seen.Seq == seen.Settled
		})
	}
	stop()
	for b.Loop() {
		if report := h.audit(); report.Verdict != audit.OK || report.Requests < 20_000 {
			b.Fatalf("%+v", report)
		}
	}
}
