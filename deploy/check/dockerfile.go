package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// stages answers what a Dockerfile says, by BuildKit's own parser.
func stages(text []byte) ([]instructions.Stage, error) {
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	all, _, err := instructions.Parse(parsed.AST, nil)
	if err == nil && len(all) == 0 {
		err = errors.New("no stage")
	}
	return all, err
}

// imageRule is one thing that must hold of the Dockerfile: ok tells whether it does.
type imageRule struct {
	name string
	ok   func(text string, all []instructions.Stage) bool
}

var imageRules = []imageRule{
	{"bases are pinned", func(_ string, all []instructions.Stage) bool {
		for i, s := range all {
			own := slices.ContainsFunc(all[:i], func(before instructions.Stage) bool { return before.Name == s.BaseName })
			if s.BaseName != "scratch" && !own && !release.MatchString(s.BaseName) {
				return false
			}
		}
		return true
	}},
	{"the image holds nothing but what is copied", func(_ string, all []instructions.Stage) bool {
		last := all[len(all)-1]
		return len(all) > 1 && last.BaseName == "scratch" && len(of[*instructions.RunCommand](last)) == 0
	}},
	{"it does not run as root", func(_ string, all []instructions.Stage) bool {
		users := of[*instructions.UserCommand](all[len(all)-1])
		return len(users) == 1 && regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(users[0].User)
	}},
	{"it says how to ask for its health", func(_ string, all []instructions.Stage) bool {
		checks := of[*instructions.HealthCheckCommand](all[len(all)-1])
		return len(checks) == 1 && slices.Equal(checks[0].Health.Test, []string{"CMD", "sluice", "health", "--live"})
	}},
	{"signals reach the program", func(_ string, all []instructions.Stage) bool { // a shell would swallow them
		last := all[len(all)-1]
		cmds := of[*instructions.CmdCommand](last)
		return len(cmds) == 1 && !cmds[0].PrependShell && len(of[*instructions.EntrypointCommand](last)) == 0
	}},
	{"programs are static and stamped", func(_ string, all []instructions.Stage) bool {
		build := all[0]
		env := map[string]string{}
		for _, e := range of[*instructions.EnvCommand](build) {
			for _, pair := range e.Env {
				env[pair.Key] = pair.Value
			}
		}
		var lines strings.Builder
		for _, run := range of[*instructions.RunCommand](build) {
			lines.WriteString(strings.Join(run.CmdLine, " "))
		}
		return env["CGO_ENABLED"] == "0" && env["GOTOOLCHAIN"] == "local" && strings.Contains(lines.String(), "-trimpath") &&
			strings.Contains(lines.String(), "-X sluice/internal/process.stamped=$VERSION")
	}},
	{"no secret is built in", func(text string, all []instructions.Stage) bool {
		for _, s := range all {
			for _, a := range of[*instructions.ArgCommand](s) {
				for _, arg := range a.Args {
					if secretName.MatchString(arg.Key) {
						return false
					}
				}
			}
			for _, e := range of[*instructions.EnvCommand](s) {
				for _, pair := range e.Env {
					if secretName.MatchString(pair.Key) || strings.HasPrefix(pair.Key, "SLUICE_") {
						return false
					}
				}
			}
		}
		return true
	}},
	{"files come by COPY", func(_ string, all []instructions.Stage) bool { // ADD fetches and unpacks what it likes
		for _, s := range all {
			if len(of[*instructions.AddCommand](s)) > 0 {
				return false
			}
		}
		return true
	}},
}

// of answers the instructions of one kind in a stage.
func of[T instructions.Command](s instructions.Stage) (all []T) {
	for _, c := range s.Commands {
		if mine, ok := c.(T); ok {
			all = append(all, mine)
		}
	}
	return all
}

// imageFaults holds the Dockerfile's text, and root's .dockerignore, against the rules.
func imageFaults(root string, text []byte) (all []fault) {
	parsed, err := stages(text)
	if err != nil {
		return []fault{{"parses", "Dockerfile", err.Error()}}
	}
	for _, r := range imageRules {
		if !r.ok(string(text), parsed) {
			all = append(all, fault{r.name, "Dockerfile", "it does not hold"})
		}
	}
	inContext, err := ignored(root)
	if err != nil {
		return append(all, fault{"the context is small", ".dockerignore", err.Error()})
	}
	for _, name := range []string{".env", ".git/config", "deploy/env.example", "bin/api", "internal/process/process_test.go"} {
		if out, err := inContext(name); err != nil || !out {
			all = append(all, fault{"the context is small", ".dockerignore", name + " would be sent to the builder"})
		}
	}
	return all
}

// ignored answers whether a path below root is kept from the builder.
func ignored(root string) (func(name string) (bool, error), error) {
	file, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	return matcher.MatchesOrParentMatches, nil
}

// buildImage does here what `docker build` does in the first stage: it copies what the
// context holds, and runs the same commands with the same variables. What ends in /out
// ends in dir. Downloads of modules and the cache are this machine's.
func buildImage(ctx context.Context, root, dir, version string) error {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return err
	}
	parsed, err := stages(text)
	if err != nil {
		return err
	}
	source, err := os.MkdirTemp("", "sluice-build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	env := os.Environ()
	for _, command := range parsed[0].Commands {
		switch c := command.(type) {
		case *instructions.EnvCommand:
			for _, pair := range c.Env {
				env = append(env, pair.Key+"="+pair.Value)
			}
		case *instructions.ArgCommand:
			for _, arg := range c.Args {
				switch {
				case arg.Key == "VERSION":
					env = append(env, "VERSION="+version)
				case arg.Value != nil:
					env = append(env, arg.Key+"="+*arg.Value)
				}
			}
		case *instructions.CopyCommand:
			for _, from := range c.SourcePaths {
				if err := copyContext(root, source, from); err != nil {
					return err
				}
			}
		case *instructions.RunCommand:
			line := strings.ReplaceAll(strings.Join(c.CmdLine, " "), "/out/", dir+"/")
			run := exec.CommandContext(ctx, "sh", "-c", line)
			run.Dir, run.Env, run.Stdout, run.Stderr = source, env, os.Stdout, os.Stderr
			if err := run.Run(); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		case *instructions.WorkdirCommand:
		default:
			return fmt.Errorf("%s: this builder does not know it", command.Name())
		}
	}
	return nil
}

// copyContext copies a file or folder of root into dir, but for what is ignored.
func copyContext(root, dir, from string) error {
	out, err := ignored(root)
	if err != nil {
		return err
	}
	tree := os.DirFS(root)
	return fs.WalkDir(tree, path.Clean(from), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", ".cache"}, name) {
			return fs.SkipDir // ignored, and large
		}
		if skip, err := out(name); err != nil || skip || !entry.Type().IsRegular() {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		source, err := tree.Open(name)
		if err != nil {
			return err
		}
		defer source.Close()
		target, err := os.Create(to)
		if err != nil {
			return err
		}
		_, err = io.Copy(target, source)
		return errors.Join(err, target.Close())
	})
}
