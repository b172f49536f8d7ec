package ledger

import (
	"context"
	"fmt"
	"time"

	"sluice/internal/sale"
)

// Settle decides a batch and commits all that comes of it in one transaction:
// fence, facts, sale.Decide, writes, the batch's row in the log. On entry b holds
// partition, epoch, watermarks, entries, the state at Prev, and the generation
// among its facts; on success also the facts and the decision. How long that took to find
// is added in any case.
//
// ErrFenced when the epoch is over, ErrMoved when the partition does not stand at
// b.Prev, *Edited when the state has sales as they are no more, *Short when it
// shows too little of a line, ErrPlaces when it does not fit the receipts: nothing
// is settled then. After any other error it is not known whether the batch is
// settled: ask Watermark.
func (l *Ledger) Settle(ctx context.Context, b *sale.Batch) (err error) {
	if err := l.knowEras(ctx, lastSale(b)); err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	defer func() { l.forgetEras(err) }()
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	tx = l.wrapTx(tx)
	// A transaction must not outlive its batch, whatever happened to ctx. After a
	// commit this does nothing.
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = tx.Rollback(late)
	}()
	if err := l.facts(ctx, tx, b); err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	began := time.Now()
	decision := sale.Decide(b.State, b.Facts, b.Entries)
	b.Deciding += time.Since(began)
	if len(decision.Short) > 0 {
		return fmt.Errorf("settle partition %d: %w", b.Partition, &Short{decision.Short})
	}
	b.Decision = decision
	if err := write(ctx, tx, b, &l.eras); err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	if err := commit(ctx, tx); err != nil {
		return fmt.Errorf("settle partition %d: commit: %w", b.Partition, err)
	}
	return nil
}
