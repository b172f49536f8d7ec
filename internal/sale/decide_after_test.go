package sale_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// What may happen to a purchase after the hammer: refund, payout; and what a
// seller and the scheduler may ask.

func TestRefund(t *testing.T) {
	purchase := bid(opens+minute, "a", alice, 2, 1000) // 2 × 900
	speak(t, []dialogue{
		{name: "before the close", batches: together(purchase, refund(closes-1, "r", alice, "a")), want: []string{"confirmed at 900", "rejected not_refundable"}},
		{name: "at the close", batches: together(purchase, refund(closes, "r", alice, "a")), want: []string{"confirmed at 900", "confirmed at 900"}},
		{name: "last ms of the window", batches: together(purchase, refund(payout-1, "r", alice, "a")), want: []string{"confirmed at 900", "confirmed at 900"}},
		{name: "at the end of the window", batches: together(purchase, refund(payout, "r", alice, "a")), want: []string{"confirmed at 900", "rejected not_refundable"}},
		{name: "too early, then in time", batches: together(purchase, refund(opens+minute, "q", alice, "a"), refund(closes, "r", alice, "a")),
			want: []string{"confirmed at 900", "rejected not_refundable", "confirmed at 900"}},
		{name: "not yours", batches: together(purchase, refund(closes, "r", bob, "a"), refund(closes, "s", alice, "a")),
			want: []string{"confirmed at 900", "rejected not_yours", "confirmed at 900"}},
		{name: "twice", batches: together(purchase, refund(closes, "r", alice, "a"), refund(closes+1, "s", alice, "a")),
			want: []string{"confirmed at 900", "confirmed at 900", "rejected already_final"}},
		{name: "the same refund twice", batches: together(purchase, refund(closes, "r", alice, "a"), refund(closes, "r", alice, "a")),
			want: []string{"confirmed at 900", "confirmed at 900", "confirmed at 900, stands"}},
		{name: "the purchase said again after its refund", batches: together(purchase, refund(closes, "r", alice, "a"), purchase),
			want: []string{"confirmed at 900", "confirmed at 900", "refunded at 900, stands"}},
		{name: "not a bid", batches: together(grow(opens, "g", seller, 1), refund(closes, "r", seller, "g")),
			want: []string{"confirmed", "rejected not_refundable"}},
		{name: "a refund", batches: together(purchase, refund(closes, "r", alice, "a"), refund(closes, "s", alice, "r")),
			want: []string{"confirmed at 900", "confirmed at 900", "rejected not_refundable"}},
		{name: "itself", batches: together(refund(closes, "r", alice, "r")), want: []string{"rejected not_refundable"}},
		{name: "unknown target", batches: together(refund(closes, "r", alice, "never")), want: []string{"rejected not_refundable"}},
		{name: "no target", batches: together(change(refund(closes, "r", alice, ""), func(e *sale.Entry) { e.Target = uuid.Nil })),
			want: []string{"rejected not_refundable"}},
		{name: "a rejected bid", batches: together(bid(opens, "a", alice, 1, 1), refund(closes, "r", alice, "a")),
			want: []string{"rejected price_changed", "rejected not_refundable"}},
		{name: "somebody else's rejected bid", batches: together(bid(opens, "a", alice, 1, 1), refund(closes, "r", bob, "a")),
			want: []string{"rejected price_changed", "rejected not_refundable"}},
		{name: "after the payout", batches: together(purchase, tick(payout, "p", sale.Payout), refund(payout, "r", alice, "a")),
			want: []string{"confirmed at 900", "confirmed", "rejected not_refundable"}},
	})
}

