package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// deployment is docker-compose.yml as Docker Compose sees it, and what it is held against.
type deployment struct {
	root     string
	file     []byte
	project  *types.Project
	again    *types.Project // the same with other secrets: what does not differ stands in the file
	values   []string       // what project's ${…} stand for
	secrets  []string       // those among them that are secret
	programs *programs
}

func composeFaults(ctx context.Context, root string, p *programs) ([]fault, error) {
	file, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		return nil, err
	}
	return composeFaultsIn(ctx, root, file, p)
}

// composeFaultsIn is composeFaults for a file that may be another than the one in root.
func composeFaultsIn(ctx context.Context, root string, file []byte, p *programs) ([]fault, error) {
	d := deployment{root: root, file: file, programs: p}
	var err error
	if d.values, d.secrets, err = inventEnv(root); err != nil {
		return nil, err
	}
	others, _, err := inventEnv(root)
	if err != nil {
		return nil, err
	}
	if d.project, err = loadCompose(ctx, root, file, d.values); err != nil {
		return []fault{{"loads", "docker-compose.yml", err.Error()}}, nil
	}
	if d.again, err = loadCompose(ctx, root, file, others); err != nil {
		return nil, err
	}
	var all []fault
	for _, r := range composeRules {
		found, err := r.broken(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		for _, f := range found {
			f.rule = r.name
			all = append(all, f)
		}
	}
	return all, nil
}

// loadCompose reads a compose file against the published schema. values are all that its
// ${…} stand for: nothing comes from this process's environment.
func loadCompose(ctx context.Context, root string, file []byte, values []string) (*types.Project, error) {
	return loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml"), Content: file}},
		Environment: types.NewMapping(values),
	})
}

// inventEnv answers what deploy/env would write, and the secrets in it.
func inventEnv(root string) (values, secrets []string, err error) {
	dir, err := os.MkdirTemp("", "sluice-env-*")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "env")
	if out, err := exec.Command(filepath.Join(root, "deploy/env"), file).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("deploy/env: %w\n%s", err, out)
	}
	values, err = readEnv(file)
	if err != nil {
		return nil, nil, err
	}
	example, err := readEnv(filepath.Join(root, "deploy/env.example"))
	if err != nil {
		return nil, nil, err
	}
	if len(example) != len(values) {
		return nil, nil, fmt.Errorf("deploy/env wrote %d variables of %d", len(values), len(example))
	}
	for i, line := range example {
		if line != values[i] {
			_, secret, _ := strings.Cut(values[i], "=")
			secrets = append(secrets, secret)
		}
	}
	return values, secrets, nil
}

// readEnv answers the NAME=value lines of a file.
func readEnv(file string) (lines []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, _, ok := strings.Cut(line, "="); !ok || strings.ContainsAny(name, " \t'\"") {
			return nil, fmt.Errorf("%s: %q is no NAME=value", file, line)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// environment is that of a service, as a map.
func environment(s types.ServiceConfig) map[string]string {
	all := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			all[name] = *value
		}
	}
	return all
}
