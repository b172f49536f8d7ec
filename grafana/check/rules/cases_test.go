package rules

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder is where the rules are.
const folder = "../../prometheus"

func read(t *testing.T) File {
	t.Helper()
	f, err := Read(filepath.Join(folder, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// casesOf are the files of cases.
func casesOf(t *testing.T) (all []Cases) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("cases %v, %v", paths, err)
	}
	for _, path := range paths {
		c, err := ReadCases(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// lacking are what alerts lack of cases.
func lacking(f File, all []Cases) (lack []string) {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		for _, test := range c.Tests {
			for _, asked := range test.Asked {
				if len(asked.Fires) > 0 {
					fires[asked.Alert] = true
				} else {
					silent[asked.Alert] = true
				}
			}
		}
	}
	for _, alert := range f.Alerts() {
		if !fires[alert.Alert] {
			lack = append(lack, alert.Alert+" fires in no case")
		}
		if !silent[alert.Alert] {
			lack = append(lack, alert.Alert+" is silent in no case")
		}
		delete(fires, alert.Alert)
		delete(silent, alert.Alert)
	}
	for _, of := range []map[string]bool{fires, silent} {
		for unknown := range of {
			lack = append(lack, unknown+" has a case, but is no alert")
		}
	}
	slices.Sort(lack)
	return lack
}

func TestEveryAlertHasItsCases(t *testing.T) {
	f, all := read(t), casesOf(t)
	for _, what := range lacking(f, all) {
		t.Error(what)
	}

	// And who had none would be found.
	one := File{Groups: []Group{{Rules: []Rule{{Alert: "A"}, {Alert: "B"}}}}}
	some := []Cases{{Tests: []Case{{Asked: []Asked{{Alert: "A", Fires: []any{1}}, {Alert: "C"}}}}}}
	want := []string{"A is silent in no case", "B fires in no case", "B is silent in no case", "C has a case, but is no alert"}
	if got := lacking(one, some); !slices.Equal(got, want) {
		t.Errorf("of alerts without cases it says %q", got)
	}
}

// TestCases holds the rules to their cases, and every spoiled rule: some case has to
// notice.
func TestCases(t *testing.T) {
	f, all := read(t), casesOf(t)
	for _, alert := range f.Alerts() {
		t.Run(alert.Alert, func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			// The recording rules, and of the alerts this one.
			try := func(rule Rule) (complaint string) {
				alone := File{}
				for _, g := range f.Groups {
					rules := g.Rules
					g.Rules = nil
					for _, r := range rules {
						switch {
						case r.Alert == rule.Alert:
							g.Rules = append(g.Rules, rule)
						case r.Record != "" && strings.Contains(alert.Expr, "sluice:"):
							g.Rules = append(g.Rules, r)
						}
					}
					if len(g.Rules) > 0 {
						alone.Groups = append(alone.Groups, g)
					}
				}
				for _, c := range all {
					of := c.Of(alert.Alert)
					if len(of.Tests) == 0 {
						continue
					}
					for i := range of.Tests { // what is recorded is judged as a whole, below
						delete(of.Tests[i].Others, "promql_expr_test")
					}
					complaint, err := of.Try(work, alone)
					if err != nil {
						t.Fatal(err)
					}
					if complaint != "" {
						return complaint
					}
				}
				return ""
			}
			if complaint := try(alert); complaint != "" {
				t.Fatalf("as it is: %s", complaint)
			}
			spoiled, err := Spoil(alert)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range spoiled {
				if try(s.Rule) == "" {
					t.Errorf("no case notices when %s: %s", s.Wrong, s.Expr)
				}
			}
			t.Logf("%d ways to be wrong", len(spoiled))
		})
	}
	t.Run("what is recorded", func(t *testing.T) {
		t.Parallel()
		for _, c := range all {
			complaint, err := c.Try(t.TempDir(), f)
			if err != nil || complaint != "" {
				t.Errorf("%v %s", err, complaint)
			}
		}
	})
}
