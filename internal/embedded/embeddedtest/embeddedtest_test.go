package embeddedtest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { Main(m) }

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
	for _, kind := range []string{"server", "sentinel", "cluster"} {
		t.Run(kind, func(t *testing.T) {
			t.Setenv(kindVariable, kind)
			fresh(t)
			var first, sha string
			t.Run("first", func(t *testing.T) {
				first = Redis(t)
				if !strings.HasPrefix(first, map[string]string{"server": "redis://", "sentinel": "redis+sentinel://", "cluster": "redis+cluster://"}[kind]) {
					t.Fatalf("it is at %s", first)
				}
				c := Client(t, first)
				for i := range 100 {
					if err := c.Set(t.Context(), fmt.Sprint("left behind ", i), i, 0).Err(); err != nil {
						t.Fatal(err)
					}
				}
				if n := c.DBSize(t.Context()).Val(); n != 100 {
					t.Errorf("it has %d keys", n)
				}
				for range 3 {
					if keys := c.Keys(t.Context(), "left*").Val(); len(keys) != 100 {
						t.Errorf("it names %d keys", len(keys))
					}
				}
				for _, one := range Masters(t, first) {
					if n := one.DBSize(t.Context()).Val(); n == 0 {
						t.Errorf("%v has no keys", one)
					}
					if err := one.ConfigSet(t.Context(), "maxmemory", "4mb").Err(); err != nil {
						t.Fatal(err)
					}
					var err error
					if sha, err = one.ScriptLoad(t.Context(), "return 1").Result(); err != nil {
						t.Fatal(err)
					}
				}
			})
			t.Run("second", func(t *testing.T) {
				second := Redis(t)
				if second != first {
					t.Fatalf("got %s, not the idle %s", second, first)
				}
				if kind != "cluster" {
					if other := Redis(t); other == second {
						t.Fatal("one was lent twice")
					}
				}
				masters := Masters(t, second)
				if want := map[string]int{"cluster": 3}[kind]; len(masters) != max(want, 1) {
					t.Errorf("it has %d masters", len(masters))
				}
				for _, one := range masters {
					if n := one.DBSize(t.Context()).Val(); n != 0 {
						t.Errorf("%d keys were left", n)
					}
					if found := one.ScriptExists(t.Context(), sha).Val(); found[0] {
						t.Error("a script was left")
					}
					if limit := one.ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"]; limit != "0" {
						t.Errorf("maxmemory is %s", limit)
					}
				}
			})
		})
	}
}

// fresh puts the Redises that nobody uses aside: they are of other kinds.
func fresh(t *testing.T) {
	pool.Lock()
	defer pool.Unlock()
	aside := pool.idle
	pool.idle = nil
	t.Cleanup(func() {
		pool.Lock()
		defer pool.Unlock()
		for _, l := range pool.idle {
			l.stop()
		}
		pool.idle = aside
	})
}

// TestClientOfACluster asks every master, and says so when it cannot make one answer of
// theirs.
func TestClientOfACluster(t *testing.T) {
	t.Setenv(kindVariable, "cluster")
	fresh(t)
	ctx, url := t.Context(), Redis(t)
	c, masters := Client(t, url), Masters(t, url)
	if err := c.ConfigSet(ctx, "maxmemory", "64mb").Err(); err != nil {
		t.Fatal(err)
	}
	for _, one := range masters {
		if limit := one.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; limit != "67108864" {
			t.Errorf("maxmemory of %v is %s", one, limit)
		}
		defer one.Subscribe(ctx, "all").Close()
	}
	for deadline := time.Now().Add(patience); c.PubSubNumSub(ctx, "all").Val()["all"] != 3; {
		if time.Now().After(deadline) {
			t.Fatalf("%v hear", c.PubSubNumSub(ctx, "all"))
		}
	}
	if n := strings.Count(c.ClientList(ctx).Val(), " sub=1 "); n != 3 {
		t.Errorf("%d are listed", n)
	}
	for i := range 50 {
		c.Set(ctx, fmt.Sprint(i), i, 0)
	}
	if err := c.FlushAll(ctx).Err(); err != nil || c.DBSize(ctx).Val() != 0 {
		t.Errorf("%d keys are left, %v", c.DBSize(ctx).Val(), err)
	}
	if err := c.Do(ctx, "info", "memory").Err(); err == nil || !strings.Contains(err.Error(), "add up") {
		t.Errorf("an answer of no known kind: %v", err)
	}
}

