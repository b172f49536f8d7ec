package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// The ones that the lists are asked for: they have much. Those who sell are 1000 to 1099.
const (
	crowdedSeller = 1007
	crowdedBuyer  = 1000 // half of all coupons, orders and notices, and a hundredth of the receipts
	crowdedSale   = 10   // a quarter of the receipts
	crowdedStore  = 7    // a hundredth of the slots
	thoroughBuyer = 2000 // every second of the first hundred coupons that can be claimed
)

// fill makes so many rows of everything that is listed: sales of all kinds, a third
// each over, open and to come, half of what is not to come sold out, and of some the
// phase is behind; slots; coupons, orders, notices, receipts of three eras.
func (b *books) fill(rows int) {
	b.t.Helper()
	conn, err := b.pool.Acquire(b.ctx)
	b.must(err)
	defer conn.Release()
	for _, statement := range []string{
		`set statement_timeout = 0`,
		`insert into accounts (id, role) select n, 'seller' from generate_series(1000, 1100 + $1::int / 10) n`,
		`insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, sold, phase, hold_ms, amount_off, valid_from, valid_until)
		select
			kind, 0, 1000 + n / 4 % 100, 'lamp', case kind when 'auction' then 'constant' else 'fixed' end,
			case kind when 'coupon' then 0 else 100 end, case kind when 'auction' then 1 else 0 end, 0,
			case kind when 'auction' then 60000 else 0 end, 1,
			opens, closes, closes + interval '1 day', true, 10, 10 - gone, gone, phase,
			case when kind in ('reservation', 'event') then 60000 else 0 end,
			case kind when 'coupon' then 5 else 0 end, case kind when 'coupon' then opens end,
			case kind when 'coupon' then closes + interval '1 day' end
		from (
			select
				n, phase, (array['auction', 'reservation', 'coupon', 'event'])[1 + n % 4] as kind,
				case phase
					when 'closed' then now() - interval '2 hours' - n * interval '1 minute'
					when 'open' then now() - interval '1 minute' - n * interval '1 second'
					else now() + interval '1 hour' + n * interval '1 minute' end as opens,
				case phase
					when 'closed' then now() - interval '1 hour' - n * interval '1 minute'
					when 'open' then now() + interval '1 hour' + n * interval '1 second'
					else now() + interval '3 hours' + (n + n % 97) * interval '1 minute' end as closes,
				case when phase <> 'scheduled' and n / 12 % 2 = 0 then 10 else 0 end as gone
			from (
				select n, (array['closed', 'open', 'scheduled'])[1 + n / 4 % 3] as phase
				from generate_series(1, $1::int) n) as phases) as many`,
		`update sales
		set opens_at = now() - interval '1 second'
		where id in (select id from sales where phase = 'scheduled' and kind <> 'coupon' order by id limit 20)`,
		`update sales
		set closes_at = now() - interval '1 second'
		where id in (select id from sales where phase = 'open' and kind <> 'coupon' order by id limit 20)`,
		`insert into stores (partition, seller, title, time_zone, tables, unit_price, refund_ms, hold_ms, days_ahead, opens, closes, publish_at)
		select 0, 1000 + n, 'Tavern', 'UTC', 4, 0, 0, 60000, 14, array_fill(0::smallint, '{7}'), array_fill(1410::smallint, '{7}'), now() + interval '1 day'
		from generate_series(1, greatest(100, $1::int / 10)) n`,
		`insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, hold_ms, store, starts_at)
		select
			'event', 0, 1001 + n % 100, 'Tavern', 'fixed', 0, 0, 0, 0, 1,
			at - interval '14 days', at, at, true, 4, 4, 60000, 1 + n % 100, at
		from (
			select n, date_trunc('hour', now()) + (n / 100 - $1::int / 200) * interval '30 minutes' as at
			from generate_series(0, $1::int - 1) n) as many`,
		`insert into coupons (id, sale, buyer, seller, amount, valid_from, valid_until, used_by)
		select
			gen_random_uuid(), 1000000000 + n, case n % 2 when 0 then 1000 else 100000 + n end, 1000, 5, now() - interval '1 year',
			now() + (n - $1::int / 2) * interval '1 second', case n % 3 when 0 then gen_random_uuid() end
		from generate_series(1, $1::int) n`,
		`insert into coupons (id, sale, buyer, seller, amount, valid_from, valid_until)
		select gen_random_uuid(), id, 2000, seller, 5, valid_from, valid_until
		from (
			select *, row_number() over (order by closes_at) as place
			from sales
			where kind = 'coupon' and phase = 'open' and free > 0
			order by closes_at
			limit 100) as first
		where place % 2 = 0`,
		`insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
		select
			gen_random_uuid(), n, case n % 2 when 0 then 1000 else 100000 + n end, 1, 10,
			case when n % 20 = 0 then 'pending' else (array['paid', 'expired', 'cancelled'])[1 + n % 3] end,
			now() + interval '1 hour', now() + interval '58 minutes', now() - n * interval '1 second', now()
		from generate_series(1, $1::int) n`,
		`insert into notices (account, at, word, sale, receipt, read)
		select case n % 2 when 0 then 1000 else 100000 + n end, now(), 'confirmed', n, gen_random_uuid(), n % 40 > 1
		from generate_series(1, $1::int) n`,
		`insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, pay_by, fingerprint, seq, at)
		select
			gen_random_uuid(), case n % 4 when 0 then 10 else n % 3 * 10000000 + n end, case n % 100 when 1 then 1000 else 100000 + n end,
			'reserve', 1, 10, case when n % 1000 = 0 then 'held' when n % 20 = 0 then 'expired' else 'confirmed' end, now(), n, n,
			now() - ($1::int - n) * interval '1 second'
		from generate_series(1, $1::int) n`,
		`insert into entries (at, receipt, debit, credit, amount) select at, id, buyer, -sale, 10 from receipts order by at limit 50000`,
		`vacuum analyze`,
	} {
		var args []any
		if strings.Contains(statement, "$1") {
			args = []any{rows}
		}
		_, err := conn.Exec(b.ctx, statement, args...)
		if err != nil {
			b.t.Fatalf("%s\n%v", statement, err)
		}
	}
	_, err = conn.Exec(b.ctx, `reset statement_timeout`)
	b.must(err)
}

