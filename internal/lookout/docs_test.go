package lookout

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocs: docs/operations.md lists every check with its alert, no other, and every field
// of the JSON object.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	_, table, found := strings.Cut(page, "| check | holds while | alert |\n")
	table, _, ends := strings.Cut(table, "\n\n")
	if !found || !ends {
		t.Fatal("no table of checks")
	}
	facts := two(t, nil)
	var listed, told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [^|]+ \\| ?([^|]*?) ?\\|$").FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
		for _, c := range facts.Checks {
			if c.Name == row[1] && !strings.Contains(row[2], c.Alert) {
				t.Errorf("%s is told by %s, the page says %s", c.Name, c.Alert, row[2])
			}
		}
	}
	for _, c := range facts.Checks {
		told = append(told, c.Name)
	}
	if !slices.Equal(listed, told) {
		t.Errorf("the page lists\n%q\nthe status tells\n%q", listed, told)
	}

	_, fields, found := strings.Cut(page, "| field | what it is |\n")
	fields, _, ends = strings.Cut(fields, "\n\n")
	if !found || !ends {
		t.Fatal("no table of fields")
	}
	encoded, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(encoded, &object); err != nil {
		t.Fatal(err)
	}
	free := []string{"refused_per_s", "faults", "breaches"} // by code, kind and rule
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if !regexp.MustCompile("`" + name + "(\\[\\])?`").MatchString(fields) {
					t.Errorf("%s.%s is not on the page", at, name)
				}
				if !slices.Contains(free, name) {
					walk(at+"."+name, inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(at, inner)
			}
		}
	}
	walk("", object)
}
