package bookings

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

// TestTablesAreBooked: a slot has so many tables, the next in line gets the one that
// is given back, and a buyer has one of a slot.
func TestTablesAreBooked(t *testing.T) {
	h := open(t)
	s := h.create()
	slots := h.slots(s, 1)
	if len(slots) != 48 || len(h.slots(s, 3)) != 48 || len(h.slots(s, 4)) != 0 {
		t.Fatalf("%d slots tomorrow, %d on the last day, %d after it", len(slots), len(h.slots(s, 3)), len(h.slots(s, 4)))
	}
	at := slots[20].StartsAt
	slot, err := h.Slot(h.Ctx, s.ID, at)
	h.Must(err)
	if slot != slots[20].ID {
		t.Fatalf("found slot %d, not %d", slot, slots[20].ID)
	}
	first, second := h.reserve(slot, h.Buyers[0]), h.reserve(slot, h.Buyers[1])
	third, fourth := h.reserve(slot, h.Buyers[2]), h.reserve(slot, h.Buyers[3])
	if first.Status != sale.Confirmed || second.Status != sale.Confirmed || third.Status != sale.Waiting || fourth.Status != sale.Waiting {
		t.Errorf("%s, %s, %s, %s", first.Status, second.Status, third.Status, fourth.Status)
	}
	if again := h.reserve(slot, h.Buyers[0]); again.Reason != sale.Duplicate {
		t.Errorf("a second table of the slot: %s %s", again.Status, again.Reason)
	}
	if beside := h.reserve(slots[21].ID, h.Buyers[0]); beside.Status != sale.Confirmed {
		t.Errorf("a table half an hour later: %s %s", beside.Status, beside.Reason)
	}
	h.Outcome(h.Admission.Cancel(h.Ctx, admission.Asker{Account: h.Buyers[0]}, first.ID))
	if r := h.Receipt(h.Buyers[2], third.ID); r.Status != sale.Held { // ten points are to be paid
		t.Errorf("the first in line is %s", r.Status)
	}
	if r := h.Receipt(h.Buyers[3], fourth.ID); r.Status != sale.Waiting {
		t.Errorf("the second in line is %s", r.Status)
	}
	if got := h.slots(s, 1)[20]; got.Free != 0 || got.Held != 1 || got.Sold != 1 || got.Waiting != 1 {
		t.Errorf("it stands %+v", got)
	}
}

func TestSlotSaysWhatIsWrong(t *testing.T) {
	h := open(t)
	s := h.create()
	midnight, _, err := s.Bounds(h.day(s, 1))
	h.Must(err)
	for _, bad := range []sale.Instant{
		midnight.Add(15 * time.Minute), midnight + 1, sale.At(time.Now().Truncate(time.Hour)),
	} {
		_, err := h.Slot(h.Ctx, s.ID, bad)
		if faults := (sale.Faults)(nil); !errors.Is(err, ErrSlot) || !errors.As(err, &faults) || faults[0].Field != "slot" {
			t.Errorf("%s: %v", bad.Time(), err)
		}
	}
	for store, at := range map[int64]sale.Instant{s.ID: midnight.Add(24 * time.Hour * 30), 404: midnight} {
		if _, err := h.Slot(h.Ctx, store, at); !errors.Is(err, sale.ErrUnknown) || errors.Is(err, ErrSlot) {
			t.Errorf("not published: %v", err)
		}
	}
	// Other hours from now on: what is published can be booked, other times cannot.
	hours := sale.Hours{}
	hours[0] = &sale.Span{Opens: 600, Closes: 600}
	_, err = h.Edit(h.Ctx, h.Seller, s.ID, Edit{Hours: &hours})
	h.Must(err)
	if _, err := h.Slot(h.Ctx, s.ID, midnight); err != nil {
		t.Errorf("a slot that is published: %v", err)
	}
	if _, err := h.Slot(h.Ctx, s.ID, midnight.Add(30*24*time.Hour)); !errors.Is(err, ErrSlot) {
		t.Errorf("midnight, a month from now: %v", err)
	}
	if _, _, err := h.Slots(h.Ctx, 404, h.day(s, 1)); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("slots of no store: %v", err)
	}
}

func TestCreate(t *testing.T) {
	h := open(t)
	bad := h.inn()
	bad.Tables, bad.TimeZone = 0, "Mars/Base"
	var faults sale.Faults
	if _, _, err := h.Create(h.Ctx, bad, ""); !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("two faults: %v", err)
	}
	first, replayed, err := h.Create(h.Ctx, h.inn(), "key")
	h.Must(err)
	again, also, err := h.Create(h.Ctx, h.inn(), "key")
	h.Must(err)
	if replayed || !also || again.ID != first.ID {
		t.Errorf("store %d, replayed %t, then %d, replayed %t", first.ID, replayed, again.ID, also)
	}
	h.create()
	h.create()
	if _, _, err := h.Create(h.Ctx, h.inn(), ""); !errors.Is(err, ErrTooMany) {
		t.Errorf("a fourth: %v", err)
	}
	stores, more, err := h.Stores(h.Ctx, 0, Filter{Seller: h.Seller, After: first.ID, Limit: 1})
	if err != nil || len(stores) != 1 || !more {
		t.Errorf("%d stores, more %t, %v", len(stores), more, err)
	}
}

