package embeddedtest

import (
	"net"
	"strconv"
	"testing"

	"sluice/internal/embedded"
)

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

// RedisServer starts a redis-server for this test, one whatever kind the others ask for:
// what becomes of a server that loses its data, or keeps it, is its subject. It has
// settings as on the command line: RedisServer(t, "--appendonly", "yes",
// "--appendfsync", "always") keeps its data over Kill and Restart; without them it comes
// back empty.
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
