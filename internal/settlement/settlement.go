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
// Consumers share the partitions evenly: each announces itself, knows from that who
// else lives, and lets go of what is above its share.
//
//	free ──Hold──▶ owned, its lease renewed each beat ──Drop──▶ free
//	 ▲                             │
//	 └──── lease ends after 3 s ◀──┘ its consumer died or hangs
//
// In a Redis Cluster a server that is away concerns its own partitions: their leases are
// nobody's to judge until it is back or replaced, and all others are kept as ever. While the
// one is away where consumers announce themselves, shares stay as they are.
//
// Whoever comes, goes or gives back a lease tells the others at once; when the
// message is lost, they find out at their next beat. Leases, shares and messages only
// save work: that a partition has one writer rests on its epoch alone.
//
// A request that Postgres refuses for its data stops nobody: it is found by settling
// ever smaller prefixes of its batch, and rejected as internal (poison.go).
//
// View stands before the transaction, not inside: the projection at a watermark
// is changed by nobody but the owner, and the fence checks that very watermark.
// So no lock in Postgres ever waits for Redis. Under a backlog Postgres does not wait
// for it between its transactions either: what comes next is read and viewed while a
// batch is settled, and what was settled is applied while the next one is (ahead.go).
package settlement

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

const (
	// beat is how often a consumer announces itself, renews its leases and looks
	// whether it has its share. A third of a lease: two may be missed.
	beat = partition.LeaseFor / 3

	agreeEvery = 5 * beat // how often it asks which forms the others read

	// A stop waits so long for the batches in hand, and after that for whatever was
	// told to give up. Together with what a process has to close it stays below five
	// seconds.
	finishWithin  = 2500 * time.Millisecond
	abandonWithin = 500 * time.Millisecond
)

// Consumer owns its share of the partitions.
type Consumer struct {
	who     string // in Redis
	name    string // for people
	store   *partition.Store
	ledger  *ledger.Ledger
	log     zerolog.Logger
	metrics *metrics

	patience time.Duration // of an owner with one step

	mu    sync.Mutex
	owned map[int]*owner
	wg    sync.WaitGroup // of all that Run has started

	living, freed chan struct{} // news, until the next look

	// Only of the goroutine that keeps the leases:
	share int
	next  time.Time // of the beat
	agree time.Time // when it asks again which forms the others read
}

// New answers a consumer. Two of one name do not disturb each other, but nobody can
// tell them apart in the logs and in Postgres.
func New(name string, store *partition.Store, ledger *ledger.Ledger, log zerolog.Logger, registry prometheus.Registerer) *Consumer {
	return &Consumer{
		who: name + "/" + uuid.NewString(), name: name, store: store, ledger: ledger,
		log:     log.With().Str("consumer", name).Logger(),
		metrics: newMetrics(registry),
		owned:   map[int]*owner{}, patience: answerMost,
		living: make(chan struct{}, 1), freed: make(chan struct{}, 1),
	}
}

// Run works until ctx ends. Then it takes leave, so that the others raise their
// shares, takes no more entries, finishes the batches in its hands, and gives each
// partition back as soon as it is done with it.
//
// It never takes more than three seconds. What hangs until then is left to the next
// owners, and it is an error: goroutines may be left that wait for a server, and
// end when the store and the ledger close.
func (c *Consumer) Run(ctx context.Context) error {
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	ended := make(chan error, 1)
	go func() { ended <- c.keep(ctx, work) }()
	<-ctx.Done()
	for _, patience := range []time.Duration{finishWithin, abandonWithin} {
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			abandon()
		}
	}
	return fmt.Errorf("stop the consumer: the servers did not answer within %s; partitions left to their next owners: %v", finishWithin+abandonWithin, c.Owned())
}

