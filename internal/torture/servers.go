package torture

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/internal/embedded"
)

// servers are a Redis and a Postgres that can be killed and started again, and
// stopped for a while.
type servers struct {
	redisURL, postgresURL string // the same after every restart

	folder, password string
	forgetful        bool // Redis keeps nothing over its death

	redisMu sync.Mutex // one thing at a time
	redis   *embedded.Redis
	cluster *cluster // instead of it

	postgresMu sync.Mutex
	postgres   *embedded.Servers
}

// startServers makes both in the folder, which they keep.
func startServers(ctx context.Context, folder string, o Options) (s *servers, err error) {
	s = &servers{folder: folder, password: rand.Text(), forgetful: o.Forgetful}
	s.postgres, err = embedded.Start(ctx, embedded.Options{
		Dir:     folder,
		Redis:   "redis://unused", // ours is another: it syncs each write, and can be killed alone
		Durable: true,
	})
	if err != nil {
		return nil, err
	}
	s.postgresURL = s.postgres.PostgresURL
	if o.Cluster {
		if s.cluster, err = startCluster(ctx, folder, s.password); err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.redisURL = s.cluster.URL
		return s, nil
	}
	if err := s.startRedis(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.redisURL = s.redis.URL
	return s, nil
}

// startRedis starts Redis, at its old port if it had one. appendfsync always: what
// it has answered is on disk, so nothing of it may be lost.
func (s *servers) startRedis(ctx context.Context) error {
	port := 0
	if s.redis != nil {
		port = s.redis.Port
	}
	args := []string{"--appendfsync", "always"}
	if s.forgetful {
		args = []string{"--appendonly", "no"}
	}
	r, err := embedded.StartRedis(ctx, embedded.RedisOptions{
		Dir: s.redisFolder(), Password: s.password, Port: port, Durable: true, Args: args,
	})
	if err == nil {
		s.redis = r
	}
	return err
}

func (s *servers) redisFolder() string { return filepath.Join(s.folder, "redis") }

// crashRedis kills Redis, and starts it again after what is done meanwhile.
func (s *servers) crashRedis(ctx context.Context, meanwhile func()) error {
	s.redisMu.Lock()
	defer s.redisMu.Unlock()
	s.redis.Kill()
	meanwhile()
	return s.startRedis(ctx)
}

// crashPostgres kills Postgres, and starts it again after what is done meanwhile.
func (s *servers) crashPostgres(ctx context.Context, meanwhile func()) error {
	s.postgresMu.Lock()
	defer s.postgresMu.Unlock()
	if err := s.postgres.KillPostgres(); err != nil {
		return err
	}
	meanwhile()
	return s.postgres.RestartPostgres(ctx)
}

// pauseRedis stops Redis (SIGSTOP) until what is done meanwhile has ended. It keeps
// its connections, and takes new ones without a word.
func (s *servers) pauseRedis(_ context.Context, meanwhile func()) error {
	s.redisMu.Lock()
	defer s.redisMu.Unlock()
	return pauseServer(filepath.Join(s.redisFolder(), "redis.pid"), meanwhile)
}

// pausePostgres is the same, of all its processes.
func (s *servers) pausePostgres(_ context.Context, meanwhile func()) error {
	s.postgresMu.Lock()
	defer s.postgresMu.Unlock()
	return pauseServer(filepath.Join(s.folder, "postgres", "postmaster.pid"), meanwhile)
}

func pauseServer(pidFile string, meanwhile func()) error {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return fmt.Errorf("understand %s: %w", pidFile, err)
	}
	goOn, err := freeze(pid, int((2 * serverPauseMost).Seconds()))
	if err != nil {
		return fmt.Errorf("stop the server of %s: %w", pidFile, err)
	}
	defer goOn()
	meanwhile()
	return nil
}

// emptyRedis takes all that Redis knows from it, in one moment.
func (s *servers) emptyRedis(context.Context, func()) error {
	s.redisMu.Lock()
	defer s.redisMu.Unlock()
	n := node{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.redis.Port)), password: s.password}
	defer n.close()
	answers, err := n.ask(10*time.Second, "FLUSHALL")
	if err == nil && answers[0] != "OK" {
		err = fmt.Errorf("it answers %q", answers)
	}
	if err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

// close stops both in order.
func (s *servers) close() (err error) {
	s.redisMu.Lock()
	defer s.redisMu.Unlock()
	s.postgresMu.Lock()
	defer s.postgresMu.Unlock()
	if s.redis != nil {
		err = s.redis.Stop()
	}
	if s.cluster != nil {
		err = s.cluster.close()
	}
	return errors.Join(err, s.postgres.Close())
}
