package sale_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

func TestClaim(t *testing.T) {
	speak(t, []dialogue{
		{name: "one each", scene: ofSales(chair(), voucher()), batches: together(claim("0:00", "c", alice), claim("0:00", "d", alice), claim("0:00", "e", bob)),
			want: []string{"confirmed", "rejected duplicate", "confirmed"}},
		{name: "until they are gone", scene: ofSales(chair(), voucher(stock(1))), batches: together(claim("0:00", "c", alice), claim("0:00", "d", bob)),
			want: []string{"confirmed", "rejected sold_out"}},
		{name: "two at once", scene: ofSales(chair(), voucher()), batches: together(change(claim("0:00", "c", alice), func(e *sale.Entry) { e.Quantity = 2 })),
			want: []string{"rejected over_limit"}},
		{name: "before and after", scene: ofSales(chair(), voucher()), batches: together(change(claim("0:00", "c", alice), func(e *sale.Entry) { e.ID.At-- }),
			claim("60:00", "d", alice)), want: []string{"rejected not_open", "rejected closed"}},
		{name: "not valid yet, valid, not valid any more",
			scene: ofSales(chair(), voucher(func(s *sale.Sale) { s.ValidFrom, s.ValidUntil = after("1:00"), after("2:00") })),
			batches: together(change(claim("1:00", "c", alice), func(e *sale.Entry) { e.ID.At-- }), claim("1:00", "d", alice),
				change(claim("2:00", "e", bob), func(e *sale.Entry) { e.ID.At-- }), claim("2:00", "f", carol)),
			want: []string{"rejected coupon_unusable", "confirmed", "confirmed", "rejected coupon_unusable"}},
		{name: "is not cancelled, nor paid", scene: ofSales(chair(), voucher()), batches: together(claim("0:00", "c", alice), in(8, cancel("0:01", alice, "c")), in(8, pay("0:01", alice, "c"))),
			want: []string{"confirmed", "rejected not_refundable", "rejected not_payable"}},
		{name: "other verbs", scene: ofSales(chair(), voucher()), batches: together(in(8, reserve("0:00", "a", alice, 1)), in(8, join("0:00", "b", alice, 1)), in(8, bid(opens, "c", alice, 1, 0))),
			want: []string{"rejected unknown_sale", "rejected unknown_sale", "rejected unknown_sale"}},
	})
}

// bulb is the lamp at a price that does not fall, number 9.
func bulb(with ...func(*sale.Sale)) sale.Sale {
	s := auction()
	s.ID, s.Escrow, s.OpensAt, s.ClosesAt = 9, 91, opens, closes
	s.Price = constant(100, 1, 10*time.Minute)
	for _, change := range with {
		change(&s)
	}
	return s
}

