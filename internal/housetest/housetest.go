// Package housetest is a Sluice in miniature over real servers, with a consumer at
// work, for the tests of the journeys. Nothing but a _test.go file may import it.
package housetest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

// patience bounds every wait for a condition: far longer than any takes.
const patience = time.Minute

// House is what an API process is made of, two sellers and eight buyers with 100
// points each.
type House struct {
	T             *testing.T
	Ctx           context.Context
	URL           string // of Postgres
	Partitions    *partition.Store
	Ledger        *ledger.Ledger
	Admission     *admission.Admission
	Receipts      *receipts.Receipts
	Seller, Other int64
	Buyers        []int64
}

// Open builds a house whose two partitions have an owner until the test ends.
func Open(t *testing.T) *House {
	t.Helper()
	return Over(t, embeddedtest.Redis(t))
}

// Over is Open over a Redis that is the test's own.
func Over(t *testing.T, redisURL string) *House {
	t.Helper()
	h := &House{T: t, Ctx: t.Context(), URL: embeddedtest.Postgres(t)}
	var err error
	h.Ledger, err = ledger.Open(h.Ctx, ledger.Options{URL: h.URL})
	h.Must(err)
	t.Cleanup(h.Ledger.Close)
	h.Must(h.Ledger.EnsurePartitions(h.Ctx, 2))
	h.Partitions, err = partition.Open(h.Ctx, partition.Options{URL: redisURL, Partitions: 2})
	h.Must(err)
	t.Cleanup(func() { h.Partitions.Close() })
	h.Receipts = receipts.New(h.Partitions, h.Ledger, prometheus.NewRegistry())
	h.Admission = admission.New(h.Partitions, h.Ledger, partition.Limits{Backlog: 1000}, prometheus.NewRegistry())
	sellers, err := h.Ledger.CreateAccounts(h.Ctx, "seller", 2, 0)
	h.Must(err)
	h.Seller, h.Other = sellers[0], sellers[1]
	h.Buyers, err = h.Ledger.CreateAccounts(h.Ctx, "buyer", 8, 100)
	h.Must(err)

	ctx, cancel := context.WithCancel(h.Ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- settlement.New("consumer", h.Partitions, h.Ledger, zerolog.Nop(), prometheus.NewRegistry()).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for p := range 2 {
		h.Until("partitions open", func() bool {
			_, err := h.Partitions.Projection(h.Ctx, p, nil)
			return err == nil
		})
	}
	return h
}

// Must ends the test on an error.
func (h *House) Must(err error) {
	h.T.Helper()
	if err != nil {
		h.T.Fatal(err)
	}
}

// Until waits for a condition, looking often.
func (h *House) Until(what string, met func() bool) {
	h.T.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.T.Fatalf("in vain: %s", what)
		}
	}
}

// Offer records a sale of a hundred units that has just opened, unless s says when.
func (h *House) Offer(s sale.Sale) sale.Sale {
	h.T.Helper()
	now := sale.At(time.Now())
	s.Seller, s.Title, s.Stock, s.Limit, s.Price.Policy = h.Seller, "lamp", 100, 1, sale.Fixed
	s.OpensAt, s.ClosesAt, s.RefundWindow = cmp.Or(s.OpensAt, now), now.Add(24*time.Hour), time.Hour
	s, err := h.Ledger.CreateSale(h.Ctx, s, 2)
	h.Must(err)
	return s
}

// Outcome waits until a request is decided.
func (h *House) Outcome(standing sale.Standing, err error) sale.Receipt {
	h.T.Helper()
	h.Must(err)
	h.Until("it is decided", func() bool { return h.Receipt(standing.Buyer, standing.ID).Status != sale.Queued })
	return h.Receipt(standing.Buyer, standing.ID)
}

// Receipt answers a buyer's receipt as it stands.
func (h *House) Receipt(buyer int64, id uuid.UUID) sale.Receipt {
	h.T.Helper()
	standing, err := h.Receipts.Get(h.Ctx, buyer, id)
	h.Must(err)
	return standing.Receipt
}
