package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

const batchColumns = `
	partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, entries, facts, outcomes, effects`

func scanBatch(row pgx.CollectableRow) (b sale.Batch, err error) {
	var entries, facts, outcomes, effects []byte
	if err := row.Scan(&b.Partition, &b.Prev.At, &b.Prev.No, &b.Last.At, &b.Last.No, &b.Seq, &b.Epoch,
		&entries, &facts, &outcomes, &effects); err != nil {
		return b, err
	}
	var faults [4]error
	b.Entries, faults[0] = sale.DecodeEntries(entries)
	b.State, b.Facts, faults[1] = sale.DecodeFacts(facts)
	b.Outcomes, faults[2] = sale.DecodeOutcomes(outcomes)
	b.Effects, faults[3] = sale.DecodeEffects(effects)
	if err := errors.Join(faults[:]...); err != nil {
		return b, fmt.Errorf("batch of partition %d to %s: %w", b.Partition, b.Last, err)
	}
	if len(b.Outcomes) != len(b.Entries) {
		return b, fmt.Errorf("batch of partition %d to %s: %d entries, %d outcomes", b.Partition, b.Last, len(b.Entries), len(b.Outcomes))
	}
	return b, nil
}

// BatchesAfter answers up to limit batches of partition p after the watermark, in
// order. Whether the first one starts at the watermark is for the caller to see:
// older ones may have been trimmed.
func (l *Ledger) BatchesAfter(ctx context.Context, p int, after sale.EntryID, limit int) ([]sale.Batch, error) {
	rows, err := l.pool.Query(ctx, `
		select `+batchColumns+`
		from batches
		where partition = $1 and (last_ms, last_no) > ($2, $3)
		order by last_ms, last_no
		limit $4`, p, after.At, after.No, limit)
	if err != nil {
		return nil, fmt.Errorf("read batches of partition %d: %w", p, err)
	}
	batches, err := pgx.CollectRows(rows, scanBatch)
	if err != nil {
		return nil, fmt.Errorf("read batches of partition %d: %w", p, err)
	}
	return batches, nil
}

// Rejections shows the requests of partition p that were rejected since that moment of
// stream time, page by page, the latest first and each once: as the log tells them,
// which is where they stand alone. What was asked again under the same receipt, and
// granted, is left out. It looks at the last requests only, at about most of them.
func (l *Ledger) Rejections(ctx context.Context, p int, since sale.Instant, most int, show func([]sale.Receipt) error) error {
	told := map[uuid.UUID]bool{}
	before := sale.EntryID{At: math.MaxInt64}
	for len(told) < most {
		rows, err := l.pool.Query(ctx, `
			select last_ms, last_no, entries, outcomes
			from batches
			where partition = $1 and (last_ms, last_no) < ($2, $3) and last_ms >= $4
			order by last_ms desc, last_no desc
			limit $5`, p, before.At, before.No, since, pageOfLog)
		if err != nil {
			return fmt.Errorf("read rejections of partition %d: %w", p, err)
		}
		batches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b sale.Batch, err error) {
			var entries, outcomes []byte
			if err := row.Scan(&b.Last.At, &b.Last.No, &entries, &outcomes); err != nil {
				return b, err
			}
			var faults [2]error
			b.Entries, faults[0] = sale.DecodeEntries(entries)
			b.Outcomes, faults[1] = sale.DecodeOutcomes(outcomes)
			if len(b.Outcomes) != len(b.Entries) {
				faults[1] = errors.Join(faults[1], fmt.Errorf("%d entries, %d outcomes", len(b.Entries), len(b.Outcomes)))
			}
			return b, errors.Join(faults[:]...)
		})
		if err != nil {
			return fmt.Errorf("read rejections of partition %d: %w", p, err)
		}
		if len(batches) == 0 {
			return nil
		}
		before = batches[len(batches)-1].Last
		var page []sale.Receipt
		for _, b := range batches {
			for i, e := range slices.Backward(b.Entries) {
				if e.Receipt == uuid.Nil || told[e.Receipt] {
					continue
				}
				told[e.Receipt] = true
				if o := b.Outcomes[i]; o.Status == sale.Rejected && !o.Stands {
					page = append(page, e.Settled(o))
				}
			}
		}
		if err := show(page); err != nil {
			return err
		}
	}
	return nil
}

// TrimBatches forgets batches settled before that moment, at most limit of them,
// the oldest of a partition first and never its last one: what is left is a
// chain. It answers how many.
func (l *Ledger) TrimBatches(ctx context.Context, before time.Time, limit int) (int64, error) {
	tag, err := l.pool.Exec(ctx, `
		delete from batches
		where ctid = any(array(
			select b.ctid
			from batches b
			join partitions p on p.id = b.partition
			where b.at < $1 and (b.last_ms, b.last_no) < (p.applied_ms, p.applied_no)
			order by b.partition, b.last_ms, b.last_no
			limit $2))`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("trim batches: %w", err)
	}
	return tag.RowsAffected(), nil
}
