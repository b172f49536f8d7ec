package embeddedtest

import (
	"testing"

	"sluice/internal/embedded"
)

// PgBouncer is one of a test alone, before the database of a test. Its methods are not
// for concurrent use.
type PgBouncer struct {
	URL string // the database behind it, in transaction mode; the same after Restart

	t       testing.TB
	options embedded.PgBouncerOptions
	now     *embedded.PgBouncer
}

// Pooler starts a PgBouncer in transaction mode before the database at url, with so
// many sessions for all its clients, and more settings as in its file
// ("query_wait_timeout = 5"). It is gone when the test ends.
func Pooler(t testing.TB, url string, sessions int, settings ...string) *PgBouncer {
	t.Helper()
	dir, err := newFolder("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	b := &PgBouncer{t: t, options: embedded.PgBouncerOptions{Dir: dir, Postgres: url, PoolSize: sessions, Settings: settings}}
	b.Restart()
	b.options.Port = b.now.Port
	if b.URL, err = b.now.URL(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.now.Kill() })
	return b
}

// Kill ends it at once (SIGKILL) and returns when it is gone.
func (b *PgBouncer) Kill() { b.now.Kill() }

// Restart starts it again, on its old port, after killing it if it still runs.
func (b *PgBouncer) Restart() {
	b.t.Helper()
	if b.now != nil {
		b.now.Kill()
	}
	ctx, cancel := within()
	defer cancel()
	now, err := embedded.StartPgBouncer(ctx, b.options)
	if err != nil {
		fail(b.t, err)
	}
	b.now = now
	atEnd(func() { now.Kill() })
}

// Do runs a command of its console: pause, resume, reconnect, …
func (b *PgBouncer) Do(command string) {
	b.t.Helper()
	ctx, cancel := within()
	defer cancel()
	if err := b.now.Do(ctx, command); err != nil {
		b.t.Fatal(err)
	}
}

// Process is its number.
func (b *PgBouncer) Process() int { return b.now.Process() }
