// Package news tells whoever waits in this process that something has changed: a
// receipt, one of an account's receipts, a sale. Of a receipt that was queued it says how
// it stands now, so that a crowd that is told does not have to read. Else it says that,
// not what: the stores are the truth, and are read then.
//
//	partition.Apply ──(announcement)──▶ Run ──▶ wake ──▶ whoever waits reads
//	                                     ▲
//	                 pulse of every partition, each second: is what I heard all?
//
// One subscription hears all partitions, in a Redis Cluster one those of each server. A message may be lost: whoever follows
// registers first and reads second, and each second the pulse of the partitions is
// compared with what was heard. Where they differ, and after a broken connection, all
// who wait for something of that partition are woken, spread over a second, so that they
// do not all read at once. While nobody waits and nothing moves, there is nobody to wake:
// then the pulse is felt every five seconds.
package news

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	beat     = time.Second            // between two looks at the pulse, and after a broken connection
	spread   = time.Second            // over which those are woken who may have missed something
	patience = 500 * time.Millisecond // of one look
	calm     = 5                      // beats between two looks while nobody waits and nothing moves
)

// News is what a process hears. Its methods may be called concurrently.
type News struct {
	store *partition.Store
	log   zerolog.Logger

	pulses  []atomic.Pointer[partition.Pulse]
	missed  prometheus.Counter
	mu      sync.Mutex
	byID    map[uuid.UUID]*ear // heads of lists
	bySale  map[int64]*ear
	byBuyer map[int64]*ear
	memory  memory
	heard   []int64       // by partition: number of the last batch heard of
	ahead   time.Duration // of this machine's clock: Redis'
	flowing map[int]bool  // partitions of which messages flow
	flows   bool          // whether those of all do
	moves   bool          // whether something has moved at the last look, or since
}

// ear is one that listens, in the list of all who listen to the same.
type ear struct {
	wake       func()
	told       func(sale.Receipt) // instead of wake, of a receipt, when it is known how it stands
	hear       func(Event)        // of an account
	prev, next *ear
	partition  int // of a receipt; else -1
}

// New answers news that nobody has heard yet: Run hears.
func New(store *partition.Store, log zerolog.Logger, registry prometheus.Registerer) *News {
	n := &News{
		store: store, log: log, pulses: make([]atomic.Pointer[partition.Pulse], store.Partitions()),
		byID: map[uuid.UUID]*ear{}, bySale: map[int64]*ear{}, byBuyer: map[int64]*ear{},
		heard: make([]int64, store.Partitions()), flowing: map[int]bool{},
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_news_missed_total", Help: "Times that this process found out by looking that a partition had changed without its hearing of it.",
		}),
	}
	for p := range n.pulses {
		n.pulses[p].Store(&partition.Pulse{})
	}
	registry.MustRegister(n.missed)
	return n
}

// Run hears until ctx ends. What Redis refuses is tried again.
func (n *News) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.look(ctx) })
	for ctx.Err() == nil {
		err := n.store.Watch(ctx, n.flow, n.tell)
		if ctx.Err() == nil {
			n.flow(slices.Collect(maps.Keys(n.flowing)), err)
		}
		pause(ctx, beat)
	}
	wg.Wait()
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// look feels the pulse of the partitions until ctx ends.
func (n *News) look(ctx context.Context) {
	for beats := 0; ctx.Err() == nil; pause(ctx, beat) {
		if beats++; beats >= calm || !n.quiet() {
			n.compare(ctx)
			beats = 0
		}
	}
}

// quiet says that nobody waits, that all is known of what was said so far, and that nothing
// was queued or settled of late.
func (n *News) quiet() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.flows && n.memory.whole != 0 && !n.moves && len(n.byID)+len(n.bySale)+len(n.byBuyer) == 0
}

// compare reads the pulses and wakes those of a partition of which not all was heard.
// What has been settled since it was read is heard of in a moment, or at the next look.
func (n *News) compare(ctx context.Context) {
	n.mu.Lock()
	before := make([]int64, len(n.heard))
	copy(before, n.heard)
	n.moves = false
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pulses, clock, err := n.store.Pulses(ctx)
	if err != nil {
		return // the next look comes soon, and the servers' own alarms ring
	}
	n.mu.Lock()
	n.ahead = time.Until(clock)
	if n.flows && n.memory.whole == 0 {
		n.memory.gap(sale.At(clock) + 1)
	}
	n.mu.Unlock()
	moves, missed := false, map[int]bool{}
	for p, pulse := range pulses {
		known := n.pulses[p].Swap(&pulse)
		moves = moves || pulse.Queued() > 0 || pulse != *known
		switch {
		case known.Data == "": // the first look
			n.mu.Lock()
			n.heard[p] = max(n.heard[p], pulse.Settled)
			n.mu.Unlock()
		case known.Data != pulse.Data, known.Settled > before[p]:
			missed[p] = true
		}
	}
	if len(missed) > 0 {
		n.missing(missed)
	}
	if moves {
		n.stir()
	}
}

