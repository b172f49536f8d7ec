package process

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
)

func TestAtMost(t *testing.T) {
	broke := errors.New("broke")
	ended, end := context.WithCancel(t.Context())
	end()
	never := make(chan struct{})
	defer close(never)
	for name, test := range map[string]struct {
		ctx      context.Context
		patience time.Duration
		loop     func(context.Context) error
		want     error
	}{
		"an error of its own":        {t.Context(), 0, func(context.Context) error { return broke }, broke},
		"an error when it is asked":  {ended, time.Minute, func(ctx context.Context) error { <-ctx.Done(); return broke }, broke},
		"one that does not end":      {ended, time.Millisecond, func(context.Context) error { <-never; return broke }, nil},
		"an end when it is asked to": {ended, time.Minute, func(context.Context) error { return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := atMost(test.patience, test.loop)(test.ctx); err != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestStopped: after a signal nothing is a failure any more, and nothing takes longer
// than it may.
func TestStopped(t *testing.T) {
	broke := errors.New("broke")
	never := make(chan struct{})
	defer close(never)
	asked, ask := context.WithCancel(t.Context())
	ask()
	for name, test := range map[string]struct {
		ctx   context.Context
		grace time.Duration
		work  func() error
		want  error
		says  string
	}{
		"not asked, and well":           {t.Context(), 0, func() error { return nil }, nil, ""},
		"not asked, and broken":         {t.Context(), 0, func() error { return broke }, broke, ""},
		"asked, and ended in order":     {asked, time.Minute, func() error { return nil }, nil, ""},
		"asked, and not in order":       {asked, time.Minute, func() error { return broke }, nil, "broke"},
		"asked, and it does not end":    {asked, time.Millisecond, func() error { <-never; return nil }, nil, "hangs"},
		"asked before it could connect": {asked, time.Minute, func() error { return asked.Err() }, nil, "not in order"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			if err := stopped(test.ctx, test.grace, zerolog.New(&log), test.work); err != test.want {
				t.Errorf("got %v", err)
			}
			if got := log.String(); (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
				t.Errorf("it says %s", got)
			}
		})
	}
}

// TestReadinessSaysAtOnceThatItStops, though its answer is good for a moment.
func TestReadinessSaysAtOnceThatItStops(t *testing.T) {
	p := open(t, config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t)))
	probe := p.opsHandler(time.Hour, &loudness{}, &flight{})
	for _, test := range []struct {
		stops bool
		want  int
		says  string
	}{{false, 200, "[]"}, {true, 503, `["api: stopping"]`}, {true, 503, `["api: stopping"]`}} {
		p.stopping.Store(test.stops)
		answer := httptest.NewRecorder()
		probe.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		if got := strings.TrimSpace(answer.Body.String()); answer.Code != test.want || got != test.says {
			t.Errorf("%d %s, want %d %s", answer.Code, got, test.want, test.says)
		}
	}
}

// TestRequestGrace: requests leave the rest of the process time to stop.
func TestRequestGrace(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{10 * time.Second: 8 * time.Second, 4 * time.Second: 2 * time.Second, time.Second: 500 * time.Millisecond} {
		if got := (Config{ShutdownGrace: grace}).requestGrace(); got != want {
			t.Errorf("of %s requests get %s, want %s", grace, got, want)
		}
	}
}

// TestCloseWhilePostgresHangs: a server that does not answer does not keep a process.
func TestCloseWhilePostgresHangs(t *testing.T) {
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	server, err := url.Parse(c.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	link := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "postgres", "127.0.0.1:0", server.Host)
	if err := link.Start(); err != nil {
		t.Fatal(err)
	}
	defer link.Stop()
	server.Host = link.Listen
	c.PostgresURL = server.String()
	p, err := Open(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"upstream", "downstream"} {
		if _, err := link.Toxics.AddToxicJson(strings.NewReader(`{"type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`)); err != nil {
			t.Fatal(err)
		}
	}
	// A question that nobody answers any more leaves a connection that cannot be closed
	// in order.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.ledger.Ping(ctx); err == nil {
		t.Fatal("Postgres answers: the test shows nothing")
	}
	began := time.Now()
	err = p.Close()
	if took := time.Since(began); took > 10*closePatience {
		t.Errorf("it took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "Postgres") {
		t.Errorf("it says %v", err)
	}
}
