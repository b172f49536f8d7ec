package bench

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{1, 1, 1000}, 1},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("of %v: %v", test.values, got)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("nothing has a median")
	}
	values := []float64{3, 1, 2}
	Median(values)
	if values[0] != 3 {
		t.Error("it sorts what it was given")
	}
}

// TestAverage: every number is the median of its own kind, over the rounds that have it.
func TestAverage(t *testing.T) {
	m := average([]Round{
		{Rate: 10, N: 100, Seconds: 1, CPU: map[string]float64{"api": 5}, Values: map[string]float64{"oversold": 3}},
		{Rate: 30, N: 90, Seconds: 3, CPU: map[string]float64{"api": 9}, Latency: &Latency{P50: 2, P99: 8}},
		{Rate: 20, N: 95, Seconds: 2, CPU: map[string]float64{"api": 7, "redis": 1}, Latency: &Latency{P50: 4, P99: 6}},
	})
	if m.Rate != 20 || m.N != 95 || m.Seconds != 2 || m.CPU["api"] != 7 || m.CPU["redis"] != 1 || m.Values["oversold"] != 3 {
		t.Errorf("%+v", m)
	}
	if m.Latency == nil || m.Latency.P50 != 3 || m.Latency.P99 != 7 {
		t.Errorf("%+v", m.Latency)
	}
}

// TestCompare: a ratio is one of medians, with the median of the rounds' own beside it.
func TestCompare(t *testing.T) {
	r := &Run{house: &house{}, Report: &Told{}}
	for i, rates := range [][2]float64{{10, 20}, {30, 30}, {20, 10}} {
		r.Round("a", Round{Rate: rates[0], N: float64(i)})
		r.Round("b", Round{Rate: rates[1]})
	}
	r.Compare("a", "b", Target{Bound: 0.5, Goal: 2})
	r.Compare("a", "nobody", Target{})
	if len(r.Report.Ratios) != 1 {
		t.Fatalf("%+v", r.Report.Ratios)
	}
	if got := r.Report.Ratios[0]; got.Value != 1 || got.ByRound != 1 || got.Met != Bound {
		t.Errorf("%+v", got)
	}
}

func TestMet(t *testing.T) {
	more, less := Target{Bound: 0.5, Goal: 0.75}, Target{Bound: 350, Goal: 175}
	same := Target{Bound: 10, Goal: 10, AtMost: true}
	for _, test := range []struct {
		target Target
		value  float64
		want   string
	}{
		{more, 0.49, Missed}, {more, 0.5, Bound}, {more, 0.75, Goal}, {more, 2, Goal},
		{less, 351, Missed}, {less, 350, Bound}, {less, 175, Goal}, {less, 1, Goal},
		{same, 10.1, Missed}, {same, 10, Goal}, {same, 9, Goal},
		{Target{}, 7, ""}, {more, math.NaN(), Missed}, {less, math.NaN(), Missed},
	} {
		if got := test.target.Met(test.value); got != test.want {
			t.Errorf("%v of %+v: %q", test.value, test.target, got)
		}
	}
}
