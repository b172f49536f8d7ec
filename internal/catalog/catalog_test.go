package catalog

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

func TestCreate(t *testing.T) {
	h := open(t)
	asked := h.lamp()
	one, two := h.create(asked), h.create(asked)
	if one.ID == two.ID || one.Free != 10 || one.Phase != sale.Scheduled {
		t.Errorf("%+v, %+v", one, two)
	}
	if shown := h.shown(one.ID); shown.Sale != one.Sale || shown.Description != "of brass" {
		t.Errorf("created %+v, shown %+v", one, shown)
	}
	var faults sale.Faults
	asked.Stock, asked.Description = 0, "\xff"
	if _, _, err := h.Create(h.ctx, asked, "k"); !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("a wrong sale: %v", err)
	}
}

// TestCreateOnce: one key makes one sale, however many ask at once or how late.
func TestCreateOnce(t *testing.T) {
	h := open(t)
	asked := h.lamp()
	asked.OpensAt = sale.At(time.Now()).Add(time.Second)
	asked.ClosesAt = asked.OpensAt.Add(time.Minute)
	var all sync.WaitGroup
	var mu sync.Mutex
	fresh, ids := 0, map[int64]bool{}
	for i := range 10 {
		all.Go(func() {
			stand, replayed, err := []*Catalog{h.Catalog, h.there}[i%2].Create(h.ctx, asked, "k")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[stand.ID] = true
			if !replayed {
				fresh++
			}
		})
	}
	all.Wait()
	if fresh != 1 || len(ids) != 1 {
		t.Fatalf("%d sales, %d of them new", len(ids), fresh)
	}
	changed := asked
	changed.Title = "Candle"
	if _, _, err := h.Create(h.ctx, changed, "k"); code(err) != sale.RefusedMismatch {
		t.Errorf("another sale under the key: %v", err)
	}
	theirs := asked
	theirs.Seller = h.other
	if stand, replayed, err := h.Create(h.ctx, theirs, "k"); err != nil || replayed || ids[stand.ID] {
		t.Errorf("another seller's key: %+v, %t, %v", stand, replayed, err)
	}
	// Once it has opened it could not be created any more. The key still finds it.
	h.until("it opens", func() bool { return asked.Check(sale.At(time.Now())) != nil })
	stand, replayed, err := h.Create(h.ctx, asked, "k")
	if err != nil || !replayed || !ids[stand.ID] {
		t.Errorf("after its opening: %+v, %t, %v", stand, replayed, err)
	}
	var faults sale.Faults
	if _, _, err := h.Create(h.ctx, asked, "new"); !errors.As(err, &faults) {
		t.Errorf("under a new key: %v", err)
	}
	changed = asked
	changed.Stock++
	if _, _, err := h.Create(h.ctx, changed, "k"); code(err) != sale.RefusedMismatch {
		t.Errorf("another late sale under the key: %v", err)
	}
}

func TestList(t *testing.T) {
	h := open(t)
	coming, openNow := h.create(h.lamp()), h.opened(time.Minute)
	stands, more, now, err := h.List(h.ctx, 0, Filter{Seller: h.seller, Order: ByClosing, Descending: true, Limit: 1})
	h.must(err)
	if len(stands) != 1 || !more || stands[0].Sale != coming.Sale || stands[0].ShownAt(now, stands[0].Free) != sale.ShownScheduled {
		t.Errorf("%+v, more %t", stands, more)
	}
	stands, more, now, err = h.List(h.ctx, 0, Filter{
		Seller: h.seller, Order: ByClosing, Descending: true, Limit: 1, After: Cursor{At: coming.ClosesAt, ID: coming.ID},
	})
	h.must(err)
	if len(stands) != 1 || more || stands[0].Sale != openNow || stands[0].ShownAt(now, stands[0].Free) != sale.ShownOpen {
		t.Errorf("%+v, more %t", stands, more)
	}
}

