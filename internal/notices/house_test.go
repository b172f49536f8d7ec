package notices

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

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const patience = time.Minute

// house is an API process over real servers, with a consumer at work.
type house struct {
	*Notices
	t          *testing.T
	ctx        context.Context
	partitions *partition.Store
	admission  *admission.Admission
	receipts   *receipts.Receipts
	seller     int64
	buyers     []int64
}

func open(t *testing.T) *house {
	h := &house{t: t, ctx: t.Context()}
	l, err := ledger.Open(h.ctx, ledger.Options{URL: embeddedtest.Postgres(t)})
	h.must(err)
	t.Cleanup(l.Close)
	h.must(l.EnsurePartitions(h.ctx, 2))
	h.partitions, err = partition.Open(h.ctx, partition.Options{URL: embeddedtest.Redis(t), Partitions: 2})
	h.must(err)
	t.Cleanup(func() { h.partitions.Close() })
	h.Notices, h.receipts = New(l), receipts.New(h.partitions, l)
	h.admission = admission.New(h.partitions, l, partition.Limits{Backlog: 1000}, prometheus.NewRegistry())
	sellers, err := l.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	h.seller = sellers[0]
	h.buyers, err = l.CreateAccounts(h.ctx, "buyer", 8, 100)
	h.must(err)

	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- settlement.New("consumer", h.partitions, l, zerolog.Nop(), prometheus.NewRegistry()).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for p := range 2 {
		h.until("partitions open", func() bool {
			_, err := h.partitions.Projection(h.ctx, p, nil)
			return err == nil
		})
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) until(what string, met func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

// offer records a sale of a hundred units that has just opened.
func (h *house) offer(s sale.Sale) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s.Seller, s.Title, s.Stock, s.Limit, s.Price.Policy = h.seller, "lamp", 100, 1, sale.Fixed
	s.OpensAt, s.ClosesAt, s.RefundWindow = cmp.Or(s.OpensAt, now), now.Add(24*time.Hour), time.Hour
	s, err := h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	return s
}

// outcome waits until a request is decided.
func (h *house) outcome(standing sale.Standing, err error) sale.Receipt {
	h.t.Helper()
	h.must(err)
	h.until("it is decided", func() bool { return h.receipt(standing.Buyer, standing.ID).Status != sale.Queued })
	return h.receipt(standing.Buyer, standing.ID)
}

func (h *house) receipt(buyer int64, id uuid.UUID) sale.Receipt {
	h.t.Helper()
	standing, err := h.receipts.Get(h.ctx, buyer, id)
	h.must(err)
	return standing.Receipt
}
