package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Watermark is a partition's place in its stream, as settled.
type Watermark struct {
	Epoch      int64
	Generation int64
	Applied    sale.EntryID
	Seq        int64
}

// EnsurePartitions makes the rows of n partitions. Another number of partitions
// than the deployment started with is an error: receipts and sales name theirs.
func (l *Ledger) EnsurePartitions(ctx context.Context, n int) error {
	if _, err := l.pool.Exec(ctx, `
		insert into partitions (id)
		select generate_series(0, $1::int - 1)
		where not exists (select from partitions)
		on conflict do nothing`, n); err != nil {
		return fmt.Errorf("make %d partitions: %w", n, err)
	}
	var have int
	if err := l.pool.QueryRow(ctx, `select count(*) from partitions`).Scan(&have); err != nil {
		return fmt.Errorf("count partitions: %w", err)
	}
	if have != n {
		return fmt.Errorf("this database has %d partitions, the configuration says %d: the number cannot be changed", have, n)
	}
	return nil
}

// Lead raises the epoch of partition p for owner. It waits for an open
// transaction of the owner before, and shuts out its next one.
func (l *Ledger) Lead(ctx context.Context, p int, owner string) (Watermark, error) {
	return l.watermark(ctx, p, `
		update partitions
		set epoch = epoch + 1, owner = $2
		where id = $1
		returning epoch, generation, applied_ms, applied_no, seq`, p, owner)
}

// Watermark answers where partition p stands.
func (l *Ledger) Watermark(ctx context.Context, p int) (Watermark, error) {
	return l.watermark(ctx, p, `
		select epoch, generation, applied_ms, applied_no, seq
		from partitions
		where id = $1`, p)
}

// RaiseGeneration says that Redis was found empty by the owner of this epoch:
// what it had queued is lost. ErrFenced when the epoch is over.
func (l *Ledger) RaiseGeneration(ctx context.Context, p int, epoch int64) (Watermark, error) {
	w, err := l.watermark(ctx, p, `
		update partitions
		set generation = generation + 1
		where id = $1 and epoch = $2
		returning epoch, generation, applied_ms, applied_no, seq`, p, epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return w, ErrFenced
	}
	return w, err
}

func (l *Ledger) watermark(ctx context.Context, p int, query string, args ...any) (w Watermark, err error) {
	err = l.pool.QueryRow(ctx, query, args...).Scan(&w.Epoch, &w.Generation, &w.Applied.At, &w.Applied.No, &w.Seq)
	if err != nil {
		return w, fmt.Errorf("partition %d: %w", p, err)
	}
	return w, nil
}
