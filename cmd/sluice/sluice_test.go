package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/embedded"
)

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		// Not t.TempDir: Postgres, which is not root, must be able to enter.
		folder, err := os.MkdirTemp("", "sluice-cmd-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		if err := os.Chmod(folder, 0o755); err != nil {
			panic(err)
		}
		binary = filepath.Join(folder, "sluice")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			panic(string(out))
		}
		for _, variable := range os.Environ() {
			if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "SLUICE_") {
				os.Unsetenv(name)
			}
		}
		// One data folder for all tests: initdb runs once.
		os.Setenv("SLUICE_DATA_DIR", filepath.Join(folder, "data"))
		os.Setenv("SLUICE_LISTEN", "127.0.0.1:0")
		os.Setenv("SLUICE_OPS_LISTEN", "127.0.0.1:0")
		code := m.Run()
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, "the tests passed, and left goroutines behind:", err)
			code = 1
		}
		return code
	}())
}

// operator gives servers of their own, of that name, two partitions and a schema to
// the programs that a test runs, and answers how to run one that must end with a
// status; that answers what it printed.
func operator(t *testing.T, name string) (*embedded.Servers, func(want int, args ...string) string) {
	t.Helper()
	servers, err := embedded.Start(t.Context(), embedded.Options{Dir: filepath.Join(filepath.Dir(binary), name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close() })
	t.Setenv("SLUICE_REDIS_URL", servers.RedisURL)
	t.Setenv("SLUICE_POSTGRES_URL", servers.PostgresURL)
	t.Setenv("SLUICE_PARTITIONS", "2")
	run := func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := sluice(t, args...)
		if status != want {
			t.Fatalf("%q: status %d, %s%s", args, status, stdout, stderr)
		}
		return stdout + stderr
	}
	run(0, "migrate", "--postgres-url", servers.PostgresURL)
	return servers, run
}

// sluice runs the program to its end.
func sluice(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	return exit(t, cmd.Run()), out.String(), err.String()
}

func exit(t *testing.T, err error) int {
	t.Helper()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &ended):
		t.Fatal(err)
	}
	return ended.ExitCode()
}

func TestHelp(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--help"}, []string{"up ", "demo ", "audit ", "sales list", "sales suspend", "sales resume", "dead list", "dead show", "dead replay", "dead drop", "torture ", "migrate ", "health ", "admin create", "top ", "status ", "--version"}},
		{[]string{"top", "--help"}, []string{"--ops", "--every", "2s", "--once", "--plain", "NO_COLOR"}},
		{[]string{"status", "--help"}, []string{"--ops", "--json", "--over", "Exit status", "docs/operations.md"}},
		{[]string{"up", "--help"}, []string{"SLUICE_REDIS_URL", "SLUICE_JWT_KEYS", "SLUICE_LISTEN", "127.0.0.1:8081", "Default: info"}},
		{[]string{"demo", "--help"}, []string{"--buyers", "5000", "--spread", "8s", "--exit", "--json", "Exit status"}},
		{[]string{"audit", "--help"}, []string{"--json", "Exit status"}},
		{[]string{"torture", "--help"}, []string{"--minutes", "--seconds", "--seed", "--keep", "--forgetful", "--from", "--calm", "--hosts", "--json"}},
		{[]string{"sales", "resume", "--help"}, []string{"--force", "--json", "suspended", "exit status 1"}},
		{[]string{"migrate", "--help"}, []string{"SLUICE_POSTGRES_URL"}},
		{[]string{"health", "--help"}, []string{"--live", "SLUICE_OPS_LISTEN", "Exit status"}},
		{[]string{"admin", "create", "--help"}, []string{"--email", "SLUICE_ADMIN_PASSWORD", "SLUICE_POSTGRES_URL"}},
		{[]string{"--version"}, []string{"sluice "}},
	} {
		status, stdout, stderr := sluice(t, test.args...)
		if status != 0 || stderr != "" {
			t.Errorf("%q: status %d, %s", test.args, status, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q lacks %q:\n%s", test.args, want, stdout)
			}
		}
	}
}

