package bookings

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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
	*Bookings
	t             *testing.T
	ctx           context.Context
	url           string // of Postgres
	partitions    *partition.Store
	admission     *admission.Admission
	receipts      *receipts.Receipts
	seller, other int64
	buyers        []int64
}

func open(t *testing.T) *house {
	h := &house{t: t, ctx: t.Context(), url: embeddedtest.Postgres(t)}
	l, err := ledger.Open(h.ctx, ledger.Options{URL: h.url})
	h.must(err)
	t.Cleanup(l.Close)
	h.must(l.EnsurePartitions(h.ctx, 2))
	h.partitions, err = partition.Open(h.ctx, partition.Options{URL: embeddedtest.Redis(t), Partitions: 2})
	h.must(err)
	t.Cleanup(func() { h.partitions.Close() })
	h.Bookings, h.receipts = New(h.partitions, l), receipts.New(h.partitions, l)
	h.admission = admission.New(h.partitions, l, partition.Limits{Backlog: 1000}, prometheus.NewRegistry())
	sellers, err := l.CreateAccounts(h.ctx, "seller", 2, 0)
	h.must(err)
	h.seller, h.other = sellers[0], sellers[1]
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

// inn is a store with two tables that is open all day, every day.
func (h *house) inn() sale.Store {
	s := sale.Store{
		Seller: h.seller, Title: "Inn", TimeZone: "UTC", Tables: 2, UnitPrice: 10,
		RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 3,
	}
	for i := range s.Hours {
		s.Hours[i] = &sale.Span{Opens: 0, Closes: 23*60 + 30}
	}
	return s
}

func (h *house) create() sale.Store {
	h.t.Helper()
	s, _, err := h.Create(h.ctx, h.inn(), "")
	h.must(err)
	return s
}

// day is a date of the store, so many days from now.
func (h *house) day(s sale.Store, ahead int) sale.Day {
	h.t.Helper()
	today, err := s.Today(sale.At(time.Now()))
	h.must(err)
	return today.Add(ahead)
}

func (h *house) slots(s sale.Store, ahead int) []*sale.Stand {
	h.t.Helper()
	slots, now, err := h.Slots(h.ctx, s.ID, h.day(s, ahead))
	h.must(err)
	if d := sale.At(time.Now()) - now; d < 0 || d > 60_000 {
		h.t.Errorf("slots as of %s", now.Time())
	}
	return slots
}

// reserve asks for a table and waits for the outcome.
func (h *house) reserve(slot, buyer int64) sale.Receipt {
	h.t.Helper()
	return h.outcome(h.admission.Reserve(h.ctx, admission.Asker{Account: buyer}, slot, 1, uuid.Nil))
}

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

// exec writes past the code.
func (h *house) exec(statement string, args ...any) {
	h.t.Helper()
	conn, err := pgx.Connect(h.ctx, h.url)
	h.must(err)
	defer conn.Close(h.ctx)
	_, err = conn.Exec(h.ctx, statement, args...)
	h.must(err)
}
