package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// settle is an owner whose view is what the test says it is: it settles requests
// in one batch and leaves Redis to the test.
func (h *house) settle(p int, view sale.State, requests ...sale.Request) sale.Batch {
	h.t.Helper()
	return h.settleLater(p, 1, view, requests...)
}

// settleLater is settle so many milliseconds after the last batch.
func (h *house) settleLater(p int, after sale.Instant, view sale.State, requests ...sale.Request) sale.Batch {
	h.t.Helper()
	mark, err := h.ledger.Watermark(h.t.Context(), p)
	h.must(err)
	b := sale.Batch{Partition: p, Epoch: mark.Epoch, Prev: mark.Applied, Seq: mark.Seq, State: view}
	b.Facts.Generation = mark.Generation
	for i, r := range requests {
		r.Receipt = sale.NewReceiptID(p)
		b.Seq++
		b.Last = sale.EntryID{At: mark.Applied.At + after, No: int64(i)}
		b.Entries = append(b.Entries, sale.Entry{ID: b.Last, Seq: b.Seq, Generation: mark.Generation, Request: r})
	}
	h.must(h.ledger.Settle(h.t.Context(), &b))
	return b
}

// stand answers how a sale stands, for a view.
func (h *house) stand(id int64) *sale.Stand {
	h.t.Helper()
	s, _, err := h.ledger.Stand(h.t.Context(), id)
	h.must(err)
	return s
}

func (h *house) wants(verdict audit.Verdict, rules string) audit.Report {
	h.t.Helper()
	report := h.audit()
	var words []string
	for _, rule := range report.Rules() {
		words = append(words, string(rule))
	}
	if got := strings.Join(words, " "); got != rules || report.Verdict != verdict {
		h.t.Errorf("%s %q, want %s %q", report.Verdict, got, verdict, rules)
		for _, f := range report.Broken {
			h.t.Logf("%+v", f)
		}
	}
	return report
}

// TestTwins has owners who do everything right but one thing. What they log was
// decided by sale.Decide itself.
func TestTwins(t *testing.T) {
	h, now := begin(t)
	h.history(now)
	b := h.backup()

	t.Run("stale view", func(t *testing.T) { // rejects while units are free
		h := b.restore(t)
		view := h.stand(open7)
		view.Free, view.Sold = 0, view.Stock
		done := h.settle(1, sale.State{open7: view}, sale.Request{Verb: sale.Bid, Sale: open7, Buyer: first + 1, Quantity: 1, Price: 1000})
		h.must(h.store.Apply(t.Context(), done.Epoch, done, 0))
		if report := h.wants(audit.Broken, "continuity inversions projection"); report.Inversions != 1 {
			t.Errorf("%d inversions", report.Inversions)
		}
	})
	t.Run("optimistic view", func(t *testing.T) { // sells what is not there
		h := b.restore(t)
		sql()(h)
		view := h.stand(gone)
		view.Free, view.Sold = 1, view.Stock-1
		done := h.settle(0, sale.State{gone: view}, sale.Request{Verb: sale.Bid, Sale: gone, Buyer: first + 3, Quantity: 1, Price: 1000})
		redo("HINCRBY {s0}:sale:4 free -1", "HINCRBY {s0}:sale:4 sold 1", "HSET {s0}:sale:4 exhausted 0", "HSET {s0}:sale:4:buyers 6 1",
			"HSET {s0} applied "+done.Last.String()+" applied_seq "+fmt.Sprint(done.Seq))(h)
		if report := h.wants(audit.Broken, "continuity stock turns"); report.Oversold != 1 {
			t.Errorf("%d oversold", report.Oversold)
		}
	})
	t.Run("last first", func(t *testing.T) { // turns of one batch in another order
		h := b.restore(t)
		view := h.stand(open7)
		rest := sale.Request{Verb: sale.Bid, Sale: open7, Buyer: first + 1, Quantity: 2, Price: 1000}
		requests := []sale.Request{}
		for buyer := int64(first + 1); buyer < first+6; buyer++ { // 8 units are left for 5 × 2
			rest.Buyer = buyer
			requests = append(requests, rest)
		}
		done := h.settle(1, sale.State{open7: view}, requests...)
		h.must(h.store.Apply(t.Context(), done.Epoch, done, 0))
		h.wants(audit.OK, "")
		tamper(func(b *sale.Batch) bool {
			if b.Last != done.Last {
				return false
			}
			slices.Reverse(b.Outcomes)
			return true
		})(h)
		h.wants(audit.Broken, "inversions record replay")
	})
	t.Run("admitted but not settled", func(t *testing.T) {
		h := b.restore(t)
		h.ask(1, sale.Request{Verb: sale.Bid, Sale: open7, Buyer: first + 1, Quantity: 1, Price: 1000}, partition.Selling)
		if report := h.wants(audit.OK, ""); report.Unfinished != 1 {
			t.Errorf("%d unfinished", report.Unfinished)
		}
	})
	t.Run("committed but not applied", func(t *testing.T) { // what a dead owner leaves
		h := b.restore(t)
		h.settle(1, sale.State{open7: h.stand(open7)}, sale.Request{Verb: sale.Bid, Sale: open7, Buyer: first + 1, Quantity: 1, Price: 1000})
		h.wants(audit.Busy, "")
		stop := h.consume()
		h.until(func() bool { return h.audit().Verdict == audit.OK })
		stop()
	})
	t.Run("never holds still", func(t *testing.T) {
		h := b.restore(t, &restless{on: b.redis(t), key: "{s1}"})
		redo("HINCRBY {s1}:sale:3 sold 1", "HINCRBY {s1}:sale:3 free -1")(h) // which nobody can tell then
		if report := h.wants(audit.Busy, ""); !slices.Equal(report.Busy, []int{1}) {
			t.Errorf("busy: %v", report.Busy)
		}
	})
	t.Run("holds still in the end", func(t *testing.T) {
		restless := &restless{on: b.redis(t), key: "{s1}", least: readsMost - 1}
		h := b.restore(t, restless)
		h.wants(audit.OK, "")
	})
	t.Run("Redis has burned", func(t *testing.T) {
		h := b.restore(t)
		h.must(h.redis.FlushAll(t.Context()).Err())
		h.wants(audit.Busy, "")
		h.consume()()
		h.wants(audit.OK, "")
	})
}

