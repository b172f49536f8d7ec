package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
)

// patience bounds every wait for a condition: far longer than any takes.
const patience = time.Minute

// stage is an API in a process of its own, with a line to each server that can hang.
type stage struct {
	testing.TB
	api, ops string // addresses
	process  *os.Process
	log      *log
	ended    chan int // its exit status; -1: killed by a signal
	signal   syscall.Signal
	lines    []*toxiproxy.Proxy
	lock     *pgx.Conn // that keeps requests for the table accounts waiting
}

// log is what a process writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) until(what string, met func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("in vain: %s\n%s", what, s.log)
		}
	}
}

// line is a way to the server of a URL that can be made to hang.
func (s *stage) line(to string) string {
	s.Helper()
	u, err := url.Parse(to)
	s.must(err)
	l := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "line", "127.0.0.1:0", u.Host)
	s.must(l.Start())
	s.Cleanup(l.Stop)
	s.lines = append(s.lines, l)
	u.Host = l.Listen
	return u.String()
}

// hang lets nothing through any more.
func (s *stage) hang() {
	s.Helper()
	for _, l := range s.lines {
		for _, way := range []string{"upstream", "downstream"} {
			_, err := l.Toxics.AddToxicJson(strings.NewReader(`{"type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`))
			s.must(err)
		}
	}
}

var listens = regexp.MustCompile(`"listen":"(127\.0\.0\.1:\d+)","time":"[^"]*","message":"(API|operations port) answers"`)

// start runs the API with that grace until it answers. hung: its servers hang from the
// beginning, so that it does not.
func start(t *testing.T, grace time.Duration, hung bool) *stage {
	t.Helper()
	s := &stage{TB: t, log: &log{}, ended: make(chan int, 1)}
	postgres := embeddedtest.Postgres(t)
	redisURL, postgresURL := s.line(embeddedtest.RedisServer(t).URL), s.line(postgres) // lines to one server each hang, or are cut
	if hung {
		s.hang()
	}
	program, err := os.Executable()
	s.must(err)
	cmd := exec.Command(program)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SLUICE_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	// A request may wait for a lock for longer than the tests need.
	cmd.Env = append(cmd.Env, "SLUICE_TEST_AS=api", "SLUICE_LISTEN=127.0.0.1:0", "SLUICE_OPS_LISTEN=127.0.0.1:0", "SLUICE_REDIS_URL="+redisURL,
		"SLUICE_POSTGRES_URL="+postgresURL+with(postgresURL)+"lock_timeout=60s", "SLUICE_JWT_KEYS=test:"+strings.Repeat("s", 32), "SLUICE_SHUTDOWN_GRACE="+grace.String())
	cmd.Stderr = s.log
	s.must(cmd.Start())
	s.process = cmd.Process
	go func() {
		_ = cmd.Wait() // its status is read here
		s.signal = cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
		s.ended <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if hung {
		s.until("it begins", func() bool { return strings.Contains(s.log.String(), "starting api") })
		return s
	}
	s.until("it answers", func() bool {
		for _, found := range listens.FindAllStringSubmatch(s.log.String(), -1) {
			if found[2] == "API" {
				s.api = found[1]
			} else {
				s.ops = found[1]
			}
		}
		return s.api != "" && s.ops != "" && s.ready() == "200 []"
	})
	s.lock = embeddedtest.Blocker(t, postgres)
	return s
}

func with(u string) string {
	if strings.Contains(u, "?") {
		return "&"
	}
	return "?"
}

// ready is what readiness says.
func (s *stage) ready() string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get("http://" + s.ops + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body) // a short one shows
	return strings.Fields(answer.Status)[0] + " " + strings.TrimSpace(string(text))
}

