package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"sluice/internal/accounts"
)

// bare is an API without stores, with routes of the test's own.
func bare(t *testing.T, change func(*Options), routes map[string]fiber.Handler) (*API, *logbook) {
	t.Helper()
	known, err := accounts.New(nil, nil, []accounts.Key{keyNow})
	if err != nil {
		t.Fatal(err)
	}
	log := &logbook{}
	o := Options{Accounts: known, Log: zerolog.New(log), Registry: prometheus.NewRegistry()}
	if change != nil {
		change(&o)
	}
	api := New(o)
	for pattern, handler := range routes {
		api.app.Get(pattern, handler)
	}
	return api, log
}

// get is one request on a connection of its own.
func get(addr, path string) (r reply, err error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := client.Get("http://" + addr + path)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	return said(answer)
}

func TestFaultsStayOurs(t *testing.T) {
	t.Parallel()
	api, log := bare(t, func(o *Options) { o.WorkTimeout = 20 * time.Millisecond }, nil)
	api.app.Get("/panic", func(*fiber.Ctx) error { panic("secret of the house") })
	api.app.Get("/bug", func(*fiber.Ctx) error { return errors.New("secret of the house") })
	api.app.Get("/slow", api.guarded(route{answer: func(ctx context.Context, _ *fiber.Ctx, _ accounts.Who) error {
		<-ctx.Done()
		return fmt.Errorf("secret of the house: %w", ctx.Err())
	}}))
	h := &house{t: t, addr: serve(t, api), client: http.DefaultClient, accounts: api.accounts}
	token := h.token(accounts.Who{Account: 1, Role: accounts.Buyer})
	for path, code := range map[string]string{"/panic": "internal", "/bug": "internal", "/slow": "unavailable"} {
		r := h.ask("GET", path, token, "", "X-Request-ID: trace"+path)
		status := map[string]int{"internal": 500, "unavailable": 503}[code]
		r.wantProblem(t, status, code)
		if strings.Contains(r.raw, "secret") {
			t.Errorf("%s tells %s", path, r.raw)
		}
		if !strings.Contains(log.String(), "trace"+path) {
			t.Errorf("%s is not in the log: %s", path, log)
		}
	}
	if strings.Count(log.String(), "secret") < 3 || !strings.Contains(log.String(), "server_test.go") || strings.Count(log.String(), `"level":"warn","request_id":"trace/`) != 3 {
		t.Errorf("the log does not say what happened: %s", log)
	}
}

// TestShutdown: what is in hand is finished, with its time, and nothing new comes in.
func TestShutdown(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	api, _ := bare(t, nil, nil)
	api.app.Get("/slow", api.guarded(route{answer: func(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
		close(entered)
		<-release
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.SendString("finished")
	}}))
	h := &house{t: t, addr: serve(t, api), client: &http.Client{}, accounts: api.accounts}
	token := h.token(accounts.Who{Account: 1, Role: accounts.Buyer})
	answered := make(chan string, 1)
	go func() {
		request, _ := http.NewRequest("GET", "http://"+h.addr+"/slow", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := h.client.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		raw, _ := io.ReadAll(answer.Body)
		answered <- string(raw)
	}()
	<-entered

	down := make(chan error, 1)
	go func() { down <- api.Shutdown(context.Background()) }()
	h.until("nobody listens", func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-down:
		t.Fatalf("down with a request in hand: %v", err)
	default:
	}
	close(release)
	if got := <-answered; got != "finished" {
		t.Errorf("the request in hand got %q", got)
	}
	if err := <-down; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestShutdownInAHurry: it does not wait longer than it is told to.
func TestShutdownInAHurry(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	api, _ := bare(t, nil, map[string]fiber.Handler{"/slow": func(*fiber.Ctx) error { close(entered); <-release; return nil }})
	addr := serve(t, api)
	t.Cleanup(func() { close(release) })
	go get(addr, "/slow")
	<-entered
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := api.Shutdown(hurried); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
}

// TestShutdownFirst: a server that is told to stop before it serves does not.
func TestShutdownFirst(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	if err := api.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it listens")
	}
}

// TestMetrics: labels are routes, never paths, whatever is asked.
func TestMetrics(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for _, path := range []string{"/v1/receipts/1", "/v1/receipts/2", "/a", "/b"} {
		if _, err := get(addr, path); err != nil {
			t.Fatal(err)
		}
	}
	raw(t, addr, "BREW /v1/receipts/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	want := `
		# HELP sluice_http_requests_total Requests answered, by route (none: no such route, or unreadable), method and status.
		# TYPE sluice_http_requests_total counter
		sluice_http_requests_total{method="GET",route="/v1/receipts/:id",status="401"} 2
		sluice_http_requests_total{method="GET",route="none",status="404"} 2
		sluice_http_requests_total{method="other",route="none",status="501"} 1
	`
	if err := testutil.CollectAndCompare(api.metrics.requests, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(api.metrics.seconds); n != 2 {
		t.Errorf("%d histograms", n)
	}
}

// TestShutdownOfTheSilent: a stop does not wait for a connection on which nobody has said
// anything, and answers who says something in time.
func TestShutdownOfTheSilent(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	var silent [20]net.Conn
	for i := range silent {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n := 0
		api.mu.Lock()
		if lent := api.lent; lent != nil {
			lent.mu.Lock()
			n = len(lent.silent)
			lent.mu.Unlock()
		}
		api.mu.Unlock()
		if n == len(silent) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are accepted", n)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // fasthttp would wait for five
	defer cancel()
	if err := api.Shutdown(ctx); err != nil {
		t.Errorf("it waits for who says nothing: %v", err)
	}
}
