package lookout

import (
	"math"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// series are the metrics of one process, by name.
type series map[string][]sample

// sample is one metric. Of a histogram it has the buckets, and no value.
type sample struct {
	key     string // its labels, in one spelling
	labels  map[string]string
	value   float64
	buckets []bucket
}

// bucket counts what was at most le.
type bucket struct{ le, count float64 }

// seriesOf takes from what was parsed what is needed here.
func seriesOf(families map[string]*dto.MetricFamily) series {
	all := series{}
	for name, family := range families {
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		for _, m := range family.Metric {
			s := sample{labels: map[string]string{}}
			var spelled []string
			for _, pair := range m.Label {
				s.labels[pair.GetName()] = pair.GetValue()
				spelled = append(spelled, pair.GetName()+"\x00"+pair.GetValue())
			}
			slices.Sort(spelled)
			s.key = strings.Join(spelled, "\x00")
			switch {
			case m.Counter != nil:
				s.value = m.Counter.GetValue()
			case m.Gauge != nil:
				s.value = m.Gauge.GetValue()
			case m.Untyped != nil:
				s.value = m.Untyped.GetValue()
			case m.Histogram != nil:
				for _, b := range m.Histogram.Bucket {
					s.buckets = append(s.buckets, bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
				}
			}
			if !math.IsNaN(s.value) {
				all[name] = append(all[name], s)
			}
		}
	}
	return all
}

// gauge is the one metric of a name, in a process that tells it.
func (s series) gauge(name string) (value float64, known bool) {
	if len(s[name]) == 0 {
		return 0, false
	}
	return s[name][0].value, true
}

// role is what a process does. Each is known by a metric that it tells from the start.
type role string

const (
	api       role = "api"
	consumer  role = "consumer"
	scheduler role = "scheduler"
)

var roles = []struct {
	role  role
	tells string
}{
	{api, "sluice_http_ip_limited_total"},
	{consumer, "sluice_partitions_owned"},
	{scheduler, "sluice_scheduler_leads"},
}

// is says whether a process has a role.
func (s series) is(r role) bool {
	return slices.ContainsFunc(roles, func(known struct {
		role  role
		tells string
	}) bool {
		return known.role == r && len(s[known.tells]) > 0
	})
}

// most is the largest value of a gauge that anybody tells; nil: nobody knows.
func (r Round) most(name string) *float64 { return r.pick(name, math.Max) }

// least is the smallest.
func (r Round) least(name string) *float64 { return r.pick(name, math.Min) }

func (r Round) pick(name string, of func(a, b float64) float64) (picked *float64) {
	for _, a := range r.answers {
		for _, s := range a.series[name] {
			if picked == nil {
				picked = new(s.value)
			}
			*picked = of(*picked, s.value)
		}
	}
	return picked
}

// by is the largest value of a gauge for each value of a label.
func (r Round) by(name, label string) map[string]float64 {
	all := map[string]float64{}
	for _, a := range r.answers {
		for _, s := range a.series[name] {
			if v, ok := all[s.labels[label]]; !ok || s.value > v {
				all[s.labels[label]] = s.value
			}
		}
	}
	return all
}

// pairs calls do with what a process tells now and told before. One that was not asked
// before, or did not answer, has nothing to be compared with.
func pairs(before, now Round, do func(was, is series)) {
	for _, is := range now.answers {
		for _, was := range before.answers {
			if was.url == is.url && was.fault == nil && is.fault == nil {
				do(was.series, is.series)
			}
		}
	}
}

// growth is by how much the counters of a name have grown in between, summed by what of
// makes of their labels ("": not counted). A process that was started again has grown by
// all it counts. known is false when nobody of that role can be compared.
func growth(before, now Round, r role, name string, of func(labels map[string]string) string) (by map[string]float64, known bool) {
	by = map[string]float64{}
	pairs(before, now, func(was, is series) {
		known = known || is.is(r)
		old := map[string]float64{}
		for _, s := range was[name] {
			old[s.key] = s.value
		}
		for _, s := range is[name] {
			grown := s.value
			if o, ok := old[s.key]; ok && o <= s.value {
				grown -= o
			}
			if k := of(s.labels); k != "" && grown > 0 {
				by[k] += grown
			}
		}
	})
	return by, known
}

// grown is the histogram of what was observed in between, over all labels: how many were
// at most le, for each of its buckets. known is false when nobody tells.
func grown(before, now Round, name string) (buckets []bucket, known bool) {
	sum := map[float64]float64{}
	pairs(before, now, func(was, is series) {
		old := map[string]sample{}
		for _, s := range was[name] {
			old[s.key] = s
		}
		for _, s := range is[name] {
			known = true
			o := old[s.key]
			if len(o.buckets) != len(s.buckets) || len(s.buckets) > 0 && o.buckets[len(o.buckets)-1].count > s.buckets[len(s.buckets)-1].count {
				o.buckets = make([]bucket, len(s.buckets)) // there was none, or it was started again
			}
			for i, b := range s.buckets {
				sum[b.le] += b.count - o.buckets[i].count
			}
		}
	})
	for le, count := range sum {
		buckets = append(buckets, bucket{le, count})
	}
	slices.SortFunc(buckets, func(a, b bucket) int {
		if a.le < b.le {
			return -1
		}
		return 1
	})
	return buckets, known
}

// quantile is below what the share q of all observations stays, as Prometheus guesses it:
// straight within a bucket, and the last bound for what is beyond it. nil: there is none.
func quantile(buckets []bucket, q float64) *float64 {
	if len(buckets) == 0 || buckets[len(buckets)-1].count == 0 {
		return nil
	}
	rank := q * buckets[len(buckets)-1].count
	var low bucket
	for _, b := range buckets {
		if b.count >= rank {
			if math.IsInf(b.le, 1) {
				return new(low.le)
			}
			share := 1.0
			if b.count > low.count {
				share = (rank - low.count) / (b.count - low.count)
			}
			return new(low.le + (b.le-low.le)*share)
		}
		low = b
	}
	return new(low.le)
}
