package sale_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// TestDecideKeepsItsPromises holds Decide against the model, over random histories
// in random batches, each decided on a view that shows no more than it must.
func TestDecideKeepsItsPromises(t *testing.T) {
	for name, histories := range map[string]*rapid.Generator[saletest.History]{"sound": saletest.Histories, "odd": saletest.OddHistories} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			for _, complaint := range complaints(sale.Decide, histories.Draw(t, "history")) {
				t.Error(complaint)
			}
		}))
	}
}

// TestWatcherCatchesTwins: each twin of Decide breaks one promise, and the
// watcher must complain about that one, or the property above proves nothing.
func TestWatcherCatchesTwins(t *testing.T) {
	for _, twin := range twins {
		t.Run(twin.name, func(t *testing.T) {
			for seed := range 2000 {
				histories := []*rapid.Generator[saletest.History]{saletest.Histories, saletest.OddHistories}[seed%2]
				for _, complaint := range complaints(twin.decide, histories.Example(seed)) {
					if strings.HasPrefix(complaint, twin.breaks+": ") {
						t.Logf("seed %d: %.200s", seed, complaint)
						return
					}
				}
			}
			t.Errorf("2000 histories and no complaint about %q", twin.breaks)
		})
	}
}

// TestWatcherIsContent: on the same histories it has nothing to say of Decide.
func TestWatcherIsContent(t *testing.T) {
	for seed := range 1000 {
		for _, complaint := range complaints(sale.Decide, saletest.OddHistories.Example(seed)) {
			t.Errorf("seed %d: %s", seed, complaint)
		}
	}
}
