package ledger

import (
	"errors"
	"maps"
	"testing"
	"time"

	"sluice/internal/sale"
)

func TestSummary(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	b.must(b.Settle(b.ctx, b.batch(s, 100)))
	sum, err := b.Summary(b.ctx, s.ID)
	b.must(err)
	if sum.Sale != s.ID || sum.Seller != b.seller || sum.State != sale.ShownOpen || sum.Stock != 10 || sum.Free != 9 || sum.Sold != 1 ||
		sum.Revenue != 90 || sum.Refunded != 0 || sum.PaidOut || !maps.Equal(sum.Receipts, map[sale.Status]int64{sale.Confirmed: 1}) {
		t.Errorf("%+v", sum)
	}
	_, err = b.pool.Exec(b.ctx, `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		select gen_random_uuid(), $1::bigint, 7, 'bid', 2, 80, 'refunded', 0, 0, now()
		from generate_series(1, 3)
		union all
		select gen_random_uuid(), $1, $2::bigint, 'change', 2, 0, 'confirmed', 0, 0, now()`, s.ID, b.seller)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `
		update sales
		set closes_at = now(), payout_at = now(), paid_out = true
		where id = $1`, s.ID)
	b.must(err)
	sum, err = b.Summary(b.ctx, s.ID)
	b.must(err)
	if sum.State != sale.ShownClosed || sum.Revenue != 90 || sum.Refunded != 0 || !sum.PaidOut ||
		!maps.Equal(sum.Receipts, map[sale.Status]int64{sale.Confirmed: 1, sale.Refunded: 3}) {
		t.Errorf("%+v", sum)
	}
	if _, err := b.Summary(b.ctx, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
}

// TestSummaryOfEveryEnd: a reservation with one of each, a change in the line, and
// what was turned away, at once and at the close.
func TestSummaryOfEveryEnd(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 3, Limit: 2, LineMost: 2, Price: sale.Price{Start: 25}, RefundWindow: 2 * time.Hour, Hold: 20 * time.Minute})
	who := st.buyers(9, 100)
	reserve := func(i int, more ...func(*sale.Request)) sale.Entry {
		return st.ask(sale.Reserve, s.ID, who[i], more...)
	}
	paid, given, ending := reserve(0), reserve(1), reserve(2)
	st.settle(paid, given, ending, reserve(3, units(3)), reserve(4, units(2)), reserve(5), reserve(6), reserve(7))
	st.settle(st.ask(sale.Pay, s.ID, who[0], about(paid.Receipt)), st.ask(sale.Pay, s.ID, who[1], about(given.Receipt)),
		st.ask(sale.Pay, s.ID, who[7], about(given.Receipt))) // not his: no request to buy
	st.later(time.Minute)
	st.settle(st.ask(sale.Cancel, s.ID, who[1], about(given.Receipt))) // its unit is too little for the first in line
	sum, err := st.Summary(st.ctx, s.ID)
	st.must(err)
	if sum.Kind != sale.Reservation || sum.Free != 1 || sum.Held != 1 || sum.Sold != 1 || sum.Waiting != 2 || sum.Revenue != 25 || sum.Refunded != 25 ||
		!maps.Equal(sum.Receipts, map[sale.Status]int64{sale.Confirmed: 1, sale.Cancelled: 1, sale.Held: 1, sale.Waiting: 2, sale.Rejected: 3}) ||
		!maps.Equal(sum.Rejections, map[sale.Reason]int64{sale.OverLimit: 1, sale.LineFull: 2}) {
		t.Errorf("%+v", sum)
	}
	// The hold ends, both in line are promoted, one after the other, and do not pay.
	st.later(time.Hour)
	st.settle(st.ask(sale.Close, s.ID, 0), reserve(8), reserve(8))
	sum, err = st.Summary(st.ctx, s.ID)
	st.must(err)
	if sum.Waiting != 0 || sum.Held != 0 || sum.Free != 2 || sum.Sold != 1 || sum.Revenue != 25 || sum.Refunded != 25 ||
		!maps.Equal(sum.Receipts, map[sale.Status]int64{sale.Confirmed: 1, sale.Cancelled: 1, sale.Expired: 3, sale.Rejected: 5}) ||
		!maps.Equal(sum.Rejections, map[sale.Reason]int64{sale.OverLimit: 1, sale.LineFull: 2, sale.Closed: 2}) {
		t.Errorf("%+v", sum)
	}
}

// TestRejectionsAreCountedOnce: what is settled a second time is not counted again,
// nor is what nobody could look up: a sale that there is not.
func TestRejectionsAreCountedOnce(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Coupon, Stock: 1})
	who := st.buyers(3, 0)
	refused := st.ask(sale.Claim, s.ID, who[1])
	st.settle(st.ask(sale.Claim, s.ID, who[0]), refused)
	again := st.ask(sale.Claim, s.ID, who[2])
	st.settle(again)
	w := newWrites(&sale.Batch{
		Entries: []sale.Entry{st.ask(sale.Claim, 404, who[1]), again}, State: sale.State{s.ID: nil},
		Decision: sale.Decision{Outcomes: []sale.Outcome{
			{Status: sale.Rejected, Reason: sale.UnknownSale}, {Status: sale.Rejected, Reason: sale.SoldOut, Stands: true},
		}},
	}, &eras{})
	if w.rejections(); len(w.rows) != 0 {
		t.Error("they are counted")
	}
	sum, err := st.Summary(st.ctx, s.ID)
	st.must(err)
	if !maps.Equal(sum.Rejections, map[sale.Reason]int64{sale.SoldOut: 2}) || sum.Receipts[sale.Confirmed] != 1 || sum.Receipts[sale.Rejected] != 2 {
		t.Errorf("%+v", sum)
	}
	var n int
	st.must(st.pool.QueryRow(st.ctx, `select count(*) from rejections`).Scan(&n))
	if n != 1 {
		t.Errorf("%d rows of rejections", n)
	}
}
