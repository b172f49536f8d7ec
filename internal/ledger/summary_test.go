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
	if sum.State != sale.ShownClosed || sum.Revenue != 90 || sum.Refunded != 480 || !sum.PaidOut ||
		!maps.Equal(sum.Receipts, map[sale.Status]int64{sale.Confirmed: 1, sale.Refunded: 3}) {
		t.Errorf("%+v", sum)
	}
	if _, err := b.Summary(b.ctx, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
}
