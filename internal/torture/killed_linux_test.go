package torture

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEverythingDiesWithUs: when the tool is killed, so are its processes and servers.
func TestEverythingDiesWithUs(t *testing.T) {
	tool := exec.Command(os.Args[0], beParent)
	tool.Env = append(os.Environ(), "TMPDIR="+openTemp(t))
	out, err := tool.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = tool.Process.Kill()
		_ = tool.Wait()
	}()
	guard := time.AfterFunc(lifetime, func() { _ = tool.Process.Kill() })
	defer guard.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "faults") { // the traffic has begun
		t.Log(lines.Text())
	}
	children := childrenOf(t, tool.Process.Pid)
	if len(children) < 9-2 { // seven workers and two servers; two may be down just now
		t.Fatalf("%d children", len(children))
	}
	if err := tool.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = tool.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for _, child := range children {
		for child.lives() {
			if time.Now().After(deadline) {
				t.Fatalf("%+v lives on", child)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// child is a process that was somebody's.
type child struct {
	pid   string
	since string // its start, by which it is told from a later one of its number
}

// stat reads the fields of a process behind its name: the state is the first.
func stat(pid string) []string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

const parentField, sinceField = 1, 19

func (c child) lives() bool {
	fields := stat(c.pid)
	return len(fields) > sinceField && fields[sinceField] == c.since && fields[0] != "Z"
}

func childrenOf(t *testing.T, parent int) (found []child) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		pid := filepath.Base(path)
		if fields := stat(pid); len(fields) > sinceField && fields[parentField] == fmt.Sprint(parent) {
			found = append(found, child{pid, fields[sinceField]})
		}
	}
	return found
}
