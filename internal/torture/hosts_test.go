package torture

import (
	"slices"
	"strings"
	"testing"
)

func TestEvenly(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, test := range []struct {
		owners string
		even   bool
	}{
		{"a b c a b c a", true},
		{"a b c", true},
		{"a b", true},
		{"a a b b c a a", false}, // one has three more
		{"a a b b", false},       // one has none, and another two
		{"a b d", false},         // a stranger
		{"a b c a b ", false},    // nobody
	} {
		if got := evenly(strings.Split(test.owners, " "), names); got != test.even {
			t.Errorf("%q: %t", test.owners, got)
		}
	}
}

// TestCopes: each kind is summed up by itself, and what did not come is not counted.
func TestCopes(t *testing.T) {
	got := copes([]Hardship{
		{Kind: "no_stores", PartitionsS: 3.5, EvenS: 1},
		{Kind: "no_stores", PartitionsS: 2.5, LeadS: 3, EvenS: 0.25},
		{Kind: "slow_host", EvenS: 0.1},
	})
	want := []string{
		"slow_host            1×; even again 0.1 to 0.1 s",
		"no_stores            2×; partitions taken over after 2.5 to 3.5 s; lead after 3.0 to 3.0 s; even again 0.2 to 1.0 s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
