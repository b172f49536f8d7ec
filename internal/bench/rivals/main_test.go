package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/embedded/embeddedtest"
)

// program is one run of rivals, in a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "RIVALS_TEST_AS_PROGRAM=yes")
	return cmd
}

// TestProgram starts every contender as the harness does: it says where it listens,
// serves a bid (or hello), ends in order on SIGTERM, and leaves books that are right.
func TestProgram(t *testing.T) {
	postgres, redis := embeddedtest.Postgres(t), embeddedtest.Redis(t)
	if out, err := program(t, "setup", "--postgres", postgres, "--stock", "100", "--buyers", "20", "--balance", "10").CombinedOutput(); err != nil {
		t.Fatalf("setup: %v %s", err, out)
	}
	client := caller(t)
	for i, test := range []struct {
		name   string
		status int
	}{
		{"hello", 0}, {"post", 202},
		{"nolock", 201}, {"optimistic", 201}, {"rowlock", 201}, {"redlock", 201}, {"lua", 201},
		{"asynq", 202}, {"river", 202}, {"watermill", 202},
	} {
		cmd := program(t, test.name, "--listen", "127.0.0.1:0", "--redis", redis, "--postgres", postgres, "--jwt-keys", testKeys)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		must(t, err)
		address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok {
			t.Fatalf("%s says %q", test.name, line)
		}
		url := "http://" + address
		if test.status == 0 {
			if a, err := ask(client, "GET", url+"/hello", "", "", ""); err != nil || a.status != 200 || a.body != `{"hello":"world"}` {
				t.Errorf("hello: %d %s %v", a.status, a.body, err)
			}
		} else {
			a, err := ask(client, "POST", url+"/v1/sales/1/bids", token(t, int64(i)), "key", oneUnit)
			if err != nil || a.status != test.status {
				t.Errorf("%s: %d %s %v", test.name, a.status, a.body, err)
			}
			if test.name == "asynq" || test.name == "river" || test.name == "watermill" {
				if waitFor(t, client, url, []answer{a}, patience) > 0 {
					t.Errorf("%s settles nothing", test.name)
				}
			}
		}
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ends with %v", test.name, err)
		}
	}
	out, err := program(t, "check", "--postgres", postgres).Output()
	must(t, err)
	var f finding
	must(t, json.Unmarshal(out, &f))
	if f.complaints(8) != "" || f.Stock != 100 {
		t.Errorf("check says %s", out)
	}
}

// TestProgramRefuses: what cannot be served ends at once, with a word why.
func TestProgramRefuses(t *testing.T) {
	postgres := embeddedtest.Postgres(t) // without books
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no keys":     {[]string{"post"}, "--jwt-keys"},
		"no books":    {[]string{"rowlock", "--jwt-keys", testKeys, "--postgres", postgres}, "rivals setup"},
		"no redis":    {[]string{"lua", "--jwt-keys", testKeys, "--postgres", postgres, "--redis", "nonsense"}, "redis"},
		"no sale":     {[]string{"setup", "--postgres", postgres, "--sale", "0", "--stock", "1", "--buyers", "1", "--balance", "1"}, "must be a sale"},
		"no contract": {[]string{"unheard-of"}, "unexpected argument"},
	} {
		out, err := program(t, test.args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.says) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// TestDraw: the plots of a report become files, and what is no report is refused.
func TestDraw(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "plots")
	out, err := program(t, "draw", "--json", "drawing/testdata/report.json", "--out", folder).Output()
	must(t, err)
	names := strings.Fields(string(out))
	if len(names) != 4 {
		t.Errorf("draw says %q", out)
	}
	for _, name := range names {
		if svg, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !strings.Contains(string(svg), "</svg>") {
			t.Errorf("%s: %v, %d bytes", name, err, len(svg))
		}
	}
	out, err = program(t, "draw", "--json", "schema.sql", "--out", folder).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read schema.sql") {
		t.Errorf("%v %s", err, out)
	}
}
