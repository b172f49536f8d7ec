package settlement

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// crewPartitions is the default of a deployment.
const crewPartitions = 16

// everySoOften is how often the traffic asks each partition for something: a pause
// is seen to that grain.
const everySoOften = 20 * time.Millisecond

// crew is consumers that share sixteen partitions, each with a sale in it, and
// somebody who sees when each partition is applied.
type crew struct {
	testing.TB
	ctx       context.Context
	redis, pg string
	store     *partition.Store
	ledger    *ledger.Ledger
	buyers    []int64
	sales     []sale.Sale // one for each partition
	members   []*member
	joined    int

	mu      sync.Mutex
	applied [crewPartitions][]time.Time // of every batch
	asked   [crewPartitions]atomic.Int64
	last    [crewPartitions]uuid.UUID // receipt; once the traffic has stopped
}

// member is one of them, with connections of its own.
type member struct {
	*Consumer
	store  *partition.Store
	ledger *ledger.Ledger
	ask    context.CancelFunc
	ended  chan error
	once   sync.Once
	took   time.Duration // to stop
	err    error
}

// newCrew opens the house, and a first consumer's partitions.
func newCrew(t testing.TB) *crew { return newCrewOn(t, embeddedtest.Redis(t)) }

func newCrewOn(t testing.TB, redis string) *crew {
	t.Helper()
	c := &crew{TB: t, ctx: context.WithoutCancel(t.Context()), redis: redis, pg: embeddedtest.Postgres(t)}
	c.store, c.ledger = c.connect(c.redis, c.pg, nil)
	sellers, err := c.ledger.CreateAccounts(c.ctx, "seller", 1, 0)
	c.must(err)
	c.buyers, err = c.ledger.CreateAccounts(c.ctx, "buyer", crewPartitions, sale.MaxPoints/1000)
	c.must(err)
	now := sale.At(time.Now())
	for range crewPartitions {
		s, err := c.ledger.CreateSale(c.ctx, sale.Sale{
			Kind: sale.Auction, Seller: sellers[0], Title: "lamp", Stock: 1_000_000, Limit: 1_000_000, ShowStock: true,
			Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
			OpensAt: now - 1000, ClosesAt: now.Add(time.Hour), RefundWindow: sale.DefaultRefund,
		}, crewPartitions)
		c.must(err)
		c.sales = append(c.sales, s)
	}
	slices.SortFunc(c.sales, func(a, b sale.Sale) int { return a.Partition - b.Partition })
	c.join("first")
	c.even()
	for _, s := range c.sales {
		c.until("it opens", func() bool {
			return c.store.LoadFrom(c.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
				return c.ledger.Stand(ctx, s.ID)
			}) == nil
		})
	}
	return c
}

func (c *crew) connect(redis, pg string, wrap func(pgx.Tx) pgx.Tx) (*partition.Store, *ledger.Ledger) {
	c.Helper()
	l, err := ledger.Open(c.ctx, ledger.Options{URL: pg, WrapTx: wrap, MaxConns: 4})
	c.must(err)
	c.Cleanup(l.Close)
	c.must(l.EnsurePartitions(c.ctx, crewPartitions))
	s, err := partition.Open(c.ctx, partition.Options{URL: redis, Partitions: crewPartitions})
	c.must(err)
	c.Cleanup(func() { s.Close() })
	return s, l
}

func (c *crew) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// until waits for a condition, looking often.
func (c *crew) until(what string, met func() bool) {
	c.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("in vain: %s", what)
		}
	}
}

// join adds a consumer.
func (c *crew) join(name string) *member {
	c.Helper()
	m := c.comes(name, c.redis, c.pg, nil)
	c.starts(m)
	return m
}

// comes makes a consumer, which reaches the servers in its own way.
func (c *crew) comes(name, redis, pg string, wrap func(pgx.Tx) pgx.Tx) *member {
	c.Helper()
	m := &member{ended: make(chan error, 1)}
	m.store, m.ledger = c.connect(redis, pg, wrap)
	m.Consumer = New(name, m.store, m.ledger, zerolog.Nop(), prometheus.NewRegistry())
	return m
}

// starts lets consumers work.
func (c *crew) starts(members ...*member) {
	for _, m := range members {
		var ctx context.Context
		ctx, m.ask = context.WithCancel(c.ctx)
		go func() { m.ended <- m.Run(ctx) }()
		c.Cleanup(func() { m.stop(c) })
	}
	c.members = append(c.members, members...)
}

// stop asks a member to go, and waits.
func (m *member) stop(c *crew) {
	c.Helper()
	m.once.Do(func() {
		began := time.Now()
		m.ask()
		select {
		case m.err = <-m.ended:
			m.took = time.Since(began)
			m.store.Close()
			m.ledger.Close()
		case <-time.After(patience):
			c.Errorf("%s does not stop", m.name)
		}
	})
}

// leave lets members go in order, all at once.
func (c *crew) leave(members ...*member) {
	c.Helper()
	var all sync.WaitGroup
	for _, m := range members {
		c.members = slices.DeleteFunc(c.members, func(other *member) bool { return other == m })
		all.Go(func() { m.stop(c) })
	}
	all.Wait()
}

