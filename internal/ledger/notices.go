package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// ErrOpened says that a sale is open already: there is no opening to wait for.
var ErrOpened = errors.New("opened: the sale is open already")

// Notice is one that somebody was told.
type Notice struct {
	ID   int64
	Read bool
	sale.Notice
}

// NoticeFilter says which notices of an account are listed.
type NoticeFilter struct {
	Account int64
	Unread  bool  // only those that are not read
	After   int64 // behind the notice with that ID; 0: from the newest on
	Limit   int
}

// Notices lists what an account was told, the newest first, and says whether there
// is more. It walks notices_of_account, the read and the unread.
func (l *Ledger) Notices(ctx context.Context, f NoticeFilter) (notices []Notice, more bool, err error) {
	query, args := f.query()
	notices, _, err = list(ctx, l, query, args, func(row pgx.CollectableRow) (n Notice, err error) {
		var at time.Time
		var payBy *time.Time
		err = row.Scan(&n.ID, &n.Read, &n.Word, &n.Account, &n.Sale, (*[16]byte)(&n.Receipt), &at, &payBy)
		n.At, n.PayBy = sale.At(at), instant(payBy)
		return n, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list notices: %w", err)
	}
	notices, more = page(notices, f.Limit)
	return notices, more, nil
}

func (f NoticeFilter) query() (string, []any) {
	q := &conditions{}
	q.add(`account = %s`, f.Account)
	if f.After != 0 {
		q.add(`id < %s`, f.After)
	}
	states := []string{`read = false`, `read = true`}
	if f.Unread {
		states = states[:1]
	}
	return q.merged(`notices`, `
		id, read, word, account, sale, coalesce(receipt, '00000000-0000-0000-0000-000000000000'), at, pay_by`,
		states, `id desc`, f.Limit)
}

// readMost is how many notices one statement marks.
const readMost = 5000

// MarkRead marks notices of an account as read, those that it has; nil means all.
// It answers how many were not yet.
func (l *Ledger) MarkRead(ctx context.Context, account int64, ids []int64) (marked int64, err error) {
	query := `
		update notices
		set read = true
		where account = $1 and not read and id = any($2)`
	if ids == nil {
		query = `
		update notices
		set read = true
		where account = $1 and not read and id = any(array(
			select id
			from notices
			where account = $1 and not read
			order by id desc
			limit $2))`
	}
	for {
		arg := any(ids)
		if ids == nil {
			arg = readMost
		}
		tag, err := l.pool.Exec(ctx, query, account, arg)
		if err != nil {
			return marked, fmt.Errorf("mark notices of account %d: %w", account, err)
		}
		marked += tag.RowsAffected()
		if ids != nil || tag.RowsAffected() < readMost {
			return marked, nil
		}
	}
}

// Watch notes that an account wants to know when a sale opens. ErrOpened when it is
// open, sale.ErrUnknown when there is none.
func (l *Ledger) Watch(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Under this lock nobody ends the announcement of the sale (Announce).
		s, now, err := lockSale(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case s.Phase != sale.Scheduled, now >= s.OpensAt:
			return ErrOpened
		}
		var announced bool // by the clock of the scheduler, which may be ahead
		if err := tx.QueryRow(ctx, `
			select announced
			from sales
			where id = $1`, id).Scan(&announced); err != nil {
			return err
		}
		if announced {
			return ErrOpened
		}
		if _, err := tx.Exec(ctx, `
			update sales
			set watched = true
			where id = $1 and not watched`, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into watches (sale, account)
			values ($1, $2)
			on conflict do nothing`, id, account)
		return err
	})
	if err != nil {
		return fmt.Errorf("watch sale %d: %w", id, err)
	}
	return nil
}

// Unwatch takes that back. It is no error when there is nothing to take back.
func (l *Ledger) Unwatch(ctx context.Context, account, id int64) error {
	if _, err := l.pool.Exec(ctx, `
		delete from watches
		where sale = $1 and account = $2`, id, account); err != nil {
		return fmt.Errorf("watch sale %d no more: %w", id, err)
	}
	return nil
}
