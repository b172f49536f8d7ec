package bench

import (
	"context"
	"fmt"

	"sluice/internal/sale"
)

// batch is what it brings to settle many at once.
var batch = Scenario{
	Name: "batch", Title: "Sales settled, by the size of a batch",
	What: "The transactions of the settlement (facts, Decide, write, COMMIT) of bids that all win, sent by one loop without Redis, in the process of " +
		"the benchmark, in batches of so many; the sale is kept in memory. A consumer takes what there is, 500 at most.",
	Gives: []string{"batch"},
	Run:   measureBatch,
}

// sizes are the batches that are tried, each with the number of bids that are settled in them.
var sizes = [][2]int{{1, 1000}, {10, 6000}, {50, 15_000}, {100, 20_000}, {200, 30_000}, {500, 40_000}, {1000, 40_000}, {2000, 40_000}}

func measureBatch(ctx context.Context, r *Run) error {
	k, err := r.keepers(ctx, 1)
	if err != nil {
		return err
	}
	defer k.leave()
	bidders, err := k.bidders(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	lamp := func(*sale.Sale) {}
	if _, err := k.loop(ctx, lamp, bidders, int64(r.Scale(10_000, 200)), 500); err != nil { // to warm up
		return err
	}
	name := func(size int) string { return fmt.Sprintf("%d at once", size) }
	for range r.Times(3) {
		for _, size := range sizes {
			round, err := k.loop(ctx, lamp, bidders, int64(r.Scale(size[1], min(size[1], 2*size[0]))), size[0])
			if err != nil {
				return fmt.Errorf("%s: %w", name(size[0]), err)
			}
			r.Round(name(size[0]), round)
		}
	}
	line := Series{Name: "settled"}
	for _, size := range sizes {
		line.Points = append(line.Points, [2]float64{float64(size[0]), average(r.Report.contender(name(size[0])).Rounds).Rate})
	}
	r.Curve(Curve{Name: "batch", X: "bids settled at once", Y: "bids/s", LogX: true, Series: []Series{line}})
	return nil
}
