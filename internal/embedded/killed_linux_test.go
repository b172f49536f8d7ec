package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// parentDir makes this test binary a process that starts servers in the folder,
// says so, and waits to be killed.
const parentDir = "SLUICE_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		beParent(dir)
	}
	goleak.VerifyTestMain(m)
}

func beParent(dir string) {
	go func() {
		io.Copy(io.Discard, os.Stdin) // the test's end, should it not kill us
		os.Exit(1)
	}()
	var s *Servers
	var err error
	onThreadThatEnds(func() { s, err = Start(context.Background(), Options{Dir: dir, Durable: true}) })
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.redis.child.cmd.Process.Pid, s.postgres.child.cmd.Process.Pid, s.PostgresURL)
	select {}
}

// onThreadThatEnds runs do on a thread of its own and returns when that thread is
// gone: children started on it directly would get their death signal now.
func onThreadThatEnds(do func()) {
	thread := make(chan int)
	var run func()
	run = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		if syscall.Gettid() == os.Getpid() {
			go run()
			select {} // the main thread never ends; this keeps the next try off it
		}
		do()
		thread <- syscall.Gettid()
	}
	go run()
	task := fmt.Sprintf("/proc/self/task/%d", <-thread)
	for gone := false; !gone; runtime.Gosched() {
		_, err := os.Stat(task)
		gone = err != nil
	}
}

// parent is a sluice in another process.
type parent struct {
	cmd             *exec.Cmd
	redis, postgres int
	url             string
}

func startParent(t *testing.T, dir string) parent {
	t.Helper()
	p := parent{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), parentDir+"="+dir)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.cmd.StdinPipe(); err != nil { // open for as long as we live
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill(t) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &p.redis, &p.postgres, &p.url); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return p
}

func (p parent) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.cmd.Wait() // says that it was killed
}

// alive does not count a process that nobody has reaped yet.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	p := startParent(t, tempDir(t))
	if !alive(p.redis) || !alive(p.postgres) {
		t.Fatal("the servers do not run")
	}
	// Ctrl-C goes to the parent's process group. Its children must outlast its draining.
	for _, pid := range []int{p.redis, p.postgres} {
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("process %d is in group %d, %v", pid, group, err)
		}
	}
	p.kill(t)
	eventually(t, "the servers end", func() bool { return !alive(p.redis) && !alive(p.postgres) })
}

// The servers of a killed run may still be stopping when the next one starts.
func TestStartAfterAKilledParent(t *testing.T) {
	dir := tempDir(t)
	p := startParent(t, dir)
	conn, err := pgx.Connect(t.Context(), p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `create table kept as select 'kept' as word`); err != nil {
		t.Fatal(err)
	}
	// Stopped, Postgres gets its death signal but cannot obey yet.
	if err := syscall.Kill(p.postgres, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.kill(t)

	waited := make(chan struct{})
	s, err := Start(t.Context(), Options{Dir: dir, Durable: true, Log: func(format string, args ...any) {
		if strings.HasPrefix(format, "waiting for the servers") {
			close(waited)
			syscall.Kill(p.postgres, syscall.SIGCONT)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	select {
	case <-waited:
	default:
		t.Error("Start did not wait for the old Postgres")
	}
	if got := ask[string](t, s.PostgresURL, `select word from kept`); got != "kept" {
		t.Errorf("Postgres answers %q", got)
	}
}

// Everything was killed, as by the machine, and the number of the old postmaster
// now belongs to another process, or to one that is dead but not buried.
func TestStartAfterACrash(t *testing.T) {
	for name, program := range map[string][]string{"stranger": {"sleep", "600"}, "zombie": {"true"}} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			p := startParent(t, dir)
			if err := syscall.Kill(p.postgres, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			p.kill(t)

			stranger := startStranger(t, program)
			if name == "zombie" {
				eventually(t, "it dies", func() bool { return !alive(stranger) })
			}
			pidFile := dir + "/postgres/postmaster.pid"
			text, err := os.ReadFile(pidFile)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "\n")
			if err := os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n%s", stranger, rest), 0o600); err != nil {
				t.Fatal(err)
			}

			s := start(t, Options{Dir: dir, Durable: true})
			if got := ask[int](t, s.PostgresURL, `select 1`); got != 1 {
				t.Errorf("Postgres answers %d", got)
			}
			stop(t, s)
		})
	}
}

// startStranger runs a program as the user of Postgres, who would see through any
// other. It is buried when the test ends.
func startStranger(t *testing.T, program []string) (pid int) {
	t.Helper()
	as, err := serverUser()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}
