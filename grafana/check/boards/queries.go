package boards

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promql = parser.NewParser(parser.Options{})

// Fill puts values in the place of a board's variables, as Grafana does.
func Fill(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		if value, ok := values[name]; ok {
			return value
		}
		return found
	})
}

// anything stands for the variables where only the form of a query matters.
var anything = map[string]string{"job": ".+", "partition": ".+", "sale": ".+", "__rate_interval": "1m"}

// queries: each parses, speaks of metrics that there are, of the chosen jobs only, and
// takes the rate of what only grows.
func (b *Board) queries(say complain, w World) {
	for _, p := range b.Pictures() {
		for _, t := range p.Targets {
			query(func(format string, args ...any) { say("%q: "+format, append([]any{p.Title}, args...)...) }, t.Expr, w)
		}
	}
	for _, a := range b.Annotations.List {
		query(func(format string, args ...any) { say("marks %q: "+format, append([]any{a.Name}, args...)...) }, a.Expr, w)
	}
}

func query(say complain, expr string, w World) {
	node, err := promql.ParseExpr(Fill(expr, anything))
	if err != nil {
		say("%v", err)
		return
	}
	parser.Inspect(node, func(node parser.Node, path []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			check(say, selector, path, w)
		}
		return nil
	})
}

// foreign are metrics that Prometheus and the Go runtime have, not we.
func foreign(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

func check(say complain, s *parser.VectorSelector, path []parser.Node, w World) {
	switch {
	case s.Name == "ALERTS" || w.Recorded[s.Name]:
		return // of all jobs at once
	case strings.Contains(s.Name, ":"):
		say("%s is not recorded by any rule", s.Name)
		return
	case foreign(s.Name):
	case !w.Metrics[s.Name] && !w.Metrics[histogram(s.Name)]:
		say("there is no metric %s", s.Name)
		return
	}
	if !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "job" && m.Type == labels.MatchRegexp }) {
		say("%s is not of the chosen jobs", s.Name)
	}
	grows := strings.HasSuffix(s.Name, "_total") || !w.Metrics[s.Name] && w.Metrics[histogram(s.Name)]
	rate := slices.ContainsFunc(path, func(n parser.Node) bool {
		call, ok := n.(*parser.Call)
		return ok && (call.Func.Name == "rate" || call.Func.Name == "increase")
	})
	if grows != rate {
		say("%s grows: %v; its rate is taken: %v", s.Name, grows, rate)
	}
}

// histogram is the name of the histogram that a series may be a part of.
func histogram(series string) string {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, part); ok {
			return name
		}
	}
	return ""
}