// resize makes the crew one of n, all who come or go at once, and waits until the
// shares are even. It answers when it began.
func (c *crew) resize(n int) (began time.Time) {
	c.Helper()
	var coming []*member
	for len(c.members)+len(coming) < n {
		c.joined++
		coming = append(coming, c.comes(fmt.Sprint("number-", c.joined), c.redis, c.pg, nil))
	}
	began = time.Now()
	c.starts(coming...)
	if len(c.members) > n {
		c.leave(slices.Clone(c.members[n:])...)
	}
	c.even()
	return began
}

// shares answers how many partitions each has, and whether all are owned once.
func (c *crew) shares() (shares []int, whole bool) {
	owners := map[int]int{}
	for _, m := range c.members {
		mine := m.Owned()
		shares = append(shares, len(mine))
		for _, p := range mine {
			owners[p]++
		}
	}
	for p := range crewPartitions {
		if owners[p] != 1 {
			return shares, false
		}
	}
	return shares, true
}

// even waits until every partition has one owner, and nobody two more than another.
func (c *crew) even() {
	c.Helper()
	c.until("even shares", func() bool {
		shares, whole := c.shares()
		return whole && slices.Max(shares)-slices.Min(shares) <= 1
	})
}

// busy keeps every partition busy, and watched, until it is ended.
func (c *crew) busy() (end func()) {
	c.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	var all, watchers sync.WaitGroup
	eyes, err := partition.Open(c.ctx, partition.Options{URL: c.redis, Partitions: crewPartitions})
	c.must(err)
	end = sync.OnceFunc(func() {
		cancel()
		all.Wait()
		eyes.Close()
		watchers.Wait()
	})
	c.Cleanup(end)
	ready := make(chan struct{})
	flows := sync.OnceFunc(func() { close(ready) }) // each server of a cluster says so
	watchers.Go(func() {
		_ = eyes.Watch(ctx, func([]int, error) { flows() }, func(of partition.Changes) { // until eyes are closed
			c.mu.Lock()
			defer c.mu.Unlock()
			c.applied[of.Partition] = append(c.applied[of.Partition], time.Now())
		})
	})
	<-ready
	for p := range crewPartitions {
		all.Go(func() {
			ticker := time.NewTicker(everySoOften)
			defer ticker.Stop()
			for ctx.Err() == nil {
				r := sale.Request{
					Verb: sale.Bid, Sale: c.sales[p].ID, Buyer: c.buyers[p], Quantity: 1, Price: 100, Receipt: sale.NewReceiptID(p),
				}
				c.admit(p, r)
				<-ticker.C
			}
		})
	}
	for p := range crewPartitions {
		c.flows(p, time.Now())
	}
	return end
}

// admit queues a request.
func (c *crew) admit(p int, r sale.Request) {
	if _, err := c.store.Admit(c.ctx, p, r, partition.Anytime, partition.Limits{Backlog: 1 << 30}); err != nil {
		c.Error(err)
		return
	}
	c.asked[p].Add(1)
	c.last[p] = r.Receipt
}

// flows waits until a batch of p is applied after a moment.
func (c *crew) flows(p int, after time.Time) {
	c.Helper()
	c.until(fmt.Sprintf("partition %d goes on", p), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := len(c.applied[p])
		return n > 0 && c.applied[p][n-1].After(after)
	})
}

// pauses answers, for each of some partitions, the longest time in which nothing of
// it was applied, since a moment; all are waited for until they flow again.
func (c *crew) pauses(of []int, since time.Time) (pauses []time.Duration) {
	c.Helper()
	now := time.Now()
	for _, p := range of {
		c.flows(p, now)
		c.mu.Lock()
		var longest time.Duration
		for i, at := range c.applied[p] {
			if i > 0 && at.After(since) {
				longest = max(longest, at.Sub(c.applied[p][i-1]))
			}
		}
		c.mu.Unlock()
		pauses = append(pauses, longest)
	}
	return pauses
}

// proves ends by proving that nothing of all that was asked is lost, late or twice.
func (c *crew) proves() {
	c.Helper()
	for p, id := range c.last {
		c.until("all of it is settled", func() bool {
			r, err := c.store.Receipt(c.ctx, p, id)
			c.must(err)
			return r.Status != sale.Queued
		})
		s, _, err := c.ledger.Stand(c.ctx, c.sales[p].ID)
		c.must(err)
		if s.Sold != c.asked[p].Load() {
			c.Errorf("partition %d sold %d of %d", p, s.Sold, c.asked[p].Load())
		}
	}
	var verdict string
	c.until("the audit finds one story", func() bool {
		report, err := audit.New(c.store, c.ledger).Run(c.ctx)
		c.must(err)
		verdict = fmt.Sprintf("%+v", report)
		return report.Verdict != "busy"
	})
	report, err := audit.New(c.store, c.ledger).Run(c.ctx)
	c.must(err)
	if report.Verdict != "ok" {
		c.Errorf("audit %s", verdict)
	}
}

// spread is the median, the 99th of a hundred and the worst of some times.
func spread(of []time.Duration) (p50, p99, worst time.Duration) {
	slices.Sort(of)
	n := len(of)
	return of[n/2], of[(99*n-1)/100], of[n-1]
}

// milliseconds reports a spread as a benchmark's own figures.
func milliseconds(b *testing.B, of []time.Duration, what string) {
	if len(of) == 0 {
		return
	}
	p50, p99, worst := spread(of)
	for name, d := range map[string]time.Duration{"p50": p50, "p99": p99, "max": worst} {
		b.ReportMetric(float64(d.Microseconds())/1000, what+"-"+name+"-ms")
	}
}
