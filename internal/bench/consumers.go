package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/process"
	"sluice/internal/sale"
)

// crews are how many consumers share the partitions.
var crews = []int{1, 2, 4}

// consumers is what a request costs when more consumers share the work.
var consumers = Scenario{
	Name: "consumers", Title: "One, two and four consumers",
	What: "Bids of 10,000 buyers on 64 sales, spread over 16 partitions, are let in while one, two or four consumers stand still that share these " +
		"evenly. Then they go on, and carry all of it into view. Either all bids win, or ten of each sale do. On a machine of two cores, which " +
		"Redis and Postgres share, more consumers cannot settle faster; what is measured is whether a request costs more when there are more of " +
		"them: coordination, locks, smaller batches. Redis does not rewrite its log meanwhile. Beside each rate stands how much of one core each of them took: a consumer, a Redis or a " +
		"Postgres is at its end when it has taken all cores that are its own. Neighbours are processes that have nothing to do with it: where they took " +
		"much, rates say little.",
	Gives: []string{"all win", "sold out", "growth, all win", "growth, sold out", "consumers, all win", "consumers, sold out"},
	Run:   measureConsumers,
}

func measureConsumers(ctx context.Context, r *Run) error {
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
	for _, kind := range []struct {
		name     string
		stock    int64 // of each sale
		n, waits int
	}{
		{"all win", sale.MaxStock, r.Scale(80_000, 800), r.Scale(100, 10)},
		{"sold out", 10, r.Scale(160_000, 1600), r.Scale(100, 10)},
	} {
		seen := make([][]beside, len(crews)-1)
		for i := range r.Times(3) + 1 {
			var rounds []Round
			for _, members := range crews {
				round, err := k.share(ctx, shift{members: members, stock: kind.stock, bidders: bidders, n: kind.n, warm: kind.waits})
				if err != nil {
					return fmt.Errorf("%s, %s: %w", crewName(members), kind.name, err)
				}
				rounds = append(rounds, round)
			}
			if i == 0 { // the first one is for warming up
				continue
			}
			for at, round := range rounds {
				r.Contender(crewName(crews[at])+", "+kind.name, "")
				r.Round(crewName(crews[at])+", "+kind.name, round)
				if at > 0 {
					seen[at-1] = append(seen[at-1], beside{rounds[0], round})
				}
			}
		}
		var told Told
		growth{of: "consumers", base: crews[0], points: crews[1:]}.tell(&told, seen)
		told.Curves[0].Name, told.Figures[0].Name = "consumers, "+kind.name, "growth, "+kind.name
		r.Report.Curves = append(r.Report.Curves, told.Curves...)
		r.Report.Figures = append(r.Report.Figures, told.Figures...)
		alone := average(r.Report.contender(crewName(1) + ", " + kind.name).Rounds)
		r.Figure(kind.name, "/s", alone.Rate, Target{})
		for _, name := range slices.Sorted(maps.Keys(alone.CPU)) {
			r.Figure("a core of "+name+", "+kind.name, "/s at most", 1e6/alone.CPU[name], Target{})
		}
	}
	return nil
}

func crewName(members int) string {
	if members == 1 {
		return "1 consumer"
	}
	return strconv.Itoa(members) + " consumers"
}

// shift is what a crew of consumers is to carry.
type shift struct {
	members int
	stock   int64 // of each sale
	bidders []int64
	n       int // bids that count
	warm    int // bids in each partition that are settled before

	masters   int // over which the partitions are spread; 0: there is one Redis
	listeners int // APIs that hear what is settled, and have nobody who waits for it
}

// shiftSales are the sales of a shift: four in each partition.
const shiftSales = 4 * partitioned

