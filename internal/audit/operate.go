package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// What an operator does about a sale that was suspended, or shall be.

// ErrUnsettled says that a request is queued, and that nobody has settled it yet.
var ErrUnsettled = errors.New("queued, and not settled yet: does a consumer work?")

// Refused is why a request of an operator was rejected; an error.
type Refused struct{ Reason sale.Reason }

func (r *Refused) Error() string { return "rejected: " + r.Reason.String() }

// Sale audits one sale: all that an audit finds of it. It looks at all the books, and at
// the log of its partition, so it takes about as long. sale.ErrUnknown when there is none.
func (a *Audit) Sale(ctx context.Context, id int64) (Report, error) {
	p, err := a.ledger.Place(ctx, id)
	if err != nil {
		return Report{}, fmt.Errorf("sale %d: %w", id, err)
	}
	n := &notes{breaches: map[Rule]int64{}, only: id}
	n.Broken, n.Partitions = []Finding{}, 1
	return a.run(ctx, n, p, p+1)
}

// Suspend has a sale sell nothing from now on, and answers the receipt of that. It waits
// for the outcome as long as ctx lasts. sale.ErrUnknown, ErrUnsettled; a *Refused when the
// sale has not opened, which is the seller's business.
func (a *Audit) Suspend(ctx context.Context, id int64) (uuid.UUID, error) {
	return a.ask(ctx, sale.Suspend, id)
}

// Resume has it sell on, and serves its line. Whether that is right is for its caller to
// know, by Sale.
func (a *Audit) Resume(ctx context.Context, id int64) (uuid.UUID, error) {
	return a.ask(ctx, sale.Resume, id)
}

// Order queues one of both, sale.Suspend or sale.Resume, for a sale of partition p, and
// answers its receipt without waiting for the outcome.
func (a *Audit) Order(ctx context.Context, p int, verb sale.Verb, id int64) (uuid.UUID, error) {
	r := sale.Request{Receipt: sale.NewReceiptID(p), Verb: verb, Sale: id}
	if _, err := a.store.Admit(ctx, p, r, partition.Anytime, partition.Limits{Backlog: sale.MaxPoints}); err != nil {
		return uuid.Nil, fmt.Errorf("%s sale %d: %w", verb, id, err)
	}
	return r.Receipt, nil
}

func (a *Audit) ask(ctx context.Context, verb sale.Verb, id int64) (receipt uuid.UUID, err error) {
	p, err := a.ledger.Place(ctx, id)
	if err != nil {
		return uuid.Nil, fmt.Errorf("sale %d: %w", id, err)
	}
	if receipt, err = a.Order(ctx, p, verb, id); err != nil {
		return uuid.Nil, err
	}
	for {
		standing, err := a.store.Receipt(ctx, p, receipt)
		switch {
		case ctx.Err() != nil:
			return receipt, ErrUnsettled
		case err != nil:
			return receipt, fmt.Errorf("%s sale %d: %w", verb, id, err)
		case standing.Status == sale.Rejected:
			return receipt, fmt.Errorf("%s sale %d: %w", verb, id, &Refused{standing.Reason})
		case standing.Status != sale.Queued:
			return receipt, nil
		}
		select {
		case <-ctx.Done():
			return receipt, ErrUnsettled
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// LiveSale is a sale as an operator sees it.
type LiveSale struct {
	ID        int64      `json:"sale"`
	Partition int        `json:"partition"`
	Kind      sale.Kind  `json:"kind"`
	State     sale.Shown `json:"state"` // by this machine's clock
	Suspended bool       `json:"suspended"`
	Seller    int64      `json:"seller"`
	Title     string     `json:"title"`
	Stock     int64      `json:"stock"`
	Free      int64      `json:"free"`
	Held      int64      `json:"held"`
	Sold      int64      `json:"sold"`
	Waiting   int64      `json:"waiting"`
	ClosesAt  time.Time  `json:"closes_at"`
}

// livesMost is how many sales are read at once.
const livesMost = 500

// Live answers, by number, all live sales and suspended ones, or the latter alone.
func (a *Audit) Live(ctx context.Context, suspended bool) ([]LiveSale, error) {
	found, now := []LiveSale{}, sale.At(time.Now()) // in JSON a list, even of nothing
	for after := int64(0); ; {
		page, err := a.ledger.LiveSales(ctx, suspended, after, livesMost)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			found = append(found, LiveSale{
				ID: s.ID, Partition: s.Partition, Kind: s.Kind, State: s.Shown(now), Suspended: s.Suspended, Seller: s.Seller, Title: s.Title,
				Stock: s.Stock, Free: s.Free, Held: s.Held, Sold: s.Sold, Waiting: s.Waiting, ClosesAt: s.ClosesAt.Time(),
			})
			after = s.ID
		}
		if len(page) < livesMost {
			return found, nil
		}
	}
}
