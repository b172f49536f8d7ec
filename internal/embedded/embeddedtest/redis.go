package embeddedtest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sluice/internal/embedded"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// pool keeps the redis-servers that no test uses now.
var pool struct {
	sync.Mutex
	idle []*embedded.Redis
}

// Redis returns the URL of an empty redis-server that this test has to itself,
// without persistence. When the test ends its connections are cut, it is emptied,
// its memory limit lifted, and another test gets it. A test that stops it, or
// changes other settings, takes RedisServer.
func Redis(t testing.TB) string {
	t.Helper()
	r, err := borrow()
	if err != nil {
		fail(t, err)
	}
	t.Cleanup(func() {
		if err := empty(r); err != nil {
			t.Errorf("empty the test's Redis: %v", err)
			r.Kill()
			return
		}
		pool.Lock()
		defer pool.Unlock()
		pool.idle = append(pool.idle, r)
	})
	return r.URL
}

func borrow() (*embedded.Redis, error) {
	pool.Lock()
	if last := len(pool.idle) - 1; last >= 0 {
		r := pool.idle[last]
		pool.idle = pool.idle[:last]
		pool.Unlock()
		return r, nil
	}
	pool.Unlock()
	return start(embedded.RedisOptions{})
}

// start runs a redis-server until the test binary ends, in a new folder unless
// one is given.
func start(o embedded.RedisOptions) (r *embedded.Redis, err error) {
	if o.Dir == "" {
		if o.Dir, err = newFolder("redis"); err != nil {
			return nil, err
		}
	}
	ctx, cancel := within()
	defer cancel()
	if r, err = embedded.StartRedis(ctx, o); err != nil {
		return nil, err
	}
	atEnd(func() { r.Kill() })
	return r, nil
}

// empty makes a used server as good as new.
func empty(r *embedded.Redis) error {
	client, err := connect(r)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	for _, command := range []string{
		"client kill type normal skipme yes",
		"client kill type pubsub",
		"config set maxmemory 0 maxmemory-policy noeviction",
		"flushall sync",
		"script flush sync",
	} {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		if err := client.Do(ctx, args...).Err(); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

func connect(r *embedded.Redis) (*redis.Client, error) {
	options, err := redis.ParseURL(r.URL)
	if err != nil {
		return nil, err
	}
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// Server is a redis-server of one test alone, which may do with it what it likes.
// Its methods are not for concurrent use.
type Server struct {
	URL  string // the same after Restart
	Addr string // host:port of URL

	t    testing.TB
	dir  string
	args []string
	port int
	now  *embedded.Redis
}

// RedisServer starts a redis-server for this test, with settings as on the
// command line: RedisServer(t, "--appendonly", "yes", "--appendfsync", "always")
// keeps its data over Kill and Restart; without them it comes back empty.
func RedisServer(t testing.TB, args ...string) *Server {
	t.Helper()
	dir, err := newFolder("redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, args: args}
	s.run()
	s.port, s.URL = s.now.Port, s.now.URL
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	t.Cleanup(func() { s.now.Kill() })
	return s
}

// Kill ends the server at once (SIGKILL) and returns when it is gone. What it
// had not handed to the operating system is lost.
func (s *Server) Kill() {
	s.now.Kill()
}

// Stop ends the server in order (SIGTERM) and returns when it is gone.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.now.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// Restart starts the server again, on its old port and with its old folder, after
// killing it if it still runs. It returns when the data is loaded.
func (s *Server) Restart() {
	s.t.Helper()
	s.now.Kill()
	s.run()
}

func (s *Server) run() {
	s.t.Helper()
	r, err := start(embedded.RedisOptions{Dir: s.dir, Port: s.port, Args: s.args})
	if err != nil {
		fail(s.t, err)
	}
	s.now = r
}
