// Package catalog holds the sales: it records new ones, changes and deletes those
// that are not open yet, and shows how they stand.
//
// A sale that is not open may change in Postgres without its partition noticing:
// no entry of the stream says so. Redis only keeps a copy, so a change is made by
// having the copy forgotten (partition.Forget) before and after the commit; it is
// loaded again when it is needed. Whatever goes wrong in between, no batch is
// ever decided on old terms: settling compares them under the sale's lock.
package catalog

import (
	"context"
	"errors"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Catalog makes, changes and shows sales. Its methods may be called concurrently.
type Catalog struct {
	store  *partition.Store
	ledger *ledger.Ledger
	margin time.Duration // before opens_at, from which on its terms stand
}

// Margin is how long before its opening a sale's terms stand, so that nobody who
// waits for it finds another one.
const Margin = 5 * time.Second

// New answers a catalog over both stores.
func New(store *partition.Store, ledger *ledger.Ledger) *Catalog {
	return &Catalog{store: store, ledger: ledger, margin: Margin}
}

// Create records a sale of s.Seller and answers it with its number, partition and
// escrow. Under a key it does so once: the same again answers the same sale, as
// it stands now, replayed; another one is a *sale.Refusal (idempotency_mismatch).
// The key of a sale that was deleted is free again. sale.Faults when it breaks a
// rule.
func (c *Catalog) Create(ctx context.Context, s sale.Sale, key string) (stand *sale.Stand, replayed bool, err error) {
	request := sale.RequestID(s.Seller, "sale", key)
	if faults := s.Check(sale.At(time.Now())); faults != nil {
		if key != "" { // it may have been right when it was made: its opening is past by now
			stand, err := c.ledger.SaleOf(ctx, request, s)
			if !errors.Is(err, sale.ErrUnknown) {
				return stand, true, err
			}
		}
		return nil, false, faults
	}
	return c.ledger.CreateSaleOnce(ctx, s, c.store.Partitions(), request)
}

// Sale answers how a sale stands at this moment of stream time, without its
// buyers. sale.ErrUnknown when there is none; a *sale.Refusal while its partition
// is loading.
func (c *Catalog) Sale(ctx context.Context, id int64) (*sale.Stand, sale.Instant, error) {
	p, err := c.ledger.Place(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	stand, now, err := c.store.Sale(ctx, p, id)
	if !errors.Is(err, sale.ErrUnknown) {
		return stand, now, err
	}
	load := func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return c.ledger.Stand(ctx, id) }
	if err = c.store.LoadFrom(ctx, p, id, load); err == nil {
		if stand, now, err = c.store.Sale(ctx, p, id); !errors.Is(err, sale.ErrUnknown) {
			return stand, now, err
		}
		err = partition.ErrLoading // forgotten at once: its seller is changing it
	}
	if errors.Is(err, partition.ErrLoading) {
		err = &sale.Refusal{Code: sale.RefusedLoading, RetryAfter: time.Second}
	}
	return nil, 0, err
}
