package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// tempDir is a folder that Postgres' user may enter, unlike t.TempDir.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-embedded-*")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func start(t *testing.T, o Options) *Servers {
	t.Helper()
	o.Log = t.Logf
	s, err := Start(t.Context(), o)
	if errors.Is(err, ErrNoPostgres) {
		t.Fatalf("%v\n(this test needs it)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func stop(t *testing.T, s *Servers) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func redisAt(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func ask[T any](t *testing.T, url, query string, args ...any) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// eventually waits for something that nobody announces.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !happened() {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

func TestDataSurvivesCloseAndStart(t *testing.T) {
	dir := filepath.Join(tempDir(t), "data folder")
	s := start(t, Options{Dir: dir, Durable: true})
	if s.RedisKind != Private {
		t.Fatalf("Redis is %s", s.RedisKind)
	}
	if err := redisAt(t, s.RedisURL).Set(t.Context(), "k", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if name := ask[string](t, s.PostgresURL, `select current_database()`); name != "sluice" {
		t.Errorf("the database is %s", name)
	}
	conn, err := pgx.Connect(t.Context(), s.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `create table kept as select 'kept' as word`); err != nil {
		t.Fatal(err)
	}
	// conn stays open: a client must not keep the server from stopping.
	begin := time.Now()
	stop(t, s)
	t.Logf("Close took %s", time.Since(begin))

	begin = time.Now()
	s = start(t, Options{Dir: dir, Durable: true})
	t.Logf("the second Start took %s", time.Since(begin))
	if got := redisAt(t, s.RedisURL).Get(t.Context(), "k").Val(); got != "kept" {
		t.Errorf("Redis answers %q", got)
	}
	if got := ask[string](t, s.PostgresURL, `select word from kept`); got != "kept" {
		t.Errorf("Postgres answers %q", got)
	}
}

func TestSettings(t *testing.T) {
	for _, durable := range []bool{false, true} {
		s := start(t, Options{Dir: tempDir(t), Durable: durable})
		word := map[bool]string{false: "off", true: "on"}[durable]
		for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			if got := ask[string](t, s.PostgresURL, "show "+setting); got != word {
				t.Errorf("durable %t: %s is %s", durable, setting, got)
			}
		}
		for setting, want := range map[string]string{
			"server_encoding": "UTF8", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
			"max_connections": "200", "shared_buffers": "256MB", "TimeZone": "UTC",
		} {
			if got := ask[string](t, s.PostgresURL, "show "+setting); got != want {
				t.Errorf("%s is %q, want %q", setting, got, want)
			}
		}
		if aof := redisAt(t, s.RedisURL).ConfigGet(t.Context(), "appendonly").Val()["appendonly"]; aof != map[bool]string{false: "no", true: "yes"}[durable] {
			t.Errorf("durable %t: appendonly is %s", durable, aof)
		}
		stop(t, s)
	}
}

func TestStrangersAreKeptOut(t *testing.T) {
	dir := tempDir(t)
	s := start(t, Options{Dir: dir})
	if answer, err := ping(t.Context(), address(s.redis.Port), ""); err != nil || !strings.HasPrefix(answer, "-NOAUTH") {
		t.Errorf("Redis answers %q, %v without a password", answer, err)
	}
	config, err := pgx.ParseConfig(s.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "wrong"
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		conn.Close(t.Context())
		t.Error("Postgres took a wrong password")
	}
	for _, name := range []string{"redis.password", "postgres.password", "redis/redis.conf"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	dir := tempDir(t)
	start(t, Options{Dir: dir})
	_, err := Start(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir+" is in use by another sluice") {
		t.Errorf("a second Start says %v", err)
	}
}

// TestProcesses: the numbers are those that the servers themselves wrote down.
func TestProcesses(t *testing.T) {
	dir := tempDir(t)
	s := start(t, Options{Dir: dir})
	pids := s.Processes()
	for name, file := range map[string]string{"redis": "redis/redis.pid", "postgres": "postgres/postmaster.pid"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(text), "\n"); first != strconv.Itoa(pids[name]) {
			t.Errorf("%s is %d, and says %q", name, pids[name], first)
		}
	}
	given, err := Start(t.Context(), Options{Redis: "redis://r", Postgres: "postgres://p"})
	if err != nil {
		t.Fatal(err)
	}
	if pids := given.Processes(); len(pids) > 0 {
		t.Errorf("given servers have the processes %v", pids)
	}
}

func TestGivenServersAreUsedAsTheyAre(t *testing.T) {
	dir := filepath.Join(tempDir(t), "untouched")
	s := start(t, Options{Dir: dir, Redis: "redis://r", Postgres: "postgres://p"})
	if s.RedisURL != "redis://r" || s.PostgresURL != "postgres://p" || s.RedisKind != Given {
		t.Errorf("got %s, %s, %s", s.RedisURL, s.PostgresURL, s.RedisKind)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
}

func TestWithoutPostgres(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Start(t.Context(), Options{Dir: dir, debian: t.TempDir()})
	if !errors.Is(err, ErrNoPostgres) || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("Start says %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data folder was left behind: %v", err)
	}
}

func TestClosedFolderIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's Postgres runs as another user") // not a missing server: there is nothing to test
	}
	closed := filepath.Join(tempDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "data")})
	if err == nil || !strings.Contains(err.Error(), closed+" has mode 700") {
		t.Errorf("Start says %v", err)
	}
}

func TestDeadChildShowsItsLog(t *testing.T) {
	_, err := StartRedis(t.Context(), RedisOptions{Dir: tempDir(t), Args: []string{"--no-such-setting", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("StartRedis says %v", err)
	}
}