func TestCoupon(t *testing.T) {
	c, held := claim("0:00", "c", alice), with("c", reserve("1:00", "a", alice, 1))
	two := func(change ...func(*sale.Sale)) func() scene {
		return ofSales(chair(append([]func(*sale.Sale){stock(5), limit(5)}, change...)...), voucher())
	}
	bidOn := func(clock, receipt string, buyer int64) sale.Entry {
		return in(9, bid(after(clock), receipt, buyer, 1, 100))
	}
	begin := []string{"confirmed", "held at 100 less 30 by 11:00"}
	speak(t, []dialogue{
		{name: "off a reservation", scene: two(), batches: together(c, held, pay("2:00", alice, "a")),
			want: append(begin, "confirmed at 100"), end: []string{"a: confirmed at 100 less 30 by 11:00"}},
		{name: "once for all units", scene: two(), batches: together(c, with("c", reserve("1:00", "a", alice, 3))), want: []string{"confirmed", "held at 100 less 30 by 11:00"}},
		{name: "never below 0", scene: two(price(20)), batches: together(c, held, pay("2:00", alice, "a")),
			want: []string{"confirmed", "held at 20 less 20 by 11:00", "confirmed at 20"}},
		{name: "off an auction whose price does not fall", scene: ofSales(bulb(number(lamp)), voucher()),
			batches: together(c, with("c", bid(after("1:00"), "a", alice, 1, 100))), want: []string{"confirmed", "confirmed at 100 less 30"}},
		{name: "enough points with it", scene: ofSales(bulb(number(lamp)), voucher()), set: balance(alice, 70),
			batches: together(c, with("c", bid(after("1:00"), "a", alice, 1, 100))), want: []string{"confirmed", "confirmed at 100 less 30"}},
		{name: "not off one whose price falls", scene: ofSales(auctionAt(opens), voucher()),
			batches: together(c, with("c", bid(after("1:00"), "a", alice, 1, 1000))), want: []string{"confirmed", "rejected coupon_unusable"}},
		{name: "not off a seat", scene: ofSales(chair(), voucher(), evening(price(100), number(9))),
			batches: together(c, in(9, with("c", join("1:00", "a", alice, 1)))), want: []string{"confirmed", "rejected coupon_unusable"}},

		{name: "used once", scene: two(), batches: together(c, held, with("c", reserve("1:01", "b", alice, 1))), want: append(begin, "rejected coupon_unusable")},
		{name: "used once, on another sale", scene: ofSales(chair(), voucher(), bulb()), batches: together(c, held, with("c", bidOn("1:01", "b", alice))),
			want: append(begin, "rejected coupon_unusable")},
		{name: "used while it waits", scene: ofSales(chair(), voucher(), bulb()),
			batches: together(c, reserve("0:30", "z", bob, 1), held, with("c", bidOn("1:01", "b", alice)), cancel("2:00", bob, "z")),
			want:    []string{"confirmed", "held at 100 by 10:30", "waiting at 100 less 30", "rejected coupon_unusable", "confirmed"},
			end:     []string{"a: held at 100 less 30 by 12:00"}},
		{name: "by its owner", scene: two(), batches: together(c, with("c", reserve("1:00", "a", bob, 1))), want: []string{"confirmed", "rejected coupon_unusable"}},
		{name: "of the same seller", scene: ofSales(chair(), voucher(func(s *sale.Sale) { s.Seller++ })), batches: together(c, held), want: []string{"confirmed", "rejected coupon_unusable"}},
		{name: "one that nobody has claimed", scene: two(), batches: together(with("never", reserve("1:00", "a", alice, 1))), want: []string{"rejected coupon_unusable"}},
		{name: "a claim that was refused", scene: ofSales(chair(), voucher(stock(1))), batches: together(claim("0:00", "d", bob), c, held),
			want: []string{"confirmed", "rejected sold_out", "rejected coupon_unusable"}},
		{name: "a receipt that is no coupon", scene: two(), batches: together(reserve("0:00", "z", alice, 1), with("z", reserve("1:00", "a", alice, 1))),
			want: []string{"held at 100 by 10:00", "rejected coupon_unusable"}},
		{name: "valid until just before valid_until", scene: ofSales(chair(stock(5)), voucher(func(s *sale.Sale) { s.ValidUntil = after("1:00") })),
			batches: together(c, held, change(with("c", reserve("1:00", "b", alice, 1)), func(e *sale.Entry) { e.ID.At-- })),
			want:    []string{"confirmed", "rejected coupon_unusable", "held at 100 less 30 by 10:59.999"}},
		{name: "not before valid_from, though it was claimed: another partition's clock may be ahead", scene: two(), set: func(s scene) {
			s.facts.Coupons[name("c")] = sale.CouponStand{Sale: 8, Buyer: alice, Seller: seller, Amount: 30, ValidFrom: after("1:01"), ValidUntil: after("2:00")}
		}, batches: together(held, with("c", reserve("1:01", "b", alice, 1))), want: []string{"rejected coupon_unusable", "held at 100 less 30 by 11:01"}},
		{name: "a refused request does not use it", scene: two(), batches: together(c, with("c", reserve("0:30", "z", alice, 9)), held),
			want: []string{"confirmed", "rejected over_limit", "held at 100 less 30 by 11:00"}},

		{name: "freed by a cancel", scene: two(), batches: together(c, held, cancel("2:00", alice, "a"), with("c", reserve("3:00", "b", alice, 1))),
			want: append(begin, "confirmed", "held at 100 less 30 by 13:00")},
		{name: "freed by a cancel of what was paid, with what was paid", scene: two(),
			batches: together(c, held, pay("1:30", alice, "a"), cancel("2:00", alice, "a"), with("c", reserve("3:00", "b", alice, 1))),
			want:    append(begin, "confirmed at 100", "confirmed at 100", "held at 100 less 30 by 13:00")},
		{name: "freed by a refund", scene: ofSales(bulb(number(lamp)), voucher(), chair(number(9))),
			batches: together(c, with("c", bid(after("1:00"), "a", alice, 1, 100)), refund(after("10:00"), "r", alice, "a"), in(9, with("c", reserve("11:00", "b", alice, 1)))),
			want:    []string{"confirmed", "confirmed at 100 less 30", "confirmed at 100", "held at 100 less 30 by 21:00"}},
		{name: "freed when the hold ends", scene: two(), batches: together(c, held, with("c", reserve("11:00", "b", alice, 1))),
			want: append(begin, "held at 100 less 30 by 21:00")},
		{name: "freed when the line is rejected", scene: ofSales(chair(), voucher(), chair(number(9), func(s *sale.Sale) { s.ClosesAt = after("90:00") })),
			batches: together(c, reserve("55:00", "z", bob, 1), with("c", reserve("56:00", "a", alice, 1)), tick(after("60:00"), "t", sale.Close),
				in(9, with("c", reserve("61:00", "b", alice, 1)))),
			want: []string{"confirmed", "held at 100 by 65:00", "waiting at 100 less 30", "confirmed", "held at 100 less 30 by 71:00"}},
		{name: "not freed after valid_until", scene: ofSales(chair(stock(5)), voucher(func(s *sale.Sale) { s.ValidUntil = after("2:00") })),
			batches: together(c, held, cancel("2:00", alice, "a"), with("c", reserve("2:00", "b", alice, 1))),
			want:    append(begin, "confirmed", "rejected coupon_unusable")},
		{name: "a payment that is too late has none to buy with", scene: two(), batches: together(c, held, pay("11:00", alice, "a")),
			want: append(begin, "rejected expired")},
	})
}