func TestUnknownKind(t *testing.T) {
	if _, err := startLent("clutser"); err == nil || !strings.Contains(err.Error(), "server, sentinel or cluster") {
		t.Errorf("an unknown kind is %v", err)
	}
}

// TestReplicasAreEmptiedToo: what they would hand to a master that asks is gone as well,
// when the next test begins.
func TestReplicasAreEmptiedToo(t *testing.T) {
	l, err := startLent("cluster")
	if err != nil {
		fail(t, err)
	}
	defer l.stop()
	c := Client(t, l.url)
	for i := range 100 {
		if err := c.Set(t.Context(), fmt.Sprint(i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.empty(); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.replicas {
		if n := Client(t, r.URL).DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("a replica has %d keys", n)
		}
	}
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
			if err := Client(t, s.URL).Set(t.Context(), "k", "kept", 0).Err(); err != nil {
				t.Fatal(err)
			}
			for _, end := range []func(){s.Kill, s.Stop} {
				end()
				if conn, err := net.Dial("tcp", s.Addr); err == nil {
					conn.Close()
					t.Fatal("the server still listens")
				}
				s.Restart()
				got, err := Client(t, s.URL).Get(t.Context(), "k").Result()
				if got != test.want || err != nil && !errors.Is(err, redis.Nil) {
					t.Errorf("got %q, %v; want %q", got, err, test.want)
				}
			}
		})
	}
}

// TestPoolerPools: two clients take turns at one session, which keeps nothing of either:
// what a client has prepared by name the other one meets, and not the first.
func TestPoolerPools(t *testing.T) {
	url := Postgres(t)
	b := Pooler(t, url, 1)
	connect := func() *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), b.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) })
		return conn
	}
	pid := func(c *pgx.Conn) (pid int) {
		t.Helper()
		if err := c.QueryRow(t.Context(), `select pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	one, other := connect(), connect()
	first := pid(one)
	if pid(other) != first {
		t.Error("they have a session each")
	}
	const named = `select 1 where $1::int = 1`
	var n int
	if err := one.QueryRow(t.Context(), named, 1).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := other.QueryRow(t.Context(), named, 1).Scan(&n); err == nil {
		t.Error("the name that one has given to a statement is free for the other one")
	}
	b.Do("pause")
	b.Do("resume")
	if pid(one) == first {
		t.Error("the session outlives a pause")
	}
	b.Restart()
	if pid(connect()) == first {
		t.Error("the session outlives its pooler")
	}
}

// TestReplicaFollows: what the primary commits arrives at its standby, which refuses to
// write, until it is promoted.
func TestReplicaFollows(t *testing.T) {
	r := Replicated(t)
	other := Replicated(t)
	connect := func(url string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) })
		return conn
	}
	write := func(url string) error {
		conn := connect(url)
		_, err := conn.Exec(t.Context(), `insert into accounts (role) values ('buyer')`)
		return err
	}
	if err := write(r.Primary); err != nil {
		t.Fatal(err)
	}
	for query[int](t, r.URL, `select count(*) from accounts`) == 0 {
	}
	if err := write(r.URL); err == nil {
		t.Error("a standby writes")
	}
	r.Restart()
	if n := query[int](t, r.URL, `select count(*) from accounts`); n != 1 {
		t.Errorf("after a restart it has %d", n)
	}
	r.Do(`select pg_promote()`)
	if err := write(r.URL); err != nil {
		t.Error(err)
	}
	if n := query[int](t, other.URL, `select count(*) from accounts`); n != 0 {
		t.Errorf("another database has %d", n)
	}
}
