package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncerOptions describes one PgBouncer, which pools the sessions of a Postgres by
// transaction.
type PgBouncerOptions struct {
	// Dir is its folder, made if missing, which the user postgres must be able to
	// enter when root starts it: like Postgres it refuses to be root.
	Dir string
	// Postgres is the URL of the server behind it, with user and password. Clients use
	// the same, and reach every database of the server.
	Postgres string
	// Port on loopback; 0 chooses a free one. To start it again where its clients look
	// for it, give the Port it had.
	Port int
	// PoolSize is how many sessions at the server all clients of one database share.
	// 0: PgBouncer's own, 20.
	PoolSize int
	// Settings are more lines of its section [pgbouncer]. They win over all the above.
	Settings []string
}

// PgBouncer is one that belongs to this process.
type PgBouncer struct {
	Port int

	child *child
	login *url.Userinfo
}

// StartPgBouncer starts the pgbouncer found in PATH or where Debian keeps it, and
// returns when it answers. Whether the server behind it does is another matter.
func StartPgBouncer(ctx context.Context, o PgBouncerOptions) (*PgBouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, fmt.Errorf("start PgBouncer: %w", err)
		}
	}
	server, err := url.Parse(o.Postgres)
	if err != nil || server.User == nil {
		return nil, errors.New("start PgBouncer: the URL of the server behind it has no user")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of PgBouncer: %w", err)
	}
	as, err := serverUser()
	if err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		port := o.Port
		if port == 0 {
			if port, err = freePort(); err != nil {
				return nil, err
			}
		}
		b, err := runPgBouncer(ctx, program, port, server, as, o)
		if err == nil {
			return b, nil
		}
		if o.Port != 0 || !portTaken(err) || tries == 5 {
			return nil, err
		}
	}
}

// runPgBouncer starts it once. It keeps the password as it is, since it has to log in
// with it; only its own user may read that file.
func runPgBouncer(ctx context.Context, program string, port int, server *url.URL, as *user, o PgBouncerOptions) (*PgBouncer, error) {
	password, _ := server.User.Password()
	users := filepath.Join(o.Dir, "users.txt")
	settings := append([]string{
		"[databases]",
		"* = host=" + server.Hostname() + " port=" + server.Port(),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		"listen_port = " + strconv.Itoa(port),
		"unix_socket_dir =",
		"auth_type = scram-sha-256",
		"auth_file = " + users,
		"admin_users = " + server.User.Username(),
		"pool_mode = transaction",
		"max_client_conn = 500",
	}, o.Settings...)
	if o.PoolSize > 0 {
		settings = append(settings, "default_pool_size = "+strconv.Itoa(o.PoolSize))
	}
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	file := filepath.Join(o.Dir, "pgbouncer.ini")
	for path, text := range map[string]string{
		users: quoted(server.User.Username()) + " " + quoted(password),
		file:  strings.Join(settings, "\n"),
	} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write the settings of PgBouncer: %w", err)
		}
		if err := as.own(path); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, "-q", file)
	cmd.Dir = o.Dir
	cmd.Env = serverEnv()
	child, err := spawn(cmd, filepath.Join(o.Dir, "pgbouncer.log"), syscall.SIGKILL, as, nil)
	if err != nil {
		return nil, err
	}
	b := &PgBouncer{Port: port, child: child, login: server.User}
	if err := b.answers(ctx); err != nil {
		b.Kill()
		return nil, err
	}
	return b, nil
}

// answers waits until its console does.
func (b *PgBouncer) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		err := b.Do(ctx, "show version")
		if err == nil {
			return nil
		}
		select {
		case <-b.child.gone:
			return b.child.died()
		case <-ctx.Done():
			return fmt.Errorf("wait for PgBouncer to answer: %w (%w)\n%s", context.Cause(ctx), err, tail(b.child.log, 5))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// URL leads to what direct, a URL of the server behind it, leads to, and through it.
func (b *PgBouncer) URL(direct string) (string, error) {
	u, err := url.Parse(direct)
	if err != nil {
		return "", err
	}
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(b.Port))
	return u.String(), nil
}

// Do runs a command of its console: pause, resume, reconnect, …
func (b *PgBouncer) Do(ctx context.Context, command string) error {
	console := url.URL{Scheme: "postgres", User: b.login, Host: address(b.Port), Path: "/pgbouncer", RawQuery: "sslmode=disable"}
	conn, err := pgx.Connect(ctx, console.String())
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.PgConn().Exec(ctx, command).ReadAll(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// Process is its number.
func (b *PgBouncer) Process() int { return b.child.cmd.Process.Pid }

// Stop ends it at once, in order, and waits until it is gone; clients and server see
// their connections closed. One that is gone already is no error.
func (b *PgBouncer) Stop() error { return b.child.stop(syscall.SIGTERM) }

// Kill ends it as a crash would, and waits until it is gone.
func (b *PgBouncer) Kill() {
	// The only error is that it has ended already.
	_ = b.child.cmd.Process.Kill()
	<-b.child.gone
}
