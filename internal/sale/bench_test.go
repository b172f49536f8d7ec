package sale_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// BenchmarkDecide decides batches of 500 bids of 500 buyers for one auction: every
// bid wins, or the sale is sold out. One iteration is one batch.
func BenchmarkDecide(b *testing.B) {
	const bids = 500
	points, entries := map[int64]int64{}, make([]sale.Entry, bids)
	for i := range entries {
		buyer := int64(i + 1000)
		points[buyer] = 1_000_000
		entries[i] = bid(opens, fmt.Sprint(i), buyer, 1, 1000)
		entries[i].Seq, entries[i].ID.No = int64(i+1), int64(i)
	}
	for name, free := range map[string]int64{"all-win": 1_000_000, "sold-out": 0} {
		b.Run(name, func(b *testing.B) {
			terms := auction()
			terms.OpensAt, terms.ClosesAt, terms.Stock = opens, closes, 1_000_000
			state := sale.State{lamp: {Sale: terms, Phase: sale.PhaseOpen, Free: free, Sold: terms.Stock - free, Buyers: map[int64]int64{}}}
			facts := sale.Facts{Generation: 1, Balances: points, Receipts: map[uuid.UUID]sale.Receipt{}}
			b.ReportAllocs()
			for b.Loop() {
				sale.Decide(state, facts, entries)
			}
			batch := sale.Batch{Entries: entries, State: state, Facts: facts, Decision: sale.Decide(state, facts, entries)}
			bytes := len(batch.EncodeEntries()) + len(batch.EncodeFacts()) + len(batch.EncodeOutcomes()) + len(batch.Effects.Encode())
			b.ReportMetric(float64(bytes)/bids, "log-B/bid")
		})
	}
}