const readsMost = 20

func (b *backup) redis(t *testing.T) redis.UniversalClient {
	t.Helper()
	return embeddedtest.Client(t, b.redisURL)
}

// restless moves a partition's watermark whenever somebody looks at it; after
// least looks, if that is not 0, it puts it back where it was.
type restless struct {
	on    redis.UniversalClient
	key   string
	least int64
	looks atomic.Int64
	was   string
}

func (r *restless) DialHook(next redis.DialHook) redis.DialHook { return next }
func (r *restless) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return n
}
func (r *restless) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		if cmd.Name() != "evalsha" || len(args) < 4 || args[3] != r.key {
			return next(ctx, cmd)
		}
		look := r.looks.Add(1)
		if look == 1 {
			r.was = r.on.HGet(ctx, r.key, "applied").Val()
		}
		to := fmt.Sprintf("%d-0", look)
		if r.least != 0 && look > r.least {
			to = r.was
		}
		if err := r.on.HSet(ctx, r.key, "applied", to).Err(); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func TestNothingYet(t *testing.T) {
	h, _ := begin(t)
	h.wants(audit.OK, "")
	h.consume()() // opens the partitions
	h.wants(audit.OK, "")
}

// TestBesideTraffic audits while everything moves: what is found then is never
// that something is broken.
func TestBesideTraffic(t *testing.T) {
	h, _ := begin(t)
	stop := h.consume()
	for _, id := range []int64{paid, atOnce, closed, gone, open7} {
		h.ask(int(id%partitions), sale.Request{Verb: sale.Open, Sale: id}, partition.Anytime)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var admitted atomic.Int64
	var crowd sync.WaitGroup
	for i := range int64(4) {
		crowd.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				of := []int64{paid, atOnce, closed, gone, open7}[n%5]
				p := int(of % partitions)
				_, err := h.store.Admit(ctx, p, sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Bid, Sale: of, Buyer: first + n%10, Quantity: 1, Price: 1000},
					partition.Anytime, free)
				if err == nil {
					admitted.Add(1)
				}
			}
		})
	}
	audits := 0
	for ; ctx.Err() == nil; audits++ {
		if report := h.audit(); report.Verdict == audit.Broken {
			t.Fatalf("%+v", report)
		}
	}
	crowd.Wait()
	for p := range partitions {
		h.until(func() bool {
			seen, err := h.store.Projection(t.Context(), p, nil)
			return err == nil && seen.Seq == seen.Settled
		})
	}
	stop()
	report := h.wants(audit.OK, "")
	if report.Requests < admitted.Load() || report.Unfinished != 0 {
		t.Errorf("%d admitted, %+v", admitted.Load(), report)
	}
	t.Logf("%d audits beside %d requests; the last one took %d ms", audits, admitted.Load(), report.TookMS)
}
