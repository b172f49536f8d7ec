package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a server process of ours. It writes to a log file, never to our own
// output, and ends with us.
type child struct {
	name string
	log  string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
	err  error         // how it ended; read after gone
}

// spawn starts the command as a child that gets deathSignal when we die and
// keeps holds (a locked file) open for as long as it or a child of its own lives.
func spawn(cmd *exec.Cmd, log string, deathSignal syscall.Signal, as *user, holds *os.File) (*child, error) {
	c := &child{name: cmd.Args[0], log: log, cmd: cmd, gone: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if holds != nil {
		cmd.ExtraFiles = []*os.File{holds}
	}
	cmd.SysProcAttr = attributes(deathSignal, as)
	started := make(chan error)
	go func() {
		// The death signal comes when the thread that started the child ends, not
		// when the process does, so this thread has to live as long as the child.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		c.err = cmd.Wait()
		close(c.gone)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	return c, nil
}

// died is the error of a child that ended when it should not have, with the last
// lines it wrote.
func (c *child) died() error {
	how := "it ended"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("%s died (%s):\n%s", c.name, how, tail(c.log, 15))
}

// stop asks politely, waits, and kills after stopGrace.
func (c *child) stop(ask syscall.Signal) error {
	if err := c.cmd.Process.Signal(ask); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	select {
	case <-c.gone:
		return nil
	case <-time.After(stopGrace):
	}
	err := c.cmd.Process.Kill()
	<-c.gone
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", c.name, err)
	}
	return fmt.Errorf("%s did not stop within %s and was killed:\n%s", c.name, stopGrace, tail(c.log, 5))
}

// tail returns the last lines of a file, of at most its last 8 KiB, indented.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	defer f.Close()
	const most = 8 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "  (no log: " + err.Error() + ")"
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "  (no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "  " + strings.Join(all, "\n  ")
}
