package faults

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"sluice/grafana/check/rules"
	"sluice/grafana/check/stage"
)

func TestMain(m *testing.M) { stage.Main(m) }

// theatre is a stage on which Prometheus has our rules, with shorter times.
type theatre struct {
	*stage.Stage
	t     *testing.T
	rules rules.File
	crowd *stage.Crowd
}

func open(t *testing.T, factor int, cast ...stage.Role) *theatre {
	t.Helper()
	f, err := rules.Read("../../prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.Shorten(factor, every); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	return &theatre{Stage: stage.Open(t, stage.Options{Cast: cast, Rules: []string{path}, Every: every}), t: t, rules: f}
}

// patience is for how long an alert is held back.
func (s *theatre) patience(alert string) time.Duration {
	s.t.Helper()
	for _, r := range s.rules.Alerts() {
		if r.Alert == alert {
			return time.Duration(r.For)
		}
	}
	s.t.Fatalf("there is no alert %s", alert)
	return 0
}

// course is what became of the alerts since then.
func (s *theatre) course(since time.Time) course {
	s.t.Helper()
	now := time.Now()
	value, _, _, err := s.API.Query(s.t.Context(), fmt.Sprintf("ALERTS[%ds]", int(now.Sub(since).Seconds())+1), now)
	if err != nil {
		s.t.Fatal(err)
	}
	found, ok := value.(model.Matrix)
	if !ok {
		s.t.Fatalf("ALERTS is a %s", value.Type())
	}
	for _, series := range found {
		series.Values = slices.DeleteFunc(series.Values, func(p model.SamplePair) bool { return p.Timestamp.Time().Before(since) })
	}
	return course(found)
}

// evaluations waits until all rules have been evaluated so often.
func (s *theatre) evaluations(n int) {
	s.t.Helper()
	last := time.Now()
	s.until(func() (string, bool) {
		all, err := s.API.Rules(s.t.Context(), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		oldest := time.Now()
		for _, g := range all.Groups {
			for _, rule := range g.Rules {
				if alert, ok := rule.(v1.AlertingRule); ok && alert.LastEvaluation.Before(oldest) {
					oldest = alert.LastEvaluation
				}
			}
		}
		if oldest.After(last) {
			last = last.Add(max(oldest.Sub(last), every))
			n--
		}
		return fmt.Sprintf("%d evaluations are to come", n), n <= 0
	})
}

// silent waits until no alert fires and none is about to, but for what remembers for longer
// than a test lasts.
func (s *theatre) silent() {
	s.t.Helper()
	s.until(func() (string, bool) {
		var left []string
		for _, one := range s.Query(s.t, "ALERTS") {
			if name := string(one.Metric[model.AlertNameLabel]); !slices.Contains(remember, name) {
				left = append(left, name+" "+string(one.Metric["alertstate"]))
			}
		}
		return fmt.Sprintf("no silence: %q", left), len(left) == 0
	})
}

// sluice runs an operator's command until it has done what it should: the servers may be
// busy.
func (s *theatre) sluice(args ...string) (out string) {
	s.t.Helper()
	s.until(func() (string, bool) {
		var err error
		out, err = s.Sluice(s.t, args...)
		return fmt.Sprint(err), err == nil
	})
	return out
}

// until asks for Patience at most, and says what it was told last when that was in vain.
func (s *theatre) until(met func() (told string, ok bool)) {
	s.t.Helper()
	for deadline := time.Now().Add(stage.Patience); ; time.Sleep(every / 4) {
		told, ok := met()
		switch {
		case ok:
			return
		case time.Now().After(deadline):
			s.t.Fatalf("in vain: %s", told)
		}
	}
}
