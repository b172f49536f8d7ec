package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/sale"
)

// PublishSlots makes the sales of a store's slots, each with its escrow, in the
// store's partition, and notes that its days through the given one (of its own
// calendar; only the date counts) have theirs. A slot that is there stays as it
// is. It answers how many are new; sale.ErrUnknown when there is no such store, it
// is closed, or its seller is gone.
func (l *Ledger) PublishSlots(ctx context.Context, store int64, through time.Time, slots []sale.Sale) (created int, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var partition int
		var seller int64
		err := tx.QueryRow(ctx, `
			select t.partition, t.seller
			from stores t
			join accounts a on a.id = t.seller
			where t.id = $1
				and t.closed_at is null
				and a.deleted_at is null
			for no key update of t
			for key share of a`, store).Scan(&partition, &seller)
		if errors.Is(err, pgx.ErrNoRows) {
			return sale.ErrUnknown
		}
		if err != nil {
			return err
		}
		statements := &pgx.Batch{}
		for _, s := range slots {
			s.Store, s.Partition, s.Seller = store, partition, seller
			statements.Queue(insertSale, insertSaleArgs(s, 1, uuid.Nil)...).Exec(func(tag pgconn.CommandTag) error {
				created += int(tag.RowsAffected())
				return nil
			})
		}
		statements.Queue(`
			update stores
			set published = greatest(published, $2)
			where id = $1`, store, through)
		return tx.SendBatch(ctx, statements).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("publish slots of store %d: %w", store, err)
	}
	return created, nil
}
