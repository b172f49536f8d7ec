package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// installed is where deploy/README.md says to put the programs.
const installed = "/usr/local/lib/sluice/"

// unit is a unit file: for each "Section.Key" all its values, in their order.
type unit map[string][]string

// parseUnit reads a unit file. What its keys mean is systemd-analyze's to know.
func parseUnit(text []byte) (unit, error) {
	u, section := unit{}, ""
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" || strings.HasSuffix(line, `\`) {
				return nil, fmt.Errorf("%q: nobody reads this here", line)
			}
			u[section+"."+key] = append(u[section+"."+key], value)
		}
	}
	return u, nil
}

func (u unit) last(key string) string {
	if all := u[key]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// environment is what Environment= says, without the EnvironmentFile, which is somebody's
// own.
func (u unit) environment() map[string]string {
	env := map[string]string{}
	for _, line := range u["Service.Environment"] {
		for word := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(word, "=")
			env[name] = value
		}
	}
	return env
}

func systemdFaults(ctx context.Context, root string, p *programs) ([]fault, error) {
	files := map[string][]byte{}
	found, err := filepath.Glob(filepath.Join(root, "deploy/systemd/sluice*"))
	if err != nil {
		return nil, err
	}
	for _, name := range found {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return systemdFaultsIn(ctx, files, p)
}

// systemdFaultsIn is systemdFaults for given files.
func systemdFaultsIn(ctx context.Context, files map[string][]byte, p *programs) (all []fault, err error) {
	units := map[string]unit{}
	for name, text := range files {
		if units[name], err = parseUnit(text); err != nil {
			return []fault{{"systemd takes them", name, err.Error()}}, nil
		}
	}
	told, err := analyze(ctx, files, p)
	if err != nil {
		return nil, err
	}
	for _, what := range told {
		all = append(all, fault{"systemd takes them", "deploy/systemd", what})
	}
	for _, r := range systemdRules {
		wrong, err := r.broken(ctx, units, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		slices.Sort(wrong)
		for _, what := range wrong {
			all = append(all, fault{r.name, "deploy/systemd", what})
		}
	}
	return all, nil
}

// most is the exposure, in tenths, that a service may have by systemd's own count: 0 is
// a cell, 100 a process without any bounds.
const most = 20

// analyze answers what systemd itself says of the units, and of how much they may do. The
// programs are found where they were built.
func analyze(ctx context.Context, files map[string][]byte, p *programs) (told []string, err error) {
	dir, err := os.MkdirTemp("", "sluice-units-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var paths, services []string
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(installed), []byte(p.dir+"/")), 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
		if strings.HasSuffix(name, ".service") {
			services = append(services, path)
		}
	}
	out, err := exec.CommandContext(ctx, "systemd-analyze", append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return nil, fmt.Errorf("systemd-analyze is missing (.ci/setup systemd): %w", err)
	}
	for line := range strings.Lines(string(out)) { // it warns of an unknown key and is content
		told = append(told, strings.TrimSpace(strings.ReplaceAll(line, dir+"/", "")))
	}
	for _, service := range services {
		args := []string{"security", "--offline=true", "--no-pager", "--threshold=" + strconv.Itoa(most), service}
		out, err := exec.CommandContext(ctx, "systemd-analyze", args...).CombinedOutput()
		if errors.As(err, &ended) {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			told = append(told, strings.TrimSpace(lines[len(lines)-1]))
		} else if err != nil {
			return nil, err
		}
	}
	return told, nil
}

// systemdRule is one thing that must hold of all units together.
type systemdRule struct {
	name   string
	broken func(context.Context, map[string]unit, *programs) ([]string, error)
}

var systemdRules = []systemdRule{
	{"every process is there", func(_ context.Context, units map[string]unit, _ *programs) (wrong []string, _ error) {
		for name, command := range map[string]string{"api": "api", "consumer": "consumer", "scheduler": "scheduler", "migrate": "sluice migrate"} {
			u := units["sluice-"+name+".service"]
			if u.last("Service.ExecStart") != installed+command {
				wrong = append(wrong, "sluice-"+name+".service does not start "+command)
			}
			if name != "migrate" && !slices.Contains(strings.Fields(units["sluice.target"].last("Unit.Wants")), "sluice-"+name+".service") {
				wrong = append(wrong, "sluice.target does not want "+name)
			}
		}
		return wrong, nil
	}},
	{"settings are known and taken", unitSettings},
	{"grace is long enough", forServices(func(name string, u unit) (wrong []string) {
		grace, err := time.ParseDuration(u.environment()["SLUICE_SHUTDOWN_GRACE"])
		stop, stopErr := strconv.Atoi(u.last("Service.TimeoutStopSec"))
		if err != nil || stopErr != nil || time.Duration(stop)*time.Second < grace+2*time.Second {
			wrong = append(wrong, name+": TimeoutStopSec is not 2 s longer than SLUICE_SHUTDOWN_GRACE")
		}
		if u.last("Service.KillSignal") != "SIGTERM" {
			wrong = append(wrong, name+" is not stopped by SIGTERM")
		}
		return wrong
	})},
	{"who ends is started again", forServices(func(name string, u unit) (wrong []string) {
		if u.last("Service.Restart") != "always" || u.last("Unit.StartLimitIntervalSec") != "0" {
			wrong = append(wrong, name+" stays down when a store is away for long")
		}
		return wrong
	})},
	{"the schema comes first", forServices(func(name string, u unit) (wrong []string) {
		const migrate = "sluice-migrate.service"
		if !slices.Contains(strings.Fields(u.last("Unit.Wants")), migrate) || !slices.Contains(strings.Fields(u.last("Unit.After")), migrate) {
			wrong = append(wrong, name+" does not wait for "+migrate)
		}
		if len(u["Unit.Requires"]) > 0 { // what fails once at boot would keep it down for good
			wrong = append(wrong, name+" stays down when "+u.last("Unit.Requires")+" fails once")
		}
		return wrong
	})},
	{"operations ports differ", func(_ context.Context, units map[string]unit, _ *programs) (wrong []string, _ error) {
		seen := map[string]bool{}
		for _, name := range longRunning {
			at := units[name].environment()["SLUICE_OPS_LISTEN"]
			if !strings.HasPrefix(at, "127.0.0.1:") || seen[at] {
				wrong = append(wrong, fmt.Sprintf("%s: the operations port %q is another's, or open to the world", name, at))
			}
			seen[at] = true
		}
		return wrong, nil
	}},
	{"memory of Go stays below the limit", forServices(func(name string, u unit) (wrong []string) {
		mib, err := strconv.Atoi(strings.TrimSuffix(u.environment()["GOMEMLIMIT"], "MiB"))
		limit, limitErr := strconv.Atoi(strings.TrimSuffix(u.last("Service.MemoryMax"), "M"))
		if err != nil || limitErr != nil || mib > limit*9/10 {
			wrong = append(wrong, name+": GOMEMLIMIT is not at most nine tenths of MemoryMax")
		}
		return wrong
	})},
}

var longRunning = []string{"sluice-api.service", "sluice-consumer.service", "sluice-scheduler.service"}

func forServices(rule func(name string, u unit) []string) func(context.Context, map[string]unit, *programs) ([]string, error) {
	return func(_ context.Context, units map[string]unit, _ *programs) (wrong []string, _ error) {
		for _, name := range longRunning {
			wrong = append(wrong, rule(name, units[name])...)
		}
		return wrong, nil
	}
}

// credentials are what the units load, as files like the ones that root owns would be.
var credentials = map[string]string{
	"redis-url":    "redis://:@hex@127.0.0.1:6379/0",
	"postgres-url": "postgres://sluice:@hex@127.0.0.1:5432/sluice",
	"jwt-keys":     "k1:@base64",
}

func unitSettings(ctx context.Context, units map[string]unit, p *programs) (wrong []string, _ error) {
	dir, err := os.MkdirTemp("", "sluice-credentials-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for name, u := range units {
		start := u.last("Service.ExecStart")
		if start == "" {
			continue
		}
		own := filepath.Join(dir, name) // what %d stands for
		if err := os.Mkdir(own, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		for _, load := range u["Service.LoadCredential"] {
			id, path, _ := strings.Cut(load, ":")
			if credentials[id] == "" || path != "/etc/sluice/"+id {
				wrong = append(wrong, name+": nobody has said what the credential "+load+" is")
			}
			if err := os.WriteFile(filepath.Join(own, id), []byte(invented(credentials[id])), 0o400); err != nil {
				return nil, err
			}
		}
		env := u.environment()
		for variable, value := range env {
			env[variable] = strings.ReplaceAll(value, "%d", own)
		}
		refused, err := p.refused(ctx, strings.Fields(strings.TrimPrefix(start, installed)), env)
		if err != nil {
			return nil, err
		}
		for _, what := range refused {
			wrong = append(wrong, name+": "+what)
		}
	}
	return wrong, nil
}
