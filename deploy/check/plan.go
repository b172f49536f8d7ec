package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// instance is one container of the deployment, as it can be started here.
type instance struct {
	name    string // api-1
	service types.ServiceConfig
	address string // 127.77.3.10
}

// notHere are services that the rehearsal has no program for. What they are given is
// checked where it is made: in grafana/.
var notHere = []string{"prometheus", "grafana"}

// plan writes what a compose file would start into dir. For each container that is a
// folder with
//
//	run      starts it, in the foreground
//	health   asks for its health, as its health check does
//	stop     the signal that stops it, and how many seconds it may take
//	needs    what it waits for: "NAME CONDITION", a line each
//
// and beside them order, which has a container behind all that it waits for, and names,
// which a `check names` answers. Every container gets an address of its own, as Docker
// would give it one; it keeps its ports. Nothing else of its environment and its command
// line is changed but addresses and folders.
func plan(ctx context.Context, root, file, dir, envFile, net string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	values, err := readEnv(envFile)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	project, err := loadCompose(ctx, root, text, values)
	if err != nil {
		return err
	}
	var all []instance
	err = project.ForEachService(project.ServiceNames(), func(_ string, s *types.ServiceConfig) error {
		if slices.Contains(notHere, s.Name) {
			return nil
		}
		for n := range replicas(*s) {
			all = append(all, instance{fmt.Sprintf("%s-%d", s.Name, n+1), *s, fmt.Sprintf("%s.%d", net, 10+len(all))})
		}
		return nil
	}) // each after what it depends on
	if err != nil {
		return err
	}
	var order, names strings.Builder
	for _, i := range all {
		fmt.Fprintln(&order, i.name)
		fmt.Fprintln(&names, i.service.Name, i.address)
		if err := i.write(dir, net, all); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "order"), []byte(order.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "names"), []byte(names.String()), 0o600),
	)
}

func (i instance) write(dir, net string, all []instance) error {
	folder := filepath.Join(dir, i.name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	here := i.here(folder, net, all)
	argv, prelude, err := i.command(folder)
	if err != nil {
		return err
	}
	for n := range argv {
		argv[n] = here(argv[n])
	}
	var env strings.Builder
	for name, value := range environment(i.service) {
		fmt.Fprintf(&env, "export %s=%s\n", name, quote(i.listening(name, here(value))))
	}
	if i.service.Name == "proxy" {
		fmt.Fprintf(&env, "export BIND=%s: RESOLVER=%s.2:5353 MAXCONN=1000\n", i.address, net)
	}
	ask, err := i.health()
	if err != nil {
		return err
	}
	var needs strings.Builder
	for service, depends := range i.service.DependsOn {
		for _, other := range all {
			if other.service.Name == service {
				fmt.Fprintln(&needs, other.name, depends.Condition)
			}
		}
	}
	signal, grace := i.service.StopSignal, 10*time.Second
	if signal == "" {
		signal = "SIGTERM"
	}
	if i.service.StopGracePeriod != nil {
		grace = time.Duration(*i.service.StopGracePeriod)
	}
	const head = "#!/usr/bin/env bash\nset -euo pipefail\n"
	for name, text := range map[string]string{
		"run":    head + env.String() + prelude + "exec " + quoteAll(argv) + "\n",
		"health": head + env.String() + ask + "\n",
		"stop":   fmt.Sprintf("%s %d\n", signal, int(grace.Seconds())),
		"needs":  needs.String(),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// here answers what turns the names, addresses and folders of containers into ours.
func (i instance) here(folder, net string, all []instance) func(string) string {
	return func(text string) string {
		for _, other := range all {
			name := regexp.MustCompile(`(^|[@/=,\s])` + regexp.QuoteMeta(other.service.Name) + `(:[0-9]+)`)
			text = name.ReplaceAllString(text, "${1}"+other.address+"${2}")
			for _, network := range other.service.Networks {
				if network != nil && network.Ipv4Address != "" {
					// What the proxy sends comes from the machine's first address here.
					text = strings.ReplaceAll(text, network.Ipv4Address, "127.0.0.1")
				}
			}
		}
		for _, v := range i.service.Volumes {
			from := filepath.Join(folder, "data")
			if v.Type == types.VolumeTypeBind {
				from = v.Source
			}
			text = strings.ReplaceAll(text, v.Target, from)
		}
		return text
	}
}

// listening is a value of the environment, with our own address where a container
// listens on all that it has.
func (i instance) listening(name, value string) string {
	if strings.HasSuffix(name, "_LISTEN") && strings.HasPrefix(value, ":") {
		return i.address + value
	}
	return value
}

// command answers what the container runs, and what its image does before.
func (i instance) command(folder string) (argv []string, prelude string, err error) {
	argv = slices.Clone([]string(i.service.Command))
	switch i.service.Name {
	case "api", "consumer", "scheduler", "migrate":
		return argv, "", nil
	case "proxy": // the image's own command
		return []string{"haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"}, "", nil
	case "redis":
		const server = "redis-server - "
		if len(argv) != 3 || strings.Count(argv[2], server) != 1 {
			return nil, "", errors.New("this command cannot be told where to listen")
		}
		argv[2] = strings.Replace(argv[2], server, server+"--bind "+i.address+" ", 1)
		return argv, "mkdir -p " + folder + "/data\n", nil
	case "postgres":
		// What the image does when the volume is empty.
		data := folder + "/data"
		prelude = `if [[ ! -e ` + data + `/PG_VERSION ]]; then
	initdb --pgdata=` + data + ` --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") $POSTGRES_INITDB_ARGS
	postgres --single -D ` + data + ` postgres <<<"create database $POSTGRES_DB"
fi
export PGDATA=` + data + "\n"
		return append(argv, "-c", "listen_addresses="+i.address, "-c", "unix_socket_directories="), prelude, nil
	}
	return nil, "", errors.New("nobody has said how to start this one here")
}

// health answers the health check as a line of shell.
func (i instance) health() (string, error) {
	if once(i.service) {
		return "false", nil
	}
	h := i.service.HealthCheck
	if h == nil || len(h.Test) < 2 {
		return "", errors.New("it has no health check")
	}
	line := strings.Join(h.Test[1:], " ")
	if h.Test[0] == "CMD" {
		line = quoteAll(h.Test[1:])
	}
	line = strings.ReplaceAll(line, "127.0.0.1", i.address)
	return strings.ReplaceAll(line, "redis-cli ", "redis-cli -h "+i.address+" "), nil
}

// quote is text as one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}
