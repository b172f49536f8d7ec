package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/process"
)

// trips is what an admission and a reading cost alone, and what they share.
var trips = Scenario{
	Name: "trips", Title: "What a trip to Redis costs, and who shares it",
	What: "Callers in one process let bids into one partition, and read their receipts, as fast as they are answered. Those who ask at the same " +
		"moment share a trip, so the more callers, the more of them share one: counted by the scripts that Redis was asked to run. The cost of a " +
		"request is that of its trip, divided by those who share it, and one of its own: the straight line through what Redis, and what the " +
		"process that asks (the same code as in the API), computed. Redis does not rewrite its log meanwhile.",
	Gives: []string{"a trip, redis", "a trip, who asks", "admission, redis", "admission, who asks", "reading, redis", "reading, who asks"},
	Run:   measureTrips,
}

// tripWorkers are those who compute for a trip.
var tripWorkers = []string{"redis", "who asks"}

func measureTrips(ctx context.Context, r *Run) error {
	k, s, err := r.lamp(ctx)
	if k != nil {
		defer k.leave()
	}
	if err != nil {
		return err
	}
	if err := k.keepLog(ctx); err != nil {
		return err
	}
	bidders, err := k.bidders(ctx, r.Scale(10_000, 100))
	if err != nil {
		return err
	}
	lines := map[string]*line{}
	for _, who := range tripWorkers {
		lines["admission, "+who], lines["reading, "+who] = new(line), new(line)
	}
	for i := range r.Times(3) + 1 {
		for _, asking := range []int{1, 4, 16, 64, 256} {
			n := r.Scale(30_000, 300)
			if asking < 16 {
				n = r.Scale(10_000, 100)
			}
			receipts := make([]uuid.UUID, n)
			for _, kind := range []struct {
				name string
				one  func(ctx context.Context, i int) error
			}{
				{"admission", func(ctx context.Context, i int) error {
					request := k.bid(s, bidders[i%len(bidders)], int(k.asked.Add(1)))
					receipts[i] = request.Receipt
					_, err := k.store.Admit(ctx, s.Partition, request, partition.Selling, limits)
					return err
				}},
				{"reading", func(ctx context.Context, i int) error {
					_, err := k.store.Receipt(ctx, s.Partition, receipts[i])
					return err
				}},
			} {
				round, err := k.trip(ctx, asking, n, kind.one)
				if err != nil {
					return fmt.Errorf("%d callers, %s: %w", asking, kind.name, err)
				}
				if i == 0 { // the first one is for warming up
					continue
				}
				name := fmt.Sprintf("%s, callers: %d", kind.name, asking)
				r.Contender(name, "")
				r.Round(name, round)
				for _, who := range tripWorkers {
					lines[kind.name+", "+who].add(1/round.Values["share a trip"], round.CPU[who])
				}
			}
		}
	}
	for _, who := range tripWorkers {
		var slope float64
		for _, kind := range []string{"admission", "reading"} {
			each, trip := lines[kind+", "+who].through()
			r.Figure(kind+", "+who, "µs each", each, Target{})
			slope += trip / 2
		}
		r.Figure("a trip, "+who, "µs", slope, Target{})
	}
	// All that was let in is settled, and is what was asked for.
	waits, err := k.queue(ctx)
	if err != nil {
		return err
	}
	if waits.waits() != k.asked.Load() {
		return fmt.Errorf("%d wait, of %d that were let in", waits.waits(), k.asked.Load())
	}
	consumer, err := k.worker(ctx, process.RoleConsumer)
	if err != nil {
		return err
	}
	if err := until(ctx, settleBy, "all that was let in is settled", func() (bool, error) {
		q, err := k.queue(ctx)
		return q.waits() == 0, errors.Join(err, k.alive())
	}); err != nil {
		return err
	}
	return errors.Join(k.Leave(consumer), k.allWon(ctx), k.sold(ctx, s))
}

// trip has so many callers do something n times, and tells what each cost and how many
// shared a trip.
func (k *keepers) trip(ctx context.Context, callers, n int, one func(ctx context.Context, i int) error) (Round, error) {
	before, err := k.commands(ctx)
	if err != nil {
		return Round{}, err
	}
	own := computedSoFar()
	began := time.Now()
	used, err := k.Spent(func() error {
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		var next atomic.Int64
		var crowd sync.WaitGroup
		for range callers {
			crowd.Go(func() {
				for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
					if err := one(ctx, int(i)); err != nil {
						stop(err)
					}
				}
			})
		}
		crowd.Wait()
		return context.Cause(ctx)
	})
	if err != nil {
		return Round{}, err
	}
	took := time.Since(began)
	used["who asks"] = computedSoFar() - own
	delete(used, "postgres") // it has nothing to do with it
	after, err := k.commands(ctx)
	if err != nil {
		return Round{}, err
	}
	asked := since(before, after)["evalsha"]
	if asked == 0 {
		return Round{}, errors.New("Redis was asked to run nothing")
	}
	return Round{
		Rate: float64(n) / took.Seconds(), N: float64(n), Seconds: took.Seconds(), CPU: PerOne(used, float64(n)),
		Values: map[string]float64{"share a trip": float64(n) / float64(asked)},
	}, nil
}

// line is a straight line through points, by least squares.
type line struct{ n, x, y, xx, xy float64 }

func (l *line) add(x, y float64) {
	l.n, l.x, l.y, l.xx, l.xy = l.n+1, l.x+x, l.y+y, l.xx+x*x, l.xy+x*y
}

// through answers where it begins and how steep it is. Points of one x have no slope.
func (l *line) through() (at0, slope float64) {
	if spread := l.n*l.xx - l.x*l.x; spread > 0 {
		slope = (l.n*l.xy - l.x*l.y) / spread
	}
	return (l.y - slope*l.x) / l.n, slope
}