// ask sends a request that waits in Postgres until the lock is given back, and answers
// what will come of it.
func (s *stage) ask() (answered chan string) {
	s.Helper()
	ctx := s.Context()
	_, err := s.lock.Exec(ctx, `begin`)
	s.must(err)
	_, err = s.lock.Exec(ctx, `lock table accounts in access exclusive mode`)
	s.must(err)
	answered = make(chan string, 1)
	client := http.Client{Timeout: patience}
	go func() {
		answer, err := client.Post("http://"+s.api+"/v1/auth/signup", "application/json", strings.NewReader(`{"email":"ann@example.com","password":"lamps-and-more","role":"buyer"}`))
		if err != nil {
			answered <- "none"
			return
		}
		defer answer.Body.Close()
		if answer.Close {
			answered <- answer.Status + ", the last"
			return
		}
		answered <- answer.Status
	}()
	s.until("a request is under way", func() bool {
		var waits bool
		s.must(s.lock.QueryRow(ctx, `select exists (select from pg_locks where not granted)`).Scan(&waits))
		return waits
	})
	return answered
}

func (s *stage) term() {
	s.Helper()
	s.must(s.process.Signal(syscall.SIGTERM))
}

// closed says whether nobody listens any more.
func (s *stage) closed() bool {
	c, err := net.Dial("tcp", s.api)
	if err == nil {
		c.Close()
	}
	return err != nil
}

// end waits for the process.
func (s *stage) end() (status int, signal syscall.Signal) {
	s.Helper()
	select {
	case status = <-s.ended:
		return status, s.signal
	case <-time.After(patience):
		s.Fatalf("it does not end:\n%s", s.log)
	}
	return 0, 0
}

// TestStopsInOrder: once nobody can connect, readiness has said why; what is under way
// is finished; then it ends.
func TestStopsInOrder(t *testing.T) {
	s := start(t, patience, false)
	answered := s.ask()
	s.term()
	s.until("nobody listens", s.closed)
	if got := s.ready(); got != `503 ["api: stopping"]` {
		t.Errorf("readiness says %s", got)
	}
	select {
	case got := <-answered:
		t.Errorf("the request under way was answered %s while it had to wait", got)
	case status := <-s.ended:
		t.Fatalf("it ended with %d while a request was under way:\n%s", status, s.log)
	default:
	}
	_, err := s.lock.Exec(t.Context(), `rollback`)
	s.must(err)
	if got := <-answered; got != "201 Created, the last" {
		t.Errorf("the request under way was answered %s", got)
	}
	if status, _ := s.end(); status != 0 || !strings.Contains(s.log.String(), "API stopped") || strings.Contains(s.log.String(), "not in order") {
		t.Errorf("status %d:\n%s", status, s.log)
	}
}

// TestStopsThoughAllHangs: neither a request that is never answered, nor one that is
// never finished, nor servers that are gone without a word keep it for longer than it
// was given.
func TestStopsThoughAllHangs(t *testing.T) {
	const grace = 3 * time.Second
	s := start(t, grace, false)
	answered := s.ask()
	half, err := net.Dial("tcp", s.api)
	s.must(err)
	defer half.Close()
	_, err = io.WriteString(half, "POST /v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	s.must(err)
	s.hang()
	s.term()
	began := time.Now()
	status, _ := s.end()
	if took := time.Since(began); status != 0 || took > grace+2*time.Second { // for a machine with much else to do
		t.Errorf("status %d after %s:\n%s", status, took, s.log)
	}
	if got := <-answered; got != "none" {
		t.Errorf("nothing hung: the request was answered %s", got)
	}
	if !strings.Contains(s.log.String(), "finish the API's requests") && !strings.Contains(s.log.String(), "something hangs") {
		t.Errorf("it does not say what it left:\n%s", s.log)
	}
}

// TestSecondSignal: who cannot wait asks twice.
func TestSecondSignal(t *testing.T) {
	s := start(t, 10*patience, false)
	answered := s.ask()
	s.term()
	s.until("nobody listens", s.closed)
	s.term()
	if status, signal := s.end(); status != -1 || signal != syscall.SIGTERM {
		t.Errorf("status %d, signal %s", status, signal)
	}
	if got := <-answered; got != "none" {
		t.Errorf("the request was answered %s", got)
	}
}

// TestStopsBeforeItAnswers: it can be stopped while it still looks for its servers.
func TestStopsBeforeItAnswers(t *testing.T) {
	s := start(t, 2*time.Second, true)
	s.term()
	began := time.Now()
	if status, _ := s.end(); status != 0 || time.Since(began) > 4*time.Second {
		t.Errorf("status %d after %s:\n%s", status, time.Since(began), s.log)
	}
}
