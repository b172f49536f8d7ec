package survey

import (
	"context"
	"errors"
	"sync"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	patience = 2 * time.Second // with each server

	// salesMost is how many open sales are looked at, and dearest how many times longer
	// than that took Postgres is not asked for them again, so that it takes a hundredth
	// of the time. But never longer than rests: a Postgres that is slow for a moment is
	// no reason to miss a flash sale.
	salesMost = 100_000
	dearest   = 100
	rests     = 10 * time.Second
)

// Picture is how it all is.
type Picture struct {
	Redis    *partition.Survey // nil: it did not answer
	Postgres *Record           // the same
}

// Record is what Postgres said.
type Record struct {
	ledger.Figures
	Open int64        // sales
	At   sale.Instant // of this machine's clock, for the prices
}

// looker makes pictures, one after the other.
type looker struct {
	store  *partition.Store
	ledger *ledger.Ledger

	busiest busiest
	open    int64
	countAt time.Time // when the open sales are looked at next
}

// see asks both servers, side by side, and makes the picture of what they say. Whoever
// does not answer is missing in it, and is the error.
func (l *looker) see(ctx context.Context) (*Picture, error) {
	var next Picture
	var faults [2]error
	var asking sync.WaitGroup
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var found partition.Survey
		if found, faults[0] = l.store.Survey(ctx); faults[0] == nil {
			next.Redis = &found
		}
	})
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		next.Postgres, faults[1] = l.ask(ctx)
	})
	asking.Wait()
	return &next, errors.Join(faults[:]...)
}

// ask asks Postgres: now and then which sales are open, each time about the busiest.
func (l *looker) ask(ctx context.Context) (*Record, error) {
	if now := time.Now(); !now.Before(l.countAt) {
		open, moved, err := l.ledger.OpenSales(ctx, salesMost)
		if err != nil {
			return nil, err
		}
		l.countAt = now.Add(min(dearest*time.Since(now), rests))
		l.open = open
		l.busiest.choose(moved, now)
	}
	figures, err := l.ledger.Figures(ctx, l.busiest.shown)
	if err != nil {
		return nil, err
	}
	return &Record{figures, l.open, sale.At(time.Now())}, nil
}
