//go:build cluster

package torture

import (
	"testing"
	"time"
)

// What is tested here is the whole house on a cluster, for minutes: .ci/test-cluster runs
// it.

// TestTortureOfCluster is the whole thing on a cluster, in short: some of its ordeals, and
// all else.
func TestTortureOfCluster(t *testing.T) {
	for seed := range uint64(4) {
		o := Options{Length: 15 * time.Second, Seed: 1 + seed, Cluster: true}
		report := tortured(t, o)
		if !report.Clean() {
			t.Error("somebody was wronged")
		}
		ordeals := 0
		for _, kind := range ordealsOfCluster {
			ordeals += report.Faults[kind]
		}
		if kinds := len(o.kinds()); ordeals == 0 || len(report.Faults) < kinds-report.Skipped {
			t.Errorf("the faults were %v", report.Faults)
		}
		if t.Failed() || report.Accepted > 50 && report.Repeats > 0 && report.Cluster.Promoted+report.Cluster.Planned > 0 && report.Audit.Requests >= int64(report.Accepted-report.Lost) {
			return
		}
	}
	t.Error("hardly anything was asked, or no master changed: this proves nothing")
}

// TestFailoverLoses: what a master takes in while its replica is stopped, and Postgres too,
// is gone when that one succeeds it. In a cluster this is no wrong, since it is said; where
// nothing may be lost it is. So the second run is the known-bad twin of the whole.
func TestFailoverLoses(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t)) // the folder is kept where something is wrong
	for _, strict := range []bool{false, true} {
		lost := false
		for try := uint64(0); try < 4 && !lost; try++ { // on a machine with much else to do, nobody may ask just then
			report := tortured(t, Options{Length: 8 * time.Second, Seed: 1 + try, Cluster: true, strict: strict, faults: []fault{
				{at: 2500 * time.Millisecond, kind: loseMaster, lasts: 2 * time.Second},
			}})
			lost = report.Lost > 0
			if report.Faults[loseMaster] != 1 || report.Cluster.Promoted == 0 {
				t.Errorf("the faults were %v, and it was promoted %d times", report.Faults, report.Cluster.Promoted)
			}
			if report.Clean() == (strict && lost) {
				t.Errorf("strict %t, clean %t, %d were lost", strict, report.Clean(), report.Lost)
			}
			if strict && lost && report.Broken[Known]+report.Broken[NoneLost] == 0 {
				t.Errorf("broken is %v: nobody says that something was lost", report.Broken)
			}
		}
		if !lost {
			t.Error("nothing was lost: this proves nothing")
		}
	}
}

// TestOthersSellOn: while a master and its replica are away, whoever asks for something of
// the others' is served.
func TestOthersSellOn(t *testing.T) {
	for seed := range uint64(4) { // on a machine with much else to do, nobody may ask just then
		report := tortured(t, Options{Length: 12 * time.Second, Seed: 1 + seed, Cluster: true, faults: []fault{
			{at: 2500 * time.Millisecond, kind: killShard, lasts: 4 * time.Second},
		}})
		if !report.Clean() || report.Lost != 0 {
			t.Error("somebody was wronged")
		}
		if c := report.Cluster; t.Failed() || c.Outages == 1 && c.Sent >= enough && c.Decided > 0 {
			return
		}
	}
	t.Error("hardly anything was sent meanwhile: this proves nothing")
}
