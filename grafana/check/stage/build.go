package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// programs is the folder of the commands that this test binary has built.
var programs struct {
	sync.Mutex
	folder string
}

// build builds the commands of this tree, once, with the product's own go.mod: with
// ours they might be linked with other versions of what they stand on.
func build(ctx context.Context) (folder string, err error) {
	programs.Lock()
	defer programs.Unlock()
	if programs.folder != "" {
		return programs.folder, nil
	}
	tree, err := Tree(ctx)
	if err != nil {
		return "", err
	}
	if folder, err = os.MkdirTemp("", "sluice-programs-*"); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", folder+string(filepath.Separator), "./cmd/...")
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("%w: %s", err, out), os.RemoveAll(folder))
	}
	programs.folder = folder
	return folder, nil
}

// Main runs the tests of a package and removes what they have built.
func Main(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(programs.folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Tree is the root of the product's sources.
func Tree(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sluice")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of sluice: %w: %s", err, &complaint)
	}
	return strings.TrimSpace(string(out)), nil
}

// run runs a command to its end.
func run(ctx context.Context, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cleanEnv is our environment without settings of somebody's own Sluice.
func cleanEnv() (env []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SLUICE_") {
			env = append(env, variable)
		}
	}
	return env
}
