package ledger

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// everyFilter calls with every filter of sales that the API offers, no cursor.
func everyFilter(sellers []int64, with func(SaleFilter)) {
	for _, kind := range []sale.Kind{"", sale.Auction, sale.Coupon} {
		for _, state := range []sale.Shown{"", sale.ShownScheduled, sale.ShownOpen, sale.ShownSoldOut, sale.ShownClosed} {
			for _, seller := range append(sellers, 0) {
				for _, order := range []Order{ByOpening, ByClosing} {
					for _, descending := range []bool{false, true} {
						with(SaleFilter{Kind: kind, State: state, Seller: seller, Order: order, Descending: descending})
					}
				}
			}
		}
	}
}

// by is where a sale stands in a list.
func (f SaleFilter) by(s *sale.Stand) SaleCursor {
	if f.Order == ByClosing {
		return SaleCursor{s.ClosesAt, s.ID}
	}
	return SaleCursor{s.OpensAt, s.ID}
}

func (f SaleFilter) compare(a, b *sale.Stand) int {
	one, two := f.by(a), f.by(b)
	if f.Descending {
		one, two = two, one
	}
	return cmp.Or(cmp.Compare(one.At, two.At), cmp.Compare(one.ID, two.ID))
}

// TestSalesAgainstAModel pages through every list and compares it with what a
// filter in Go makes of all sales.
func TestSalesAgainstAModel(t *testing.T) {
	b := open(t)
	other := b.account("seller", 0)
	random := rand.New(rand.NewPCG(1, 2))
	now := sale.At(time.Now())
	var all []*sale.Stand
	for i := range 80 {
		s := sale.Sale{
			Kind: sale.Auction, Seller: b.seller, Title: "lamp", Description: fmt.Sprint("number ", i), Stock: 10, Limit: 2,
			Price:   sale.Price{Policy: sale.Percentage, Start: 100, Rate: 1000, Period: time.Minute},
			OpensAt: now.Add(time.Duration(10*random.IntN(15)-70) * time.Minute), RefundWindow: time.Hour,
		}
		s.ClosesAt = s.OpensAt.Add(time.Duration(5+10*random.IntN(6)) * time.Minute) // several at one moment, none near now
		s.OpensAt--
		if i%3 == 0 {
			s.Seller = other
		}
		s, err := b.CreateSale(b.ctx, s, parts)
		b.must(err)
		if i%4 == 0 {
			_, err := b.pool.Exec(b.ctx, `update sales set free = 0, sold = 10 where id = $1`, s.ID)
			b.must(err)
		}
		stand, err := b.Sale(b.ctx, s.ID)
		b.must(err)
		all = append(all, stand)
	}
	met := map[sale.Shown]int{}
	everyFilter([]int64{b.seller, other, 404}, func(f SaleFilter) {
		var want []*sale.Stand
		for _, s := range all {
			if (f.Kind == "" || f.Kind == s.Kind) && (f.Seller == 0 || f.Seller == s.Seller) &&
				(f.State == "" || f.State == s.ShownAt(now, s.Free)) {
				want = append(want, s)
			}
		}
		slices.SortFunc(want, f.compare)
		f.Limit = 1 + random.IntN(20)
		var got []*sale.Stand
		for {
			page, more, at, err := b.Sales(b.ctx, f)
			b.must(err)
			if at < now || at > now.Add(time.Minute) || len(page) > f.Limit || more && len(page) < f.Limit {
				t.Fatalf("%+v: %d sales at %d, more %t", f, len(page), at, more)
			}
			for _, s := range page {
				if f.State != "" && s.ShownAt(at, s.Free) != f.State {
					t.Errorf("%+v: sale %d shows %s", f, s.ID, s.ShownAt(at, s.Free))
				}
			}
			if got = append(got, page...); !more {
				break
			}
			f.After = f.by(page[len(page)-1])
		}
		met[f.State] += len(got)
		if !slices.EqualFunc(got, want, func(a, b *sale.Stand) bool { return a.Sale == b.Sale && a.Free == b.Free }) {
			t.Errorf("%+v: %d sales, not %d", f, len(got), len(want))
		}
	})
	for _, state := range []sale.Shown{sale.ShownScheduled, sale.ShownOpen, sale.ShownSoldOut, sale.ShownClosed} {
		if met[state] == 0 {
			t.Errorf("no sale is %s", state)
		}
	}
}

