package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/sale"
)

var flood = Scenario{
	Name:  "flood",
	Title: "A flood of rejections",
	What: "Requests to a sale of which all is reserved, and which has no line: each is let in, decided, and rejected. Redis remembers rejections in two " +
		"hashes that take turns, a million in each at most, so its memory may not grow beyond that, however many come: ten million, if --flood " +
		"does not say how many.",
	Gives: []string{"rejections", "Redis at most"},
	Run:   measureFlood,
}

// floodQueue is how many may wait while the flood comes.
const floodQueue = 20_000

func measureFlood(ctx context.Context, r *Run) error {
	k, err := r.keepers(ctx, 1)
	if err != nil {
		return err
	}
	defer k.leave()
	if err := k.openPartitions(ctx); err != nil {
		return err
	}
	s, err := k.sale(ctx, func(s *sale.Sale) {
		s.Kind, s.Price, s.Hold, s.Stock, s.Limit = sale.Reservation, sale.Price{Policy: sale.Fixed}, time.Hour, 1, 1
	})
	if err != nil {
		return err
	}
	who, err := k.bidders(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	n := int64(r.Scale(10_000_000, 5000))
	if r.Flood > 0 {
		n = int64(r.Flood)
	}
	began := time.Now()
	consumer, err := k.worker(ctx, process.RoleConsumer)
	if err != nil {
		return err
	}
	q, err := k.queue(ctx)
	if err != nil {
		return err
	}
	first := q.applied
	var waiting atomic.Int64
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	came := make(chan error, 1)
	go func() {
		came <- k.admit(flooding, upTo(int(n), func(i int) sale.Request {
			for waiting.Load() > floodQueue && flooding.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			r := k.bid(s, who[i%len(who)], i)
			r.Receipt, r.Verb, r.Price = sale.NewReceiptID(s.Partition), sale.Reserve, 0
			return r
		}))
	}()
	line := Series{Name: "used by its data"}
	var most float64
	look := func() error {
		used, err := k.usedMemory(ctx)
		if err != nil {
			return err
		}
		most = max(most, used)
		line.Points = append(line.Points, [2]float64{float64(q.applied - first), used / 1e6})
		return nil
	}
	if err := look(); err != nil {
		return err
	}
	for seen, ended := int64(0), false; q.applied-first < n; {
		time.Sleep(5 * time.Millisecond)
		if q, err = k.queue(ctx); err != nil {
			return err
		}
		waiting.Store(q.waits())
		if !ended {
			select {
			case err := <-came:
				if err != nil {
					return err
				}
				ended = true
			default:
			}
		}
		if err := k.alive(); err != nil {
			return err
		}
		if done := q.applied - first; done-seen >= n/60 {
			seen = done
			if err := look(); err != nil {
				return err
			}
		}
	}
	took := time.Since(began)
	if err := k.Leave(consumer); err != nil {
		return err
	}
	if err := look(); err != nil {
		return err
	}
	var remembered int64
	for _, turn := range []string{"0", "1"} {
		held, err := k.redis.HLen(ctx, "{s0}:rejected:"+turn).Result()
		if err != nil {
			return err
		}
		if held > partition.RejectedMost+floodQueue {
			return fmt.Errorf("a hash remembers %d rejections, and may %d", held, partition.RejectedMost)
		}
		remembered += held
	}
	statuses, err := k.statuses(ctx, s.ID)
	if err != nil {
		return err
	}
	if statuses["rejected"] != n-1 || statuses["held"] != 1 {
		return fmt.Errorf("of %d one unit is held and all others are rejected, but there are %v", n, statuses)
	}
	r.Curve(Curve{Name: "Redis under a flood", X: "rejections", Y: "MB", Series: []Series{line}})
	r.Figure("rejections", "", float64(n-1), Target{})
	r.Figure("remembered in the end", "", float64(remembered), Target{})
	r.Figure("Redis at most", "MB", most/1e6, Target{Bound: 200, Goal: 100})
	r.Figure("let in and rejected", "/s", float64(n)/took.Seconds(), Target{})
	return nil
}
