package bench

import (
	"context"
	"fmt"
	"strconv"

	"sluice/internal/embedded"
	"sluice/internal/sale"
)

// spread is what a cluster costs, and what it takes from each master.
var spread = Scenario{
	Name: "masters", Title: "Partitions on one master of a cluster, and on three",
	What: "Bids on 64 sales of 16 partitions, all of which win, are let in by this process and then settled by one consumer, on a Redis Cluster of three masters: " +
		"once with all partitions on the first of them, once spread over all three as their slots are. On two cores neither can be faster; what is " +
		"measured is what it costs everybody to settle a request, and what of each the busiest master computes to let it in and to settle it: at its end that one " +
		"is when it computes all the time.",
	Gives: []string{"cost, spread : on one", "busiest master, spread : on one", "bound, on one master", "bound, spread over three"},
	Run:   measureSpread,
}

func measureSpread(ctx context.Context, r *Run) error {
	if r.RedisURL != "" {
		return fmt.Errorf("it makes clusters of its own: name no servers")
	}
	sides := []struct {
		name    string
		masters int
	}{{"on one master", 1}, {"spread over three", clusterMasters}}
	var all []*keepers
	var bidders [][]int64
	for _, side := range sides {
		k, err := r.keepersOn(ctx, partitioned, true)
		if k != nil {
			defer k.leave()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		if side.masters == 1 {
			for p := range partitioned {
				if err := k.cluster.MoveSlot(ctx, embedded.Slot("{s"+strconv.Itoa(p)+"}"), 0, nil); err != nil {
					return err
				}
			}
			if err := k.cluster.Healthy(ctx); err != nil {
				return err
			}
		}
		if err := k.openPartitions(ctx); err != nil {
			return fmt.Errorf("%s: %w", side.name, err)
		}
		who, err := k.bidders(ctx, r.Scale(10_000, 100))
		if err != nil {
			return err
		}
		all, bidders = append(all, k), append(bidders, who)
	}
	for i := range r.Times(3) + 1 {
		for at, side := range sides {
			round, err := all[at].share(ctx, shift{
				members: 1, stock: sale.MaxStock, bidders: bidders[at], n: r.Scale(80_000, 800), warm: r.Scale(100, 10), masters: side.masters,
			})
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			if i > 0 { // the first one is for warming up
				r.Contender(side.name, "")
				r.Round(side.name, round)
			}
		}
	}
	one, three := average(r.Report.contender(sides[0].name).Rounds), average(r.Report.contender(sides[1].name).Rounds)
	r.Figure("cost, spread : on one", "×", three.cost()/one.cost(), flatness)
	busiest := func(of Round) float64 { return max(of.Values["busiest master, µs"], 0.001) }
	r.Figure("busiest master, spread : on one", "×", busiest(three)/busiest(one), Target{})
	r.Figure("bound, "+sides[0].name, "/s at most", 1e6/busiest(one), Target{})
	r.Figure("bound, "+sides[1].name, "/s at most", 1e6/busiest(three), Target{})
	return nil
}
