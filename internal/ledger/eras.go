package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/sale"
)

// Receipts lie in eras: ranges of sale IDs, each a table of its own, receipts_<first>,
// so that those of sales long over are dropped and not deleted. Sale IDs come from one
// sequence; whoever leads moves it to the next range once a month (Usher), so that an era
// is the sales made in a month.
//
// Settling names the tables of its sales: then no other era costs it anything, and its
// statements have one plan, whatever the planner takes a range of sales for. Whatever
// else is asked of receipts is asked of all of them.

// EraOf is how many sale IDs an era has, but for the first one, which may have more.
const EraOf = 10_000_000

// era is a range of sale IDs whose receipts are kept.
type era struct{ first, past int64 }

// table is where its receipts are.
func (e era) table() string { return fmt.Sprintf("receipts_%d", e.first) }

// eras remembers which there are. Their ranges never change; new ones come behind the
// last, and old ones go.
type eras struct {
	mu    sync.RWMutex
	known []era // in order
	past  int64 // the first sale ID of none that is known
}

// of answers the era of a sale, false when its receipts are not kept any more or it is
// in none yet.
func (e *eras) of(id int64) (era, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return eraAmong(e.known, id)
}

func eraAmong(known []era, id int64) (era, bool) {
	for _, one := range slices.Backward(known) { // mostly one of the last
		if id >= one.first {
			return one, id < one.past
		}
	}
	return era{}, false
}

// knowEras sees to it that the eras of these sales are known, if there are such.
func (l *Ledger) knowEras(ctx context.Context, last int64) error {
	l.eras.mu.RLock()
	known := last < l.eras.past
	l.eras.mu.RUnlock()
	if known {
		return nil
	}
	rows, err := l.pool.Query(ctx, `
		select first, past
		from eras
		where dropped_at is null
		order by first`)
	if err != nil {
		return fmt.Errorf("read eras: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanEra)
	switch {
	case err != nil:
		return fmt.Errorf("read eras: %w", err)
	case len(all) == 0:
		return errors.New("read eras: there are none")
	}
	l.eras.mu.Lock()
	defer l.eras.mu.Unlock()
	l.eras.known, l.eras.past = all, all[len(all)-1].past
	return nil
}

func scanEra(row pgx.CollectableRow) (e era, err error) {
	err = row.Scan(&e.first, &e.past)
	return e, err
}

// forgetEras makes everybody ask again, when err says that the table of one is not there
// any more.
func (l *Ledger) forgetEras(err error) {
	var gone *pgconn.PgError
	if !errors.As(err, &gone) || gone.Code != "42P01" {
		return
	}
	l.eras.mu.Lock()
	defer l.eras.mu.Unlock()
	l.eras.known, l.eras.past = nil, 0
}

// lastSale is the greatest sale ID that a batch names.
func lastSale(b *sale.Batch) (last int64) {
	for id := range b.State {
		last = max(last, id)
	}
	for _, e := range b.Entries {
		last = max(last, e.Sale, e.From)
	}
	return last
}
