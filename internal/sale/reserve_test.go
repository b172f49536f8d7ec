package sale_test

import (
	"testing"
	"time"

	"sluice/internal/sale"
)

// ofSales is a scene of these sales, the first of which is number 7.
func ofSales(sales ...sale.Sale) func() scene {
	return func() scene { return newScene(purses(), sales...) }
}

func TestReserve(t *testing.T) {
	speak(t, []dialogue{
		{name: "just before opening", scene: ofSales(chair()), batches: together(change(reserve("0:00", "a", alice, 1), func(e *sale.Entry) { e.ID.At-- })),
			want: []string{"rejected not_open"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "at opens_at", scene: ofSales(chair()), batches: together(reserve("0:00", "a", alice, 1)),
			want: []string{"held at 100 by 10:00"}, units: "free 0 held 1 sold 0 waiting 0"},
		{name: "at closes_at", scene: ofSales(chair()), batches: together(reserve("60:00", "a", alice, 1)), want: []string{"rejected closed"}},
		{name: "free of charge it is held, too", scene: ofSales(chair(price(0))), batches: together(reserve("0:00", "a", alice, 1), pay("1:00", alice, "a")),
			want: []string{"held by 10:00", "confirmed"}, end: []string{"a: confirmed by 10:00"}},
		{name: "nothing and less", scene: ofSales(chair()), batches: together(reserve("0:00", "a", alice, 0), reserve("0:00", "b", alice, -1)),
			want: []string{"rejected internal", "rejected internal"}},
		{name: "more than all numbers", scene: ofSales(chair(stock(3), limit(3))), batches: together(reserve("0:00", "a", alice, 1), reserve("0:00", "b", alice, 1<<63-1)),
			want: []string{"held at 100 by 10:00", "rejected over_limit"}},
		{name: "no points are needed before it is paid", scene: ofSales(chair()), set: balance(alice, 0),
			batches: together(reserve("0:00", "a", alice, 1), pay("1:00", alice, "a")), want: []string{"held at 100 by 10:00", "rejected short_points"},
			end: []string{"a: held at 100 by 10:00"}},

		// The original decremented by 1 whatever was asked.
		{name: "quantity 10 reserves 10", scene: ofSales(chair(stock(25), limit(10))),
			batches: together(reserve("0:00", "a", alice, 10), reserve("0:00", "b", bob, 10), reserve("0:00", "c", carol, 10)),
			want:    []string{"held at 100 by 10:00", "held at 100 by 10:00", "waiting at 100"}, units: "free 5 held 20 sold 0 waiting 1"},
		// The original sold half of it.
		{name: "the whole stock", scene: ofSales(chair(stock(3), line(0))),
			batches: together(reserve("0:00", "a", 1, 1), reserve("0:00", "b", 2, 1), reserve("0:00", "c", 3, 1), reserve("0:00", "d", 4, 1)),
			want:    []string{"held at 100 by 10:00", "held at 100 by 10:00", "held at 100 by 10:00", "rejected sold_out"}, units: "free 0 held 3 sold 0 waiting 0"},

		{name: "one live receipt for each buyer", scene: ofSales(chair(stock(2))),
			batches: together(reserve("0:00", "a", alice, 1), reserve("0:01", "b", alice, 1), pay("0:02", alice, "a"), reserve("0:03", "c", alice, 1)),
			want:    []string{"held at 100 by 10:00", "rejected duplicate", "confirmed at 100", "rejected duplicate"}},
		{name: "a place in line is one, too", scene: ofSales(chair()),
			batches: together(reserve("0:00", "a", alice, 1), reserve("0:01", "b", bob, 1), reserve("0:02", "c", bob, 1)),
			want:    []string{"held at 100 by 10:00", "waiting at 100", "rejected duplicate"}},
		{name: "who cancelled may reserve again", scene: ofSales(chair()),
			batches: together(reserve("0:00", "a", alice, 1), cancel("0:01", alice, "a"), reserve("0:02", "b", alice, 1)),
			want:    []string{"held at 100 by 10:00", "confirmed", "held at 100 by 10:02"}},
		{name: "and so may he whose hold has ended", scene: ofSales(chair()),
			batches: together(reserve("0:00", "a", alice, 1), reserve("10:00", "b", alice, 1)),
			want:    []string{"held at 100 by 10:00", "held at 100 by 20:00"}, end: []string{"a: expired at 100 by 10:00"}},
		{name: "the limit is over all that is live", scene: ofSales(chair(stock(2), limit(2))),
			batches: together(reserve("0:00", "a", alice, 1), reserve("0:00", "b", alice, 2), pay("0:00", alice, "a"), reserve("0:00", "c", bob, 1),
				reserve("0:00", "d", alice, 1), reserve("0:00", "e", alice, 1)),
			want: []string{"held at 100 by 10:00", "rejected over_limit", "confirmed at 100", "held at 100 by 10:00", "waiting at 100", "rejected over_limit"}},

		{name: "other verbs", scene: ofSales(chair()), batches: together(bid(opens, "a", alice, 1, 100), join("0:00", "b", alice, 1), in(lamp, claim("0:00", "c", alice)),
			refund(opens, "d", alice, "never")),
			want: []string{"rejected unknown_sale", "rejected unknown_sale", "rejected unknown_sale", "rejected not_refundable"}},
		{name: "a lamp is not reserved", batches: together(reserve("0:00", "a", alice, 1), join("0:00", "b", alice, 1), in(lamp, claim("0:00", "c", alice))),
			want: []string{"rejected unknown_sale", "rejected unknown_sale", "rejected unknown_sale"}},
		{name: "an event is joined", scene: ofSales(evening(price(100))), batches: together(reserve("0:00", "a", alice, 1), join("0:00", "b", alice, 1)),
			want: []string{"rejected unknown_sale", "confirmed at 100"}, units: "free 0 held 0 sold 1 waiting 0"},
	})
}

func TestPay(t *testing.T) {
	held := reserve("0:00", "a", alice, 1)
	speak(t, []dialogue{
		{name: "last ms", scene: ofSales(chair()), batches: together(held, change(pay("10:00", alice, "a"), func(e *sale.Entry) { e.ID.At-- })),
			want: []string{"held at 100 by 10:00", "confirmed at 100"}, end: []string{"a: confirmed at 100 by 10:00"}, units: "free 0 held 0 sold 1 waiting 0"},
		{name: "twice", scene: ofSales(chair()), batches: together(held, pay("1:00", alice, "a"), rename(pay("1:00", alice, "a"), "again")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "rejected not_payable"}},
		{name: "not yours", scene: ofSales(chair()), batches: together(held, pay("1:00", bob, "a")), want: []string{"held at 100 by 10:00", "rejected not_yours"}},
		{name: "unknown, itself, rejected, a cancel", scene: ofSales(chair()),
			batches: together(pay("0:00", alice, "never"), pay("0:00", alice, "pay "), reserve("0:00", "r", alice, 2), pay("0:00", alice, "r"),
				held, cancel("1:00", alice, "a"), pay("1:00", alice, "cancel a")),
			want: []string{"rejected not_payable", "rejected not_payable", "rejected over_limit", "rejected not_payable",
				"held at 100 by 10:00", "confirmed", "rejected not_payable"}},
		{name: "while waiting", scene: ofSales(chair()), batches: together(held, reserve("0:00", "b", bob, 1), pay("1:00", bob, "b")),
			want: []string{"held at 100 by 10:00", "waiting at 100", "rejected not_payable"}},
		{name: "cancelled", scene: ofSales(chair()), batches: together(held, cancel("1:00", alice, "a"), pay("1:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed", "rejected already_final"}},
		{name: "one that names units", scene: ofSales(chair(stock(9))), batches: together(held,
			change(pay("1:00", alice, "a"), func(e *sale.Entry) { e.Quantity = 5 }), cancel("2:00", alice, "pay a")),
			want: []string{"held at 100 by 10:00", "rejected internal", "rejected not_refundable"}},
		{name: "several units", scene: ofSales(chair(stock(3), limit(3))), set: balance(alice, 299),
			batches: together(reserve("0:00", "a", alice, 3), pay("1:00", alice, "a")), want: []string{"held at 100 by 10:00", "rejected short_points"}},
		{name: "through another sale", scene: ofSales(chair(), chair(number(9))), batches: together(held, in(9, pay("1:00", alice, "a"))),
			want: []string{"held at 100 by 10:00", "rejected not_payable"}},
		{name: "after the close, before pay_by", scene: ofSales(chair()), batches: together(reserve("55:00", "a", alice, 1), pay("64:59", alice, "a")),
			want: []string{"held at 100 by 65:00", "confirmed at 100"}},
	})
}

// A payment that comes too late is never kept for nothing, and never revives what it
// was for.
func TestPayLate(t *testing.T) {
	held := reserve("0:00", "a", alice, 1)
	speak(t, []dialogue{
		{name: "the unit is free", scene: ofSales(chair()), batches: together(held, pay("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100 for 1"},
			end:  []string{"a: expired at 100 by 10:00", "pay a: confirmed at 100"}, units: "free 0 held 0 sold 1 waiting 0"},
		{name: "somebody waited for it", scene: ofSales(chair()), batches: together(held, reserve("1:00", "b", bob, 1), pay("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "waiting at 100", "rejected expired"}, end: []string{"b: held at 100 by 20:00"}, units: "free 0 held 1 sold 0 waiting 0"},
		{name: "somebody took it", scene: ofSales(chair()), batches: together(held, reserve("10:00", "b", bob, 1), pay("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "held at 100 by 20:00", "rejected expired"}},
		{name: "he took it himself", scene: ofSales(chair(stock(2))), batches: together(held, reserve("10:00", "b", alice, 1), pay("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "held at 100 by 20:00", "rejected expired"}},
		{name: "short of points", scene: ofSales(chair()), set: balance(alice, 99), batches: together(held, pay("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "rejected short_points"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "after the close", scene: ofSales(chair()), batches: together(reserve("55:00", "a", alice, 1), pay("65:00", alice, "a")),
			want: []string{"held at 100 by 65:00", "rejected expired"}},
		{name: "twice", scene: ofSales(chair(stock(2), limit(2))), batches: together(held, pay("10:00", alice, "a"), rename(pay("10:01", alice, "a"), "again")),
			want: []string{"held at 100 by 10:00", "confirmed at 100 for 1", "rejected already_final"}, units: "free 1 held 0 sold 1 waiting 0"},
		{name: "twice, after that purchase was cancelled", scene: ofSales(chair()),
			batches: together(held, pay("10:00", alice, "a"), cancel("10:01", alice, "pay a"), rename(pay("10:02", alice, "a"), "again")),
			want:    []string{"held at 100 by 10:00", "confirmed at 100 for 1", "confirmed at 100", "rejected already_final"},
			end:     []string{"pay a: cancelled at 100"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "refused, and tried again when a unit is free", scene: ofSales(chair()),
			batches: together(held, reserve("10:00", "b", bob, 1), pay("10:01", alice, "a"), cancel("10:02", bob, "b"), rename(pay("10:03", alice, "a"), "again")),
			want:    []string{"held at 100 by 10:00", "held at 100 by 20:00", "rejected expired", "confirmed", "confirmed at 100 for 1"}},
	})
}

func TestCancel(t *testing.T) {
	held, paid := reserve("0:00", "a", alice, 1), pay("1:00", alice, "a")
	speak(t, []dialogue{
		{name: "a hold", scene: ofSales(chair()), batches: together(held, cancel("9:59", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed"}, end: []string{"a: cancelled at 100 by 10:00"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "a hold that has ended", scene: ofSales(chair()), batches: together(held, cancel("10:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "rejected already_final"}},
		{name: "a place in line", scene: ofSales(chair()), batches: together(held, reserve("0:00", "b", bob, 1), cancel("1:00", bob, "b")),
			want: []string{"held at 100 by 10:00", "waiting at 100", "confirmed"}, end: []string{"b: cancelled at 100"}, units: "free 0 held 1 sold 0 waiting 0"},
		{name: "what is paid comes back in full, and its units", scene: ofSales(chair()), batches: together(held, paid, cancel("2:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "confirmed at 100"}, end: []string{"a: cancelled at 100 by 10:00"}, units: "free 1 held 0 sold 0 waiting 0"},
		{name: "to the line", scene: ofSales(chair()), batches: together(held, paid, reserve("1:00", "b", bob, 1), cancel("2:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "waiting at 100", "confirmed at 100"},
			end:  []string{"b: held at 100 by 12:00"}, units: "free 0 held 1 sold 0 waiting 0"},
		{name: "twice", scene: ofSales(chair()), batches: together(held, cancel("1:00", alice, "a"), rename(cancel("1:00", alice, "a"), "again")),
			want: []string{"held at 100 by 10:00", "confirmed", "rejected already_final"}},
		{name: "not yours, unknown, a payment", scene: ofSales(chair()),
			batches: together(held, paid, cancel("2:00", bob, "a"), cancel("2:00", alice, "never"), cancel("2:00", alice, "pay a")),
			want:    []string{"held at 100 by 10:00", "confirmed at 100", "rejected not_yours", "rejected not_refundable", "rejected not_refundable"}},
		{name: "a refund is for auctions, a cancel is not", scene: ofSales(chair()), batches: together(held, paid, refund(after("2:00"), "r", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "rejected not_refundable"}},
		{name: "a bid", batches: together(bid(opens, "a", alice, 1, 1000), cancel("0:01", alice, "a")), want: []string{"confirmed at 1000", "rejected not_refundable"}},

		{name: "last ms of the refund window", scene: ofSales(chair(window(time.Minute))), batches: together(held, paid,
			change(cancel("61:00", alice, "a"), func(e *sale.Entry) { e.ID.At-- })), want: []string{"held at 100 by 10:00", "confirmed at 100", "confirmed at 100"}},
		{name: "at its end", scene: ofSales(chair(window(time.Minute))), batches: together(held, paid, cancel("61:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "rejected not_refundable"}},
		{name: "without a refund window what is paid stays paid", scene: ofSales(chair(window(0))), batches: together(held, paid, cancel("2:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed at 100", "rejected not_refundable"}, units: "free 0 held 0 sold 1 waiting 0"},
		{name: "and what is not may be cancelled", scene: ofSales(chair(window(0))), batches: together(held, cancel("2:00", alice, "a")),
			want: []string{"held at 100 by 10:00", "confirmed"}},
		{name: "without a refund window, free of charge", scene: ofSales(chair(window(0), price(0))),
			batches: together(held, paid, cancel("2:00", alice, "a")), want: []string{"held by 10:00", "confirmed", "confirmed"}},
		{name: "free of charge, after the close", scene: ofSales(chair(window(0), price(0))),
			batches: together(held, paid, cancel("60:00", alice, "a")), want: []string{"held by 10:00", "confirmed", "rejected not_refundable"}},
		{name: "a hold that ends after the payout", scene: ofSales(chair(window(time.Minute))),
			batches: together(reserve("55:00", "a", alice, 1), tick(after("61:00"), "p", sale.Payout), pay("62:00", alice, "a"), cancel("63:00", alice, "a")),
			want:    []string{"held at 100 by 65:00", "confirmed", "confirmed at 100", "rejected not_refundable"}},

		{name: "a seat, last ms", scene: ofSales(evening(price(100))), batches: together(join("0:00", "a", alice, 1),
			change(cancel("60:00", alice, "a"), func(e *sale.Entry) { e.ID.At-- })), want: []string{"confirmed at 100", "confirmed at 100"}},
		{name: "a seat when the doors have closed", scene: ofSales(evening(price(100))), batches: together(join("0:00", "a", alice, 1), cancel("60:00", alice, "a")),
			want: []string{"confirmed at 100", "rejected not_refundable"}},
	})
}

// The seller is paid at once when nothing can come back, and by the payout of what
// was not cancelled when it can.
func TestWhoIsPaid(t *testing.T) {
	for _, c := range []struct {
		name                   string
		sale                   sale.Sale
		entries                []sale.Entry
		alice, escrow, selling int64
	}{
		{"nobody while it is held", chair(), []sale.Entry{reserve("0:00", "a", alice, 1)}, 10_000, 0, 0},
		{"escrow", chair(), []sale.Entry{reserve("0:00", "a", alice, 1), pay("1:00", alice, "a")}, 9900, 100, 0},
		{"escrow, and back", chair(), []sale.Entry{reserve("0:00", "a", alice, 1), pay("1:00", alice, "a"), cancel("2:00", alice, "a")}, 10_000, 0, 0},
		{"the seller at once", chair(window(0)), []sale.Entry{reserve("0:00", "a", alice, 1), pay("1:00", alice, "a")}, 9900, 0, 100},
		{"the seller by the payout", chair(window(time.Minute)),
			[]sale.Entry{reserve("0:00", "a", alice, 1), pay("1:00", alice, "a"), tick(after("61:00"), "p", sale.Payout)}, 9900, 0, 100},
		{"the seller after the payout", chair(window(time.Minute)),
			[]sale.Entry{reserve("55:00", "a", alice, 1), tick(after("61:00"), "p", sale.Payout), pay("62:00", alice, "a")}, 9900, 0, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ofSales(c.sale)()
			for _, batch := range apart(numbered(c.entries, 0)...) {
				s.decide(t, batch...)
			}
			if b := s.facts.Balances; b[alice] != c.alice || b[escrow] != c.escrow || b[seller] != c.selling {
				t.Errorf("alice has %d, escrow %d, the seller %d; want %d, %d, %d", b[alice], b[escrow], b[seller], c.alice, c.escrow, c.selling)
			}
		})
	}
}