// everyList calls with every statement behind a list, at its beginning and far into
// it, but for those of sales, which everyFilter has.
func everyList(with func(name, query string, args []any)) {
	now := sale.At(time.Now())
	call := func(name string, query string, args []any) { with(name, query, args) }
	for _, f := range []ReceiptFilter{
		{Sale: crowdedSale}, {Sale: crowdedSale, Purchases: true}, {Sale: crowdedSale, Purchases: true, Status: sale.Confirmed},
		{Sale: crowdedSale, Purchases: true, Status: sale.Held}, {Sale: crowdedSale, Status: sale.Expired}, {Sale: crowdedSale, Status: sale.Waiting},
		{Sale: crowdedSale, From: now.Add(-2 * time.Hour), To: now.Add(-time.Hour)}, {Sale: crowdedSale, Buyer: 104000},
		{Buyer: crowdedBuyer}, {Buyer: crowdedBuyer, Purchases: true, Status: sale.Confirmed},
	} {
		f.Limit = 20
		for _, f.After = range []ReceiptCursor{{}, {now.Add(-time.Hour), uuid.New()}} {
			query, args := f.query()
			call(fmt.Sprintf("receipts %+v", f), query, args)
		}
	}
	for _, before := range []int64{0, 3000} {
		query, args := statement(crowdedBuyer, before, 20)
		call(fmt.Sprint("statement before ", before), query, args)
	}
	for _, buyer := range []int64{1, crowdedBuyer, thoroughBuyer} {
		for _, after := range []SaleCursor{{}, {now.Add(2 * time.Hour), 50}} {
			query, args := claimable(buyer, after, 20)
			call(fmt.Sprint("claimable by ", buyer, " after ", after), query, args)
		}
	}
	for _, state := range []string{"", CouponUsable, CouponUsed, CouponExpired} {
		for _, after := range []CouponCursor{{}, {now, uuid.New()}} {
			query, args := CouponFilter{Buyer: crowdedBuyer, State: state, After: after, Limit: 20}.query()
			call("coupons "+state, query, args)
		}
	}
	for _, status := range []string{"", "pending", "paid", "expired", "cancelled", "nothing"} {
		for _, after := range []OrderCursor{{}, {now.Add(-time.Hour), uuid.New()}} {
			query, args := OrderFilter{Buyer: crowdedBuyer, Status: status, After: after, Limit: 20}.query()
			call("orders "+status, query, args)
		}
	}
	for _, unread := range []bool{false, true} {
		for _, after := range []int64{0, 3000} {
			query, args := NoticeFilter{Account: crowdedBuyer, Unread: unread, After: after, Limit: 20}.query()
			call(fmt.Sprint("notices, unread ", unread), query, args)
		}
	}
	for _, seller := range []int64{0, crowdedSeller} {
		query, args := StoreFilter{Seller: seller, After: 5, Limit: 20}.query()
		call(fmt.Sprint("stores of ", seller), query, args)
	}
	query, args := slots(crowdedStore, now, now.Add(24*time.Hour))
	call("slots", query, args)
	query, args = toPublish(now, 20)
	call("stores to publish", query, args)
}

