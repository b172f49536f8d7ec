package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// superuser is the role that owns the private cluster, and the product's own.
const superuser = "sluice"

// postgres is a Postgres that belongs to this process.
type postgres struct {
	port     int
	password string
	child    *child
	again    func(context.Context) (*postgres, error) // starts it once more, as it was
}

// startPostgres makes the cluster at its first use, starts it and returns when
// it answers.
func startPostgres(ctx context.Context, f *folder, programs []string, o Options) (*postgres, error) {
	as, err := serverUser()
	if err != nil {
		return nil, err
	}
	if err := as.letIn(f.path); err != nil {
		return nil, err
	}
	password, err := f.password("postgres.password", as)
	if err != nil {
		return nil, err
	}
	cluster := filepath.Join(f.path, "postgres")
	bin, err := programsFor(ctx, cluster, programs)
	if err != nil {
		return nil, err
	}
	if err := makeCluster(ctx, bin, cluster, as, f, o); err != nil {
		return nil, err
	}
	if err := forgetStalePid(cluster); err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		run := func(ctx context.Context) (*postgres, error) {
			return runPostgres(ctx, bin, cluster, as, f, port, password, o.Durable, o.Replicable)
		}
		p, err := run(ctx)
		if err == nil {
			p.again = run
		}
		if err == nil || !portTaken(err) || tries == 5 {
			return p, err
		}
	}
}

// makeCluster runs initdb once. It works in a folder beside, so that a cluster
// that is there is a whole one.
func makeCluster(ctx context.Context, bin, cluster string, as *user, f *folder, o Options) error {
	if _, err := os.Stat(cluster); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	o.Log("making a Postgres cluster in %s", cluster)
	unfinished := cluster + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	if err := as.own(unfinished); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + unfinished,
		"--username=" + superuser,
		"--encoding=UTF8",
		"--locale=C.UTF-8", // the same order of text on every machine, and a ctype that knows all letters
		"--auth=scram-sha-256",
		"--pwfile=" + filepath.Join(f.path, "postgres.password"),
	}
	if !o.Durable {
		args = append(args, "--no-sync")
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"), args...)
	cmd.Dir = unfinished
	cmd.Env = serverEnv()
	initdb, err := spawn(cmd, filepath.Join(f.path, "initdb.log"), syscall.SIGKILL, as, f.children)
	if err != nil {
		return err
	}
	select {
	case <-initdb.gone:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("make a Postgres cluster: %w", context.Cause(ctx)), initdb.stop(syscall.SIGKILL))
	}
	if initdb.err != nil {
		return initdb.died()
	}
	return os.Rename(unfinished, cluster)
}

// runPostgres starts the postmaster once. Its settings are arguments, so that
// they follow this program and not the one that made the cluster.
func runPostgres(ctx context.Context, bin, cluster string, as *user, f *folder, port int, password string, durable, replicable bool) (*postgres, error) {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=",
		"max_connections=200",
		"shared_buffers=256MB",
		"max_wal_size=2GB",
		"checkpoint_timeout=15min",
		"timezone=UTC",
		"log_timezone=UTC",
	}
	if replicable {
		settings = append(settings, "wal_level=replica", "max_wal_senders=8", "wal_keep_size=256MB")
	} else {
		settings = append(settings, "wal_level=minimal", "max_wal_senders=0") // nobody replicates it
	}
	if !durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	if !durable && !replicable { // what is not in the log yet reaches no standby
		settings = append(settings, "synchronous_commit=off")
	}
	args := []string{"-D", cluster}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
	cmd.Dir = cluster
	cmd.Env = serverEnv()
	// SIGINT ends all sessions and shuts down in order; SIGTERM would wait for them.
	child, err := spawn(cmd, filepath.Join(f.path, "postgres.log"), syscall.SIGINT, as, f.children)
	if err != nil {
		return nil, err
	}
	p := &postgres{port: port, password: password, child: child}
	if err := p.answers(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// serverEnv is our environment without what would change a server (PGDATA,
// PGPORT, LANG, …).
func serverEnv() (env []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_") && !strings.HasPrefix(variable, "LANG") {
			env = append(env, variable)
		}
	}
	return append(env, "LC_ALL=C")
}

// forgetStalePid removes the postmaster.pid of a killed postmaster when its number
// now belongs to somebody else, or to a process that is dead but not buried: for
// Postgres both are alive, and it would refuse to start. No postmaster of ours is
// left (the folder's locks say so); one that was started here by hand has its
// working directory in the cluster.
func forgetStalePid(cluster string) error {
	path := filepath.Join(cluster, "postmaster.pid")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return nil // no such thing here: leave it to Postgres
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	worksIn, err := os.Readlink("/proc/" + strings.TrimSpace(pid) + "/cwd")
	if err == nil && worksIn == cluster {
		return fmt.Errorf("a postgres that is not ours (process %s) works in %s: stop it", pid, cluster)
	}
	return os.Remove(path)
}

// stop ends the server in order.
func (p *postgres) stop() error {
	return p.child.stop(syscall.SIGINT)
}

// url leads to one of its databases.
func (p *postgres) url(database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, p.password),
		Host:     address(p.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}).String()
}

// answers waits until a query is answered. While it recovers from a crash the
// server refuses with "the database system is starting up".
func (p *postgres) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		err := p.exec(ctx, `select 1`)
		if err == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "28") {
			return fmt.Errorf("the data in %s asks for another password than the one kept in %s: %w",
				p.child.cmd.Dir, filepath.Join(filepath.Dir(p.child.cmd.Dir), "postgres.password"), err)
		}
		select {
		case <-p.child.gone:
			return p.child.died()
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres to answer: %w (%w)\n%s", context.Cause(ctx), err, tail(p.child.log, 5))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// exec runs one statement in the maintenance database.
func (p *postgres) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}
