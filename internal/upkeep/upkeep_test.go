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
	return New(name, h.store, h.ledger, 24*time.Hour, 0, zerolog.Nop(), prometheus.NewRegistry())
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

// TestOverdue: how late what cannot be queued is goes on while nothing else does, and is
// nothing again once it is queued, or when somebody else leads.
func TestOverdue(t *testing.T) {
	h := open(t)
	a := h.scheduler("a")
	h.must(a.step(h.ctx))
	if a.late() != 0 || testutil.ToFloat64(a.stepped) == 0 {
		t.Errorf("with nothing to do: %v late, last step at %v", a.late(), testutil.ToFloat64(a.stepped))
	}
	seller, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	now := sale.At(time.Now())
	opened := now.Add(-time.Hour)
	_, err = h.ledger.CreateSale(h.ctx, sale.Sale{
		Kind: sale.Reservation, Seller: seller[0], Title: "lamp", Stock: 1, Limit: 1, Price: sale.Price{Policy: sale.Fixed},
		OpensAt: opened, ClosesAt: now.Add(time.Hour), Hold: time.Minute,
	}, 2)
	h.must(err)
	h.must(a.step(h.ctx)) // nobody owns its partition: it is refused as loading
	first := a.late()
	if first < time.Hour.Seconds() || first > 2*time.Hour.Seconds() {
		t.Errorf("an hour late, it says %v s", first)
	}
	h.until("it gets later by itself", func() bool { return a.late() > first })

	h.must(h.store.DropLead(h.ctx, "a"))
	b := h.scheduler("b")
	h.must(b.step(h.ctx))
	h.must(a.step(h.ctx))
	if a.late() != 0 || b.late() < first {
		t.Errorf("b leads: a is %v late, b %v", a.late(), b.late())
	}
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	h.until("it is queued", func() bool { h.must(b.step(h.ctx)); return b.late() == 0 })
}

// TestStepsThatFail: they leave the time of the last good one.
func TestStepsThatFail(t *testing.T) {
	o := openToOutage(t)
	o.must(o.scheduler.step(o.ctx))
	last := testutil.ToFloat64(o.scheduler.stepped)
	o.way.Stop()
	if o.scheduler.step(o.ctx) == nil {
		t.Error("a step without Postgres ended well")
	}
	if got := testutil.ToFloat64(o.scheduler.stepped); got != last {
		t.Errorf("the last good step was at %v, it says %v", last, got)
	}
	o.must(o.way.Start())
	o.until("it goes on", func() bool { return o.scheduler.step(o.ctx) == nil })
	if got := testutil.ToFloat64(o.scheduler.stepped); got <= last {
		t.Errorf("it went on after %v, it says %v", last, got)
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

// reserve queues a reservation of one unit for each buyer.
func (h *house) reserve(s sale.Sale, buyers []int64) {
	h.t.Helper()
	h.must(h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return h.ledger.Stand(ctx, s.ID) }))
	for _, buyer := range buyers {
		_, err := h.store.Admit(h.ctx, s.Partition, sale.Request{
			Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Reserve, Sale: s.ID, Buyer: buyer, Quantity: 1,
		}, partition.Selling, partition.Limits{Backlog: sale.MaxPoints})
		h.must(err)
	}
}

// TestManyHoldsEndTogether: without one request, more holds than a tick moves end,
// and as many are promoted and end in their turn, with two schedulers at it.
func TestManyHoldsEndTogether(t *testing.T) {
	const stock, waits = 1200, 300
	h := open(t)
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	seller, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	buyers, err := h.ledger.CreateAccounts(h.ctx, "buyer", stock+waits, 0)
	h.must(err)
	now := sale.At(time.Now())
	s, err := h.ledger.CreateSale(h.ctx, sale.Sale{
		Kind: sale.Reservation, Seller: seller[0], Title: "lamp", Stock: stock, Limit: 1, Price: sale.Price{Policy: sale.Fixed},
		OpensAt: now - 1, ClosesAt: now.Add(time.Hour), Hold: 3 * time.Second, LineMost: waits,
	}, 2)
	h.must(err)
	h.until("a partition has an owner", func() bool {
		_, err := h.store.Admit(h.ctx, s.Partition, sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Open, Sale: s.ID}, partition.Anytime, partition.Limits{Backlog: 1000})
		return err == nil
	})
	h.reserve(s, buyers)
	stand := func() *sale.Stand {
		stand, err := h.ledger.Sale(h.ctx, s.ID)
		h.must(err)
		return stand
	}
	h.until("all are held or wait", func() bool { now := stand(); return now.Held == stock && now.Waiting == waits })
	h.run(h.scheduler("a").Run)
	h.run(h.scheduler("b").Run)
	h.until("all holds have ended", func() bool { now := stand(); return now.Free == stock && now.Waiting == 0 })
}

// TestALostTickIsQueuedAgain: the tick that a partition loses when it is rebuilt
// does not keep the next one from being queued.
func TestALostTickIsQueuedAgain(t *testing.T) {
	h := open(t)
	seller, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	now := sale.At(time.Now())
	s, err := h.ledger.CreateSale(h.ctx, sale.Sale{
		Kind: sale.Reservation, Seller: seller[0], Title: "lamp", Stock: 1, Limit: 1, Price: sale.Price{Policy: sale.Fixed},
		OpensAt: now - 1000, ClosesAt: now.Add(time.Hour), Hold: time.Second,
	}, 2)
	h.must(err)
	mark, err := h.ledger.Lead(h.ctx, s.Partition, "test")
	h.must(err)
	_, err = h.store.Lead(h.ctx, s.Partition, mark.Epoch, mark.Generation)
	h.must(err)
	h.must(h.store.Rebuild(h.ctx, s.Partition, mark.Epoch, mark.Generation, mark.Applied, mark.Seq))
	scheduler := h.scheduler("a")
	queued := func() float64 { return testutil.ToFloat64(scheduler.ticks.WithLabelValues("open")) }
	h.must(scheduler.step(h.ctx))
	h.must(scheduler.step(h.ctx))
	if queued() != 1 {
		t.Fatalf("opening is queued %v times", queued())
	}
	// The generation that it was queued under is over, before anybody settled it.
	_, err = h.ledger.RaiseGeneration(h.ctx, s.Partition, mark.Epoch)
	h.must(err)
	h.run(settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
	h.until("the first one is settled, as lost", func() bool {
		mark, err := h.ledger.Watermark(h.ctx, s.Partition)
		h.must(err)
		return mark.Seq >= 1
	})
	if phase, _ := h.phase(s.ID); phase != sale.Scheduled {
		t.Fatalf("it is %s without a tick", phase)
	}
	h.must(scheduler.step(h.ctx))
	h.until("it opens", func() bool { phase, _ := h.phase(s.ID); return phase == sale.PhaseOpen })
	if queued() != 2 {
		t.Errorf("opening was queued %v times", queued())
	}
}