// TestListsWalkIndexes: no list reads a whole table, or sorts one, whether the planner
// knows the values or not: what it reads is bounded by its page, by the sales that are
// waiting for a tick (here 40) and, where a seller's sales are looked through for a
// kind, by those of one state.
func TestListsWalkIndexes(t *testing.T) {
	b := open(t)
	b.fill(20_000)
	reads, slowest := int64(0), 0.0
	check := func(name, query string, args []any, most int64) {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := b.explain(mode, query, args, onePlan)
			reads, slowest = max(reads, plan.reads()), max(slowest, plan.took())
			if plan.has("Seq Scan") || plan.reads() > most {
				t.Errorf("%s, %s: read %d rows\n%s\n%s", name, mode, plan.reads(), query, plan)
			}
		}
	}
	everyFilter([]int64{crowdedSeller}, func(f SaleFilter) {
		f.Limit = 20
		for _, f.After = range []SaleCursor{{}, {sale.At(time.Now()), 10000}} {
			query, args := f.query()
			check(fmt.Sprintf("%+v", f), query, args, 150)
		}
	})
	everyList(func(name, query string, args []any) { check(name, query, args, 150) })
	for _, query := range []string{dueOpenings, dueStarts} {
		args := []any{time.Now(), 20}
		if query == dueStarts {
			args = []any{time.Now(), time.Now(), 20}
		}
		check("due", query, args, 150)
	}
	t.Logf("at most %d rows read, in %.2f ms", reads, slowest)
}

// TestPlansTellAWalkFromARead is the known-bad twin: without its index, or with a
// filter that nothing passes, a list is found out.
func TestPlansTellAWalkFromARead(t *testing.T) {
	b := open(t)
	b.fill(20_000)
	query, args := SaleFilter{Order: ByOpening, Limit: 20}.query()
	query = strings.Replace(query, "order by", "and s.title <> 'lamp' order by", 1)
	if plan := b.explain("force_custom_plan", query, args); plan.reads() < 20_000 {
		t.Errorf("a filter that nothing passes\n%s", plan)
	}
	for index, list := range map[string]func() (string, []any){
		"sales_by_closing":         SaleFilter{Order: ByClosing, Limit: 20}.query,
		"shown_by_closing":         SaleFilter{State: sale.ShownScheduled, Order: ByClosing, Limit: 20}.query,
		"notices_of_account":       NoticeFilter{Account: crowdedBuyer, Unread: true, Limit: 20}.query,
		"orders_of_buyer":          OrderFilter{Buyer: crowdedBuyer, Status: "paid", Limit: 20}.query,
		"coupons_unused":           CouponFilter{Buyer: crowdedBuyer, State: CouponUsable, Limit: 20}.query,
		"shown_of_kind_by_closing": func() (string, []any) { return claimable(1, SaleCursor{}, 20) },
	} {
		tx := `drop index ` + index
		_, err := b.pool.Exec(b.ctx, tx)
		b.must(err)
		query, args = list()
		if plan := b.explain("force_custom_plan", query, args); plan.reads() < 300 {
			t.Errorf("without %s it read %d rows\n%s", index, plan.reads(), plan)
		}
	}
}
