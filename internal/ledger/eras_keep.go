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

const (
	erasAhead = 2                      // that are there behind the one that sales are made in
	dropWait  = 100 * time.Millisecond // for the table of receipts; whoever wants it meanwhile waits behind
	// LeaveNotice is how long before its receipts go an era is said to be leaving. Whoever
	// looks at the record for long, with the eyes of when it began, must not take what goes
	// meanwhile for lost.
	LeaveNotice = time.Hour
)

// Advance is what AdvanceEras did.
type Advance struct {
	Begun int64   // the first ID of the sales to come, when it has moved them on; 0: it has not
	Made  []int64 // first IDs of eras that it made
}

// AdvanceEras sees to it that there are eras ahead, and that sales made in another month
// than those before are of another era. It may be called by any number of schedulers, as
// often as they like: sale IDs never go back, and of a month they move once. An era that
// is full ends by itself; in a month without a sale none begins.
func (l *Ledger) AdvanceEras(ctx context.Context, now sale.Instant) (did Advance, err error) {
	var due bool
	// What is asked without a lock: mostly there is nothing to do.
	if err := l.pool.QueryRow(ctx, stateOfEras+`
		select (at.month is null or at.month < $1) or (select count(*) from eras where first >= at.past) < $2
		from at`, month(now), erasAhead).Scan(&due); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return did, fmt.Errorf("advance eras: %w", err)
	} else if err == nil && !due {
		return did, nil
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `lock table eras in share row exclusive mode`); err != nil {
			return err
		}
		if err := advance(ctx, tx, now, &did); err != nil {
			return err
		}
		return makeAhead(ctx, tx, &did)
	})
	if err != nil {
		return Advance{}, fmt.Errorf("advance eras: %w", err)
	}
	return did, nil
}

// month is the first day of it, in UTC.
func month(now sale.Instant) time.Time {
	t := now.Time().UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// stateOfEras is the era that the next sale will be of.
const stateOfEras = `
		with next as (
			select last_value + is_called::int as id
			from sales_id_seq),
		at as (
			select e.first, e.past, e.month, n.id
			from eras e
			join next n on n.id >= e.first and n.id < e.past)`

// advance moves the sequence on, when the era that it is in was begun in a month before.
// A sequence that has been set is set, whatever becomes of the transaction: then the era
// it has got to has no month yet, and is given one.
func advance(ctx context.Context, tx pgx.Tx, now sale.Instant, did *Advance) error {
	var first, past, id int64
	var begun *time.Time
	err := tx.QueryRow(ctx, stateOfEras+`
		select first, past, month, id
		from at`).Scan(&first, &past, &begun, &id)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // all IDs that there are are given: the next era will be made
		return nil
	case err != nil:
		return err
	case begun != nil && !begun.Before(month(now)):
		return nil
	}
	if begun != nil && id > max(first, 1) { // something was sold in it
		first = past
		var there bool
		// Never back: whoever made sales meanwhile may have got there.
		if err := tx.QueryRow(ctx, `
			select setval('sales_id_seq', e.first, false) is not null
			from eras e, sales_id_seq
			where e.first = $1 and last_value < e.first`, first).Scan(&there); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if !there {
			return nil // it is not made yet; then it is not moved to
		}
		did.Begun = first
	}
	_, err = tx.Exec(ctx, `
		update eras
		set month = $2
		where first = $1`, first, month(now))
	return err
}

