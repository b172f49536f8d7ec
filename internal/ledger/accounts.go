package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// CreateAccounts makes n accounts of one role, each with so many points bought
// from the source, and answers their numbers.
func (l *Ledger) CreateAccounts(ctx context.Context, role string, n int, points int64) (ids []int64, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			insert into accounts (role)
			select $1
			from generate_series(1, $2::int)
			returning id`, role, n)
		if err != nil {
			return err
		}
		if ids, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			insert into wallets (id, kind, balance)
			select id, 'user', $2
			from unnest($1::bigint[]) id`, ids, points); err != nil {
			return err
		}
		if points == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, `
			insert into entries (at, debit, credit, amount)
			select now(), $3, id, $2
			from unnest($1::bigint[]) id`, ids, points, Source); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update wallets
			set balance = balance - $1
			where id = $2`, points*int64(n), Source)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create %d accounts: %w", n, err)
	}
	return ids, nil
}

// Points answers the balance of a wallet, or sale.ErrUnknown.
func (l *Ledger) Points(ctx context.Context, wallet int64) (balance int64, err error) {
	err = l.pool.QueryRow(ctx, `
		select balance
		from wallets
		where id = $1`, wallet).Scan(&balance)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, sale.ErrUnknown
	case err != nil:
		return 0, fmt.Errorf("read wallet %d: %w", wallet, err)
	}
	return balance, nil
}
