package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/internal/sale"
)

func on(year int, month time.Month, day int) sale.Instant {
	return sale.At(time.Date(year, month, day, 12, 0, 0, 0, time.UTC))
}

// TestSalesOfAMonthAreOfAnEra: they move on at its first, once, whoever says so and how
// often; never back, and there are always two eras ahead with a place for every sale.
func TestSalesOfAMonthAreOfAnEra(t *testing.T) {
	b := open(t)
	_, err := b.pool.Exec(b.ctx, `update eras set month = '2026-01-01' where first = 0`)
	b.must(err)
	sells := func(first int64) sale.Sale {
		t.Helper()
		s := b.sale(-time.Minute, time.Hour)
		if s.ID < first || s.ID > first+10 {
			t.Errorf("sale %d is not of the era from %d", s.ID, first)
		}
		return s
	}
	advance := func(now sale.Instant, begun int64, made ...int64) {
		t.Helper()
		did, err := b.AdvanceEras(b.ctx, now)
		b.must(err)
		if did.Begun != begun || !slices.Equal(did.Made, made) {
			t.Errorf("it did %+v, not %d and %v", did, begun, made)
		}
		most := b.count(`select max_value from pg_sequences where sequencename = 'sales_id_seq'`)
		if past := b.count(`select max(past) from eras`); most != past-1 {
			t.Errorf("sale IDs go up to %d, eras up to %d", most, past)
		}
	}
	advance(on(2026, 2, 1), 0) // nothing was sold: the era is that of this month
	sells(0)
	advance(on(2026, 2, 28), 0)
	sells(0)
	advance(on(2026, 3, 1), EraOf, 3*EraOf)
	sells(EraOf)
	advance(on(2026, 3, 1), 0)
	advance(on(2026, 2, 1), 0) // a clock that goes back
	sells(EraOf)
	advance(on(2026, 7, 3), 2*EraOf, 4*EraOf) // it was down for months
	sells(2 * EraOf)

	// Several at once, at the same moment.
	var all sync.WaitGroup
	begun := make([]int64, 8)
	for i := range begun {
		all.Go(func() {
			did, err := b.AdvanceEras(b.ctx, on(2026, 8, 1))
			if err != nil {
				t.Error(err)
			}
			begun[i] = did.Begun
		})
	}
	all.Wait()
	slices.Sort(begun)
	if begun[6] != 0 || begun[7] != 3*EraOf {
		t.Errorf("they began %v", begun)
	}
	sells(3 * EraOf)

	// So many sales that the era is full: the next one begins by itself, early.
	_, err = b.pool.Exec(b.ctx, `select setval('sales_id_seq', $1)`, 4*EraOf-1)
	b.must(err)
	s := sells(4 * EraOf)
	advance(on(2026, 8, 20), 0, 6*EraOf)
	sells(4 * EraOf)
	batch := b.batch(s, 100)
	b.must(b.Settle(b.ctx, batch))
	if n := b.count(fmt.Sprintf(`select count(*) from receipts_%d`, 4*EraOf)); n != 1 {
		t.Errorf("%d receipts", n)
	}

	// With nobody who leads for twenty million sales, no sale is made without a place.
	_, err = b.pool.Exec(b.ctx, `select setval('sales_id_seq', $1)`, 7*EraOf-1)
	b.must(err)
	if _, err := b.CreateSale(b.ctx, s, parts); err == nil {
		t.Error("a sale whose receipts have no place")
	}
	advance(on(2026, 8, 21), 0, 7*EraOf, 8*EraOf)
	sells(7 * EraOf)
}

