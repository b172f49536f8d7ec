package torture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

const (
	restIfDied = 300 * time.Millisecond // before one that ended by itself is started again
	stopGrace  = 15 * time.Second       // to end in order; the longest that one of them allows itself is 10 s
	startMost  = 15 * time.Second       // only at its start may a process give up; then it must outlast every server's death
)

// worker is a place in the deployment in which one process after the other works.
type worker struct {
	role, name string
	fleet      *fleet
	listen     string   // of the API; clients reach it at address
	address    string   // through a link of its own
	ops        string   // where it is asked whether it is ready; "": nobody asks
	env, args  []string // what it is told alone: the ways to its servers
	log        string   // what all its processes wrote
	links      trouble
	host       *host // where it works; nil: on this one
	vacant     bool  // nobody has come yet

	mu      sync.Mutex
	program []string    // that is started next, but for its role
	process *os.Process // nil: none is up
	rest    time.Duration
	doomed  bool // the one that is up was killed by us, or told to stop
	rolled  bool // it was told to stop, and another is to follow

	stopping chan struct{} // closed: nobody starts it again
	gone     chan struct{} // closed: the last has ended
}

// fleet is a deployment: its workers, and what happened to them.
type fleet struct {
	env     []string // what all are told
	workers []*worker
	up      bool // launched

	starts  atomic.Int64
	rolls   atomic.Int64 // processes that were exchanged in a rolling update
	untidy  atomic.Int64 // of these, those that did not end in order
	servers trouble
	dial    dial // how clients reach an API; nil: as usual

	mu   sync.Mutex
	died []string // in words; those that had no fault of a server to blame are wrong
	gave int      // up at the start, for such a fault: their supervisor starts them again
}

// newFleet makes places for so many of each; nobody works there before launch.
func newFleet(program []string, folder string, env []string, apis, consumers, schedulers int) (*fleet, error) {
	f := &fleet{env: env}
	for _, kind := range []struct {
		role string
		n    int
	}{{process.RoleAPI, apis}, {process.RoleConsumer, consumers}, {process.RoleScheduler, schedulers}} {
		for i := range kind.n {
			w := &worker{
				role: kind.role, name: fmt.Sprintf("%s-%d", kind.role, i+1), fleet: f, program: program,
				stopping: make(chan struct{}), gone: make(chan struct{}),
			}
			w.log = filepath.Join(folder, w.name+".log")
			if w.role == process.RoleAPI {
				var err error
				if w.listen, err = freeAddress(); err != nil {
					return nil, err
				}
				w.address = w.listen
			}
			f.workers = append(f.workers, w)
		}
	}
	return f, nil
}

// launch starts them all, but for the vacant.
func (f *fleet) launch() {
	f.up = true
	for _, w := range f.workers {
		if !w.vacant {
			go w.supervise()
		}
	}
}

// leaveVacant keeps the last n places of consumers free until somebody comes.
func (f *fleet) leaveVacant(n int) {
	for _, w := range slices.Backward(f.workers) {
		if w.role == process.RoleConsumer && n > 0 {
			w.vacant = true
			n--
		}
	}
}

// come starts a process in a place that was vacant.
func (w *worker) come() {
	w.vacant = false
	go w.supervise()
}

// freeAddress is a loopback port below those from which the kernel serves outgoing
// connections: an API that is started again must find it free. Another torture on the
// same machine most likely looks elsewhere.
func freeAddress() (string, error) {
	for port := 12000 + rand.IntN(8000); port < 22000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if taken.add(port) {
			return l.Addr().String(), l.Close()
		}
		_ = l.Close()
	}
	return "", errors.New("find a free port: all are taken")
}

// taken are the ports that this program has given away.
var taken = ports{given: map[int]bool{}}

type ports struct {
	mu    sync.Mutex
	given map[int]bool
}

func (p *ports) add(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := !p.given[port]
	p.given[port] = true
	return fresh
}

// supervise runs one process after the other until the worker is told to stop.
func (w *worker) supervise() {
	// The death signal comes when the thread that started a child ends, so this
	// thread must outlive them all.
	runtime.LockOSThread()
	defer close(w.gone)
	if w.host != nil { // the thread stays there with all that it starts
		if err := w.host.space.enter(); err != nil {
			w.fleet.note("%s: %v", w.name, err)
			return
		}
	}
	for {
		rest := w.runOnce()
		select {
		case <-w.stopping:
			return
		case <-time.After(rest):
		}
	}
}

