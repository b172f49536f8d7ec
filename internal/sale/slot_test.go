package sale_test

import (
	"testing"
	"time"

	"sluice/internal/sale"
)

// slots are tables of one store: two of them at 60:00 after the opening (number 7)
// and one at 90:00 (number 9), and one of another store (number 11).
func slots(with ...func(*sale.Sale)) func() scene {
	slot := func(id, store, tables int64, starts string) sale.Sale {
		return evening(append([]func(*sale.Sale){func(s *sale.Sale) {
			s.ID, s.Escrow, s.Store, s.Stock, s.ClosesAt = id, id*10+1, store, tables, after(starts)
			s.StartsAt = s.ClosesAt
		}}, with...)...)
	}
	return ofSales(slot(7, 500, 2, "60:00"), slot(9, 500, 1, "90:00"), slot(11, 501, 1, "90:00"))
}

// move is a change of slot.
func move(clock, receipt string, buyer int64, target string, from, to int64) sale.Entry {
	e := in(to, reserve(clock, receipt, buyer, 1))
	e.Target, e.From = name(target), from
	return e
}

func TestSlot(t *testing.T) {
	speak(t, []dialogue{
		{name: "free of charge", scene: slots(), batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 2, 1), reserve("0:00", "c", 3, 1)),
			want: []string{"confirmed", "confirmed", "waiting"}, units: "free 0 held 0 sold 2 waiting 1"},
		{name: "capacity is per slot", scene: slots(), batches: together(reserve("0:00", "a", 1, 1), in(9, reserve("0:00", "b", 1, 1)), in(9, reserve("0:00", "c", 2, 1))),
			want: []string{"confirmed", "confirmed", "waiting"}},
		{name: "one booking for each buyer and slot", scene: slots(), batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 1, 1), reserve("0:00", "c", 2, 2)),
			want: []string{"confirmed", "rejected duplicate", "rejected over_limit"}},
		{name: "until it begins", scene: slots(), batches: together(change(reserve("60:00", "a", 1, 1), func(e *sale.Entry) { e.ID.At-- }), reserve("60:00", "b", 2, 1)),
			want: []string{"confirmed", "rejected closed"}},
		{name: "a freed table goes to the first in line, and is his at once", scene: slots(),
			batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 2, 1), reserve("0:00", "c", 3, 1), reserve("0:00", "d", 4, 1), cancel("1:00", 1, "a")),
			want:    []string{"confirmed", "confirmed", "waiting", "waiting", "confirmed"}, end: []string{"c: confirmed", "d: waiting"}},
		{name: "at a price it is held for him, since promotion never charges", scene: slots(price(100)),
			batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 2, 1), reserve("0:00", "c", 3, 1), cancel("1:00", 1, "a"), pay("2:00", 3, "c")),
			want:    []string{"confirmed at 100", "confirmed at 100", "waiting at 100", "confirmed at 100", "confirmed at 100"},
			end:     []string{"c: confirmed at 100 by 11:00"}, units: "free 0 held 0 sold 2 waiting 0"},
		{name: "short of points at a price", scene: slots(price(100)), set: balance(1, 99), batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 2, 1)),
			want: []string{"rejected short_points", "confirmed at 100"}},
		{name: "its beginning cannot be moved", scene: slots(), batches: together(change(grow(opens, "g", seller, 0), func(e *sale.Entry) { e.ClosesAt = after("70:00") })),
			want: []string{"rejected over_limit"}},
		{name: "it is not joined", scene: slots(), batches: together(join("0:00", "a", 1, 1)), want: []string{"rejected unknown_sale"}},
	})
}