// A purchase of one sale is not refunded through another, whose window may be longer.
func TestRefundThroughAnotherSale(t *testing.T) {
	s := lampSale()
	other := *s.state[lamp]
	other.ID, other.Escrow, other.Buyers = 8, 81, map[int64]int64{}
	s.state[8] = &other
	got, _ := s.decide(t, bid(opens, "a", alice, 1, 1000),
		change(refund(closes, "r", alice, "a"), func(e *sale.Entry) { e.Sale = 8 }), refund(closes, "s", alice, "a"))
	if want := []string{"confirmed at 1000", "rejected not_refundable", "confirmed at 1000"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Postgres keeps no rows of rejected receipts. A refund of one must hear the
// same, whether its target was decided in the same batch or long forgotten.
func TestRefundOfForgottenRejection(t *testing.T) {
	for _, buyer := range []int64{alice, bob} {
		rejection, asked := bid(opens, "a", alice, 1, 1), refund(closes, "r", buyer, "a")
		same, _ := lampSale().decide(t, rejection, asked)
		later, _ := lampSale().decide(t, asked)
		if same[1] != later[0] {
			t.Errorf("buyer %d hears %q in the same batch, %q later", buyer, same[1], later[0])
		}
	}
}

func TestRefundEffects(t *testing.T) {
	for _, together := range []bool{true, false} {
		s := lampSale()
		purchase, asked := bid(opens+minute, "a", alice, 2, 1000), refund(closes, "r", alice, "a")
		var effects sale.Effects
		free := int64(0)
		if together {
			_, effects = s.decide(t, purchase, asked)
			free = -2
			if want := []sale.Transfer{{Receipt: name("a"), Debit: alice, Credit: escrow, Amount: 1800}, {Receipt: name("r"), Debit: escrow, Credit: alice, Amount: 1800}}; !reflect.DeepEqual(effects.Transfers, want) {
				t.Errorf("transfers %+v, want %+v", effects.Transfers, want)
			}
		} else {
			s.decide(t, purchase)
			_, effects = s.decide(t, asked)
			if want := []sale.Transfer{{Receipt: name("r"), Debit: escrow, Credit: alice, Amount: 1800}}; !reflect.DeepEqual(effects.Transfers, want) {
				t.Errorf("transfers %+v, want %+v", effects.Transfers, want)
			}
		}
		// What a buyer got and gave back within a batch is nothing.
		if want := map[bool][]sale.BuyerEffect{true: nil, false: {{Buyer: alice, Units: -2}}}[together]; !slices.Equal(effects.Sales[0].Buyers, want) {
			t.Errorf("together %t: buyers %+v, want %+v", together, effects.Sales[0].Buyers, want)
		}
		// Refunded units are not sold again.
		if got := effects.Sales[0]; got.Free != free || got.Sold != -free || !got.Changed || got.Phase != sale.PhaseClosed {
			t.Errorf("together %t: effect %+v", together, got)
		}
		if len(effects.Moves) != 1 || effects.Moves[0].Receipt.ID != name("a") || effects.Moves[0].Receipt.Status != sale.Refunded {
			t.Errorf("together %t: moves %+v", together, effects.Moves)
		}
		if got := s.facts.Receipts[name("a")]; got.Status != sale.Refunded || got.UnitPrice != 900 || got.Fingerprint != purchase.Sum() {
			t.Errorf("together %t: the purchase is now %+v", together, got)
		}
		if s.facts.Balances[alice] != 10_000 || s.facts.Balances[escrow] != 0 || s.state[lamp].Buyers[alice] != 0 || s.state[lamp].Sold != 2 {
			t.Errorf("together %t: alice has %d points and %d units, escrow %d, sold %d", together,
				s.facts.Balances[alice], s.state[lamp].Buyers[alice], s.facts.Balances[escrow], s.state[lamp].Sold)
		}
	}
}

// 10 refunds at once: every point back, once (published with system 003).
func TestTenRefunds(t *testing.T) {
	s := lampSale()
	var bids, refunds []sale.Entry
	for buyer := int64(1); buyer <= 10; buyer++ {
		bids = append(bids, bid(opens, fmt.Sprint("b", buyer), buyer, 1, 1000))
		for attempt := range 2 {
			refunds = append(refunds, refund(closes, fmt.Sprint("r", buyer, attempt), buyer, fmt.Sprint("b", buyer)))
		}
	}
	s.decide(t, bids...)
	got, effects := s.decide(t, refunds...)
	if want := slices.Repeat([]string{"confirmed at 1000", "rejected already_final"}, 10); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for buyer := int64(1); buyer <= 10; buyer++ {
		if s.facts.Balances[buyer] != 10_000 {
			t.Errorf("buyer %d has %d points", buyer, s.facts.Balances[buyer])
		}
	}
	if effect := effects.Sales[0]; effect.Revenue != -10_000 || effect.Sold != 0 || effect.Free != 0 {
		t.Errorf("effect %+v", effect)
	}
}

func TestPayout(t *testing.T) {
	s := lampSale()
	got, effects := s.decide(t,
		bid(opens, "a", alice, 2, 1000), bid(opens, "b", bob, 1, 1000), refund(closes, "r", bob, "b"),
		tick(payout-1, "early", sale.Payout), tick(payout, "p", sale.Payout), tick(payout, "q", sale.Payout), tick(payout, "p", sale.Payout))
	want := []string{"confirmed at 1000", "confirmed at 1000", "confirmed at 1000", "rejected not_payable", "confirmed", "confirmed", "confirmed, stands"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if last := effects.Transfers[3:]; !reflect.DeepEqual(last, []sale.Transfer{{Receipt: name("p"), Debit: escrow, Credit: seller, Amount: 2000}}) {
		t.Errorf("payouts %+v, want exactly the 2000 that were left in escrow, once", last)
	}
	if !effects.Sales[0].PaidOut || s.facts.Balances[seller] != 2000 || s.facts.Balances[escrow] != 0 {
		t.Errorf("paid out %t, seller %d, escrow %d", effects.Sales[0].PaidOut, s.facts.Balances[seller], s.facts.Balances[escrow])
	}
	// Nothing sold: nothing to move, but it is done.
	empty := lampSale()
	empty.decide(t, tick(closes, "c", sale.Close))
	if got, effects := empty.decide(t, tick(payout, "p", sale.Payout)); got[0] != "confirmed" || len(effects.Transfers) != 0 ||
		!effects.Sales[0].PaidOut || !effects.Sales[0].Changed {
		t.Errorf("without a purchase: %q, %+v", got, effects)
	}
}

func TestChange(t *testing.T) {
	later := change(grow(opens, "g", seller, 0), func(e *sale.Entry) { e.ClosesAt = closes + minute })
	speak(t, []dialogue{
		{name: "not the seller", batches: together(grow(opens, "g", alice, 1)), want: []string{"rejected not_yours"}},
		{name: "the scheduler is not the seller", batches: together(grow(opens, "g", 0, 1)), want: []string{"rejected not_yours"}},
		{name: "before opening", batches: together(grow(opens-1, "g", seller, 1)), want: []string{"confirmed"}},
		{name: "last ms", batches: together(grow(closes-1, "g", seller, 1)), want: []string{"confirmed"}},
		{name: "at the close", batches: together(grow(closes, "g", seller, 1)), want: []string{"rejected closed"}},
		{name: "nothing", batches: together(grow(opens, "g", seller, 0)), want: []string{"confirmed"}},
		{name: "less", batches: together(grow(opens, "g", seller, -1)), want: []string{"rejected over_limit"}},
		{name: "to the largest stock", batches: together(grow(opens, "g", seller, sale.MaxStock-10), grow(opens, "h", seller, 1)),
			want: []string{"confirmed", "rejected over_limit"}},
		{name: "more than all numbers", batches: together(grow(opens, "g", seller, 1<<63-1)), want: []string{"rejected over_limit"}},
		{name: "to start × stock = 2^53 − 1", set: func(s scene) { s.state[lamp].Price = percentage(sale.MaxPoints/20, 1, minute*1e6) },
			batches: together(grow(opens, "g", seller, 11), grow(opens, "h", seller, 10)), want: []string{"rejected over_limit", "confirmed"}},
		{name: "closes_at of an auction", batches: together(later, bid(closes, "a", alice, 1, 1000)), want: []string{"rejected price_changed", "rejected closed"}},
		{name: "closes_at as it is", batches: together(change(later, func(e *sale.Entry) { e.ClosesAt, e.Quantity = closes, 1 })), want: []string{"confirmed"}},
		{name: "growth sells", set: left(0), batches: together(bid(opens, "a", alice, 1, 1000), grow(opens, "g", seller, 1), bid(opens, "b", bob, 1, 1000), bid(opens, "c", carol, 1, 1000)),
			want: []string{"rejected sold_out", "confirmed", "confirmed at 1000", "rejected sold_out"}},
	})
	s := lampSale()
	_, effects := s.decide(t, grow(opens-1, "g", seller, 5))
	if want := (sale.SaleEffect{Sale: lamp, Free: 5, Stock: 5, Phase: sale.Scheduled, ClosesAt: closes, Changed: true}); !reflect.DeepEqual(effects.Sales, []sale.SaleEffect{want}) {
		t.Errorf("effect %+v, want %+v", effects.Sales, want)
	}
}

// Ticks make happen what is due; so does any other entry, and an early tick nothing.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry sale.Entry
		phase sale.Phase
	}{
		{"open just before its time", tick(opens-1, "t", sale.Open), sale.Scheduled},
		{"open at its time", tick(opens, "t", sale.Open), sale.PhaseOpen},
		{"close just before its time", tick(closes-1, "t", sale.Close), sale.PhaseOpen},
		{"close at its time", tick(closes, "t", sale.Close), sale.PhaseClosed},
		{"open far too late", tick(payout, "t", sale.Open), sale.PhaseClosed},
		{"a payout", tick(payout, "t", sale.Payout), sale.PhaseClosed},
		{"a bid", bid(opens, "t", alice, 1, 1000), sale.PhaseOpen},
		{"a rejected bid", bid(closes, "t", alice, 1, 1000), sale.PhaseClosed},
	} {
		s := lampSale()
		_, effects := s.decide(t, c.entry)
		got := effects.Sales[0]
		if got.Phase != c.phase || got.Changed != (c.phase != sale.Scheduled) {
			t.Errorf("%s: phase %s (changed %t), want %s", c.name, got.Phase, got.Changed, c.phase)
		}
		// Once more: nothing is due any more.
		if _, effects := s.decide(t, change(c.entry, func(e *sale.Entry) { e.Verb, e.Receipt = sale.Open, name("again") })); effects.Sales[0].Changed {
			t.Errorf("%s: a second tick changed something", c.name)
		}
	}
}