// auctionAt is the lamp, opening at a moment.
func auctionAt(at sale.Instant) sale.Sale {
	s := auction()
	s.OpensAt, s.ClosesAt = at, at.Add(10*time.Minute)
	return s
}

// What a coupon is used by is an effect; that it was made is not: the receipt of the
// claim says so.
func TestCouponEffects(t *testing.T) {
	s := ofSales(chair(stock(5), limit(5)), voucher())()
	for i, step := range []struct {
		entry sale.Entry
		want  []sale.CouponEffect
	}{
		{claim("0:00", "c", alice), nil},
		{with("c", reserve("1:00", "a", alice, 1)), []sale.CouponEffect{{Coupon: name("c"), UsedBy: name("a")}}},
		{with("c", reserve("1:01", "b", alice, 1)), nil},
		{cancel("2:00", alice, "a"), []sale.CouponEffect{{Coupon: name("c")}}},
	} {
		_, effects := s.decide(t, numbered([]sale.Entry{step.entry}, i)...)
		if got := effects.Coupons; len(got) != len(step.want) || len(got) == 1 && got[0] != step.want[0] {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
	}
	if got := s.facts.Coupons[name("c")]; got.UsedBy != uuid.Nil || got.Buyer != alice || got.Seller != seller || got.Amount != 30 || got.Sale != 8 {
		t.Errorf("the coupon is %+v", got)
	}
}
