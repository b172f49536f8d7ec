package migrations_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"testing"

	"sluice/internal/embedded/embeddedtest"
	"sluice/migrations"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// blank returns the URL of a database that nobody has migrated.
func blank(t testing.TB) string {
	t.Helper()
	beside := embeddedtest.Postgres(t)
	u, err := url.Parse(beside)
	if err != nil {
		t.Fatal(err)
	}
	// A name that has to be quoted.
	name := `blank "` + strings.ToLower(rand.Text()[:8])
	quoted := pgx.Identifier{name}.Sanitize()
	exec(t, beside, "create database "+quoted)
	t.Cleanup(func() { exec(t, beside, "drop database "+quoted+" with (force)") })
	u.Path = "/" + name
	return u.String()
}

// exec outlives the test's context, for cleanups.
func exec(t testing.TB, url, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func ask[T any](t testing.TB, url, query string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func apply(t *testing.T, url string) {
	t.Helper()
	if err := migrations.Apply(t.Context(), url); err != nil {
		t.Fatal(err)
	}
}

func pending(t *testing.T, url string) int {
	t.Helper()
	n, err := migrations.Pending(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const rows = `select count(*) from goose_db_version`

func TestApplyTwice(t *testing.T) {
	url := blank(t)
	if pending(t, url) == 0 {
		t.Fatal("an empty database has nothing pending")
	}
	apply(t, url)
	if n := pending(t, url); n != 0 {
		t.Fatalf("%d migrations are pending after Apply", n)
	}
	before := ask[int](t, url, rows)
	apply(t, url)
	if after := ask[int](t, url, rows); after != before {
		t.Errorf("the second Apply went from %d to %d rows", before, after)
	}
}

func TestPendingOnlyLooks(t *testing.T) {
	url := blank(t)
	pending(t, url)
	if n := ask[int](t, url, `select count(*) from pg_class where relnamespace = 'public'::regnamespace`); n != 0 {
		t.Errorf("Pending made %d relations", n)
	}
}

func TestPendingCountsWhatIsMissing(t *testing.T) {
	url := blank(t)
	apply(t, url)
	exec(t, url, `update goose_db_version set version_id = 99999 where version_id = 1`)
	if n := pending(t, url); n != 1 {
		t.Errorf("%d migrations are pending, want 1", n)
	}
}

func TestApplyTenAtOnce(t *testing.T) {
	url := blank(t)
	errs := make([]error, 10)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = migrations.Apply(t.Context(), url) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("number %d: %v", i, err)
		}
	}
	if n := ask[int](t, url, `select count(*) - count(distinct version_id) from goose_db_version`); n != 0 {
		t.Errorf("%d migrations were applied again", n)
	}
	if n := pending(t, url); n != 0 {
		t.Errorf("%d migrations are pending", n)
	}
}

func TestLimitsHoldForNewConnections(t *testing.T) {
	url := blank(t)
	apply(t, url)
	database := pgx.Identifier{ask[string](t, url, `select current_database()`)}.Sanitize()
	check := func() {
		t.Helper()
		for setting, want := range map[string]string{
			"idle_in_transaction_session_timeout": "2s",
			"lock_timeout":                        "2s",
			"statement_timeout":                   "10s",
		} {
			if got := ask[string](t, url, "show "+setting); got != want {
				t.Errorf("%s is %s, want %s", setting, got, want)
			}
		}
	}
	check()
	exec(t, url, "alter role current_user in database "+database+" set statement_timeout = '1h'")
	exec(t, url, "alter role current_user in database "+database+" reset lock_timeout")
	apply(t, url)
	check()
}

// A migration may take longer than any request may.
func TestMigratingSessionHasNoStatementTimeout(t *testing.T) {
	url := blank(t)
	database := pgx.Identifier{ask[string](t, url, `select current_database()`)}.Sanitize()
	exec(t, url, "alter role current_user in database "+database+" set statement_timeout = '1ms'")
	apply(t, url)
}

func TestApplySaysWhatIsWrong(t *testing.T) {
	for _, url := range []string{"postgres://%", "postgres://sluice@127.0.0.1:1/none?sslmode=disable"} {
		if err := migrations.Apply(t.Context(), url); err == nil {
			t.Errorf("Apply(%q) went through", url)
		}
		if _, err := migrations.Pending(t.Context(), url); err == nil {
			t.Errorf("Pending(%q) went through", url)
		}
	}
}

// TestPendingThroughPooler: what is pending can be asked through a pooler, again and
// again; to migrate through one is refused by it.
func TestPendingThroughPooler(t *testing.T) {
	url := blank(t)
	b := embeddedtest.Pooler(t, url, 1)
	for range 2 {
		if pending(t, b.URL) == 0 {
			t.Fatal("an empty database has nothing pending")
		}
	}
	if err := migrations.Apply(t.Context(), b.URL); err == nil {
		t.Error("it migrates through a pooler")
	}
	apply(t, url)
	if n := pending(t, b.URL); n != 0 {
		t.Errorf("%d migrations are pending after Apply", n)
	}
}
