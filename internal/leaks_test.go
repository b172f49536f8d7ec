package internal

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestEveryPackageLooksForLeaks: what a test forgets to stop a process forgets too.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	packages := packagesOf(t)
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if !packages[name].looks() {
			t.Errorf("%s has tests, and no TestMain that looks for leaked goroutines: embeddedtest.Main, or goleak.VerifyTestMain in main_test.go", name)
		}
	}
}

// TestMissingLooksAreSeen is the known-bad twin.
func TestMissingLooksAreSeen(t *testing.T) {
	for text, want := range map[string]bool{
		"":                            true, // nothing to look at
		"func TestX(t *testing.T) {}": false,
		"func FuzzX(f *testing.F) {}": false,
		"func TestX(t *testing.T) {}\nfunc TestMain(m *testing.M) { os.Exit(m.Run()) }":                                          false,
		"func TestX(t *testing.T) {}\n// goleak.VerifyTestMain(m)":                                                               false,
		"func TestX(t *testing.T) { goleak.VerifyNone(t) }\nfunc TestMain(m *testing.M) { m.Run() }":                             false,
		"func TestX(t *testing.T) {}\nfunc TestMain(m *testing.M) { embeddedtest.Main(m) }":                                      true,
		"func TestX(t *testing.T) {}\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }":                                  true,
		"func TestX(t *testing.T) {}\nfunc TestMain(m *testing.M) { os.Exit(run(m)) }\nfunc run(m *testing.M) { goleak.Find() }": true,
	} {
		c := newCode()
		c.read(t, "x_test.go", "package x\n"+text)
		if got := c.looks(); got != want {
			t.Errorf("%q looks for leaks: %t", text, got)
		}
	}
}

// looks says whether the tests of a package look for leaks when they have passed, or
// there are none.
func (c *code) looks() bool {
	tests := false
	for name := range c.mentions {
		if strings.HasPrefix(name, "Test") && name != "TestMain" || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example") {
			tests = tests || !c.shipped[name]
		}
	}
	reached := c.reach("TestMain")
	return !tests || reached["VerifyTestMain"] || reached["Find"] || c.mentions["TestMain"]["Main"]
}
