package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/sale"
)

// What a writer of accounts may be told.
var (
	ErrTaken   = errors.New("taken: another account has this e-mail")
	ErrChanged = errors.New("changed: the account is not as it was read")
	ErrBusy    = errors.New("busy: a sale of the account is not paid out")
)

// Account is who can sign in. E-mail and password are empty for one that cannot:
// it was made by CreateAccounts.
type Account struct {
	ID        int64
	Role      string
	Email     string // as it was typed; its case means nothing
	Password  string // its hash
	Notices   bool   // whether it wants any
	CreatedAt time.Time
}

// emailIndex is what keeps two accounts from having one e-mail.
const emailIndex = "accounts_by_email"

const accountColumns = `
	id, role, coalesce(email, ''), coalesce(password, ''), notices, created_at`

func scanAccount(row pgx.CollectableRow) (a Account, err error) {
	err = row.Scan(&a.ID, &a.Role, &a.Email, &a.Password, &a.Notices, &a.CreatedAt)
	return a, err
}

// account answers the one row of a query about an account; sale.ErrUnknown when
// there is none.
func account(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, sql string, args ...any) (Account, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return Account{}, err
	}
	a, err := pgx.CollectExactlyOneRow(rows, scanAccount)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, sale.ErrUnknown
	}
	return a, err
}

// AccountByEmail answers who signs in with an e-mail, or sale.ErrUnknown.
func (l *Ledger) AccountByEmail(ctx context.Context, email string) (Account, error) {
	a, err := account(ctx, l.pool, `
		select `+accountColumns+`
		from accounts
		where lower(email) = lower($1)`, email)
	if err != nil {
		return a, fmt.Errorf("read an account by its e-mail: %w", err)
	}
	return a, nil
}

// Account answers an account; sale.ErrUnknown also when it is deleted.
func (l *Ledger) Account(ctx context.Context, id int64) (Account, error) {
	a, err := account(ctx, l.pool, `
		select `+accountColumns+`
		from accounts
		where id = $1 and deleted_at is null`, id)
	if err != nil {
		return a, fmt.Errorf("read account %d: %w", id, err)
	}
	return a, nil
}

// CreateAccount makes an account that signs in with e-mail and password, and its
// wallet. ErrTaken when another has the e-mail.
func (l *Ledger) CreateAccount(ctx context.Context, role, email, password string) (a Account, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Nothing rather than a violation: the server's log would show the e-mail.
		a, err = account(ctx, tx, `
			insert into accounts (role, email, password)
			values ($1, $2, $3)
			on conflict (lower(email)) do nothing
			returning `+accountColumns, role, email, password)
		if errors.Is(err, sale.ErrUnknown) {
			return ErrTaken
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into wallets (id, kind)
			values ($1, 'user')`, a.ID)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("create an account: %w", err)
	}
	return a, nil
}

// ChangeAccount gives an account another e-mail, password, or both, and switches
// its notices; "" and nil leave what there is. was is the password that the caller
// has read: ErrChanged when that is no longer it, ErrTaken when another account has
// the e-mail.
func (l *Ledger) ChangeAccount(ctx context.Context, id int64, was, email, password string, notices *bool) (Account, error) {
	a, err := account(ctx, l.pool, `
		update accounts
		set email = coalesce(nullif($3, ''), email),
			password = coalesce(nullif($4, ''), password),
			notices = coalesce($5, notices)
		where id = $1 and password = $2
		returning `+accountColumns, id, was, email, password, notices)
	violation := (*pgconn.PgError)(nil)
	switch {
	case errors.Is(err, sale.ErrUnknown):
		err = ErrChanged
	case errors.As(err, &violation) && violation.ConstraintName == emailIndex:
		err = ErrTaken
	}
	if err != nil {
		return Account{}, fmt.Errorf("change account %d: %w", id, err)
	}
	return a, nil
}

// SwitchNotices says whether an account wants notices; sale.ErrUnknown also when it
// is deleted. Those that it has stay.
func (l *Ledger) SwitchNotices(ctx context.Context, id int64, on bool) (Account, error) {
	a, err := account(ctx, l.pool, `
		update accounts
		set notices = $2
		where id = $1 and deleted_at is null
		returning `+accountColumns, id, on)
	if err != nil {
		return Account{}, fmt.Errorf("switch notices of account %d: %w", id, err)
	}
	return a, nil
}
