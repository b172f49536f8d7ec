package boards

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"sluice/grafana/check/stage"
)

// TestProvisioning holds what Grafana is told at its start against what it stands on:
// how often Prometheus scrapes, and where docker-compose.yml puts the runbook. (That it
// puts the boards where Grafana looks is deploy/check's business.)
func TestProvisioning(t *testing.T) {
	tree, err := stage.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool `yaml:"isDefault"`
			Editable                     bool
			JSONData                     struct {
				HTTPMethod   string `yaml:"httpMethod"`
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
	decode(t, filepath.Join(tree, "grafana/provisioning/datasources/sluice.yml"), true, &sources)
	var scrapes struct {
		Global struct {
			ScrapeInterval string `yaml:"scrape_interval"`
		}
	}
	decode(t, filepath.Join(tree, "grafana/prometheus/prometheus.yml"), false, &scrapes)
	if len(sources.Datasources) != 1 {
		t.Fatalf("data sources %+v", sources.Datasources)
	}
	if got := sources.Datasources[0]; got.Type != "prometheus" || !got.IsDefault || got.URL != "http://prometheus:9090" || got.JSONData.TimeInterval != scrapes.Global.ScrapeInterval {
		t.Errorf("the data source is %+v; Prometheus scrapes every %s", got, scrapes.Global.ScrapeInterval)
	}

	var compose struct {
		Services map[string]struct{ Volumes []string }
	}
	decode(t, filepath.Join(tree, "docker-compose.yml"), false, &compose)
	mount := "./docs/runbook.md:/usr/share/grafana" + runbookOf(t) + ":ro" // Grafana serves its public folder
	if !slices.Contains(compose.Services["grafana"].Volumes, mount) {
		t.Errorf("docker-compose.yml does not mount %s: %q", mount, compose.Services["grafana"].Volumes)
	}
}

// runbookOf is where the boards look for the runbook when nobody says otherwise.
func runbookOf(t *testing.T) string {
	t.Helper()
	all, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]bool{}
	for _, b := range all {
		for _, v := range b.Templating.List {
			if where, ok := v.Query.(string); ok && v.Name == "runbook" {
				at[where] = true
			}
		}
	}
	if len(at) != 1 {
		t.Fatalf("the runbook is at %v", at)
	}
	for where := range at {
		return where
	}
	return ""
}

// decode reads a YAML file; strictly, if no word may be unknown.
func decode(t *testing.T, path string, strict bool, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(strict)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
