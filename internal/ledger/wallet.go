package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// ErrTooMuch says that a top-up would take a wallet, or all wallets together,
// past sale.MaxPoints.
var ErrTooMuch = errors.New("too much: there cannot be that many points")

// TopUp is points bought.
type TopUp struct {
	ID       uuid.UUID // of the request; the same for every repetition under its key
	Amount   int64     // points
	Balance  int64     // of the wallet now
	At       time.Time
	Replayed bool // it was made before, under the same key
}

// TopUp moves amount points from the source into an account's wallet, once per
// key; "" is no key. A *sale.Refusal (idempotency_mismatch) when the key bought
// another amount before; sale.ErrUnknown when the account is gone or never was;
// ErrTooMuch; sale.Faults when amount is not positive.
//
// All top-ups take the source's row, one after the other: about as many a second
// as the disk commits.
func (l *Ledger) TopUp(ctx context.Context, account, amount int64, key string) (t TopUp, err error) {
	switch {
	case amount < 1:
		return t, sale.Faults{{Field: "amount", Rule: "must be at least 1"}}
	case amount > sale.MaxPoints:
		return t, ErrTooMuch
	}
	t = TopUp{ID: sale.RequestID(account, "topup", key), Amount: amount}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// What a top-up asks for is its amount: that is its fingerprint.
		err := tx.QueryRow(ctx, `
			insert into entries (at, debit, credit, amount, request, fingerprint)
			select date_trunc('milliseconds', now()), $1, id, $3, $4, $3
			from accounts
			where id = $2 and deleted_at is null
			on conflict (request) do nothing
			returning at`, Source, account, amount, [16]byte(t.ID)).Scan(&t.At)
		if errors.Is(err, pgx.ErrNoRows) {
			return t.again(ctx, tx, account)
		}
		if err != nil {
			return err
		}
		return t.transfer(ctx, tx, account)
	})
	t.At = t.At.UTC()
	var refusal *sale.Refusal
	switch {
	case err == nil, errors.Is(err, ErrTooMuch), errors.Is(err, sale.ErrUnknown), errors.As(err, &refusal):
		return t, err
	}
	return t, fmt.Errorf("top up wallet %d: %w", account, err)
}

// again answers the top-up that was made before under the same key.
func (t *TopUp) again(ctx context.Context, tx pgx.Tx, account int64) error {
	var bought int64
	err := tx.QueryRow(ctx, `
		select e.fingerprint, e.at, w.balance
		from entries e
		join wallets w on w.id = e.credit
		where e.request = $1`, [16]byte(t.ID)).Scan(&bought, &t.At, &t.Balance)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // then there is no such account
		return sale.ErrUnknown
	case err != nil:
		return err
	case bought != t.Amount:
		return &sale.Refusal{Code: sale.RefusedMismatch}
	}
	t.Replayed = true
	return nil
}

// transfer moves the points. Both wallets are locked by id, as everywhere: the
// source, 0, comes before every user.
func (t *TopUp) transfer(ctx context.Context, tx pgx.Tx, account int64) error {
	rows, err := tx.Query(ctx, `
		select balance
		from wallets
		where id in ($1, $2)
		order by id
		for no key update`, Source, account)
	if err != nil {
		return err
	}
	balances, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	switch {
	case err != nil:
		return err
	case len(balances) != 2:
		return fmt.Errorf("%d wallets, not 2", len(balances))
	case balances[0]-t.Amount < -sale.MaxPoints, balances[1] > sale.MaxPoints-t.Amount:
		return ErrTooMuch
	}
	t.Balance = balances[1] + t.Amount
	_, err = tx.Exec(ctx, `
		update wallets
		set balance = balance + case id when $1 then -$3::bigint else $3 end
		where id in ($1, $2)`, Source, account, t.Amount)
	return err
}

// Line is an entry of the ledger as the account on one of its sides sees it.
type Line struct {
	ID      int64
	At      sale.Instant
	Kind    string    // topup, or the verb that moved them, or dropped when its receipt is not kept any more; a sale without refund window pays its seller by what is bought
	Receipt uuid.UUID // of that request; uuid.Nil of a topup
	Amount  int64     // points; negative when they left the wallet
}

// Statement answers up to limit lines of a wallet, the newest first: those before
// the line with that ID, or from the newest on when before is 0.
func (l *Ledger) Statement(ctx context.Context, wallet, before int64, limit int) ([]Line, error) {
	query, args := statement(wallet, before, limit)
	lines, _, err := list(ctx, l, query, args, func(row pgx.CollectableRow) (n Line, err error) {
		var at time.Time
		err = row.Scan(&n.ID, &at, &n.Kind, (*[16]byte)(&n.Receipt), &n.Amount)
		n.At = sale.At(at)
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read statement of wallet %d: %w", wallet, err)
	}
	return lines, nil
}

// statement asks each side by its own index.
func statement(wallet, before int64, limit int) (string, []any) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	return `
		select
			e.id, e.at, case when e.receipt is null then 'topup' else coalesce(r.verb, 'dropped') end,
			coalesce(e.receipt, '00000000-0000-0000-0000-000000000000'), e.amount
		from (
			(select id, at, receipt, -amount as amount
			from entries
			where debit = $1 and id < $2
			order by id desc
			limit $3)
			union all
			(select id, at, receipt, amount
			from entries
			where credit = $1 and id < $2
			order by id desc
			limit $3)
			order by id desc
			limit $3) as e
		left join receipts r on r.id = e.receipt
		order by e.id desc`, []any{wallet, before, limit}
}