// TestReceiptsAndSummary lives through a sale with refunds.
func TestReceiptsAndSummary(t *testing.T) {
	h := open(t)
	buyers, err := h.ledger.CreateAccounts(h.ctx, "buyer", 4, 100_000)
	h.must(err)
	s := h.lamp()
	s.OpensAt = sale.At(time.Now()) - 1000
	s.ClosesAt = s.OpensAt.Add(3 * time.Second)
	s, err = h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	var bids []sale.Receipt
	for _, buyer := range buyers {
		bids = append(bids, h.bid(s, buyer, 3))
	}
	settled := func(r sale.Receipt) bool {
		_, err := h.ledger.Receipt(h.ctx, r.ID)
		return err == nil
	}
	h.until("three are settled", func() bool { return settled(bids[2]) }) // there is but one unit for the fourth
	h.until("it is closed", func() bool {
		s, now, err := h.Sale(h.ctx, s.ID)
		h.must(err)
		return now >= s.ClosesAt
	})
	refund, err := h.admission.Refund(h.ctx, admission.Asker{Account: buyers[1]}, bids[1].ID)
	h.must(err)
	h.until("it is refunded", func() bool { return settled(refund.Receipt) })

	sum, err := h.Summary(h.ctx, h.seller, s.ID)
	h.must(err)
	if sum.State != sale.ShownClosed || sum.Stock != 10 || sum.Free != 1 || sum.Sold != 9 || sum.Revenue != 6000 || sum.Refunded != 3000 ||
		sum.Receipts[sale.Confirmed] != 2 || sum.Receipts[sale.Refunded] != 1 || sum.Receipts[sale.Rejected] != 1 || len(sum.Receipts) != 3 ||
		sum.Rejections[sale.SoldOut] != 1 || len(sum.Rejections) != 1 || sum.PaidOut {
		t.Errorf("%+v", sum)
	}
	list := func(f ReceiptFilter) (buyers []int64) {
		t.Helper()
		for f.Limit = 2; ; {
			receipts, more, err := h.Receipts(h.ctx, h.seller, s.ID, f)
			h.must(err)
			for _, r := range receipts {
				buyers = append(buyers, r.Buyer)
				f.After = ReceiptCursor{At: r.At, ID: r.ID}
			}
			if !more {
				return buyers
			}
		}
	}
	at := func(i int) sale.Instant {
		r, err := h.ledger.Receipt(h.ctx, bids[i].ID)
		h.must(err)
		return r.At
	}
	for _, c := range []struct {
		f    ReceiptFilter
		want []int64
	}{
		{ReceiptFilter{}, buyers[:3]},
		{ReceiptFilter{Status: sale.Confirmed}, []int64{buyers[0], buyers[2]}},
		{ReceiptFilter{Status: sale.Refunded}, buyers[1:2]},
		{ReceiptFilter{Buyer: buyers[2]}, buyers[2:3]},
		{ReceiptFilter{Buyer: buyers[3]}, nil},
		{ReceiptFilter{From: at(0), To: at(2) + 1}, buyers[:3]},
		{ReceiptFilter{From: at(2) + 1}, nil},
		{ReceiptFilter{To: at(0)}, nil},
	} {
		got := list(c.f)
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, not %v", c.f, got, c.want)
		}
	}
	for name, ask := range map[string]func(seller, id int64) error{
		"receipts": func(seller, id int64) error {
			_, _, err := h.Receipts(h.ctx, seller, id, ReceiptFilter{Limit: 1})
			return err
		},
		"summary": func(seller, id int64) error {
			_, err := h.Summary(h.ctx, seller, id)
			return err
		},
	} {
		if err := ask(h.other, s.ID); !errors.Is(err, sale.ErrNotYours) {
			t.Errorf("another seller's %s: %v", name, err)
		}
		if err := ask(h.seller, 404); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("no sale's %s: %v", name, err)
		}
		if err := ask(Anybody, s.ID); err != nil {
			t.Errorf("an admin's %s: %v", name, err)
		}
	}
}

func TestTextBounds(t *testing.T) {
	h := open(t)
	s := h.lamp()
	s.Title, s.Description = strings.Repeat("ü", sale.MaxTitle), strings.Repeat("“", sale.MaxDescription)
	if shown := h.shown(h.create(s).ID); shown.Title != s.Title || shown.Description != s.Description {
		t.Errorf("shown %d and %d bytes", len(shown.Title), len(shown.Description))
	}
}
