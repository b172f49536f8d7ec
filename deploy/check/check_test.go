package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	root  string
	built *programs
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if root, err = repository(); err != nil {
			panic(err)
		}
		for _, variable := range os.Environ() {
			if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "SLUICE_") {
				os.Unsetenv(name)
			}
		}
		if built, err = buildPrograms(root); err != nil {
			panic(err)
		}
		defer built.remove()
		return m.Run()
	}())
}

// TestEverything is the check itself.
func TestEverything(t *testing.T) {
	all, err := faultsOfAll(t.Context(), root, built)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		t.Error(f)
	}
}

// twin is a known-bad variant of a file: one text in it replaced by another.
type twin struct {
	rule     string // must be told broken
	old, new string
}

// in answers the file as the twin has it.
func (w twin) in(t *testing.T, file []byte) []byte {
	t.Helper()
	if !bytes.Contains(file, []byte(w.old)) {
		t.Fatalf("the file lacks what the twin would change: %q", w.old)
	}
	return bytes.Replace(file, []byte(w.old), []byte(w.new), 1)
}

// catches asks that the rule was told broken, in a way in which it is not without the twin.
func (w twin) catches(t *testing.T, before, faults []fault) {
	t.Helper()
	for _, f := range faults {
		if f.rule == w.rule && !slices.Contains(before, f) {
			return
		}
	}
	t.Errorf("%q for %q went through; told was %v", w.new, w.old, faults)
}

// every asks that no rule lacks a twin.
func every(t *testing.T, rules []string, twins []twin) {
	t.Helper()
	has := map[string]bool{}
	for _, w := range twins {
		has[w.rule] = true
	}
	for _, rule := range rules {
		if !has[rule] {
			t.Errorf("no twin breaks the rule %q", rule)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
