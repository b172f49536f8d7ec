package boards

import (
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"sluice/grafana/check/stage"
)

// forms are the ways in which Sluice runs, each as people see it first: the demo in one
// process, and every part on its own.
var forms = map[string]stage.Options{
	"demo":  {Cast: []stage.Role{stage.Demo}, Args: []string{"--buyers=1000", "--spread=10s"}},
	"apart": {Cast: []stage.Role{stage.API, stage.Consumer, stage.Consumer, stage.Scheduler}},
}

// TestEveryPanelHasData asks a real Prometheus what every panel asks, while Sluice runs
// as it normally does: each query must have been answered with a value.
func TestEveryPanelHasData(t *testing.T) {
	for name, options := range forms {
		t.Run(name, func(t *testing.T) {
			all, _ := read(t)
			tree, err := stage.Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			options.Rules = []string{filepath.Join(tree, "grafana", "prometheus", "rules.yml")}
			s := stage.Open(t, options)
			if name != "demo" { // which brings its own
				stage.Come(t, s.Actor(t, "api-1").URL, 5)
			}
			for _, complaint := range unanswered(t, s, all) {
				t.Error(complaint)
			}
		})
	}
}

// TestUnansweredCatches is the known-bad twin: what has no data, and what is called by
// a label that it does not have, is told.
func TestUnansweredCatches(t *testing.T) {
	s := stage.Open(t, stage.Options{Cast: []stage.Role{stage.Up}})
	board := func(expr, legend string) *Board {
		p := &Panel{Type: "timeseries", Title: "twin", Targets: []*Target{{RefID: "A", Expr: expr, LegendFormat: legend}}}
		return &Board{File: "twin.json", Panels: []*Panel{p}}
	}
	patience = 5 * time.Second
	defer func() { patience = stage.Patience }()
	for name, twin := range map[string]struct {
		board *Board
		want  string
	}{
		"good":           {board(`up`, "{{job}}"), ""},
		"no such series": {board(`upp`, "up"), "no data"},
		"not a number":   {board(`0 * up / 0`, "up"), "no data"},
		"unknown label":  {board(`up`, "{{colour}}"), "{{colour}}"},
		"wrong type":     {board(`rate(up)`, "up"), "expected type range vector"},
	} {
		complaints := strings.Join(unanswered(t, s, []*Board{twin.board}), "\n")
		if twin.want == "" && complaints != "" || !strings.Contains(complaints, twin.want) {
			t.Errorf("%s: %q", name, complaints)
		}
	}
}

// patience is for how long data may be awaited: as long as it takes, but for twins that
// have none.
var patience = stage.Patience

// unanswered asks until every query has had data, and says which had none. Where one is
// of all, and 0 when there is nothing, the others are its parts: there may be none of
// those, say when nothing goes wrong.
func unanswered(t *testing.T, s *stage.Stage, all []*Board) (wrong []string) {
	t.Helper()
	type question struct {
		of     string
		expr   string
		legend string
		wrong  string
	}
	var open []question
	for _, b := range all {
		for _, p := range b.Pictures() {
			ofAll := slices.ContainsFunc(p.Targets, func(q *Target) bool { return q.LegendFormat == "all" })
			for _, q := range p.Targets {
				if ofAll && q.LegendFormat != "all" {
					continue
				}
				open = append(open, question{b.File + ": " + p.Title + ", query " + q.RefID, q.Expr, q.LegendFormat, ""})
			}
		}
	}
	for deadline := time.Now().Add(patience); len(open) > 0; {
		var still []question
		values := chosen(t, s, all)
		for _, q := range open {
			if q.wrong = answer(t, s, q.expr, q.legend, values); q.wrong != "" {
				still = append(still, q)
			}
		}
		if open = still; len(open) > 0 && time.Now().After(deadline) {
			break
		}
		time.Sleep(500 * time.Millisecond) // until there may be more
	}
	for _, q := range open {
		wrong = append(wrong, q.of+": "+q.wrong)
	}
	return wrong
}

// answer says what is wrong with what a query has been answered so far: "" when it had
// a value, and its series have the labels that they are called by.
func answer(t *testing.T, s *stage.Stage, expr, legend string, values map[string]string) string {
	course, err := s.Series(t, Fill(expr, values))
	if err != nil {
		return err.Error()
	}
	valued := false
	for _, series := range course {
		for _, found := range inLegend.FindAllStringSubmatch(legend, -1) {
			if series.Metric[model.LabelName(found[1])] == "" {
				return "its series have no label for " + found[0] + ": " + series.Metric.String()
			}
		}
		for _, sample := range series.Values {
			v := float64(sample.Value)
			valued = valued || !math.IsNaN(v) && !math.IsInf(v, 0)
		}
	}
	if valued {
		return ""
	}
	return "no data: " + Fill(expr, values)
}

var inLegend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// chosen are the variables as Grafana fills them in when everything is chosen.
func chosen(t *testing.T, s *stage.Stage, all []*Board) map[string]string {
	t.Helper()
	values := map[string]string{"__rate_interval": "10s"} // of 20 scrapes: a slow machine misses some
	for _, b := range all {
		for _, v := range b.Templating.List {
			switch query := v.query(); {
			case v.AllValue != "":
				values[v.Name] = v.AllValue
			case query != "":
				match := labelValues.FindStringSubmatch(query)
				if match == nil {
					t.Fatalf("%s: what does variable %s ask? %s", b.File, v.Name, query)
				}
				var found []string
				for _, sample := range s.Query(t, "group by ("+match[2]+") ("+Fill(match[1], values)+")") {
					found = append(found, string(sample.Metric[model.LabelName(match[2])]))
				}
				values[v.Name] = strings.Join(found, "|")
			}
		}
	}
	return values
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
