package settlement

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// running is a consumer at work, over a connection of its own.
type running struct {
	*Consumer
	stop func() // asks it to end and waits
	kill func() // cuts its connections, as a death would: nothing is handed over
}

// start runs a consumer until the test ends.
func (h *house) start(name string) *running {
	h.t.Helper()
	own := houseOver(h.t, h.redis, h.pg, nil)
	c := own.consumer(name)
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	var once sync.Once
	r := &running{Consumer: c}
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case <-ended:
			case <-time.After(patience):
				h.t.Error("the consumer does not stop")
			}
		})
	}
	r.kill = func() {
		own.store.Close()
		r.stop()
	}
	h.t.Cleanup(r.stop)
	return r
}

func TestConsumersShare(t *testing.T) {
	h := newHouse(t)
	a := h.start("a")
	h.until("the first has all", func() bool { return len(a.Owned()) == partitions })
	b := h.start("b")
	h.until("both have half", func() bool { return len(a.Owned()) == partitions/2 && len(b.Owned()) == partitions/2 })
	all := append(a.Owned(), b.Owned()...)
	slices.Sort(all)
	if !slices.Equal(all, []int{0, 1, 2, 3}) {
		t.Errorf("owned %v", all)
	}
	b.stop() // in order: handed over at once
	h.until("the first has all again", func() bool { return len(a.Owned()) == partitions })
	c := h.start("c")
	h.until("both have half", func() bool { return len(a.Owned()) == partitions/2 && len(c.Owned()) == partitions/2 })
	a.kill() // its leases run out
	h.until("the survivor has all", func() bool { return len(c.Owned()) == partitions })
}

// TestCrowdWhileConsumersComeAndGo: whatever the consumers do, every bid ends
// once and in the order of the stream.
func TestCrowdWhileConsumersComeAndGo(t *testing.T) {
	h := newHouse(t)
	first := h.start("a")
	h.until("partitions are open", func() bool { return len(first.Owned()) == partitions })
	var sales []sale.Sale
	for range partitions {
		s := h.sale(func(s *sale.Sale) { s.Stock = 300 })
		h.until("it opens", func() bool {
			return h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
				return h.ledger.Stand(ctx, s.ID)
			}) == nil
		})
		sales = append(sales, s)
	}
	buyers := h.buyers(50, 10_000)
	ids := make([][]uuid.UUID, len(sales))
	var crowd sync.WaitGroup
	for i, s := range sales {
		crowd.Go(func() {
			for j := range 500 {
				ids[i] = append(ids[i], h.bid(s, buyers[j%len(buyers)], 1))
			}
		})
	}
	second := h.start("b")
	h.until("the second has some", func() bool { return len(second.Owned()) > 0 })
	first.kill()
	third := h.start("c")
	h.until("the third has some", func() bool { return len(third.Owned()) > 0 })
	second.stop()
	crowd.Wait()
	for i, s := range sales {
		h.until("all of it is settled", func() bool { return h.receipt(ids[i][len(ids[i])-1]).Status != sale.Queued })
		got := h.count(ids[i])
		if got["confirmed"] != 300 || got["rejected sold_out"] != 200 {
			t.Errorf("sale %d: %v", s.ID, got)
		}
		h.until("Apply is done", func() bool {
			_, applied, err := h.ledger.Stand(h.ctx, s.ID)
			h.must(err)
			hot, err := h.store.Projection(h.ctx, s.Partition, nil)
			h.must(err)
			return hot.Applied == applied
		})
		h.agree(s)
	}
}

// TestStopIsPrompt: blocked reads do not hold up a shutdown, and nothing is left
// running.
func TestStopIsPrompt(t *testing.T) {
	h := newHouse(t)
	work := func() {
		t.Helper()
		c := h.consumer("a")
		ctx, cancel := context.WithCancel(h.ctx)
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		h.until("it has all", func() bool { return len(c.Owned()) == partitions })
		cancel()
		select {
		case err := <-ended:
			h.must(err)
		case <-time.After(10 * 5 * time.Second): // ten times the bound of 5 s
			t.Fatal("it does not stop")
		}
	}
	work()
	already := goleak.IgnoreCurrent() // connected, the store's clients watch sentinels, if there are any
	work()
	goleak.VerifyNone(t, already, goleak.IgnoreAnyFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
	for p := range partitions {
		if held, err := h.store.Hold(h.ctx, p, "next"); err != nil || !held {
			t.Errorf("lease of %d was not given back: %v", p, err)
		}
	}
	if share, _, err := h.store.Share(h.ctx, "next"); err != nil || share != partitions {
		t.Errorf("the next one's share is %d, %v", share, err)
	}
}

// TestOrderOfAdmissionIsOrderOfOutcome: one unit, many at once; the entry that
// the stream has first wins it.
func TestOrderOfAdmissionIsOrderOfOutcome(t *testing.T) {
	h := newHouse(t)
	s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	o := h.owner(s.Partition)
	h.open(s)
	buyers := h.buyers(100, 1000)
	seqs := make([]int64, len(buyers))
	ids := make([]uuid.UUID, len(buyers))
	var crowd sync.WaitGroup
	for i, buyer := range buyers {
		crowd.Go(func() {
			r := sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Bid, Sale: s.ID, Buyer: buyer, Quantity: 1, Price: 100}
			standing, err := h.store.Admit(h.ctx, s.Partition, r, partition.Selling, partition.Limits{Backlog: 1000})
			if err != nil {
				t.Error(err)
			}
			ids[i], seqs[i] = r.Receipt, standing.Seq
		})
	}
	crowd.Wait()
	h.drain(o)
	first := slices.Index(seqs, slices.Min(seqs))
	for i, id := range ids {
		if got := h.receipt(id).Status == sale.Confirmed; got != (i == first) {
			t.Errorf("number %d: confirmed is %v", seqs[i], got)
		}
	}
}

// TestTraceComesOut: the request ID that came in by HTTP stands in the line of
// its settlement.
func TestTraceComesOut(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	var lines bytes.Buffer
	o.decisions = zerolog.New(&lines)
	h.open(s)
	id := h.admit(s, sale.Request{Verb: sale.Bid, Buyer: h.buyers(1, 1000)[0], Quantity: 1, Price: 100, Trace: "from-the-edge"})
	h.drain(o)
	if got := lines.String(); !strings.Contains(got, `"request_id":"from-the-edge","receipt":"`+id.String()+`"`) || !strings.Contains(got, `"status":"confirmed"`) {
		t.Errorf("lines %s", got)
	}
}

// BenchmarkDecisionLine is what a line costs when it is sampled away.
func BenchmarkDecisionLine(b *testing.B) {
	o := newOwner(&Consumer{log: zerolog.New(io.Discard)}, 0)
	for b.Loop() {
		o.decisions.Info().Str("request_id", "x").Stringer("receipt", uuid.UUID{}).Int64("sale", 7).Msg("settled")
	}
}
