package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sluice/internal/process"
)

// carry is what carries requests from the POST to the settlement.
var carry = Scenario{
	Name: "carry", Title: "Sales settled, beside other carriers",
	What: "The same requests to the same books, answered with 202 and settled behind it: by Sluice, and by a Fiber server that hands them to " +
		"asynq (Redis), River (Postgres) or watermill (Redis Streams), whose workers settle them. Each is given the same number of bids, from 64 connections, " +
		"and its seconds end when the last of them is settled and the books are right.",
	GivesBeside: []string{"sluice/asynq", "sluice/river", "sluice/watermill"},
	Rivals:      true,
	Run:         measureCarry,
}

// carriers, with what they are.
var carriers = [][2]string{
	{"asynq", "tasks in Redis, one transaction for a group of them or for each, as it allows"},
	{"river", "jobs in Postgres"},
	{"watermill", "messages in a Redis Stream"},
}

const carryCallers = 64

func measureCarry(ctx context.Context, r *Run) error {
	stage, err := r.Stage(ctx)
	if err != nil {
		return err
	}
	buyers := r.Scale(10_000, 100)
	d, err := stage.Sluice(ctx, buyers)
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
	bids := func(length time.Duration) int {
		return max(int(length.Seconds()*float64(r.Scale(5_000, 1_000))), 1)
	}
	asked := int64(0)
	sides := []Side{{"sluice", "this", func(ctx context.Context, length time.Duration) (Round, error) {
		l := d.Bidding(lamp, carryCallers)
		l.Count, l.Drain = bids(length), true
		return stage.carried(ctx, l, &asked, func() (int64, error) { return d.Sold(ctx, lamp) })
	}}}
	for _, c := range carriers {
		rival, err := stage.Rival(ctx, c[0], d.Keys, &books{stock: endless, buyers: buyers})
		if err != nil {
			return err
		}
		asked := int64(0)
		sides = append(sides, rival.alone(Side{c[0], c[1], func(ctx context.Context, length time.Duration) (Round, error) {
			l := rival.Bidding(carryCallers, http.StatusAccepted)
			l.Count, l.Drain = bids(length), true
			return stage.carried(ctx, l, &asked, func() (int64, error) {
				found, err := rival.Check(ctx)
				return found.Sold, err
			})
		}}))
	}
	if err := r.Interleave(ctx, r.Times(3), r.Length(4), sides...); err != nil {
		return err
	}
	for _, c := range carriers {
		r.Compare("sluice", c[0], Target{})
	}
	return d.Audited(ctx)
}

// carried is a round that ends when all of it is settled: when the last receipt of every
// connection is final, if the load waits for that, and when as much is sold as was asked
// for in this round and those before. More than that is an error.
func (s *Stage) carried(ctx context.Context, l Load, asked *int64, sold func() (int64, error)) (Round, error) {
	var told Loaded
	var generator, late time.Duration
	used, err := s.Spent(func() error {
		var used map[string]time.Duration
		var err error
		if told, used, err = s.Load(ctx, l); err != nil {
			return err
		}
		*asked += int64(told.N)
		generator = used["generator"]
		began := time.Now()
		settled := func() (bool, error) {
			n, err := sold()
			if err == nil && n > *asked {
				err = fmt.Errorf("%d are sold, and only %d were asked for", n, *asked)
			}
			return n == *asked, err
		}
		if all, err := settled(); all || err != nil {
			return err
		}
		err = until(ctx, settleBy, "all is settled", settled)
		late = time.Since(began)
		return err
	})
	if err != nil {
		return Round{}, err
	}
	used["generator"] = generator
	round := told.Round(used)
	round.Values = map[string]float64{"accepted/s": round.Rate}
	round.Seconds = max(told.Drained, told.Seconds) + late.Seconds()
	round.Rate = round.N / round.Seconds
	return round, nil
}
