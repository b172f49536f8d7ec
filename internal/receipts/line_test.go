package receipts

import (
	"context"
	"errors"
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

// queue is receipts over real servers with a consumer at work.
type queue struct {
	*house
	admission *admission.Admission
	redis     redis.UniversalClient
	stop      func()
	again     func() // has a consumer work until stop is called
}

func openQueue(t *testing.T) *queue {
	h := &house{t: t}
	var err error
	h.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: embeddedtest.Postgres(t)})
	h.must(err)
	t.Cleanup(h.ledger.Close)
	h.must(h.ledger.EnsurePartitions(t.Context(), 1))
	url := embeddedtest.Redis(t)
	h.store, err = partition.Open(t.Context(), partition.Options{URL: url, Partitions: 1})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	h.Receipts = New(h.store, h.ledger, prometheus.NewRegistry())
	q := &queue{house: h, redis: embeddedtest.Client(t, url),
		admission: admission.New(h.store, h.ledger, partition.Limits{Backlog: 1000}, prometheus.NewRegistry())}
	q.again = func() {
		ended := make(chan error, 1)
		consumer := settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(context.Background())
		go func() { ended <- consumer.Run(ctx) }()
		stopped := false
		q.stop = func() {
			if !stopped {
				stopped = true
				cancel()
				h.must(<-ended)
			}
		}
		t.Cleanup(q.stop)
	}
	q.again()
	q.until("the partition is open, and the entry that says so applied", func() bool {
		pulses, _, err := h.store.Pulses(t.Context())
		h.must(err)
		return pulses[0].Settled > 0 && pulses[0].Queued() == 0
	})
	return q
}

func (q *queue) until(what string, met func() bool) {
	q.t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			q.t.Fatalf("in vain: %s", what)
		}
	}
}

func (q *queue) chairs(seller int64) sale.Sale {
	q.t.Helper()
	now := sale.At(time.Now())
	s, err := q.ledger.CreateSale(q.t.Context(), sale.Sale{
		Kind: sale.Reservation, Seller: seller, Title: "chair", Stock: 1, Limit: 1, Price: sale.Price{Policy: sale.Fixed, Start: 100},
		Hold: time.Hour, LineMost: 5, OpensAt: now - 1, ClosesAt: now.Add(2 * time.Hour), RefundWindow: time.Hour,
	}, 1)
	q.must(err)
	return s
}

func (q *queue) reserve(s sale.Sale, buyer int64) uuid.UUID {
	q.t.Helper()
	standing, err := q.admission.Reserve(q.t.Context(), admission.Asker{Account: buyer}, s.ID, 1, uuid.Nil)
	q.must(err)
	q.until("it is decided", func() bool { return q.get(buyer, standing.ID).Status != sale.Queued })
	return standing.ID
}

func (q *queue) get(buyer int64, id uuid.UUID) sale.Standing {
	q.t.Helper()
	standing, err := q.Get(q.t.Context(), buyer, id)
	q.must(err)
	return standing
}

// TestLine: the place in the line is exact, also after a cancel in its middle and
// when Redis has to be told first who waits.
func TestLine(t *testing.T) {
	q := openQueue(t)
	s := q.chairs(q.account("seller"))
	var buyers []int64
	var ids []uuid.UUID
	for range 5 {
		buyers = append(buyers, q.account("buyer"))
		ids = append(ids, q.reserve(s, buyers[len(buyers)-1]))
	}
	places := func(want ...int64) {
		t.Helper()
		for i, id := range ids {
			got := q.get(buyers[i], id)
			if got.Line != want[i] || (got.Status == sale.Waiting) != (want[i] > 0) {
				t.Errorf("%d: %s at %d, not %d", i, got.Status, got.Line, want[i])
			}
		}
	}
	places(0, 1, 2, 3, 4)
	cancel := func(i int) {
		t.Helper()
		asked, err := q.admission.Cancel(t.Context(), admission.Asker{Account: buyers[i]}, ids[i])
		q.must(err)
		q.until("it is cancelled", func() bool { return q.get(buyers[i], asked.ID).Status == sale.Confirmed })
	}
	cancel(2)
	places(0, 1, 0, 2, 3)
	q.must(q.store.Forget(t.Context(), 0, s.ID))
	places(0, 1, 0, 2, 3)
	cancel(0)
	places(0, 0, 0, 1, 2)
	if r := q.get(buyers[1], ids[1]); r.Status != sale.Held || r.PayBy <= r.At.Add(s.Hold) {
		t.Errorf("promoted %+v", r)
	}
	if _, err := q.Get(t.Context(), buyers[0], ids[3]); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another's: %v", err)
	}
	orders, more, err := q.Orders(t.Context(), buyers[1], OrderFilter{Limit: 1})
	if err != nil || more || len(orders) != 1 || orders[0].Receipt != ids[1] || orders[0].Status != "pending" || orders[0].Amount != 100 {
		t.Errorf("orders %+v, %t, %v", orders, more, err)
	}
	if orders, _, err := q.Orders(t.Context(), buyers[1], OrderFilter{Status: "paid", Limit: 1}); err != nil || len(orders) != 0 {
		t.Errorf("orders %+v, %v", orders, err)
	}

	// With Redis empty and nobody to fill it, it waits still, and nobody knows where.
	q.stop()
	q.must(q.redis.FlushAll(t.Context()).Err())
	if r := q.get(buyers[3], ids[3]); r.Status != sale.Waiting || r.Line != 0 {
		t.Errorf("%+v", r)
	}
}
