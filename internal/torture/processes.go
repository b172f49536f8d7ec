package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/client"
)

const (
	restIfDied = 300 * time.Millisecond // before one that ended by itself is started again
	stopGrace  = 15 * time.Second       // to end in order; the longest that one of them allows itself is 10 s
	aftermath  = 5 * time.Second        // of a server's death: who gives up within it may blame that
	startMost  = 15 * time.Second       // only at its start may a process give up; then it must outlast every server's death
)

// worker is a place in the deployment in which one process after the other works.
type worker struct {
	role, name string
	fleet      *fleet
	address    string // of the API
	log        string // what all its processes wrote

	mu      sync.Mutex
	process *os.Process // nil: none is up
	rest    time.Duration
	doomed  bool // the one that is up was killed by us, or told to stop

	stopping chan struct{} // closed: nobody starts it again
	gone     chan struct{} // closed: the last has ended
}

// fleet is a deployment: its workers, and what happened to them.
type fleet struct {
	program []string // that runs a worker, but for its role
	env     []string
	workers []*worker

	starts  atomic.Int64
	down    atomic.Int64 // servers that are down now
	trouble atomic.Int64 // when the last of them came back, in Unix nanoseconds

	mu   sync.Mutex
	died []string // in words; those that had no fault of a server to blame are wrong
	gave int      // up at the start, for such a fault: their supervisor starts them again
}

// launch starts so many of each.
func launch(program []string, folder string, env []string, apis, consumers, schedulers int) (*fleet, error) {
	f := &fleet{program: program, env: env}
	for _, kind := range []struct {
		role string
		n    int
	}{{roleAPI, apis}, {roleConsumer, consumers}, {roleScheduler, schedulers}} {
		for i := range kind.n {
			w := &worker{
				role: kind.role, name: fmt.Sprintf("%s-%d", kind.role, i+1), fleet: f,
				stopping: make(chan struct{}), gone: make(chan struct{}),
			}
			w.log = filepath.Join(folder, w.name+".log")
			if w.role == roleAPI {
				var err error
				if w.address, err = freeAddress(); err != nil {
					return nil, err
				}
			}
			f.workers = append(f.workers, w)
		}
	}
	for _, w := range f.workers {
		go w.supervise()
	}
	return f, nil
}

// freeAddress is a loopback port below those from which the kernel serves outgoing
// connections: an API that is started again must find it free.
func freeAddress() (string, error) {
	for port := 12000 + os.Getpid()%4000; port < 20000; port++ {
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
	args := append(w.fleet.program[1:len(w.fleet.program):len(w.fleet.program)], w.role)
	cmd := exec.Command(w.fleet.program[0], args...)
	cmd.Env = append(w.fleet.env[:len(w.fleet.env):len(w.fleet.env)], "SLUICE_NAME="+w.name, "SLUICE_LISTEN="+w.address)
	if w.address == "" {
		cmd.Env[len(cmd.Env)-1] = "SLUICE_LISTEN=127.0.0.1:0"
	}
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
	w.process, w.rest, w.doomed = cmd.Process, restIfDied, false
	w.mu.Unlock()
	w.fleet.starts.Add(1)
	err = cmd.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.process = nil
	switch {
	case w.doomed && w.rest > 0: // killed
	case w.doomed && err != nil:
		w.fleet.note("%s was told to stop, and ended with %v", w.name, err)
	case !w.doomed && time.Since(began) < startMost && w.fleet.troubled():
		w.fleet.mu.Lock()
		w.fleet.gave++
		w.fleet.mu.Unlock()
	case !w.doomed:
		w.fleet.note("%s ended by itself after %s, with %v: see %s", w.name, time.Since(began).Round(time.Millisecond), err, w.log)
	}
	return w.rest
}

// note keeps what is wrong with a process.
func (f *fleet) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.died = append(f.died, fmt.Sprintf(format, args...))
}

// without does something during which a server is down.
func (f *fleet) without(server func() error) error {
	f.down.Add(1)
	defer func() {
		f.trouble.Store(time.Now().UnixNano())
		f.down.Add(-1)
	}()
	return server()
}

// troubled says whether a server is down, or was a moment ago.
func (f *fleet) troubled() bool {
	return f.down.Load() > 0 || time.Since(time.Unix(0, f.trouble.Load())) < aftermath
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
	for _, w := range f.workers {
		for _, role := range roles {
			if w.role == role {
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
		if w.role != roleAPI {
			continue
		}
		for {
			api, err := client.New("http://"+w.address, client.WithAttempts(1), client.WithHTTPClient(&http.Client{Timeout: answerBy}))
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