// makeAhead makes eras until enough of them are ahead, and lets sale IDs go that far.
// Nobody waits for a table that is attached when it is there.
func makeAhead(ctx context.Context, tx pgx.Tx, did *Advance) error {
	for {
		var ahead, past int64
		if err := tx.QueryRow(ctx, `
			select count(*) filter (where first > last_value), max(past)
			from eras, sales_id_seq`).Scan(&ahead, &past); err != nil {
			return err
		}
		if ahead >= erasAhead {
			return nil
		}
		e, like := era{past, past + EraOf}, "" // as the last one is, with the indexes that are its own
		if err := tx.QueryRow(ctx, `
			select 'receipts_' || first
			from eras
			where past = $1`, past).Scan(&like); err != nil {
			return err
		}
		for _, statement := range []string{
			fmt.Sprintf(`create table %s (like %s including defaults including constraints including indexes including storage)`, e.table(), like),
			fmt.Sprintf(`alter table receipts attach partition %s for values from (%d) to (%d)`, e.table(), e.first, e.past),
			fmt.Sprintf(`insert into eras (first, past) values (%d, %d)`, e.first, e.past),
			fmt.Sprintf(`alter sequence sales_id_seq maxvalue %d`, e.past-1),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("make the era from %d: %w", e.first, err)
			}
		}
		did.Made = append(did.Made, e.first)
	}
}

// isOverBy says of a sale that nothing can happen to it any more since a moment: it is
// closed and paid out, or was never asked for anything; whatever was to be refunded,
// attended or bought with its coupons is past.
func isOverBy(moment string) string {
	return `(
			s.held = 0
			and s.waiting = 0
			and (s.phase = 'closed' and s.paid_out or s.phase = 'scheduled' and s.free = s.stock)
			and greatest(s.payout_at, s.starts_at, s.valid_until) <= ` + moment + `)`
}

// Leave is an era that has been said to leave, or has left.
type Leave struct{ First, Past int64 }

// SayLeaving marks the eras whose sales have all been over for keep: they leave LeaveNotice
// later. The one that sales are made in, and those ahead, do not.
func (l *Ledger) SayLeaving(ctx context.Context, now sale.Instant, keep time.Duration) ([]Leave, error) {
	rows, err := l.pool.Query(ctx, `
		update eras e
		set leaves_at = $2
		where e.leaves_at is null
			and e.past <= (select last_value from sales_id_seq)
			and not exists (
				select
				from sales s
				where s.id >= e.first and s.id < e.past and not `+isOverBy(`$1`)+`)
		returning e.first, e.past`, now.Add(-keep).Time(), now.Add(LeaveNotice).Time())
	if err != nil {
		return nil, fmt.Errorf("find eras that leave: %w", err)
	}
	leaving, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Leave])
	if err != nil {
		return nil, fmt.Errorf("find eras that leave: %w", err)
	}
	return leaving, nil
}

// DropEra drops the receipts of an era whose time has come, and answers which; nil when
// there is none, or when somebody had receipts in use just now: then it is to be called
// again. Settling waits for it no longer than dropWait, and some milliseconds.
func (l *Ledger) DropEra(ctx context.Context, now sale.Instant) (gone *Leave, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var e era
		err := tx.QueryRow(ctx, `
			select first, past
			from eras
			where leaves_at <= $1 and dropped_at is null
			order by first
			limit 1
			for update skip locked`, now.Time()).Scan(&e.first, &e.past)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case err != nil:
			return err
		}
		for _, statement := range []string{
			fmt.Sprintf(`set local lock_timeout = %d`, dropWait.Milliseconds()),
			fmt.Sprintf(`alter table receipts detach partition %s`, e.table()),
			fmt.Sprintf(`drop table %s`, e.table()),
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `
			update eras
			set dropped_at = $2
			where first = $1`, e.first, now.Time()); err != nil {
			return err
		}
		gone = &Leave{e.first, e.past}
		return nil
	})
	if busy := (*pgconn.PgError)(nil); errors.As(err, &busy) && busy.Code == "55P03" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("drop an era: %w", err)
	}
	return gone, nil
}

// Dropped says whether the receipts of a sale are not kept any more, or about to go.
func (l *Ledger) Dropped(ctx context.Context, id int64) (gone bool, err error) {
	if err := l.pool.QueryRow(ctx, `
		select exists (
			select
			from eras
			where first <= $1 and past > $1 and dropped_at is not null)`, id).Scan(&gone); err != nil {
		return false, fmt.Errorf("look for the era of sale %d: %w", id, err)
	}
	return gone, nil
}
