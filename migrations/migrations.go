// Package migrations holds the schema and brings a database up to it.
//
// The files are numbered SQL (00001_*.sql), applied once each and in order by
// goose, which keeps its book in the table goose_db_version. A file that has
// been released is never edited: the next one corrects it.
//
// Apply's url must lead to Postgres itself. A session lock keeps two migrating
// processes apart, and a pooler such as PgBouncer would lose it between two
// statements.
package migrations

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Apply brings the database to the newest schema and sets the time-outs of its
// role. It may be called by any number of processes at once and any number of
// times: one of them does the work, the others wait for it (up to 5 minutes). On
// an up-to-date database it only reads. A migration that fails is rolled back
// and reported; those before it stay.
func Apply(ctx context.Context, url string) error {
	config, err := configure(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	behind, err := pending(ctx, conn)
	if err != nil {
		return err
	}
	if behind > 0 {
		if err := up(ctx, config); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	return limitRole(ctx, conn)
}

// Pending counts the migrations that the database lacks; 0 means that this
// program and the schema fit. It changes nothing and takes no lock. A database
// that is ahead (it has migrations this program does not know) counts as 0: old
// code must run while a new version is rolled out. The url may lead to a pooler.
func Pending(ctx context.Context, url string) (int, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, fmt.Errorf("read the Postgres url: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // leaves nothing in the session
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, fmt.Errorf("connect to Postgres to look at the schema: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pending(ctx, conn)
}

// configure lifts the role's own limits for this session: building an index may
// take longer than any request. A statement that waits for its lock still gives
// up, because everybody behind it in the queue waits too.
func configure(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the Postgres url: %w", err)
	}
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = "10s"
	return config, nil
}

// up runs the missing migrations behind goose's session lock. The lock is tried
// once a second and not waited for: a waiting statement keeps a snapshot open,
// and that would block "create index concurrently" in the migration it waits for.
func up(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker),
		goose.WithLogger(goose.NopLogger()),
		goose.WithDisableGlobalRegistry(true),
	)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// pending does not ask goose, which would create its table in the asking.
func pending(ctx context.Context, conn *pgx.Conn) (int, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, err
	}
	versions := make([]int64, len(names))
	for i, name := range names {
		if versions[i], err = goose.NumericComponent(name); err != nil {
			return 0, fmt.Errorf("migration %s: %w", name, err)
		}
	}
	var known bool
	if err := conn.QueryRow(ctx, `select to_regclass('goose_db_version') is not null`).Scan(&known); err != nil {
		return 0, fmt.Errorf("look for the schema: %w", err)
	}
	if !known {
		return len(versions), nil
	}
	var behind int
	err = conn.QueryRow(ctx, `
		select count(*)
		from unnest($1::bigint[]) as file (version)
		where not exists (
			select from goose_db_version
			where version_id = file.version
			and is_applied
		)`, versions).Scan(&behind)
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return behind, nil
}
