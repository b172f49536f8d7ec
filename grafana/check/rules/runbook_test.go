package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Parts are what every section of the runbook has, in this order.
var parts = []string{"**Buyers notice:**", "**Look:**", "**Do:**", "**Don't:**"}

var (
	heading = regexp.MustCompile(`(?m)^## (\w+)$`)
	panel   = regexp.MustCompile(`\*([A-Z][a-z ]+) › ([^*]+)\*`)
	link    = regexp.MustCompile(`\]\(#([^)]+)\)`)
)

// amiss is what is wrong with a runbook for these alerts and dashboards: the titles of
// the panels of each.
func amiss(runbook string, alerts []Rule, dashboards map[string][]string) (wrong []string) {
	sections := map[string]string{}
	places := heading.FindAllStringSubmatchIndex(runbook, -1)
	for i, at := range places {
		end := len(runbook)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		sections[runbook[at[2]:at[3]]] = runbook[at[1]:end]
	}
	anchors := map[string]bool{}
	for _, alert := range alerts {
		section, ok := sections[alert.Alert]
		if !ok {
			wrong = append(wrong, "no section for "+alert.Alert)
			continue
		}
		anchors[strings.ToLower(alert.Alert)] = true
		delete(sections, alert.Alert)
		severity := strings.ToUpper(alert.Labels["severity"][:1]) + alert.Labels["severity"][1:] + "."
		if !strings.HasPrefix(strings.TrimSpace(section), severity) {
			wrong = append(wrong, alert.Alert+" does not begin with "+severity)
		}
		at := 0
		for _, part := range parts {
			next := strings.Index(section[at:], part)
			if next < 0 {
				wrong = append(wrong, alert.Alert+" lacks "+part)
				continue
			}
			at += next
		}
		if !panel.MatchString(section) && alert.Alert != "SluiceAbsent" { // that one has nothing to show
			wrong = append(wrong, alert.Alert+" names no panel")
		}
	}
	for name := range sections {
		wrong = append(wrong, "a section for "+name+", which is no alert")
	}
	for _, m := range link.FindAllStringSubmatch(runbook, -1) {
		if !anchors[m[1]] {
			wrong = append(wrong, "a link to #"+m[1]+", where nothing is")
		}
	}
	for _, m := range panel.FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(dashboards[m[1]], m[2]) {
			wrong = append(wrong, fmt.Sprintf("no panel %q on %q", m[2], m[1]))
		}
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// panels are the titles of the panels of each dashboard, by its title.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("../../dashboards/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("dashboards %v, %v", paths, err)
	}
	type one struct {
		Title  string
		Type   string
		Panels []json.RawMessage
	}
	all := map[string][]string{}
	for _, path := range paths {
		var board one
		if err := json.Unmarshal([]byte(text(t, path)), &board); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_, title, _ := strings.Cut(board.Title, "Sluice: ")
		var walk func([]json.RawMessage)
		walk = func(raws []json.RawMessage) {
			for _, raw := range raws {
				var p one
				if err := json.Unmarshal(raw, &p); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if p.Type != "row" {
					all[title] = append(all[title], p.Title)
				}
				walk(p.Panels)
			}
		}
		walk(board.Panels)
	}
	return all
}

func TestRunbook(t *testing.T) {
	alerts, boards := read(t).Alerts(), panels(t)
	runbook := text(t, "../../../docs/runbook.md")
	for _, what := range amiss(runbook, alerts, boards) {
		t.Error(what)
	}

	// What is wrong in a bad one is found.
	got := amiss("## A\n\nTicket. See [B](#b) and [C](#c).\n\n- **Look:** *Pipeline › Nothing*\n- **Do:** x\n- **Don't:** y\n\n## D\n",
		[]Rule{{Alert: "A", Labels: map[string]string{"severity": "page"}}, {Alert: "B", Labels: map[string]string{"severity": "page"}}},
		map[string][]string{"Pipeline": {"Queued"}})
	want := []string{
		"A does not begin with Page.", "A lacks **Buyers notice:**", "a link to #b, where nothing is", "a link to #c, where nothing is",
		"a section for D, which is no alert", "no panel \"Nothing\" on \"Pipeline\"", "no section for B",
	}
	if !slices.Equal(got, want) {
		t.Errorf("of a bad runbook it says\n%s", strings.Join(got, "\n"))
	}
	got = amiss("## A\n\nPage. x\n\n- **Buyers notice:** x\n- **Look:** around\n- **Do:** x\n- **Don't:** y\n", []Rule{{Alert: "A", Labels: map[string]string{"severity": "page"}}}, nil)
	if !slices.Equal(got, []string{"A names no panel"}) {
		t.Errorf("of one without panels it says %q", got)
	}
}
