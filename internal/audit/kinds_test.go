package audit_test

import (
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// The sales of the other kinds, and who asks for them. Those of one store are both in
// partition 1.
const (
	chairs  = 8  // reservation: 2 for 100 each, 3 may wait
	bulk    = 9  // reservation: 4, and one who waits may be passed once
	offs    = 10 // coupon: 3 of 30 points off
	evening = 11 // event: 2 seats, free of charge
	concert = 12 // event: 1 seat for 50
	gala    = 13 // reservation: closes, and is paid out while somebody still holds
	lamp    = 14 // auction at a fixed price
	slot    = 15 // of a store with one table
	later   = 16 // the next slot

	a = first
	b = first + 1
	c = first + 2
	d = first + 3
	e = first + 4
	f = first + 5
)

// placeOf is the partition of a sale of the history.
func placeOf(id int64) int {
	if id == later {
		return 1
	}
	return int(id % partitions)
}

// beginKinds adds the sales of the other kinds to a house.
func (h *house) beginKinds(now sale.Instant) {
	h.t.Helper()
	hundred, nothing := sale.Price{Policy: sale.Fixed, Start: 100}, sale.Price{Policy: sale.Fixed}
	const tenMinutes, minute, day = 10 * time.Minute, time.Minute, 24 * time.Hour
	end := now + 3_000_000
	var store int64
	h.must(h.pg.QueryRow(h.t.Context(), `
		insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes)
		values (1, $1, 'lamp and table', 'UTC', 1, 20, 3600000, 600000, 14, '{0,0,0,0,0,0,0}', '{1410,1410,1410,1410,1410,1410,1410}')
		returning id`, seller).Scan(&store))
	for _, s := range []sale.Sale{
		chairs:  {Kind: sale.Reservation, Price: hundred, Stock: 2, Limit: 2, Hold: tenMinutes, LineMost: 3, RefundWindow: time.Hour},
		bulk:    {Kind: sale.Reservation, Price: sale.Price{Policy: sale.Fixed, Start: 10}, Stock: 4, Limit: 4, Hold: tenMinutes, LineMost: 5, MaxBypass: 1, RefundWindow: time.Hour},
		offs:    {Kind: sale.Coupon, Price: nothing, Stock: 3, Limit: 1, AmountOff: 30, ValidFrom: now - 5_000, ValidUntil: now + 2_000_000},
		evening: {Kind: sale.Event, Price: nothing, Stock: 2, Limit: 1, Hold: minute, LineMost: 2, StartsAt: end.Add(day)},
		concert: {Kind: sale.Event, Price: sale.Price{Policy: sale.Fixed, Start: 50}, Stock: 1, Limit: 1, Hold: minute, LineMost: 2, RefundWindow: time.Hour},
		gala:    {Kind: sale.Reservation, Price: hundred, Stock: 2, Limit: 1, ClosesAt: now + 200_000, Hold: tenMinutes, LineMost: 2, RefundWindow: time.Minute},
		lamp: {Kind: sale.Auction, Price: sale.Price{Policy: sale.Constant, Start: 500, Drop: 1, Period: time.Minute}, Stock: 5, Limit: 2,
			OpensAt: now + 120_000, ClosesAt: now + 180_000, RefundWindow: time.Hour},
		slot:  {Kind: sale.Event, Price: sale.Price{Policy: sale.Fixed, Start: 20}, Stock: 1, Limit: 1, Hold: tenMinutes, LineMost: 100, RefundWindow: time.Hour, Store: store},
		later: {Kind: sale.Event, Price: sale.Price{Policy: sale.Fixed, Start: 20}, Stock: 1, Limit: 1, Hold: tenMinutes, LineMost: 100, RefundWindow: time.Hour, Store: store},
	}[chairs:] {
		s.Seller = seller
		if s.OpensAt == 0 {
			s.OpensAt = now - 5_000
		}
		if s.ClosesAt == 0 {
			s.ClosesAt = end
		}
		if s.Store != 0 {
			s.Partition, s.StartsAt = 1, end
			end += 1_800_000 // the next one
		}
		h.sale(s)
	}
}

// asks queues a request of a buyer.
func (h *house) asks(verb sale.Verb, of, buyer, quantity int64, more ...func(*sale.Request)) uuid.UUID {
	h.t.Helper()
	r := sale.Request{Verb: verb, Sale: of, Buyer: buyer, Quantity: quantity}
	for _, change := range more {
		change(&r)
	}
	return h.ask(placeOf(of), r, partition.Anytime)
}

func with(coupon uuid.UUID) func(*sale.Request) {
	return func(r *sale.Request) { r.Coupon = coupon }
}

func about(target uuid.UUID) func(*sale.Request) {
	return func(r *sale.Request) { r.Target = target }
}

func instead(target uuid.UUID, of int64) func(*sale.Request) {
	return func(r *sale.Request) { r.Target, r.From = target, of }
}

// tick queues one that was due then.
func (h *house) tick(verb sale.Verb, of int64, due sale.Instant) {
	h.t.Helper()
	p := placeOf(of)
	h.becomes(h.ask(p, sale.Request{Receipt: sale.TickReceiptID(p, of, verb, due), Verb: verb, Sale: of}, partition.From(due)), "confirmed")
}

// kinds lives through everything that can happen to a reservation, a coupon, an event
// and a slot. The clock stands at now + 121 s or before.
func (h *house) kinds(now sale.Instant) {
	h.t.Helper()
	h.consume()() // opens the partitions
	h.must(h.ledger.Watch(h.t.Context(), a, coming))
	_, err := h.ledger.Announce(h.t.Context(), now+3_000_000, 10)
	h.must(err)
	h.jump(now + 130_000)

	// Queued together: whatever happens in one batch.
	paid := h.asks(sale.Reserve, chairs, a, 2)
	next := h.asks(sale.Reserve, chairs, b, 1)
	third := h.asks(sale.Reserve, chairs, c, 1)
	leaves := h.asks(sale.Reserve, chairs, d, 2)
	full := h.asks(sale.Reserve, chairs, e, 1)
	claims := []uuid.UUID{h.asks(sale.Claim, offs, a, 1), h.asks(sale.Claim, offs, b, 1)}
	table := h.asks(sale.Reserve, slot, a, 1)
	waits := h.asks(sale.Reserve, slot, b, 1)
	moved := h.asks(sale.Reserve, later, a, 1, instead(table, slot))
	stop := h.consume()
	defer stop()
	h.becomes(paid, "held")
	h.becomes(next, "waiting")
	h.becomes(third, "waiting")
	h.becomes(leaves, "waiting")
	h.becomes(full, "rejected line_full")
	h.becomes(claims[1], "confirmed")
	h.becomes(table, "cancelled")
	h.becomes(waits, "held") // on the table that has become free
	h.becomes(moved, "confirmed")

	h.becomes(h.asks(sale.Reserve, later, b, 1, instead(waits, slot)), "rejected sold_out")
	h.becomes(h.asks(sale.Pay, slot, b, 0, about(waits)), "confirmed")
	h.must(h.ledger.Attend(h.t.Context(), waits, "completed"))

	h.becomes(h.asks(sale.Reserve, chairs, a, 1), "rejected over_limit")
	h.becomes(h.asks(sale.Pay, chairs, a, 0, about(paid)), "confirmed")
	h.becomes(h.asks(sale.Cancel, chairs, a, 0, about(paid)), "confirmed") // both who wait for one are held
	h.becomes(h.asks(sale.Cancel, chairs, d, 0, about(leaves)), "confirmed")
	h.becomes(h.asks(sale.Pay, chairs, b, 0, about(third)), "rejected not_yours")
	_, err = h.ledger.RemindHolds(h.t.Context(), now+729_000, 100)
	h.must(err)

	h.becomes(h.asks(sale.Claim, offs, a, 1), "rejected duplicate")
	h.becomes(h.asks(sale.Claim, offs, e, 1), "confirmed")
	h.becomes(h.asks(sale.Claim, offs, c, 1), "rejected sold_out")
	kept := h.asks(sale.Claim, offs, f, 1)
	h.becomes(kept, "rejected sold_out")
	small := h.asks(sale.Reserve, bulk, a, 2, with(claims[0])) // worth 20: in another partition than the coupon
	h.becomes(small, "held")
	h.becomes(h.asks(sale.Pay, bulk, a, 0, about(small)), "confirmed") // with nothing
	h.becomes(h.asks(sale.Reserve, bulk, a, 1, with(claims[0])), "rejected coupon_unusable")
	h.becomes(h.asks(sale.Bid, lamp, b, 1, with(claims[1]), func(r *sale.Request) { r.Price = 500 }), "confirmed")

	gone := h.asks(sale.Reserve, bulk, b, 1)
	h.becomes(gone, "held")
	large := h.asks(sale.Reserve, bulk, c, 3)
	h.becomes(large, "waiting")
	passes := h.asks(sale.Reserve, bulk, d, 1)
	h.becomes(passes, "held")
	h.becomes(h.asks(sale.Reserve, bulk, e, 1, with(h.coupon(e))), "waiting")
	h.becomes(h.asks(sale.Cancel, bulk, b, 0, about(gone)), "confirmed")
	h.becomes(h.asks(sale.Reserve, bulk, f, 1), "waiting") // one is free, but who waits for three was passed once
	h.becomes(h.asks(sale.Cancel, bulk, d, 0, about(passes)), "confirmed")
	h.becomes(h.asks(sale.Change, bulk, seller, 1), "confirmed") // three: his turn has come

	seat := h.asks(sale.Join, evening, a, 1)
	h.becomes(seat, "confirmed")
	h.becomes(h.asks(sale.Join, evening, b, 1), "confirmed")
	h.becomes(h.asks(sale.Join, evening, c, 1), "waiting")
	h.becomes(h.asks(sale.Join, evening, d, 1), "waiting")
	h.becomes(h.asks(sale.Join, evening, e, 1), "rejected line_full")
	h.becomes(h.asks(sale.Cancel, evening, a, 0, about(seat)), "confirmed")
	_, err = h.ledger.RemindStarts(h.t.Context(), now+3_000_001, 10)
	h.must(err)

	ticket := h.asks(sale.Join, concert, a, 1)
	h.becomes(ticket, "confirmed")
	h.becomes(h.asks(sale.Join, concert, b, 1), "waiting")
	last := h.asks(sale.Join, concert, poor, 1)
	h.becomes(last, "waiting")
	h.becomes(h.asks(sale.Cancel, concert, a, 0, about(ticket)), "confirmed")

	guest := h.asks(sale.Reserve, gala, a, 1)
	h.becomes(guest, "held")
	other := h.asks(sale.Reserve, gala, b, 1)
	h.becomes(other, "held")
	h.becomes(h.asks(sale.Reserve, gala, c, 1), "waiting")

	h.jump(now + 200_000)
	h.tick(sale.Expire, concert, now+190_000) // b has not paid, so it is poor's
	h.becomes(h.asks(sale.Pay, concert, poor, 0, about(last)), "confirmed")
	h.tick(sale.Close, gala, now+200_000)
	h.becomes(h.asks(sale.Cancel, gala, b, 0, about(other)), "confirmed")
	h.jump(now + 261_000)
	h.tick(sale.Payout, gala, now+260_000)
	h.becomes(h.asks(sale.Pay, gala, a, 0, about(guest)), "confirmed") // to the seller himself

	h.jump(now + 740_000)
	h.tick(sale.Expire, bulk, now+730_000) // c has not paid for his three
	h.tick(sale.Expire, chairs, now+730_000)
	late := h.asks(sale.Pay, chairs, b, 0, about(next))
	h.becomes(late, "confirmed")
	h.becomes(h.asks(sale.Pay, chairs, b, 0, about(next)), "rejected already_final")
	h.becomes(h.asks(sale.Pay, chairs, c, 0, about(third)), "confirmed")
	h.becomes(h.asks(sale.Cancel, chairs, b, 0, about(late)), "confirmed")
	h.becomes(h.asks(sale.Reserve, chairs, d, 1), "held")
	h.becomes(h.asks(sale.Reserve, chairs, e, 1), "waiting")
	h.becomes(h.asks(sale.Reserve, chairs, f, 1), "waiting")

	h.jump(now + 1_335_000) // those who came after him have not paid either, and have their coupon back
	h.becomes(h.asks(sale.Reserve, bulk, e, 1, with(h.coupon(e))), "held")
}

// coupon answers the coupon of a buyer.
func (h *house) coupon(buyer int64) (id uuid.UUID) {
	h.t.Helper()
	h.must(h.pg.QueryRow(h.t.Context(), `
		select id
		from coupons
		where buyer = $1`, buyer).Scan((*[16]byte)(&id)))
	return id
}
