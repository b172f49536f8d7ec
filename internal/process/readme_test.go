package process

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the README's configuration table anew")

// TestReadmeConfiguration keeps the README's table true to the struct.
func TestReadmeConfiguration(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- configuration: go test ./internal/process -run Readme -update -->\n", "<!-- end of configuration -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatal("the README has no configuration table")
	}
	was, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("the README's configuration table has no end")
	}
	is := configurationTable(t)
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+is+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != is {
		t.Errorf("the README says\n%s\nthe struct says\n%s", was, is)
	}
}

// configurationTable is Config as a table in Markdown.
func configurationTable(t *testing.T) string {
	replace := strings.NewReplacer(
		" Default: ${default}.", "", " Default: ${default}, all interfaces.", " (all interfaces)",
		"${given}", "`sluice` starts a private one when it is missing.", "${keys}", "`sluice` makes one when it is missing.",
		"${ops_listen}", "127.0.0.1:8081; consumer 8082, scheduler 8083", "${log_level}", "info", "${name}", "", "${log_format}", "json; `sluice` console",
		"|", "\\|",
	)
	var table strings.Builder
	table.WriteString("| setting | default | what it is |\n|---|---|---|\n")
	for field := range settings() {
		env, help := field.Tag.Get("env"), field.Tag.Get("help")
		if env == "" || help == "" {
			t.Errorf("%s has no environment variable or no help", field.Name)
		}
		row := fmt.Sprintf("| `%s` | %s | %s |\n", env, replace.Replace(field.Tag.Get("default")), replace.Replace(help))
		if strings.Contains(row, "${") {
			t.Errorf("not all is filled in: %s", row)
		}
		table.WriteString(row)
	}
	return table.String()
}
