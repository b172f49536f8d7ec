package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

// TestEdit changes every field there is, and one by one.
func TestEdit(t *testing.T) {
	h := open(t)
	s := h.create(h.lamp()).Sale
	h.shown(s.ID) // Redis has it
	edit := func(e Edit) *sale.Stand {
		t.Helper()
		stand, err := h.Edit(h.ctx, h.seller, s.ID, e)
		h.must(err)
		if shown := h.shown(s.ID); shown.Sale != stand.Sale || shown.Free != stand.Free || shown.Free != shown.Stock {
			t.Errorf("edited %+v, shown %+v", stand, shown)
		}
		return stand
	}
	want := s
	want.Title, want.Description = "Candle", ""
	want.Price = sale.Price{Policy: sale.Percentage, Start: 500, Rate: 100, Period: time.Second}
	want.Stock, want.Limit, want.OpensAt, want.ClosesAt = 30, 30, s.OpensAt+60_000, s.OpensAt+120_000
	want.RefundWindow, want.ShowStock = 0, false
	kind := sale.Auction
	got := edit(Edit{
		Title: &want.Title, Description: &want.Description, Kind: &kind,
		Policy: &want.Price.Policy, StartPrice: &want.Price.Start, Rate: &want.Price.Rate, Period: &want.Price.Period,
		Stock: &want.Stock, Limit: &want.Limit, OpensAt: &want.OpensAt, ClosesAt: &want.ClosesAt,
		RefundWindow: &want.RefundWindow, ShowStock: &want.ShowStock,
	})
	if got.Sale != want {
		t.Errorf("%+v, not %+v", got.Sale, want)
	}
	constant, drop, window := sale.Constant, int64(1), time.Minute
	for _, step := range []struct {
		e    Edit
		want func(*sale.Sale)
	}{
		{Edit{}, func(*sale.Sale) {}},
		{Edit{Policy: &constant, Drop: &drop}, func(s *sale.Sale) { s.Price.Policy, s.Price.Drop, s.Price.Rate = constant, 1, 0 }},
		{Edit{RefundWindow: &window}, func(s *sale.Sale) { s.RefundWindow = window }},
	} {
		if step.want(&want); edit(step.e).Sale != want {
			t.Errorf("not %+v", want)
		}
	}
	if points, err := h.ledger.Points(h.ctx, s.Escrow); err != nil || points != 0 {
		t.Errorf("escrow %d, %v", points, err)
	}
}

func TestEditRefuses(t *testing.T) {
	h := open(t)
	s := h.create(h.lamp())
	past, stock, period, free := sale.At(time.Now())-1, int64(2), 7*time.Second, int64(sale.MaxPoints)
	for name, c := range map[string]struct {
		e    Edit
		want string
	}{
		"an opening in the past": {Edit{OpensAt: &past}, "closes_at opens_at"},
		"too little stock":       {Edit{Stock: &stock}, "stock"},
		"a period of 7 s":        {Edit{Period: &period}, "period"},
		"too many points":        {Edit{StartPrice: &free}, "stock"},
		"a title of nothing":     {Edit{Title: new(string)}, "title"},
		"several":                {Edit{Title: new(string), Limit: new(int64)}, "limit title"},
	} {
		_, err := h.Edit(h.ctx, h.seller, s.ID, c.e)
		var faults sale.Faults
		errors.As(err, &faults)
		if got := fields(faults); got != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	title := "Mine"
	if _, err := h.Edit(h.ctx, h.other, s.ID, Edit{Title: &title}); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another seller: %v", err)
	}
	if _, err := h.Edit(h.ctx, h.seller, 404, Edit{Title: &title}); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
	if err := h.Delete(h.ctx, h.other, s.ID); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another seller: %v", err)
	}
	if err := h.Delete(h.ctx, h.seller, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
	if shown := h.shown(s.ID); shown.Sale != s.Sale {
		t.Errorf("shown %+v", shown)
	}
}

func fields(faults sale.Faults) string {
	var names []string
	for _, f := range faults {
		names = append(names, f.Field)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestTooLate: from the margin on only text changes, and what is given as it is.
func TestTooLate(t *testing.T) {
	h := open(t)
	soon := h.lamp()
	soon.OpensAt = sale.At(time.Now()).Add(Margin - 500*time.Millisecond)
	soon.ClosesAt = soon.OpensAt.Add(time.Minute)
	for name, s := range map[string]sale.Sale{"open": h.opened(time.Minute), "about to open": h.create(soon).Sale, "closed": h.opened(time.Hour)} {
		h.shown(s.ID)
		stock, limit, start, title, text, blank := s.Stock+1, s.Limit+1, s.Price.Start, "Candle", "of wax", " "
		_, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &title, Stock: &stock, Limit: &limit, StartPrice: &start})
		var opened *Opened
		if !errors.Is(err, ErrOpened) || !errors.As(err, &opened) || fields(opened.Fields) != "limit stock" {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Delete(h.ctx, h.seller, s.ID); !errors.Is(err, ErrOpened) {
			t.Errorf("%s: deleted: %v", name, err)
		}
		var faults sale.Faults
		if _, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &blank}); !errors.As(err, &faults) || fields(faults) != "title" {
			t.Errorf("%s: a blank title: %v", name, err)
		}
		want := s
		want.Title, want.Description = title, text
		if stand, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &title, Description: &text, StartPrice: &start}); err != nil || stand.Sale != want {
			t.Errorf("%s: text %+v, %v", name, stand, err)
		}
		if shown := h.shown(s.ID); shown.Sale != want {
			t.Errorf("%s: shown %+v", name, shown)
		}
	}
	// The margin is a courtesy, not what keeps decisions right.
	h.margin = 0
	s := h.create(soon).Sale
	stock := s.Stock + 1
	if _, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Stock: &stock}); err != nil {
		t.Errorf("without a margin: %v", err)
	}
	h.must(h.Delete(h.ctx, h.seller, s.ID))
}

