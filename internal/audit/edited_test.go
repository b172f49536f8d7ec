package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"sluice/internal/audit"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// edit changes a sale as catalog does.
func (h *house) edit(id int64, change func(*sale.Stand)) {
	h.t.Helper()
	p := int(id % partitions)
	h.must(h.store.Forget(h.t.Context(), p, id))
	_, err := h.ledger.EditSale(h.t.Context(), id, func(s *sale.Stand, _ sale.Instant) error {
		change(s)
		return nil
	})
	h.must(err)
	h.must(h.store.Forget(h.t.Context(), p, id))
}

// load puts a sale into Redis, as the next request for it would.
func (h *house) load(id int64) {
	h.t.Helper()
	h.must(h.store.LoadFrom(h.t.Context(), int(id%partitions), id, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		return h.ledger.Stand(ctx, id)
	}))
}

// TestWhatSellersMayDo: points bought, sales that were changed between requests
// about them, and sales that are gone, are all right.
func TestWhatSellersMayDo(t *testing.T) {
	h, now := begin(t)
	h.consume()()
	h.jump(now + 10_000)
	stop := h.consume()
	defer stop()
	grow := func(id int64) {
		h.t.Helper()
		h.becomes(h.ask(int(id%partitions), sale.Request{Verb: sale.Change, Sale: id, Buyer: seller, Quantity: 5}, partition.Anytime), "confirmed")
	}
	fine := func(when string) {
		t.Helper()
		if report := h.audit(); report.Verdict != audit.OK {
			t.Errorf("%s: %+v", when, report)
		}
	}
	for range 2 {
		_, err := h.ledger.TopUp(t.Context(), first, 77, "k")
		h.must(err)
	}
	// A sale that is not open grows, gets another stock and other terms, and grows again.
	grow(early)
	h.edit(early, func(s *sale.Stand) {
		s.Stock, s.Free, s.Limit, s.Price.Start, s.ClosesAt = 40, 40, 18, 2000, s.ClosesAt+60_000
	})
	fine("after an edit")
	h.load(early)
	fine("after it was loaded")
	grow(early)
	h.edit(early, func(s *sale.Stand) { s.Stock, s.Free = 18, 18 })
	// Then it opens, and sells what it has by now.
	h.jump(now + 3_010_000)
	h.becomes(h.ask(early%partitions, sale.Request{Verb: sale.Bid, Sale: early, Buyer: first, Quantity: 18, Price: 2000}, partition.Anytime), "confirmed")
	h.becomes(h.ask(early%partitions, sale.Request{Verb: sale.Bid, Sale: early, Buyer: first + 1, Quantity: 1, Price: 2000}, partition.Anytime), "rejected sold_out")
	h.edit(early, func(s *sale.Stand) { s.Title, s.Description = "candle", "of wax" })
	fine("after another text")
	h.load(early)
	fine("after it was loaded")
}

// TestDeletedSale: a sale is gone with its escrow; the growth of its stock stays
// in the log and among the receipts.
func TestDeletedSale(t *testing.T) {
	h, now := begin(t)
	h.consume()()
	h.jump(now + 10_000)
	stop := h.consume()
	defer stop()
	growth := h.ask(coming%partitions, sale.Request{Verb: sale.Change, Sale: coming, Buyer: seller, Quantity: 5}, partition.Anytime)
	h.becomes(growth, "confirmed")
	h.must(h.ledger.DeleteSale(t.Context(), coming, func(*sale.Stand, sale.Instant) error { return nil }))
	h.must(h.store.Forget(t.Context(), coming%partitions, coming))
	h.becomes(h.ask(coming%partitions, sale.Request{Verb: sale.Bid, Sale: coming, Buyer: first, Quantity: 1, Price: 1000}, partition.Anytime), "rejected unknown_sale")
	if report := h.audit(); report.Verdict != audit.OK || report.Sales != 15 || report.Receipts != 1 {
		t.Errorf("%+v", report)
	}
}

// TestBesideEdits: an audit that looks at a sale while it is changed does not take
// that for a fault.
func TestBesideEdits(t *testing.T) {
	h, _ := begin(t)
	h.consume()()
	ctx, enough := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		for i := int64(0); ctx.Err() == nil; i++ {
			h.edit(coming, func(s *sale.Stand) { s.Stock, s.Free, s.Title = 10+i%100, 10+i%100, fmt.Sprint("lamp ", i) })
		}
	})
	busy.Go(func() {
		for ctx.Err() == nil {
			h.load(coming)
		}
	})
	for range 30 {
		if report := h.audit(); report.Verdict != audit.OK {
			t.Errorf("%+v", report)
			break
		}
	}
	enough()
	busy.Wait()
	h.load(coming) // the last edit may have made Redis forget it
	// What stays different is found.
	_, err := h.ledger.EditSale(t.Context(), coming, func(s *sale.Stand, _ sale.Instant) error {
		s.Limit++
		return nil
	})
	h.must(err)
	h.wants(audit.Broken, "projection")
}
