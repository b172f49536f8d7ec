package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

// fenced names what an answer lacks of the headers that every answer has.
func fenced(h http.Header) (lacks []string) {
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != value {
			lacks = append(lacks, name)
		}
	}
	if h.Get("X-Request-Id") == "" {
		lacks = append(lacks, "X-Request-ID")
	}
	return lacks
}

// TestEveryAnswerIsFenced: whatever comes of a request, also one that nobody could read.
func TestEveryAnswerIsFenced(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/fine": func(c *fiber.Ctx) error { return c.JSON(1) }, "/panic": func(*fiber.Ctx) error { panic("x") }})
	addr := serve(t, api)
	for text, status := range map[string]int{
		"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n": 200, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n": 500, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n": 404,
		"GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n": 401, "PUT /v1/me HTTP/1.1\r\nHost: x\r\n\r\n": 405, "BREW / HTTP/1.1\r\nHost: x\r\n\r\n": 501, "nonsense\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nX-Long: " + strings.Repeat("x", 9<<10) + "\r\n\r\n":                               431,
		"POST /v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 99999):      413,
		"POST /v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n":                  400,
		"POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx": 415,
	} {
		if status != 400 && status != 413 && status != 431 || strings.HasPrefix(text, "GET / ") {
			text = strings.Replace(text, "HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n", 1)
		}
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != status {
			t.Errorf("%.40q: %+v", text, all)
			continue
		}
		if lacks := fenced(all[0].header); lacks != nil {
			t.Errorf("%.40q: %v are missing or wrong: %v", text, lacks, all[0].header)
		}
		if all[0].header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%.40q: nobody speaks TLS here", text)
		}
	}
	if lacks := fenced(http.Header{"X-Content-Type-Options": {"nosniff", "nosniff"}, "Cache-Control": {"no-store"}}); len(lacks) != 5 {
		t.Errorf("of a bare answer only %v are missed", lacks)
	}
}

// TestOnlyTLS: that we are only to be asked by https is said where a proxy that is
// believed says that we were.
func TestOnlyTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proxy, headers string
		want           bool
	}{
		"https":               {"127.0.0.1/32", "X-Forwarded-Proto: https\r\n", true},
		"http":                {"127.0.0.1/32", "X-Forwarded-Proto: http\r\n", false},
		"nothing":             {"127.0.0.1/32", "", false},
		"two":                 {"127.0.0.1/32", "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", false},
		"a list":              {"127.0.0.1/32", "X-Forwarded-Proto: https, http\r\n", false},
		"another header":      {"127.0.0.1/32", "Forwarded: proto=https\r\nX-Forwarded-Ssl: on\r\n", false},
		"a proxy not trusted": {"10.0.0.0/8", "X-Forwarded-Proto: https\r\n", false},
		"no proxy":            {"", "X-Forwarded-Proto: https\r\n", false},
	} {
		api, _ := bare(t, func(o *Options) {
			if c.proxy != "" {
				o.Edge.Proxies = []netip.Prefix{netip.MustParsePrefix(c.proxy)}
			}
		}, nil)
		all := raw(t, serve(t, api), "GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+c.headers+"\r\n")
		if len(all) != 1 || (all[0].header.Get("Strict-Transport-Security") == "max-age=31536000") != c.want {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// TestFenceAllocatesNothing: these headers are on every answer.
func TestFenceAllocatesNothing(t *testing.T) {
	api := &API{proxies: proxies{netip.MustParsePrefix("10.0.0.0/8")}, cors: newCORS([]string{shop})}
	request := requestFrom(t, "10.0.0.1:4711", "X-Forwarded-Proto: https\r\nOrigin: "+shop+"\r\n")
	if got := testing.AllocsPerRun(1000, func() { request.Response.Reset(); api.fence(request) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
	var names []string
	for name := range request.Response.Header.All() {
		names = append(names, string(name))
	}
	for _, want := range []string{"Strict-Transport-Security", "Access-Control-Allow-Origin", "Vary"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

func BenchmarkFence(b *testing.B) {
	api := &API{}
	request := requestFrom(b, "203.0.113.9:4711", "")
	b.ReportAllocs()
	for b.Loop() {
		request.Response.Header.Reset()
		api.fence(request)
	}
}
