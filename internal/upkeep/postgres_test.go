package upkeep

import (
	"bytes"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

// TestDutiesWithoutPostgres: the scheduler keeps the lead, says so in a line a beat,
// and does what was due, once, when Postgres is back.
func TestDutiesWithoutPostgres(t *testing.T) {
	for _, test := range []struct {
		name       string
		begin, end func(o *outage)
	}{
		{"nobody listens", func(o *outage) { o.way.Stop() }, func(o *outage) { o.must(o.way.Start()) }},
		{"reads only", func(o *outage) { o.alter("set default_transaction_read_only = on") },
			func(o *outage) { o.alter("reset default_transaction_read_only") }},
		{"connections reset", func(o *outage) {
			_, err := o.way.Toxics.AddToxicJson(strings.NewReader(`{"name":"reset","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`))
			o.must(err)
		}, func(o *outage) { o.way.Toxics.ResetToxics(o.ctx) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := openToOutage(t)
			o.run(settlement.New("consumer", o.store, o.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run)
			buyers, err := o.ledger.CreateAccounts(o.ctx, "buyer", 1, 100)
			o.must(err)
			inn := o.inn("UTC")
			now := sale.At(time.Now())
			s, err := o.ledger.CreateSale(o.ctx, sale.Sale{
				Kind: sale.Event, Seller: inn.Seller, Title: "talk", Stock: 10, Limit: 1, Price: sale.Price{Policy: sale.Fixed}, Hold: time.Minute,
				OpensAt: now.Add(time.Second), ClosesAt: now.Add(time.Hour),
			}, 2)
			o.must(err)
			o.must(o.ledger.Watch(o.ctx, buyers[0], s.ID))

			test.begin(o)
			began := time.Now()
			stop := o.run(o.scheduler.Run)
			o.until("it has tried a few times", func() bool { return o.log.lines() >= 5 && time.Now().After(s.OpensAt.Time()) })
			if most := 1 + int(10*time.Since(began)/beat); o.log.lines() > most {
				t.Errorf("%d lines in %s", o.log.lines(), time.Since(began))
			}
			if testutil.ToFloat64(o.scheduler.leads) != 1 {
				t.Error("it has given up the lead")
			}
			if n := o.slots(inn); n != 0 || o.told(buyers[0], sale.NoticeOpens) != 0 {
				t.Errorf("%d slots, told %d times", n, o.told(buyers[0], sale.NoticeOpens))
			}
			test.end(o)

			o.until("the sale opens", func() bool { phase, _ := o.phase(s.ID); return phase == sale.PhaseOpen })
			o.until("who waits for it is told", func() bool { return o.told(buyers[0], sale.NoticeOpens) > 0 })
			o.until("the inn has its slots", func() bool { return o.slots(inn) > 0 })
			stop()
			if n := o.told(buyers[0], sale.NoticeOpens); n != 1 || testutil.ToFloat64(o.scheduler.ticks.WithLabelValues("open")) != 1 {
				t.Errorf("told %d times, ticks %v", n, testutil.ToFloat64(o.scheduler.ticks.WithLabelValues("open")))
			}
		})
	}
}

// outage is a house whose scheduler can be cut off from Postgres; its own ledger is not.
type outage struct {
	*house
	way       *toxiproxy.Proxy
	url       string // of Postgres
	scheduler *Scheduler
	log       *logbook
}

func openToOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{house: &house{t: t, ctx: t.Context()}, url: embeddedtest.Postgres(t), log: &logbook{}}
	var err error
	o.ledger, err = ledger.Open(o.ctx, ledger.Options{URL: o.url + "&default_transaction_read_only=off"})
	o.must(err)
	t.Cleanup(o.ledger.Close)
	o.must(o.ledger.EnsurePartitions(o.ctx, 2))
	o.store, err = partition.Open(o.ctx, partition.Options{URL: embeddedtest.Redis(t), Partitions: 2})
	o.must(err)
	t.Cleanup(func() { o.store.Close() })

	u, err := url.Parse(o.url)
	o.must(err)
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	o.way = toxiproxy.NewProxy(proxies, "postgres", "127.0.0.1:0", u.Host)
	o.must(o.way.Start())
	t.Cleanup(o.way.Stop)
	u.Host = o.way.Listen
	cut, err := ledger.Open(o.ctx, ledger.Options{URL: u.String() + "&application_name=ours"})
	o.must(err)
	t.Cleanup(cut.Close)
	o.scheduler = New("cut off", o.store, cut, 24*time.Hour, 0, zerolog.New(o.log), prometheus.NewRegistry())
	return o
}

// alter changes the database for the sessions to come, and ends the scheduler's.
func (o *outage) alter(how string) {
	o.t.Helper()
	config, err := pgx.ParseConfig(o.url)
	o.must(err)
	database := config.Database
	config.Database = "postgres" // nobody can lock himself out
	c, err := pgx.ConnectConfig(o.ctx, config)
	o.must(err)
	defer c.Close(o.ctx)
	_, err = c.Exec(o.ctx, "alter database "+database+" "+how)
	o.must(err)
	_, err = c.Exec(o.ctx, `
		select pg_terminate_backend(pid)
		from pg_stat_activity
		where datname = $1 and application_name = 'ours'`, database)
	o.must(err)
}

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte("\n"))
}

// TestPublishWithoutPostgres: when nothing can be written, it is not tried for every
// store, nor told of each.
func TestPublishWithoutPostgres(t *testing.T) {
	o := openToOutage(t)
	for range 10 {
		o.inn("UTC")
	}
	o.alter("set default_transaction_read_only = on")
	o.until("it is refused", func() bool {
		err := o.scheduler.publish(o.ctx, sale.At(time.Now()))
		if err != nil && strings.Count(err.Error(), "SQLSTATE") > 4 {
			t.Fatalf("it was tried for every store: %v", err)
		}
		return err != nil && strings.Contains(err.Error(), "25006")
	})
}
