package settlement

import (
	"sync"
	"testing"

	"sluice/internal/sale"
)

// BenchmarkSettle carries a backlog of bids from the stream into view by one
// owner: every bid wins (points move, rows are written), or the sale is sold out.
// One iteration is one bid.
func BenchmarkSettle(b *testing.B) {
	for name, stock := range map[string]int64{"all-win": sale.MaxStock, "sold-out": 10} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = stock, min(stock, 1_000_000) })
			o := h.owner(s.Partition)
			h.open(s)
			buyers := h.buyers(10_000, 1_000_000)
			var crowd sync.WaitGroup
			for worker := range 256 {
				crowd.Go(func() {
					for i := worker; i < b.N; i += 256 {
						h.bid(s, buyers[i%len(buyers)], 1)
					}
				})
			}
			crowd.Wait()
			b.ResetTimer()
			h.drain(o)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bids/s")
		})
	}
}
