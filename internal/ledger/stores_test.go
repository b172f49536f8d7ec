package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// tavern is a store that is open at noon, every day but Tuesday.
func tavern(seller int64) sale.Store {
	s := sale.Store{
		Seller: seller, Title: "Tavern", Description: "by the river", TimeZone: "Europe/Berlin", Tables: 4, UnitPrice: 10,
		RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 14,
	}
	for i := range s.Hours {
		s.Hours[i] = &sale.Span{Opens: 12 * 60, Closes: 13 * 60}
	}
	s.Hours[1] = nil
	return s
}

func (b *books) store(s sale.Store) sale.Store {
	b.t.Helper()
	made, replayed, err := b.CreateStoreOnce(b.ctx, s, parts, uuid.Nil)
	b.must(err)
	if replayed {
		b.t.Error("replayed without a key")
	}
	return made
}

// alike compares stores, whose hours are pointers.
func alikeStores(a, b sale.Store) bool {
	return fmt.Sprintf("%+v", flat(a)) == fmt.Sprintf("%+v", flat(b))
}

func flat(s sale.Store) any {
	var spans []sale.Span
	for _, span := range s.Hours {
		if span == nil {
			span = &sale.Span{Opens: -1}
		}
		spans = append(spans, *span)
	}
	s.Hours = sale.Hours{}
	return struct {
		sale.Store
		Spans []sale.Span
	}{s, spans}
}

func TestStoreComesBack(t *testing.T) {
	b := open(t)
	asked := tavern(b.seller)
	made := b.store(asked)
	asked.ID, asked.Partition, asked.CreatedAt = made.ID, int(made.ID)%parts, made.CreatedAt
	if !alikeStores(made, asked) || made.CreatedAt == 0 {
		t.Errorf("asked for %+v, made %+v", flat(asked), flat(made))
	}
	if read, err := b.Store(b.ctx, made.ID); err != nil || !alikeStores(read, made) {
		t.Errorf("made %+v, came back %+v, %v", flat(made), flat(read), err)
	}
	if _, err := b.Store(b.ctx, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no store: %v", err)
	}
	if _, _, err := b.CreateStoreOnce(b.ctx, tavern(404), parts, uuid.Nil); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no seller: %v", err)
	}
}

func TestStoreIsMadeOnceUnderItsRequest(t *testing.T) {
	b := open(t)
	request := uuid.New()
	first, replayed, err := b.CreateStoreOnce(b.ctx, tavern(b.seller), parts, request)
	b.must(err)
	if replayed {
		t.Error("the first is replayed")
	}
	for range sale.MaxStores - 1 { // that there are enough by then does not matter
		b.store(tavern(b.seller))
	}
	again, replayed, err := b.CreateStoreOnce(b.ctx, tavern(b.seller), parts, request)
	b.must(err)
	if !replayed || !alikeStores(again, first) {
		t.Errorf("again: %+v, replayed %t", again, replayed)
	}
	other := tavern(b.seller)
	other.Tables++
	var refusal *sale.Refusal
	if _, _, err := b.CreateStoreOnce(b.ctx, other, parts, request); !errors.As(err, &refusal) || refusal.Code != sale.RefusedMismatch {
		t.Errorf("another one: %v", err)
	}
}

// TestThreeStores: however many ask at once, a seller has three open ones; one that
// he closes makes room.
func TestThreeStores(t *testing.T) {
	b := open(t)
	var mu sync.Mutex
	var made []sale.Store
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			s, _, err := b.CreateStoreOnce(b.ctx, tavern(b.seller), parts, uuid.New())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made = append(made, s)
			case !errors.Is(err, ErrTooManyStores):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(made) != 3 {
		t.Fatalf("%d stores", len(made))
	}
	b.must(b.CloseStore(b.ctx, made[1].ID, func(sale.Store) error { return nil }))
	b.store(tavern(b.seller))
	if _, _, err := b.CreateStoreOnce(b.ctx, tavern(b.seller), parts, uuid.New()); !errors.Is(err, ErrTooManyStores) {
		t.Errorf("a fourth: %v", err)
	}
	b.store(tavern(b.account("seller", 0))) // others have room of their own
}

