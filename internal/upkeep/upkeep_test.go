package upkeep

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const patience = time.Minute

type house struct {
	t      *testing.T
	ctx    context.Context
	store  *partition.Store
	ledger *ledger.Ledger
}

func open(t *testing.T) *house {
	h := &house{t: t, ctx: t.Context()}
	var err error
	h.ledger, err = ledger.Open(h.ctx, ledger.Options{URL: embeddedtest.Postgres(t)})
	h.must(err)
	t.Cleanup(h.ledger.Close)
	h.must(h.ledger.EnsurePartitions(h.ctx, 2))
	h.store, err = partition.Open(h.ctx, partition.Options{URL: embeddedtest.Redis(t), Partitions: 2})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) scheduler(name string) *Scheduler {
	return New(name, h.store, h.ledger, 24*time.Hour, zerolog.Nop(), prometheus.NewRegistry())
}

// run starts a loop that ends with the test.
func (h *house) run(loop func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := loop(ctx); err != nil {
			h.t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	h.t.Cleanup(stop)
	return stop
}

func (h *house) until(what string, met func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

func (h *house) phase(id int64) (sale.Phase, bool) {
	h.t.Helper()
	stand, err := h.ledger.Sale(h.ctx, id)
	h.must(err)
	return stand.Phase, stand.PaidOut
}

// TestDutiesAreDone: without one request, a sale opens, closes and is paid out at
// its time; with two schedulers, each tick once.
func TestDutiesAreDone(t *testing.T) {
	h := open(t)
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	seller, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	now := sale.At(time.Now())
	s, err := h.ledger.CreateSale(h.ctx, sale.Sale{
		Kind: sale.Auction, Seller: seller[0], Title: "lamp", Stock: 10, Limit: 1,
		Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Second},
		OpensAt: now.Add(time.Second), ClosesAt: now.Add(2 * time.Second), RefundWindow: time.Second,
	}, 2)
	h.must(err)
	a, b := h.scheduler("a"), h.scheduler("b")
	stop := h.run(a.Run)
	h.run(b.Run)
	h.until("it opens", func() bool { phase, _ := h.phase(s.ID); return phase == sale.PhaseOpen })
	stop() // the other one takes the lead
	h.until("it closes", func() bool { phase, _ := h.phase(s.ID); return phase == sale.PhaseClosed })
	h.until("it is paid out", func() bool { _, paid := h.phase(s.ID); return paid })
	for _, verb := range []string{"open", "close", "payout"} {
		if n := testutil.ToFloat64(a.ticks.WithLabelValues(verb)) + testutil.ToFloat64(b.ticks.WithLabelValues(verb)); n != 1 {
			t.Errorf("%s was queued %v times", verb, n)
		}
	}
}

func TestOneLeads(t *testing.T) {
	h := open(t)
	a, b := h.scheduler("a"), h.scheduler("b")
	h.must(a.step(h.ctx))
	h.must(b.step(h.ctx))
	if testutil.ToFloat64(a.leads) != 1 || testutil.ToFloat64(b.leads) != 0 {
		t.Errorf("a leads %v, b leads %v", testutil.ToFloat64(a.leads), testutil.ToFloat64(b.leads))
	}
	h.must(h.store.DropLead(h.ctx, "a"))
	h.must(b.step(h.ctx))
	h.must(a.step(h.ctx))
	if testutil.ToFloat64(a.leads) != 0 || testutil.ToFloat64(b.leads) != 1 {
		t.Errorf("a leads %v, b leads %v", testutil.ToFloat64(a.leads), testutil.ToFloat64(b.leads))
	}
}

// TestDutyBeforeStreamTime: our clock is ahead of the stream's. The tick is
// refused, and queued when its time has come.
func TestDutyBeforeStreamTime(t *testing.T) {
	h := open(t)
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	due := sale.At(time.Now().Add(time.Second))
	s := h.scheduler("a")
	duty := ledger.Duty{Sale: 404, Partition: 1, Verb: sale.Open, Due: due}
	queued := func() float64 { return testutil.ToFloat64(s.ticks.WithLabelValues("open")) }
	h.must(s.tick(h.ctx, duty))
	if queued() != 0 {
		t.Fatal("queued before its time")
	}
	h.until("it is queued", func() bool {
		h.must(s.tick(h.ctx, duty))
		return queued() == 1
	})
	if sale.At(time.Now()) < due {
		t.Error("queued before its time")
	}
}
