package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// The notices that nobody's request brings about are written here, for the
// scheduler. Each is told once, by an index of the table, however many schedulers
// there are and wherever they are cut off; what is due is found by an index, too,
// and marked when it is done.

const (
	reminderAhead = 24 * time.Hour // before a sale's starts_at
	tellMost      = 1000           // people told in one transaction
)

// tell runs one statement of those below in a transaction that reads no whole table:
// what is told is little, and the tables are large.
func (l *Ledger) tell(ctx context.Context, query string, args []any, answers ...any) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, byIndex); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query, args...).Scan(answers...)
	})
}

// RemindHolds tells the buyers of up to limit holds that these end soon, and answers
// how many it told. A hold that has ended by now is passed over: its end is told.
func (l *Ledger) RemindHolds(ctx context.Context, now sale.Instant, limit int) (told int64, err error) {
	query, args := remindHolds(now, limit)
	if err := l.tell(ctx, query, args, &told); err != nil {
		return 0, fmt.Errorf("remind of holds: %w", err)
	}
	return told, nil
}

func remindHolds(now sale.Instant, limit int) (string, []any) {
	return `
		with due as (
			select receipt, sale, buyer, pay_by, remind_at
			from orders
			where status = 'pending' and not reminded and remind_at <= $1
			order by remind_at
			limit $2
			for no key update skip locked),
		told as (
			insert into notices (account, at, word, sale, receipt, pay_by)
			select d.buyer, d.remind_at, 'soon', d.sale, d.receipt, d.pay_by
			from due d
			join accounts a on a.id = d.buyer
			where d.pay_by > $1 and a.notices and a.deleted_at is null
			on conflict (receipt, word) where word in ('soon', 'reminder') do nothing
			returning id),
		done as (
			update orders
			set reminded = true
			where receipt = any(array(
				select receipt
				from due)))
		select count(*)
		from told`, []any{now.Time(), limit}
}

// due is a sale that people are to be told about.
type due struct {
	sale int64
	at   sale.Instant // opens_at, starts_at
}

func (l *Ledger) due(ctx context.Context, query string, args ...any) ([]due, error) {
	rows, err := l.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d due, err error) {
		var at time.Time
		err = row.Scan(&d.sale, &at)
		d.at = sale.At(at)
		return d, err
	})
}

const dueOpenings = `
	select id, opens_at
	from sales
	where watched and not announced and opens_at <= $1
	order by opens_at
	limit $2`

// Announce tells whoever watches one of up to limit sales that it has opened, and
// answers how many it told. A watch is gone once it is told of, so that a page that
// is cut off is begun again, and no other.
func (l *Ledger) Announce(ctx context.Context, now sale.Instant, limit int) (told int64, err error) {
	openings, err := l.due(ctx, dueOpenings, now.Time(), limit)
	if err != nil {
		return 0, fmt.Errorf("announce openings: %w", err)
	}
	for _, o := range openings {
		n, err := l.announce(ctx, o)
		told += n
		if err != nil {
			return told, fmt.Errorf("announce the opening of sale %d: %w", o.sale, err)
		}
	}
	return told, nil
}

func (l *Ledger) announce(ctx context.Context, o due) (told int64, err error) {
	for more := true; more; {
		var watches, n int64
		if err := l.tell(ctx, `
			with page as (
				delete from watches
				where sale = $1 and account = any(array(
					select account
					from watches
					where sale = $1
					order by account
					limit $2
					for update skip locked))
				returning account),
			told as (
				insert into notices (account, at, word, sale)
				select p.account, $3, 'opens', $1
				from page p
				join accounts a on a.id = p.account
				where a.notices and a.deleted_at is null
				on conflict (sale, account) where word = 'opens' do nothing
				returning id)
			select
				(select count(*) from page),
				(select count(*) from told)`, []any{o.sale, tellMost, o.at.Time()}, &watches, &n); err != nil {
			return told, err
		}
		told, more = told+n, watches == tellMost
	}
	// Somebody may be about to watch it, having seen it scheduled (Watch): once the
	// lock is ours, he has committed and is seen, and whoever comes later is refused.
	return told, pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			select
			from sales
			where id = $1
			for no key update`, o.sale); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			update sales
			set announced = true
			where id = $1
				and opens_at = $2
				and not exists (
					select
					from watches
					where sale = $1)`, o.sale, o.at.Time())
		return err
	})
}

// One that is not open yet may still be changed, and nobody has anything of it.
const dueStarts = `
	select id, starts_at
	from sales
	where starts_at is not null and not reminded and starts_at <= $1 and opens_at <= $2
	order by starts_at
	limit $3`

// RemindStarts tells whoever has, or holds, something of one of up to limit sales
// that it starts in 24 hours, and answers how many it told. Whoever asked for it
// later than that knows. Of a start that is past nobody is reminded.
func (l *Ledger) RemindStarts(ctx context.Context, now sale.Instant, limit int) (told int64, err error) {
	starts, err := l.due(ctx, dueStarts, now.Add(reminderAhead).Time(), now.Time(), limit)
	if err != nil {
		return 0, fmt.Errorf("remind of starts: %w", err)
	}
	var done []int64
	for _, s := range starts {
		if s.at > now {
			n, err := l.remindStart(ctx, s)
			told += n
			if err != nil {
				return told, fmt.Errorf("remind of the start of sale %d: %w", s.sale, err)
			}
		}
		done = append(done, s.sale)
	}
	if done == nil {
		return told, nil
	}
	// What is locked, because it is being settled, is done at the next beat.
	if _, err := l.pool.Exec(ctx, `
		update sales
		set reminded = true
		where id = any(array(
			select id
			from sales
			where id = any($1::bigint[])
			order by id
			for no key update skip locked))`, done); err != nil {
		return told, fmt.Errorf("remind of starts: %w", err)
	}
	return told, nil
}

// remindStart goes through the receipts of a sale, those from before the reminder.
func (l *Ledger) remindStart(ctx context.Context, s due) (told int64, err error) {
	at := s.at.Add(-reminderAhead)
	var after struct {
		at time.Time
		id [16]byte
	}
	for rows := int64(tellMost); rows == tellMost; {
		var n int64
		if err := l.tell(ctx, `
			with page as (
				select id, buyer, verb, quantity, status, at
				from receipts
				where sale = $1 and (at, id) > ($2, $3) and at < $4
				order by at, id
				limit $5),
			told as (
				insert into notices (account, at, word, sale, receipt)
				select p.buyer, $4, 'reminder', $1, p.id
				from page p
				join accounts a on a.id = p.buyer
				where p.status in ('confirmed', 'held') and `+isPurchase+` and a.notices and a.deleted_at is null
				on conflict (receipt, word) where word in ('soon', 'reminder') do nothing
				returning id)
			select
				count(*),
				(select count(*) from told),
				coalesce(max(at), now()),
				coalesce((select id from page order by at desc, id desc limit 1), '00000000-0000-0000-0000-000000000000')
			from page`, []any{s.sale, after.at, after.id, at.Time(), tellMost}, &rows, &n, &after.at, &after.id); err != nil {
			return told, err
		}
		told += n
	}
	return told, nil
}
