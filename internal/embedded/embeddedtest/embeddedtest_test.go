package embeddedtest

import (
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func TestMain(m *testing.M) { Main(m) }

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func query[T any](t *testing.T, url, sql string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestRedisIsEmptiedBeforeItIsLentAgain(t *testing.T) {
	var first, sha string
	t.Run("first", func(t *testing.T) {
		first = Redis(t)
		c := client(t, first)
		if err := c.Set(t.Context(), "left", "behind", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.ConfigSet(t.Context(), "maxmemory", "4mb").Err(); err != nil {
			t.Fatal(err)
		}
		var err error
		if sha, err = c.ScriptLoad(t.Context(), "return 1").Result(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("second", func(t *testing.T) {
		second := Redis(t)
		if second != first {
			t.Fatalf("got %s, not the idle %s", second, first)
		}
		if other := Redis(t); other == second {
			t.Fatal("one server was lent twice")
		}
		c := client(t, second)
		if n := c.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("%d keys were left", n)
		}
		if found := c.ScriptExists(t.Context(), sha).Val(); found[0] {
			t.Error("a script was left")
		}
		if limit := c.ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"]; limit != "0" {
			t.Errorf("maxmemory is %s", limit)
		}
	})
}

func TestPostgresGivesEachItsOwn(t *testing.T) {
	a, b := Postgres(t), Postgres(t)
	if a == b {
		t.Fatal("one database was lent twice")
	}
	for _, url := range []string{a, b} {
		if !query[bool](t, url, `select to_regclass('goose_db_version') is not null`) {
			t.Errorf("%s is not migrated", url)
		}
		if limit := query[string](t, url, `show statement_timeout`); limit != "10s" {
			t.Errorf("statement_timeout is %s", limit)
		}
	}
}

func TestPostgresIsDropped(t *testing.T) {
	var name string
	t.Run("lend", func(t *testing.T) {
		url := Postgres(t)
		name = query[string](t, url, `select current_database()`)
		// A connection that is still open must not keep the database alive.
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) })
	})
	if query[bool](t, Postgres(t), `select exists (select from pg_database where datname = '`+name+`')`) {
		t.Errorf("%s is still there", name)
	}
}

func TestServerKeepsWhatItAppends(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"with AOF":    {[]string{"--appendonly", "yes", "--appendfsync", "always"}, "kept"},
		"without AOF": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := RedisServer(t, test.args...)
			if err := client(t, s.URL).Set(t.Context(), "k", "kept", 0).Err(); err != nil {
				t.Fatal(err)
			}
			for _, end := range []func(){s.Kill, s.Stop} {
				end()
				if conn, err := net.Dial("tcp", s.Addr); err == nil {
					conn.Close()
					t.Fatal("the server still listens")
				}
				s.Restart()
				got, err := client(t, s.URL).Get(t.Context(), "k").Result()
				if got != test.want || err != nil && !errors.Is(err, redis.Nil) {
					t.Errorf("got %q, %v; want %q", got, err, test.want)
				}
			}
		})
	}
}
