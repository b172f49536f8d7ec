package rules

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// wanting says what an alert lacks for whoever is woken up by it.
func wanting(r Rule) (lack []string) {
	must := func(ok bool, what string) {
		if !ok {
			lack = append(lack, what)
		}
	}
	page := r.Labels["severity"] == "page"
	must(page || r.Labels["severity"] == "ticket", "a severity, page or ticket")
	must(len(r.Labels) == 1, "no other label")
	must(!page || time.Duration(r.For) <= time.Minute, "a patience of a minute at most: a sale lasts five")
	must(slices.Equal(slices.Sorted(maps.Keys(r.Annotations)), []string{"description", "runbook_url", "summary"}), "summary, description, runbook_url and nothing else")
	must(r.Annotations["summary"] != "" && !strings.HasSuffix(r.Annotations["summary"], "."), "a summary, a title without a full stop")
	must(strings.Contains(r.Annotations["description"], "$value"), "the value in its description")
	must(strings.HasSuffix(r.Annotations["description"], "."), "a description in sentences")
	must(r.Annotations["runbook_url"] == "docs/runbook.md#"+strings.ToLower(r.Alert), "a link to its section of the runbook")
	must(strings.HasPrefix(r.Alert, "Sluice"), "a name that says whose it is")
	return lack
}

func TestAlertsAreComplete(t *testing.T) {
	alerts := read(t).Alerts()
	names := map[string]bool{}
	for _, alert := range alerts {
		for _, what := range wanting(alert) {
			t.Errorf("%s lacks %s", alert.Alert, what)
		}
		if names[alert.Alert] {
			t.Errorf("%s is there twice", alert.Alert)
		}
		names[alert.Alert] = true
	}
	if got := wanting(Rule{Alert: "Slow", For: 1, Labels: map[string]string{"severity": "panic", "team": "x"}}); len(got) != 8 {
		t.Errorf("of an alert that lacks everything it says %q", got)
	}
}

// unknown are the metrics that an expression asks for and nobody has.
func unknown(expr parser.Expr, known func(string) bool) (names []string) {
	for _, name := range Metrics(expr) {
		base := name
		for _, part := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, part)
		}
		if !known(name) && !(base != name && known(base)) {
			names = append(names, name)
		}
	}
	return names
}

func TestMetricsExist(t *testing.T) {
	f := read(t)
	known := map[string]bool{"up": true, "process_start_time_seconds": true}
	for _, name := range regexp.MustCompile("`(sluice_[a-z0-9_]+)`").FindAllStringSubmatch(text(t, "../../../docs/metrics.md"), -1) {
		known[name[1]] = true
	}
	for _, name := range f.Recorded() {
		known[name] = true
	}
	asks := func(name string) bool { return known[name] }
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			expr, err := Parse(r.Expr)
			if err != nil {
				t.Fatalf("%s%s: %v", r.Alert, r.Record, err)
			}
			if names := unknown(expr, asks); names != nil {
				t.Errorf("%s%s asks for %q, which docs/metrics.md does not know", r.Alert, r.Record, names)
			}
		}
	}
	misspelt, err := Parse(`sum(rate(sluice_settled_totl[1m])) / sum(sluice_verdict_seconds_count) > sluice_redis_up_count`)
	if err != nil {
		t.Fatal(err)
	}
	if got := unknown(misspelt, asks); !slices.Equal(got, []string{"sluice_settled_totl"}) {
		t.Errorf("of misspelt metrics it says %q", got)
	}
}

func TestShorten(t *testing.T) {
	long := File{Groups: []Group{{Name: "g", Interval: time.Minute, Rules: []Rule{
		{Record: "a:b", Expr: `sum(rate(x{y="1"}[1h])) + 3600`},
		{Alert: "A", Expr: `max_over_time(a:b[30m:1m]) > 10 and min_over_time(x[1m] offset 10m) >= 5`, For: 30_000_000_000, Labels: map[string]string{"severity": "page"}},
	}}}}
	short, err := long.Shorten(15, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(short)
	want := fmt.Sprint(File{Groups: []Group{{Name: "g", Rules: []Rule{
		{Record: "a:b", Expr: `sum(rate(x{y="1"}[4m])) + 3600`},
		{Alert: "A", Expr: `max_over_time(a:b[2m:4s]) > 10 and min_over_time(x[8s] offset 40s) >= 5`, For: 2_000_000_000, Labels: map[string]string{"severity": "page"}},
	}}}})
	if got != want {
		t.Errorf("short: %s\n  want: %s", got, want)
	}
	if long.Groups[0].Interval == 0 || long.Groups[0].Rules[1].For != 30_000_000_000 {
		t.Error("what was to be shortened has changed")
	}

	// Of our own it changes times, and nothing else.
	times := regexp.MustCompile(`\[[^\]]*\]`)
	f := read(t)
	if short, err = f.Shorten(15, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	for i, g := range f.Groups {
		for j, r := range g.Rules {
			expr, err := Parse(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			is := short.Groups[i].Rules[j]
			if times.ReplaceAllString(is.Expr, "[]") != times.ReplaceAllString(expr.String(), "[]") || is.Alert+is.Record != r.Alert+r.Record {
				t.Errorf("%s%s is shortened to %s", r.Alert, r.Record, is.Expr)
			}
		}
	}
}

// TestConfiguration: the scrape has a job for each kind of process, and classic buckets,
// which the rules are about.
func TestConfiguration(t *testing.T) {
	config := text(t, filepath.Join(folder, "prometheus.yml"))
	for _, job := range []string{"api", "consumer", "scheduler"} {
		if !strings.Contains(config, "\n  - job_name: "+job+"\n") {
			t.Errorf("nobody scrapes the job %s", job)
		}
	}
	for line := range strings.Lines(config) {
		if strings.HasPrefix(strings.TrimSpace(line), "scrape_native_histograms") {
			t.Errorf("native histograms without classic buckets: %s", line)
		}
	}
}
