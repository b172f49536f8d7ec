package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// programs are the commands of this tree, built, to be asked what they take.
type programs struct {
	dir string

	mu   sync.Mutex
	take map[string][]string // by command line: the settings that it takes
}

// buildPrograms builds every command. The caller removes them.
func buildPrograms(root string) (*programs, error) {
	dir, err := os.MkdirTemp("", "sluice-check-*")
	if err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the commands: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return &programs{dir: dir, take: map[string][]string{}}, nil
}

func (p *programs) remove() { os.RemoveAll(p.dir) }

// ours says whether a command line starts one of our commands.
func (p *programs) ours(argv []string) bool {
	return len(argv) > 0 && slices.Contains([]string{"api", "consumer", "scheduler", "sluice"}, filepath.Base(argv[0]))
}

// path is where the command of argv was built.
func (p *programs) path(argv []string) string { return filepath.Join(p.dir, filepath.Base(argv[0])) }

var variable = regexp.MustCompile(`\[\$(SLUICE_[A-Z0-9_]+)\]`)

// settings answers the variables that a command takes, by its own --help.
func (p *programs) settings(ctx context.Context, argv []string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := strings.Join(argv, " ")
	if known, ok := p.take[line]; ok {
		return known, nil
	}
	help, err := exec.CommandContext(ctx, p.path(argv), append(slices.Clone(argv[1:]), "--help")...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s --help: %w", line, err)
	}
	var known []string
	for _, match := range variable.FindAllSubmatch(help, -1) {
		known = append(known, string(match[1]))
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("%s --help names no setting", line)
	}
	p.take[line] = known
	return known, nil
}

// wrongOnPurpose is refused by every command, and told beside whatever else is wrong,
// before anything opens.
const wrongOnPurpose = "SLUICE_BATCHES_KEEP"

// refused answers what a command refuses of its settings: names that it does not take,
// which it would silently ignore, and values. It opens nothing.
func (p *programs) refused(ctx context.Context, argv []string, environment map[string]string) (wrong []string, err error) {
	known, err := p.settings(ctx, argv)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.path(argv), argv[1:]...)
	cmd.Env = []string{"HOME=" + p.dir, wrongOnPurpose + "=1s"}
	for name, value := range environment {
		if name == wrongOnPurpose {
			continue
		}
		if strings.HasPrefix(name, "SLUICE_") && !slices.Contains(known, name) {
			wrong = append(wrong, fmt.Sprintf("%s is no setting of %s", name, strings.Join(argv, " ")))
			continue
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	slices.Sort(wrong)
	var said bytes.Buffer
	cmd.Stderr = &said
	var ended *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != 2 {
		return nil, fmt.Errorf("%s took a %s of 1s, or met something else: %w\n%s", strings.Join(argv, " "), wrongOnPurpose, err, &said)
	}
	if !strings.Contains(said.String(), wrongOnPurpose) { // it could not even be read
		return append(wrong, strings.TrimSpace(said.String())), nil
	}
	for line := range strings.Lines(said.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "SLUICE_") && !strings.HasPrefix(line, wrongOnPurpose) {
			wrong = append(wrong, line)
		}
	}
	return wrong, nil
}

// invented is an example of a secret with random bytes for its placeholders, which are
// those of deploy/env.
func invented(example string) string {
	random := make([]byte, 32)
	rand.Read(random)
	example = strings.ReplaceAll(example, "@hex", hex.EncodeToString(random))
	return strings.ReplaceAll(example, "@base64", base64.StdEncoding.EncodeToString(random))
}
