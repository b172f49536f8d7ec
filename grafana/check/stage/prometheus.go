package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Prometheus is a prometheus that scrapes all processes of a stage.
type Prometheus struct {
	API v1.API

	began time.Time
	every time.Duration
	log   string
	gone  chan struct{}
}

// openPrometheus starts the program found in PATH (Debian's package prometheus), to
// end with the test, and returns when it is ready.
func openPrometheus(ctx context.Context, t testing.TB, s *Stage, o Options) *Prometheus {
	t.Helper()
	config := filepath.Join(s.folder, "prometheus.yml")
	if err := os.WriteFile(config, []byte(configFor(s.actors, o)), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	cmd := exec.Command("prometheus",
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(s.folder, "prometheus"),
		"--web.listen-address="+address, "--log.level=warn")
	p := &Prometheus{began: time.Now(), every: o.Every, log: filepath.Join(s.folder, "prometheus.log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	process, gone, err := spawn(cmd)
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("there is no prometheus in PATH: .ci/setup prometheus installs it")
	}
	if err != nil {
		t.Fatalf("start prometheus: %v", err)
	}
	p.gone = gone
	t.Cleanup(func() {
		_ = process.Signal(syscall.SIGTERM) // an error says that it is gone
		select {
		case <-gone:
		case <-time.After(stopGrace):
			t.Error("prometheus did not end")
			_ = process.Kill()
			<-gone
		}
		if t.Failed() {
			t.Logf("prometheus said last:\n%s", lastLines(p.log, 15))
		}
	})
	client, err := api.NewClient(api.Config{Address: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	p.API = v1.NewAPI(client)
	if err := p.ready(ctx, "http://"+address); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Prometheus) ready(ctx context.Context, url string) error {
	for {
		answer, err := http.Get(url + "/-/ready")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.gone:
			return fmt.Errorf("prometheus has ended:\n%s", lastLines(p.log, 15))
		case <-ctx.Done():
			return fmt.Errorf("prometheus is not ready: %w\n%s", ctx.Err(), lastLines(p.log, 15))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// configFor is its configuration: the jobs that production has, and shorter intervals.
func configFor(actors []*Actor, o Options) string {
	var text strings.Builder
	fmt.Fprintf(&text, "global:\n  scrape_interval: %[1]dms\n  scrape_timeout: %[1]dms\n  evaluation_interval: %[1]dms\n", o.Every.Milliseconds())
	if len(o.Rules) > 0 {
		fmt.Fprintf(&text, "rule_files:\n")
		for _, file := range o.Rules {
			fmt.Fprintf(&text, "  - %q\n", file)
		}
	}
	fmt.Fprintf(&text, "scrape_configs:\n")
	jobs := map[string][]string{}
	for _, a := range actors {
		jobs[a.Role.job()] = append(jobs[a.Role.job()], a.Ops)
	}
	for job, targets := range jobs {
		fmt.Fprintf(&text, "  - job_name: %s\n    static_configs:\n      - targets: [%s]\n", job, strings.Join(targets, ", "))
	}
	return text.String()
}

// Query answers what an expression is now.
func (p *Prometheus) Query(t testing.TB, expr string) model.Vector {
	t.Helper()
	value, err := p.ask(t.Context(), expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return value
}

func (p *Prometheus) ask(ctx context.Context, expr string) (model.Vector, error) {
	value, _, _, err := p.API.Query(ctx, expr, time.Now())
	if err != nil {
		return nil, err
	}
	switch value := value.(type) {
	case model.Vector:
		return value, nil
	case *model.Scalar:
		return model.Vector{{Value: value.Value, Timestamp: value.Timestamp}}, nil
	}
	return nil, fmt.Errorf("it is a %s", value.Type())
}

// Until waits until an expression has a sample, as an alert's does when it fires.
func (p *Prometheus) Until(t testing.TB, expr string) model.Vector {
	t.Helper()
	return p.wait(t, expr, func(found model.Vector) bool { return len(found) > 0 })
}

// UntilGone waits until it has none.
func (p *Prometheus) UntilGone(t testing.TB, expr string) {
	t.Helper()
	p.wait(t, expr, func(found model.Vector) bool { return len(found) == 0 })
}

func (p *Prometheus) wait(t testing.TB, expr string, enough func(model.Vector) bool) model.Vector {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		found := p.Query(t, expr)
		if enough(found) {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still %v after %s", expr, found, Patience)
		}
		select {
		case <-p.gone:
			t.Fatal("prometheus has ended")
		case <-time.After(p.every / 2):
		}
	}
}

// Series answers the course of an expression from the first scrape until now.
// An error is Prometheus' own, about the expression.
func (p *Prometheus) Series(t testing.TB, expr string) (model.Matrix, error) {
	t.Helper()
	value, _, _, err := p.API.QueryRange(t.Context(), expr, v1.Range{Start: p.began, End: time.Now(), Step: p.every})
	if err != nil {
		return nil, err
	}
	found, ok := value.(model.Matrix)
	if !ok {
		t.Fatalf("%s is a %s", expr, value.Type())
	}
	return found, nil
}

// Firing are the names of the alerts that fire, each once, sorted.
func (p *Prometheus) Firing(t testing.TB) (names []string) {
	t.Helper()
	found, err := p.API.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range found.Alerts {
		if alert.State == v1.AlertStateFiring {
			names = append(names, string(alert.Labels[model.AlertNameLabel]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// UntilFiring waits until an alert of that name fires.
func (p *Prometheus) UntilFiring(t testing.TB, alert string) {
	t.Helper()
	p.Until(t, fmt.Sprintf("ALERTS{alertname=%q, alertstate=%q}", alert, "firing"))
}

// UntilSilent waits until none does.
func (p *Prometheus) UntilSilent(t testing.TB, alert string) {
	t.Helper()
	p.UntilGone(t, fmt.Sprintf("ALERTS{alertname=%q, alertstate=%q}", alert, "firing"))
}
