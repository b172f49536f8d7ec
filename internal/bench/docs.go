package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a folder of documents.
const (
	jsonFile    = "benchmarks.json"
	pageFile    = "benchmarks.md"
	plotsFolder = "benchmarks"
)

// rowsPart is the name of the part that holds what was asked for, of all scenarios.
const rowsPart = "rows"

// WriteDocs writes the report into a folder of documents: benchmarks.json, and the parts
// of benchmarks.md that stand between <!-- bench:NAME --> and <!-- /bench -->. What was not
// measured this time stays as it was, with the revision and the day on which it was. The
// program of the rivals draws the plots, into the folder benchmarks; without it those that
// are there stay.
func (r Report) WriteDocs(ctx context.Context, folder, rivals string) error {
	var before Report
	text, err := os.ReadFile(filepath.Join(folder, jsonFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &before); err != nil {
			return fmt.Errorf("read %s: %w", jsonFile, err)
		}
	}
	whole := r.over(before)
	var out bytes.Buffer
	if err := whole.Write(&out); err != nil {
		return err
	}
	page, err := os.ReadFile(filepath.Join(folder, pageFile))
	if err != nil {
		return err
	}
	if _, err := whole.fill(page, nil); err != nil { // before anything is written
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, jsonFile), out.Bytes(), 0o644); err != nil {
		return err
	}
	plots := filepath.Join(folder, plotsFolder)
	if rivals != "" {
		draw := exec.CommandContext(ctx, rivals, "draw", "--json", filepath.Join(folder, jsonFile), "--out", plots)
		if said, err := draw.CombinedOutput(); err != nil {
			return fmt.Errorf("draw the plots: %w: %s", err, bytes.TrimSpace(said))
		}
	}
	pictures, err := filepath.Glob(filepath.Join(plots, "*.svg"))
	if err != nil {
		return err
	}
	for i, path := range pictures {
		pictures[i] = plotsFolder + "/" + filepath.Base(path)
	}
	if page, err = whole.fill(page, pictures); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, pageFile), page, 0o644)
}

// over is r, with what only the report before has, in the order of Scenarios.
func (r Report) over(before Report) Report {
	r.Scenarios = slices.Clone(r.Scenarios)
	for _, old := range before.Scenarios {
		if !slices.ContainsFunc(r.Scenarios, func(t Told) bool { return t.Name == old.Name }) {
			r.Scenarios = append(r.Scenarios, old)
		}
	}
	place := func(t Told) int {
		return slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == t.Name })
	}
	slices.SortStableFunc(r.Scenarios, func(a, b Told) int { return place(a) - place(b) })
	return r
}

// fill writes the parts of a page anew, with the pictures whose names begin with their
// scenario's. A scenario without a part is an error.
func (r Report) fill(page []byte, pictures []string) ([]byte, error) {
	parts := map[string]string{rowsPart: r.rows()}
	for _, t := range r.Scenarios {
		own := slices.DeleteFunc(slices.Clone(pictures), func(path string) bool {
			return !strings.HasPrefix(path, plotsFolder+"/"+t.Name+"-")
		})
		parts[t.Name] = t.Markdown(own)
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		begin, end := []byte("<!-- bench:"+name+" -->\n"), []byte("<!-- /bench -->")
		at := bytes.Index(page, begin)
		if at < 0 {
			return nil, fmt.Errorf("%s has no %s", pageFile, bytes.TrimSpace(begin))
		}
		at += len(begin)
		length := bytes.Index(page[at:], end)
		if length < 0 || bytes.Contains(page[at:at+length], []byte("<!-- bench:")) {
			return nil, fmt.Errorf("%s: %s has no end", pageFile, bytes.TrimSpace(begin))
		}
		page = slices.Concat(page[:at], []byte(parts[name]), page[at+length:])
	}
	return page, nil
}

