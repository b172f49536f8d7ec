package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// shop gives a seller a store with slots: n of them, an hour apart, that have opened
// by the clock.
func (b *books) shop(seller int64, n int) (sale.Store, []sale.Sale) {
	b.t.Helper()
	always := &sale.Span{Opens: 0, Closes: 23*60 + 30}
	store, _, err := b.CreateStoreOnce(b.ctx, sale.Store{
		Seller: seller, Title: "noodles", TimeZone: "UTC", Tables: 2, UnitPrice: 10, RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 1,
		Hours: sale.Hours{always, always, always, always, always, always, always},
	}, parts, uuid.Nil)
	b.must(err)
	var slots []sale.Sale
	now := sale.At(time.Now())
	for i := range n {
		slot, err := b.CreateSale(b.ctx, store.Slot(now.Add(time.Duration(i+1)*time.Hour), now-1), parts)
		b.must(err)
		slots = append(slots, slot)
	}
	return store, slots
}

// TestDeleteWithStores: slots that nobody asked for do not keep a seller, one that is
// booked does, and what he leaves behind takes no bookings.
func TestDeleteWithStores(t *testing.T) {
	b := open(t)
	made, other := b.person("seller", "alice@example.com"), b.person("seller", "bob@example.com")
	store, slots := b.shop(made.ID, 3)
	theirs, kept := b.shop(other.ID, 2)

	b.must(ignore(b.pool.Exec(b.ctx, `update sales set phase = 'open', free = 1, sold = 1 where id = $1`, slots[1].ID)))
	b.wants(ErrBusy, b.DeleteAccount(b.ctx, made.ID, "hash"))
	if n := b.count(`select count(*) from sales where seller = $1`, made.ID); n != 3 {
		t.Errorf("%d slots are left by a deletion that was refused", n)
	}
	b.must(ignore(b.pool.Exec(b.ctx, `update sales set phase = 'closed', free = 2, sold = 0, paid_out = true where id = $1`, slots[1].ID)))
	b.wants(ErrChanged, b.DeleteAccount(b.ctx, made.ID, "other"))
	b.must(b.DeleteAccount(b.ctx, made.ID, "hash"))

	for i, want := range []error{sale.ErrUnknown, nil, sale.ErrUnknown} {
		_, err := b.Sale(b.ctx, slots[i].ID)
		b.wants(want, err)
		_, err = b.Points(b.ctx, slots[i].Escrow)
		b.wants(want, err)
	}
	if s, err := b.Store(b.ctx, store.ID); err != nil || !s.Closed {
		t.Errorf("%+v, %v", s, err)
	}
	for _, slot := range kept {
		b.must(ignore(b.Sale(b.ctx, slot.ID)))
	}
	if s, err := b.Store(b.ctx, theirs.ID); err != nil || s.Closed {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestDeleteWhileASlotIsBooked: a batch that was viewed before the deletion is not
// decided after it; and a deletion that comes while one is settled waits, and finds
// the seller busy.
func TestDeleteWhileASlotIsBooked(t *testing.T) {
	b := open(t)
	made := b.person("seller", "alice@example.com")
	buyer := b.account("buyer", 1000)
	_, slots := b.shop(made.ID, 2)
	batch := func(s sale.Sale) *sale.Batch {
		mark, err := b.Lead(b.ctx, s.Partition, "test")
		b.must(err)
		stand, _, err := b.Stand(b.ctx, s.ID)
		b.must(err)
		e := sale.Entry{ID: sale.EntryID{At: sale.At(time.Now())}, Seq: mark.Seq + 1, Request: sale.Request{
			Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Reserve, Sale: s.ID, Buyer: buyer, Quantity: 1,
		}}
		return &sale.Batch{Partition: s.Partition, Epoch: mark.Epoch, Prev: mark.Applied, Last: e.ID, Seq: e.Seq, Entries: []sale.Entry{e}, State: sale.State{s.ID: stand}}
	}
	early := batch(slots[0])
	b.must(b.DeleteAccount(b.ctx, made.ID, "hash"))
	edited := (*Edited)(nil)
	if err := b.Settle(b.ctx, early); !errors.As(err, &edited) || len(edited.Sales) != 1 || edited.Sales[0] != slots[0].ID {
		t.Errorf("a slot that is gone: %v", err)
	}

	made = b.person("seller", "bob@example.com")
	_, slots = b.shop(made.ID, 1)
	late := batch(slots[0])
	tx, err := b.pool.Begin(b.ctx) // holds what a settlement does
	b.must(err)
	defer tx.Rollback(context.WithoutCancel(b.ctx))
	b.must(ignore(tx.Exec(b.ctx, `select from sales where id = $1 for no key update`, slots[0].ID)))
	deleted := make(chan error, 1)
	go func() { deleted <- b.DeleteAccount(b.ctx, made.ID, "hash") }()
	b.waits(deleted)
	b.must(ignore(tx.Exec(b.ctx, `update sales set phase = 'open', free = 1, sold = 1 where id = $1`, slots[0].ID)))
	b.must(tx.Commit(b.ctx))
	b.wants(ErrBusy, <-deleted)
	if err := b.Settle(b.ctx, late); !errors.As(err, &edited) { // it was viewed before that one
		t.Errorf("a slot that has changed: %v", err)
	}
}

// waits returns once somebody waits for a lock, which must happen before done.
func (b *books) waits(done <-chan error) {
	b.t.Helper()
	for waiting := false; !waiting; {
		b.must(b.pool.QueryRow(b.ctx, `
			select exists (
				select
				from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waiting))
		select {
		case err := <-done:
			b.t.Fatalf("it did not wait: %v", err)
		default:
		}
	}
}

// TestSwitchNotices: alone, with other changes, and not for who is gone.
func TestSwitchNotices(t *testing.T) {
	b := open(t)
	made := b.person("seller", "alice@example.com")
	if !made.Notices {
		t.Error("they are off at first")
	}
	for _, on := range []bool{false, false, true} {
		if a, err := b.SwitchNotices(b.ctx, made.ID, on); err != nil || a.Notices != on || a.Email != made.Email {
			t.Errorf("%+v, %v", a, err)
		}
	}
	for _, on := range []*bool{new(false), nil} {
		if a, err := b.ChangeAccount(b.ctx, made.ID, "hash", "carol@example.com", "", on); err != nil || a.Notices {
			t.Errorf("%+v, %v", a, err)
		}
	}
	b.must(b.DeleteAccount(b.ctx, made.ID, "hash"))
	for _, id := range []int64{made.ID, 404} {
		_, err := b.SwitchNotices(b.ctx, id, true)
		b.wants(sale.ErrUnknown, err)
	}
}

// TestFind: what never changes of a sale.
func TestFind(t *testing.T) {
	b := open(t)
	lamp := b.sale(0, time.Hour)
	store, slots := b.shop(b.seller, 1)
	for range 2 { // the second time it is remembered
		for id, want := range map[int64]Place{
			lamp.ID:     {Partition: lamp.Partition, Kind: sale.Auction},
			slots[0].ID: {Partition: store.Partition, Kind: sale.Event, Store: store.ID},
		} {
			if got, err := b.Find(b.ctx, id); err != nil || got != want {
				t.Errorf("%+v, %v, not %+v", got, err, want)
			}
		}
	}
	_, err := b.Find(b.ctx, 404)
	b.wants(sale.ErrUnknown, err)
}
