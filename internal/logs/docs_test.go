package logs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMessagesOfThePageAreSaid: whoever looks for a line that docs/operations.md names
// looks for one that there is.
func TestMessagesOfThePageAreSaid(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	if err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`\.Msgf?\("([^"]+)"`).FindAllSubmatch(source, -1) {
			said = append(said, string(m[1]))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| message | level | when |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			rows++
			if !spoken(said, m[1]) {
				t.Errorf("nobody says %q", m[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("the page names %d messages", rows)
	}
	if spoken(said, "all is lost") || spoken(said, "batch") {
		t.Error("a message that nobody says is found: the test shows nothing")
	}
}

// spoken says whether a message is said; one that ends in … is the beginning of one.
func spoken(said []string, message string) bool {
	beginning, cut := strings.CutSuffix(message, "…")
	for _, s := range said {
		if s == message || cut && strings.HasPrefix(s, beginning) {
			return true
		}
	}
	return false
}
