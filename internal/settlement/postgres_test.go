package settlement

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/embedded"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
	"sluice/migrations"
)

// The faults of Postgres that are promised to cost nobody anything: each begins in
// the middle of a transaction of a consumer at work, and ends. Until then nothing is
// decided or lost, and afterwards everything is as it would have been.

// private starts a Postgres that the test may kill, with nothing but the schema in it.
func private(t *testing.T) *embedded.Servers {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-settlement-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Redis: "redis://unused", Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := migrations.Apply(t.Context(), s.PostgresURL); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPostgresDown: it is killed, twice, and comes back.
func TestPostgresDown(t *testing.T) {
	t.Parallel()
	s := private(t)
	o := endure(t, s.PostgresURL, s.PostgresURL)
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	for range 2 {
		began := len(o.log.lines())
		o.fail(func() { o.must(s.KillPostgres()) })
		o.blocked(began, 6, "connection refused")
		o.must(s.RestartPostgres(o.ctx))
		o.until("it catches up", func() bool { return o.settled(o.sales...) })
	}
	o.recovered()
}

// TestPostgresReadOnly: as after a failover to the wrong server, or when an operator
// or his disk guard has made it so.
func TestPostgresReadOnly(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	o := endure(t, pg, pg)
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	began := len(o.log.lines())
	o.fail(func() {
		o.readOnly(true)
		o.sql(cut)
	})
	o.blocked(began, 6, "SQLSTATE 25006")
	o.readOnly(false) // sessions that began before go on refusing: the ledger must not keep them
	o.recovered()
}

// readOnly makes the sessions to come refuse to write, or not.
func (o *ordeal) readOnly(on bool) {
	o.t.Helper()
	c := o.session()
	o.exec(c, `set default_transaction_read_only = off`)
	word := map[bool]string{true: `set default_transaction_read_only = on`, false: `reset default_transaction_read_only`}[on]
	o.exec(c, `do $$ begin execute format('alter database %I `+word+`', current_database()); end $$`)
}

// TestPostgresOutOfConnections: somebody else has all of them.
func TestPostgresOutOfConnections(t *testing.T) {
	t.Parallel()
	s := private(t)
	o := endure(t, s.PostgresURL, s.PostgresURL)
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	var others []*pgx.Conn
	end := func() {
		for _, c := range others {
			_ = c.Close(context.WithoutCancel(o.ctx))
		}
	}
	t.Cleanup(end)
	began := len(o.log.lines())
	o.fail(func() {
		first := o.session()
		o.until("the others have all connections", func() bool {
			c, err := pgx.Connect(o.ctx, s.PostgresURL)
			if err == nil {
				others = append(others, c)
				return false
			}
			if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || refused.Code != "53300" {
				t.Fatal(err)
			}
			var ours int
			o.must(first.QueryRow(o.ctx, cut).Scan(&ours))
			return ours == 0
		})
	})
	o.blocked(began, 6, "SQLSTATE 53300")
	t.Logf("%d connections of others", len(others))
	end()
	o.recovered()
}

// TestPostgresSlow: what a statement and its answer take is longer than a transaction
// may be idle.
func TestPostgresSlow(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	way := wayTo(t, pg)
	o := endure(t, pg, way.url)
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	began := len(o.log.lines())
	o.fail(func() { way.delay(1500) })
	o.blocked(began, 2, "SQLSTATE 25P03", "timeout", "unexpected EOF", "connection reset")
	way.heal()
	o.recovered()
}

// TestPostgresLocked: somebody keeps a table to himself for longer than we wait.
func TestPostgresLocked(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	hasty(t, pg)
	o := endure(t, pg, pg)
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	other := o.session()
	began := len(o.log.lines())
	o.fail(func() {
		o.exec(other, `begin`)
		o.exec(other, `lock table wallets in exclusive mode`)
	})
	o.blocked(began, 6, "SQLSTATE 55P03")
	o.exec(other, `rollback`)
	o.recovered()
}

// TestPostgresDeadlock: somebody takes our locks in another order, and Postgres gives
// us up, three times.
func TestPostgresDeadlock(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	o := endure(t, pg, pg)
	s, other := o.sales[0], o.session()
	o.exec(other, `set deadlock_timeout = '1h'`) // it is us who find out, and give way
	o.again(3, s, "SQLSTATE 40P01", func() {
		o.exec(other, `begin`)
		o.exec(other, `select from wallets where id = $1 for update`, s.Escrow)
	}, func() {
		o.until("we wait for the wallet", func() bool { return o.waits(other) })
		o.exec(other, `update partitions set owner = owner where id = $1`, s.Partition)
	}, func() { o.exec(other, `rollback`) })
	o.recovered()
}

// TestPostgresSerialization: under the strictest isolation, somebody writes what we are
// about to, three times.
func TestPostgresSerialization(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	o := endure(t, pg, pg)
	s, other := o.sales[0], o.session()
	o.sql(`do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', current_database()); end $$`)
	o.sql(cut)
	o.again(3, s, "SQLSTATE 40001", func() {
		o.exec(other, `begin isolation level read committed`)
		o.exec(other, `update wallets set balance = balance where id = $1`, s.Escrow)
	}, func() {
		o.until("we wait for the wallet", func() bool { return o.waits(other) })
		o.exec(other, `commit`)
	}, func() {})
	o.recovered()
}

// again lets a batch of s run into a fault that passes by itself, so many times: begin
// prepares it, strike lets it happen to us, end cleans up once we were told.
func (o *ordeal) again(times int, s sale.Sale, says string, begin, strike, end func()) {
	o.t.Helper()
	told := func() (n int) {
		for _, l := range o.log.lines() {
			if l.Partition == s.Partition && l.Message == "batch not through" && strings.Contains(l.Error, says) {
				n++
			}
		}
		return n
	}
	o.crowd(5, o.sales...)
	o.until("it settles", func() bool { return o.settled(o.sales...) })
	for range times {
		before := told()
		o.fail(begin)
		strike()
		if asked := o.asked[s.ID]; o.hot(s, asked[len(asked)-1]).Status != sale.Queued || !o.owned() {
			o.t.Errorf("%+v, owned are %v", o.hot(s, asked[len(asked)-1]), o.consumer.Owned())
		}
		o.until("we are told "+says, func() bool { return told() > before })
		end()
		o.until("it gets through by itself", func() bool { return o.settled(o.sales...) })
	}
	if told() < times || o.retried() < times {
		o.t.Errorf("told %d times, %d tries", told(), o.retried())
	}
}

// TestPostgresDiskFull: the kernel has no space for what Postgres wants to write.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	pg := embeddedtest.Postgres(t)
	o := endure(t, pg, pg)
	began := len(o.log.lines())
	var end func()
	o.fail(func() { end = o.fullDisk("receipts_0") })
	o.blocked(began, 6, "SQLSTATE 53100")
	end()
	o.recovered()
}

