package ledger

import (
	"cmp"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

var rowsFlag = flag.Int("rows", 100_000, "rows of everything that BenchmarkLists lists, beside a thousand")

// BenchmarkLists asks for a page of every list, by turns where there are 1,000
// rows of everything and where there are -rows of them, over the wire. What it costs
// must not depend on that: it reports the median of each, and how many times the
// first the second is. By turns, because a machine is not equally busy all the time.
func BenchmarkLists(b *testing.B) {
	few, many := open(b), open(b)
	few.fill(1000)
	rows := *rowsFlag
	if testing.Short() {
		rows = min(rows, 3000)
	}
	many.fill(rows)
	now := sale.At(time.Now())
	run := func(name string, least int, list func(l *books) (int, error)) {
		b.Run(name, func(b *testing.B) {
			took := func(l *books) time.Duration {
				start := time.Now()
				n, err := list(l)
				if err != nil || n < least {
					b.Fatalf("%d of at least %d, %v", n, least, err)
				}
				return time.Since(start)
			}
			for range 50 { // its plan is made, its pages are in memory
				took(few)
				took(many)
			}
			b.ResetTimer()
			var of [2][]time.Duration
			for range b.N {
				of[0], of[1] = append(of[0], took(few)), append(of[1], took(many))
			}
			var medians [2]float64
			for i := range of {
				slices.Sort(of[i])
				medians[i] = float64(of[i][len(of[i])/2].Microseconds())
			}
			b.ReportMetric(medians[0], "µs-few")
			b.ReportMetric(medians[1], "µs-many")
			b.ReportMetric(medians[1]/medians[0], "times")
			b.ReportMetric(0, "ns/op")
		})
	}
	sales := func(name string, least int, f SaleFilter) {
		f.Limit = least
		run("sales/"+name, least, func(l *books) (int, error) {
			page, _, _, err := l.Sales(l.ctx, f)
			return len(page), err
		})
	}
	sales("all_by_opening", 20, SaleFilter{})
	sales("all_by_closing_deep", 20, SaleFilter{Order: ByClosing, After: SaleCursor{now, 1}})
	sales("open_newest", 20, SaleFilter{State: sale.ShownOpen, Descending: true})
	sales("open_first_to_close", 20, SaleFilter{State: sale.ShownOpen, Order: ByClosing})
	sales("sold_out_newest", 20, SaleFilter{State: sale.ShownSoldOut, Descending: true})
	sales("scheduled_next", 20, SaleFilter{State: sale.ShownScheduled})
	sales("scheduled_by_closing", 20, SaleFilter{State: sale.ShownScheduled, Order: ByClosing})
	sales("closed_newest", 20, SaleFilter{State: sale.ShownClosed, Descending: true})
	sales("closed_last", 20, SaleFilter{State: sale.ShownClosed, Order: ByClosing, Descending: true})
	sales("open_events", 20, SaleFilter{Kind: sale.Event, State: sale.ShownOpen, Descending: true})
	sales("of_a_seller", 10, SaleFilter{Seller: crowdedSeller, Descending: true})
	for _, buyer := range []struct {
		name string
		id   int64
	}{{"nothing", 1}, {"half_of_all", crowdedBuyer}, {"every_second", thoroughBuyer}} {
		run("claimable/who_has_"+buyer.name, 20, func(l *books) (int, error) {
			page, _, _, err := l.Claimable(l.ctx, buyer.id, SaleCursor{}, 20)
			return len(page), err
		})
	}
	for _, state := range []string{CouponUsable, CouponUsed, CouponExpired} {
		run("my_coupons/"+state, 20, func(l *books) (int, error) {
			page, _, err := l.Coupons(l.ctx, CouponFilter{Buyer: crowdedBuyer, State: state, Limit: 20})
			return len(page), err
		})
	}
	run("my_coupons/usable_deep", 20, func(l *books) (int, error) {
		page, _, err := l.Coupons(l.ctx, CouponFilter{Buyer: crowdedBuyer, State: CouponUsable,
			After: CouponCursor{now.Add(time.Minute), uuid.Nil}, Limit: 20})
		return len(page), err
	})
	for _, status := range []string{"", "paid", "pending"} {
		run("my_orders/"+cmp.Or(status, "all"), 20, func(l *books) (int, error) {
			page, _, err := l.Orders(l.ctx, OrderFilter{Buyer: crowdedBuyer, Status: status, Limit: 20})
			return len(page), err
		})
	}
	for _, f := range []NoticeFilter{{}, {Unread: true}} {
		f.Account, f.Limit = crowdedBuyer, 20
		run("my_notices/"+map[bool]string{false: "all", true: "unread"}[f.Unread], 20, func(l *books) (int, error) {
			page, _, err := l.Notices(l.ctx, f)
			return len(page), err
		})
	}
	run("stores", 20, func(l *books) (int, error) {
		page, _, err := l.Stores(l.ctx, StoreFilter{Limit: 20})
		return len(page), err
	})
	run("slots_of_four_hours", 7, func(l *books) (int, error) {
		page, _, err := l.Slots(l.ctx, crowdedStore, now.Add(-2*time.Hour), now.Add(2*time.Hour))
		return len(page), err
	})
	receipts := func(name string, least int, f ReceiptFilter) {
		f.Limit = least
		run("receipts/"+name, least, func(l *books) (int, error) {
			page, _, err := l.Receipts(l.ctx, f)
			return len(page), err
		})
	}
	receipts("of_a_sale", 20, ReceiptFilter{Sale: crowdedSale, Purchases: true})
	receipts("expired_of_a_sale", 20, ReceiptFilter{Sale: crowdedSale, Purchases: true, Status: sale.Expired})
	receipts("of_a_buyer", 10, ReceiptFilter{Buyer: crowdedBuyer})
}
