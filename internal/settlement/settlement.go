// Package settlement is the consumer: it owns partitions and carries their
// requests from the stream into the record and back into view.
//
//	Read ──▶ View ──▶ Settle { fence, facts, Decide, write, COMMIT } ──▶ Apply
//	 ▲                                                                    │
//	 └───────────────── watermark moves on ◀──────────────────────────────┘
//
// A partition has one owner. It reads behind the watermark, changes nothing until
// Postgres has committed the whole batch behind the fence of its epoch, and then
// makes it true in Redis in one step. Wherever it dies, the next owner compares
// the two watermarks (sync): equal, and it decides afresh; Redis behind, and it
// applies what the log holds. There is no state to repair and nothing to undo.
//
// A request that Postgres refuses for its data stops nobody: it is found by settling
// ever smaller prefixes of its batch, and rejected as internal (poison.go).
//
// View stands before the transaction, not inside: the projection at a watermark
// is changed by nobody but the owner, and the fence checks that very watermark.
// So no lock in Postgres ever waits for Redis.
package settlement

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

// beat is how often a consumer announces itself, renews its leases and looks
// whether it has its share. A third of a lease: two may be missed.
const beat = partition.LeaseFor / 3

// Consumer owns its share of the partitions.
type Consumer struct {
	name    string
	store   *partition.Store
	ledger  *ledger.Ledger
	log     zerolog.Logger
	metrics *metrics

	mu    sync.Mutex
	owned map[int]*owner
	wg    sync.WaitGroup
}

// New answers a consumer with a name that no other living consumer has.
func New(name string, store *partition.Store, ledger *ledger.Ledger, log zerolog.Logger, registry prometheus.Registerer) *Consumer {
	return &Consumer{
		name: name, store: store, ledger: ledger,
		log:     log.With().Str("consumer", name).Logger(),
		metrics: newMetrics(registry),
		owned:   map[int]*owner{},
	}
}

// Run works until ctx ends. Then it takes no more entries, finishes the batches
// in its hands, and hands its partitions over: about as long as a blocked read,
// one second. What stops it from finishing for five seconds is left to the next
// owner.
func (c *Consumer) Run(ctx context.Context) error {
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		if err := c.tick(ctx, work); err != nil && ctx.Err() == nil {
			c.metrics.faults.WithLabelValues("lease").Inc()
			c.log.Warn().Err(err).Msg("cannot keep leases")
		}
		select {
		case <-ticker.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	c.mu.Lock()
	for _, o := range c.owned {
		o.stop()
	}
	c.mu.Unlock()
	overdue := time.AfterFunc(5*time.Second, abandon)
	defer overdue.Stop()
	c.wg.Wait()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return c.store.Leave(late, c.name)
}

// tick announces, renews, and moves towards the fair share: ceil(P / living).
func (c *Consumer) tick(ctx, work context.Context) error {
	living, err := c.store.Announce(ctx, c.name)
	if err != nil {
		return err
	}
	n := c.store.Partitions()
	share := (n + max(living, 1) - 1) / max(living, 1)

	c.mu.Lock()
	owners := slices.Collect(maps.Values(c.owned))
	c.mu.Unlock()
	var mine []*owner
	var faults []error
	for _, o := range owners {
		held, err := c.store.Hold(ctx, o.partition, c.name)
		switch {
		case err != nil: // not known to be lost; the epoch protects the partition
			faults = append(faults, err)
		case !held && !o.stopped():
			c.log.Warn().Int("partition", o.partition).Msg("lease lost")
			o.stop()
		}
		if !o.stopped() {
			mine = append(mine, o)
		}
	}
	if len(mine) > share {
		mine[rand.IntN(len(mine))].stop() // one a beat, so that nothing pauses for long
	}
	for _, p := range rand.Perm(n) {
		if len(mine) >= share || ctx.Err() != nil {
			break
		}
		if c.owns(p) {
			continue
		}
		held, err := c.store.Hold(ctx, p, c.name)
		if err != nil {
			faults = append(faults, err)
			break
		}
		if held {
			mine = append(mine, c.own(work, p))
		}
	}
	c.metrics.owned.Set(float64(len(mine)))
	return errors.Join(faults...)
}

func (c *Consumer) owns(p int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owned[p] != nil
}

// own starts an owner for partition p, whose lease is held.
func (c *Consumer) own(work context.Context, p int) *owner {
	o := newOwner(c, p)
	c.mu.Lock()
	c.owned[p] = o
	c.mu.Unlock()
	c.wg.Go(func() {
		err := o.run(work)
		c.mu.Lock()
		delete(c.owned, p)
		c.mu.Unlock()
		if err != nil {
			o.log.Warn().Err(err).Msg("partition given up")
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(work), time.Second)
		defer cancel()
		if err := c.store.Drop(late, p, c.name); err != nil {
			o.log.Warn().Err(err).Msg("lease runs out by itself")
		}
	})
	return o
}

// Owned answers the partitions it has at this moment, in no order.
func (c *Consumer) Owned() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.owned))
}
