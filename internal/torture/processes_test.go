package torture

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/process"
)

// until waits for what will happen in moments.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// ready counts the processes of a worker that have said so.
func ready(w *worker) int {
	text, _ := os.ReadFile(w.log) // none is there before the first start
	return strings.Count(string(text), "ready")
}

// TestProcessesThatMisbehave: what no process should do is told.
func TestProcessesThatMisbehave(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"ends by itself":    {`echo ready; exit 3`, "ended by itself"},
		"panics":            {`echo "panic: oh"; echo ready; exec sleep 60`, "panic: oh"},
		"ends out of order": {`trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done`, "was told to stop, and ended with exit status 4"},
	} {
		f, err := newFleet([]string{"sh", "-c", test.script}, t.TempDir(), nil, 0, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.launch()
		until(t, name, func() bool { return ready(f.workers[0]) > 1 || name != "ends by itself" && ready(f.workers[0]) > 0 })
		f.stop(process.RoleConsumer)
		if wrong := f.wrong(); !slices.ContainsFunc(wrong, func(text string) bool { return strings.Contains(text, test.want) }) {
			t.Errorf("%s: found %q, want %q", name, wrong, test.want)
		}
	}
}

// TestKilledProcessesComeBack: who is killed is started again after its rest, who gives
// up while a server is down too, and neither is wrong.
func TestKilledProcessesComeBack(t *testing.T) {
	f, err := newFleet([]string{"sh", "-c", `trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done`}, t.TempDir(), nil, 0, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.launch()
	w := f.workers[0]
	started := func(n int) {
		t.Helper()
		until(t, "the next start", func() bool { return ready(w) >= n })
	}
	started(1)
	if !w.kill(time.Millisecond) {
		t.Error("there was nothing to kill")
	}
	started(2)
	goOn := w.pause()
	if goOn == nil {
		t.Fatal("there was nothing to pause")
	}
	if !w.kill(time.Millisecond) {
		t.Error("a paused one cannot be killed")
	}
	started(3)
	goOn() // of one that is gone
	if err := f.servers.during(func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.process.Kill() // as if by itself
	}); err != nil {
		t.Error(err)
	}
	started(4)
	f.stop(process.RoleConsumer)
	if wrong := f.wrong(); len(wrong) != 0 || f.gaveUp() != 1 {
		t.Errorf("%q, gave up %d", wrong, f.gaveUp())
	}
}
