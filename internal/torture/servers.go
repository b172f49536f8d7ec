package torture

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"sync"

	"sluice/internal/embedded"
)

// servers are a Redis and a Postgres that can be killed and started again.
//
// Workers reach them by redisURL and postgresURL. A proxy that delays, resets or
// swallows what goes between them (toxiproxy) belongs there: a pair of URLs per
// worker, each leading through a link of its own, whose toxics are more kinds of
// faults.
type servers struct {
	redisURL, postgresURL string // the same after every restart

	folder, password string
	forgetful        bool // the known-bad twin of a Redis: it keeps nothing

	redisMu sync.Mutex // one thing at a time
	redis   *embedded.Redis

	postgresMu sync.Mutex
	postgres   *embedded.Servers
}

// startServers makes both in the folder, which they keep.
func startServers(ctx context.Context, folder string, forgetful bool) (s *servers, err error) {
	s = &servers{folder: folder, password: rand.Text(), forgetful: forgetful}
	s.postgres, err = embedded.Start(ctx, embedded.Options{
		Dir:     folder,
		Redis:   "redis://unused", // ours is another: it syncs each write, and can be killed alone
		Durable: true,
	})
	if err != nil {
		return nil, err
	}
	if err := s.startRedis(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.redisURL, s.postgresURL = s.redis.URL, s.postgres.PostgresURL
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
		Dir: filepath.Join(s.folder, "redis"), Password: s.password, Port: port, Durable: true, Args: args,
	})
	if err == nil {
		s.redis = r
	}
	return err
}

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

// close stops both in order.
func (s *servers) close() (err error) {
	s.redisMu.Lock()
	defer s.redisMu.Unlock()
	s.postgresMu.Lock()
	defer s.postgresMu.Unlock()
	if s.redis != nil {
		err = s.redis.Stop()
	}
	return errors.Join(err, s.postgres.Close())
}
