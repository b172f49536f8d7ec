package sale_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

func TestBid(t *testing.T) {
	speak(t, []dialogue{
		{name: "just before opening", batches: together(bid(opens-1, "a", alice, 1, 1000)), want: []string{"rejected not_open"}},
		{name: "at opens_at", batches: together(bid(opens, "a", alice, 1, 1000)), want: []string{"confirmed at 1000"}},
		{name: "last ms", batches: together(bid(closes-1, "a", alice, 1, 1000)), want: []string{"confirmed at 100"}},
		{name: "at closes_at", batches: together(bid(closes, "a", alice, 1, 1000)), want: []string{"rejected closed"}},
		{name: "an early bid touches no stock", batches: together(bid(opens-1, "a", alice, 2, 1000), bid(opens, "b", alice, 2, 1000)),
			want: []string{"rejected not_open", "confirmed at 1000"}},

		{name: "last ms before a drop", batches: together(bid(opens+minute-1, "a", alice, 1, 1000)), want: []string{"confirmed at 1000"}},
		{name: "exactly at a drop", batches: together(bid(opens+minute, "a", alice, 1, 1000)), want: []string{"confirmed at 900"}},
		{name: "each at its own time", batches: together(bid(opens+minute-1, "a", alice, 1, 1000), bid(opens+minute, "b", bob, 1, 1000)),
			want: []string{"confirmed at 1000", "confirmed at 900"}},
		{name: "a ceiling above the price pays the price", batches: together(bid(opens+2*minute, "a", alice, 1, 5000)), want: []string{"confirmed at 800"}},
		{name: "a ceiling at the price", batches: together(bid(opens+2*minute, "a", alice, 1, 800)), want: []string{"confirmed at 800"}},
		{name: "a ceiling below the price", batches: together(bid(opens+2*minute, "a", alice, 1, 799)), want: []string{"rejected price_changed"}},
		{name: "exact", batches: together(exactBid(opens, "a", alice, 1, 1000)), want: []string{"confirmed at 1000"}},
		{name: "exact, the price fell", batches: together(exactBid(opens+minute, "a", alice, 1, 1000)), want: []string{"rejected price_changed"}},
		{name: "exact, below", batches: together(exactBid(opens, "a", alice, 1, 999)), want: []string{"rejected price_changed"}},

		{name: "limit at once", batches: together(bid(opens, "a", alice, 3, 1000)), want: []string{"rejected over_limit"}},
		{name: "limit is cumulative", batches: together(bid(opens, "a", alice, 1, 1000), bid(opens, "b", alice, 1, 1000), bid(opens, "c", alice, 1, 1000)),
			want: []string{"confirmed at 1000", "confirmed at 1000", "rejected over_limit"}},
		{name: "limit counts what was had before", set: func(s scene) { s.state[lamp].Buyers[alice], s.state[lamp].Sold, s.state[lamp].Free = 1, 1, 9 },
			batches: together(bid(opens, "a", alice, 2, 1000), bid(opens, "b", alice, 1, 1000)), want: []string{"rejected over_limit", "confirmed at 1000"}},
		{name: "a rejected bid uses no limit", batches: together(bid(opens, "a", alice, 2, 1), bid(opens, "b", alice, 2, 1000)),
			want: []string{"rejected price_changed", "confirmed at 1000"}},
		{name: "nothing", batches: together(bid(opens, "a", alice, 0, 1000), bid(opens, "b", alice, -1, 1000)),
			want: []string{"rejected internal", "rejected internal"}},
		{name: "more than all numbers", batches: together(bid(opens, "a", alice, 1<<63-1, 1<<63-1)), want: []string{"rejected over_limit"}},

		{name: "every point", set: balance(alice, 2000), batches: together(bid(opens, "a", alice, 2, 1000)), want: []string{"confirmed at 1000"}},
		{name: "one point short", set: balance(alice, 1999), batches: together(bid(opens, "a", alice, 2, 1000)), want: []string{"rejected short_points"}},
		{name: "no wallet", batches: together(bid(opens, "a", 99, 1, 1000)), want: []string{"rejected short_points"}},
		{name: "short after the first", set: balance(alice, 1500), batches: together(bid(opens, "a", alice, 1, 1000), bid(opens, "b", alice, 1, 1000), bid(opens+5*minute, "c", alice, 1, 1000)),
			want: []string{"confirmed at 1000", "rejected short_points", "confirmed at 500"}},

		{name: "more than is left, then just what is left", set: left(1), batches: together(bid(opens, "a", alice, 2, 1000), bid(opens, "b", bob, 1, 1000), bid(opens, "c", carol, 1, 1000)),
			want: []string{"rejected sold_out", "confirmed at 1000", "rejected sold_out"}},
		{name: "every unit", set: func(s scene) { s.state[lamp].Limit = 10 }, batches: together(bid(opens, "a", alice, 10, 1000), bid(opens, "b", bob, 1, 1000)),
			want: []string{"confirmed at 1000", "rejected sold_out"}},
	})
}

