package rules

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Cases is a file for `promtool test rules`. What nobody here looks at is carried along.
type Cases struct {
	RuleFiles []string       `yaml:"rule_files"`
	Tests     []Case         `yaml:"tests"`
	Others    map[string]any `yaml:",inline"`
}

// Case is one course of series, and which alerts fire when.
type Case struct {
	Name   string         `yaml:"name"`
	Asked  []Asked        `yaml:"alert_rule_test"`
	Others map[string]any `yaml:",inline"`
}

// Asked is whether an alert fires at a moment.
type Asked struct {
	Alert  string         `yaml:"alertname"`
	Fires  []any          `yaml:"exp_alerts,omitempty"`
	Others map[string]any `yaml:",inline"`
}

// ReadCases reads a file of cases.
func ReadCases(path string) (c Cases, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// Of are the cases that ask for an alert, and of these only that question.
func (c Cases) Of(alert string) Cases {
	all := c.Tests
	c.Tests = nil
	for _, test := range all {
		var asked []Asked
		for _, a := range test.Asked {
			if a.Alert == alert {
				asked = append(asked, a)
			}
		}
		if len(asked) > 0 {
			test.Asked = asked
			c.Tests = append(c.Tests, test)
		}
	}
	return c
}

// Try holds rules to cases, in a folder that is the caller's. It answers what promtool
// says when they do not pass; "" when they do.
func (c Cases) Try(folder string, rules File) (complaint string, err error) {
	const name = "rules.yml"
	if err := rules.Write(filepath.Join(folder, name)); err != nil {
		return "", err
	}
	c.RuleFiles = []string{name}
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	cases := filepath.Join(folder, "cases.yml")
	if err := os.WriteFile(cases, text, 0o600); err != nil {
		return "", err
	}
	var said bytes.Buffer
	cmd := exec.Command("promtool", "test", "rules", cases)
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	switch failed := strings.Contains(said.String(), "FAILED:"); {
	case err == nil:
		return "", nil
	case failed: // else it could not even try
		return said.String(), nil
	}
	return "", fmt.Errorf("promtool: %w: %s", err, &said)
}