// TestEditIsSeenAtOnce: however many load a sale while it is changed, once an edit
// is answered nobody sees an older one any more.
func TestEditIsSeenAtOnce(t *testing.T) {
	h := open(t)
	s := h.create(h.lamp())
	ctx, enough := context.WithCancel(h.ctx)
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, _, err := []*Catalog{h.Catalog, h.there}[i%2].Sale(ctx, s.ID)
				if err != nil && ctx.Err() == nil && code(err) != sale.RefusedLoading {
					t.Error(err)
				}
			}
		})
	}
	for i := range 200 {
		title := fmt.Sprint("Lamp ", i)
		if _, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &title}); err != nil {
			t.Fatal(err)
		}
		h.until("it is shown", func() bool {
			shown, _, err := h.there.Sale(h.ctx, s.ID)
			if code(err) == sale.RefusedLoading {
				return false
			}
			h.must(err)
			if shown.Title != title {
				t.Fatalf("after %q was recorded %q is shown", title, shown.Title)
			}
			return true
		})
	}
	enough()
	readers.Wait()
}

// TestEditWithoutRedis: an edit that Redis cannot be told of fails, and may be made
// again.
func TestEditWithoutRedis(t *testing.T) {
	h := open(t)
	for n := range int64(2) { // before the commit, after it
		s := h.create(h.lamp())
		h.shown(s.ID)
		title := "Candle"
		h.failing.breakAfter(n)
		_, err := h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &title})
		if !errors.Is(err, errBroken) || n == 1 && !errors.Is(err, sale.ErrUnavailable) {
			t.Errorf("%d: %v", n, err)
		}
		h.failing.mend()
		_, err = h.Edit(h.ctx, h.seller, s.ID, Edit{Title: &title})
		h.must(err)
		if shown := h.shown(s.ID); shown.Title != title {
			t.Errorf("%d: shown %+v", n, shown)
		}

		h.failing.breakAfter(n)
		if err := h.Delete(h.ctx, h.seller, s.ID); !errors.Is(err, errBroken) {
			t.Errorf("%d: deleted: %v", n, err)
		}
		h.failing.mend()
		if err := h.Delete(h.ctx, h.seller, s.ID); n == 0 && err != nil || n == 1 && !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("%d: deleted again: %v", n, err)
		}
		if _, _, err := h.there.Sale(h.ctx, s.ID); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("%d: shown: %v", n, err)
		}
	}
}

// TestDeleted: a sale is gone for every process, also for those that know its
// place and would let requests for it in.
func TestDeleted(t *testing.T) {
	h := open(t)
	asked := h.lamp()
	s, _, err := h.Create(h.ctx, asked, "k")
	h.must(err)
	h.shown(s.ID)
	bid := func(a *admission.Admission) error {
		_, err := a.Bid(h.ctx, admission.Asker{Account: h.other, Key: "b"}, s.ID, 1, 1000, false, uuid.Nil)
		return err
	}
	for _, a := range []*admission.Admission{h.admission, h.thereAdmit} {
		if err := bid(a); code(err) != sale.RefusedNotOpen {
			t.Errorf("before: %v", err)
		}
	}
	h.must(h.Delete(h.ctx, h.seller, s.ID))
	for _, a := range []*admission.Admission{h.thereAdmit, h.admission} {
		for range 2 {
			if err := bid(a); !errors.Is(err, sale.ErrUnknown) {
				t.Errorf("a bid: %v", err)
			}
		}
	}
	for _, c := range []*Catalog{h.there, h.Catalog} {
		if _, _, err := c.Sale(h.ctx, s.ID); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("shown: %v", err)
		}
	}
	if _, err := h.ledger.Points(h.ctx, s.Escrow); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("escrow: %v", err)
	}
	if err := h.Delete(h.ctx, h.seller, s.ID); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("twice: %v", err)
	}
	again, replayed, err := h.Create(h.ctx, asked, "k")
	if err != nil || replayed || again.ID == s.ID {
		t.Errorf("its key: %+v, %t, %v", again, replayed, err)
	}
}
