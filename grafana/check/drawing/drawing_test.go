package drawing

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "draw the dashboards anew")

const folder = "../../dashboards"

// TestDrawn holds the files that Grafana loads against what they are drawn from.
func TestDrawn(t *testing.T) {
	files, err := Draw()
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !*update && len(there) != len(files) {
		t.Errorf("there are %q, and %d are drawn", there, len(files))
	}
	for name, want := range files {
		path := filepath.Join(folder, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as it is drawn (%v): go test ./drawing -update", path, err)
		}
	}
}

// TestDrawnByGrid is the known-bad twin of the layout: rows that are not full, or
// uneven, are not drawn.
func TestDrawnByGrid(t *testing.T) {
	a, b := stat("a", "a", "none", "up"), stat("b", "b", "none", "up")
	for name, panels := range map[string][]*panel{
		"half a row": {a.size(12, 4)},
		"uneven":     {a.size(12, 4), b.size(12, 5)},
	} {
		if _, err := (board{rows: []row{{name, panels}}}).form(); err == nil {
			t.Errorf("%s is drawn", name)
		}
	}
}
