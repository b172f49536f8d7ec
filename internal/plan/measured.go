package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// measured is what is read of benchmarks.json.
type measured struct {
	Scenarios []struct {
		Name       string
		Contenders []struct {
			Name   string
			Median median
		}
		Figures []struct {
			Name  string
			Value float64
		}
		Curves []struct {
			Name   string
			Series []struct {
				Name   string
				Points [][2]float64
			}
		}
	}

	missing []string
}

type median struct {
	Rate   float64
	CPU    map[string]float64 `json:"cpu_us"`
	Values map[string]float64
}

func readMeasured(benchmarks []byte) (*measured, error) {
	m := new(measured)
	if err := json.Unmarshal(benchmarks, m); err != nil {
		return nil, fmt.Errorf("read the benchmarks: %w", err)
	}
	return m, nil
}

// miss notes that something is not there, and answers no number.
func (m *measured) miss(what ...string) float64 {
	m.missing = append(m.missing, fmt.Sprint(what))
	return math.NaN()
}

func (m *measured) figure(scenario, name string) float64 {
	for _, s := range m.Scenarios {
		for _, f := range s.Figures {
			if s.Name == scenario && f.Name == name {
				return f.Value
			}
		}
	}
	return m.miss(scenario, name)
}

func (m *measured) round(scenario, contender string) (median, bool) {
	for _, s := range m.Scenarios {
		for _, c := range s.Contenders {
			if s.Name == scenario && c.Name == contender {
				return c.Median, true
			}
		}
	}
	m.miss(scenario, contender)
	return median{}, false
}

func (m *measured) rate(scenario, contender string) float64 {
	r, _ := m.round(scenario, contender)
	return r.Rate
}

func (m *measured) cpu(scenario, contender, process string) float64 {
	r, ok := m.round(scenario, contender)
	if value, known := r.CPU[process]; known || !ok {
		return value
	}
	return m.miss(scenario, contender, process)
}

func (m *measured) value(scenario, contender, name string) float64 {
	r, ok := m.round(scenario, contender)
	if value, known := r.Values[name]; known || !ok {
		return value
	}
	return m.miss(scenario, contender, name)
}

// optional is value where somebody told it, else nothing.
func (m *measured) optional(scenario, contender, name string) float64 {
	r, _ := m.round(scenario, contender)
	return r.Values[name]
}

// points are those of one line of a curve.
func (m *measured) points(scenario, curve, series string) [][2]float64 {
	for _, s := range m.Scenarios {
		for _, c := range s.Curves {
			for _, one := range c.Series {
				if s.Name == scenario && c.Name == curve && one.Name == series {
					return one.Points
				}
			}
		}
	}
	m.miss(scenario, curve, series)
	return nil
}

// batchSizes are those of the scenario batch that a consumer may settle at once.
var batchSizes = []int{1, 10, 50, 100, 200, 500}

// line is what a batch costs beside its requests: where the straight line through the
// costs of whole batches begins, each as near as it can be by its own size.
func (m *measured) line(scenario, process string) float64 {
	var w, x, y, xx, xy float64
	for _, n := range batchSizes {
		whole := m.cpu(scenario, fmt.Sprintf("%d at once", n), process) * float64(n)
		weight := 1 / (whole * whole)
		w, x, y = w+weight, x+weight*float64(n), y+weight*whole
		xx, xy = xx+weight*float64(n*n), xy+weight*float64(n)*whole
	}
	slope := (w*xy - x*y) / (w*xx - x*x)
	return (y - slope*x) / w
}

// salesSeen are the points of the scenario sales.
var salesSeen = map[string]float64{"1 sale": 1, "10 sales": 10, "100 sales": 100, "1,000 sales": 1000, "10,000 sales": 10_000}

// bySales is what each sale in a batch costs: the slope over how many there are in one of
// 500, among so many that are drawn from.
func (m *measured) bySales(process string) float64 {
	var n, x, y, xx, xy float64
	names := make([]string, 0, len(salesSeen))
	for name := range salesSeen {
		names = append(names, name)
	}
	slices.Sort(names) // in one order, for the last digit of the sums
	for _, name := range names {
		each, cost := distinct(batchMost, salesSeen[name], 0)/batchMost, m.cpu("sales", name, process)
		n, x, y, xx, xy = n+1, x+each, y+cost, xx+each*each, xy+each*cost
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// distinct is how many sales are met in n requests, of so many that are drawn from alike,
// when a share of them goes to one more.
func distinct(n, sales, hot float64) float64 {
	rest := n * (1 - hot)
	met := 0.0
	if sales > 1 {
		met = sales * (1 - math.Pow(1-1/sales, rest))
	} else { // one, or on average less than one
		met = min(sales, rest)
	}
	return met + min(1, n*hot)
}
