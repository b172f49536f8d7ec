package torture

import (
	"reflect"
	"testing"
	"time"
)

// TestPlan: the seed and the length alone decide the faults; every kind comes early,
// and later as often as it should.
func TestPlan(t *testing.T) {
	if !reflect.DeepEqual(plan(7, time.Minute), plan(7, time.Minute)) {
		t.Error("one seed, two plans")
	}
	if reflect.DeepEqual(plan(7, time.Minute), plan(8, time.Minute)) {
		t.Error("two seeds, one plan")
	}
	for seed := range uint64(100) {
		early := map[string]bool{}
		for i, f := range plan(seed, time.Minute) {
			if i < len(kindsOfFaults) {
				early[f.kind] = true
			}
			if f.at >= time.Minute || f.lasts < restLeast || f.lasts > pauseMost {
				t.Errorf("seed %d: %+v", seed, f)
			}
		}
		if len(early) != len(kindsOfFaults) {
			t.Errorf("seed %d begins with %v alone", seed, early)
		}
	}
	all := map[string]int{}
	faults := plan(1, 10*time.Hour)
	for _, f := range faults {
		all[f.kind]++
	}
	for _, kind := range kindsOfFaults {
		if share := 100 * all[kind.name] / len(faults); share < kind.of-3 || share > kind.of+3 {
			t.Errorf("%d of a hundred are %s, want %d", share, kind.name, kind.of)
		}
	}
}
