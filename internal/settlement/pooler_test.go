package settlement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
)

// Postgres behind PgBouncer in transaction mode: every transaction may have another
// session, and there are fewer sessions than clients.

// TestHistoriesThroughPooler lives the histories of TestHistories there.
func TestHistoriesThroughPooler(t *testing.T) {
	pooledHouse(t, 2).histories(func(o *owner) *owner { return o })
}

// TestPoolerNeedsItsSetting is its known-bad twin: two ledgers that do not know of the
// pooler share one session, and the names that one has given to statements are in the
// way of the other.
func TestPoolerNeedsItsSetting(t *testing.T) {
	b := embeddedtest.Pooler(t, embeddedtest.Postgres(t), 1)
	for _, knows := range []bool{true, false} {
		var refused error
		for range 2 {
			l, err := ledger.Open(t.Context(), ledger.Options{URL: b.URL, Pooler: knows})
			if err == nil {
				t.Cleanup(l.Close)
				err = l.EnsurePartitions(t.Context(), partitions)
			}
			refused = errors.Join(refused, err)
		}
		var why *pgconn.PgError
		switch {
		case knows && refused != nil:
			t.Error(refused)
		case !knows && (!errors.As(refused, &why) || why.Code != "42P05" && why.Code != "26000"):
			t.Errorf("without the setting: %v", refused)
		}
	}
}

// TestBreakageThroughPooler breaks what goes to Postgres, once for each round trip, in
// all manners but that a process stalls (TestStoppedBehindPooler), while PgBouncer has
// fewer sessions than there are processes' connections.
func TestBreakageThroughPooler(t *testing.T) {
	t.Parallel()
	h, cells := pooledHouse(t, 3), 0
	for _, e := range effects {
		if e.sql == "" || e.along {
			continue
		}
		for _, story := range e.story {
			for _, m := range manners {
				if m == stalls {
					continue
				}
				if cells%cellsMost == cellsMost-1 {
					h = pooledHouse(t, 3)
				}
				cells++
				t.Run(fmt.Sprintf("%s/%s/%s", story, e.name, m), func(sub *testing.T) {
					for _, f := range h.lent(sub, func() []finding { return h.cell(story, &breaks{effect: e.name, nth: 1, manner: m}).live() }) {
						sub.Error(f)
					}
				})
			}
		}
	}
	t.Logf("%d cells", cells)
}

// behind is an ordeal whose consumer has three sessions for its four partitions.
func behind(t *testing.T, pg string) (*ordeal, *embeddedtest.PgBouncer) {
	b := embeddedtest.Pooler(t, pg, 3)
	return endureBy(t, pg, ledger.Options{URL: b.URL, Pooler: true}), b
}

// TestPoolerDown: it is killed in the middle of transactions, twice, and comes back.
func TestPoolerDown(t *testing.T) {
	t.Parallel()
	o, b := behind(t, embeddedtest.Postgres(t))
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	for range 2 {
		began := len(o.log.lines())
		o.fail(b.Kill)
		o.blocked(began, 6, "connection refused")
		b.Restart()
		o.until("it catches up", func() bool { return o.settled(o.sales...) })
	}
	o.recovered()
}

// TestPoolerPaused: an operator pauses it, as he does to move Postgres, and resumes.
// What is asked meanwhile waits.
func TestPoolerPaused(t *testing.T) {
	t.Parallel()
	o, b := behind(t, embeddedtest.Postgres(t))
	for range 3 {
		o.crowd(5, o.sales...)
		b.Do("pause")
		o.crowd(5, o.sales...)
		for _, s := range o.sales {
			last := o.asked[s.ID][len(o.asked[s.ID])-1]
			if got := o.hot(s, last); got.Status.String() != "queued" {
				t.Errorf("a receipt of sale %d is %s", s.ID, got.Status)
			}
		}
		b.Do("resume")
		o.until("it catches up", func() bool { return o.settled(o.sales...) })
	}
	o.recovered()
}

