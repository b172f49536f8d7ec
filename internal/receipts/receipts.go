// Package receipts answers where a request stands: from Redis while it is hot,
// from Postgres afterwards.
package receipts

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// Receipts reads receipts. Its methods may be called concurrently.
type Receipts struct {
	store   *partition.Store
	ledger  *ledger.Ledger
	chances chances
	finals  finals
	memory  reads
	hot     reads
	cold    reads
}

// reads counts what a store has answered.
type reads struct{ found, missing prometheus.Counter }

// New answers a reader over both stores.
func New(store *partition.Store, ledger *ledger.Ledger, registry prometheus.Registerer) *Receipts {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_receipt_reads_total",
		Help: "Times that memory or a store was asked for a receipt and answered, and whether it was there. Redis is asked when it is not among the final ones in memory, Postgres when Redis does not have it, or cannot tell.",
	}, []string{"from", "found"})
	registry.MustRegister(all)
	of := func(from string) reads {
		return reads{all.WithLabelValues(from, "yes"), all.WithLabelValues(from, "no")}
	}
	return &Receipts{store: store, ledger: ledger, memory: of("memory"), hot: of("redis"), cold: of("postgres")}
}

// count counts what came of one question; a fault is no answer.
func (r reads) count(found, missing bool) {
	switch {
	case found:
		r.found.Inc()
	case missing:
		r.missing.Inc()
	}
}

// Get answers where account's receipt stands. sale.ErrUnknown when it never was
// (or was a rejection, forgotten after its time), sale.ErrLost when Redis may have lost
// it, sale.ErrNotYours when it is somebody else's.
func (r *Receipts) Get(ctx context.Context, account int64, id uuid.UUID) (sale.Standing, error) {
	return r.get(ctx, account, id)
}

// Show is Get for an operator, who may see whose it is.
func (r *Receipts) Show(ctx context.Context, id uuid.UUID) (sale.Standing, error) {
	return r.get(ctx, everybody, id)
}

// everybody is no account.
const everybody = -1

func (r *Receipts) get(ctx context.Context, account int64, id uuid.UUID) (sale.Standing, error) {
	p, ok := sale.PartitionOf(id)
	if !ok || p >= r.store.Partitions() {
		return sale.Standing{}, sale.ErrUnknown
	}
	known, final := r.finals.get(id)
	r.memory.count(final, !final)
	switch {
	case final && known.Buyer != account && account != everybody:
		return sale.Standing{}, sale.ErrNotYours
	case final:
		return known, nil
	}
	for again := 0; ; again++ {
		began := time.Now()
		standing, err := r.read(ctx, p, id)
		if err == nil {
			r.finals.keep(standing, began)
		}
		switch {
		case err != nil:
			return sale.Standing{}, err
		case standing.Buyer != account && account != everybody:
			return sale.Standing{}, sale.ErrNotYours
		case standing.Status == sale.Queued:
			standing.Outlook = r.Outlook(ctx, standing)
			return standing, nil
		case standing.Status != sale.Waiting:
			return standing, nil
		}
		standing.Line, standing.LeaveLine, err = r.line(ctx, p, standing.Receipt)
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
	var loading *sale.Refusal
	unknown := errors.Is(err, sale.ErrUnknown)
	elsewhere := unknown || errors.As(err, &loading)
	r.hot.count(err == nil, elsewhere)
	if err == nil && standing.Reason != sale.Lost || err != nil && !elsewhere {
		return standing, err
	}
	recorded := r.ledger.Receipt
	if unknown { // forgotten long ago, and not because Redis lacks what it should have
		recorded = r.ledger.Cold().Receipt
	}
	cold, fault := recorded(ctx, id)
	r.cold.count(fault == nil, errors.Is(fault, sale.ErrUnknown))
	switch {
	case fault == nil:
		return sale.Standing{Receipt: cold, Durability: sale.InRecord}, nil
	case !errors.Is(fault, sale.ErrUnknown):
		return sale.Standing{}, fault
	case unknown:
		err = r.store.Missing(ctx, p, id)
	}
	return standing, err
}

// line answers the place of a receipt in the waiting line of its sale, from 1, and how
// many leave that per second; 0 when it is not in it, or when Redis has no data to tell by.
func (r *Receipts) line(ctx context.Context, p int, waits sale.Receipt) (place int64, leave float64, err error) {
	place, leave, err = r.store.LinePlace(ctx, p, waits.Sale, waits.LinePlace())
	if !errors.Is(err, sale.ErrUnknown) {
		return place, leave, err
	}
	load := func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return r.ledger.Stand(ctx, waits.Sale) }
	if err = r.store.LoadFrom(ctx, p, waits.Sale, load); err == nil {
		place, leave, err = r.store.LinePlace(ctx, p, waits.Sale, waits.LinePlace())
	}
	if errors.Is(err, partition.ErrLoading) || errors.Is(err, sale.ErrUnknown) {
		return 0, 0, nil
	}
	return place, leave, err
}

// Found is a receipt that was asked for among others, or why it is not answered.
type Found struct {
	ID       uuid.UUID
	Standing sale.Standing
	Err      error // sale.ErrUnknown, sale.ErrLost, sale.ErrNotYours, or a fault
}

// GetAll is Get of many, all at once; in the order of ids.
func (r *Receipts) GetAll(ctx context.Context, account int64, ids []uuid.UUID) []Found {
	all := make([]Found, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			standing, err := r.Get(ctx, account, id)
			all[i] = Found{id, standing, err}
		})
	}
	wg.Wait()
	return all
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
