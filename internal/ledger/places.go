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

// places remembers which partition a sale lives in, which never changes, so that
// a request costs Postgres nothing. That a sale is unknown is remembered for a
// moment only.
type places struct {
	mu      sync.RWMutex
	known   map[int64]int
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
	l.places.mu.RLock()
	p, known := l.places.known[id]
	until, unknown := l.places.unknown[id]
	l.places.mu.RUnlock()
	switch {
	case known:
		return p, nil
	case unknown && time.Now().Before(until):
		return 0, sale.ErrUnknown
	}
	// One question for all who ask at once; it must not end with the first asker.
	answer, err, _ := l.places.asked.Do(fmt.Sprint(id), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return l.place(ctx, id)
	})
	if err != nil {
		return 0, err
	}
	return answer.(int), nil
}

func (l *Ledger) place(ctx context.Context, id int64) (p int, err error) {
	err = l.pool.QueryRow(ctx, `
		select partition
		from sales
		where id = $1`, id).Scan(&p)
	l.places.mu.Lock()
	defer l.places.mu.Unlock()
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if l.places.unknown == nil || len(l.places.unknown) >= unknownAnswers {
			l.places.unknown = map[int64]time.Time{}
		}
		l.places.unknown[id] = time.Now().Add(unknownFor)
		return 0, sale.ErrUnknown
	case err != nil:
		return 0, fmt.Errorf("find sale %d: %w", id, err)
	}
	if l.places.known == nil || len(l.places.known) >= placesMost {
		l.places.known = map[int64]int{}
	}
	l.places.known[id] = p
	return p, nil
}