// TestSessionsEndBehindPooler: Postgres ends the sessions of the pooler, in the middle
// of transactions.
func TestSessionsEndBehindPooler(t *testing.T) {
	t.Parallel()
	o, _ := behind(t, embeddedtest.Postgres(t))
	for range 3 {
		before := o.retried()
		o.fail(func() { o.sql(cut) })
		o.until("somebody tries again", func() bool { return o.retried() > before })
		o.until("it catches up", func() bool { return o.settled(o.sales...) })
	}
	o.recovered()
}

// TestPostgresReadOnlyBehindPooler: it is read-only for a while, and the sessions that
// the pooler has opened meanwhile would be so for as long as it keeps them.
func TestPostgresReadOnlyBehindPooler(t *testing.T) {
	t.Parallel()
	o, _ := behind(t, embeddedtest.Postgres(t))
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	began := len(o.log.lines())
	o.fail(func() {
		o.readOnly(true)
		o.sql(cut)
	})
	o.blocked(began, 6, "SQLSTATE 25006")
	o.readOnly(false)
	o.recovered()
}

// TestStoppedBehindPooler: whoever is stopped in the middle of a transaction is in
// nobody's way for longer than the role allows, which holds behind the pooler too.
func TestStoppedBehindPooler(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	b := embeddedtest.Pooler(t, pg, 3)
	connect := func(url string) *pgx.Conn {
		t.Helper()
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		c, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.WithoutCancel(t.Context())) })
		return c
	}
	do := func(c *pgx.Conn, statement string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	stopped, other := connect(b.URL), connect(pg)
	for setting, want := range map[string]string{"idle_in_transaction_session_timeout": "2s", "lock_timeout": "2s", "statement_timeout": "10s"} {
		var got string
		if err := stopped.QueryRow(t.Context(), `show `+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s behind the pooler, not %s: %v", setting, got, want, err)
		}
	}
	do(other, `insert into partitions (id) values (0)`)
	do(stopped, `begin`)
	do(stopped, `update partitions set owner = 'stopped' where id = 0`)
	do(other, `set lock_timeout = 0`)
	do(other, `set statement_timeout = '1min'`)
	do(other, `update partitions set owner = 'next' where id = 0`) // waits until the other one is out of the way
	if _, err := stopped.Exec(t.Context(), `commit`); err == nil {
		t.Error("it commits after all")
	}
}

// TestPoolerLeavesNothingBehind: whatever a ledger does in the histories, no session of
// the pooler has a prepared statement, an advisory lock, a listener, a temporary table or
// a setting of its own afterwards.
func TestPoolerLeavesNothingBehind(t *testing.T) {
	h := pooledHouse(t, 1)
	o := h.owner(0)
	h.must(o.step(h.ctx))
	for seed := range 5 {
		o = h.live(o, seed, func(o *owner) *owner { return o })
	}
	config, err := pgxpool.ParseConfig(h.pooler.URL)
	h.must(err)
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool, err := pgxpool.NewWithConfig(h.ctx, config)
	h.must(err)
	defer pool.Close()
	left := func() (left []string) {
		rows, err := pool.Query(h.ctx, `
			select 'prepared ' || name from pg_prepared_statements
			union all
			select 'lock ' || objid from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
			union all
			select 'listens to ' || pg_listening_channels()
			union all
			select 'table ' || relname from pg_class where relpersistence = 't'
			union all
			select 'setting ' || name from pg_settings where source = 'session' and name <> 'client_encoding'`)
		h.must(err)
		left, err = pgx.CollectRows(rows, pgx.RowTo[string])
		h.must(err)
		slices.Sort(left)
		return left
	}
	if found := left(); len(found) > 0 {
		t.Errorf("left in the session: %s", strings.Join(found, ", "))
	}
	// The known-bad twin: one who leaves all of these.
	for _, statement := range []string{
		`prepare mine as select 1`, `select pg_advisory_lock(1)`, `listen news`, `create temporary table mine ()`, `set enable_seqscan = off`,
	} {
		_, err := pool.Exec(h.ctx, statement)
		h.must(err)
	}
	if found := left(); len(found) != 5 {
		t.Errorf("of five things left in the session there is found: %s", strings.Join(found, ", "))
	}
}