func balance(wallet, points int64) func(scene) {
	return func(s scene) { s.facts.Balances[wallet] = points }
}

// left leaves so many units free; somebody else has the rest.
func left(units int64) func(scene) {
	return func(s scene) { s.state[lamp].Free, s.state[lamp].Sold = units, 10-units }
}

// Stock 10, 10 buyers × 2: 5 confirmed, 5 rejected (published with system 003).
func TestTenBuyersOfTwo(t *testing.T) {
	var entries []sale.Entry
	for buyer := int64(1); buyer <= 10; buyer++ {
		entries = append(entries, bid(opens, fmt.Sprint(buyer), buyer, 2, 1000))
	}
	want := slices.Concat(slices.Repeat([]string{"confirmed at 1000"}, 5), slices.Repeat([]string{"rejected sold_out"}, 5))
	speak(t, []dialogue{{name: "5 + 5", batches: together(entries...), want: want}})
}

// Stock 10, 11 bids, one buyer short of points: 10 confirmed, 1 rejected, and
// the units he could not pay go to the next (published with system 003).
func TestElevenBidsOneShort(t *testing.T) {
	var entries []sale.Entry
	want := slices.Repeat([]string{"confirmed at 1000"}, 11)
	want[3] = "rejected short_points"
	for buyer := int64(1); buyer <= 11; buyer++ {
		entries = append(entries, bid(opens, fmt.Sprint(buyer), buyer, 1, 1000))
	}
	speak(t, []dialogue{{name: "10 + 1", set: balance(4, 999), batches: together(entries...), want: want}})
}

func TestBidEffects(t *testing.T) {
	s := lampSale()
	_, effects := s.decide(t, bid(opens+minute, "a", alice, 2, 1000), bid(opens+2*minute, "b", bob, 1, 1000))
	want := sale.Effects{
		Sales: []sale.SaleEffect{{
			Sale: lamp, Free: -3, Sold: 3, Revenue: 2*900 + 800, Phase: sale.PhaseOpen, ClosesAt: closes,
			Buyers: []sale.BuyerEffect{{Buyer: alice, Units: 2}, {Buyer: bob, Units: 1}}, Changed: true,
		}},
		Transfers: []sale.Transfer{
			{Receipt: name("a"), Debit: alice, Credit: escrow, Amount: 1800},
			{Receipt: name("b"), Debit: bob, Credit: escrow, Amount: 800},
		},
	}
	if !reflect.DeepEqual(effects, want) {
		t.Errorf("effects\n got %+v\nwant %+v", effects, want)
	}
}

