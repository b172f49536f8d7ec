package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// port is an operations port that answers as it is told, and remembers what it was asked.
func port(t *testing.T, status int, body string) (server *httptest.Server, asked *atomic.Value) {
	t.Helper()
	asked = new(atomic.Value)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Path)
		w.Header().Set("Location", "/healthz")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server, asked
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  []string
		status int
		body   string

		exit   int
		path   string
		stderr string
	}{
		{name: "ready", status: 200, body: "[]", path: "/readyz"},
		{name: "alive", flags: []string{"--live"}, status: 200, body: "[]", path: "/healthz"},
		{name: "not ready", status: 503, body: `["redis: no answer","api: stopping"]`, exit: 1, path: "/readyz", stderr: "redis: no answer; api: stopping"},
		{name: "somebody else", status: 404, body: "no such page", exit: 1, path: "/readyz", stderr: "404"},
		{name: "elsewhere", status: 302, body: "", exit: 1, path: "/readyz", stderr: "302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, asked := port(t, c.status, c.body)
			for _, args := range [][]string{
				{server.URL},
				{"--ops-listen=" + server.Listener.Addr().String()},
			} {
				exit, _, stderr := sluice(t, append(append([]string{"health"}, c.flags...), args...)...)
				if exit != c.exit || asked.Load() != c.path || !strings.Contains(stderr, c.stderr) {
					t.Errorf("%s: exit %d, asked %s, said %q; want %d, %s, %q", args, exit, asked.Load(), stderr, c.exit, c.path, c.stderr)
				}
			}
		})
	}
}

// Who listens on all interfaces is asked on this machine, whatever else the
// environment says: a probe needs no other setting.
func TestHealthOfAllInterfaces(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	_, number, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLUICE_REDIS_URL_FILE", "/nowhere")
	t.Setenv("SLUICE_PRODUCTION", "true")
	for _, address := range []string{":" + number, "0.0.0.0:" + number, "[::]:" + number} {
		t.Setenv("SLUICE_OPS_LISTEN", address)
		if exit, _, stderr := sluice(t, "health"); exit != 0 {
			t.Errorf("%s: exit %d, %s", address, exit, stderr)
		}
	}
}

func TestHealthOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if exit, _, stderr := sluice(t, "health", "http://"+address); exit != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("exit %d, %q", exit, stderr)
	}
}

func TestHealthRefusesWhatIsNoPort(t *testing.T) {
	for _, args := range [][]string{
		{"127.0.0.1:8081"}, {"ftp://127.0.0.1"}, {"http://"}, {"http://127.0.0.1/metrics"}, {"http://me:word@127.0.0.1"}, {"--ops-listen=8081"},
	} {
		if exit, _, stderr := sluice(t, append([]string{"health"}, args...)...); exit != 2 || strings.Contains(stderr, "word") {
			t.Errorf("%s: exit %d, %q; want 2", args, exit, stderr)
		}
	}
}
