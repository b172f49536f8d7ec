package lookout

import (
	"math"
	"testing"
)

// told is a round of processes with these counters, by URL.
func told(processes map[string]map[string]float64) (r Round) {
	for url, counters := range processes {
		s := series{"sluice_partitions_owned": {{}}}
		for key, v := range counters {
			s["count"] = append(s["count"], sample{key: key, labels: map[string]string{"kind": key}, value: v})
		}
		r.answers = append(r.answers, answer{url: url, series: s})
	}
	return r
}

// TestGrowth: of processes that go on, that were started again, that are new, and that are
// gone.
func TestGrowth(t *testing.T) {
	before := told(map[string]map[string]float64{
		"on":    {"a": 100, "b": 7},
		"again": {"a": 1000},
		"gone":  {"a": 50},
	})
	now := told(map[string]map[string]float64{
		"on":    {"a": 130, "b": 7, "c": 2}, // c is told for the first time: it was nothing before
		"again": {"a": 5},
		"new":   {"a": 999}, // nobody knows since when
	})
	by, known := growth(before, now, consumer, "count", func(l map[string]string) string { return l["kind"] })
	if !known || len(by) != 2 || by["a"] != 35 || by["c"] != 2 {
		t.Errorf("%v %v, want a 35, c 2", by, known)
	}
	if by, known := growth(before, now, api, "count", func(map[string]string) string { return "x" }); known {
		t.Errorf("no API was asked, and %v is known", by)
	}
	if by, known := growth(Round{}, now, consumer, "count", func(map[string]string) string { return "x" }); known {
		t.Errorf("after one look %v is known", by)
	}
}

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	for name, test := range map[string]struct {
		buckets []bucket
		q, want float64 // -1: none
	}{
		"nobody":             {nil, 0.5, -1},
		"nothing":            {[]bucket{{1, 0}, {inf, 0}}, 0.5, -1},
		"the middle of one":  {[]bucket{{1, 0}, {2, 10}, {inf, 10}}, 0.5, 1.5},
		"the first":          {[]bucket{{1, 10}, {inf, 10}}, 0.5, 0.5},
		"beyond the last":    {[]bucket{{1, 1}, {2, 2}, {inf, 100}}, 0.99, 2},
		"at a bound":         {[]bucket{{1, 50}, {2, 100}, {inf, 100}}, 0.5, 1},
		"far out":            {[]bucket{{1, 98}, {2, 98}, {4, 100}, {inf, 100}}, 0.99, 3},
		"nothing in between": {[]bucket{{1, 10}, {2, 10}, {inf, 10}}, 1, 1},
	} {
		got := quantile(test.buckets, test.q)
		if (got == nil) != (test.want < 0) || got != nil && math.Abs(*got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestHistogramOfOneThatWasStartedAgain counts what it has since.
func TestHistogramOfOneThatWasStartedAgain(t *testing.T) {
	of := func(counts ...float64) Round {
		s := sample{}
		for i, le := range []float64{1, 2, math.Inf(1)} {
			s.buckets = append(s.buckets, bucket{le, counts[i]})
		}
		return Round{answers: []answer{{url: "u", series: series{"h": {s}}}}}
	}
	got, known := grown(of(5, 8, 9), of(6, 10, 12), "h")
	if !known || len(got) != 3 || got[0].count != 1 || got[1].count != 2 || got[2].count != 3 {
		t.Errorf("%v", got)
	}
	if got, _ = grown(of(5, 8, 9), of(1, 1, 2), "h"); got[0].count != 1 || got[2].count != 2 {
		t.Errorf("started again: %v", got)
	}
	if _, known = grown(Round{}, of(1, 1, 2), "h"); known {
		t.Error("known after one look")
	}
}