// share has a crew of consumers settle n bids, spread evenly over all partitions. They stand
// still while those are let in, so that a backlog is there when it begins to count, and
// nobody has to start. When they stand so long that leases lapse (on a machine that is busy
// with other things), partitions may change hands while it counts, which is told.
func (k *keepers) share(ctx context.Context, s shift) (Round, error) {
	others, err := k.offer(ctx, k.partitions) // that are bought while everybody warms up
	if err != nil {
		return Round{}, err
	}
	offered := make([]sale.Sale, shiftSales)
	for i := range offered {
		if offered[i], err = k.sale(ctx, func(of *sale.Sale) { of.Stock, of.Limit = s.stock, min(s.stock, of.Limit) }); err != nil {
			return Round{}, err
		}
	}
	let := func(n int, of []sale.Sale) error {
		return k.admit(ctx, upTo(n, func(i int) sale.Request {
			return k.bid(of[i%len(of)], s.bidders[i*7919%len(s.bidders)], int(k.asked.Add(1)))
		}))
	}
	settled := func() error {
		return until(ctx, patience, "all that was let in is settled", func() (bool, error) {
			q, err := k.queue(ctx)
			if err == nil {
				err = k.alive()
			}
			return q.waits() == 0, err
		})
	}
	crew, err := k.crew(ctx, s.members)
	if err != nil {
		return Round{}, err
	}
	workers := crew
	for i := range s.listeners {
		api, err := k.work(ctx, process.RoleAPI+" "+strconv.Itoa(i+1), process.RoleAPI)
		if err != nil {
			return Round{}, err
		}
		workers = append(workers, api)
	}
	if err := let(s.warm*k.partitions, others); err != nil {
		return Round{}, err
	}
	if err := settled(); err != nil {
		return Round{}, err
	}
	for _, p := range crew {
		p.Pause()
	}
	asking, lettingIn := k.CPU(), time.Now()
	standing := let(s.n, offered)
	letIn, asked := time.Since(lettingIn), k.CPU()
	standing = errors.Join(standing, k.calm(ctx))
	owned, unknown := k.owners(ctx)
	batches, uncounted := k.settledBatches(ctx)
	before, own, began := k.CPU(), computedSoFar(), time.Now()
	everybody, told := allComputed()
	for _, p := range crew {
		p.Resume()
	}
	if err := errors.Join(standing, unknown, uncounted); err != nil {
		return Round{}, err
	}
	if err := settled(); err != nil {
		return Round{}, err
	}
	took, used := time.Since(began), map[string]time.Duration{}
	neighbours, _ := allComputed()
	neighbours -= everybody + computedSoFar() - own
	var busiest, master, spentIn time.Duration
	for name, total := range k.CPU() {
		spent := total - before[name]
		of := name
		switch name, _, _ = strings.Cut(name, " "); name {
		case process.RoleConsumer:
			busiest = max(busiest, spent)
		case "redis":
			master = max(master, spent+asked[of]-asking[of])
			spentIn += asked[of] - asking[of]
		}
		used[name] += spent
		neighbours -= spent
	}
	after, err := k.settledBatches(ctx)
	if err != nil {
		return Round{}, err
	}
	owns, err := k.owners(ctx)
	if err != nil {
		return Round{}, err
	}
	values := map[string]float64{
		"batch": float64(s.n) / float64(after-batches), "busiest consumer, % of a core": busiest.Seconds() / took.Seconds() * 100,
		"partitions moved": float64(moved(owned, owns)), "let in/s": float64(s.n) / letIn.Seconds(),
	}
	if s.masters > 0 {
		values["redis to let in, µs"] = spentIn.Seconds() * 1e6 / float64(s.n)
		values["busiest master, µs"] = master.Seconds() * 1e6 / float64(s.n)
	}
	if told {
		values["neighbours, % of the cores"] = max(0, neighbours.Seconds()/took.Seconds()/float64(runtime.NumCPU())*100)
	}
	for _, name := range []string{"redis", "postgres"} {
		if spent, known := used[name]; known {
			values[name+", % of a core"] = spent.Seconds() / took.Seconds() * 100
		}
	}
	for _, p := range workers {
		if err := k.Leave(p); err != nil {
			return Round{}, err
		}
	}
	for _, one := range offered {
		if err := k.sold(ctx, one); err != nil {
			return Round{}, err
		}
	}
	return Round{
		Rate: float64(s.n) / took.Seconds(), N: float64(s.n), Seconds: took.Seconds(), CPU: PerOne(used, float64(s.n)), Values: values,
	}, nil
}

// crew starts so many consumers, and returns when each has its share of the partitions.
func (k *keepers) crew(ctx context.Context, members int) (crew []*Program, err error) {
	for i := range members {
		p, err := k.work(ctx, process.RoleConsumer+" "+strconv.Itoa(i+1), process.RoleConsumer)
		if err != nil {
			return crew, err
		}
		crew = append(crew, p)
	}
	fair := (k.partitions + members - 1) / members
	return crew, until(ctx, patience, "each consumer has its share of the partitions", func() (bool, error) {
		owners, err := k.owners(ctx)
		if err != nil {
			return false, err
		}
		shares := map[string]int{}
		for _, who := range owners {
			shares[who]++
		}
		return len(owners) == k.partitions && len(shares) == members && slices.Max(slices.Collect(maps.Values(shares))) == fair, k.alive()
	})
}

// keepLog has Redis never rewrite its log, in a child whose work would be put down to a few
// of the requests.
func (k *keepers) keepLog(ctx context.Context) error {
	return k.redis.ConfigSet(ctx, "auto-aof-rewrite-percentage", "0").Err()
}

// owners are who has the leases, by partition.
func (k *keepers) owners(ctx context.Context) (map[int]string, error) {
	owners := map[int]string{}
	for p := range k.partitions {
		who, err := k.redis.Get(ctx, "{s"+strconv.Itoa(p)+"}:owner").Result()
		switch {
		case err == nil:
			owners[p] = who
		case !errors.Is(err, redis.Nil):
			return nil, err
		}
	}
	return owners, nil
}

// moved is how many partitions have another owner than before.
func moved(before, after map[int]string) (n int) {
	for p, who := range before {
		if after[p] != who {
			n++
		}
	}
	return n
}

// settledBatches is how many batches of all partitions stand in the log.
func (k *keepers) settledBatches(ctx context.Context) (n int64, err error) {
	err = k.postgres.QueryRow(ctx, `
		select count(*)
		from batches`).Scan(&n)
	return n, err
}