func TestReceiptsAgainstAModel(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	_, err := b.pool.Exec(b.ctx, `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select
			gen_random_uuid(), 1 + n % 3, 1 + n % 4, 'bid', 1, 10,
			case n % 5 when 0 then 'refunded' else 'confirmed' end, null::uuid, n, n, $1::timestamptz - (n / 7) * interval '1 second'
		from generate_series(1, 300) n
		union all
		select gen_random_uuid(), 1, 1, 'change', 1, 0, 'confirmed', null::uuid, 0, 0, $1::timestamptz`, now.Time())
	b.must(err)
	rows, err := b.pool.Query(b.ctx, `select `+receiptColumns+` from receipts`)
	b.must(err)
	var all []sale.Receipt
	for rows.Next() {
		r, err := scanReceipt(rows)
		b.must(err)
		all = append(all, r)
	}
	met := 0
	for _, f := range []ReceiptFilter{
		{Sale: 1}, {Buyer: 1}, {Sale: 1, Buyer: 2}, {Sale: 2, Verb: sale.Bid, Status: sale.Refunded}, {Buyer: 3, Status: sale.Confirmed},
		{Sale: 1, Verb: sale.Bid}, {Sale: 3, From: now - 20_000}, {Sale: 3, To: now - 20_000}, {Sale: 1, From: now - 30_000, To: now - 10_000},
		{Sale: 4}, {Buyer: 5}, {Sale: 1, Status: sale.Held},
	} {
		var want []sale.Receipt
		for _, r := range all {
			if (f.Sale == 0 || f.Sale == r.Sale) && (f.Buyer == 0 || f.Buyer == r.Buyer) && (f.Verb == 0 || f.Verb == r.Verb) &&
				(f.Status == 0 || f.Status == r.Status) && r.At >= f.From && (f.To == 0 || r.At < f.To) {
				want = append(want, r)
			}
		}
		slices.SortFunc(want, func(a, b sale.Receipt) int { return cmp.Or(cmp.Compare(b.At, a.At), slices.Compare(b.ID[:], a.ID[:])) })
		met += len(want)
		for _, f.Limit = range []int{1, 8, 1000} {
			f.After = ReceiptCursor{}
			var got []sale.Receipt
			for {
				page, more, err := b.Receipts(b.ctx, f)
				b.must(err)
				if got = append(got, page...); !more {
					break
				}
				f.After = ReceiptCursor{page[len(page)-1].At, page[len(page)-1].ID}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %d receipts, not %d", f, len(got), len(want))
			}
		}
	}
	if met == 0 {
		t.Error("no list has a receipt")
	}
}

// crowded fills the tables: 10,000 sales that are over and 10,000 to come, one a
// minute, and 60,000 receipts and entries, most of them of others than buyer 1000
// and sale 10000.
func crowded(t *testing.T) *books {
	b := open(t)
	for _, statement := range []string{
		`insert into accounts (id, role) select n, 'seller' from generate_series(1000, 1099) n`,
		`insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, sold, phase)
		select
			'auction', 0, 1000 + n % 100, 'lamp', 'constant', 100, 1, 0, 60000, 1,
			at, at + interval '30 minutes', at + interval '1 day', true, 10, 10 - gone, gone,
			case when at > now() then 'scheduled' when at + interval '30 minutes' > now() then 'open' else 'closed' end
		from (
			select n, now() + (n - 10000.5) * interval '1 minute' as at, case n % 3 when 0 then 10 else 0 end as gone
			from generate_series(1, 20000) n) as many`,
		`insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		select
			gen_random_uuid(), case n % 30 when 0 then 10000 else n % 20000 end, case n % 30 when 1 then 1000 else 100000 + n end,
			'bid', 1, 10, case n % 50 when 0 then 'refunded' else 'confirmed' end, n, n, now() - (60000 - n) * interval '1 second'
		from generate_series(1, 60000) n`,
		`insert into entries (at, receipt, debit, credit, amount) select at, id, buyer, -sale, 10 from receipts order by at`,
		`analyze`,
	} {
		_, err := b.pool.Exec(b.ctx, statement)
		b.must(err)
	}
	return b
}

// TestListsWalkIndexes: no list reads a whole table, whether the planner knows the
// values or not. What it reads is bounded by its page and what is for sale at one
// time (here 30) or, where a seller's sales are looked through for a kind, by those.
func TestListsWalkIndexes(t *testing.T) {
	b := crowded(t)
	reads, slowest := int64(0), 0.0
	check := func(name, query string, args []any, most int64) {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := b.explain(mode, query, args)
			reads, slowest = max(reads, plan.reads()), max(slowest, plan.took())
			if plan.has("Seq Scan") || plan.reads() > most {
				t.Errorf("%s, %s: read %d rows\n%s\n%s", name, mode, plan.reads(), query, plan)
			}
		}
	}
	everyFilter([]int64{1007}, func(f SaleFilter) {
		f.Limit = 20
		for _, f.After = range []SaleCursor{{}, {sale.At(time.Now()), 10000}} {
			query, args := f.query()
			check(fmt.Sprintf("%+v", f), query, args, 220)
		}
	})
	far := ReceiptCursor{sale.At(time.Now().Add(-time.Hour)), uuid.New()}
	for _, after := range []ReceiptCursor{{}, far} {
		for _, f := range []ReceiptFilter{
			{Sale: 10000}, {Buyer: 1000}, {Sale: 10000, Verb: sale.Bid}, {Buyer: 1000, Status: sale.Confirmed},
			{Sale: 10000, From: far.At, To: far.At.Add(time.Hour)}, {Sale: 10000, Buyer: 130000},
		} {
			f.Limit, f.After = 20, after
			query, args := f.query()
			check(fmt.Sprintf("%+v", f), query, args, 60)
		}
	}
	for _, before := range []int64{0, 30000} {
		query, args := statement(1000, before, 20)
		check("statement", query, args, 60)
	}
	t.Logf("at most %d rows read, in %.2f ms", reads, slowest)
}

// TestPlansTellAWalkFromARead is the known-bad twin: without its index, or with a
// filter that nothing passes, a list is found out.
func TestPlansTellAWalkFromARead(t *testing.T) {
	b := crowded(t)
	query, args := SaleFilter{Order: ByOpening, Limit: 20}.query()
	query = strings.Replace(query, "order by", "where s.title <> 'lamp' order by", 1)
	if plan := b.explain("force_custom_plan", query, args); plan.reads() < 20_000 {
		t.Errorf("a filter that nothing passes\n%s", plan)
	}
	_, err := b.pool.Exec(b.ctx, `drop index sales_by_closing`)
	b.must(err)
	query, args = SaleFilter{Order: ByClosing, Limit: 20}.query()
	if plan := b.explain("force_custom_plan", query, args); !plan.has("Seq Scan") || plan.reads() < 20_000 {
		t.Errorf("without an index\n%s", plan)
	}
}