func TestEdit(t *testing.T) {
	h := open(t)
	s := h.create()
	title, tables, days, none := "Bar", int64(5), 5, int64(0)
	changed, err := h.Edit(h.Ctx, h.Seller, s.ID, Edit{Title: &title, Tables: &tables, DaysAhead: &days})
	h.Must(err)
	if read, err := h.Store(h.Ctx, s.ID); err != nil || read.Title != "Bar" || read.Tables != 5 || read.DaysAhead != 5 || changed.Title != "Bar" {
		t.Errorf("%+v, %v", read, err)
	}
	if old, fresh := h.slots(s, 3), h.slots(s, 5); len(fresh) != 48 || fresh[0].Stock != 5 || fresh[0].Title != "Bar" || old[0].Stock != 2 {
		t.Errorf("%d slots of two more days", len(fresh))
	}
	var faults sale.Faults
	if _, err := h.Edit(h.Ctx, h.Seller, s.ID, Edit{Tables: &none}); !errors.As(err, &faults) || faults[0].Field != "tables" {
		t.Errorf("no tables: %v", err)
	}
	if _, err := h.Edit(h.Ctx, h.Other, s.ID, Edit{Title: &title}); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another's: %v", err)
	}
	if _, err := h.Edit(h.Ctx, h.Seller, 404, Edit{Title: &title}); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no store: %v", err)
	}
	h.Must(h.Close(h.Ctx, h.Seller, s.ID))
	var refusal *sale.Refusal
	if _, err := h.Edit(h.Ctx, h.Seller, s.ID, Edit{Title: &title}); !errors.As(err, &refusal) || refusal.Code != sale.RefusedClosed {
		t.Errorf("a closed one: %v", err)
	}
}

// TestClose: not while there are bookings; afterwards nothing can be booked, whatever
// Redis remembers.
func TestClose(t *testing.T) {
	h := open(t)
	s := h.create()
	slots := h.slots(s, 1)
	booked := h.reserve(slots[5].ID, h.Buyers[0])
	if err := h.Close(h.Ctx, h.Seller, s.ID); !errors.Is(err, ErrBooked) {
		t.Errorf("with a booking: %v", err)
	}
	if err := h.Close(h.Ctx, h.Other, s.ID); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another's: %v", err)
	}
	h.Outcome(h.Admission.Cancel(h.Ctx, admission.Asker{Account: h.Buyers[0]}, booked.ID))
	remembered := slots[6].ID
	h.Must(h.Partitions.LoadFrom(h.Ctx, s.Partition, remembered, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		return h.ledger.Stand(ctx, remembered)
	}))
	_, err := h.ledger.Place(h.Ctx, remembered) // the API has met it, too
	h.Must(err)
	h.Must(h.Close(h.Ctx, h.Seller, s.ID))
	h.Must(h.Close(h.Ctx, h.Seller, s.ID))
	if _, err := h.Slot(h.Ctx, s.ID, slots[5].StartsAt); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("a slot of a closed store: %v", err)
	}
	if left, _, err := h.Slots(h.Ctx, s.ID, h.day(s, 1)); err != nil || len(left) != 0 {
		t.Errorf("%d slots are shown, %v", len(left), err)
	}
	var refusal *sale.Refusal
	for _, slot := range []int64{remembered, slots[5].ID} { // one that is gone, one that was booked and stays
		_, err := h.Admission.Reserve(h.Ctx, admission.Asker{Account: h.Buyers[1]}, slot, 1, uuid.Nil)
		if !errors.As(err, &refusal) || refusal.Code != sale.RefusedClosed {
			t.Errorf("slot %d of a closed store: %v", slot, err)
		}
	}
}

func TestAttend(t *testing.T) {
	h := open(t)
	s := h.create()
	slot := h.slots(s, 1)[5]
	booked, waits := h.reserve(slot.ID, h.Buyers[0]), h.reserve(slot.ID, h.Buyers[1])
	if err := h.Attend(h.Ctx, h.Seller, booked.ID, Completed); !errors.Is(err, ErrEarly) {
		t.Errorf("before it began: %v", err)
	}
	h.exec(`
		update sales
		set starts_at = now() - interval '1 second', closes_at = now() - interval '1 second'
		where id = $1`, slot.ID)
	for name, test := range map[string]struct {
		seller int64
		id     uuid.UUID
		want   error
	}{
		"another's":    {h.Other, booked.ID, sale.ErrNotYours},
		"no receipt":   {h.Seller, uuid.New(), sale.ErrUnknown},
		"as it should": {h.Seller, booked.ID, nil},
		"the next one": {h.Seller, waits.ID, nil},
	} {
		if err := h.Attend(h.Ctx, test.seller, test.id, NoShow); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var faults sale.Faults
	if err := h.Attend(h.Ctx, h.Seller, booked.ID, "asleep"); !errors.As(err, &faults) {
		t.Errorf("another word: %v", err)
	}
	h.Must(h.Attend(h.Ctx, h.Seller, booked.ID, Completed))
	words, err := h.Attendance(h.Ctx, []uuid.UUID{booked.ID, waits.ID, uuid.New()})
	if err != nil || len(words) != 2 || words[booked.ID] != Completed || words[waits.ID] != NoShow {
		t.Errorf("%v, %v", words, err)
	}
}