// fullDisk puts a table that has no row yet onto a device that is always full, which
// needs no more rights than those of Postgres. What it answers frees the space.
// Sessions keep their files open, so the consumer's are ended each time.
func (o *ordeal) fullDisk(table string) (end func()) {
	o.t.Helper()
	var folder, path string
	o.must(o.session().QueryRow(o.ctx, `select current_setting('data_directory'), pg_relation_filepath($1)`, table).Scan(&folder, &path))
	path = filepath.Join(folder, path)
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		o.t.Fatalf("%s is not empty: %+v, %v", table, info, err)
	}
	o.must(os.Rename(path, path+".free"))
	o.must(os.Symlink("/dev/full", path))
	o.sql(cut)
	free := sync.OnceFunc(func() {
		if err := os.Rename(path+".free", path); err != nil {
			o.t.Error(err)
		}
	})
	o.t.Cleanup(free)
	return func() {
		free()
		o.sql(cut)
	}
}

// way leads to a server, over ground that can be made worse.
type way struct {
	t     *testing.T
	url   string
	proxy *toxiproxy.Proxy
}

// wayTo opens one, which lasts as long as the test.
func wayTo(t *testing.T, server string) *way {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	toxics := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	w := &way{t: t, proxy: toxiproxy.NewProxy(toxics, "postgres", "127.0.0.1:0", u.Host)}
	if err := w.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Stop)
	u.Host = w.proxy.Listen
	w.url = u.String()
	return w
}

// delay lets everything take so many ms longer, there and back.
func (w *way) delay(ms int) {
	w.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		w.worsen(fmt.Sprintf(`{"name":"%s","type":"latency","stream":"%s","attributes":{"latency":%d}}`, stream, stream, ms))
	}
}

func (w *way) worsen(toxic string) {
	w.t.Helper()
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *way) heal() { w.proxy.Toxics.ResetToxics(w.t.Context()) }
