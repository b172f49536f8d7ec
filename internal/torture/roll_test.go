package torture

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/process"
)

// TestRollingUpdate: with nothing else broken, nobody notices. Both releases are this
// one here; .ci/rolling does it with another.
func TestRollingUpdate(t *testing.T) {
	report := tortured(t, Options{Length: 10 * time.Second, Seed: 1, From: self(), faults: []fault{}})
	if !report.Clean() {
		t.Error("somebody was wronged")
	}
	if want := int64(rounds * (apis + consumers + schedulers)); report.Rolled != want || report.Starts < want {
		t.Errorf("%d of %d were exchanged, %d started", report.Rolled, want, report.Starts)
	}
	if report.Untidy > report.Rolled/2 { // on a machine with much else to do, some
		t.Errorf("%d of %d did not end in order", report.Untidy, report.Rolled)
	}
	if report.Accepted < 50 {
		t.Error("hardly anything was asked: this proves nothing")
	}
}

// TestRenew: what is up ends in order and the other program follows; what is not up is
// followed by it, too. One that does not end in order is told.
func TestRenew(t *testing.T) {
	script := func(says, atTerm string) []string {
		return []string{"sh", "-c", `trap '` + atTerm + `' TERM; echo ready ` + says + `; while :; do sleep 0.01; done`}
	}
	for name, test := range map[string]struct{ atTerm, wrong string }{
		"in order":     {"exit 0", ""},
		"out of order": {"exit 4", "was told to stop, and ended with exit status 4"},
	} {
		f, err := newFleet(script("old", test.atTerm), t.TempDir(), nil, 0, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.launch()
		w := f.workers[0]
		said := func(what string) bool {
			text, _ := os.ReadFile(w.log) // none is there before the first start
			return strings.Contains(string(text), "ready "+what)
		}
		until(t, "the old one is up", func() bool { return said("old") })
		w.renew(script("new", "exit 0"))
		until(t, "the new one is up", func() bool { return said("new") })
		if !w.kill(200 * time.Millisecond) {
			t.Error("there was nothing to kill")
		}
		w.renew(script("newest", "exit 0"))
		until(t, "the newest is up", func() bool { return said("newest") })
		f.stop(process.RoleConsumer)
		wrong := f.wrong()
		if test.wrong == "" && len(wrong) > 0 || test.wrong != "" && !slices.ContainsFunc(wrong, func(text string) bool { return strings.Contains(text, test.wrong) }) {
			t.Errorf("%s: found %q, want %q", name, wrong, test.wrong)
		}
		if n := f.rolls.Load(); n != 2 {
			t.Errorf("%s: %d were exchanged", name, n)
		}
	}
}
