// Package bookings keeps the stores: places with tables that are booked by the half
// hour. It makes, changes and closes them, shows their slots, finds the sale of one,
// and notes who came.
//
//	store: hours, tables, time zone ──publish──▶ slots, each a sale ──reserve──▶ bookings
//
// A store has no stock of its own. Its slots are sales of kind event, in one
// partition; they are published days ahead, by the scheduler as the days go by and
// here as soon as a store is made or changed. Whatever is asked of a slot goes the
// way of every request. What is published stays as it was published: a store with
// fewer tables or other hours has them for the days to come.
package bookings

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// What a seller, or who wants a table, may be told.
var (
	ErrTooMany = ledger.ErrTooManyStores
	ErrBooked  = ledger.ErrBooked
	ErrSlot    = errors.New("not a time that can be booked") // wraps sale.Faults
	ErrEarly   = errors.New("early: the slot has not begun")
)

// Bookings makes and shows stores. Its methods may be called concurrently.
type Bookings struct {
	store  *partition.Store
	ledger *ledger.Ledger
}

// New answers the bookings over both stores.
func New(store *partition.Store, ledger *ledger.Ledger) *Bookings {
	return &Bookings{store: store, ledger: ledger}
}

// Store is a place with tables.
type Store = sale.Store

// Create records a store of s.Seller, publishes its slots, and answers it with its
// number and partition. Under a key it does so once: the same again answers the same
// store, as it stands now, replayed; another one is a *sale.Refusal
// (idempotency_mismatch). sale.Faults when it breaks a rule, ErrTooMany when the
// seller has sale.MaxStores open ones.
func (b *Bookings) Create(ctx context.Context, s sale.Store, key string) (made sale.Store, replayed bool, err error) {
	if err := s.Check(); err != nil {
		return sale.Store{}, false, err
	}
	made, replayed, err = b.ledger.CreateStoreOnce(ctx, s, b.store.Partitions(), sale.RequestID(s.Seller, "store", key))
	if err != nil || replayed {
		return made, replayed, err
	}
	// It is made, so that is the answer. What cannot be published now, the scheduler
	// publishes at its next beat.
	_ = b.publish(ctx, ledger.Publication{Store: made})
	return made, false, nil
}

// Edit is what a seller may change of a store; nil leaves it.
type Edit struct {
	Title, Description *string
	Tables             *int64
	Hours              *sale.Hours
	DaysAhead          *int
}

// Edit changes a seller's own store, and publishes what slots it has more.
// sale.Faults, sale.ErrUnknown, sale.ErrNotYours; a *sale.Refusal (closed).
func (b *Bookings) Edit(ctx context.Context, seller, id int64, e Edit) (sale.Store, error) {
	p, err := b.ledger.EditStore(ctx, id, func(s *sale.Store) error {
		switch {
		case s.Seller != seller:
			return sale.ErrNotYours
		case s.Closed:
			return &sale.Refusal{Code: sale.RefusedClosed}
		}
		set(&s.Title, e.Title)
		set(&s.Description, e.Description)
		set(&s.Tables, e.Tables)
		set(&s.Hours, e.Hours)
		set(&s.DaysAhead, e.DaysAhead)
		return s.Check()
	})
	if err != nil {
		return sale.Store{}, err
	}
	return p.Store, b.publish(ctx, p)
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// publish makes the slots of a store. Should it be cut off, the scheduler goes on.
func (b *Bookings) publish(ctx context.Context, p ledger.Publication) error {
	for more := true; more; {
		var err error
		if _, more, err = b.ledger.Publish(ctx, &p, sale.At(time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// Close closes a seller's own store: it gets no more slots, and takes no more
// bookings. ErrBooked while slots to come have bookings, sale.ErrUnknown,
// sale.ErrNotYours. A reservation that is queued at that moment may still be decided,
// and stands.
func (b *Bookings) Close(ctx context.Context, seller, id int64) error {
	return b.ledger.CloseStore(ctx, id, func(s sale.Store) error {
		if s.Seller != seller {
			return sale.ErrNotYours
		}
		return nil
	})
}

// Store answers a store, closed or not, or sale.ErrUnknown.
func (b *Bookings) Store(ctx context.Context, id int64) (sale.Store, error) {
	return b.ledger.Store(ctx, id)
}

// Filter says which stores are listed: open ones, in the order they were made.
type Filter = ledger.StoreFilter

// Stores answers a page of stores, and whether there are more. The seller asking for his
// own must see what he has just done; to others they may be a little old.
func (b *Bookings) Stores(ctx context.Context, asking int64, f Filter) (stores []sale.Store, more bool, err error) {
	if f.Seller != 0 && f.Seller == asking {
		return b.ledger.Stores(ctx, f)
	}
	return b.ledger.Cold().Stores(ctx, f)
}

// Slots answers the published slots of a store on a date of its calendar, in order,
// as they stand in Postgres, and the moment that this is of. A closed store has none.
// sale.ErrUnknown when there is no such store.
func (b *Bookings) Slots(ctx context.Context, id int64, day sale.Day) ([]*sale.Stand, sale.Instant, error) {
	s, err := b.ledger.Store(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if s.Closed {
		return nil, sale.At(time.Now()), nil
	}
	from, to, err := s.Bounds(day)
	if err != nil {
		return nil, 0, fmt.Errorf("list slots of store %d: %w", id, err)
	}
	return b.ledger.Slots(ctx, id, from, to)
}

// Slot answers the sale of a store's slot. ErrSlot, with the sale.Faults that say
// why, when the store has none at that time; sale.ErrUnknown when it is not
// published, or the store is closed or there is none.
func (b *Bookings) Slot(ctx context.Context, store int64, at sale.Instant) (saleID int64, err error) {
	s, err := b.ledger.Store(ctx, store)
	switch {
	case err != nil:
		return 0, err
	case s.Closed:
		return 0, sale.ErrUnknown
	}
	// What is published counts, though the hours may be others by now.
	id, err := b.ledger.SlotAt(ctx, store, at)
	now := sale.At(time.Now())
	if errors.Is(err, sale.ErrUnknown) || at <= now {
		if rule := s.Bookable(at, now); rule != nil {
			return 0, fmt.Errorf("%w: %w", ErrSlot, rule)
		}
	}
	return id, err
}

// What became of a booking.
const (
	Completed = "completed"
	NoShow    = "no_show"
)

// Attend notes what became of a booking of a seller's own store, once its slot has
// begun; the last word counts. sale.ErrUnknown when the receipt is no confirmed
// booking of a slot, sale.ErrNotYours, ErrEarly; sale.Faults for any other word.
func (b *Bookings) Attend(ctx context.Context, seller int64, receipt uuid.UUID, word string) error {
	if word != Completed && word != NoShow {
		return sale.Faults{{Field: "attendance", Rule: "must be completed or no_show"}}
	}
	booking, err := b.ledger.Booking(ctx, receipt)
	switch {
	case err != nil:
		return err
	case booking.Seller != seller:
		return sale.ErrNotYours
	case booking.Now < booking.StartsAt:
		return ErrEarly
	}
	return b.ledger.Attend(ctx, receipt, word)
}

// Attendance answers what was noted of these bookings; of most there is nothing.
func (b *Bookings) Attendance(ctx context.Context, receipts []uuid.UUID) (map[uuid.UUID]string, error) {
	return b.ledger.Attendance(ctx, receipts)
}