func TestStoresAreListed(t *testing.T) {
	b := open(t)
	var sellers, ids []int64
	for range 5 {
		sellers = append(sellers, b.account("seller", 0))
		for range 3 {
			ids = append(ids, b.store(tavern(sellers[len(sellers)-1])).ID)
		}
	}
	b.must(b.CloseStore(b.ctx, ids[4], func(sale.Store) error { return nil }))
	for _, f := range []StoreFilter{{}, {Seller: sellers[1]}, {Seller: 404}} {
		var want []int64
		for i, id := range ids {
			if i != 4 && (f.Seller == 0 || f.Seller == sellers[i/3]) {
				want = append(want, id)
			}
		}
		for _, f.Limit = range []int{1, 2, 100} {
			f.After = 0
			var got []int64
			for more := true; more; {
				var page []sale.Store
				var err error
				page, more, err = b.Stores(b.ctx, f)
				b.must(err)
				for _, s := range page {
					got, f.After = append(got, s.ID), s.ID
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %d, not %d", f, got, want)
			}
		}
	}
}

// publish makes all slots of a store, as of now.
func (b *books) publish(s sale.Store, now time.Time) (created int) {
	b.t.Helper()
	p := Publication{Store: s}
	for more := true; more; {
		var n int
		var err error
		n, more, err = b.Publish(b.ctx, &p, sale.At(now))
		b.must(err)
		created += n
	}
	return created
}

func TestSlotsArePublishedOnce(t *testing.T) {
	b := open(t)
	s := b.store(tavern(b.seller))
	// A Monday in Berlin, a quarter past noon: one slot of the day is left of three.
	monday := time.Date(2030, 11, 25, 11, 15, 0, 0, time.UTC)
	var created int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			n := b.publish(s, monday)
			mu.Lock()
			defer mu.Unlock()
			created += n
		})
	}
	all.Wait()
	if want := 2 + 3*12; created != want { // 14 days and what is left of today, two Tuesdays off
		t.Errorf("%d slots, not %d", created, want)
	}
	from, to, err := s.Bounds(sale.Day{Year: 2030, Month: 11, Day: 25})
	b.must(err)
	slots, _, err := b.Slots(b.ctx, s.ID, from, to)
	b.must(err)
	if len(slots) != 2 || slots[0].StartsAt != from.Add(12*time.Hour+30*time.Minute) || slots[0].Free != 4 || slots[0].Store != s.ID || slots[0].Partition != s.Partition {
		t.Errorf("slots %+v", slots)
	}
	if id, err := b.SlotAt(b.ctx, s.ID, slots[1].StartsAt); err != nil || id != slots[1].ID {
		t.Errorf("found %d, %v", id, err)
	}
	if _, err := b.SlotAt(b.ctx, s.ID, from); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("at midnight: %v", err)
	}
	if n := b.publish(s, monday); n != 0 {
		t.Errorf("%d slots were made again", n)
	}
	// It is due again at the next midnight of the store, and then one day more.
	midnight := sale.At(time.Date(2030, 11, 25, 23, 0, 0, 0, time.UTC))
	for at, want := range map[sale.Instant]int{midnight - 1: 0, midnight: 1} {
		due, err := b.ToPublish(b.ctx, at, 10)
		b.must(err)
		if len(due) != want {
			t.Errorf("%d stores are due at %s", len(due), at.Time())
		}
	}
	due, err := b.ToPublish(b.ctx, midnight, 10)
	b.must(err)
	if n, more, err := b.Publish(b.ctx, &due[0], midnight); err != nil || more || n != 0 || due[0].Published.String() != "2030-12-10" {
		t.Errorf("a Tuesday: %d slots, more %t, %v, published %s", n, more, err, due[0].Published)
	}
	if n, more, err := b.Publish(b.ctx, &due[0], midnight.Add(24*time.Hour)); err != nil || more || n != 3 {
		t.Errorf("a Wednesday: %d slots, more %t, %v", n, more, err)
	}
}

