package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// rowlock locks the sale's row (SELECT … FOR UPDATE) from the look at its stock to the
// commit.
//
// Two trips: what is the buyer's own is written before the lock is taken, in the same
// trip; behind it there are the two hot rows and COMMIT, which waits for the disk. That
// wait is what bounds a row lock, and no statement can be moved out of it any more.
type rowlock struct{ baseline }

// Run serves until ctx ends.
func (r *rowlock) Run(ctx context.Context) error {
	return r.run(ctx, func(b *books) (sell, error) { return b.sellLocked, nil })
}

func (b *books) sellLocked(ctx context.Context, asked bid) (outcome, error) {
	first := &pgx.Batch{}
	first.Queue(`begin`)
	queueReceipt(first, asked)
	first.Queue(`select sold, stock from rivals.sales where id = $1 for update`, asked.Sale)
	var gone, stock int64
	w, err := b.begin(ctx, first, func(results pgx.BatchResults) error {
		for range 3 {
			if _, err := results.Exec(); err != nil {
				return err
			}
		}
		return results.QueryRow().Scan(&gone, &stock)
	})
	defer w.end(ctx)
	switch {
	case err != nil:
		return judged(err)
	case gone+asked.Quantity > stock:
		return soldOut, nil
	}
	rest := &pgx.Batch{}
	queueSold(rest, asked)
	queueEscrow(rest, asked)
	return judged(w.commit(ctx, rest))
}
