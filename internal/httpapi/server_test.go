package httpapi

import (
	"bufio"
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
	raw, err := io.ReadAll(answer.Body)
	return reply{status: answer.StatusCode, header: answer.Header, raw: string(raw)}, err
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
	if strings.Count(log.String(), "secret") < 3 || !strings.Contains(log.String(), "server_test.go") || strings.Count(log.String(), `"level":"warn"`) != 3 {
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

// raw sends bytes and answers every response until the server closes. A server
// that keeps the connection open longer than two seconds fails the test. methods
// are those asked, where they are not GET: the answer to a HEAD has no body.
func raw(t *testing.T, addr, text string, methods ...string) (all []reply) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(c)
	for {
		if _, err := reader.Peek(1); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("the connection stays open after %d answers", len(all))
			}
			return all
		}
		asked := &http.Request{Method: http.MethodGet}
		if len(all) < len(methods) {
			asked.Method = methods[len(all)]
		}
		answer, err := http.ReadResponse(reader, asked)
		if err != nil {
			t.Errorf("answer %d: %v", len(all), err)
			return all
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Errorf("answer %d: %v", len(all), err)
		}
		all = append(all, reply{status: answer.StatusCode, header: answer.Header, raw: string(body)})
	}
}

// hidden is a request that stands where a body is expected, or the other way round.
const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

// TestSmuggling: a request whose end two servers could see at two places is
// refused, and the connection with it: what is hidden in it is never answered.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for name, text := range map[string]string{
		"two lengths":          "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n" + hidden,
		"a list of lengths":    "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 40\r\n\r\n" + hidden,
		"length with a sign":   "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n" + hidden,
		"negative length":      "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + hidden,
		"unknown coding":       "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n" + hidden,
		"coding, then another": "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"space before colon":   "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunk of no number":   "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + hidden,
		"no request":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" + hidden,
		"NUL in a header":      "GET /v1/x HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n" + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := raw(t, addr, text)
			if len(all) != 1 || all[0].status != 400 || all[0].header.Get("Content-Type") != problemType || !strings.Contains(all[0].raw, `"code":"bad_request"`) {
				t.Errorf("%d answers: %+v", len(all), all)
			}
		})
	}
}

// TestLengthAndChunks: what goes by its chunks is answered, what follows is not.
func TestLengthAndChunks(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for name, text := range map[string]string{
		"length and chunks": "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunks and length": "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n" + hidden,
		"in other letters":  "GET /v1/x HTTP/1.1\r\nHost: x\r\ntransfer-encoding: Chunked\r\nCONTENT-LENGTH:60\r\n\r\n0\r\n\r\n" + hidden,
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 404 || all[0].header.Get("Content-Type") != problemType {
			t.Errorf("%s: %d answers: %+v", name, len(all), all)
		}
	}
}

// TestBodyOfAGet: it is read with its request, or it would be the next one.
func TestBodyOfAGet(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS"} {
		for name, text := range map[string]string{
			"by length": fmt.Sprintf("%s /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, len(hidden), hidden),
			"in chunks": fmt.Sprintf("%s /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", method, len(hidden), hidden),
		} {
			kept := strings.Replace(text, "Connection: close\r\n", "", 1) + "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			all := raw(t, addr, kept, method)
			if len(all) != 2 || all[0].status != 404 || all[1].status != 404 || !strings.Contains(all[1].raw, "/last") {
				t.Errorf("%s %s: %+v", method, name, all)
			}
		}
	}
}

func TestOversizedHeader(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for name, text := range map[string]string{
		"one long header": "GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 9<<10) + "\r\n\r\n",
		"a long address":  "GET /" + strings.Repeat("x", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"many headers":    "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 2000) + "\r\n",
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 431 || !strings.Contains(all[0].raw, `"code":"header_too_large"`) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// TestSlowRequest: who drips a request in is cut off.
func TestSlowRequest(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, func(o *Options) { o.ReadTimeout, o.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond }, nil)
	addr := serve(t, api)
	for name, text := range map[string]string{
		"headers": "POST /v1/x HTTP/1.1\r\nHost: x\r\nX-A",
		"body":    "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"nothing": "",
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 408 || !strings.Contains(all[0].raw, `"code":"request_timeout"`) {
			t.Errorf("%s: %+v", name, all)
		}
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
