//go:build hosts

package torture

import (
	"testing"
	"time"
)

// What is tested here makes network namespaces, which takes the rights of root: .ci/hosts
// runs it.

func kindOf(t *testing.T, name string) hardship {
	t.Helper()
	for _, kind := range hardships {
		if kind.name == name {
			return kind
		}
	}
	t.Fatalf("there is no %s", name)
	return hardship{}
}

// TestLeakyNetworkIsNoticed is the known-bad twin of the hosts: where a cut cuts nothing,
// nobody takes over, and that is told.
func TestLeakyNetworkIsNoticed(t *testing.T) {
	t.Setenv("TMPDIR", openTemp(t)) // the folder is kept, since something is wrong
	report := tortured(t, Options{Length: 5 * time.Second, Seed: 1, Hosts: true, leaky: true, within: 8 * time.Second, hardships: []hardship{kindOf(t, "no_stores")}})
	if report.Clean() || report.Broken[TakenOver] == 0 {
		t.Errorf("verdict %s, broken %v", report.Verdict, report.Broken)
	}
}
