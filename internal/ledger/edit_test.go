package ledger

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

func TestCreateSaleOnce(t *testing.T) {
	b := open(t)
	asked := b.sale(time.Minute, time.Hour)
	asked.ID, asked.Partition, asked.Escrow, asked.Description = 0, 0, 0, "A lamp.\nIt burns."
	request := sale.RequestID(b.seller, "sale", "k")
	var all sync.WaitGroup
	var mu sync.Mutex
	fresh, ids := 0, map[int64]bool{}
	for range 10 {
		all.Go(func() {
			stand, replayed, err := b.CreateSaleOnce(b.ctx, asked, parts, request)
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
			if stand.Free != 10 || stand.Phase != sale.Scheduled || stand.Escrow != -stand.ID || stand.Description != asked.Description {
				t.Errorf("created %+v", stand)
			}
		})
	}
	all.Wait()
	if fresh != 1 || len(ids) != 1 {
		t.Errorf("%d sales, %d of them new", len(ids), fresh)
	}
	other := asked
	other.Stock++
	if _, _, err := b.CreateSaleOnce(b.ctx, other, parts, request); refused(err) != sale.RefusedMismatch {
		t.Errorf("another sale under the key: %v", err)
	}
	if _, err := b.SaleOf(b.ctx, uuid.New(), asked); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("a request that never was: %v", err)
	}
	if n := b.count(`select count(*) from wallets where kind = 'escrow'`); n != 2 {
		t.Errorf("%d escrows", n)
	}
}

func TestEditSale(t *testing.T) {
	b := open(t)
	s := b.sale(time.Minute, time.Hour)
	want := sale.Sale{
		ID: s.ID, Kind: sale.Auction, Partition: s.Partition, Seller: b.seller, Escrow: s.Escrow, Title: "candle", Description: "of wax",
		Price: sale.Price{Policy: sale.Constant, Start: 500, Drop: 2, Period: time.Second}, Stock: 30, Limit: 3,
		OpensAt: s.OpensAt + 1, ClosesAt: s.ClosesAt + 2, RefundWindow: 0, ShowStock: true,
	}
	edited, err := b.EditSale(b.ctx, s.ID, func(stand *sale.Stand, now sale.Instant) error {
		if stand.Sale != s || stand.Free != 10 || now < sale.At(time.Now())-60_000 || now > sale.At(time.Now())+60_000 {
			t.Errorf("at %d shown %+v", now, stand)
		}
		stand.Sale, stand.Free = want, want.Stock
		return nil
	})
	b.must(err)
	recorded, err := b.Sale(b.ctx, s.ID)
	b.must(err)
	if recorded.Sale != want || recorded.Free != 30 || edited.Sale != want {
		t.Errorf("recorded %+v", recorded)
	}
	if _, err := b.EditSale(b.ctx, 404, func(*sale.Stand, sale.Instant) error { return nil }); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
	objection := errors.New("no")
	if _, err := b.EditSale(b.ctx, s.ID, func(stand *sale.Stand, _ sale.Instant) error {
		stand.Title = "nothing"
		return objection
	}); !errors.Is(err, objection) {
		t.Errorf("objected: %v", err)
	}
	if recorded, err = b.Sale(b.ctx, s.ID); err != nil || recorded.Title != "candle" {
		t.Errorf("in spite of an objection %+v, %v", recorded, err)
	}
}

