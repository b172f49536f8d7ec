//go:build knownbad

// Package k6 proves that the load test can fail: by a consumer that is wrong on
// purpose, and by an API that lies. `make k6-known-bad` runs it. It needs a k6, which
// the environment variable K6 names, and takes some minutes; so it has the build tag of
// the wrong consumer, and is no part of `go test ./...`.
package k6

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/embedded/embeddedtest"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// house is a deployment of real processes over real servers.
type house struct {
	*testing.T
	dir string // of the programs
	env []string

	api, ops, schedulerOps string // addresses
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, dir: t.TempDir(), api: freeAddress(t), ops: freeAddress(t), schedulerOps: freeAddress(t)}
	for dir, args := range map[string][]string{
		".":     {"sluice/cmd/api", "sluice/cmd/scheduler", "sluice/cmd/consumer"},
		"hasty": {"-tags", "knownbad", "sluice/cmd/consumer"},
	} {
		into := filepath.Join(h.dir, dir)
		h.must(os.MkdirAll(into, 0o755))
		if out, err := exec.Command("go", append([]string{"build", "-o", into + "/"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	h.env = append(os.Environ(), "SLUICE_REDIS_URL="+embeddedtest.Redis(t), "SLUICE_POSTGRES_URL="+embeddedtest.Postgres(t),
		"SLUICE_JWT_KEYS=test:"+strings.Repeat("k", 32), "SLUICE_TRUSTED_PROXIES=127.0.0.1", "SLUICE_LOG_LEVEL=error", "SLUICE_POSTGRES_CONNS=8")
	h.start("api", nil, "SLUICE_LISTEN="+h.api, "SLUICE_OPS_LISTEN="+h.ops)
	h.start("scheduler", nil, "SLUICE_OPS_LISTEN="+h.schedulerOps)
	return h
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// start runs one of the built programs until it is killed, or the test ends. What it
// says on standard output goes to says.
func (h *house) start(program string, says *lines, env ...string) *exec.Cmd {
	h.Helper()
	cmd := exec.Command(filepath.Join(h.dir, program))
	cmd.Env, cmd.Stderr = append(slices.Clone(h.env), env...), h.Output()
	if says != nil {
		cmd.Stdout = says
	}
	h.must(cmd.Start())
	h.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// lines notices that a child says something.
type lines struct {
	awaited string
	said    chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(l.awaited)) {
		close(l.said)
	}
	return len(p), nil
}

// until waits until something is so; false when the run is over first.
func (r *run) until(met func() bool) bool {
	for !met() {
		select {
		case <-r.over:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// verdict is what became of a run of k6.
type verdict struct {
	status int
	broken []string // promises, by metric
	output string
}

// run is a run of k6 under way.
type run struct {
	*house
	scenario string
	cmd      *exec.Cmd
	dir      string // of its report
	out      bytes.Buffer
	over     chan struct{}
	err      error // once it is over
}

// begin begins a scenario against an API and an operations port.
func (h *house) begin(scenario, api, ops string, settings ...string) *run {
	h.Helper()
	r := &run{house: h, scenario: scenario, dir: h.TempDir(), over: make(chan struct{})}
	r.cmd = exec.Command(cmp.Or(os.Getenv("K6"), "k6"), "run", "--quiet", "--address", "127.0.0.1:0", scenario+".js")
	r.cmd.Env = append(os.Environ(), append([]string{"BASE_URL=http://" + api, "OPS_URL=http://" + ops, "OWN_ADDRESSES=yes", "REPORT_DIR=" + r.dir}, settings...)...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		h.Fatalf("%v: the environment variable K6 names the program; .ci/k6 --known-bad sets it", err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.over)
	}()
	h.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.over
	})
	return r
}

// end waits for its verdict.
func (r *run) end() verdict {
	r.Helper()
	<-r.over
	if exit := (*exec.ExitError)(nil); r.err != nil && !errors.As(r.err, &exit) {
		r.Fatal(r.err)
	}
	v := verdict{status: r.cmd.ProcessState.ExitCode(), output: r.out.String()}
	text, err := os.ReadFile(filepath.Join(r.dir, r.scenario+".json"))
	r.must(err)
	var report struct {
		Passed   bool
		Promises []struct {
			Metric string
			OK     bool
		}
	}
	r.must(json.Unmarshal(text, &report))
	for _, p := range report.Promises {
		if !p.OK {
			v.broken = append(v.broken, p.Metric)
		}
	}
	if report.Passed != (len(v.broken) == 0) || (v.status == 0) != report.Passed && v.status != exitScript {
		r.Errorf("status %d, passed %t, broken %v\n%s", v.status, report.Passed, v.broken, v.output)
	}
	return v
}

// What k6 ends with.
const (
	exitPromises = 99  // a threshold is crossed
	exitScript   = 107 // the script itself has failed, in setup() or teardown()
)

// speedy are the promises that a good deployment breaks when its machine is busy: they
// are for people, and decide no test.
var speedy = []string{"verdict_ms", "told_ms", "dropped_iterations", "http_req_failed", "http_req_duration{phase:ask}", "http_req_duration{phase:poll}"}

// passes and fails judge a verdict; what k6 said is told when it is another one.
func (h *house) passes(v verdict) {
	h.Helper()
	wrong := slices.DeleteFunc(slices.Clone(v.broken), func(metric string) bool { return slices.Contains(speedy, metric) })
	if v.status != 0 && v.status != exitPromises || len(wrong) > 0 {
		h.Errorf("status %d, broken %v\n%s", v.status, v.broken, v.output)
	}
	if v.status != 0 {
		h.Logf("slow: %v", v.broken)
	}
}

func (h *house) fails(v verdict, broken ...string) {
	h.Helper()
	h.Logf("status %d, broken %v", v.status, v.broken)
	if v.status != exitPromises {
		h.Errorf("status %d, want %d\n%s", v.status, exitPromises, v.output)
	}
	for _, metric := range broken {
		if !slices.Contains(v.broken, metric) {
			h.Errorf("%s is kept\n%s", metric, v.output)
		}
	}
}

// settled counts what a consumer has settled, by its own metrics.
func settled(ops string) (n float64) {
	response, err := http.Get("http://" + ops + "/metrics")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		return 0
	}
	for line := range strings.Lines(text.String()) {
		var one float64
		if at := strings.LastIndexByte(line, ' '); at > 0 && strings.HasPrefix(line, "sluice_settled_total{") {
			if _, err := fmt.Sscan(line[at:], &one); err == nil {
				n += one
			}
		}
	}
	return n
}
