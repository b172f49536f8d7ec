package bench

import (
	"math"
	"slices"
)

// Median is the middle value, or the mean of the two in the middle; NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// average is a round of which every number is the median of that number.
func average(rounds []Round) (m Round) {
	if len(rounds) == 0 {
		return Round{}
	}
	m.Rate = medianOf(rounds, func(r Round) float64 { return r.Rate })
	m.N = medianOf(rounds, func(r Round) float64 { return r.N })
	m.Seconds = medianOf(rounds, func(r Round) float64 { return r.Seconds })
	m.CPU = medians(rounds, func(r Round) map[string]float64 { return r.CPU })
	m.Values = medians(rounds, func(r Round) map[string]float64 { return r.Values })
	timed := slices.DeleteFunc(slices.Clone(rounds), func(r Round) bool { return r.Latency == nil })
	if len(timed) > 0 {
		m.Latency = &Latency{
			P50:  medianOf(timed, func(r Round) float64 { return r.Latency.P50 }),
			P90:  medianOf(timed, func(r Round) float64 { return r.Latency.P90 }),
			P99:  medianOf(timed, func(r Round) float64 { return r.Latency.P99 }),
			P999: medianOf(timed, func(r Round) float64 { return r.Latency.P999 }),
			Max:  medianOf(timed, func(r Round) float64 { return r.Latency.Max }),
		}
	}
	return m
}

func medianOf(rounds []Round, of func(Round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	return Median(values)
}

// medians are those of every name, over the rounds that have it.
func medians(rounds []Round, of func(Round) map[string]float64) map[string]float64 {
	all := map[string][]float64{}
	for _, r := range rounds {
		for name, value := range of(r) {
			all[name] = append(all[name], value)
		}
	}
	if len(all) == 0 {
		return nil
	}
	found := map[string]float64{}
	for name, values := range all {
		found[name] = Median(values)
	}
	return found
}
