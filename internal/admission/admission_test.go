package admission

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const patience = time.Minute

// house is admission over real servers, with a consumer at work.
type house struct {
	*Admission
	t      *testing.T
	ctx    context.Context
	redis  redis.UniversalClient
	seller int64
	buyers []int64
}

func open(t *testing.T) *house {
	h := &house{t: t, ctx: t.Context()}
	l, err := ledger.Open(h.ctx, ledger.Options{URL: embeddedtest.Postgres(t)})
	h.must(err)
	t.Cleanup(l.Close)
	h.must(l.EnsurePartitions(h.ctx, 2))
	url := embeddedtest.Redis(t)
	store, err := partition.Open(h.ctx, partition.Options{URL: url, Partitions: 2})
	h.must(err)
	t.Cleanup(func() { store.Close() })
	h.redis = embeddedtest.Client(t, url)
	h.Admission = New(store, l, partition.Limits{Backlog: 1000}, prometheus.NewRegistry())
	sellers, err := l.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	h.seller = sellers[0]
	h.buyers, err = l.CreateAccounts(h.ctx, "buyer", 3, 10_000)
	h.must(err)
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
	for deadline := time.Now().Add(patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

// sale records a sale that closes after so long, and waits until it can be bid on.
func (h *house) sale(length time.Duration) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s, err := h.ledger.CreateSale(h.ctx, sale.Sale{
		Kind: sale.Auction, Seller: h.seller, Title: "lamp", Stock: 10, Limit: 10,
		Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
		OpensAt: now - 1, ClosesAt: now.Add(length), RefundWindow: time.Hour,
	}, 2)
	h.must(err)
	return s
}

// bid bids until its partition is open, which takes the consumer a moment.
func (h *house) bid(by Asker, s sale.Sale, quantity int64) (standing sale.Standing) {
	h.t.Helper()
	h.until("admitted", func() (ok bool) {
		var err error
		standing, err = h.Bid(h.ctx, by, s.ID, quantity, 100, false, uuid.Nil)
		var refusal *sale.Refusal
		if errors.As(err, &refusal) && refusal.Code == sale.RefusedLoading {
			return false
		}
		h.must(err)
		return true
	})
	return standing
}

func (h *house) settled(id sale.Standing) sale.Receipt {
	h.t.Helper()
	p, _ := sale.PartitionOf(id.ID)
	var r sale.Receipt
	h.until("settled", func() bool {
		var err error
		r, err = h.find(h.ctx, p, id.ID)
		h.must(err)
		return r.Status != sale.Queued
	})
	return r
}

func wantRefusal(t *testing.T, err error, code sale.Code) {
	t.Helper()
	var refusal *sale.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("answer %v, not %s", err, code)
	}
}

func TestSaleIsLoadedWhenAskedFor(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	if got := h.settled(h.bid(Asker{Account: h.buyers[0]}, s, 2)); got.Status != sale.Confirmed || got.UnitPrice != 100 {
		t.Errorf("receipt %+v", got)
	}
	if _, err := h.Bid(h.ctx, Asker{Account: h.buyers[0]}, 404, 1, 100, false, uuid.Nil); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("unknown sale: %v", err)
	}
	if n := testutil.ToFloat64(h.answered.WithLabelValues("bid", "unknown_sale")); n != 1 {
		t.Errorf("counted %v times", n)
	}
	alone := prometheus.NewRegistry()
	alone.MustRegister(h.seconds)
	families, err := alone.Gather()
	h.must(err)
	// Refused, loaded and admitted; of the sale that is not there Redis was not asked.
	want := 2 + testutil.ToFloat64(h.answered.WithLabelValues("bid", "loading"))
	if n := families[0].Metric[0].GetHistogram().GetSampleCount(); n != uint64(want) {
		t.Errorf("Redis' answer was timed %d times, not %v", n, want)
	}
}

func TestOneKeyOneReceipt(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	by := Asker{Account: h.buyers[0], Key: "k1", Trace: "t1"}
	first := h.bid(by, s, 1)
	var crowd sync.WaitGroup
	for i := range 20 {
		crowd.Go(func() {
			again, err := h.Bid(h.ctx, Asker{Account: by.Account, Key: "k1", Trace: string(rune('a' + i))}, s.ID, 1, 100, false, uuid.Nil)
			if err != nil || again.ID != first.ID || !again.Known {
				t.Errorf("again %+v, %v", again, err)
			}
		})
	}
	crowd.Wait()
	_, err := h.Bid(h.ctx, by, s.ID, 2, 100, false, uuid.Nil)
	wantRefusal(t, err, sale.RefusedMismatch)
	other := h.bid(Asker{Account: h.buyers[1], Key: "k1"}, s, 1)
	if other.ID == first.ID {
		t.Error("two buyers share a key")
	}
	if h.settled(first).Status != sale.Confirmed || h.settled(other).Status != sale.Confirmed {
		t.Error("not confirmed")
	}
}

