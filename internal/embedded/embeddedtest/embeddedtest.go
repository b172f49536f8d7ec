// Package embeddedtest gives tests real servers: a redis-server and a Postgres
// database of their own, empty and gone (or emptied) when the test ends. Only
// _test.go files import it.
//
// One Postgres per test binary is started by the first test that asks, and every
// test gets a database cloned from a migrated template. A redis-server cannot be
// shared that way (FLUSHALL and scripts reach across its numbered databases), so
// each test has one to itself; they start quickly, are emptied and lent again. With
// SLUICE_TEST_REDIS=cluster (or sentinel) in the environment they are many servers each,
// and the same tests run on those.
//
// The servers die with the test binary, however it ends. Their files go when
// Main cleans up, or else when a later test binary finds them:
//
//	func TestMain(m *testing.M) { embeddedtest.Main(m) }
//
// Without redis-server or Postgres on the machine the test fails: a suite that
// skips what it cannot run looks green and proves nothing.
package embeddedtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every step on a server: far longer than any takes on a slow
// machine, shorter than the time-out of a test binary.
const patience = 2 * time.Minute

// folderPattern names the folder of one test binary.
const folderPattern = "sluice-test-*"

// home is the folder of this test binary, made when first asked for.
var home = sync.OnceValues(makeHome)

// homes counts the folders below it, and keeps the lock that says it is used: an
// open file that nobody refers to would be closed, and the lock with it.
var homes struct {
	sync.Mutex
	count int
	mark  *os.File
}

// cleanups end what this binary started, last first.
var cleanups struct {
	sync.Mutex
	steps []func()
}

// Main runs the tests of a package, stops their servers, removes their files and
// exits. Tests that passed and left a goroutine behind have failed: what a test
// forgets to stop a process forgets too. Without Main the servers stop as well, but
// the files stay for a while. m is a *testing.M, or one that knows more of its package.
func Main(m interface{ Run() int }) {
	code := m.Run()
	cleanups.Lock()
	for i := len(cleanups.steps) - 1; i >= 0; i-- {
		cleanups.steps[i]()
	}
	cleanups.Unlock()
	if code == 0 {
		if err := leaked(leakPatience); err != nil {
			fmt.Fprintln(os.Stderr, "the tests passed, and left goroutines behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func atEnd(step func()) {
	cleanups.Lock()
	defer cleanups.Unlock()
	cleanups.steps = append(cleanups.steps, step)
}

// makeHome makes the folder, which Postgres' user must be able to enter, and
// removes those of binaries that ended without Main.
func makeHome() (string, error) {
	sweep()
	path, err := os.MkdirTemp("", folderPattern)
	if err != nil {
		return "", err
	}
	atEnd(func() { os.RemoveAll(path) })
	if err := os.Chmod(path, 0o755); err != nil {
		return "", err
	}
	mark, err := os.Create(filepath.Join(path, "inuse"))
	if err != nil {
		return "", err
	}
	homes.mark = mark
	if err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", mark.Name(), err)
	}
	return path, nil
}

// sweep removes the folders of test binaries that are gone. It keeps young ones:
// their owner may not have locked them yet, or their servers may still be stopping.
func sweep() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern)) // the pattern is ours and valid
	for _, path := range old {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < 5*time.Minute {
			continue
		}
		mark, err := os.Open(filepath.Join(path, "inuse"))
		if err != nil {
			continue
		}
		if syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(path)
		}
		mark.Close()
	}
}

// newFolder makes a folder for one server.
func newFolder(kind string) (string, error) {
	root, err := home()
	if err != nil {
		return "", err
	}
	homes.Lock()
	homes.count++
	path := filepath.Join(root, kind+"-"+strconv.Itoa(homes.count))
	homes.Unlock()
	return path, os.Mkdir(path, 0o755)
}

// within is a context for one step on a server. It does not end with the test,
// whose own context is over when its cleanups run.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// fail ends the test with what to do about a missing program.
func fail(t testing.TB, err error) {
	t.Helper()
	t.Fatalf("%v\n(this test needs real servers: run `make setup`, which installs them)", err)
}
