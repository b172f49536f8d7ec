package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/internal/process"
	"sluice/internal/sale"
)

// flow is how requests come and go while their cost is taken.
type flow struct {
	waits int64                    // requests that wait all the time, behind those that count; more than are settled at once
	warm  int64                    // that are let in and settled before
	n     int64                    // that count
	next  func(i int) sale.Request // the i-th request ever
}

// carry tells what one request costs from being let in to being visible: n are let in,
// by this process, while nobody settles; then a consumer of its own settles n, in full
// batches, while nobody asks. So neither disturbs the other, and what waits is known.
func (k *keepers) carry(ctx context.Context, f flow) (Round, error) {
	q, err := k.queue(ctx)
	if err != nil {
		return Round{}, err
	}
	let := func(n int64) error {
		if n <= 0 {
			return nil
		}
		return k.admit(ctx, upTo(int(n), func(int) sale.Request { return f.next(int(k.asked.Add(1))) }))
	}
	if err := let(f.waits + f.warm - q.waits()); err != nil {
		return Round{}, err
	}
	if err := k.calm(ctx); err != nil {
		return Round{}, err
	}
	own := computedSoFar()
	began := time.Now()
	admitting, err := k.Spent(func() error { return let(f.n) })
	if err != nil {
		return Round{}, err
	}
	admitted := time.Since(began)
	if err := k.calm(ctx); err != nil {
		return Round{}, err
	}
	log, err := k.written(ctx)
	if err != nil {
		return Round{}, err
	}
	admitting["admit"] = computedSoFar() - own
	settling, settled, n, err := k.settle(ctx, f.warm, f.n)
	if err != nil {
		return Round{}, err
	}
	logged, err := k.written(ctx)
	if err != nil {
		return Round{}, err
	}
	costs := PerOne(settling, float64(n))
	for name, each := range PerOne(admitting, float64(f.n)) {
		costs[name] += each
	}
	each := admitted.Seconds()/float64(f.n) + settled.Seconds()/float64(n)
	return Round{
		Rate: 1 / each, N: float64(f.n), Seconds: (admitted + settled).Seconds(), CPU: costs,
		Values: map[string]float64{"admitted/s": float64(f.n) / admitted.Seconds(), "settled/s": float64(n) / settled.Seconds(), "WAL B": (logged - log) / float64(f.warm+f.n)},
	}, nil
}

// settle has a consumer settle what waits, and tells what everybody computed, and how long
// it took, for n requests or a few more, behind the first warm ones. The consumer then stops.
// When the warm ones and the last are settled at one go, its start is counted too.
func (k *keepers) settle(ctx context.Context, warm, most int64) (used map[string]time.Duration, took time.Duration, n int64, err error) {
	q, err := k.queue(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	applied := func(upTo int64) error {
		return until(ctx, patience, fmt.Sprintf("request %d is settled", upTo), func() (bool, error) {
			q, err = k.queue(ctx)
			if err == nil {
				err = k.alive()
			}
			return q.applied >= upTo, err
		})
	}
	first, from := q.applied, q.applied
	before, began := k.CPU(), time.Now()
	consumer, err := k.worker(ctx, process.RoleConsumer)
	if err != nil {
		return nil, 0, 0, err
	}
	if err := applied(first + max(warm, 1)); err != nil {
		return nil, 0, 0, err
	}
	if q.applied < first+warm+most {
		from, before, began = q.applied, k.CPU(), time.Now()
	}
	if err := applied(first + warm + most); err != nil {
		return nil, 0, 0, err
	}
	took, n, used = time.Since(began), q.applied-from, map[string]time.Duration{}
	for name, total := range k.CPU() {
		used[name] = total - before[name]
	}
	return used, took, n, k.Leave(consumer)
}

// calm waits until Redis does not rewrite its log, as it does now and then while that grows:
// in a child, whose work would be put down to a few thousand requests.
func (k *keepers) calm(ctx context.Context) error {
	return until(ctx, patience, "Redis has rewritten its log", func() (bool, error) {
		text, err := k.redis.Info(ctx, "persistence").Result()
		return !rewriting(text), err
	})
}

// rewriting reads it from INFO persistence.
func rewriting(text string) bool {
	for _, field := range []string{"aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1", "rdb_bgsave_in_progress:1"} {
		if strings.Contains(text, field) {
			return true
		}
	}
	return false
}

// written is how many bytes Postgres has ever written to its log.
func (k *keepers) written(ctx context.Context) (bytes float64, err error) {
	err = k.postgres.QueryRow(ctx, `
		select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`).Scan(&bytes)
	return bytes, err
}

// cost is what one request of a round cost, in µs: CPU of everybody together, or where
// that is not known, time.
func (r Round) cost() float64 {
	if len(r.CPU) == 0 {
		return 1e6 / r.Rate
	}
	var all float64
	for _, each := range r.CPU {
		all += each
	}
	return all
}

// bidders makes so many buyers with points enough for all that is measured.
func (k *keepers) bidders(ctx context.Context, n int) (ids []int64, err error) {
	for len(ids) < n {
		some, err := k.ledger.CreateAccounts(ctx, "buyer", min(50_000, n-len(ids)), 1_000_000)
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
	}
	return ids, nil
}

// allWon is an error when a bid did not win: then something else was measured than should be.
func (k *keepers) allWon(ctx context.Context) error {
	var reason string
	var n int64
	err := k.postgres.QueryRow(ctx, `
		select coalesce(min(reason), ''), coalesce(sum(n), 0)
		from rejections`).Scan(&reason, &n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d bids that should win were rejected (%s)", n, reason)
	}
	return err
}
