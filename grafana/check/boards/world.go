package boards

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sluice/grafana/check/rules"
)

// World is what the boards speak of.
type World struct {
	Metrics  map[string]bool // by name; of a histogram its own, without _bucket and the like
	Recorded map[string]bool // by Prometheus' rules
	Anchors  map[string]bool // of docs/runbook.md
}

var (
	metricName = regexp.MustCompile("`(sluice_[a-z0-9_]+)`")
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// ReadWorld reads the documents of the product's sources.
func ReadWorld(tree string) (w World, err error) {
	if w.Metrics, err = names(filepath.Join(tree, "docs", "metrics.md"), metricName); err != nil {
		return w, err
	}
	prometheus, err := rules.Read(filepath.Join(tree, "grafana", "prometheus", "rules.yml"))
	if err != nil {
		return w, err
	}
	w.Recorded = map[string]bool{}
	for _, group := range prometheus.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				w.Recorded[rule.Record] = true
			}
		}
	}
	headings, err := names(filepath.Join(tree, "docs", "runbook.md"), heading)
	if err != nil {
		return w, err
	}
	w.Anchors = map[string]bool{}
	for text := range headings {
		w.Anchors[anchor(text)] = true
	}
	return w, nil
}

// names are what a pattern finds in a file; nothing at all is an error.
func names(path string, pattern *regexp.Regexp) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = true
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has nothing like %s", path, pattern)
	}
	return found, nil
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// anchor is what a heading is called in an address.
func anchor(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")
}
