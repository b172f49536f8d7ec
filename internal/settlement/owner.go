package settlement

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	batchMost   = 500  // entries settled at once
	gapPatience = 3    // times a gap in the numbers is read again before it is taken for a loss
	drainGuess  = 5000 // entries per second, until it is known better: what a small machine does with ease
	backoffMin  = 50 * time.Millisecond
	backoffMax  = 2 * time.Second
)

// errGap says that entries are missing between the watermark and what was read.
var errGap = errors.New("gap in the numbers of the stream")

// owner works one partition, under one epoch.
type owner struct {
	partition int
	name      string
	store     *partition.Store
	ledger    *ledger.Ledger
	log       zerolog.Logger
	decisions zerolog.Logger // sampled
	metrics   *metrics

	stopping chan struct{}
	once     sync.Once

	mark  ledger.Watermark // epoch, generation, and where both stores stand
	gaps  int              // times the gap after mark was met
	drain float64          // entries settled per second while there is a backlog, smoothed

	refuses func(error) bool // whether a fault of Settle is one of the data
	suspect suspicion
	deaths  map[sale.EntryID]partition.Death // of the last poison
}

func newOwner(c *Consumer, p int) *owner {
	log := c.log.With().Int("partition", p).Logger()
	return &owner{
		partition: p, name: c.name, store: c.store, ledger: c.ledger, metrics: c.metrics, log: log,
		// Every decision of a quiet partition, a glimpse of a busy one: a line costs
		// more than a decision.
		decisions: log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Second, NextSampler: &zerolog.BasicSampler{N: 1000}}),
		stopping:  make(chan struct{}),
		drain:     drainGuess,
		refuses:   ledger.RefusesData,
	}
}

// stop asks the owner to take no more entries. Its batch is finished.
func (o *owner) stop() { o.once.Do(func() { close(o.stopping) }) }

func (o *owner) stopped() bool {
	select {
	case <-o.stopping:
		return true
	default:
		return false
	}
}

// run is the shell around take, sync and step: it works until it is stopped or
// fenced. Every other error is retried, with both stores compared first.
func (o *owner) run(ctx context.Context) error {
	next := o.take
	for wait := backoffMin; !o.stopped() && ctx.Err() == nil; {
		err := next(ctx)
		switch {
		case err == nil:
			next, wait = o.step, backoffMin
			continue
		case errors.Is(err, ledger.ErrFenced), errors.Is(err, partition.ErrFenced):
			o.metrics.faults.WithLabelValues("fenced").Inc()
			return err
		case errors.Is(err, errGap):
			o.metrics.faults.WithLabelValues("gap").Inc()
		case errors.Is(err, errData):
			o.metrics.faults.WithLabelValues("refused").Inc()
			o.log.Warn().Err(err).Msg("batch refused")
		default:
			o.metrics.faults.WithLabelValues("retried").Inc()
			o.log.Warn().Err(err).Dur("again_in", wait).Msg("batch not through")
		}
		if o.mark.Epoch != 0 {
			next = o.sync
		}
		select {
		case <-time.After(wait):
		case <-o.stopping:
		case <-ctx.Done():
		}
		wait = min(2*wait, backoffMax)
	}
	return ctx.Err()
}

// take raises the epoch, which shuts out the owner before, and syncs.
func (o *owner) take(ctx context.Context) error {
	mark, err := o.ledger.Lead(ctx, o.partition, o.name)
	if err != nil {
		return err
	}
	o.mark = mark
	if err := o.sync(ctx); err != nil {
		return err
	}
	o.metrics.takeovers.Inc()
	o.log.Info().Int64("epoch", mark.Epoch).Stringer("applied", mark.Applied).Msg("partition taken")
	return nil
}

// sync makes both stores stand at one watermark, whatever was interrupted. When
// it succeeds the next step may follow.
func (o *owner) sync(ctx context.Context) error {
	mark, err := o.ledger.Watermark(ctx, o.partition)
	if err != nil {
		return err
	}
	if mark.Epoch != o.mark.Epoch {
		return ledger.ErrFenced
	}
	if mark.Applied != o.mark.Applied {
		o.gaps, o.suspect = 0, suspicion{}
	}
	o.mark = mark
	lead, err := o.store.Lead(ctx, o.partition, mark.Epoch, mark.Generation)
	if err != nil {
		return err
	}
	switch order := lead.Applied.Compare(mark.Applied); {
	case lead.Empty:
		return o.rebuild(ctx)
	case order > 0:
		// Postgres was restored to an older state, or is not the one that Redis
		// belongs to. To go on would settle twice or lose what is visible.
		return fmt.Errorf("%w: Redis stands at %s, Postgres at %s; rebuild Redis from Postgres", partition.ErrAhead, lead.Applied, mark.Applied)
	case order < 0:
		return o.redo(ctx, lead.Applied)
	}
	return nil
}