// stir says that something moves.
func (n *News) stir() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moves = true
}

// missing wakes all who wait for something of these partitions, each once.
func (n *News) missing(partitions map[int]bool) {
	n.missed.Add(float64(len(partitions)))
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range partitions {
		n.heard[p] = max(n.heard[p], n.pulses[p].Load().Settled)
	}
	n.memory.gap(0)
	n.later(func(e *ear) bool { return e.partition < 0 || partitions[e.partition] })
}

// flow notes of which partitions messages flow from now on, or why they do not any more.
// Whoever waits for something of one is woken when they do: nobody knows what a new
// connection has missed.
func (n *News) flow(partitions []int, broken error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if broken != nil {
		n.log.Warn().Err(broken).Ints("partitions", partitions).Msg("no news for a moment: waiters read instead")
		for _, p := range partitions {
			delete(n.flowing, p)
		}
		n.flows = false
		n.memory.gap(0)
		return
	}
	for _, p := range partitions {
		n.flowing[p] = true
	}
	if n.flows = len(n.flowing) == len(n.pulses); n.flows {
		n.log.Info().Msg("news flow")
	}
	n.later(func(e *ear) bool { return e.partition < 0 || slices.Contains(partitions, e.partition) })
}

// Now is the time by Redis' clock.
func (n *News) Now() sale.Instant {
	n.mu.Lock()
	defer n.mu.Unlock()
	return sale.At(time.Now().Add(n.ahead))
}

// later wakes those who are meant, each at a moment of the spread.
func (n *News) later(meant func(*ear) bool) {
	wake := func(e *ear) {
		for ; e != nil; e = e.next {
			if meant(e) {
				time.AfterFunc(rand.N(spread), e.wake)
			}
		}
	}
	for _, e := range n.byID {
		wake(e)
	}
	for _, e := range n.bySale {
		wake(e)
	}
	for _, e := range n.byBuyer {
		wake(e)
	}
}

// tell wakes those whom the changes of one batch concern.
func (n *News) tell(c partition.Changes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard[c.Partition], n.moves = max(n.heard[c.Partition], c.Seq), true
	if len(n.bySale) > 0 {
		for _, id := range c.Sales {
			for e := n.bySale[id]; e != nil; e = e.next {
				e.wake()
			}
		}
	}
	for _, r := range c.Receipts {
		if e := n.byID[r.Receipt]; e != nil {
			standing, err := r.Standing()
			for ; e != nil; e = e.next {
				if err != nil {
					e.wake()
				} else {
					e.told(standing)
				}
			}
		}
		if r.Buyer == 0 {
			continue
		}
		event := Event{Receipt: r.Receipt, At: c.At}
		n.memory.add(r.Buyer, event)
		for e := n.byBuyer[r.Buyer]; e != nil; e = e.next {
			e.hear(event)
		}
	}
}

// Receipt has told called with every change of receipt id, and wake when it may have
// changed, until stop is called. They must not block, and may be called once more after
// stop. Register first, read second: then what is told may be older than what was read,
// unless that was queued, from which everything goes forward.
func (n *News) Receipt(id uuid.UUID, wake func(), told func(sale.Receipt)) (stop func()) {
	p, _ := sale.PartitionOf(id)
	return follow(n, n.byID, id, &ear{wake: wake, told: told, partition: p})
}

// Sale has wake called whenever a sale may have changed, like Receipt: its units, its line, its phase.
func (n *News) Sale(id int64, wake func()) (stop func()) {
	return follow(n, n.bySale, id, &ear{wake: wake, partition: -1})
}

// Account has hear called with every change of a receipt of that account, and wake when
// something may have been missed. since is when an earlier listener heard his last event, 0
// for none: what has come since then is answered, some of it again perhaps; complete says
// whether that is all of it.
func (n *News) Account(account int64, since sale.Instant, hear func(Event), wake func()) (missed []Event, complete bool, stop func()) {
	// What comes in between is heard of twice rather than never.
	stop = follow(n, n.byBuyer, account, &ear{wake: wake, hear: hear, partition: -1})
	n.mu.Lock()
	defer n.mu.Unlock()
	missed, complete = n.memory.since(account, since)
	return missed, complete, stop
}

// follow puts e at the head of the list of key, and answers how it leaves it.
func follow[K comparable](n *News, lists map[K]*ear, key K, e *ear) (stop func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.next = lists[key]; e.next != nil {
		e.next.prev = e
	}
	lists[key] = e
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		switch {
		case e.prev != nil:
			e.prev.next = e.next
		case lists[key] != e:
			return // it has left already
		case e.next == nil:
			delete(lists, key)
		default:
			lists[key] = e.next
		}
		if e.next != nil {
			e.next.prev = e.prev
		}
		e.prev, e.next = nil, nil
	}
}

// Pulse answers how far a partition had come when it was looked at last, or heard of.
func (n *News) Pulse(p int) partition.Pulse {
	pulse := *n.pulses[p].Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	pulse.Settled = max(pulse.Settled, n.heard[p])
	return pulse
}