// keep keeps the share and the leases until ctx ends, then takes leave and waits for
// the owners. The first beat comes when it can hear the others: they make room for it
// at once.
func (c *Consumer) keep(ctx, work context.Context) error {
	c.wg.Go(func() { c.store.Hear(ctx, c.hear) })
	c.next = time.Now().Add(beat)
	for ctx.Err() == nil {
		do := c.beat
		select {
		case <-ctx.Done():
			continue
		case <-time.After(time.Until(c.next)):
		case <-c.living:
		case <-c.freed:
			do = c.seek
		}
		if err := do(ctx, work); err != nil && ctx.Err() == nil {
			c.metrics.faults.WithLabelValues("lease").Inc()
			c.log.Warn().Err(err).Msg("cannot keep leases")
		}
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := c.store.Leave(late, c.who)
	c.wg.Wait()
	return err
}

func (c *Consumer) hear(news partition.News) {
	heard := c.living
	if news == partition.Freed {
		heard = c.freed
	}
	select {
	case heard <- struct{}{}:
	default: // it was told so already, and has not looked yet
	}
}

// sooner sees to it that the next beat is at most so far away.
func (c *Consumer) sooner(in time.Duration) {
	if at := time.Now().Add(in); at.Before(c.next) {
		c.next = at
	}
}

// beat announces, renews, lets go of what is above the share and seeks what is
// below. The next one comes early when somebody will be dead before it.
func (c *Consumer) beat(ctx, work context.Context) error {
	c.next = time.Now().Add(beat)
	share, dead, shareErr := c.store.Share(ctx, c.who)
	if shareErr == nil {
		c.share = share
		c.sooner(dead)
	} else if !c.store.Spread() { // all of it is at that server
		return shareErr
	}
	owners, mine := c.owners(), 0
	kept, silent, err := c.keepLeases(ctx, owners)
	err = errors.Join(shareErr, err)
	for _, o := range owners {
		held := kept[o.partition] || silent[o.partition]
		if !held {
			var fault error
			if held, fault = o.renew(ctx, c.who); fault != nil {
				o.doubt()
				held, err = true, errors.Join(err, fault)
			}
		}
		switch {
		case !held && !o.stopped():
			c.log.Warn().Int("partition", o.partition).Msg("lease lost")
			o.stop()
		case o.stopped():
		case mine == c.share:
			o.stop()
		default:
			mine++
		}
	}
	if err != nil && !c.store.Spread() {
		return err
	}
	if now := time.Now(); now.After(c.agree) {
		if err := c.store.Agree(ctx); err != nil {
			return err
		}
		c.agree = now.Add(agreeEvery)
	}
	return errors.Join(err, c.seek(ctx, work))
}

// keepLeases renews those that did not lapse. Of those whose server is silent nobody can say
// that they are lost; the epoch protects the partition. But whatever keeps this from Redis may
// have taken its data from it, or have cut off who waits there for entries: so they look.
func (c *Consumer) keepLeases(ctx context.Context, owners []*owner) (kept, silent map[int]bool, err error) {
	of := make(map[int]*owner, len(owners))
	for _, o := range owners {
		of[o.partition] = o
	}
	if len(of) == 0 {
		return nil, nil, nil
	}
	kept, without, err := c.store.Keep(ctx, slices.Collect(maps.Keys(of)), c.who)
	silent = make(map[int]bool, len(without))
	for _, p := range without {
		silent[p] = true
		of[p].doubt()
	}
	return kept, silent, err
}

// seek takes partitions that nobody has, up to the share. The next beat comes early
// when a lease may end before it.
func (c *Consumer) seek(ctx, work context.Context) error {
	mine := 0
	for _, o := range c.owners() {
		if !o.stopped() {
			mine++
		}
	}
	defer func() { c.metrics.owned.Set(float64(mine)) }()
	var fault error
	for _, p := range rand.Perm(c.store.Partitions()) {
		if mine >= c.share || ctx.Err() != nil {
			break
		}
		if c.owns(p) {
			continue
		}
		held, left, err := c.store.Take(ctx, p, c.who)
		switch {
		case err != nil && c.store.Spread(): // another one may be had
			fault = err
		case err != nil:
			return err
		case held:
			c.own(ctx, work, p)
			mine++
		default:
			c.sooner(left)
		}
	}
	return fault
}

// owners answers all of them, those that are stopping too, in no order.
func (c *Consumer) owners() []*owner {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.owned))
}

func (c *Consumer) owns(p int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owned[p] != nil
}

// own starts an owner for partition p, whose lease is held. It is stopped when ctx
// ends, and gives up when work does.
func (c *Consumer) own(ctx, work context.Context, p int) {
	o := newOwner(c, p)
	c.mu.Lock()
	c.owned[p] = o
	c.mu.Unlock()
	dismissed := context.AfterFunc(ctx, o.stop)
	c.wg.Go(func() {
		defer dismissed()
		if err := o.run(work); err != nil {
			o.log.Warn().Err(err).Int64("epoch", o.mark.Epoch).Msg("partition given up")
		} else {
			o.log.Info().Int64("epoch", o.mark.Epoch).Stringer("applied", o.mark.Applied).Msg("partition handed over")
		}
		c.metrics.gaveUp(p)
		late, cancel := context.WithTimeout(context.WithoutCancel(work), time.Second)
		defer cancel()
		if err := o.drop(late, c.who); err != nil {
			o.log.Warn().Err(err).Msg("lease runs out by itself")
		}
		// Only now: a lease that is taken again in between must not be given back. So
		// its own news came too early for the consumer itself, which may want it again.
		c.mu.Lock()
		delete(c.owned, p)
		c.mu.Unlock()
		c.hear(partition.Freed)
	})
}

// Owned answers the partitions it has at this moment, in no order.
func (c *Consumer) Owned() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.owned))
}
