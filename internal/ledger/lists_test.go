package ledger

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// everyFilter calls with every filter of sales that the API offers, no cursor.
func everyFilter(sellers []int64, with func(SaleFilter)) {
	for _, kind := range []sale.Kind{"", sale.Auction, sale.Coupon, sale.Event} {
		for _, state := range []sale.Shown{"", sale.ShownScheduled, sale.ShownOpen, sale.ShownSoldOut, sale.ShownSuspended, sale.ShownClosed} {
			for _, seller := range append(sellers, 0) {
				for _, order := range []SaleOrder{ByOpening, ByClosing} {
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

// of is a sale of that kind, of 10 units, as it may be recorded.
func (b *books) of(kind sale.Kind, opens, closes sale.Instant) sale.Sale {
	s := sale.Sale{
		Kind: kind, Seller: b.seller, Title: "lamp", Stock: 10, Limit: 1, OpensAt: opens, ClosesAt: closes, RefundWindow: time.Hour,
		Price: sale.Price{Policy: sale.Fixed, Start: 100},
	}
	switch kind {
	case sale.Auction:
		s.Price = sale.Price{Policy: sale.Percentage, Start: 100, Rate: 1000, Period: time.Minute}
	case sale.Coupon:
		s.Price.Start, s.AmountOff, s.ValidFrom, s.ValidUntil = 0, 30, opens, closes
	default:
		s.Hold, s.LineMost = time.Minute, 5
	}
	return s
}

var kinds = []sale.Kind{sale.Auction, sale.Reservation, sale.Coupon, sale.Event}

// TestSalesAgainstAModel pages through every list and compares it with what a
// filter in Go makes of all sales. Of many the phase is behind, since no tick has
// come, of some it is ahead.
func TestSalesAgainstAModel(t *testing.T) {
	b := open(t)
	other := b.account("seller", 0)
	random := rand.New(rand.NewPCG(1, 2))
	now := sale.At(time.Now())
	store, _, err := b.CreateStoreOnce(b.ctx, tavern(b.seller), parts, uuid.Nil)
	b.must(err)
	var all []*sale.Stand
	for i := range 120 {
		opens := now.Add(time.Duration(10*random.IntN(15)-70) * time.Minute)
		closes := opens.Add(time.Duration(5+10*random.IntN(6)) * time.Minute) // several at one moment, none near now
		kind := kinds[i%4]
		if kind != sale.Auction && i%3 > 0 {
			closes = closes.Add(300 * 24 * time.Hour)
		}
		s := b.of(kind, opens-1, closes)
		s.Description = fmt.Sprint("number ", i)
		if i%5 == 0 {
			s.Seller = other
		}
		if i%20 == 3 { // a slot: in no list
			s.StartsAt, s.Store = s.ClosesAt.Add(time.Duration(i)), store.ID
			s.ClosesAt = s.StartsAt
		}
		s, err := b.CreateSale(b.ctx, s, parts)
		b.must(err)
		phase := map[sale.Shown]sale.Phase{sale.ShownScheduled: sale.Scheduled, sale.ShownOpen: sale.PhaseOpen, sale.ShownClosed: sale.PhaseClosed}[s.ShownAt(now, 1)]
		switch i % 7 {
		case 0:
			phase = sale.Scheduled
		case 1:
			phase = sale.PhaseOpen
		case 2:
			if s.OpensAt < now {
				phase = sale.PhaseClosed
			}
		}
		gone := 0
		if phase != sale.Scheduled && random.IntN(3) == 0 {
			gone = 10
		}
		suspended := phase != sale.Scheduled && i%5 == 2
		_, err = b.pool.Exec(b.ctx, `
			update sales
			set phase = $2, free = 10 - $3, sold = $3, suspended = $4::bool, suspensions = $4::bool::int
			where id = $1`, s.ID, phase, gone, suspended)
		b.must(err)
		stand, err := b.Sale(b.ctx, s.ID)
		b.must(err)
		if s.Store == 0 {
			all = append(all, stand)
		}
	}
	met := map[sale.Shown]int{}
	everyFilter([]int64{b.seller, other, 404}, func(f SaleFilter) {
		var want []*sale.Stand
		for _, s := range all {
			if (f.Kind == "" || f.Kind == s.Kind) && (f.Seller == 0 || f.Seller == s.Seller) &&
				(f.State == "" || f.State == s.Shown(now)) {
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
				if f.State != "" && s.Shown(at) != f.State {
					t.Errorf("%+v: sale %d shows %s", f, s.ID, s.Shown(at))
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
	for _, state := range []sale.Shown{sale.ShownScheduled, sale.ShownOpen, sale.ShownSoldOut, sale.ShownSuspended, sale.ShownClosed} {
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
			gen_random_uuid(), 1 + n % 3, 1 + n % 4, case n % 11 when 0 then 'claim' when 1 then 'join' else 'bid' end, 1, 10,
			case n % 5 when 0 then 'refunded' else 'confirmed' end, null::uuid, n, n, $1::timestamptz - (n / 7) * interval '1 second'
		from generate_series(1, 300) n
		union all
		select gen_random_uuid(), 1, 1, 'change', 1, 0, 'confirmed', null::uuid, 0, 0, $1::timestamptz
		union all
		select gen_random_uuid(), 1, 1, 'pay', n, 10, 'confirmed', gen_random_uuid(), 0, 0, $1::timestamptz
		from generate_series(0, 1) n`, now.Time())
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
		{Sale: 1, Verb: sale.Bid}, {Sale: 1, Purchases: true}, {Buyer: 1, Purchases: true, Status: sale.Confirmed}, {Sale: 3, From: now - 20_000}, {Sale: 3, To: now - 20_000}, {Sale: 1, From: now - 30_000, To: now - 10_000},
		{Sale: 4}, {Buyer: 5}, {Sale: 1, Status: sale.Held},
	} {
		var want []sale.Receipt
		for _, r := range all {
			if (f.Sale == 0 || f.Sale == r.Sale) && (f.Buyer == 0 || f.Buyer == r.Buyer) && (f.Verb == 0 || f.Verb == r.Verb) &&
				(!f.Purchases || r.Purchase()) && (f.Status == 0 || f.Status == r.Status) && r.At >= f.From && (f.To == 0 || r.At < f.To) {
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
