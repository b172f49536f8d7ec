package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/logs"
)

// page is a log that several write.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(line)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// desk is an operations port without servers behind it: of what needs none.
type desk struct {
	t      *testing.T
	url    string
	log    *page
	logger zerolog.Logger
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, log: &page{}}
	before := logs.Level()
	t.Cleanup(func() { logs.SetLevel(before) })
	d.logger = Config{LogLevel: "info", LogFormat: "json"}.Logger(d.log)
	p := &Process{log: d.logger, Registry: prometheus.NewRegistry()}
	level := &loudness{log: d.logger, configured: zerolog.InfoLevel}
	t.Cleanup(level.stop)
	server := httptest.NewServer(p.opsHandler(0, level, &flight{log: d.logger}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// ask sends one request and answers status and body.
func (d *desk) ask(method, path, body string) (int, string) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// level answers what /loglevel says of an answer.
func (d *desk) level(status int, body string) levelAnswer {
	d.t.Helper()
	var a levelAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || status != http.StatusOK {
		d.t.Fatalf("%d %s: %v", status, body, err)
	}
	return a
}

// TestLogLevelChangesAtRunTime: also for loggers that were derived before, and back.
func TestLogLevelChangesAtRunTime(t *testing.T) {
	d := newDesk(t)
	derived := d.logger.With().Int("partition", 3).Logger()
	heard := func(what string) bool {
		derived.Debug().Msg(what)
		return strings.Contains(d.log.String(), what)
	}
	if a := d.level(d.ask("GET", "/loglevel", "")); a != (levelAnswer{Level: "info", Configured: "info"}) || heard("one") {
		t.Errorf("at first %+v:\n%s", a, d.log)
	}
	if a := d.level(d.ask("PUT", "/loglevel", "debug\n")); a.Level != "debug" || a.Until != nil || !heard("two") {
		t.Errorf("after debug %+v:\n%s", a, d.log)
	}
	if a := d.level(d.ask("PUT", "/loglevel", `{"level":"error"}`)); a.Level != "error" || heard("three") {
		t.Errorf("after error %+v:\n%s", a, d.log)
	}
	if n := strings.Count(d.log.String(), `"message":"log level changed"`); n != 2 {
		t.Errorf("the log tells of %d changes, even at error:\n%s", n, d.log)
	}
}

// TestLogLevelReturns: after its time; and not when somebody has wished something else.
func TestLogLevelReturns(t *testing.T) {
	d := newDesk(t)
	before := time.Now()
	if a := d.level(d.ask("PUT", "/loglevel?for=1s", "debug")); a.Level != "debug" || a.Until == nil || a.Until.Before(before) {
		t.Fatalf("%+v", a)
	}
	await(t, "it returns", func() bool { return d.level(d.ask("GET", "/loglevel", "")).Level == "info" })
	if a := d.level(d.ask("GET", "/loglevel", "")); a.Until != nil {
		t.Errorf("returned, and still until %s", a.Until)
	}
	if !strings.Contains(d.log.String(), `"from":"debug","to":"info","time":`) {
		t.Errorf("the log does not tell of the return:\n%s", d.log)
	}
	level := &loudness{log: d.logger, configured: zerolog.InfoLevel}
	defer level.stop()
	level.set(zerolog.DebugLevel, time.Hour)
	first := level.back
	level.set(zerolog.WarnLevel, time.Hour)
	second := level.back
	level.comeBack(&first) // which was on its way already
	if a := level.answer(); a.Level != "warn" || a.Until == nil {
		t.Errorf("the first time ended the second wish: %+v", a)
	}
	level.comeBack(&second)
	if a := level.answer(); a.Level != "info" || a.Until != nil {
		t.Errorf("the second did not return: %+v", a)
	}
}

func TestLogLevelRefuses(t *testing.T) {
	d := newDesk(t)
	for _, test := range []struct{ path, body, code string }{
		{"/loglevel", "loud", "bad_level"},
		{"/loglevel", "", "bad_level"},
		{"/loglevel", "disabled", "bad_level"},
		{"/loglevel", "trace", "bad_level"},
		{"/loglevel", `{"level":7}`, "bad_level"},
		{"/loglevel", `{"level":"info"`, "bad_level"},
		{"/loglevel", strings.Repeat(" ", 2000) + "info", "bad_level"},
		{"/loglevel?for=ever", "debug", "bad_time"},
		{"/loglevel?for=1ms", "debug", "bad_time"},
		{"/loglevel?for=48h", "debug", "bad_time"},
		{"/loglevel?for=-5m", "debug", "bad_time"},
	} {
		status, body := d.ask("PUT", test.path, test.body)
		var told struct{ Code, Detail string }
		if err := json.Unmarshal([]byte(body), &told); err != nil || status != http.StatusBadRequest || told.Code != test.code || told.Detail == "" {
			t.Errorf("%s %.20q: %d %s (%v)", test.path, test.body, status, body, err)
		}
	}
	if a := d.level(d.ask("GET", "/loglevel", "")); a.Level != "info" {
		t.Errorf("a refused wish was granted: %+v", a)
	}
	if status, _ := d.ask("POST", "/loglevel", "debug"); status != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", status)
	}
}

// TestProfiles: they are there, bounded, and tell no command line.
func TestProfiles(t *testing.T) {
	d := newDesk(t)
	for path, want := range map[string]string{
		"":                           "goroutine",
		"goroutine?debug=1":          "goroutine profile",
		"heap?debug=1":               "heap profile",
		"allocs?debug=1":             "heap profile",
		"threadcreate?debug=1":       "threadcreate",
		"symbol?0x1":                 "num_symbols",
		"profile?seconds=1":          "\x1f\x8b", // gzip
		"block?seconds=1":            "\x1f\x8b",
		"mutex?seconds=1":            "\x1f\x8b",
		"trace?seconds=0.05":         "go 1.",
		"profile?seconds=61":         "bad_seconds",
		"profile?seconds=0":          "bad_seconds",
		"profile?seconds=NaN":        "bad_seconds",
		"profile?seconds=x":          "bad_seconds",
		"trace?seconds=1e9":          "bad_seconds",
		"heap?seconds=3600":          "bad_seconds",
		"mutex?seconds=61":           "bad_seconds",
		"profile?seconds=1&seconds=": "\x1f\x8b",
	} {
		status, body := d.ask("GET", "/debug/pprof/"+path, "")
		wanted := http.StatusOK
		if want == "bad_seconds" {
			wanted = http.StatusBadRequest
		}
		if status != wanted || !strings.Contains(body, want) {
			t.Errorf("%s: %d, lacks %q: %.80q", path, status, want, body)
		}
	}
	if status, _ := d.ask("GET", "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("the command line, which may hold a password: %d", status)
	}
}

// TestLocksAreRecordedWhileAsked: a profile of locks has what was contended meanwhile, and
// nothing is recorded when nobody asks.
func TestLocksAreRecordedWhileAsked(t *testing.T) {
	p := &recorded{rate: 7}
	var rates []int
	p.set = func(rate int) { rates = append(rates, rate) }
	first, second := make(chan struct{}), make(chan struct{})
	serve := p.while(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.RawQuery)
		if r.URL.Query().Get("seconds") == "3" {
			close(first)
			<-second
		}
	}))
	var asking sync.WaitGroup
	asking.Go(func() { serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/?seconds=3", nil)) })
	<-first
	w := httptest.NewRecorder()
	serve(w, httptest.NewRequest("GET", "/?debug=1", nil))
	if got := w.Body.String(); got != "seconds="+lockSeconds {
		t.Errorf("asked for %q", got)
	}
	close(second)
	asking.Wait()
	if got := fmt.Sprint(rates); got != "[7 7 7 0]" {
		t.Errorf("rates %s: it must be on until the last one has his", got)
	}
}

func TestFlightRecorder(t *testing.T) {
	d := newDesk(t)
	if status, body := d.ask("GET", "/debug/flight", ""); status != http.StatusNotFound || !strings.Contains(body, `"code":"flight_off"`) || !strings.Contains(body, "SLUICE_FLIGHT_RECORDER") {
		t.Errorf("off: %d %s", status, body)
	}
	f := &flight{log: d.logger}
	f.start()
	defer f.stop()
	for range 3 {
		trace.Log(t.Context(), "test", "something happens")
		w := httptest.NewRecorder()
		f.get(w, httptest.NewRequest("GET", "/debug/flight", nil))
		if w.Code != http.StatusOK || !bytes.HasPrefix(w.Body.Bytes(), []byte("go 1.")) || w.Body.Len() < 100 {
			t.Errorf("on: %d, %d bytes: %.40q", w.Code, w.Body.Len(), w.Body)
		}
	}
	other := &flight{log: d.logger}
	other.start()
	defer other.stop()
	if other.recorder != nil || !strings.Contains(d.log.String(), "no flight recorder") {
		t.Errorf("two recorders in one program:\n%s", d.log)
	}
}

// TestStopDoesNotWaitForAProfile: whoever takes one when the process stops gets what there
// is, and the port closes in time.
func TestStopDoesNotWaitForAProfile(t *testing.T) {
	var log page
	p := &Process{log: zerolog.New(&log), Registry: prometheus.NewRegistry(), config: Config{LogLevel: "info"}}
	l := listener(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.ServeOps(ctx, l) }()
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/debug/pprof/trace?seconds=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request) // the header comes with the first of the trace
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop()
	text, err := io.ReadAll(response.Body)
	if err != nil || !bytes.HasPrefix(text, []byte("go 1.")) {
		t.Errorf("%v, %.40q", err, text)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it hung: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the port waits for the profile")
	}
}
