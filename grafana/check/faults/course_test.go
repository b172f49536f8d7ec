package faults

import (
	"slices"
	"testing"

	"github.com/prometheus/common/model"
)

// TestVerdict: who judges is judged by what he must catch.
func TestVerdict(t *testing.T) {
	series := func(alert, state, partition string, evaluations ...int) *model.SampleStream {
		s := &model.SampleStream{Metric: model.Metric{"__name__": "ALERTS", "alertname": model.LabelValue(alert), "alertstate": model.LabelValue(state), "partition": model.LabelValue(partition)}}
		for _, n := range evaluations {
			s.Values = append(s.Values, model.SamplePair{Timestamp: model.Time(int64(n) * every.Milliseconds()), Value: 1})
		}
		return s
	}
	c := course{
		series("AtOnce", "firing", "", 3, 4),
		series("AtTheSecond", "pending", "0", 3), series("AtTheSecond", "firing", "0", 4),
		series("AtTheSecond", "pending", "1", 5, 6, 7), series("AtTheSecond", "firing", "1", 8), // a later one does not count
		series("CameAndWent", "pending", "", 1, 2, 3, 7), series("CameAndWent", "firing", "", 8, 9),
		series("Late", "pending", "", 3, 4), series("Late", "firing", "", 5),
		series("Never", "pending", "", 3),
	}
	for _, one := range []struct {
		name              string
		right, companions []string
		want              []string
	}{
		{"all as it should be", []string{"AtOnce", "AtTheSecond", "CameAndWent"}, []string{"Late"}, nil},
		{"held back", []string{"Late"}, []string{"AtOnce", "AtTheSecond", "CameAndWent"}, []string{"Late was held back at 2 evaluations"}},
		{"never", []string{"Never", "Unheard"}, []string{"AtOnce", "AtTheSecond", "CameAndWent", "Late"}, []string{"Never did not fire", "Unheard did not fire"}},
		{"others", nil, []string{"AtTheSecond", "CameAndWent"}, []string{"AtOnce fired, too", "Late fired, too"}},
	} {
		if got := c.verdict(one.right, one.companions); !slices.Equal(got, one.want) {
			t.Errorf("%s: %q, not %q", one.name, got, one.want)
		}
	}
}