func TestDeleteSale(t *testing.T) {
	b := open(t)
	s, kept := b.sale(time.Minute, time.Hour), b.sale(time.Minute, time.Hour)
	allow := func(*sale.Stand, sale.Instant) error { return nil }
	objection := errors.New("no")
	if err := b.DeleteSale(b.ctx, s.ID, func(*sale.Stand, sale.Instant) error { return objection }); !errors.Is(err, objection) {
		t.Errorf("objected: %v", err)
	}
	b.must(ignore(b.Place(b.ctx, s.ID)))
	b.must(b.DeleteSale(b.ctx, s.ID, allow))
	if err := b.DeleteSale(b.ctx, s.ID, allow); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("twice: %v", err)
	}
	for _, lookup := range []func() error{
		func() error { return ignore(b.Sale(b.ctx, s.ID)) },
		func() error { return ignore(b.Points(b.ctx, s.Escrow)) },
	} {
		if err := lookup(); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("answer %v", err)
		}
	}
	// Its place is known until somebody finds the sale gone.
	if _, err := b.Place(b.ctx, s.ID); err != nil {
		t.Errorf("place %v", err)
	}
	if _, _, err := b.Stand(b.ctx, s.ID); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("stand %v", err)
	}
	if _, err := b.Place(b.ctx, s.ID); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("place %v", err)
	}
	// One that has sold stays, whatever its seller may think.
	_, err := b.pool.Exec(b.ctx, `update sales set free = 9, sold = 1 where id = $1`, kept.ID)
	b.must(err)
	if err := b.DeleteSale(b.ctx, kept.ID, allow); err == nil {
		t.Error("a sale with buyers is gone")
	}
	b.must(ignore(b.Points(b.ctx, kept.Escrow)))
}

// TestNoBatchOnOldTerms: what was viewed before an edit or a deletion is not
// decided on, and nothing of it is written.
func TestNoBatchOnOldTerms(t *testing.T) {
	b := open(t)
	for name, edit := range map[string]func(s sale.Sale) error{
		"other terms": func(s sale.Sale) error {
			return ignore(b.EditSale(b.ctx, s.ID, func(s *sale.Stand, _ sale.Instant) error {
				s.Price.Start++
				return nil
			}))
		},
		"more stock": func(s sale.Sale) error {
			return ignore(b.EditSale(b.ctx, s.ID, func(s *sale.Stand, _ sale.Instant) error {
				s.Stock++
				return nil
			}))
		},
		"gone": func(s sale.Sale) error {
			return b.DeleteSale(b.ctx, s.ID, func(*sale.Stand, sale.Instant) error { return nil })
		},
	} {
		s := b.sale(-time.Minute, time.Hour)
		batch := b.batch(s, 200)
		b.must(edit(s))
		before, err := b.Watermark(b.ctx, s.Partition)
		b.must(err)
		var edited *Edited
		if err := b.Settle(b.ctx, batch); !errors.As(err, &edited) || !slices.Equal(edited.Sales, []int64{s.ID}) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := b.Watermark(b.ctx, s.Partition); err != nil || after != before {
			t.Errorf("%s: the watermark moved to %+v, %v", name, after, err)
		}
	}
	// Text is no term, and an open sale's row need not be asked.
	s := b.sale(-time.Minute, time.Hour)
	retitle := func() {
		b.must(ignore(b.EditSale(b.ctx, s.ID, func(s *sale.Stand, _ sale.Instant) error {
			s.Title += "!"
			s.Description += "?"
			return nil
		})))
	}
	batch := b.batch(s, 200)
	retitle()
	b.must(b.Settle(b.ctx, batch))
	batch = b.batch(s, 200)
	batch.Last.At = max(batch.Last.At, batch.Prev.At+1)
	batch.Entries[0].ID = batch.Last
	retitle()
	b.must(b.Settle(b.ctx, batch))
}

// TestEditWaitsForTheBatch: a seller's edit and a batch about the same sale come
// one after the other; the edit sees what was settled.
func TestEditWaitsForTheBatch(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	batch := b.batch(s, 200)
	inside, leave := make(chan struct{}), make(chan struct{})
	b.wrapTx = func(tx pgx.Tx) pgx.Tx { return paused{tx, inside, leave} }
	settled, edited := make(chan error, 1), make(chan error, 1)
	go func() { settled <- b.Settle(b.ctx, batch) }()
	<-inside
	go func() {
		_, err := b.EditSale(b.ctx, s.ID, func(s *sale.Stand, now sale.Instant) error {
			if s.Phase != sale.PhaseOpen || s.Free != 9 {
				t.Errorf("the edit sees %+v", s)
			}
			return nil
		})
		edited <- err
	}()
	select {
	case <-edited:
		t.Error("edited under an open batch")
	case <-time.After(100 * time.Millisecond): // it waits, as it should
	}
	close(leave)
	b.must(<-settled)
	b.must(<-edited)
}
