package bench

import (
	"context"
	"fmt"
	"strings"

	"sluice/internal/sale"
)

// What a request costs must not depend on how much there is of anything.
var flatness = Target{Bound: 1.1, Goal: 1.03}

// growth is one way in which a deployment grows.
type growth struct {
	of     string // what there is more and more of: the name of the curve
	base   int
	points []int // the last one is held against the target
	rounds int

	// world answers a flow over a deployment with x of it, which may be the one of the
	// point before, grown. That of base comes first, and stays.
	world func(ctx context.Context, x int) (*keepers, flow, error)
	// after, if there is one, looks at the first world and the last one in the end.
	after func(ctx context.Context, base, grown *keepers) error
}

const howFlat = " The cost of one request is the CPU time of everybody together from being let in to being visible: of this process, which " +
	"lets in (admit), of Redis, of the consumer, a process of its own, and of Postgres. First all are let in, then all are settled, so batches " +
	"are full. Each point is measured by turns with the first one, which has a database and a Redis of its own, and told relative to it: " +
	"what slows the machine for a while hits both."

// name says how much of it there is.
func (g growth) name(x int) string {
	if x == 1 {
		return "1 " + strings.TrimSuffix(g.of, "s")
	}
	return grouped(int64(x)) + " " + g.of
}

// beside is a round of a point, and one of the base next to it.
type beside struct{ base, grown Round }

// measure measures every point by turns with the base, and tells what came of it.
func (g growth) measure(ctx context.Context, r *Run) error {
	base, baseFlow, err := g.world(ctx, g.base)
	if base != nil {
		defer base.leave()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", g.name(g.base), err)
	}
	seen := make([][]beside, len(g.points))
	var grown *keepers
	for i, x := range g.points {
		k, f, err := g.world(ctx, x)
		if k != nil && k != grown {
			defer k.leave()
			grown = k
		}
		if err != nil {
			return fmt.Errorf("%s: %w", g.name(x), err)
		}
		for range r.Times(g.rounds) {
			var b beside
			if b.base, err = base.carry(ctx, baseFlow); err != nil {
				return fmt.Errorf("%s: %w", g.name(g.base), err)
			}
			if b.grown, err = k.carry(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", g.name(x), err)
			}
			r.Round(g.name(g.base), b.base)
			r.Round(g.name(x), b.grown)
			seen[i] = append(seen[i], b)
		}
		if err := k.allWon(ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name(x), err)
		}
	}
	if err := base.allWon(ctx); err != nil {
		return fmt.Errorf("%s: %w", g.name(g.base), err)
	}
	g.tell(r.Report, seen)
	if g.after == nil {
		return nil
	}
	return g.after(ctx, base, grown)
}

// tell adds the curve of what was seen at each point, relative to the base, and how the
// last one stands to the target.
func (g growth) tell(report *Told, seen [][]beside) {
	first := [2]float64{float64(g.base), 1}
	cost, took := Series{Name: "CPU", Points: [][2]float64{first}}, Series{Name: "time", Points: [][2]float64{first}}
	var last float64
	for i, x := range g.points {
		var costs, times []float64
		for _, b := range seen[i] {
			costs = append(costs, b.grown.cost()/b.base.cost())
			times = append(times, b.base.Rate/b.grown.Rate)
		}
		last = Median(costs)
		cost.Points = append(cost.Points, [2]float64{float64(x), last})
		took.Points = append(took.Points, [2]float64{float64(x), Median(times)})
	}
	if g.base == 0 { // which a logarithmic axis has no place for
		cost.Points, took.Points = cost.Points[1:], took.Points[1:]
	}
	report.Curves = append(report.Curves, Curve{
		Name: g.of, X: g.of, Y: "cost of a request; with " + g.name(g.base) + " it is 1", LogX: true, Series: []Series{cost, took},
	})
	report.Figures = append(report.Figures, Figure{
		Name: "growth", Unit: fmt.Sprintf("× (%s : %s)", g.name(g.points[len(g.points)-1]), g.name(g.base)),
		Value: last, Target: flatness, Met: flatness.Met(last),
	})
}

// flowScale are the numbers of an ordinary flow.
func flowScale(r *Run, next func(i int) sale.Request) flow {
	return flow{
		waits: int64(r.Scale(2000, 100)), warm: int64(r.Scale(2000, 50)), n: int64(r.Scale(15_000, 200)), next: next,
	}
}

var sales = Scenario{
	Name: "sales", Title: "Flat over the number of sales", Gives: []string{"sales", "growth"},
	What: "Bids of 10,000 buyers, all of which win, spread evenly over ever more open sales of one partition." + howFlat,
	Run: func(ctx context.Context, r *Run) error {
		var grown *keepers
		var open []sale.Sale
		var who []int64
		return growth{
			of: "sales", base: 1, points: pick(r, []int{10, 100, 1000, 10_000}, []int{4}), rounds: 3,
			world: func(ctx context.Context, x int) (*keepers, flow, error) {
				k, all, bidders := grown, open, who
				if k == nil {
					var err error
					if k, err = r.keepers(ctx, 1); err != nil {
						return nil, flow{}, err
					}
					if err := k.openPartitions(ctx); err != nil {
						return k, flow{}, err
					}
					if bidders, err = k.bidders(ctx, r.Scale(10_000, 100)); err != nil {
						return k, flow{}, err
					}
				}
				more, err := k.offer(ctx, x-len(all))
				if err != nil {
					return k, flow{}, err
				}
				all = append(all, more...)
				if x > 1 {
					grown, open, who = k, all, bidders
				}
				f := flowScale(r, func(i int) sale.Request { return k.bid(all[i%len(all)], bidders[i*7919%len(bidders)], i) })
				f.warm = max(f.warm, int64(x)) // so that all of them have opened
				return k, f, nil
			},
		}.measure(ctx, r)
	},
}

