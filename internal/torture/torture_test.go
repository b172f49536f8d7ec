package torture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
)

// What this test binary is told to be.
const (
	beWorker  = "torture-worker"  // followed by the role
	beParent  = "torture-parent"  // tortures until it is killed
	beFreezer = "torture-freezer" // followed by a process, which it stops, and dies
	lifetime  = 3 * time.Minute   // of anything here
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
		case beFreezer:
			pid, err := strconv.Atoi(os.Args[2])
			if err == nil {
				_, err = freeze(pid, 1)
			}
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	embeddedtest.Main(m)
}

// work is what `sluice worker` does.
func work() {
	var line struct {
		Worker process.Worker `cmd:"" name:"torture-worker"`
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

// TestTorture is the whole thing, in short. On a machine with much else to do, hardly
// anything may get through in that time; then it is done again with other dice.
func TestTorture(t *testing.T) {
	for seed := range uint64(4) {
		report := tortured(t, Options{Length: 12 * time.Second, Seed: 1 + seed})
		if !report.Clean() {
			t.Error("somebody was wronged")
		}
		if len(report.Faults) < len(kindsOfFaults)-report.Skipped {
			t.Errorf("the faults were %v", report.Faults)
		}
		if t.Failed() || report.Accepted > 50 && report.Repeats > 0 && len(report.Kinds) == 4 && report.Audit.Requests >= int64(report.Accepted) {
			return
		}
	}
	t.Error("hardly anything was asked: this proves nothing")
}

// tortured runs a torture and logs what came of it.
func tortured(t *testing.T, o Options) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	defer cancel()
	var progress bytes.Buffer
	o.Program, o.Progress = self(), &progress
	report, err := Run(ctx, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var text strings.Builder
	if err := report.Table(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
	if !strings.Contains(progress.String(), fmt.Sprintf("the seed is %d", o.Seed)) || !strings.Contains(progress.String(), "faults") {
		t.Errorf("progress:\n%s", progress.String())
	}
	return report
}

// TestForgetfulRedis: what is queued while Postgres stands still is gone when Redis is
// emptied meanwhile. Where Redis may forget, that is no wrong, since it is said, and
// nothing else is gone; where it keeps everything it is. So the second run is the
// known-bad twin of the whole.
func TestForgetfulRedis(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t)) // the folder is kept where something is wrong
	for _, strict := range []bool{false, true} {
		report := tortured(t, Options{Length: 9 * time.Second, Seed: 1, Forgetful: true, strict: strict, faults: []fault{
			{at: 2500 * time.Millisecond, kind: pausePostgres, lasts: 3 * time.Second},
			{at: 4500 * time.Millisecond, kind: emptyRedis},
		}})
		if report.Faults[pausePostgres] != 1 || report.Faults[emptyRedis] != 1 || report.Lost == 0 {
			t.Error("nothing was lost: this proves nothing")
		}
		if report.Clean() == strict {
			t.Errorf("strict %t, clean %t", strict, report.Clean())
		}
		if strict && report.Broken[Known]+report.Broken[NoneLost] == 0 {
			t.Errorf("broken is %v: nobody says that something was lost", report.Broken)
		}
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
	for _, bad := range []Options{{}, {Length: time.Second}, {Length: 2 * time.Hour}, {Length: time.Minute, Buyers: -1}, {Length: time.Minute, Buyers: 1001},
		{Length: time.Minute, Hosts: true, Forgetful: true}, {Length: time.Minute, Hosts: true, From: self()}, {Length: time.Minute, Hosts: true, Cluster: true},
		{Length: time.Minute, Cluster: true, Forgetful: true}, {Length: time.Minute, Cluster: true, From: self()}} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("it runs for no time")
	}
}
