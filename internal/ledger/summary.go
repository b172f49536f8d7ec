package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Summary is how a sale has gone so far, as settled.
type Summary struct {
	Sale, Seller            int64
	State                   sale.Shown            // by the clock of Postgres
	Stock, Free, Held, Sold int64                 // units
	Revenue, Refunded       int64                 // points; Revenue is what was sold less what was refunded
	PaidOut                 bool                  // the seller has it
	Receipts                map[sale.Status]int64 // how many bids stand so; rejected ones are not counted, no row is kept of them
}

// Summary sums a sale up, at one moment, or answers sale.ErrUnknown. It reads
// every receipt of the sale.
func (l *Ledger) Summary(ctx context.Context, id int64) (sum Summary, err error) {
	err = l.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select `+saleColumns+`
			from sales s
			where s.id = $1`, id)
		if err != nil {
			return err
		}
		s, err := pgx.CollectExactlyOneRow(rows, scanStand)
		if err != nil {
			return err
		}
		sum = Summary{
			Sale: s.ID, Seller: s.Seller, Stock: s.Stock, Free: s.Free, Held: s.Held, Sold: s.Sold, PaidOut: s.PaidOut,
			Receipts: map[sale.Status]int64{},
		}
		var now time.Time
		if err := tx.QueryRow(ctx, `
			select now(), revenue
			from sales
			where id = $1`, id).Scan(&now, &sum.Revenue); err != nil {
			return err
		}
		sum.State = s.ShownAt(sale.At(now), s.Free)
		return sum.receipts(ctx, tx)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return sum, sale.ErrUnknown
	case err != nil:
		return sum, fmt.Errorf("sum up sale %d: %w", id, err)
	}
	return sum, nil
}

func (sum *Summary) receipts(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select status, count(*), sum(quantity * unit_price)::bigint
		from receipts
		where sale = $1 and verb = 'bid'
		group by status`, sum.Sale)
	if err != nil {
		return err
	}
	var word string
	var n, points int64
	_, err = pgx.ForEachRow(rows, []any{&word, &n, &points}, func() error {
		status, known := sale.ParseStatus(word)
		if !known {
			return fmt.Errorf("unknown status %q", word)
		}
		sum.Receipts[status] = n
		if status == sale.Refunded {
			sum.Refunded = points
		}
		return nil
	})
	return err
}
