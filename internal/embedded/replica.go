package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ReplicaOptions describes one hot standby of a Postgres that Start has started with
// Replicable.
type ReplicaOptions struct {
	// Dir is its data folder, which nobody else uses; made if missing.
	Dir string
	// Postgres is the URL of the primary.
	Postgres string
}

// Replica is a hot standby that belongs to this process: it has all that its primary
// has, a moment later, and can be read.
type Replica struct {
	folder *folder
	server *postgres
}

// StartReplica copies the primary, starts the copy and returns when it answers.
func StartReplica(ctx context.Context, o ReplicaOptions) (_ *Replica, err error) {
	programs := findPostgres(ctx, "")
	if len(programs) == 0 {
		return nil, ErrNoPostgres
	}
	primary, err := url.Parse(o.Postgres)
	if err != nil || primary.User == nil {
		return nil, errors.New("start a replica: the URL of the primary has no user")
	}
	password, _ := primary.User.Password()
	as, err := serverUser()
	if err != nil {
		return nil, err
	}
	f, err := openFolder(ctx, o.Dir, func(string, ...any) {})
	if err != nil {
		return nil, err
	}
	r := &Replica{folder: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if err := as.letIn(f.path); err != nil {
		return nil, err
	}
	cluster := filepath.Join(f.path, "postgres")
	if err := os.Mkdir(cluster, 0o700); err != nil {
		return nil, err
	}
	if err := as.own(cluster); err != nil {
		return nil, err
	}
	copying := exec.Command(filepath.Join(programs[0], "pg_basebackup"),
		"--pgdata="+cluster, "--dbname=host="+primary.Hostname()+" port="+primary.Port()+" user="+primary.User.Username(),
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	copying.Dir = cluster
	copying.Env = append(serverEnv(), "PGPASSWORD="+password) // it keeps it for the standby, in a file that only its user may read
	backup, err := spawn(copying, filepath.Join(f.path, "basebackup.log"), syscall.SIGKILL, as, f.children)
	if err != nil {
		return nil, err
	}
	select {
	case <-backup.gone:
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("copy the primary: %w", context.Cause(ctx)), backup.stop(syscall.SIGKILL))
	}
	if backup.err != nil {
		return nil, backup.died()
	}
	for tries := 1; ; tries++ {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		run := func(ctx context.Context) (*postgres, error) {
			return runPostgres(ctx, programs[0], cluster, as, f, port, password, false, true)
		}
		p, err := run(ctx)
		if err == nil {
			p.again = run
			r.server = p
			return r, nil
		}
		if !portTaken(err) || tries == 5 {
			return nil, err
		}
	}
}

// URL leads to the database there that direct, a URL of the primary, leads to.
func (r *Replica) URL(direct string) (string, error) {
	u, err := url.Parse(direct)
	if err != nil {
		return "", err
	}
	return r.server.url(strings.TrimPrefix(u.Path, "/")), nil
}

// Exec runs one statement there, past all who read: select pg_wal_replay_pause(),
// pg_wal_replay_resume() or pg_promote(), for example.
func (r *Replica) Exec(ctx context.Context, statement string) error {
	return r.server.exec(ctx, statement)
}

// Kill ends it as a crash would, and returns when its first process is gone.
func (r *Replica) Kill() {
	// The only error is that it has ended already.
	_ = r.server.child.cmd.Process.Kill()
	<-r.server.child.gone
}

// Restart starts it again where it was, after killing it if it still runs.
func (r *Replica) Restart(ctx context.Context) error {
	r.Kill()
	p, err := restart(ctx, r.server)
	if err != nil {
		return err
	}
	r.server = p
	return nil
}

// Close stops it and waits until it is gone.
func (r *Replica) Close() error { return errors.Join(r.server.stop(), r.folder.close()) }
