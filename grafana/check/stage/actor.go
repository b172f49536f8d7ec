package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Role is what a process does.
type Role string

// The roles. Up and Demo are all of Sluice in one process; the job that Prometheus
// gives them is "sluice", that of the others is their role.
const (
	API       Role = "api"
	Consumer  Role = "consumer"
	Scheduler Role = "scheduler"
	Up        Role = "up"
	Demo      Role = "demo"
)

func (r Role) whole() bool { return r == Up || r == Demo }

func (r Role) job() string {
	if r.whole() {
		return "sluice"
	}
	return string(r)
}

// stopGrace is how long a process may take to end in order; it allows itself 10 s.
const stopGrace = 20 * time.Second

// Actor is a place on the stage where a process works, or none after its death, until
// Start puts the next one there. Not for concurrent use.
type Actor struct {
	Name string
	Role Role
	URL  string // of the API; empty for those that have none
	Ops  string // host:port of the operations port, the same after every start

	program string
	args    []string
	env     []string
	log     string
	process *os.Process
	gone    chan struct{} // closed: the process has ended
}

// newActor makes a place for a process, which ends with the test. It is not started yet.
func newActor(t testing.TB, s *Stage, programs string, role Role, args []string) *Actor {
	t.Helper()
	same := 1
	for _, other := range s.actors {
		if other.Role == role {
			same++
		}
	}
	a := &Actor{Role: role, Name: fmt.Sprintf("%s-%d", role, same), Ops: freeAddress(t), program: filepath.Join(programs, string(role))}
	listen := "127.0.0.1:0"
	if role == API || role.whole() {
		listen = freeAddress(t)
		a.URL = "http://" + listen
	}
	if role.whole() {
		a.program, a.args = filepath.Join(programs, "sluice"), append([]string{string(role)}, args...)
	}
	a.log = filepath.Join(s.folder, a.Name+".log")
	a.env = append(s.env[:len(s.env):len(s.env)], "SLUICE_NAME="+a.Name, "SLUICE_LISTEN="+listen, "SLUICE_OPS_LISTEN="+a.Ops)
	t.Cleanup(func() {
		a.end(t)
		if t.Failed() {
			t.Logf("%s said last:\n%s", a.Name, lastLines(a.log, 15))
		}
	})
	return a
}

// start starts the process in a thread that outlives it: the kernel kills the process
// when the thread that started it ends.
func (a *Actor) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(a.program, a.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = a.env, log, log, attributes()
	if a.process, a.gone, err = spawn(cmd); err != nil {
		t.Fatalf("start %s: %v", a.Name, err)
	}
	log.Close()
}

func spawn(cmd *exec.Cmd) (*os.Process, chan struct{}, error) {
	gone, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended is in its log
		close(gone)
	}()
	err := <-started
	return cmd.Process, gone, err
}

// Start puts the next process in the place of one that has ended, and returns when it
// is ready.
func (a *Actor) Start(t testing.TB) {
	t.Helper()
	a.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := a.ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// ready waits until the process can work.
func (a *Actor) ready(ctx context.Context) error {
	probe := &http.Client{Timeout: 5 * time.Second}
	for {
		answer, err := probe.Get("http://" + a.Ops + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-a.gone:
			return fmt.Errorf("%s has ended:\n%s", a.Name, lastLines(a.log, 15))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w)\n%s", a.Name, ctx.Err(), err, lastLines(a.log, 15))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (a *Actor) Kill() {
	_ = a.process.Kill() // an error says that it is gone
	<-a.gone
}

// Freeze stops the process (SIGSTOP): it keeps its connections and does nothing.
func (a *Actor) Freeze(t testing.TB) { a.signal(t, syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (a *Actor) Thaw(t testing.TB) { a.signal(t, syscall.SIGCONT) }

func (a *Actor) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := a.process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", a.Name, err)
	}
}

// Stop ends the process in order and waits until it is gone.
func (a *Actor) Stop(t testing.TB) {
	t.Helper()
	a.signal(t, syscall.SIGTERM)
	a.end(t)
}

// Log is what the processes in this place have written so far.
func (a *Actor) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// end ends a process that may be gone, frozen or well.
func (a *Actor) end(t testing.TB) {
	if a.process == nil {
		return
	}
	_ = a.process.Signal(syscall.SIGTERM) // an error says that it is gone
	_ = a.process.Signal(syscall.SIGCONT)
	select {
	case <-a.gone:
	case <-time.After(stopGrace):
		t.Errorf("%s did not end within %s and was killed", a.Name, stopGrace)
		a.Kill()
	}
}

// lastLines are the last lines of a log, for a person.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "\n  ")
}