// The new table and the old one back, or nothing.
func TestChangeOfSlot(t *testing.T) {
	a := reserve("0:00", "a", alice, 1)
	full := in(9, reserve("0:00", "x", dave, 1))
	speak(t, []dialogue{
		{name: "to a free table", scene: slots(), batches: together(a, move("1:00", "m", alice, "a", 7, 9)),
			want: []string{"confirmed", "confirmed"}, end: []string{"a: cancelled", "m: confirmed"}, units: "free 2 held 0 sold 0 waiting 0"},
		{name: "to a full slot: the old table stays", scene: slots(), batches: together(a, full, move("1:00", "m", alice, "a", 7, 9)),
			want: []string{"confirmed", "confirmed", "rejected sold_out"}, end: []string{"a: confirmed"}, units: "free 1 held 0 sold 1 waiting 0"},
		{name: "the old table goes to its line", scene: slots(),
			batches: together(a, reserve("0:00", "b", bob, 1), reserve("0:00", "c", carol, 1), move("1:00", "m", alice, "a", 7, 9)),
			want:    []string{"confirmed", "confirmed", "waiting", "confirmed"}, end: []string{"c: confirmed"}, units: "free 0 held 0 sold 2 waiting 0"},
		{name: "there and back", scene: slots(), batches: together(a, move("1:00", "m", alice, "a", 7, 9), move("2:00", "n", alice, "m", 9, 7)),
			want: []string{"confirmed", "confirmed", "confirmed"}, end: []string{"m: cancelled", "n: confirmed"}},
		{name: "two change places with nobody: neither loses", scene: slots(), batches: together(a, reserve("0:00", "b", bob, 1), full,
			move("1:00", "m", alice, "a", 7, 9), move("1:00", "n", dave, "x", 9, 7)),
			want: []string{"confirmed", "confirmed", "confirmed", "rejected sold_out", "rejected sold_out"}, end: []string{"a: confirmed", "x: confirmed"}},
		{name: "a place in line for a table", scene: slots(), batches: together(a, full, in(9, reserve("0:00", "w", bob, 1)), move("1:00", "m", bob, "w", 9, 7)),
			want: []string{"confirmed", "confirmed", "waiting", "confirmed"}, end: []string{"w: cancelled"}, units: "free 0 held 0 sold 2 waiting 0"},
		{name: "who has one there already", scene: slots(), batches: together(a, in(9, reserve("0:00", "b", alice, 1)), move("1:00", "m", alice, "a", 7, 9)),
			want: []string{"confirmed", "confirmed", "rejected duplicate"}, end: []string{"a: confirmed", "b: confirmed"}},
		{name: "not yours, unknown, gone, itself", scene: slots(), batches: together(a, move("1:00", "m", bob, "a", 7, 9), move("1:00", "n", alice, "never", 7, 9),
			move("1:00", "o", alice, "a", 7, 7), cancel("2:00", alice, "a"), move("3:00", "p", alice, "a", 7, 9)),
			want: []string{"confirmed", "rejected not_yours", "rejected not_refundable", "rejected not_refundable", "confirmed", "rejected already_final"}},
		{name: "from where it is not", scene: slots(), batches: together(a, move("1:00", "m", alice, "a", 9, 7), move("1:00", "n", alice, "a", 99, 9)),
			want: []string{"confirmed", "rejected not_refundable", "rejected unknown_sale"}},
		{name: "to another store", scene: slots(), batches: together(a, move("1:00", "m", alice, "a", 7, 11)), want: []string{"confirmed", "rejected unknown_sale"}},
		{name: "with a coupon", scene: slots(), batches: together(a, with("c", move("1:00", "m", alice, "a", 7, 9))), want: []string{"confirmed", "rejected coupon_unusable"}},
		{name: "after it has begun", scene: slots(), batches: together(a, move("60:00", "m", alice, "a", 7, 9)), want: []string{"confirmed", "rejected not_refundable"}},
		{name: "to one that has begun", scene: slots(), batches: together(in(9, a), move("60:00", "m", alice, "a", 9, 7)), want: []string{"confirmed", "rejected closed"}},
		{name: "at a price: what he has is what he pays with", scene: slots(price(100)), set: balance(alice, 100), batches: together(a, move("1:00", "m", alice, "a", 7, 9)),
			want: []string{"confirmed at 100", "confirmed at 100"}, end: []string{"a: cancelled at 100"}},
		{name: "without a refund window what is paid stays where it is", scene: slots(price(100), window(0)), batches: together(a, move("1:00", "m", alice, "a", 7, 9)),
			want: []string{"confirmed at 100", "rejected not_refundable"}},
		{name: "a hold that nobody has paid, short of points", scene: slots(price(100)), set: balance(carol, 99),
			batches: together(a, reserve("0:00", "b", bob, 1), reserve("0:00", "c", carol, 1), cancel("1:00", alice, "a"), move("2:00", "m", carol, "c", 7, 9)),
			want:    []string{"confirmed at 100", "confirmed at 100", "waiting at 100", "confirmed at 100", "rejected short_points"}, end: []string{"c: held at 100 by 11:00"}},
		{name: "a hold that has ended", scene: slots(price(100)),
			batches: together(a, reserve("0:00", "b", bob, 1), reserve("0:00", "c", carol, 1), cancel("1:00", alice, "a"), move("11:00", "m", carol, "c", 7, 9)),
			want:    []string{"confirmed at 100", "confirmed at 100", "waiting at 100", "confirmed at 100", "rejected already_final"}, end: []string{"c: expired at 100 by 11:00"}},
	})
}

// A change at a price moves points twice: back from the old escrow, into the new.
func TestChangeOfSlotPays(t *testing.T) {
	s := slots(price(100), window(time.Hour))()
	s.decide(t, numbered([]sale.Entry{reserve("0:00", "a", alice, 1), move("1:00", "m", alice, "a", 7, 9)}, 0)...)
	if b := s.facts.Balances; b[alice] != 9900 || b[71] != 0 || b[91] != 100 {
		t.Errorf("alice has %d, the old escrow %d, the new %d", b[alice], b[71], b[91])
	}
}
