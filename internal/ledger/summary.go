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
	Kind                    sale.Kind
	State                   sale.Shown            // by the clock of Postgres
	Stock, Free, Held, Sold int64                 // units
	Waiting                 int64                 // receipts in the line
	Revenue, Refunded       int64                 // points; Revenue is what was sold less what was paid back
	PaidOut                 bool                  // the seller has it
	Receipts                map[sale.Status]int64 // how many requests to buy stand so
	Rejections              map[sale.Reason]int64 // why those that are rejected are
}

// Summary sums a sale up, at one moment, or answers sale.ErrUnknown. It reads
// every receipt of the sale. Of what was rejected at once there is only the count.
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
			Sale: s.ID, Seller: s.Seller, Kind: s.Kind,
			Stock: s.Stock, Free: s.Free, Held: s.Held, Sold: s.Sold, Waiting: s.Waiting, PaidOut: s.PaidOut,
			Receipts: map[sale.Status]int64{}, Rejections: map[sale.Reason]int64{},
		}
		var now time.Time
		if err := tx.QueryRow(ctx, `
			select now(), revenue
			from sales
			where id = $1`, id).Scan(&now, &sum.Revenue); err != nil {
			return err
		}
		sum.State = s.Shown(sale.At(now))
		if err := sum.receipts(ctx, tx); err != nil {
			return err
		}
		return sum.refunded(ctx, tx, s.Escrow)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return sum, sale.ErrUnknown
	case err != nil:
		return sum, fmt.Errorf("sum up sale %d: %w", id, err)
	}
	return sum, nil
}

// receipts counts those with a row, and the rejected ones without.
func (sum *Summary) receipts(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select status, reason, count(*)
		from receipts
		where sale = $1 and `+isPurchase+`
		group by status, reason
		union all
		select 'rejected', reason, n
		from rejections
		where sale = $1`, sum.Sale)
	if err != nil {
		return err
	}
	var word, why string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&word, &why, &n}, func() error {
		status, known := sale.ParseStatus(word)
		reason, also := sale.ParseReason(why)
		if !known || status == sale.Rejected && !also {
			return fmt.Errorf("unknown words %q, %q", word, why)
		}
		sum.Receipts[status] += n
		if status == sale.Rejected {
			sum.Rejections[reason] += n
		}
		return nil
	})
	return err
}

// refunded adds up what went back to buyers, by refund, cancel or change of slot:
// it leaves escrow, and only the payout does so too, to the seller.
func (sum *Summary) refunded(ctx context.Context, tx pgx.Tx, escrow int64) error {
	return tx.QueryRow(ctx, `
		select coalesce(sum(amount), 0)::bigint
		from entries
		where debit = $1 and credit <> $2`, escrow, sum.Seller).Scan(&sum.Refunded)
}