// TestErasLeave: an era goes when all its sales have been over for long enough and its
// leaving has been said, not before, and for nobody who is settling.
func TestErasLeave(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	another := b.sale(-time.Minute, time.Hour)
	old := b.batch(s, 100)
	b.must(b.Settle(b.ctx, old))
	sold := old.Entries[0].Receipt
	const keep = 31 * 24 * time.Hour
	now := sale.At(time.Now()).Add(keep + 26*time.Hour)
	leaves := func(want bool) {
		t.Helper()
		leaving, err := b.SayLeaving(b.ctx, now, keep)
		b.must(err)
		if (len(leaving) == 1) != want || want && leaving[0] != (Leave{0, EraOf}) {
			t.Errorf("leaving are %v", leaving)
		}
	}
	over := func() {
		t.Helper()
		_, err := b.pool.Exec(b.ctx, `update sales set phase = 'closed', paid_out = true where id in ($1, $2)`, s.ID, another.ID)
		b.must(err)
	}
	over()
	leaves(false) // sales are made in it
	b.nextEra()
	later := b.sale(-time.Minute, time.Hour)
	for name, change := range map[string]string{
		"open":                  `update sales set phase = 'open' where id = $1`,
		"not paid out":          `update sales set paid_out = false where id = $1`,
		"over for too short":    `update sales set payout_at = payout_at + interval '26 hours' where id = $1`,
		"scheduled, and sells":  `update sales set phase = 'scheduled', free = stock - 1, sold = 1 where id = $1`,
		"coupons that are used": `update sales set kind = 'coupon', price_policy = 'fixed', start_price = 0, price_rate = 0, price_period_ms = 0, per_buyer_limit = 1, amount_off = 1, valid_from = opens_at, valid_until = payout_at + interval '26 hours' where id = $1`,
		"starts later":          `update sales set kind = 'event', price_policy = 'fixed', start_price = 0, price_rate = 0, price_period_ms = 0, per_buyer_limit = 1, hold_ms = 1000, starts_at = payout_at + interval '26 hours' where id = $1`,
		"held":                  `update sales set kind = 'event', price_policy = 'fixed', price_rate = 0, price_period_ms = 0, hold_ms = 1000, held = 1, free = free - 1 where id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := b.pool.Begin(b.ctx)
			b.must(err)
			_, err = tx.Exec(b.ctx, change, another.ID)
			b.must(err)
			var n int
			b.must(tx.QueryRow(b.ctx, `select count(*) from sales s where s.id < $2 and not `+isOverBy(`$1`), now.Add(-keep).Time(), EraOf).Scan(&n))
			b.must(tx.Rollback(b.ctx))
			if n != 1 {
				t.Error("it is over")
			}
		})
	}
	_, err := b.pool.Exec(b.ctx, `update sales set phase = 'open' where id = $1`, another.ID)
	b.must(err)
	leaves(false)
	over()
	leaves(true)
	leaves(false) // once
	drops := func(want bool) {
		t.Helper()
		gone, err := b.DropEra(b.ctx, now)
		b.must(err)
		if (gone != nil) != want {
			t.Errorf("gone is %v", gone)
		}
	}
	drops(false) // it has been said a moment ago
	now = now.Add(LeaveNotice)

	// Somebody is settling: it steps back.
	tx, err := b.pool.Begin(b.ctx)
	b.must(err)
	_, err = tx.Exec(b.ctx, `select from receipts_0 for no key update`)
	b.must(err)
	drops(false)
	b.must(tx.Rollback(b.ctx))
	if _, err := b.Receipt(b.ctx, sold); err != nil {
		t.Error(err)
	}
	drops(true)
	drops(false)
	if _, err := b.Receipt(b.ctx, sold); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("a receipt that is gone: %v", err)
	}
	if n := b.count(`select count(*) from pg_class where relname = 'receipts_0'`); n != 0 {
		t.Error("the table is there")
	}

	// The ledger still believes in the era: it learns, and settles what names its sales.
	late := b.batch(s, 100)
	late.Entries[0].Verb, late.Entries[0].Target = sale.Refund, sold
	if err := b.Settle(b.ctx, late); err == nil {
		t.Error("it settles on a table that is gone")
	}
	b.must(b.Settle(b.ctx, late))
	if o := late.Outcomes[0]; o.Status != sale.Rejected || o.Reason != sale.NotRefundable {
		t.Errorf("outcome %+v", o)
	}
	young := b.batch(later, 100)
	b.must(b.Settle(b.ctx, young))
	for id, want := range map[int64]bool{s.ID: true, later.ID: false, 404 * EraOf: false} {
		if gone, err := b.Dropped(b.ctx, id); err != nil || gone != want {
			t.Errorf("sale %d is dropped: %v, %v", id, gone, err)
		}
	}
}
