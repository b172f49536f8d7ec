// Package catalog holds the sales: it records new ones and shows how they stand.
package catalog

import (
	"context"
	"errors"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Catalog makes and shows sales. Its methods may be called concurrently.
type Catalog struct {
	store  *partition.Store
	ledger *ledger.Ledger
}

// New answers a catalog over both stores.
func New(store *partition.Store, ledger *ledger.Ledger) *Catalog {
	return &Catalog{store: store, ledger: ledger}
}

// Create records a sale of s.Seller and answers it with its number, partition
// and escrow. sale.Faults when it breaks a rule.
func (c *Catalog) Create(ctx context.Context, s sale.Sale) (sale.Sale, error) {
	if err := s.Check(sale.At(time.Now())); err != nil {
		return s, err
	}
	return c.ledger.CreateSale(ctx, s, c.store.Partitions())
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
	switch err := c.store.LoadFrom(ctx, load); {
	case errors.Is(err, partition.ErrLoading):
		return nil, 0, &sale.Refusal{Code: sale.RefusedLoading, RetryAfter: time.Second}
	case err != nil:
		return nil, 0, err
	}
	return c.store.Sale(ctx, p, id)
}
