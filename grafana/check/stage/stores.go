package stage

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded"
)

// Stores are the Redis and the Postgres of a stage, and what may befall them.
type Stores struct {
	RedisURL, PostgresURL string

	servers *embedded.Servers // Postgres
	redis   *embedded.Redis
	client  *redis.Client
	options embedded.RedisOptions
}

// openStores starts both, to end with the test. Redis keeps an append-only file, as
// it must in production.
func openStores(ctx context.Context, t testing.TB, folder string, args []string) *Stores {
	t.Helper()
	servers, err := embedded.Start(ctx, embedded.Options{
		Dir:   filepath.Join(folder, "data"),
		Redis: "redis://unused", // ours is another, with settings

		Durable: true, // else it forgets commits when it is killed
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Stores{servers: servers, PostgresURL: servers.PostgresURL, options: embedded.RedisOptions{
		Dir: filepath.Join(folder, "redis"), Password: rand.Text(), Durable: true, Args: args,
	}}
	if s.redis, err = embedded.StartRedis(ctx, s.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.redis.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.RedisURL, s.options.Port = s.redis.URL, s.redis.Port
	options, err := redis.ParseURL(s.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	s.client = redis.NewClient(options)
	t.Cleanup(func() { s.client.Close() })
	return s
}

// Redis is a client of Redis that no process knows of: to fill it, to plant what
// should not be there.
func (s *Stores) Redis() *redis.Client { return s.client }

// FillRedis sets a limit to the memory of Redis that it has passed already: it refuses
// whatever would add.
func (s *Stores) FillRedis(t testing.TB) {
	t.Helper()
	s.limitMemory(t, "1mb")
}

// UnfillRedis takes the limit away.
func (s *Stores) UnfillRedis(t testing.TB) {
	t.Helper()
	s.limitMemory(t, "0")
}

func (s *Stores) limitMemory(t testing.TB, limit string) {
	t.Helper()
	if err := s.client.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
		t.Fatal(err)
	}
}

// KillRedis ends Redis as a power cut would.
func (s *Stores) KillRedis() { s.redis.Kill() }

// StartRedis starts it again with what its file holds, at the same address.
func (s *Stores) StartRedis(t testing.TB) {
	t.Helper()
	again, err := embedded.StartRedis(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	s.redis = again
}

// KillPostgres ends Postgres as a crash would.
func (s *Stores) KillPostgres(t testing.TB) {
	t.Helper()
	if err := s.servers.KillPostgres(); err != nil {
		t.Fatal(err)
	}
}

// StartPostgres starts it again with what was committed, at the same address.
func (s *Stores) StartPostgres(t testing.TB) {
	t.Helper()
	if err := s.servers.RestartPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
}
