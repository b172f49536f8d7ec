package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has something of everything.
func sample() Report {
	told := Told{
		Name: "door", Title: "A door", Command: "sluice bench --only door", What: "Something is asked.", Measured: "r, 2026-01-02",
		Ratios:  []Ratio{{Of: "sluice", To: "post", Value: 0.61, ByRound: 0.6, Target: Target{Bound: 0.55, Goal: 0.75}, Met: Bound}},
		Figures: []Figure{{Name: "queued", Unit: "B", Value: 300, Target: Target{Bound: 350, Goal: 175}, Met: Bound}, {Name: "plain", Unit: "/s", Value: 12345}},
		Curves:  []Curve{{Name: "load", X: "requests/s", Y: "ms", LogX: true, Series: []Series{{"p50", [][2]float64{{1, 2}, {3, 4}}}}}},
		Notes:   []string{"It is a sample."},
	}
	for _, rate := range []float64{100, 300, 200} {
		c := told.contender("sluice")
		c.What = "ours"
		c.Rounds = append(c.Rounds, Round{
			Rate: rate, N: rate, Seconds: 1, CPU: map[string]float64{"api": 30}, Latency: &Latency{1, 2, 3, 4, 5}, Values: map[string]float64{"oversold": 0},
		})
	}
	told.settle()
	return Report{
		Machine:   Machine{CPU: "a CPU", Cores: 2, Memory: 1 << 30, Kernel: "Linux", Go: "go1", Redis: "7", Postgres: "15", Revision: "r", Date: "2026-01-02"},
		Config:    map[string]string{"redis": "everysec"},
		Scenarios: []Told{told},
	}
}

func TestReportRoundTrip(t *testing.T) {
	var text bytes.Buffer
	want := sample()
	if err := want.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"latency_ms"`, `"cpu_us"`, `"met": "bound"`, `"bound": 0.55`, `"goal": 0.75`, `"log_x": true`, `"memory_bytes"`} {
		if !strings.Contains(text.String(), word) {
			t.Errorf("the JSON lacks %s:\n%s", word, text.String())
		}
	}
	var got Report
	in := json.NewDecoder(&text)
	in.DisallowUnknownFields()
	if err := in.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLacks: what a scenario names and does not tell is missed, and what is no number too.
func TestLacks(t *testing.T) {
	told := sample().Scenarios[0]
	told.Figures = append(told.Figures, Figure{Name: "broken", Value: math.NaN()})
	told.Curves = append(told.Curves, Curve{Name: "empty", Series: []Series{{Name: "p50"}}})
	if err := (Scenario{Gives: []string{"queued", "load"}, GivesBeside: []string{"sluice/post"}}).lacks(told, true); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"sluice/hello", "broken", "empty", "sluice"} {
		err := Scenario{Gives: []string{"queued"}, GivesBeside: []string{name}}.lacks(told, true)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err := (Scenario{GivesBeside: []string{name}}).lacks(told, false); err != nil {
			t.Errorf("%s was not to be told without rivals: %v", name, err)
		}
	}
}

func TestShort(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.456: "0.46", 12.34: "12.3", 123.4: "123", 12345.6: "12,346", -1234567: "-1,234,567", 5: "5"} {
		if got := short(value); got != want {
			t.Errorf("%v is written %s, not %s", value, got, want)
		}
	}
}
