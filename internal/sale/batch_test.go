package sale_test

import (
	"slices"
	"testing"

	"sluice/internal/sale"
)

// TestBatchReceipts: what a batch has to say of receipts, and in what order. One
// bought before, one is bought and refunded, one is refused, two are repeated,
// and of a mark and of something illegible there is nothing to say.
func TestBatchReceipts(t *testing.T) {
	s := lampSale()
	s.decide(t, bid(opens, "old", alice, 1, 1000), bid(opens, "kept", bob, 1, 1000), bid(opens, "other", carol, 1, 1000))
	entries := []sale.Entry{
		bid(closes-1, "new", alice, 1, 1000),
		{ID: sale.EntryID{At: closes - 1}, Seq: 1, Generation: 1, Request: sale.Request{Verb: sale.Rebuilt}},
		{ID: sale.EntryID{At: closes - 1}, Seq: 1, Generation: 1},
		bid(opens, "kept", bob, 1, 1000),   // again
		bid(opens, "old", alice, 1, 1000),  // again, and refunded below
		bid(closes, "late", bob, 1, 1000),  // closed
		refund(closes, "r1", alice, "new"), // of this batch
		refund(closes, "r2", alice, "old"), // of an earlier one
	}
	b := sale.Batch{Entries: entries, State: s.state, Facts: s.facts, Decision: sale.Decide(s.state, s.facts, entries)}

	var said []string
	for _, r := range b.Receipts() {
		for _, known := range []string{"new", "kept", "old", "late", "r1", "r2", "other"} {
			if r.ID == name(known) {
				said = append(said, known+" "+say(sale.Outcome{Status: r.Status, Reason: r.Reason, UnitPrice: r.UnitPrice}))
			}
		}
	}
	want := []string{"new refunded at 100", "late rejected closed", "r1 confirmed at 100", "r2 confirmed at 1000", "old refunded at 1000"}
	if !slices.Equal(said, want) || len(b.Receipts()) != len(want) {
		t.Errorf("changed %q of %d\nwant    %q", said, len(b.Receipts()), want)
	}
	if got, want := b.Standing(), []sale.Receipt{s.facts.Receipts[name("kept")]}; !slices.Equal(got, want) {
		t.Errorf("standing %+v\nwant     %+v", got, want)
	}
	first := b.Receipts()[1]
	if first.Verb != sale.Bid || first.Sale != lamp || first.Buyer != bob || first.Quantity != 1 || first.At != closes ||
		first.Seq != 1 || first.Fingerprint != entries[5].Sum() {
		t.Errorf("the receipt of %+v is %+v", entries[5], first)
	}
}