func TestBadUse(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "expected one of"},
		{[]string{"dance"}, "dance"},
		{[]string{"up", "--bogus"}, "--bogus"},
		{[]string{"demo", "--buyers=many"}, "--buyers"},
		{[]string{"demo", "--buyers=0"}, "buyers must be"},
		{[]string{"demo", "--spread=1h"}, "spread must be"},
		{[]string{"torture", "--minutes=never"}, "--minutes"},
		{[]string{"top", "--every=1ms"}, "--every must be"},
		{[]string{"top", "--ops=ftp://x"}, "is not the address of an operations port"},
		{[]string{"status", "--over=1h"}, "--over must be"},
		{[]string{"status", "--ops=http://user:geheim@h:1"}, "is not the address of an operations port"},
		{[]string{"status", "--ops=,"}, "is not the address of an operations port"},
		{[]string{"up", "--partitions=0", "--listen=x"}, "SLUICE_LISTEN"},
		{[]string{"sales", "suspend"}, "id"},
		{[]string{"sales", "resume", "lamp"}, "lamp"},
	} {
		status, stdout, stderr := sluice(t, test.args...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: status %d\n%s%s", test.args, status, stdout, stderr)
		}
	}
}

// TestDemoAndAudit is the whole product in one command, from an empty folder.
func TestDemoAndAudit(t *testing.T) {
	status, stdout, stderr := sluice(t, "demo", "--exit", "--json", "--buyers", "50", "--spread", "500ms")
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, stderr)
	}
	decoder := json.NewDecoder(strings.NewReader(stdout))
	var report map[string]any
	if err := decoder.Decode(&report); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if rest, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("more than one object: %v, %v", rest, err)
	}
	want := []string{"accept_per_s", "accepted", "audit", "inversions", "outcomes", "oversold", "points_moved",
		"reasons", "refused", "requests", "unfinished", "units_sold", "verdict_ms"}
	kinds, _ := report["kinds"].(map[string]any)
	delete(report, "kinds")
	tallies, requests := map[string]any{"all": report}, 0.0
	for kind, tally := range kinds {
		tallies[kind] = tally
	}
	for kind, tally := range tallies {
		fields, _ := tally.(map[string]any)
		if names := slices.Sorted(maps.Keys(fields)); !slices.Equal(names, want) {
			t.Errorf("%s has %q", kind, names)
		}
		for name, value := range map[string]any{"oversold": 0.0, "unfinished": 0.0, "inversions": 0.0, "audit": "ok"} {
			if fields[name] != value {
				t.Errorf("%s: %s is %v", kind, name, fields[name])
			}
		}
		if n, _ := fields["requests"].(float64); kind != "all" {
			requests += n
		}
		if kind == "auction" && fields["requests"] != 50.0 {
			t.Errorf("50 bids are %v requests", fields["requests"])
		}
	}
	if len(kinds) != 4 || report["requests"] != requests {
		t.Errorf("%d kinds with %v requests, the whole has %v", len(kinds), requests, report["requests"])
	}

	status, stdout, stderr = sluice(t, "audit", "--json")
	var audit struct {
		Verdict string
		Sales   int
	}
	if err := json.Unmarshal([]byte(stdout), &audit); err != nil || status != 0 || audit.Verdict != "ok" || audit.Sales < 1 {
		t.Errorf("audit: status %d, %v, %s%s", status, err, stdout, stderr)
	}
	if status, stdout, stderr = sluice(t, "migrate"); status != 0 || !strings.Contains(stdout, "up to date") {
		t.Errorf("migrate: status %d, %s%s", status, stdout, stderr)
	}
}

func TestUpOnABusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	status, _, stderr := sluice(t, "up", "--listen", l.Addr().String())
	if status != 1 || !strings.Contains(stderr, "somebody else listens there") {
		t.Errorf("status %d:\n%s", status, stderr)
	}
}

// TestSignals: the first one ends a demo in the middle, cleanly: the data folder
// is free again at once.
func TestSignals(t *testing.T) {
	cmd := exec.Command(binary, "demo", "--json", "--buyers", "200", "--spread", "30s")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	var said bytes.Buffer
	for buffer := make([]byte, 4096); !strings.Contains(said.String(), "accepted"); {
		n, err := progress.Read(buffer)
		said.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v:\n%s", err, &said)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&said, progress); err != nil {
		t.Fatal(err)
	}
	if status := exit(t, cmd.Wait()); status != 1 || stdout.Len() > 0 || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("status %d, %q\n%s", status, &stdout, &said)
	}
	if status, out, stderr := sluice(t, "migrate"); status != 0 {
		t.Errorf("afterwards: status %d, %s%s", status, out, stderr)
	}
}
