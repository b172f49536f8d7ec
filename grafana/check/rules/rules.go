// Package rules reads the rules that Prometheus has for Sluice, for the tests that hold
// them to the metrics, the runbook, their own cases and a deployment that breaks.
//
//	rules.yml ──▶ Read ──▶ Rule …                    complete? known metrics? in the runbook?
//	                │
//	                ├──▶ Shorten ──▶ rules for a test's Prometheus, minutes instead of hours
//	                └──▶ Spoil ────▶ rules with one thing wrong: some case must notice
//
// Only tests import it.
package rules

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// File is a file of rules, as Prometheus reads it.
type File struct {
	Groups []Group `yaml:"groups"`
}

// Group is evaluated together, in order.
type Group struct {
	Name     string        `yaml:"name"`
	Interval time.Duration `yaml:"interval,omitempty"` // 0: the configuration's
	Rules    []Rule        `yaml:"rules"`
}

// Rule is an alert, or what is recorded under a name.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         model.Duration    `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Read reads a file of rules. A field that it does not know is an error.
func Read(path string) (f File, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return f, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

// Write writes it.
func (f File) Write(path string) error {
	text, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) // Prometheus may be another user
}

// Alerts are the rules that are alerts, in their order.
func (f File) Alerts() (alerts []Rule) {
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			}
		}
	}
	return alerts
}

// Recorded are the names under which something is recorded.
func (f File) Recorded() (names []string) {
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				names = append(names, r.Record)
			}
		}
	}
	return names
}

// Map answers a copy in which every rule is what change makes of it.
func (f File) Map(change func(Rule) (Rule, error)) (File, error) {
	f.Groups = slices.Clone(f.Groups)
	for i := range f.Groups {
		f.Groups[i].Rules = slices.Clone(f.Groups[i].Rules)
		for j, rule := range f.Groups[i].Rules {
			changed, err := change(rule)
			if err != nil {
				return f, fmt.Errorf("%s%s: %w", rule.Alert, rule.Record, err)
			}
			f.Groups[i].Rules[j] = changed
		}
	}
	return f, nil
}

// Parse parses an expression.
func Parse(expr string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(expr)
}

// Metrics are the names that an expression asks for, each once, sorted.
func Metrics(expr parser.Expr) (names []string) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names)
}
