package bench

import (
	"context"
	"errors"
	"fmt"

	"sluice/internal/sale"
)

// fanout is what it costs that every API hears of everything.
var fanout = Scenario{
	Name: "fanout", Title: "What it costs that every API hears of every batch",
	What: "A consumer settles bids on 64 sales, spread over 16 partitions, all of which win, while no API, one, or four are there. Nobody asks them for " +
		"anything; they hear what is settled, as they must, since somebody may wait for it. The cost of hearing is what each of them computes for a " +
		"request, and what Redis computes more than where nobody hears.",
	Gives: []string{"an API hears", "Redis tells an API"},
	Run:   measureFanout,
}

func measureFanout(ctx context.Context, r *Run) error {
	k, err := r.keepers(ctx, partitioned)
	if err != nil {
		return err
	}
	defer k.leave()
	if err := errors.Join(k.openPartitions(ctx), k.keepLog(ctx)); err != nil {
		return err
	}
	bidders, err := k.bidders(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	all := []int{0, 1, 4}
	name := func(apis int) string {
		if apis == 1 {
			return "1 API"
		}
		return fmt.Sprintf("%d APIs", apis)
	}
	for i := range r.Times(3) + 1 {
		for _, apis := range all {
			round, err := k.share(ctx, shift{
				members: 1, stock: sale.MaxStock, bidders: bidders, n: r.Scale(80_000, 800), warm: r.Scale(100, 10), listeners: apis,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", name(apis), err)
			}
			if i > 0 { // the first one is for warming up
				r.Contender(name(apis), "")
				r.Round(name(apis), round)
			}
		}
	}
	most := all[len(all)-1]
	quiet, told := average(r.Report.contender(name(0)).Rounds), average(r.Report.contender(name(most)).Rounds)
	r.Figure("an API hears", "µs a request", told.CPU["api"]/float64(most), Target{})
	r.Figure("Redis tells an API", "µs a request", (told.CPU["redis"]-quiet.CPU["redis"])/float64(most), Target{})
	return nil
}
