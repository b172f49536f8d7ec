package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/embedded"
	"sluice/internal/process"
)

// fleet is a deployment in several processes, over servers of its own.
type fleet struct {
	t       *testing.T
	folder  string
	servers *embedded.Servers
}

// launched is one of its processes.
type launched struct {
	*exec.Cmd
	ops string // its operations port
}

func newFleet(t *testing.T, programs ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, folder: filepath.Dir(binary)}
	for _, program := range programs {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(f.folder, program), "../"+program).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var err error
	if f.servers, err = embedded.Start(t.Context(), embedded.Options{Dir: filepath.Join(f.folder, "fleet")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.servers.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := process.Migrate(t.Context(), f.servers.PostgresURL); err != nil {
		t.Fatal(err)
	}
	return f
}

// launch starts a program and waits until its operations port answers.
func (f *fleet) launch(program string) *launched {
	f.t.Helper()
	p := &launched{Cmd: exec.Command(filepath.Join(f.folder, program), "--log-level=info")}
	p.Env = append(os.Environ(), "SLUICE_REDIS_URL="+f.servers.RedisURL, "SLUICE_POSTGRES_URL="+f.servers.PostgresURL,
		"SLUICE_JWT_KEYS=test:"+strings.Repeat("k", 32), "SLUICE_PARTITIONS=4")
	said, err := p.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.end(f.t) })
	lines := bufio.NewScanner(said)
	for p.ops == "" && lines.Scan() {
		var line struct{ Message, Listen string }
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Message == "operations port answers" {
			p.ops = line.Listen
		}
	}
	if p.ops == "" {
		f.t.Fatalf("%s did not come up", program)
	}
	go func() { // or it blocks when the pipe is full
		for lines.Scan() {
		}
	}()
	return p
}

// end stops it in order, once.
func (p *launched) end(t *testing.T) {
	t.Helper()
	if p.ProcessState != nil {
		return
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("%s: %v", p.Path, err)
	}
}

// facts are what scripts rely on of `sluice status --json`.
type facts struct {
	Status string
	Checks []struct {
		Name, Detail string
		OK           *bool
	}
	Partitions []struct {
		Held  *bool
		Owner *string
	}
}

// status asks until the exit status is the one wanted, which must be the word's.
func (f *fleet) status(when string, want int, ops ...string) (told facts) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		code, stdout, stderr := sluice(f.t, "status", "--json", "--over=100ms", "--ops", strings.Join(ops, ","))
		told = facts{}
		if err := json.Unmarshal([]byte(stdout), &told); err != nil {
			f.t.Fatalf("%s: %v in %q, %s", when, err, stdout, stderr)
		}
		if (code == 0) != (told.Status == "healthy") {
			f.t.Fatalf("%s: exit status %d of what is %s", when, code, told.Status)
		}
		if code == want {
			return told
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: exit status %d, want %d:\n%s%s", when, code, want, stdout, stderr)
		}
	}
}

// wrong are the checks that do not hold.
func (f facts) wrong() (names []string) {
	for _, c := range f.Checks {
		if c.OK != nil && !*c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

// TestStatusOfADeployment: healthy; without its consumer it is not, and says why; with one
// again it is.
func TestStatusOfADeployment(t *testing.T) {
	f := newFleet(t, "api", "consumer", "scheduler")
	api, consumer, scheduler := f.launch("api"), f.launch("consumer"), f.launch("scheduler")
	told := f.status("at first", 0, api.ops, consumer.ops, scheduler.ops)
	if len(told.Partitions) != 4 || len(told.wrong()) > 0 {
		t.Errorf("%+v", told)
	}
	for _, p := range told.Partitions {
		if p.Owner == nil || *p.Owner != consumer.ops {
			t.Errorf("the owner is %v, want %s", p.Owner, consumer.ops)
		}
	}
	// Who does not ask the scheduler does not know, and is not told that all is well.
	if told = f.status("without the scheduler's port", 1, api.ops, consumer.ops); told.Status != "unknown" || len(told.wrong()) > 0 {
		t.Errorf("it is %s: %q", told.Status, told.wrong())
	}
	code, page, stderr := sluice(t, "top", "--once", "--every=500ms", "--ops", api.ops, "--ops", consumer.ops+","+scheduler.ops)
	for _, want := range []string{"HEALTHY", "accepted 0/s", "redis up", "postgres up", "scheduler " + scheduler.ops, "PARTITION", consumer.ops} {
		if !strings.Contains(page, want) || code != 0 || strings.Contains(page, "\x1b") {
			t.Errorf("top lacks %q (status %d, %s):\n%s", want, code, stderr, page)
		}
	}

	consumer.end(t)
	told = f.status("the consumer has stopped", 1, api.ops, consumer.ops, scheduler.ops)
	if !slices.Contains(told.wrong(), "processes") {
		t.Errorf("nothing is wrong with the processes: %+v", told.Checks)
	}
	// Also who never knew of it learns that nobody owns anything, as soon as its leases end.
	for deadline := time.Now().Add(time.Minute); !slices.Contains(told.wrong(), "partition_owners"); {
		if told = f.status("nobody owns the partitions", 1, api.ops, scheduler.ops); time.Now().After(deadline) {
			t.Fatalf("in vain: %+v", told.Checks)
		}
	}
	if told.Status != "unhealthy" {
		t.Errorf("it is %s", told.Status)
	}
	code, stdout, stderr := sluice(t, "status", "--over=100ms", "--ops", api.ops+","+scheduler.ops)
	if code != 1 || !strings.Contains(stdout, "WRONG  partition_owners") || !strings.Contains(stderr, "not healthy") {
		t.Errorf("status %d:\n%s%s", code, stdout, stderr)
	}

	another := f.launch("consumer")
	f.status("with another consumer", 0, api.ops, another.ops, scheduler.ops)
}

// TestStatusOfNothing: nobody there is not healthy.
func TestStatusOfNothing(t *testing.T) {
	l, err := process.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	t.Setenv("SLUICE_OPS_LISTEN", address) // whose port is asked when none is named
	code, stdout, stderr := sluice(t, "status", "--over=100ms")
	if code != 1 || !strings.Contains(stdout, fmt.Sprintf("WRONG  processes          no answer from %s: ", address)) {
		t.Errorf("status %d:\n%s%s", code, stdout, stderr)
	}
}
