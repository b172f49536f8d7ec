package bench

import (
	"math"
	"testing"
)

// TestGrowthIsTold: a cost that grows with what there is, is told as not flat, however
// the machine's mood changes meanwhile; one that does not is told as flat.
func TestGrowthIsTold(t *testing.T) {
	g := growth{of: "sales", base: 1, points: []int{10, 100}}
	for name, test := range map[string]struct {
		cost func(x float64) float64 // µs of the consumer for a request
		met  string
		last float64
	}{
		"flat":        {func(float64) float64 { return 20 }, Goal, 1},
		"cheaper":     {func(x float64) float64 { return 20 - x/20 }, Goal, 25.0 / 29.95},
		"within":      {func(x float64) float64 { return 20 + x/50 }, Bound, 32.0 / 30.02},
		"linear":      {func(x float64) float64 { return 20 + x/10 }, Missed, 40 / 30.1},
		"logarithmic": {func(x float64) float64 { return 20 + 10*math.Log10(x) }, Missed, 50.0 / 30},
		"quadratic":   {func(x float64) float64 { return 20 + x*x/1000 }, Missed, 40 / 30.001},
	} {
		// The machine is at first three times as slow as later: both of a pair are hit.
		round := func(x, mood float64) Round {
			return Round{Rate: 1000 / mood, CPU: map[string]float64{"consumer": test.cost(x) * mood, "redis": 10 * mood}}
		}
		var seen [][]beside
		for _, x := range g.points {
			var pairs []beside
			for _, mood := range []float64{3, 1, 2} {
				pairs = append(pairs, beside{round(1, mood), round(float64(x), mood)})
			}
			seen = append(seen, pairs)
		}
		var told Told
		g.tell(&told, seen)
		f := told.Figures[0]
		if f.Met != test.met || math.Abs(f.Value-test.last) > 1e-9 {
			t.Errorf("%s: %v, %s; want %v, %s", name, f.Value, f.Met, test.last, test.met)
		}
		if f.Unit != "× (100 sales : 1 sale)" {
			t.Errorf("%s: told in %q", name, f.Unit)
		}
		line := told.Curves[0].Series[0].Points
		if len(line) != 3 || line[0] != [2]float64{1, 1} || line[2] != [2]float64{100, f.Value} {
			t.Errorf("%s: curve %v", name, line)
		}
	}
}

// TestCostWithoutCPU: where nobody tells CPU times, a request costs its time.
func TestCostWithoutCPU(t *testing.T) {
	if got := (Round{Rate: 20_000}).cost(); got != 50 {
		t.Errorf("%v µs", got)
	}
	if got := (Round{Rate: 20_000, CPU: map[string]float64{"redis": 1.5, "admit": 2}}).cost(); got != 3.5 {
		t.Errorf("%v µs of CPU", got)
	}
}
