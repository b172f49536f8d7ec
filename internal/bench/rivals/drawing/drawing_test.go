package drawing

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"sluice/internal/bench"
)

func read(t *testing.T) (report bench.Report) {
	t.Helper()
	text, err := os.ReadFile("testdata/report.json")
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestAll: a report has its plots, each a document with all the words that belong to it,
// small, and the same each time.
func TestAll(t *testing.T) {
	pictures, err := All(read(t))
	if err != nil {
		t.Fatal(err)
	}
	again, err := All(read(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name  string
		words []string
	}{
		{"lock-rates.svg", []string{
			"One sale, everybody at once", "sluice", "nolock (oversells)", "optimistic", "rowlock", "redlock", "lua", "13,480", "233", "0", "10k",
			"per second: the median, and from the worst to the best of 3 rounds",
		}},
		{"verdict-latency-load-70.svg", []string{
			"From the POST to the final receipt: Latency & load <70 %>", "load, requests/s", "ms", "p50", "p99", "p99.9", "100", "10k", "10",
		}},
		{"history-old-receipts.svg", []string{"receipts in Postgres", "µs per bid", "Postgres", "consumer", "0", "10M", "40"}},
		{"batch-settled.svg", []string{"requests in a batch", "settled/s", "1", "1k", "25k"}},
	}
	if len(pictures) != len(want) {
		t.Fatalf("%d plots", len(pictures))
	}
	for i, p := range pictures {
		if p.Name != want[i].name {
			t.Errorf("%s, not %s", p.Name, want[i].name)
		}
		words, lines := parse(t, p.SVG)
		for _, word := range want[i].words {
			if !slices.Contains(words, word) {
				t.Errorf("%s does not say %q but %q", p.Name, word, words)
			}
		}
		if lines == 0 || len(p.SVG) > 100_000 {
			t.Errorf("%s has %d lines in %d bytes", p.Name, lines, len(p.SVG))
		}
		if !bytes.Equal(p.SVG, again[i].SVG) {
			t.Errorf("%s is another one the second time", p.Name)
		}
		if bytes.Contains(p.SVG, []byte("NaN")) || bytes.Contains(p.SVG, []byte("Inf")) {
			t.Errorf("%s has a place that is no number", p.Name)
		}
	}
}

// parse reads a document: the texts in it, and how many paths.
func parse(t *testing.T, svg []byte) (words []string, paths int) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return words, paths
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		case xml.CharData:
			if word := strings.TrimSpace(string(token)); word != "" {
				words = append(words, word)
			}
		}
	}
}

// TestAllRefuses: what cannot be drawn truly is not drawn.
func TestAllRefuses(t *testing.T) {
	of := func(points ...[2]float64) bench.Curve {
		return bench.Curve{Name: "c", Series: []bench.Series{{Name: "s", Points: points}}}
	}
	for name, test := range map[string]struct {
		curves []bench.Curve
		says   string
	}{
		"no points":     {[]bench.Curve{of()}, "no point"},
		"a negative":    {[]bench.Curve{of([2]float64{-1, 1})}, "-1 cannot be drawn"},
		"no number":     {[]bench.Curve{of([2]float64{1, math.NaN()})}, "NaN cannot be drawn"},
		"without end":   {[]bench.Curve{of([2]float64{1, math.Inf(1)})}, "+Inf cannot be drawn"},
		"two of a name": {[]bench.Curve{of([2]float64{1, 1}), of([2]float64{1, 1})}, "two of that name"},
	} {
		_, err := All(bench.Report{Scenarios: []bench.Told{{Name: "n", Curves: test.curves}}})
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEdges: what has hardly anything to show can be drawn.
func TestEdges(t *testing.T) {
	for name, c := range map[string]bench.Curve{
		"one point":          {LogX: true, LogY: true, Series: []bench.Series{{Points: [][2]float64{{5, 5}}}}},
		"nothing":            {LogX: true, Series: []bench.Series{{Points: [][2]float64{{0, 1}}}}},
		"always nothing":     {Series: []bench.Series{{Points: [][2]float64{{1, 0}, {2, 0}}}}},
		"a series of none":   {Series: []bench.Series{{Name: "a"}, {Name: "b", Points: [][2]float64{{1, 2}}}}},
		"more than colours":  {Series: make([]bench.Series, 9)},
		"very little":        {LogY: true, Series: []bench.Series{{Points: [][2]float64{{1e-6, 1e-9}, {2e-6, 3e-9}}}}},
		"from little to big": {LogX: true, Series: []bench.Series{{Points: [][2]float64{{1e-3, 1e12}, {1e9, 2e12}}}}},
	} {
		for i := range c.Series {
			if name == "more than colours" {
				c.Series[i].Points = [][2]float64{{1, float64(i)}, {2, float64(i)}}
			}
		}
		svg, err := curve(name, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if words, _ := parse(t, svg); len(words) < 3 || bytes.Contains(svg, []byte("NaN")) {
			t.Errorf("%s says only %q", name, words)
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.5: "0.5", 0.30000000000000004: "0.3", 1: "1", 20: "20", 999: "999", 1000: "1k", 999.9999999: "1k", 1500: "1.5k", 25_000: "25k", 1e6: "1M", 1e7: "10M", 2.5e9: "2.5G",
	} {
		if got := number(value); got != want {
			t.Errorf("%v is %s, not %s", value, got, want)
		}
	}
	for value, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 13480.4: "13,480", 1234567: "1,234,567"} {
		if got := grouped(value); got != want {
			t.Errorf("%v is %s, not %s", value, got, want)
		}
	}
}

// TestSteps: whatever the range, there are enough numbers at an axis, and not too many.
func TestSteps(t *testing.T) {
	for most := 1e-4; most < 1e9; most *= 1.37 {
		if n := len(steps(0, most)); n < 5 || n > 13 {
			t.Errorf("0 to %v has %d", most, n)
		}
	}
}

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{"lock": "lock", "verdict Latency & load <70 %>": "verdict-latency-load-70", "../µs": "s"} {
		if got := slug(text); got != want {
			t.Errorf("%q becomes %q, not %q", text, got, want)
		}
	}
}