// rows is a table of all that something was asked of.
func (r Report) rows() string {
	out := new(strings.Builder)
	fmt.Fprintf(out, "%s, %d cores, %.0f GiB, %s, %s, Redis %s, Postgres %s. Revision %s, %s.\n\n", r.Machine.CPU, r.Machine.Cores,
		float64(r.Machine.Memory)/(1<<30), r.Machine.Kernel, r.Machine.Go, r.Machine.Redis, r.Machine.Postgres, r.Machine.Revision, r.Machine.Date)
	out.WriteString("| scenario | what | measured | bound | goal | reached |\n|---|---|---|---|---|---|\n")
	for _, t := range r.Scenarios {
		line := func(what, unit string, value float64, target Target, met string) {
			if met != "" {
				fmt.Fprintf(out, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", t.Name, t.Name, what, with(value, unit), with(target.Bound, unit), with(target.Goal, unit), reached[met])
			}
		}
		for _, ratio := range t.Ratios {
			line(ratio.Of+" ÷ "+ratio.To, "", ratio.Value, ratio.Target, ratio.Met)
		}
		for _, f := range t.Figures {
			line(f.Name, f.Unit, f.Value, f.Target, f.Met)
		}
	}
	return out.String()
}

// reached is how a table says Met.
var reached = map[string]string{Goal: "goal", Bound: "bound", Missed: "**missed**"}

func with(value float64, unit string) string {
	return strings.TrimSpace(strings.ReplaceAll(short(value)+" "+unit, " /s", "/s"))
}

// Markdown is what was told, as a part of a page.
func (t Told) Markdown(pictures []string) string {
	out := new(strings.Builder)
	fmt.Fprintf(out, "%s\n\n```sh\n%s\n```\n\n%s\n", t.Title+" ("+t.Measured+").", t.Command, t.What)
	for _, path := range pictures {
		fmt.Fprintf(out, "\n![%s](%s)\n", strings.TrimSuffix(filepath.Base(path), ".svg"), path)
	}
	t.rounds(out)
	if len(t.Ratios) > 0 {
		out.WriteString("\n| of | to | of medians | median of rounds | bound | goal | reached |\n|---|---|---|---|---|---|---|\n")
		for _, r := range t.Ratios {
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Of, r.To, short(r.Value), orNone(r.ByRound), orNone(r.Bound), orNone(r.Goal), reached[r.Met])
		}
	}
	if len(t.Figures) > 0 {
		out.WriteString("\n| | measured | bound | goal | reached |\n|---|---|---|---|---|\n")
		for _, f := range t.Figures {
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", f.Name, with(f.Value, f.Unit), orNone(f.Bound), orNone(f.Goal), reached[f.Met])
		}
	}
	for _, c := range t.Curves {
		c.table(out)
	}
	for _, note := range t.Notes {
		fmt.Fprintf(out, "\n%s\n", note)
	}
	return out.String()
}

// rounds is a table of the contenders.
func (t Told) rounds(out *strings.Builder) {
	measured := slices.DeleteFunc(slices.Clone(t.Contenders), func(c Contender) bool { return len(c.Rounds) == 0 })
	if len(measured) == 0 {
		return
	}
	values := map[string]bool{}
	for _, c := range measured {
		for name := range c.Median.Values {
			values[name] = true
		}
	}
	more := slices.Sorted(maps.Keys(values))
	out.WriteString("\n| | a second, median | worst | best | p50 | p99 ms |")
	for _, name := range more {
		fmt.Fprintf(out, " %s |", name)
	}
	out.WriteString(" computed for one, µs |\n|---|---|---|---|---|---|" + strings.Repeat("---|", len(more)+1) + "\n")
	for _, c := range measured {
		rates := ratesOf(c.Rounds)
		fmt.Fprintf(out, "| **%s**: %s | %s | %s | %s |", c.Name, c.What, short(c.Median.Rate), short(slices.Min(rates)), short(slices.Max(rates)))
		if l := c.Median.Latency; l != nil {
			fmt.Fprintf(out, " %s | %s |", short(l.P50), short(l.P99))
		} else {
			out.WriteString(" | |")
		}
		for _, name := range more {
			if value, ok := c.Median.Values[name]; ok {
				fmt.Fprintf(out, " %s", short(value))
			}
			out.WriteString(" |")
		}
		var used []string
		for _, name := range slices.Sorted(maps.Keys(c.Median.CPU)) {
			used = append(used, name+" "+short(c.Median.CPU[name]))
		}
		fmt.Fprintf(out, " %s |\n", strings.Join(used, ", "))
	}
}

func ratesOf(rounds []Round) (rates []float64) {
	for _, r := range rounds {
		rates = append(rates, r.Rate)
	}
	return rates
}

// table is a curve in figures: a column of each series, a line of each x.
func (c Curve) table(out *strings.Builder) {
	fmt.Fprintf(out, "\n| %s: %s |", c.Name, c.X)
	var all []float64
	for _, s := range c.Series {
		fmt.Fprintf(out, " %s, %s |", s.Name, c.Y)
		for _, p := range s.Points {
			all = append(all, p[0])
		}
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(c.Series)) + "\n")
	slices.Sort(all)
	for _, x := range slices.Compact(all) {
		fmt.Fprintf(out, "| %s |", short(x))
		for _, s := range c.Series {
			at := slices.IndexFunc(s.Points, func(p [2]float64) bool { return p[0] == x })
			if at >= 0 {
				fmt.Fprintf(out, " %s", short(s.Points[at][1]))
			}
			out.WriteString(" |")
		}
		out.WriteString("\n")
	}
}

// orNone leaves out what is not there.
func orNone(value float64) string {
	if value == 0 || math.IsNaN(value) {
		return ""
	}
	return short(value)
}