// With a window of 0 nothing can be refunded and the seller has his points at once.
func TestNoRefundWindowPaysTheSeller(t *testing.T) {
	s := lampSale()
	s.state[lamp].RefundWindow = 0
	got, effects := s.decide(t, bid(opens, "a", alice, 1, 1000), refund(closes, "b", alice, "a"))
	if want := []string{"confirmed at 1000", "rejected not_refundable"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []sale.Transfer{{Receipt: name("a"), Debit: alice, Credit: seller, Amount: 1000}}; !reflect.DeepEqual(effects.Transfers, want) {
		t.Errorf("transfers %+v, want %+v", effects.Transfers, want)
	}
}

// Exhausted follows the units: all gone, and again free once the stock grows.
func TestExhausted(t *testing.T) {
	s := lampSale()
	left(2)(s)
	for _, step := range []struct {
		entry     sale.Entry
		exhausted bool
	}{
		{bid(opens, "a", alice, 1, 1000), false},
		{bid(opens, "b", bob, 1, 1000), true},
		{bid(opens, "c", carol, 1, 1000), true},
		{grow(opens, "d", seller, 1), false},
		{bid(opens, "e", carol, 1, 1000), true},
		{tick(closes, "f", sale.Close), true},
	} {
		if _, effects := s.decide(t, step.entry); effects.Sales[0].Exhausted != step.exhausted {
			t.Errorf("after %s at %d: exhausted %t, want %t", step.entry.Verb, step.entry.ID.At-opens, !step.exhausted, step.exhausted)
		}
	}
	if held := (&sale.Stand{Held: 1}); held.Exhausted() {
		t.Error("a unit held may come back, yet the sale is exhausted")
	}
	if sold := (&sale.Stand{Sale: chair(), Sold: 1}); sold.Exhausted() {
		t.Error("a chair that is sold may come back, yet the sale is exhausted")
	}
	if claimed := (&sale.Stand{Sale: voucher(), Sold: 10}); !claimed.Exhausted() {
		t.Error("a coupon never comes back, yet the sale is not exhausted")
	}
}

func TestOddEntries(t *testing.T) {
	unreadable := sale.Entry{ID: sale.EntryID{At: opens}, Seq: 1, Generation: 1}
	named := change(unreadable, func(e *sale.Entry) { e.Receipt = name("u") })
	poison := change(bid(opens, "u", alice, 1, 1000), func(e *sale.Entry) { e.Verb = 0 })
	mark := change(unreadable, func(e *sale.Entry) { e.Verb = sale.Rebuilt })
	older := change(bid(opens, "o", alice, 1, 1000), func(e *sale.Entry) { e.Generation = 0 })
	nowhere := change(bid(opens, "n", alice, 1, 1000), func(e *sale.Entry) { e.Sale = 8 })
	first, other := bid(opens, "a", alice, 1, 1000), bid(opens, "b", bob, 2, 1000)
	speak(t, []dialogue{
		{name: "unreadable", batches: together(first, unreadable, unreadable, other),
			want: []string{"confirmed at 1000", "rejected internal, stands", "rejected internal, stands", "confirmed at 1000"}},
		{name: "unreadable but for the receipt", batches: together(first, named, other), want: []string{"confirmed at 1000", "rejected internal", "confirmed at 1000"}},
		{name: "unreadable but for receipt and sale", batches: together(first, poison, other), want: []string{"confirmed at 1000", "rejected internal", "confirmed at 1000"}},
		{name: "a verb from nowhere", batches: together(first, change(named, func(e *sale.Entry) { e.Verb, e.Sale = 99, lamp }), other),
			want: []string{"confirmed at 1000", "rejected internal", "confirmed at 1000"}},
		{name: "rebuilt mark", batches: together(first, mark, other), want: []string{"confirmed at 1000", "confirmed, stands", "confirmed at 1000"}},
		{name: "older generation", batches: together(first, older, other), want: []string{"confirmed at 1000", "rejected lost", "confirmed at 1000"}},
		{name: "older generation of an unknown sale", batches: together(change(older, func(e *sale.Entry) { e.Sale = 8 })), want: []string{"rejected lost"}},
		{name: "unknown sale", batches: together(first, nowhere, other), want: []string{"confirmed at 1000", "rejected unknown_sale", "confirmed at 1000"}},
		{name: "the same receipt twice", batches: together(first, first, other, other),
			want: []string{"confirmed at 1000", "confirmed at 1000, stands", "confirmed at 1000", "confirmed at 1000, stands"}},
		{name: "a rejected receipt twice", batches: together(bid(opens, "a", alice, 1, 1), bid(opens+9*minute, "a", alice, 1, 1000)),
			want: []string{"rejected price_changed", "rejected price_changed, stands"}},
	})
}

// A receipt that Postgres has stands: it is said again as it is, and nothing is written.
func TestKnownReceiptStands(t *testing.T) {
	for _, status := range []sale.Status{sale.Confirmed, sale.Refunded, sale.Rejected} {
		s := lampSale()
		known := sale.Receipt{ID: name("a"), Verb: sale.Bid, Sale: lamp, Buyer: alice, Quantity: 1, Status: status, UnitPrice: 700}
		s.facts.Receipts[known.ID] = known
		again := bid(opens, "a", alice, 1, 1000)
		batch := sale.Batch{Entries: []sale.Entry{again}, State: s.state, Facts: s.facts, Decision: sale.Decide(s.state, s.facts, []sale.Entry{again})}
		if want := (sale.Outcome{Status: status, UnitPrice: 700, Stands: true}); batch.Outcomes[0] != want {
			t.Errorf("%s: outcome %+v, want %+v", status, batch.Outcomes[0], want)
		}
		if !reflect.DeepEqual(batch.Effects, sale.Effects{}) || len(batch.Receipts()) != 0 {
			t.Errorf("%s: effects %+v, receipts %+v", status, batch.Effects, batch.Receipts())
		}
		if got := batch.Standing(); !slices.Equal(got, []sale.Receipt{known}) {
			t.Errorf("%s: standing %+v", status, got)
		}
	}
}

// Nothing at all is a batch too.
func TestDecideNothing(t *testing.T) {
	if d := sale.Decide(nil, sale.Facts{}, nil); len(d.Outcomes) != 0 || !reflect.DeepEqual(d.Effects, sale.Effects{}) {
		t.Errorf("decided %+v", d)
	}
	d := sale.Decide(nil, sale.Facts{}, []sale.Entry{{Request: sale.Request{Receipt: uuid.New(), Verb: sale.Bid}}})
	if want := (sale.Outcome{Status: sale.Rejected, Reason: sale.UnknownSale}); d.Outcomes[0] != want {
		t.Errorf("without any fact: %+v, want %+v", d.Outcomes[0], want)
	}
}
