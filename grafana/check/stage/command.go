package stage

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Sluice runs a command of the program sluice to its end, as an operator does who has the
// servers of the stage in his environment. It answers what the command has written; an
// error when that ended with another status than 0.
func (s *Stage) Sluice(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	programs, err := build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "sluice"), args...)
	cmd.Env = append(s.env[:len(s.env):len(s.env)], "SLUICE_LOG_LEVEL=error")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("sluice %q: %w: %s", args, err, out)
	}
	return string(out), err
}
