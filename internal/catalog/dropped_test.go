package catalog

import (
	"errors"
	"testing"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// TestWhatIsNotKeptIsSaid: of a sale whose receipts are dropped, its seller is told that
// they are, and not that nobody bought; of one that nobody bought from, that.
func TestWhatIsNotKeptIsSaid(t *testing.T) {
	h := open(t)
	s := h.create(h.lamp())
	look := func(want error) {
		t.Helper()
		if _, _, err := h.Receipts(h.ctx, s.Seller, s.ID, ReceiptFilter{Limit: 10}); !errors.Is(err, want) {
			t.Errorf("receipts: %v", err)
		}
		if _, err := h.Summary(h.ctx, s.Seller, s.ID); !errors.Is(err, want) {
			t.Errorf("summary: %v", err)
		}
	}
	look(nil)
	// A month later nobody has asked for anything, and sales are made in another era.
	now := sale.At(time.Now()).Add(40 * 24 * time.Hour)
	did, err := h.ledger.AdvanceEras(h.ctx, now)
	h.must(err)
	h.create(h.lamp())
	leaving, err := h.ledger.SayLeaving(h.ctx, now, 31*24*time.Hour)
	h.must(err)
	if did.Begun == 0 || len(leaving) != 1 {
		t.Fatalf("%+v, leaving %v", did, leaving)
	}
	look(nil)
	gone, err := h.ledger.DropEra(h.ctx, now.Add(ledger.LeaveNotice))
	h.must(err)
	if gone == nil {
		t.Fatal("it stays")
	}
	look(sale.ErrDropped)
	if stand, _, err := h.Sale(h.ctx, s.ID); err != nil || stand.Stock != s.Stock {
		t.Errorf("the sale itself: %+v, %v", stand, err)
	}
}
