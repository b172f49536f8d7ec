package torture

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFreeze: nobody of the family does anything until they may go on, neither the
// parent nor the child.
func TestFreeze(t *testing.T) {
	cmd := exec.Command("sh", "-c", `(while :; do echo child; sleep 0.01; done) & while :; do echo parent; sleep 0.01; done`)
	cmd.SysProcAttr = attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	words := make(chan string)
	go func() {
		defer close(words)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			words <- lines.Text()
		}
	}()
	both := func() {
		t.Helper()
		heard := map[string]bool{}
		for deadline := time.After(lifetime); len(heard) < 2; {
			select {
			case word := <-words:
				heard[word] = true
			case <-deadline:
				t.Fatalf("heard only %v", heard)
			}
		}
	}
	both()
	goOn, err := freeze(cmd.Process.Pid, 60)
	if err != nil {
		t.Fatal(err)
	}
	silent := func() bool { // what was said before may still come
		for quiet := time.After(500 * time.Millisecond); ; {
			select {
			case <-words:
			case <-quiet:
				select {
				case <-words:
					return false
				case <-time.After(time.Second):
					return true
				}
			}
		}
	}
	if !silent() {
		t.Error("somebody goes on")
	}
	goOn()
	both()
	family, err := offspring(cmd.Process.Pid)
	if err != nil || len(family) == 0 {
		t.Errorf("children %v, %v", family, err)
	}
	go func() { // nobody may be blocked
		for range words {
		}
	}()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil { // it is a group of its own
		t.Error(err)
	}
	_ = cmd.Wait()
}

// TestFreezerDies: who was stopped goes on when nobody is left to let him.
func TestFreezerDies(t *testing.T) {
	sleeper := exec.Command("sh", "-c", `read line && echo awake`)
	in, err := sleeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sleeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(lifetime, func() { _ = sleeper.Process.Kill() })
	defer guard.Stop()
	if text, err := exec.Command(os.Args[0], beFreezer, strconv.Itoa(sleeper.Process.Pid)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if _, err := io.WriteString(in, "up\n"); err != nil {
		t.Fatal(err)
	}
	if word, err := bufio.NewReader(out).ReadString('\n'); word != "awake\n" || err != nil {
		t.Errorf("%q, %v", word, err)
	}
	if err := sleeper.Wait(); err != nil {
		t.Error(err)
	}
}

// TestPauseOfNoServer: a server that is not there is an error.
func TestPauseOfNoServer(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "pid")
	if err := pauseServer(missing, func() { t.Error("it went on") }); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("%v", err)
	}
	if _, err := freeze(1<<30, 60); err == nil {
		t.Error("nobody was stopped")
	}
}
