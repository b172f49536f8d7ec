package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startBy  = 30 * time.Second // for a program to listen
	stopBy   = 15 * time.Second // to end after SIGTERM; then it is killed, which is an error
	lastMost = 20               // lines that are kept of what it said
)

// Program is a process that is measured. It says where it listens: in a line
// "listening on HOST:PORT" of its standard output, or as Sluice's own do, in its log.
type Program struct {
	Name    string
	Address string // host:port of what it serves
	Ops     string // of Sluice's own: the operations port

	cmd   *exec.Cmd
	ended chan struct{}

	mu       sync.Mutex
	last     []string // lines that it said
	stopping bool
	err      error // how it ended
}

// Command is how a program is started.
type Command struct {
	Args []string // the program itself first
	Env  []string // beside ours, but for SLUICE_…
	// Quiet programs serve nothing: they are ready as soon as they have an operations
	// port.
	Quiet bool
}

// Start runs a program on the stage, and returns when it listens. The stage stops it, if
// nobody did before.
func (s *Stage) Start(ctx context.Context, name string, c Command) (*Program, error) {
	p := &Program{Name: name, ended: make(chan struct{})}
	p.cmd = exec.Command(c.Args[0], c.Args[1:]...)
	p.cmd.Env = append(plainEnv(), c.Env...)
	p.cmd.SysProcAttr = attributes()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	var listening sync.Once
	hear := func(line string) {
		if p.hear(line, c.Quiet) {
			listening.Do(func() { close(ready) })
		}
	}
	started := make(chan error)
	go func() {
		// The death signal comes when the thread that started a child ends.
		runtime.LockOSThread()
		if err := p.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		var reading sync.WaitGroup
		for _, said := range []io.Reader{out, log} {
			reading.Go(func() {
				for lines := bufio.NewScanner(said); lines.Scan(); {
					hear(lines.Text())
				}
				_, _ = io.Copy(io.Discard, said) // behind a line that is too long
			})
		}
		reading.Wait() // before Wait, which closes the pipes
		err := p.cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.mu.Lock()
	s.programs = append(s.programs, p)
	s.mu.Unlock()
	select {
	case <-ready:
		return p, nil
	case <-p.ended:
		return nil, p.Died()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(startBy):
		return nil, fmt.Errorf("%s does not listen after %s; it said:\n%s", name, startBy, p.said())
	}
}

// plainEnv is our environment without settings of Sluice.
func plainEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SLUICE_") })
}

// hear takes in a line, and says whether the program is ready by now.
func (p *Program) hear(line string, quiet bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last = append(p.last, line); len(p.last) > lastMost {
		p.last = p.last[1:]
	}
	if at, ok := strings.CutPrefix(line, "listening on "); ok {
		p.Address = strings.TrimSpace(at)
		return true
	}
	var told struct{ Message, Listen string }
	if json.Unmarshal([]byte(line), &told) != nil {
		return false
	}
	switch told.Message {
	case "API answers":
		p.Address = told.Listen
	case "operations port answers":
		p.Ops = told.Listen
	}
	return p.Ops != "" && (quiet || p.Address != "")
}

// said are the last lines, indented.
func (p *Program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return "  " + strings.Join(p.last, "\n  ")
}

// Died is an error, with the last lines it said, when the program has ended although
// nobody told it to.
func (p *Program) Died() error {
	select {
	case <-p.ended:
	default:
		return nil
	}
	p.mu.Lock()
	stopping, err := p.stopping, p.err
	p.mu.Unlock()
	if stopping {
		return nil
	}
	how := "it ended"
	if err != nil {
		how = err.Error()
	}
	return fmt.Errorf("%s died (%s):\n%s", p.Name, how, p.said())
}

// Pause has the program stand still (SIGSTOP), Resume go on. They are for one that nobody
// asks for anything meanwhile.
func (p *Program) Pause() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) }

// Resume has it go on.
func (p *Program) Resume() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) }

// Stop ends the program in order. One that is gone already is an error, as is one that
// ends otherwise than well.
func (p *Program) Stop() error {
	died := p.Died()
	p.mu.Lock()
	again := p.stopping
	p.stopping = true
	p.mu.Unlock()
	if died != nil {
		return died
	}
	if !again {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // with what it has started, if anything
		p.Resume()
	}
	select {
	case <-p.ended:
	case <-time.After(stopBy):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM; it said:\n%s", p.Name, stopBy, p.said())
	}
	p.mu.Lock()
	err := p.err
	p.mu.Unlock()
	if byTerm := new(exec.ExitError); errors.As(err, &byTerm) && terminated(byTerm) {
		return nil // it did not listen for the signal, which is what the signal is for
	}
	if err != nil {
		return fmt.Errorf("%s ended with %w:\n%s", p.Name, err, p.said())
	}
	return nil
}

func terminated(e *exec.ExitError) bool {
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// Leave stops the program, and takes it off the stage: what it computed is no longer
// counted.
func (s *Stage) Leave(p *Program) error {
	s.mu.Lock()
	s.programs = slices.DeleteFunc(s.programs, func(other *Program) bool { return other == p })
	s.mu.Unlock()
	return p.Stop()
}
