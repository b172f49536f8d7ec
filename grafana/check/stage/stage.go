// Package stage puts Sluice on for the tests of dashboards and alerts: the commands
// of this tree as processes of their own, on a private Redis and a private Postgres,
// scraped by a real Prometheus. Whatever an operator's night may bring can be done to
// it: kill or freeze a process, stop a store, fill Redis.
//
//	crowd ──▶ api-1 ──▶ Redis ──▶ consumer-1 ──▶ Postgres
//	            │                    │      scheduler-1
//	            └──── /metrics ──────┴──────────┘
//	                     ▲
//	                 Prometheus ◀── rules      Until, Value, Alerts ◀── a test
//
// A test opens one stage, and it is struck when the test ends; how it went is shown
// when the test has failed. Nothing here decides by time: a test waits for what it
// wants to see, for Patience at most.
//
// Only tests import it. The last test of a package must leave through Main.
package stage

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come: far longer than anything
// takes on a slow machine.
const Patience = 3 * time.Minute

// Options says what is put on.
type Options struct {
	// Cast is one role for each process, in the order in which they start; the
	// first API is api-1, the second api-2. Empty: one API, one consumer, one
	// scheduler.
	Cast []Role
	// Env are settings for all processes, as NAME=value. They win over the stage's own.
	Env []string
	// Args follow the command of Up and Demo.
	Args []string
	// Redis are more settings of redis-server, as on its command line.
	Redis []string
	// Rules are files of rules for Prometheus. They are used as they are: who wants
	// shorter windows writes a file that has them.
	Rules []string
	// Every is how often Prometheus scrapes and evaluates. 0: each half second.
	Every time.Duration
}

// Stage is a running deployment with its Prometheus.
type Stage struct {
	*Prometheus
	*Stores

	actors []*Actor
	folder string
	env    []string
}

// Open puts it on and returns when all processes are ready and have been scraped.
func Open(t testing.TB, o Options) *Stage {
	t.Helper()
	if len(o.Cast) == 0 {
		o.Cast = []Role{API, Consumer, Scheduler}
	}
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	programs, err := build(t.Context()) // from nothing, that may take longer than anything else
	if err != nil {
		t.Fatalf("build the commands: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	s := &Stage{folder: folder(t)}
	s.Stores = openStores(ctx, t, s.folder, o.Redis)
	s.env = append(cleanEnv(),
		"SLUICE_REDIS_URL="+s.RedisURL, "SLUICE_POSTGRES_URL="+s.PostgresURL, "SLUICE_JWT_KEYS=stage:"+rand.Text()+rand.Text(),
		"SLUICE_DATA_DIR="+filepath.Join(s.folder, "unused"), "SLUICE_PARTITIONS=4", "SLUICE_BUYER_RATE=0",
		"SLUICE_LOG_LEVEL=info", "SLUICE_LOG_FORMAT=json",
	)
	s.env = append(s.env, o.Env...)
	if err := run(ctx, s.env, filepath.Join(programs, "sluice"), "migrate"); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	for _, role := range o.Cast {
		s.actors = append(s.actors, newActor(t, s, programs, role, o.Args))
	}
	s.Prometheus = openPrometheus(ctx, t, s, o) // first, so that it misses nothing
	for _, a := range s.actors {
		a.start(t)
	}
	for _, a := range s.actors {
		if err := a.ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.Until(t, fmt.Sprintf("count(up == 1) == %d", len(s.actors)))
	return s
}

// Actor answers a process by its name, "consumer-1".
func (s *Stage) Actor(t testing.TB, name string) *Actor {
	t.Helper()
	for _, a := range s.actors {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("there is no %s on this stage", name)
	return nil
}

// folder is one that Postgres' own user may enter, which t.TempDir is not.
func folder(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("", "sluice-stage-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