// TestWhatIsPublishedStays: an edit counts for the days that have no slots yet.
func TestWhatIsPublishedStays(t *testing.T) {
	b := open(t)
	s := b.store(tavern(b.seller))
	now := time.Date(2030, 11, 25, 0, 0, 0, 0, time.UTC)
	b.publish(s, now)
	p, err := b.EditStore(b.ctx, s.ID, func(s *sale.Store) error {
		s.Title, s.Tables, s.DaysAhead = "Inn", 9, 20
		s.Hours = sale.Hours{2: {Opens: 18 * 60, Closes: 18 * 60}}
		return nil
	})
	b.must(err)
	if read, err := b.Store(b.ctx, s.ID); err != nil || !alikeStores(read, p.Store) || read.Title != "Inn" || p.Published.String() != "2030-12-09" {
		t.Errorf("changed to %+v, came back %+v, %v", p, read, err)
	}
	if n, more, err := b.Publish(b.ctx, &p, sale.At(now)); err != nil || more || n != 1 {
		t.Fatalf("%d slots more, more %t, %v", n, more, err)
	}
	tables := map[int64]int{}
	slots, _, err := b.Slots(b.ctx, s.ID, 0, sale.At(now.AddDate(1, 0, 0)))
	b.must(err)
	for _, slot := range slots {
		tables[slot.Stock]++
	}
	if tables[4] != 39 || tables[9] != 1 {
		t.Errorf("slots by tables: %v", tables)
	}
	refuse := errors.New("no")
	if _, err := b.EditStore(b.ctx, s.ID, func(s *sale.Store) error { s.Title = "Bar"; return refuse }); !errors.Is(err, refuse) {
		t.Error(err)
	}
	if read, _ := b.Store(b.ctx, s.ID); read.Title != "Inn" {
		t.Error("a refused edit was made")
	}
	if _, err := b.EditStore(b.ctx, 404, func(*sale.Store) error { return nil }); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no store: %v", err)
	}
}

func TestCloseStore(t *testing.T) {
	b := open(t)
	s := b.store(tavern(b.seller))
	b.publish(s, time.Now())
	slots, _, err := b.Slots(b.ctx, s.ID, sale.At(time.Now()), sale.At(time.Now().AddDate(1, 0, 0)))
	b.must(err)
	yes := func(sale.Store) error { return nil }
	booked, asked := slots[3].ID, slots[5].ID
	_, err = b.pool.Exec(b.ctx, `update sales set phase = 'open', held = 1, free = free - 1 where id = $1`, booked)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update sales set phase = 'open' where id = $1`, asked)
	b.must(err)
	if err := b.CloseStore(b.ctx, s.ID, yes); !errors.Is(err, ErrBooked) {
		t.Fatalf("with a booking: %v", err)
	}
	if again, _, err := b.Slots(b.ctx, s.ID, 0, sale.At(time.Now().AddDate(1, 0, 0))); err != nil || len(again) != len(slots) {
		t.Errorf("a store that is not closed lost slots: %d of %d are left, %v", len(again), len(slots), err)
	}
	_, err = b.pool.Exec(b.ctx, `update sales set held = 0, free = stock where id = $1`, booked)
	b.must(err)
	refuse := errors.New("no")
	if err := b.CloseStore(b.ctx, s.ID, func(sale.Store) error { return refuse }); !errors.Is(err, refuse) {
		t.Error(err)
	}
	b.must(b.CloseStore(b.ctx, s.ID, yes))
	b.must(b.CloseStore(b.ctx, s.ID, yes))
	read, err := b.Store(b.ctx, s.ID)
	b.must(err)
	if !read.Closed {
		t.Error("it is not closed")
	}
	left, _, err := b.Slots(b.ctx, s.ID, 0, sale.At(time.Now().AddDate(1, 0, 0)))
	b.must(err)
	if len(left) != 2 || left[0].ID != booked || left[1].ID != asked {
		t.Errorf("%d slots are left, not the two that somebody has asked for", len(left))
	}
	var escrows int
	b.must(b.pool.QueryRow(b.ctx, `select count(*) from wallets where kind = 'escrow'`).Scan(&escrows))
	if escrows != 2 {
		t.Errorf("%d escrows are left", escrows)
	}
	if n := b.publish(s, time.Now().AddDate(0, 1, 0)); n != 0 {
		t.Errorf("%d slots of a closed store", n)
	}
	if due, err := b.ToPublish(b.ctx, sale.At(time.Now().AddDate(1, 0, 0)), 10); err != nil || len(due) != 0 {
		t.Errorf("%d stores are due, %v", len(due), err)
	}
	if err := b.CloseStore(b.ctx, 404, yes); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no store: %v", err)
	}
}
