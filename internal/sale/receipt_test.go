package sale_test

import (
	"slices"
	"strings"
	"testing"

	"sluice/internal/sale"
)

var statuses = []sale.Status{sale.Queued, sale.Confirmed, sale.Held, sale.Waiting, sale.Rejected, sale.Expired, sale.Cancelled, sale.Refunded}

// TestStatusMachine holds every pair of statuses against the domain's sentence.
func TestStatusMachine(t *testing.T) {
	const domain = `
		queued → confirmed held waiting rejected
		held → confirmed expired cancelled
		waiting → held confirmed cancelled rejected
		confirmed → refunded cancelled`
	allowed := map[string][]string{}
	for line := range strings.Lines(domain) {
		if from, to, ok := strings.Cut(strings.TrimSpace(line), " → "); ok {
			allowed[from] = strings.Fields(to)
		}
	}
	if len(allowed) != 4 {
		t.Fatalf("read %d lines of the table", len(allowed))
	}
	for _, from := range statuses {
		for _, to := range statuses {
			if got, want := from.CanBecome(to), slices.Contains(allowed[from.String()], to.String()); got != want {
				t.Errorf("%s → %s: %t, want %t", from, to, got, want)
			}
		}
		final := slices.Contains([]sale.Status{sale.Rejected, sale.Expired, sale.Cancelled, sale.Refunded}, from)
		if from.Final() != final {
			t.Errorf("%s final: %t, want %t", from, from.Final(), final)
		}
		if from.CanBecome(0) || sale.Status(0).CanBecome(from) {
			t.Errorf("%s has an arrow from or to nothing", from)
		}
	}
}

// TestWords: every word of the domain is there, once, with the number that the
// wire form gives it for ever, and no other is.
func TestWords(t *testing.T) {
	t.Run("status", func(t *testing.T) {
		words(t, sale.ParseStatus, "queued confirmed held waiting rejected expired cancelled refunded")
	})
	t.Run("reason", func(t *testing.T) {
		words(t, sale.ParseReason, "unknown_sale not_open closed sold_out line_full price_changed over_limit duplicate short_points "+
			"coupon_unusable expired not_payable not_yours not_refundable already_final suspended lost internal")
	})
	t.Run("verb", func(t *testing.T) {
		words(t, sale.ParseVerb, "bid refund change open close payout rebuilt reserve claim join pay cancel expire suspend resume")
	})
}

func words[T interface {
	~uint8
	String() string
}](t *testing.T, parse func(string) (T, bool), list string) {
	all := strings.Fields(list)
	for i, word := range all {
		got, ok := parse(word)
		if !ok || got != T(i+1) || got.String() != word {
			t.Errorf("%q is %d %q (%t), want %d", word, got, got, ok, i+1)
		}
	}
	for _, word := range []string{"", " ", "Queued", "BID", "reasons", "queued "} {
		if got, ok := parse(word); ok || got != 0 {
			t.Errorf("%q was taken as %d %q", word, got, got)
		}
	}
	for _, none := range []T{0, T(len(all) + 1), 255} {
		if none.String() != "" {
			t.Errorf("number %d has the word %q", none, none)
		}
	}
}
