package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// publishDays is how many days one step publishes: at most 48 slots each.
const publishDays = 7

// publishEarly is how long before they are published slots open: the clock of whoever
// publishes may be ahead of the stream's, and they are to be bookable at once.
const publishEarly = time.Minute

// Publication is a store and how far its slots are published.
type Publication struct {
	sale.Store
	Published sale.Day // days up to this one have theirs; the zero day: none yet
}

func (p *Publication) note(published *time.Time) {
	if published != nil {
		p.Published = sale.DayOf(*published)
	}
}

// ToPublish answers up to limit open stores that have another day to publish at now,
// the most overdue first.
func (l *Ledger) ToPublish(ctx context.Context, now sale.Instant, limit int) ([]Publication, error) {
	query, args := toPublish(now, limit)
	rows, err := l.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("find stores to publish: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Publication, err error) {
		var published *time.Time
		err = scanStoreInto(row, &p.Store, &published)
		p.note(published)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("find stores to publish: %w", err)
	}
	return due, nil
}

func toPublish(now sale.Instant, limit int) (string, []any) {
	return `
		select ` + storeColumns + `, published
		from stores
		where closed_at is null and publish_at <= $1
		order by publish_at
		limit $2`, []any{now.Time(), limit}
}

// Publish makes the slots of the store's next days, as it is at now: no more than a
// week of them, and none that has begun. It notes in p how far it came, and says how
// many slots are new and whether there are more days. A store that was closed
// meanwhile has none.
//
// It may be cut off anywhere and done again, by several at once: a slot is made once.
func (l *Ledger) Publish(ctx context.Context, p *Publication, now sale.Instant) (created int, more bool, err error) {
	today, err := p.Today(now)
	if err != nil {
		return 0, false, fmt.Errorf("publish slots of store %d: %w", p.ID, err)
	}
	last := today.Add(p.DaysAhead)
	first := p.Published.Add(1)
	if first.Compare(today) < 0 {
		first = today
	}
	if first.Compare(last) <= 0 {
		through := last
		if week := first.Add(publishDays - 1); week.Compare(last) < 0 {
			through, more = week, true
		}
		var slots []sale.Sale
		for d := first; d.Compare(through) <= 0; d = d.Add(1) {
			for _, at := range p.Slots(d) {
				if at > now {
					slots = append(slots, p.Slot(at, now.Add(-publishEarly)))
				}
			}
		}
		created, err = l.PublishSlots(ctx, p.ID, time.Date(through.Year, through.Month, through.Day, 0, 0, 0, 0, time.UTC), slots)
		if errors.Is(err, sale.ErrUnknown) {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		p.Published = through
	}
	if more {
		return created, true, nil
	}
	_, tomorrow, err := p.Bounds(today)
	if err == nil {
		err = l.PublishNext(ctx, p, tomorrow)
	}
	return created, false, err
}

// PublishNext says when there is another day to publish, or another try is due. It
// changes nothing when the store's days ahead have changed since p was read.
func (l *Ledger) PublishNext(ctx context.Context, p *Publication, at sale.Instant) error {
	if _, err := l.pool.Exec(ctx, `
		update stores
		set publish_at = $2
		where id = $1 and days_ahead = $3`, p.ID, at.Time(), p.DaysAhead); err != nil {
		return fmt.Errorf("publish slots of store %d: %w", p.ID, err)
	}
	return nil
}

// Slots answers the slots of a store that begin from one moment on and before
// another, in order, as they stand in Postgres, and the moment that this is of. It
// walks sales_of_store.
func (l *Ledger) Slots(ctx context.Context, store int64, from, to sale.Instant) ([]*sale.Stand, sale.Instant, error) {
	query, args := slots(store, from, to)
	stands, now, err := list(ctx, l, query, args, scanStand)
	if err != nil {
		return nil, 0, fmt.Errorf("list slots of store %d: %w", store, err)
	}
	return stands, now, nil
}

func slots(store int64, from, to sale.Instant) (string, []any) {
	return `
		select ` + saleColumns + `
		from sales s
		where s.store = $1 and s.starts_at >= $2 and s.starts_at < $3
		order by s.starts_at`, []any{store, from.Time(), to.Time()}
}

// SlotAt answers the sale of a store's slot, or sale.ErrUnknown when that is not
// published.
func (l *Ledger) SlotAt(ctx context.Context, store int64, at sale.Instant) (id int64, err error) {
	err = l.pool.QueryRow(ctx, `
		select id
		from sales
		where store = $1 and starts_at = $2`, store, at.Time()).Scan(&id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, sale.ErrUnknown
	case err != nil:
		return 0, fmt.Errorf("find slot of store %d: %w", store, err)
	}
	return id, nil
}