// runOnce starts a process and waits for its end. It answers how long to wait before
// the next one.
func (w *worker) runOnce() time.Duration {
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.fleet.note("%s: %v", w.name, err)
		return time.Second
	}
	defer log.Close()
	w.mu.Lock()
	program := w.program
	w.mu.Unlock()
	cmd := exec.Command(program[0], slices.Concat(program[1:], []string{w.role}, w.args)...)
	cmd.Env = append(w.fleet.env[:len(w.fleet.env):len(w.fleet.env)], w.env...)
	cmd.Env = append(cmd.Env, "SLUICE_NAME="+w.name, "SLUICE_LISTEN="+cmp.Or(w.listen, "127.0.0.1:0"))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	w.mu.Lock()
	select {
	case <-w.stopping:
		w.mu.Unlock()
		return 0
	default:
	}
	if err := cmd.Start(); err != nil {
		w.mu.Unlock()
		w.fleet.note("%s: %v", w.name, err)
		return time.Second
	}
	began := time.Now()
	w.process, w.rest, w.doomed, w.rolled = cmd.Process, restIfDied, false, false
	w.mu.Unlock()
	w.fleet.starts.Add(1)
	err = cmd.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = nil
	switch {
	case w.doomed && w.rest > 0 && !w.rolled: // killed
	case w.rolled && cmd.ProcessState.ExitCode() == process.ExitFailure, w.rolled && time.Since(began) < startMost && terminated(cmd):
		// It left something behind, since a server or the machine let it wait for too long,
		// and says so; or it did not listen for signals yet.
		w.fleet.untidy.Add(1)
	case w.doomed && err != nil:
		w.fleet.note("%s was told to stop, and ended with %v: %s", w.name, err, lastLine(w.log))
	case !w.doomed && time.Since(began) < startMost && (w.fleet.servers.fresh() || w.links.fresh()):
		w.fleet.mu.Lock()
		w.fleet.gave++
		w.fleet.mu.Unlock()
	case !w.doomed:
		w.fleet.note("%s ended by itself after %s, with %v: see %s", w.name, time.Since(began).Round(time.Millisecond), err, w.log)
	}
	return w.rest
}

// lastLine is what a process said last: why it ended.
func lastLine(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// terminated says whether SIGTERM itself has ended a process.
func terminated(cmd *exec.Cmd) bool {
	if cmd.ProcessState == nil {
		return false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// note keeps what is wrong with a process.
func (f *fleet) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.died = append(f.died, fmt.Sprintf(format, args...))
}

// kill ends the process with SIGKILL, and starts the next one after rest. It says
// whether there was one.
func (w *worker) kill(rest time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process == nil || w.doomed {
		return false
	}
	w.doomed, w.rest = true, max(rest, time.Millisecond)
	return w.process.Kill() == nil
}

// pause stops the process with SIGSTOP until the function it answers is called; nil
// when there was none. One that is killed meanwhile is left alone then.
func (w *worker) pause() (goOn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.process
	if p == nil || w.doomed || p.Signal(syscall.SIGSTOP) != nil {
		return nil
	}
	return func() { _ = p.Signal(syscall.SIGCONT) } // an error says that it is gone
}

// stop ends the processes of these roles in order, all at once, and waits until they
// are gone; who hangs is killed, which is noted.
func (f *fleet) stop(roles ...string) {
	var all sync.WaitGroup
	if !f.up {
		return
	}
	for _, w := range f.workers {
		for _, role := range roles {
			if w.role == role && !w.vacant {
				all.Go(w.stop)
			}
		}
	}
	all.Wait()
}

func (w *worker) stop() {
	w.mu.Lock()
	select {
	case <-w.stopping:
	default:
		close(w.stopping)
	}
	if w.process != nil && !w.doomed {
		w.doomed, w.rest = true, 0
		_ = w.process.Signal(syscall.SIGTERM)
		_ = w.process.Signal(syscall.SIGCONT)
	}
	w.mu.Unlock()
	select {
	case <-w.gone:
		return
	case <-time.After(stopGrace):
	}
	w.mu.Lock()
	if w.process != nil {
		w.fleet.note("%s did not stop within %s", w.name, stopGrace)
		_ = w.process.Kill()
	}
	w.mu.Unlock()
	<-w.gone
}

// panics are words of the Go runtime that no log may hold.
var panics = [][]byte{[]byte("panic: "), []byte("fatal error: "), []byte("DATA RACE")}

// wrong is what the processes have done so far that none should do.
func (f *fleet) wrong() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := append([]string{}, f.died...)
	for _, w := range f.workers {
		text, err := os.ReadFile(w.log)
		if err != nil {
			continue // it never started, which is noted
		}
		for _, word := range panics {
			if at := bytes.Index(text, word); at >= 0 {
				line, _, _ := strings.Cut(string(text[at:]), "\n")
				found = append(found, w.name+": "+line)
			}
		}
	}
	return found
}

// gaveUp is how often one ended since a server was down.
func (f *fleet) gaveUp() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gave
}

// ready waits until every API answers.
func (f *fleet) ready(ctx context.Context) error {
	for _, w := range f.workers {
		if w.role != process.RoleAPI {
			continue
		}
		for {
			api, err := client.New("http://"+w.address, client.WithAttempts(1), client.WithHTTPClient(&http.Client{Timeout: answerBy, Transport: f.dial.transport()}))
			if err != nil {
				return err
			}
			_, err = api.Sale(ctx, 1<<40)
			api.Close()
			if client.CodeOf(err) == client.CodeUnknownSale {
				break
			}
			if wait(ctx, 50*time.Millisecond) != nil {
				return fmt.Errorf("%s does not answer: %w; see %s", w.name, err, w.log)
			}
		}
	}
	return nil
}
