package embedded

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Postgres is found where Debian puts it, so an empty PATH hides only Redis.
func TestWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := tempDir(t)
	s := start(t, Options{Dir: dir})
	if s.RedisKind != InProcess {
		t.Fatalf("Redis is %s", s.RedisKind)
	}

	client := redisAt(t, s.RedisURL)
	if err := client.Set(t.Context(), "lasting", "yes", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key expires", func() bool {
		return errors.Is(client.Get(t.Context(), "k").Err(), redis.Nil)
	})
	if got := client.Get(t.Context(), "lasting").Val(); got != "yes" {
		t.Error("a key that lasts an hour has expired")
	}

	// The record must not outlive a Redis that forgets.
	first := ask[string](t, s.PostgresURL, `select current_database()`)
	stale := throwAwayName()
	if err := s.postgres.create(t.Context(), stale); err != nil { // as a killed run leaves it
		t.Fatal(err)
	}
	stop(t, s)
	s = start(t, Options{Dir: dir})
	if second := ask[string](t, s.PostgresURL, `select current_database()`); second == first {
		t.Errorf("both runs used the database %s", first)
	}
	if n := ask[int](t, s.PostgresURL, `select count(*) from pg_database where datname in ($1, $2)`, first, stale); n != 0 {
		t.Errorf("%d throw-away databases are left", n)
	}
}
