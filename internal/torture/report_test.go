package torture

import (
	"strings"
	"testing"

	"sluice/client"
)

// TestVerdict: each thing that is wrong, alone, makes the report broken, and is told.
func TestVerdict(t *testing.T) {
	fine := proof{Verdict: "ok"}
	for name, test := range map[string]struct {
		violations []Violation
		found      proof
		processes  []string
		want       string
	}{
		"nothing":    {nil, fine, nil, "torture ok"},
		"violation":  {[]Violation{{Forward, "k", 7, "held was shown, then queued"}}, fine, nil, "BROKEN forward: key k, sale 7: held was shown"},
		"audit":      {nil, proof{Verdict: "broken", Broken: []string{"wallets: all"}}, nil, "BROKEN audit: wallets: all"},
		"busy":       {nil, proof{Verdict: "busy"}, nil, "audit                 busy"},
		"oversold":   {nil, proof{Verdict: "ok", Oversold: 1}, nil, "oversold 1"},
		"unfinished": {nil, proof{Verdict: "ok", Unfinished: 1}, nil, "unfinished 1"},
		"inversion":  {nil, proof{Verdict: "ok", Inversions: 1}, nil, "inversions 1"},
		"process":    {nil, fine, []string{"consumer-1: panic: oh"}, "BROKEN process: consumer-1: panic: oh"},
	} {
		r := Report{Seed: 5, Processes: test.processes}
		r.tally(History{})
		r.judge(test.violations, test.found)
		var text strings.Builder
		if err := r.Table(&text); err != nil {
			t.Fatal(err)
		}
		if r.Clean() != (name == "nothing") || !strings.Contains(text.String(), test.want) || !strings.Contains(text.String(), "--seed 5") {
			t.Errorf("%s: clean %t\n%s", name, r.Clean(), text.String())
		}
	}
}

// TestVerdictOfForgetful: what is lost is wrong only where Redis keeps everything.
func TestVerdictOfForgetful(t *testing.T) {
	for _, forgetful := range []bool{false, true} {
		r := Report{Forgetful: forgetful, mayLose: forgetful}
		r.tally(forgotten())
		r.judge(nil, proof{Verdict: "ok"})
		var text strings.Builder
		if err := r.Table(&text); err != nil {
			t.Fatal(err)
		}
		if r.Lost != 3 || r.Anew != 1 || r.Clean() != forgetful || strings.Contains(text.String(), "--forgetful") != forgetful {
			t.Errorf("lost %d, anew %d\n%s", r.Lost, r.Anew, text.String())
		}
	}
}

func TestTally(t *testing.T) {
	var r Report
	r.tally(sound())
	if r.Requests != 6 || r.Accepted != 5 || r.Repeats != 1 || r.Refused["sold_out"] != 1 || r.Outcomes["rejected"] != 1 ||
		r.Reasons["sold_out"] != 1 || r.Verbs[client.VerbBid] != 3 || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
}
