package torture

import (
	"reflect"
	"testing"
	"time"
)

// TestPlan: the seed, the length and the mode alone decide the faults; every kind comes
// in a short run, and in a long one as often as it should.
func TestPlan(t *testing.T) {
	for _, o := range []Options{{}, {Forgetful: true}, {Cluster: true}} {
		kinds := o.kinds()
		if !reflect.DeepEqual(plan(7, time.Minute, kinds), plan(7, time.Minute, kinds)) {
			t.Error("one seed, two plans")
		}
		if reflect.DeepEqual(plan(7, time.Minute, kinds), plan(8, time.Minute, kinds)) {
			t.Error("two seeds, one plan")
		}
		for seed := range uint64(100) {
			early := map[string]bool{}
			for _, f := range plan(seed, 12*time.Second, kinds) {
				early[f.kind] = true
			}
			for _, f := range plan(seed, time.Minute, kinds) {
				if f.at >= time.Minute || f.lasts < restLeast || f.lasts > pauseMost {
					t.Errorf("seed %d: %+v", seed, f)
				}
			}
			if len(early) != len(kinds) {
				t.Errorf("12 s of seed %d have %v alone", seed, early)
			}
		}
		in := 0
		for _, kind := range kinds {
			in += kind.of
		}
		all := map[string]int{}
		faults := plan(1, 10*time.Hour, kinds)
		for _, f := range faults {
			all[f.kind]++
		}
		for _, kind := range kinds {
			if share, want := 1000*all[kind.name]/len(faults), 1000*kind.of/in; share < want-15 || share > want+15 {
				t.Errorf("%d of a thousand are %s, want %d", share, kind.name, want)
			}
		}
	}
}

// TestOrdeals: all kinds come before one comes again, by the seed alone.
func TestOrdeals(t *testing.T) {
	if !reflect.DeepEqual(ordeals(7, time.Minute), ordeals(7, time.Minute)) || reflect.DeepEqual(ordeals(7, time.Minute), ordeals(8, time.Minute)) {
		t.Error("the seed does not decide")
	}
	for seed := range uint64(100) {
		seen := map[string]int{}
		before, shard := time.Duration(0), -1
		for i, f := range ordeals(seed, time.Minute) {
			if seen[f.kind]++; seen[f.kind] != i/len(ordealsOfCluster)+1 {
				t.Errorf("seed %d: the fault %d is the %d. of %s", seed, i, seen[f.kind], f.kind)
			}
			if f.at < before || f.lasts < restLeast || f.lasts > pauseMost || f.kind == pauseMaster && f.lasts < nodeTimeout {
				t.Errorf("seed %d: %+v", seed, f)
			}
			if f.target%masters == shard {
				t.Errorf("seed %d: the fault %d strikes shard %d once more", seed, i, shard)
			}
			before, shard = f.at, f.target%masters
		}
		if before < time.Minute-gapMost {
			t.Errorf("seed %d: the last comes at %s", seed, before)
		}
	}
}