// rebuild opens a partition that Redis knows nothing of. Its sales are loaded
// when they are asked for.
func (o *owner) rebuild(ctx context.Context) error {
	mark, err := o.ledger.RaiseGeneration(ctx, o.partition, o.mark.Epoch)
	if err != nil {
		return err
	}
	o.mark = mark
	o.log.Info().Int64("generation", mark.Generation).Msg("partition opened in Redis")
	return o.store.Rebuild(ctx, o.partition, mark.Epoch, mark.Generation, mark.Applied, mark.Seq)
}

// redo applies, in order, the batches that Postgres has and Redis lacks.
func (o *owner) redo(ctx context.Context, applied sale.EntryID) error {
	for applied != o.mark.Applied {
		batches, err := o.ledger.BatchesAfter(ctx, o.partition, applied, 16)
		if err != nil {
			return err
		}
		if len(batches) == 0 || batches[0].Prev != applied {
			return fmt.Errorf("the log of partition %d does not reach back to %s", o.partition, applied)
		}
		for _, b := range batches {
			if err := o.apply(ctx, b); err != nil {
				return err
			}
			applied = b.Last
			o.metrics.redone.Inc()
			o.log.Info().Stringer("from", b.Prev).Stringer("to", b.Last).Msg("batch applied from the log")
		}
	}
	return nil
}

// step carries one batch from the stream into view. It waits up to a second for
// the first entry; none is no error.
func (o *owner) step(ctx context.Context) error {
	entries, err := o.store.Read(ctx, o.partition, o.mark.Applied, batchMost)
	if err != nil {
		return err
	}
	if entries, err = o.unbroken(entries); err != nil || len(entries) == 0 {
		return err
	}
	began := time.Now()
	entries = entries[:o.suspect.portion(len(entries))]
	if err := o.identify(ctx, entries); err != nil {
		return err
	}
	if o.suspect.condemned() {
		o.condemn(&entries[0])
	}
	b := sale.Batch{
		Partition: o.partition, Epoch: o.mark.Epoch,
		Prev: o.mark.Applied, Last: entries[len(entries)-1].ID, Seq: o.mark.Seq, Entries: entries,
	}
	for _, e := range entries {
		b.Seq = max(b.Seq, e.Seq)
	}
	b.Facts.Generation = o.mark.Generation
	viewing, err := o.settle(ctx, &b)
	if err != nil {
		return o.relearn(ctx, o.judge(err, b))
	}
	settled := time.Now()
	o.suspect.settled(len(entries))
	// Committed: from here on it has to become visible, even if we are stopping.
	if err := o.apply(context.WithoutCancel(ctx), b); err != nil {
		return err
	}
	o.mark.Applied, o.mark.Seq, o.gaps = b.Last, b.Seq, 0
	// A full batch tells how fast a backlog drains; a small one is mostly its fixed
	// cost and tells next to nothing, so it counts by its size.
	rate := float64(len(entries)) / time.Since(began).Seconds()
	o.drain += (rate - o.drain) / 2 * float64(len(entries)) / batchMost
	o.metrics.batch(b, viewing, settled.Sub(began)-viewing, time.Since(settled))
	for i, e := range b.Entries {
		o.decisions.Info().Str("request_id", e.Trace).Stringer("receipt", e.Receipt).Int64("sale", e.Sale).Stringer("verb", e.Verb).
			Stringer("status", b.Outcomes[i].Status).Stringer("reason", b.Outcomes[i].Reason).Msg("settled")
	}
	return nil
}

