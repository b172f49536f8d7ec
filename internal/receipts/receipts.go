// Package receipts answers where a request stands: from Redis while it is hot,
// from Postgres afterwards.
package receipts

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Receipts reads receipts. Its methods may be called concurrently.
type Receipts struct {
	store  *partition.Store
	ledger *ledger.Ledger
}

// New answers a reader over both stores.
func New(store *partition.Store, ledger *ledger.Ledger) *Receipts {
	return &Receipts{store: store, ledger: ledger}
}

// Get answers where account's receipt stands. sale.ErrUnknown when it never was
// (or was a rejection, forgotten after its time), sale.ErrNotYours when it is
// somebody else's.
func (r *Receipts) Get(ctx context.Context, account int64, id uuid.UUID) (sale.Standing, error) {
	p, ok := sale.PartitionOf(id)
	if !ok || p >= r.store.Partitions() {
		return sale.Standing{}, sale.ErrUnknown
	}
	for again := 0; ; again++ {
		standing, err := r.read(ctx, p, id)
		switch {
		case err != nil:
			return sale.Standing{}, err
		case standing.Buyer != account:
			return sale.Standing{}, sale.ErrNotYours
		case standing.Status != sale.Waiting:
			return standing, nil
		}
		standing.Line, err = r.line(ctx, p, standing.Receipt)
		if err != nil || standing.Line > 0 || again == rereads {
			return standing, err
		}
		// It has left the line since it was read.
	}
}

// rereads bounds how often a receipt is read again that is said to wait and is not
// in the line. A second time is rare; for longer Redis is behind Postgres, which
// passes, and until then nobody knows the place.
const rereads = 3

func (r *Receipts) read(ctx context.Context, p int, id uuid.UUID) (sale.Standing, error) {
	standing, err := r.store.Receipt(ctx, p, id)
	if errors.Is(err, sale.ErrUnknown) {
		standing.Receipt, err = r.ledger.Receipt(ctx, id)
	}
	return standing, err
}

// line answers the place of a receipt in the waiting line of its sale, from 1; 0
// when it is not in it, or when Redis has no data to tell by.
func (r *Receipts) line(ctx context.Context, p int, waits sale.Receipt) (int64, error) {
	place, err := r.store.LinePlace(ctx, p, waits.Sale, waits.LinePlace())
	if !errors.Is(err, sale.ErrUnknown) {
		return place, err
	}
	load := func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return r.ledger.Stand(ctx, waits.Sale) }
	if err = r.store.LoadFrom(ctx, p, waits.Sale, load); err == nil {
		place, err = r.store.LinePlace(ctx, p, waits.Sale, waits.LinePlace())
	}
	if errors.Is(err, partition.ErrLoading) || errors.Is(err, sale.ErrUnknown) {
		return 0, nil
	}
	return place, err
}

// Filter says which receipts are listed. What is zero does not filter.
type Filter struct {
	Sale   int64
	Status sale.Status
	After  Cursor
	Limit  int
}

// Cursor is a place in a list of receipts: behind the one with that ID, requested
// At. The zero cursor is the beginning.
type Cursor = ledger.ReceiptCursor

// List answers a page of an account's receipts that have an effect, the newest
// first, and whether there are more. One that is queued, or was rejected without
// having waited, is in no list: it is known by its ID only.
func (r *Receipts) List(ctx context.Context, account int64, f Filter) ([]sale.Receipt, bool, error) {
	return r.ledger.Receipts(ctx, ledger.ReceiptFilter{
		Buyer: account, Sale: f.Sale, Status: f.Status, After: f.After, Limit: f.Limit,
	})
}
