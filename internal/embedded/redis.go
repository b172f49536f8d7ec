package embedded

import (
	"bufio"
	"context"
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
)

// startGrace is how long a server may take until it answers. Replaying a large
// log after a crash is what takes longest.
const startGrace = 60 * time.Second

// RedisOptions describes one redis-server.
type RedisOptions struct {
	// Dir is its folder, made if missing. Two servers must not share it; nothing
	// here checks that (Start's lock does).
	Dir string
	// Password is asked of every client. Empty: none.
	Password string
	// Port on loopback; 0 chooses a free one. To start a server again where its
	// clients look for it, give the Port it had.
	Port int
	// Durable appends every write to a file that is synced each second.
	Durable bool
	// Args are more settings, as on the command line ("--maxmemory", "4mb"). They
	// win over all the above.
	Args []string

	holds *os.File
	// node makes it one of several that a fleet looks after; nil: it stands alone.
	node *nodeSettings
}

// nodeSettings are what a server of a fleet needs beyond its options.
type nodeSettings struct {
	lines    []string // more settings, for its file: some hold the password
	keep     bool     // the file, once it is there: others (CONFIG REWRITE, a sentinel) write in it
	sentinel bool
}

// Redis is a redis-server that belongs to this process.
type Redis struct {
	URL  string // redis://:password@127.0.0.1:port/0
	Port int

	child *child
}

// StartRedis starts a redis-server found in PATH and returns when it answers.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of Redis: %w", err)
	}
	for tries := 1; ; tries++ {
		port := o.Port
		if port == 0 {
			if port, err = freePort(); err != nil {
				return nil, err
			}
		}
		r, err := runRedis(ctx, program, port, o)
		if err == nil {
			return r, nil
		}
		if o.Port != 0 || !portTaken(err) || tries == 5 {
			return nil, err
		}
	}
}

// runRedis starts the server once. Its settings stand in a file and not on the
// command line, where ps would show the password to everybody.
func runRedis(ctx context.Context, program string, port int, o RedisOptions) (*Redis, error) {
	settings := []string{
		"bind 127.0.0.1",
		"port " + strconv.Itoa(port),
		"dir " + strconv.Quote(o.Dir),
		"pidfile " + strconv.Quote(filepath.Join(o.Dir, "redis.pid")),
		"daemonize no",
	}
	if o.node == nil || !o.node.sentinel { // which keeps nothing, and knows no settings about it
		settings = append(settings, `save ""`, "maxmemory-policy noeviction", "appendonly no")
	}
	death := syscall.SIGKILL
	if o.Durable {
		settings[len(settings)-1] = "appendonly yes\nappendfsync everysec"
		death = syscall.SIGTERM // writes out what it has not written yet
	}
	args := o.Args
	if o.node != nil {
		death = syscall.SIGKILL // a server that somebody has paused heeds nothing milder
		settings = append(settings, o.node.lines...)
		if o.node.sentinel {
			args = []string{"--sentinel"}
		}
	}
	if o.Password != "" {
		settings = append(settings, "requirepass "+strconv.Quote(o.Password))
	}
	file := filepath.Join(o.Dir, "redis.conf")
	if _, err := os.Stat(file); err != nil || o.node == nil || !o.node.keep {
		if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write the settings of Redis: %w", err)
		}
	}

	r := &Redis{Port: port, URL: redisURL(port, o.Password)}
	cmd := exec.Command(program, append([]string{file}, args...)...)
	cmd.Dir = o.Dir
	var err error
	if r.child, err = spawn(cmd, filepath.Join(o.Dir, "redis.log"), death, nil, o.holds); err != nil {
		return nil, err
	}
	if err := r.answers(ctx, o.Password); err != nil {
		r.Kill()
		return nil, err
	}
	return r, nil
}

func redisURL(port int, password string) string {
	u := url.URL{Scheme: "redis", Host: address(port), Path: "/0"}
	if password != "" {
		u.User = url.UserPassword("", password)
	}
	return u.String()
}

// answers waits for PONG, which comes only when the data is loaded.
func (r *Redis) answers(ctx context.Context, password string) error {
	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()
	for {
		answer, err := ping(ctx, address(r.Port), password)
		if answer == "+PONG" {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it answered %q", answer)
		}
		select {
		case <-r.child.gone:
			return r.child.died()
		case <-ctx.Done():
			return fmt.Errorf("wait for redis-server to answer: %w (%w)\n%s", context.Cause(ctx), err, tail(r.child.log, 5))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ping speaks the two lines of the protocol itself: a client library would write
// a complaint to standard error for every try before the server listens.
func ping(ctx context.Context, addr, password string) (answer string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	commands, answers := "PING\r\n", 1
	if password != "" {
		commands, answers = "AUTH "+strconv.Quote(password)+"\r\n"+commands, 2
	}
	if _, err := conn.Write([]byte(commands)); err != nil {
		return "", err
	}
	for lines := bufio.NewReader(conn); answers > 0; answers-- {
		if answer, err = lines.ReadString('\n'); err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(answer), nil
}

// Process is its number.
func (r *Redis) Process() int { return r.child.cmd.Process.Pid }

// Stop ends the server in order (it writes out everything first, if it keeps
// anything) and waits until it is gone; after 10 s it is killed, which is an error. A server
// that is gone already is no error.
func (r *Redis) Stop() error {
	return r.child.stop(syscall.SIGTERM)
}

// Kill ends the server as a power cut would, as far as its memory goes, and waits
// until it is gone. What it handed to the operating system is kept.
func (r *Redis) Kill() {
	// The only error is that it has ended already.
	_ = r.child.cmd.Process.Kill()
	<-r.child.gone
}
