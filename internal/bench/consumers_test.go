package bench

import (
	"math"
	"testing"
)

// TestLine: a line that is one is found; noise around it does not bend it; a single x has no slope.
func TestLine(t *testing.T) {
	straight, noisy, point := new(line), new(line), new(line)
	for i := range 10 {
		x := float64(i) / 10
		straight.add(x, 4+25*x)
		noisy.add(x, 4+25*x+0.5)
		noisy.add(x, 4+25*x-0.5)
		point.add(1, float64(i))
	}
	for name, l := range map[string]*line{"straight": straight, "noisy": noisy} {
		if at0, slope := l.through(); math.Abs(at0-4) > 1e-9 || math.Abs(slope-25) > 1e-9 {
			t.Errorf("%s: %v + %v x", name, at0, slope)
		}
	}
	if at0, slope := point.through(); at0 != 4.5 || slope != 0 {
		t.Errorf("a point: %v + %v x", at0, slope)
	}
}

// TestMoved: only partitions that somebody else has now have moved.
func TestMoved(t *testing.T) {
	before := map[int]string{0: "ann", 1: "ben", 2: "ben"}
	for name, test := range map[string]struct {
		after map[int]string
		want  int
	}{
		"nobody":           {map[int]string{0: "ann", 1: "ben", 2: "ben"}, 0},
		"one":              {map[int]string{0: "ben", 1: "ben", 2: "ben"}, 1},
		"one is nobody's":  {map[int]string{0: "ann", 1: "ben"}, 1},
		"all":              {map[int]string{0: "cat", 1: "cat", 2: "cat"}, 3},
		"one that was new": {map[int]string{0: "ann", 1: "ben", 2: "ben", 3: "cat"}, 0},
	} {
		if got := moved(before, test.after); got != test.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
