package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is all that was measured in one run; the form of docs/benchmarks.json.
type Report struct {
	Machine   Machine           `json:"machine"`
	Config    map[string]string `json:"config"`
	Scenarios []Told            `json:"scenarios"`
}

// Machine is where it was measured.
type Machine struct {
	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`
	Memory   int64  `json:"memory_bytes"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Redis    string `json:"redis"`
	Postgres string `json:"postgres"`
	Revision string `json:"revision"`
	Date     string `json:"date"`
}

// Told is what a scenario told.
type Told struct {
	Name       string      `json:"name"`
	Title      string      `json:"title"`
	Command    string      `json:"command"`
	What       string      `json:"what"`
	Measured   string      `json:"measured"` // revision and day
	Contenders []Contender `json:"contenders,omitempty"`
	Ratios     []Ratio     `json:"ratios,omitempty"`
	Figures    []Figure    `json:"figures,omitempty"`
	Curves     []Curve     `json:"curves,omitempty"`
	Notes      []string    `json:"notes,omitempty"`
}

// Contender is somebody who was measured.
type Contender struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Rounds []Round `json:"rounds"`
	Median Round   `json:"median"` // of every number by itself
}

// Round is what was seen in one round.
type Round struct {
	Rate    float64            `json:"rate"` // n per second
	N       float64            `json:"n"`
	Seconds float64            `json:"seconds"`
	CPU     map[string]float64 `json:"cpu_us,omitempty"` // per one of n, of each process
	Latency *Latency           `json:"latency_ms,omitempty"`
	Values  map[string]float64 `json:"values,omitempty"` // what only this scenario knows
}

// Latency is in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Target is what a number must reach, and what it should. A goal below the bound says
// that less is better; where both are the same, AtMost does.
type Target struct {
	Bound  float64 `json:"bound,omitempty"`
	Goal   float64 `json:"goal,omitempty"`
	AtMost bool    `json:"at_most,omitempty"`
}

// The words of Met.
const (
	Bound  = "bound"
	Goal   = "goal"
	Missed = "missed"
)

// Met says what a value has reached; "" where nothing was asked for.
func (t Target) Met(value float64) string {
	reaches := func(mark float64) bool { return value >= mark }
	if t.AtMost || t.Goal < t.Bound {
		reaches = func(mark float64) bool { return value <= mark }
	}
	switch {
	case t == Target{}:
		return ""
	case reaches(t.Goal):
		return Goal
	case reaches(t.Bound):
		return Bound
	}
	return Missed
}

// Ratio is how one contender stands to another.
type Ratio struct {
	Of      string  `json:"of"`
	To      string  `json:"to"`
	Value   float64 `json:"value"`
	ByRound float64 `json:"by_round,omitempty"` // the median of each round's ratio, where Value is that of medians
	Target
	Met string `json:"met,omitempty"`
}

// Figure is a number with a name.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Target
	Met string `json:"met,omitempty"`
}

// Curve is how something grows with something else.
type Curve struct {
	Name   string   `json:"name"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x,omitempty"`
	LogY   bool     `json:"log_y,omitempty"`
	Series []Series `json:"series"`
}

// Series is one line of a curve.
type Series struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// contender is the one of that name, who is new if there was none.
func (t *Told) contender(name string) *Contender {
	for i := range t.Contenders {
		if t.Contenders[i].Name == name {
			return &t.Contenders[i]
		}
	}
	t.Contenders = append(t.Contenders, Contender{Name: name})
	return &t.Contenders[len(t.Contenders)-1]
}

// settle computes what follows from the rounds.
func (t *Told) settle() {
	for i := range t.Contenders {
		t.Contenders[i].Median = average(t.Contenders[i].Rounds)
	}
}

// gave says whether there is a figure, ratio (of/to) or curve of that name, with a
// number in it.
func (t Told) gave(name string) bool {
	number := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	return slices.ContainsFunc(t.Figures, func(f Figure) bool { return f.Name == name && number(f.Value) }) ||
		slices.ContainsFunc(t.Ratios, func(r Ratio) bool { return r.Of+"/"+r.To == name && number(r.Value) }) ||
		slices.ContainsFunc(t.Curves, func(c Curve) bool {
			return c.Name == name && len(c.Series) > 0 &&
				!slices.ContainsFunc(c.Series, func(s Series) bool { return len(s.Points) == 0 })
		})
}

// Write writes r as JSON for people and programs.
func (r Report) Write(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", " ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

func (r Round) String() string {
	text := fmt.Sprintf("%9s/s", short(r.Rate))
	if r.Latency != nil {
		text += fmt.Sprintf("  p50 %s  p99 %s ms", short(r.Latency.P50), short(r.Latency.P99))
	}
	if len(r.CPU) > 0 {
		text += "  µs:"
		for _, name := range slices.Sorted(maps.Keys(r.CPU)) {
			text += " " + name + " " + short(r.CPU[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		text += "  " + name + " " + short(r.Values[name])
	}
	return text
}

// Table writes t for a person at a terminal.
func (t Told) Table(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	defer out.Flush()
	for _, c := range t.Contenders {
		if len(c.Rounds) > 0 {
			fmt.Fprintf(out, "   %s\t%s\n", c.Name, strings.TrimSpace(c.Median.String()))
		}
	}
	for _, r := range t.Ratios {
		fmt.Fprintf(out, "   %s / %s\t%s%s\n", r.Of, r.To, short(r.Value), r.against(r.Met))
	}
	for _, f := range t.Figures {
		fmt.Fprintf(out, "   %s\t%s %s%s\n", f.Name, short(f.Value), f.Unit, f.against(f.Met))
	}
	for _, note := range t.Notes {
		fmt.Fprintf(out, "   %s\n", note)
	}
}

// against is what a value was held against.
func (t Target) against(met string) string {
	if met == "" {
		return ""
	}
	return fmt.Sprintf("\tbound %s, goal %s: %s", short(t.Bound), short(t.Goal), met)
}

// short writes a number with three digits or so, and thousands apart.
func short(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "?"
	case size >= 1000:
		return grouped(int64(math.Round(v)))
	case size >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// grouped writes 12345 as 12,345.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}
