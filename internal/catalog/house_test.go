package catalog

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const patience = time.Minute

// house is two API processes over real servers, with a consumer at work.
type house struct {
	*Catalog
	t             *testing.T
	ctx           context.Context
	ledger        *ledger.Ledger
	admission     *admission.Admission
	there         *Catalog // the other process
	thereAdmit    *admission.Admission
	failing       *failing // of the first process
	seller, other int64
}

func open(t *testing.T) *house {
	h := &house{t: t, ctx: t.Context(), failing: &failing{}}
	redisURL, pgURL := embeddedtest.Redis(t), embeddedtest.Postgres(t)
	process := func(hooks ...redis.Hook) (*partition.Store, *ledger.Ledger) {
		l, err := ledger.Open(h.ctx, ledger.Options{URL: pgURL})
		h.must(err)
		t.Cleanup(l.Close)
		h.must(l.EnsurePartitions(h.ctx, 2))
		store, err := partition.Open(h.ctx, partition.Options{URL: redisURL, Partitions: 2, Hooks: hooks})
		h.must(err)
		t.Cleanup(func() { store.Close() })
		return store, l
	}
	free := partition.Limits{Backlog: 1000}
	store, l := process(h.failing)
	h.Catalog, h.admission, h.ledger = New(store, l), admission.New(store, l, free, prometheus.NewRegistry()), l
	store, l = process()
	h.there, h.thereAdmit = New(store, l), admission.New(store, l, free, prometheus.NewRegistry())
	sellers, err := l.CreateAccounts(h.ctx, "seller", 2, 0)
	h.must(err)
	h.seller, h.other = sellers[0], sellers[1]

	store, l = process()
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- settlement.New("consumer", store, l, zerolog.Nop(), prometheus.NewRegistry()).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for p := range 2 {
		h.until("partitions open", func() bool {
			_, err := store.Projection(h.ctx, p, nil)
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

// lamp is a sale that its seller may still change, an hour from now.
func (h *house) lamp() sale.Sale {
	opens := sale.At(time.Now()).Add(time.Hour)
	return sale.Sale{
		Kind: sale.Auction, Seller: h.seller, Title: "Lamp", Description: "of brass",
		Price: sale.Price{Policy: sale.Constant, Start: 1000, Drop: 10, Period: time.Minute},
		Stock: 10, Limit: 3, OpensAt: opens, ClosesAt: opens.Add(10 * time.Minute), RefundWindow: time.Hour, ShowStock: true,
	}
}

func (h *house) create(s sale.Sale) *sale.Stand {
	h.t.Helper()
	stand, replayed, err := h.Create(h.ctx, s, "")
	h.must(err)
	if replayed {
		h.t.Error("replayed without a key")
	}
	return stand
}

// opened records a sale that opened so long ago, as Create may not.
func (h *house) opened(ago time.Duration) sale.Sale {
	h.t.Helper()
	s := h.lamp()
	s.OpensAt = sale.At(time.Now().Add(-ago))
	s.ClosesAt = s.OpensAt.Add(10 * time.Minute)
	s, err := h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	return s
}

// shown is how the other process shows a sale.
func (h *house) shown(id int64) *sale.Stand {
	h.t.Helper()
	s, _, err := h.there.Sale(h.ctx, id)
	h.must(err)
	return s
}

func (h *house) bid(s sale.Sale, buyer, quantity int64) sale.Receipt {
	h.t.Helper()
	standing, err := h.admission.Bid(h.ctx, admission.Asker{Account: buyer}, s.ID, quantity, s.Price.Start, false, uuid.Nil)
	h.must(err)
	return standing.Receipt
}

func code(err error) sale.Code {
	var refusal *sale.Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// failing breaks the forgetting of sales, from the nth on until it is mended.
type failing struct{ left, broken atomic.Int64 }

var errBroken = errors.New("broken")

// ProcessHook knows forget.lua by its form: five keys and one argument.
func (f *failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && len(args) == 9 && args[2] == 5 && f.broken.Load() > 0 && f.left.Add(-1) < 0 {
			cmd.SetErr(errBroken)
			return errBroken
		}
		return next(ctx, cmd)
	}
}

// breakAfter lets n more through.
func (f *failing) breakAfter(n int64) {
	f.left.Store(n)
	f.broken.Store(1)
}

func (f *failing) mend() { f.broken.Store(0) }

// DialHook changes nothing.
func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing: forgetting is no pipeline.
func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
