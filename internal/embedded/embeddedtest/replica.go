package embeddedtest

import (
	"testing"

	"sluice/internal/embedded"
)

// Replica is a hot standby of one test alone. Its methods are not for concurrent use.
type Replica struct {
	Primary string // a database of the test's own, as Postgres gives one
	URL     string // the same one at the standby; the same after Restart

	t   testing.TB
	now *embedded.Replica
}

// Replicated lends a database with a hot standby, which has all of it already. Both are
// gone when the test ends.
func Replicated(t testing.TB) *Replica {
	t.Helper()
	r := &Replica{t: t, Primary: clonedFrom(t, theReplicables)}
	dir, err := newFolder("replica")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := within()
	defer cancel()
	if r.now, err = embedded.StartReplica(ctx, embedded.ReplicaOptions{Dir: dir, Postgres: r.Primary}); err != nil {
		fail(t, err)
	}
	atEnd(r.now.Kill)
	t.Cleanup(func() { r.now.Kill() })
	if r.URL, err = r.now.URL(r.Primary); err != nil {
		t.Fatal(err)
	}
	return r
}

// Do runs a statement at the standby: select pg_wal_replay_pause(), for example.
func (r *Replica) Do(statement string) {
	r.t.Helper()
	ctx, cancel := within()
	defer cancel()
	if err := r.now.Exec(ctx, statement); err != nil {
		r.t.Fatal(err)
	}
}

// Kill ends it at once and returns when it is gone.
func (r *Replica) Kill() { r.now.Kill() }

// Restart starts it again, after killing it if it still runs.
func (r *Replica) Restart() {
	r.t.Helper()
	ctx, cancel := within()
	defer cancel()
	if err := r.now.Restart(ctx); err != nil {
		r.t.Fatal(err)
	}
}
