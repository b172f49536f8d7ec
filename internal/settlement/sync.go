package settlement

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

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
	o.metrics.owns(o.partition, mark.Epoch)
	o.log.Info().Int64("epoch", mark.Epoch).Stringer("applied", mark.Applied).Msg("partition taken")
	return nil
}

// sync makes both stores stand at one watermark, whatever was interrupted. When
// it succeeds the next step may follow.
func (o *owner) sync(ctx context.Context) error {
	_ = o.land() // what came of it shows below
	o.coming = nil
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
	if o.drain == drainGuess && lead.Drain > 0 {
		o.drain = float64(lead.Drain) // the owner before knew better
	}
	if lead.Strange {
		o.moved(lead)
	}
	switch order := lead.Applied.Compare(mark.Applied); {
	case lead.Empty:
		err = o.rebuild(ctx)
	case order > 0:
		// Postgres was restored to an older state, or is not the one that Redis
		// belongs to. To go on would settle twice or lose what is visible.
		return fmt.Errorf("%w: Redis stands at %s, Postgres at %s; rebuild Redis from Postgres", partition.ErrAhead, lead.Applied, mark.Applied)
	case order < 0:
		err = o.redo(ctx, lead.Applied)
	}
	if err != nil {
		return err
	}
	return o.store.Trust(ctx, o.partition, mark.Epoch, mark.Applied)
}

// moved notes that another server has the partition than the one that was trusted last, and
// what it lacks of the entries that were seen: those are told as lost when they are asked for.
// Others may be, that nobody has read.
func (o *owner) moved(lead partition.Lead) {
	o.metrics.faults.WithLabelValues("elsewhere").Inc()
	lost := max(o.seen-max(lead.Seq, o.mark.Seq), 0)
	o.log.Warn().Int64("admitted", lead.Seq).Int64("settled", o.mark.Seq).Int64("lost", lost).Msg("another server has the partition, or it has started again")
	o.metrics.faults.WithLabelValues("lost").Add(float64(lost))
	o.seen = 0
}

// Of a partition that is rebuilt, rejections are brought back that are so young, and
// among so many last requests: about as many as Redis would have kept. The promise is
// ten minutes. What has an effect is in Postgres.
const (
	restoreSince = 24 * time.Hour
	restoreMost  = partition.RejectedMost
)

// rebuild opens a partition that Redis knows nothing of. Its rejections come back
// first, so that nobody is told anything else meanwhile; its sales are loaded when they
// are asked for.
func (o *owner) rebuild(ctx context.Context) error {
	mark, err := o.ledger.RaiseGeneration(ctx, o.partition, o.mark.Epoch)
	if err != nil {
		return err
	}
	o.mark = mark
	restored, began := 0, time.Now()
	err = o.ledger.Rejections(ctx, o.partition, mark.Applied.At.Add(-restoreSince), restoreMost, func(rejected []sale.Receipt) error {
		o.alive()
		restored += len(rejected)
		return o.store.Restore(ctx, o.partition, mark.Epoch, rejected)
	})
	if err != nil {
		return err
	}
	if err := o.store.Rebuild(ctx, o.partition, mark.Epoch, mark.Generation, mark.Applied, mark.Seq); err != nil {
		return err
	}
	level := zerolog.WarnLevel // Redis has lost what it had
	if mark.Seq == 0 {
		level = zerolog.InfoLevel // or there was nothing yet
	}
	o.log.WithLevel(level).Int64("generation", mark.Generation).Int("rejections", restored).Dur("took", time.Since(began)).Msg("partition opened anew in Redis")
	return nil
}

// redo applies, in order, the batches that Postgres has and Redis lacks.
func (o *owner) redo(ctx context.Context, applied sale.EntryID) error {
	from, redone := applied, 0
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
			o.alive()
			applied = b.Last
			o.metrics.redone.Inc()
			redone++
		}
	}
	o.log.Info().Stringer("from", from).Stringer("to", applied).Int("batches", redone).Msg("batches applied from the log")
	return nil
}
