package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sluice/internal/embedded/embeddedtest"
)

// TestMain runs the tests; or, in a child that they start, one of the programs.
func TestMain(m *testing.M) {
	switch as := os.Getenv("SLUICE_TEST_AS"); as {
	case "api":
		Command{Name: as, Ops: "127.0.0.1:0", Needs: []Need{Servers, Keys}, Run: (*Process).RunAPI}.Main()
	case "consumer":
		Command{Name: as, Ops: "127.0.0.1:0", Needs: []Need{Servers}, Run: (*Process).RunConsumer}.Main()
	default:
		embeddedtest.Main(m)
	}
}

// config is one for these servers, with token keys and any port.
func config(t testing.TB, redis, postgres string) Config {
	c := defaults(t)
	c.RedisURL, c.PostgresURL = redis, postgres
	c.JWTKeys = "test:" + strings.Repeat("s", 32)
	c.Listen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func open(t *testing.T, c Config) *Process {
	t.Helper()
	p, err := Open(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	redis, postgres := embeddedtest.Redis(t), embeddedtest.Postgres(t)
	unmigrated, err := url.Parse(postgres)
	if err != nil {
		t.Fatal(err)
	}
	unmigrated.Path = "/postgres"
	nobody := deadAddress(t)
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no Postgres":    {func(c *Config) { c.PostgresURL = "postgres://u:geheim@" + nobody + "/d" }, "connect to Postgres"},
		"no database":    {func(c *Config) { c.PostgresURL = strings.Replace(postgres, "/test_", "/gone_", 1) }, "does not exist"},
		"no Redis":       {func(c *Config) { c.RedisURL = "redis://:geheim@" + nobody + "/0" }, "connect to Redis"},
		"old schema":     {func(c *Config) { c.PostgresURL = unmigrated.String() }, "run `sluice migrate`"},
		"not configured": {func(c *Config) { c.RedisURL = "" }, "SLUICE_REDIS_URL is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			c := config(t, redis, postgres)
			test.change(&c)
			p, err := Open(t.Context(), c, zerolog.Nop())
			if err == nil {
				t.Fatal("it opened", p.Close())
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPartitionsCannotChange(t *testing.T) {
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	open(t, c)
	c.Partitions = 8
	if _, err := Open(t.Context(), c, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "16 partitions") {
		t.Errorf("got %v", err)
	}
}

// TestRun runs everything in one process and stops it: whoever asks is answered
// to the end, and nothing is left behind.
func TestRun(t *testing.T) {
	redis, postgres := embeddedtest.Redis(t), embeddedtest.Postgres(t)
	before := goleak.IgnoreCurrent()
	p, err := Open(t.Context(), config(t, redis, postgres), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	api, ops := listener(t), listener(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, api, ops) }()

	if status, body := get(t, "http://"+api.Addr().String()+"/v1/me"); status != http.StatusUnauthorized {
		t.Errorf("the API answers %d %s", status, body)
	}
	for path, want := range map[string]string{
		"/healthz": "[]", "/readyz": "[]", "/metrics": "go_goroutines",
	} {
		if status, body := get(t, "http://"+ops.Addr().String()+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s answers %d %s", path, status, body)
		}
	}
	_, metrics := get(t, "http://"+ops.Addr().String()+"/metrics")
	for _, want := range []string{"process_cpu_seconds_total", "go_build_info", "sluice_partitions_owned", "sluice_scheduler_leads"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if wrong := p.wrong(t.Context()); !slices.Equal(wrong, []string{"api: stopping"}) {
		t.Errorf("after the stop: %q", wrong)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one per program, for ever
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends within 10 s
	)
}

func TestReadiness(t *testing.T) {
	redis, postgres, beside := embeddedtest.RedisServer(t), embeddedtest.Postgres(t), embeddedtest.Postgres(t)
	p := open(t, config(t, redis.URL, postgres))
	server := httptest.NewServer(p.opsHandler(0, &loudness{}, &flight{}))
	defer server.Close()
	ready := func() (status int, wrong []string) {
		t.Helper()
		status, body := get(t, server.URL+"/readyz")
		if err := json.Unmarshal([]byte(body), &wrong); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return status, wrong
	}
	expect := func(when string, complaints ...string) {
		t.Helper()
		status, wrong := ready()
		if (status == http.StatusOK) != (len(complaints) == 0) || len(wrong) != len(complaints) {
			t.Errorf("%s: %d %q", when, status, wrong)
			return
		}
		for i, c := range complaints {
			if !strings.HasPrefix(wrong[i], c+": ") {
				t.Errorf("%s: %q is not about %s", when, wrong[i], c)
			}
		}
		if status, _ := get(t, server.URL+"/healthz"); status != http.StatusOK {
			t.Errorf("%s: the process does not live", when)
		}
	}
	expect("at start")

	redis.Kill()
	expect("without Redis", "redis")
	redis.Restart()
	expect("with Redis again")

	connect := func(url string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	exec := func(conn *pgx.Conn, statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec(connect(postgres), `insert into goose_db_version (version_id, is_applied) values (99999, true)`)
	expect("with a schema that is ahead")

	admin := connect(beside)
	name := postgres[strings.LastIndex(postgres, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	exec(admin, "alter database "+name+" allow_connections false")
	exec(admin, fmt.Sprintf("select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'", name))
	expect("without Postgres", "postgres", "schema")
	exec(admin, "alter database "+name+" allow_connections true")
	for range p.config.PostgresConns { // each connection that was cut may be found out by one more question
		if status, _ := ready(); status == http.StatusOK {
			break
		}
	}
	expect("with Postgres again")

	exec(connect(postgres), `delete from goose_db_version where version_id = 1`)
	expect("with an old schema", "schema")
}

func TestReadinessIsAskedOnce(t *testing.T) {
	asked := 0
	r := &readiness{fresh: time.Hour, ask: func(context.Context) []string { asked++; return []string{} }}
	for range 3 {
		r.get(t.Context())
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAPINeedsKeys(t *testing.T) {
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	c.JWTKeys = ""
	p := open(t, c)
	if err := p.RunAPI(t.Context()); err == nil || !strings.Contains(err.Error(), "SLUICE_JWT_KEYS") {
		t.Errorf("got %v", err)
	}
}

func TestCommandChecksBeforeItOpens(t *testing.T) {
	c := config(t, "redis://"+deadAddress(t), "")
	err := Command{Needs: []Need{Servers}}.run(t.Context(), c)
	if got := Status(err, io.Discard, "test"); got != ExitUsage || !strings.Contains(fmt.Sprint(err), "SLUICE_POSTGRES_URL is missing") {
		t.Errorf("status %d: %v", got, err)
	}
}

func listener(t testing.TB) net.Listener {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// deadAddress is one where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l := listener(t)
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
