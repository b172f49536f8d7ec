package torture

import (
	"strings"
	"testing"
	"time"
)

// TestCalmUpdate: every process is exchanged three times while requests, long polls and
// streams are under way, and nobody notices. Both releases are this one here; .ci/rolling
// does it with another.
func TestCalmUpdate(t *testing.T) {
	report := tortured(t, Options{Length: 12 * time.Second, Seed: 1, From: self(), Calm: true})
	if !report.Clean() {
		t.Error("somebody was wronged")
	}
	if want := rounds * (apis + consumers + schedulers); report.Rolled != int64(want) || len(report.Calm.Exchanges) != want {
		t.Errorf("%d of %d were exchanged, %d noted", report.Rolled, want, len(report.Calm.Exchanges))
	}
	if report.Accepted < 50 || report.Calm.Ends["shutdown"] == 0 {
		t.Error("hardly anybody could have noticed: this proves nothing")
	}
	for _, how := range []string{byStream, byRaw, byMine, bySale} {
		if report.Calm.Waiters[how] == 0 {
			t.Errorf("nobody waits by %s", how)
		}
	}
}

// TestRudeUpdateIsNoticed is the known-bad twin: APIs that drop their waiters without a
// word.
func TestRudeUpdateIsNoticed(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t)) // the folder is kept, since something is wrong
	report := tortured(t, Options{Length: 8 * time.Second, Seed: 1, From: self(), Calm: true, rude: true})
	if report.Clean() || report.Broken[Served] == 0 {
		t.Errorf("verdict %s, broken %v", report.Verdict, report.Broken)
	}
	silent := 0
	for _, v := range report.Violations {
		if strings.Contains(v.Detail, "ends without a word") {
			silent++
		}
	}
	if silent == 0 {
		t.Error("no stream is said to have ended without a word")
	}
}
