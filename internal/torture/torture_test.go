package torture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sluice/internal/process"
)

// What this test binary is told to be.
const (
	beWorker = "torture-worker" // followed by the role
	beParent = "torture-parent" // tortures until it is killed
	lifetime = 3 * time.Minute  // of anything here
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case beWorker:
			work()
		case beParent:
			_, err := Run(context.Background(), Options{Length: time.Minute, Seed: 1, Program: self(), Progress: os.Stdout})
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// work is what `sluice torture-worker` does.
func work() {
	var line struct {
		Worker Worker `cmd:"" name:"torture-worker"`
	}
	chosen := process.Parse(&line, "torture.test", "", kong.Vars{
		"ops_listen": "127.0.0.1:0", "log_level": "warn", "log_format": "json", "given": "", "keys": "",
	})
	ctx, stop := process.Signals(context.Background())
	chosen.BindTo(ctx, (*context.Context)(nil))
	err := chosen.Run()
	stop()
	os.Exit(process.Status(err, os.Stderr, "torture.test"))
}

func self() []string { return []string{os.Args[0], beWorker} }

// TestTorture is the whole thing, in short.
func TestTorture(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	var progress bytes.Buffer
	report, err := Run(ctx, Options{Length: 10 * time.Second, Seed: 1, Program: self(), Progress: &progress})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var text strings.Builder
	if err := report.Table(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
	if !report.Clean() {
		t.Error("somebody was wronged")
	}
	for _, kind := range kindsOfFaults {
		if report.Faults[kind.name] == 0 && report.Skipped == 0 {
			t.Errorf("no %s among the faults", kind.name)
		}
	}
	if report.Accepted < 50 || report.Repeats == 0 || len(report.Kinds) != 4 || report.Audit.Requests < int64(report.Accepted) {
		t.Error("hardly anything was asked: this proves nothing")
	}
	if !strings.Contains(progress.String(), "the seed is 1") || !strings.Contains(progress.String(), "faults") {
		t.Errorf("progress:\n%s", progress.String())
	}
}

// TestForgetfulRedisIsCaught is the known-bad twin of the whole: a Redis that comes
// back empty takes queued requests and rejections with it, and that is seen.
func TestForgetfulRedisIsCaught(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t)) // the folder is kept, since something is wrong
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	report, err := Run(ctx, Options{Length: 8 * time.Second, Seed: 1, Program: self(), forgetful: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report.Broken)
	if report.Faults[killRedis] == 0 {
		t.Fatal("nobody killed Redis")
	}
	if report.Clean() {
		t.Error("it was not caught")
	}
}

// openTemp is a folder that Postgres' user may enter, unlike t.TempDir.
func openTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-torture-test-*")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestOptions(t *testing.T) {
	for _, bad := range []Options{{}, {Length: time.Second}, {Length: 2 * time.Hour}, {Length: time.Minute, Buyers: -1}, {Length: time.Minute, Buyers: 1001}} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("it runs for no time")
	}
}
