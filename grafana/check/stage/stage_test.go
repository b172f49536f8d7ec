package stage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// TestApart breaks everything that a stage offers to break, and sees it from outside.
func TestApart(t *testing.T) {
	s := Open(t, Options{Cast: []Role{API, API, Consumer, Scheduler}})
	s.Until(t, `count(up{job="api"} == 1) == 2 and on() count(up) == 4`)

	consumer := s.Actor(t, "consumer-1")
	consumer.Kill()
	s.Until(t, `up{job="consumer"} == 0`)
	consumer.Start(t)
	s.UntilGone(t, `up == 0`)

	scheduler := s.Actor(t, "scheduler-1")
	scheduler.Freeze(t)
	s.Until(t, `up{job="scheduler"} == 0`) // a scrape of it times out
	scheduler.Thaw(t)
	s.UntilGone(t, `up == 0`)
	scheduler.Stop(t)
	scheduler.Start(t)

	s.FillRedis(t)
	if err := s.Redis().Set(t.Context(), "stage", "x", 0).Err(); err == nil {
		t.Error("a full Redis takes more")
	}
	s.UnfillRedis(t)
	s.KillRedis()
	s.StartRedis(t)
	if err := s.Redis().Set(t.Context(), "stage", "x", 0).Err(); err != nil {
		t.Errorf("a Redis with room: %v", err)
	}
	s.KillPostgres(t)
	s.StartPostgres(t)
}

// TestWhole is the one-process form, with a crowd: it settles, an alert of a rule
// file fires, and nobody is left behind.
func TestWhole(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(rules, []byte(`groups:
  - name: stage
    rules:
      - alert: Selling
        expr: sum(rate(sluice_settled_total{verb="bid"}[5s])) > 0
      - alert: Never
        expr: absent(up)
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Open(t, Options{Cast: []Role{Up}, Rules: []string{rules}})
	crowd := Come(t, s.Actor(t, "up-1").URL, 3)
	s.UntilFiring(t, "Selling")
	if firing := s.Firing(t); !slices.Equal(firing, []string{"Selling"}) {
		t.Errorf("%q fire", firing)
	}
	for _, verb := range []string{"bid", "reserve", "claim", "join"} {
		s.Until(t, `sluice_settled_total{job="sluice", verb="`+verb+`"} > 0`)
	}
	crowd.Leave()
	s.UntilSilent(t, "Selling")
	if course, err := s.Series(t, `sum(sluice_settled_total)`); err != nil || len(course) != 1 || len(course[0].Values) < 2 {
		t.Errorf("the course of it is %v, %v", course, err)
	}
}
