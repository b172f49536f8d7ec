package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/internal/embedded"
)

// house is where everything is measured: one Postgres for all scenarios, each of which
// gets a database and a Redis of its own.
type house struct {
	Options
	folder   string
	postgres *embedded.Servers
	machine  Machine
}

// openHouse starts what all scenarios share.
func openHouse(ctx context.Context, o Options) (h *house, err error) {
	h = &house{Options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.folder, err = os.MkdirTemp("", "sluice-bench-*"); err != nil {
		return nil, err
	}
	if err := os.Chmod(h.folder, 0o755); err != nil { // Postgres' own user must enter it
		return nil, err
	}
	h.say("starting Postgres")
	if h.postgres, err = embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(h.folder, "postgres"), Postgres: o.PostgresURL, Durable: true,
		Redis: cmp.Or(o.RedisURL, "redis://each-stage-has-one-of-its-own"),
	}); err != nil {
		return nil, err
	}
	h.machine, err = h.lookAtMachine(ctx)
	return h, err
}

// close stops what is shared.
func (h *house) close() (err error) {
	if h.postgres != nil {
		err = h.postgres.Close()
	}
	if h.folder != "" {
		err = errors.Join(err, os.RemoveAll(h.folder))
	}
	return err
}

// config is what a reader must know of how the servers were set up.
func (h *house) config() map[string]string {
	if h.RedisURL != "" {
		return map[string]string{"servers": "given: their durability and CPU are not known here"}
	}
	return map[string]string{
		"servers":  "private, on loopback, on the same cores as everything else",
		"redis":    "appendonly yes, appendfsync everysec, maxmemory-policy noeviction",
		"postgres": "fsync on, synchronous_commit on, full_page_writes on, shared_buffers 256MB, max_wal_size 2GB",
	}
}

// admin runs one statement in the Postgres of all.
func (h *house) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, h.postgres.PostgresURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}

// drop removes a database, so that nobody tidies up in it while the next scenario is
// measured. That waits for the disk; a private Postgres of which nobody measures anything
// more is removed as a whole.
func (h *house) drop(ctx context.Context, name string) error {
	if h.Smoke && h.PostgresURL == "" {
		return nil
	}
	return h.admin(ctx, "drop database "+name+" with (force)")
}

func (h *house) say(format string, args ...any) {
	if h.Progress != nil {
		fmt.Fprintf(h.Progress, strings.TrimSuffix(format, "\n")+"\n", args...)
	}
}
