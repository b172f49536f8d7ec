package internal

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// byThemselves are files of tests that have a script of their own which runs them: what
// needs root's rights has .ci/hosts, and what takes minutes on a cluster .ci/test-cluster.
var byThemselves = []string{"cluster_run_test.go", "hosts_run_test.go"}

// TestAllTestsRace: wherever the tests are run, they are run with the race detector,
// and no constraint keeps one of them away from it.
func TestAllTestsRace(t *testing.T) {
	for path, runs := range map[string]string{"../.ci/test": "go test -race", "../.ci/run": "step test .ci/test\n", "../.ci/hosts": "go test -race -tags hosts", "../.ci/test-cluster": ".ci/test -tags cluster", "../Makefile": "\t@.ci/test"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), runs) {
			t.Errorf("%s runs no tests", path)
		}
		for _, line := range raceless(string(text)) {
			t.Errorf("%s runs tests without the race detector: %s", path, line)
		}
	}

	out, err := exec.Command("go", "list", "-race", "-json=Dir,IgnoredGoFiles", "sluice/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			Dir            string
			IgnoredGoFiles []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		for _, name := range p.IgnoredGoFiles {
			if strings.HasSuffix(name, "_test.go") && !ofAnotherSystem(name) && !slices.Contains(byThemselves, name) {
				t.Errorf("%s is left out", filepath.Join(p.Dir, name))
			}
		}
	}
}

// TestRacelessRunsAreSeen is the known-bad twin.
func TestRacelessRunsAreSeen(t *testing.T) {
	for text, want := range map[string]int{
		"\tgo test -race -shuffle=on ./...\n":               0,
		"\tgo test ./...\n":                                 1,
		"step test go test -count=1 ./... # not -race\n":    1,
		"\tgo test -run '^$' -fuzz Fuzz ./x\n":              0, // the race detector would leave it little to try
		"\tgo test -run '^$' -bench . ./x\n":                0, // nor anything to measure
		"\tgo test -bench . ./x\n":                          1,
		"listed=$(go test -list '^Fuzz' x)\n":               0,
		"go test -race ./a\ngo test ./b; go test -race c\n": 1,
	} {
		if got := raceless(text); len(got) != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if ofAnotherSystem("crash_test.go") || !ofAnotherSystem("crash_windows_test.go") {
		t.Error("a test is taken for one of another system")
	}
}

// raceless answers the commands of a script that run tests without the race detector.
// Benchmarks alone are no tests: it would leave nothing to measure.
func raceless(script string) (wrong []string) {
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, " #")
		for command := range strings.SplitSeq(line, ";") {
			_, arguments, runs := strings.Cut(command, "go test ")
			words := " " + arguments + " "
			for _, without := range []string{" -race ", " -fuzz ", " -list ", " -run '^$' -bench "} {
				runs = runs && !strings.Contains(words, without)
			}
			if runs {
				wrong = append(wrong, strings.TrimSpace(command))
			}
		}
	}
	return wrong
}

// ofAnotherSystem says whether the name of a file keeps it for systems other than ours.
func ofAnotherSystem(name string) bool {
	words := strings.Split(strings.TrimSuffix(name, "_test.go"), "_")
	for _, word := range words[1:] {
		switch word {
		case "linux", "darwin", "windows", "freebsd", "unix":
			return true
		}
	}
	return false
}
