package lookout

import (
	"slices"
	"testing"

	"sluice/internal/sale"
)

// TestAskedVerbs: what counts as asked here is what the rules call so.
func TestAskedVerbs(t *testing.T) {
	for _, verb := range sale.Verbs() {
		if slices.Contains(asked, verb.String()) != verb.Asked() {
			t.Errorf("%s is asked: %t", verb, verb.Asked())
		}
	}
}