var partitions = Scenario{
	Name: "partitions", Title: "Flat over the number of partitions", Gives: []string{"partitions", "growth"},
	What: "Bids of 10,000 buyers, all of which win, on one sale in each of ever more partitions, all owned by one consumer." + howFlat,
	Run: func(ctx context.Context, r *Run) error {
		return growth{
			of: "partitions", base: 1, points: pick(r, []int{4, 16, 64}, []int{3}), rounds: 3,
			world: func(ctx context.Context, x int) (*keepers, flow, error) {
				k, err := r.keepers(ctx, x)
				if err != nil {
					return nil, flow{}, err
				}
				if err := k.openPartitions(ctx); err != nil {
					return k, flow{}, err
				}
				all, err := k.offer(ctx, x)
				if err != nil {
					return k, flow{}, err
				}
				bidders, err := k.bidders(ctx, r.Scale(10_000, 100))
				f := flowScale(r, func(i int) sale.Request { return k.bid(all[i%len(all)], bidders[i*7919%len(bidders)], i) })
				f.waits = max(f.waits, int64(r.Scale(1000, 50)*x))
				f.n = max(f.n, int64(r.Scale(1000, 50)*x)) // two batches of each
				return k, f, err
			},
		}.measure(ctx, r)
	},
}

var buyers = Scenario{
	Name: "buyers", Title: "Flat over the number of buyers", Gives: []string{"buyers", "growth"},
	What: "Bids on one sale, all of which win, of buyers drawn evenly from ever more accounts with wallets." + howFlat,
	Run: func(ctx context.Context, r *Run) error {
		var grown *keepers
		var who []int64
		var lamp sale.Sale
		smallest := r.Scale(1000, 100)
		return growth{
			of: "buyers", base: smallest, points: pick(r, []int{10_000, 100_000, 1_000_000}, []int{300}), rounds: 3,
			world: func(ctx context.Context, x int) (*keepers, flow, error) {
				k, bidders, s := grown, who, lamp
				if k == nil {
					var err error
					if k, s, err = r.lamp(ctx); err != nil {
						return k, flow{}, err
					}
				}
				more, err := k.bidders(ctx, x-len(bidders))
				if err != nil {
					return k, flow{}, err
				}
				bidders = append(bidders, more...)
				if x > smallest {
					grown, who, lamp = k, bidders, s
				}
				return k, flowScale(r, func(i int) sale.Request { return k.bid(s, bidders[i*7919%len(bidders)], i) }), nil
			},
		}.measure(ctx, r)
	},
}

var backlog = Scenario{
	Name: "backlog", Title: "Flat over the backlog", Gives: []string{"waiting", "growth"},
	What: "Bids of 10,000 buyers on one sale, all of which win, while ever more wait in the queue of its partition." + howFlat,
	Run: func(ctx context.Context, r *Run) error {
		var grown *keepers
		var next func(int) sale.Request
		smallest := r.Scale(1000, 100)
		return growth{
			of: "waiting", base: smallest, points: pick(r, []int{10_000, 100_000, 1_000_000}, []int{400}), rounds: 3,
			world: func(ctx context.Context, x int) (*keepers, flow, error) {
				k, bid := grown, next
				if k == nil {
					var err error
					if k, bid, err = r.bidding(ctx); err != nil {
						return k, flow{}, err
					}
				}
				if x > smallest {
					grown, next = k, bid
				}
				f := flowScale(r, bid)
				f.waits = int64(x)
				return k, f, nil
			},
		}.measure(ctx, r)
	},
}

// bidding is a world with one sale, and what 10,000 buyers ask for there.
func (r *Run) bidding(ctx context.Context) (*keepers, func(i int) sale.Request, error) {
	k, s, err := r.lamp(ctx)
	if err != nil {
		return k, nil, err
	}
	bidders, err := k.bidders(ctx, r.Scale(10_000, 100))
	return k, func(i int) sale.Request { return k.bid(s, bidders[i*7919%len(bidders)], i) }, err
}

// pick is full, or smoke where only the working is tried out.
func pick(r *Run, full, smoke []int) []int {
	if r.Smoke {
		return smoke
	}
	return full
}

// lamp is a deployment of one partition with one sale.
func (r *Run) lamp(ctx context.Context) (*keepers, sale.Sale, error) {
	k, err := r.keepers(ctx, 1)
	if err != nil {
		return nil, sale.Sale{}, err
	}
	if err := k.openPartitions(ctx); err != nil {
		return k, sale.Sale{}, err
	}
	all, err := k.offer(ctx, 1)
	if err != nil {
		return k, sale.Sale{}, err
	}
	return k, all[0], nil
}
