package settlement

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"sluice/internal/sale"
)

// BenchmarkSettle carries a backlog of bids from the stream into view by one
// owner: every bid wins (points move, rows are written), or the sale is sold out.
// One iteration is one bid.
func BenchmarkSettle(b *testing.B) {
	for name, stock := range map[string]int64{"all-win": sale.MaxStock, "sold-out": 10} {
		b.Run(name, func(b *testing.B) {
			newHouse(b).settleBacklog(b, stock)
		})
	}
}

// settleBacklog is one run of it: b.N bids for so many units.
func (h *house) settleBacklog(b *testing.B, stock int64) {
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
	spent, settling := h.spending(), settlingOf(o)
	b.ResetTimer()
	h.drain(o)
	b.StopTimer()
	b.ReportMetric(100*(settlingOf(o)-settling)/b.Elapsed().Seconds(), "%settling")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bids/s")
	for who, cpu := range spent() {
		b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(b.N), who+"-µs/bid")
	}
}

// settlingOf is for how many seconds an owner has had batches settled.
func settlingOf(o *owner) float64 {
	var m dto.Metric
	_ = o.metrics.seconds.settle.(prometheus.Metric).Write(&m)
	return m.GetHistogram().GetSampleSum()
}

// BenchmarkRebuild opens a partition whose Redis is empty, with so many rejections to
// bring back from the log. One iteration is one rebuild.
func BenchmarkRebuild(b *testing.B) {
	sizes := []int{0, 10_000, 200_000}
	if testing.Short() {
		sizes = []int{0, 1000}
	}
	for _, rejections := range sizes {
		b.Run(strconv.Itoa(rejections), func(b *testing.B) {
			h := newHouse(b)
			s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
			o := h.owner(s.Partition)
			h.open(s)
			buyers := h.buyers(1000, 1_000_000)
			var crowd sync.WaitGroup
			for worker := range 256 {
				crowd.Go(func() {
					for i := worker; i < rejections; i += 256 {
						h.bid(s, buyers[i%len(buyers)], 1)
					}
				})
			}
			crowd.Wait()
			h.drain(o)
			raw := h.raw()
			for b.Loop() {
				b.StopTimer()
				h.must(raw.FlushAll(h.ctx).Err())
				b.StartTimer()
				h.must(o.sync(h.ctx))
				b.StopTimer()
				if got := raw.HLen(h.ctx, fmt.Sprintf("{s%d}:rejected:0", s.Partition)).Val(); got < int64(rejections)-1 {
					b.Fatalf("%d came back", got)
				}
				h.drain(o) // the mark
				b.StartTimer()
			}
		})
	}
}
