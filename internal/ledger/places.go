package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"sluice/internal/sale"
)

// Place is what never changes of a sale: where it lives, and what it can be asked.
type Place struct {
	Partition int
	Kind      sale.Kind
	Store     int64 // whose slot it is; 0: none
}

// places remembers them, so that a request costs Postgres nothing. That a sale is
// unknown is remembered for a moment only.
type places struct {
	mu      sync.RWMutex
	known   map[int64]Place
	unknown map[int64]time.Time // until when
	asked   singleflight.Group
}

const (
	placesMost     = 100_000
	unknownFor     = time.Second
	unknownAnswers = 10_000
)

// Place answers the partition of a sale, or sale.ErrUnknown.
func (l *Ledger) Place(ctx context.Context, id int64) (int, error) {
	place, err := l.Find(ctx, id)
	return place.Partition, err
}

// Find answers the place of a sale, or sale.ErrUnknown.
func (l *Ledger) Find(ctx context.Context, id int64) (Place, error) {
	l.places.mu.RLock()
	place, known := l.places.known[id]
	until, unknown := l.places.unknown[id]
	l.places.mu.RUnlock()
	switch {
	case known:
		return place, nil
	case unknown && time.Now().Before(until):
		return Place{}, sale.ErrUnknown
	}
	// One question for all who ask at once; it must not end with the first asker.
	answer, err, _ := l.places.asked.Do(fmt.Sprint(id), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return l.find(ctx, id)
	})
	if err != nil {
		return Place{}, err
	}
	return answer.(Place), nil
}

func (l *Ledger) find(ctx context.Context, id int64) (place Place, err error) {
	err = l.pool.QueryRow(ctx, `
		select partition, kind, coalesce(store, 0)
		from sales
		where id = $1`, id).Scan(&place.Partition, &place.Kind, &place.Store)
	l.places.mu.Lock()
	defer l.places.mu.Unlock()
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if l.places.unknown == nil || len(l.places.unknown) >= unknownAnswers {
			l.places.unknown = map[int64]time.Time{}
		}
		l.places.unknown[id] = time.Now().Add(unknownFor)
		return Place{}, sale.ErrUnknown
	case err != nil:
		return Place{}, fmt.Errorf("find sale %d: %w", id, err)
	}
	if l.places.known == nil || len(l.places.known) >= placesMost {
		l.places.known = map[int64]Place{}
	}
	l.places.known[id] = place
	return place, nil
}