// TestKeyAfterTheCloseAndAfterRedisForgot: Postgres answers a repeated request;
// a new one is refused.
func TestKeyAfterTheCloseAndAfterRedisForgot(t *testing.T) {
	h := open(t)
	s := h.sale(1500 * time.Millisecond)
	by := Asker{Account: h.buyers[0], Key: "k1"}
	first := h.bid(by, s, 1)
	h.settled(first)
	h.until("it closes", func() bool {
		_, err := h.Bid(h.ctx, Asker{Account: h.buyers[1]}, s.ID, 1, 100, false, uuid.Nil)
		var refusal *sale.Refusal
		return errors.As(err, &refusal) && refusal.Code == sale.RefusedClosed
	})
	keys, err := h.redis.Keys(h.ctx, "*:r:*").Result()
	h.must(err)
	h.must(h.redis.Del(h.ctx, keys...).Err())
	again, err := h.Bid(h.ctx, by, s.ID, 1, 100, false, uuid.Nil)
	if err != nil || again.ID != first.ID || again.Status != sale.Confirmed || !again.Known {
		t.Errorf("again %+v, %v", again, err)
	}
	_, err = h.Bid(h.ctx, by, s.ID, 2, 100, false, uuid.Nil)
	wantRefusal(t, err, sale.RefusedMismatch)
	_, err = h.Bid(h.ctx, Asker{Account: by.Account, Key: "k2"}, s.ID, 1, 100, false, uuid.Nil)
	wantRefusal(t, err, sale.RefusedClosed)

	refund, err := h.Refund(h.ctx, by, first.ID) // its target is found in Postgres
	h.must(err)
	if got := h.settled(refund); got.Status != sale.Confirmed {
		t.Errorf("refund %+v", got)
	}
	if got := h.settled(again); got.Status != sale.Refunded {
		t.Errorf("bid %+v", got)
	}
}

// TestReceiptSettledButForgottenByAnOpenSale: the request is queued again under
// its receipt, and what stands is said again, once.
func TestReceiptSettledButForgottenByAnOpenSale(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	by := Asker{Account: h.buyers[0], Key: "k1"}
	first := h.bid(by, s, 3)
	h.settled(first)
	keys, err := h.redis.Keys(h.ctx, "*:r:*").Result()
	h.must(err)
	h.must(h.redis.Del(h.ctx, keys...).Err())
	if got := h.settled(h.bid(by, s, 3)); got.ID != first.ID || got.Status != sale.Confirmed {
		t.Errorf("again %+v", got)
	}
	stand, err := h.ledger.Sale(h.ctx, s.ID)
	h.must(err)
	if stand.Sold != 3 {
		t.Errorf("sold %d", stand.Sold)
	}
}

func TestRefundOfNobodys(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	bid := h.bid(Asker{Account: h.buyers[0]}, s, 1)
	if _, err := h.Refund(h.ctx, Asker{Account: h.buyers[1]}, bid.ID); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another's: %v", err)
	}
	for _, id := range []sale.Receipt{{ID: sale.NewReceiptID(0)}, {ID: sale.NewReceiptID(77)}, {}} {
		var err error
		h.until("its partition is open", func() bool {
			_, err = h.Refund(h.ctx, Asker{Account: h.buyers[0]}, id.ID)
			var refusal *sale.Refusal
			return !errors.As(err, &refusal) || refusal.Code != sale.RefusedLoading
		})
		if !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("%s: %v", id.ID, err)
		}
	}
}

func TestChange(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	if got := h.settled(h.bid(Asker{Account: h.buyers[0]}, s, 10)); got.Status != sale.Confirmed {
		t.Fatalf("bid %+v", got)
	}
	h.until("sold out at the door", func() bool {
		_, err := h.Bid(h.ctx, Asker{Account: h.buyers[1]}, s.ID, 1, 100, false, uuid.Nil)
		var refusal *sale.Refusal
		return errors.As(err, &refusal) && refusal.Code == sale.RefusedSoldOut
	})
	grown, err := h.Change(h.ctx, Asker{Account: h.seller}, s.ID, 5, 0)
	h.must(err)
	if got := h.settled(grown); got.Status != sale.Confirmed {
		t.Errorf("change %+v", got)
	}
	stolen, err := h.Change(h.ctx, Asker{Account: h.buyers[0]}, s.ID, 5, 0)
	h.must(err)
	if got := h.settled(stolen); got.Reason != sale.NotYours {
		t.Errorf("another's change %+v", got)
	}
	if got := h.settled(h.bid(Asker{Account: h.buyers[1]}, s, 5)); got.Status != sale.Confirmed {
		t.Errorf("bid on what it grew by: %+v", got)
	}
}
