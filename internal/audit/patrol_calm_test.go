package audit

import "testing"

// TestCalm: only a round that found all well, and nothing new, lets the next one wait.
func TestCalm(t *testing.T) {
	quiet := &Patrol{evidence: map[int64]*evidence{}}
	suspects := &Patrol{evidence: map[int64]*evidence{7: {}}}
	for name, c := range map[string]struct {
		p    *Patrol
		r    Report
		calm bool
	}{
		"nothing new":               {quiet, Report{Verdict: OK}, true},
		"something was settled":     {quiet, Report{Verdict: OK, Requests: 1}, false},
		"something is broken":       {quiet, Report{Verdict: Broken}, false},
		"it could not be compared":  {quiet, Report{Verdict: Busy}, false},
		"a sale was found out once": {suspects, Report{Verdict: OK}, false},
	} {
		if c.p.calm(c.r) != c.calm {
			t.Errorf("%s: calm is %t", name, !c.calm)
		}
	}
}