// identify gives unreadable entries what their receipts still know of them, so
// that whoever holds one is told.
func (o *owner) identify(ctx context.Context, entries []sale.Entry) error {
	for i, e := range entries {
		if e.Verb != 0 {
			continue
		}
		o.log.Error().Stringer("entry", e.ID).Stringer("receipt", e.Receipt).Msg("unreadable entry")
		o.metrics.faults.WithLabelValues("unreadable").Inc()
		if e.Receipt == uuid.Nil {
			continue
		}
		queued, err := o.store.Receipt(ctx, o.partition, e.Receipt)
		switch {
		case errors.Is(err, sale.ErrUnknown):
		case err != nil:
			return err
		default:
			entries[i].Sale, entries[i].Buyer = queued.Sale, queued.Buyer
		}
	}
	return nil
}

// unbroken answers the entries up to the first gap in their numbers. A gap right
// behind the watermark is read again a few times; if it stays, those entries are
// lost in Redis, and the stream goes on without them.
func (o *owner) unbroken(entries []sale.Entry) ([]sale.Entry, error) {
	seq := o.mark.Seq
	for i, e := range entries {
		if e.Seq == 0 || e.Seq <= seq { // unreadable, or admitted again by a Redis that came back older
			continue
		}
		if e.Seq != seq+1 {
			if i > 0 {
				return entries[:i], nil
			}
			if o.gaps++; o.gaps <= gapPatience {
				return nil, errGap
			}
			o.log.Error().Int64("after", seq).Int64("next", e.Seq).Msg("entries are lost in Redis")
			o.metrics.faults.WithLabelValues("lost").Add(float64(e.Seq - seq - 1))
		}
		seq = e.Seq
	}
	return entries, nil
}

// settle views what the batch may have to see and has it settled; it answers how
// long it viewed. When a line was shown too little of, nothing has happened, and it
// is looked at again, deeper.
func (o *owner) settle(ctx context.Context, b *sale.Batch) (viewing time.Duration, err error) {
	asks := partition.Asks(b.Entries)
	for {
		began := time.Now()
		if b.State, err = o.view(ctx, *b, asks); err != nil {
			return viewing, err
		}
		viewing += time.Since(began)
		var short *ledger.Short
		if err = o.ledger.Settle(ctx, b); !errors.As(err, &short) || !deepen(asks, short.Sales) {
			return viewing, err
		}
		o.metrics.deeper.Inc()
	}
}

// deepen asks for more of the lines of some sales. It answers false when there is
// no more to see.
func deepen(asks map[int64]*partition.Ask, sales []int64) (more bool) {
	for _, id := range sales {
		if ask := asks[id]; ask != nil && ask.Deeper < partition.DeepMost {
			ask.Deeper++
			more = true
		}
	}
	return more
}

// view answers how the sales of a batch stand, loading from Postgres those that
// Redis lacks.
func (o *owner) view(ctx context.Context, b sale.Batch, asks map[int64]*partition.Ask) (sale.State, error) {
	state, err := o.store.View(ctx, o.partition, o.mark.Epoch, b.Prev, b.Last, asks)
	if err != nil {
		return nil, err
	}
	for id, ask := range asks {
		if state[id] != nil {
			continue
		}
		stand, err := o.load(ctx, b.Prev, id)
		if err != nil {
			return nil, err
		}
		if stand != nil {
			ask.Cut(stand, b.Last)
			state[id] = stand
		}
	}
	return state, nil
}

// load puts a sale that Redis lacks there, and answers how it stands at prev; nil
// when the partition has no such sale. Redis is not asked again: it may have been
// made to forget the sale by now.
func (o *owner) load(ctx context.Context, prev sale.EntryID, id int64) (*sale.Stand, error) {
	forgotten, err := o.store.Forgotten(ctx, o.partition, id)
	if err != nil {
		return nil, err
	}
	stand, applied, err := o.ledger.Stand(ctx, id)
	switch {
	case errors.Is(err, sale.ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, err
	case stand.Partition != o.partition:
		return nil, nil
	case applied != prev:
		return nil, partition.ErrStale
	}
	if err := o.store.Load(ctx, forgotten, applied, stand); err != nil && !errors.Is(err, partition.ErrStale) {
		return nil, err
	}
	return stand, nil
}

// relearn makes Redis forget the sales that a seller has changed in Postgres since
// they were viewed. The batch is decided again on what they are now.
func (o *owner) relearn(ctx context.Context, fault error) error {
	var edited *ledger.Edited
	if !errors.As(fault, &edited) {
		return fault
	}
	for _, id := range edited.Sales {
		if err := o.store.Forget(ctx, o.partition, id); err != nil {
			return errors.Join(fault, err)
		}
	}
	return fault
}
