package bench

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/process"
)

// verdict is how long somebody waits until he knows what became of his request.
var verdict = Scenario{
	Name: "verdict", Title: "From the POST to the outcome",
	What: "A buyer bids, and holds a poll of his receipt (Prefer: wait) until it is final. First 256 do that as fast as they can, which is the " +
		"capacity. Then bids come at random moments, so many a second whatever became of those before, at 10 % to 90 % of that; the time runs from " +
		"the moment at which a bid was to come to its outcome in hand, so that whoever finds no free connection has waited as well. API, consumer, " +
		"scheduler, Redis, Postgres and those who ask share the machine. All bids win.",
	Gives: []string{"capacity", "p50 at 70 %", "p99 at 70 %", "load"},
	Run:   measureVerdict,
}

const openCallers = 1000 // connections of an open loop: far more than are ever busy below capacity

func measureVerdict(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	d, err := stage.Sluice(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	if err := d.Run(ctx, process.RoleConsumer, process.RoleAPI, process.RoleScheduler); err != nil {
		return err
	}
	lamp, err := d.Auction(ctx, endless)
	if err != nil {
		return err
	}
	asked := int64(0)
	at := func(rate float64, connections int) func(context.Context, time.Duration) (Round, error) {
		return func(ctx context.Context, length time.Duration) (Round, error) {
			l := d.Bidding(lamp, connections)
			l.Journey, l.Rate, l.Length = Verdict, rate, length
			told, used, err := stage.Load(ctx, l)
			asked += int64(told.N)
			round := told.Round(used)
			if rate > 0 {
				round.Values = map[string]float64{"generator late, p99 ms": told.Late.P99}
			}
			return round, err
		}
	}
	if err := r.Interleave(ctx, r.Times(2), r.Length(5), Side{"capacity", "256 connections, as fast as they are answered", at(0, callers)}); err != nil {
		return err
	}
	capacity := average(r.Report.contender("capacity").Rounds).Rate
	r.Figure("capacity", "/s", capacity, Target{})

	curve := Curve{Name: "load", X: "load, requests/s", Y: "ms", LogY: true, Series: []Series{{Name: "p50"}, {Name: "p99"}}}
	for tenth := 1; tenth <= 9; tenth += r.Scale(1, 4) {
		round, err := at(capacity*float64(tenth)/10, openCallers)(ctx, r.Length(6))
		if err != nil {
			return fmt.Errorf("at %d0 %%: %w", tenth, err)
		}
		r.Say("   %d0 %%         %s", tenth, round)
		curve.Series[0].Points = append(curve.Series[0].Points, [2]float64{round.Rate, round.Latency.P50})
		curve.Series[1].Points = append(curve.Series[1].Points, [2]float64{round.Rate, round.Latency.P99})
	}
	r.Curve(curve)
	if err := r.Interleave(ctx, r.Times(3), r.Length(8), Side{"70 %", "bids come at 70 % of that", at(0.7*capacity, openCallers)}); err != nil {
		return err
	}
	seen := average(r.Report.contender("70 %").Rounds).Latency
	r.Figure("p50 at 70 %", "ms", seen.P50, Target{Bound: 10, Goal: 10, AtMost: true})
	r.Figure("p99 at 70 %", "ms", seen.P99, Target{Bound: 50, Goal: 25})
	if err := d.Settled(ctx, lamp, asked); err != nil {
		return err
	}
	return d.Audited(ctx)
}
