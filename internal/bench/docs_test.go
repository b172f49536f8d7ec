package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page has a part for all that the sample tells.
const page = "# Figures\n\nBy hand.\n\n<!-- bench:rows -->\nstale\n<!-- /bench -->\n\n<!-- bench:door -->\nstaler\n<!-- /bench -->\nBy hand, too.\n"

func TestWriteDocs(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, pageFile)
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, plotsFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, plot := range []string{"door-load.svg", "doormat-load.svg"} {
		if err := os.WriteFile(filepath.Join(folder, plotsFolder, plot), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := sample().WriteDocs(t.Context(), folder, ""); err != nil {
		t.Fatal(err)
	}
	first := read()
	for _, want := range []string{
		"# Figures\n\nBy hand.\n", "By hand, too.\n", // stays
		"| [door](#door) | sluice ÷ post | 0.61 | 0.55 | 0.75 | bound |\n", "| [door](#door) | queued | 300 B | 350 B | 175 B | bound |\n",
		"| **sluice**: ours | 200 | 100 | 300 | 1 | 3 | 0 | api 30 |\n", "| plain | 12,345/s |", "It is a sample.", "| 3 | 4 |\n", "sluice bench --only door", "![door-load](benchmarks/door-load.svg)",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("it lacks %q:\n%s", want, first)
		}
	}
	if strings.Contains(first, "stale") {
		t.Errorf("what was there stays:\n%s", first)
	}
	if strings.Contains(first, "doormat") {
		t.Error("it has another one's plot")
	}
	if strings.Contains(first, "[door](#door) | plain") {
		t.Error("a figure of which nothing was asked is among the rows")
	}
	if err := sample().WriteDocs(t.Context(), folder, ""); err != nil {
		t.Fatal(err)
	}
	if again := read(); again != first {
		t.Errorf("the second time it is different:\n%s", again)
	}
	// A run without this scenario leaves what is told of it.
	other := sample()
	other.Scenarios, other.Machine.Revision = nil, "newer"
	if err := other.WriteDocs(t.Context(), folder, ""); err != nil {
		t.Fatal(err)
	}
	if third := read(); third != strings.ReplaceAll(first, "Revision r,", "Revision newer,") {
		t.Errorf("a run without it changed it:\n%s", third)
	}
}

// TestPartsAreMissed: what has no place on the page is not lost in silence, nor is the
// rest of a page of which a part has no end.
func TestPartsAreMissed(t *testing.T) {
	for name, bad := range map[string]string{
		"no part":        strings.Replace(page, "bench:door", "bench:window", 1),
		"no end":         strings.Replace(page, "staler\n<!-- /bench -->", "staler", 1),
		"an end too few": strings.Replace(page, "stale\n<!-- /bench -->", "stale", 1),
		"nothing":        "",
	} {
		if _, err := sample().fill([]byte(bad), nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestPageHasAllParts: every scenario has its place in the docs.
func TestPageHasAllParts(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	var all Report
	for _, s := range Scenarios {
		all.Scenarios = append(all.Scenarios, Told{Name: s.Name})
	}
	if _, err := all.fill(text, nil); err != nil {
		t.Error(err)
	}
}
