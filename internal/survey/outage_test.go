package survey

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// missing fails unless every series of these families is gone, or there.
func (h *house) missing(gone bool, families ...string) {
	h.t.Helper()
	seen := h.shown()
	for _, family := range families {
		there := false
		for name := range seen {
			there = there || name == family || strings.HasPrefix(name, family+"{")
		}
		if there == gone {
			h.t.Errorf("%s is shown: %v", family, there)
		}
	}
}

var (
	ofRedis    = []string{"sluice_partition_depth", "sluice_partition_oldest_seconds", "sluice_partition_held", "sluice_dead_letters", "sluice_redis_clients", "sluice_redis_memory_used_bytes"}
	ofPostgres = []string{"sluice_sales_open", "sluice_sale_units", "sluice_postgres_database_bytes"}
)

// TestRedisDies: what only it knows is not shown until it is back, the rest is.
func TestRedisDies(t *testing.T) {
	h := newHouse(t)
	h.offerOpen()
	before := h.see()
	if before["sluice_redis_up"] != 1 || before["sluice_postgres_up"] != 1 || before["sluice_survey_timestamp_seconds"] == 0 {
		t.Errorf("with both: %v", before)
	}
	h.missing(false, ofRedis...)
	h.missing(false, ofPostgres...)

	h.redis.Kill()
	if err := h.survey.look(h.ctx); err == nil {
		t.Error("a dead server was surveyed")
	}
	after := h.shown()
	if after["sluice_redis_up"] != 0 || after["sluice_postgres_up"] != 1 || after["sluice_survey_failures_total"] != 1 ||
		after["sluice_survey_timestamp_seconds"] != before["sluice_survey_timestamp_seconds"] {
		t.Errorf("without Redis: %v", after)
	}
	h.missing(true, ofRedis...)
	h.missing(false, ofPostgres...)

	h.redis.Restart()
	h.until("Redis is seen again", func() bool { return h.survey.look(h.ctx) == nil })
	h.missing(false, ofRedis...)
	if got := h.shown(); got["sluice_redis_up"] != 1 || got["sluice_partition_loading{0}"] != 1 {
		t.Errorf("with an empty Redis: %v", got)
	}
}

// offerOpen records a sale and opens it as its first request would.
func (h *house) offerOpen() {
	h.t.Helper()
	s := h.offer(sale.Sale{Kind: sale.Auction})
	h.sql(`update sales set phase = 'open' where id = $1`, s.ID)
}

// way is one to a server that can be closed, and the server's URL by that.
func (h *house) way(to string) (*toxiproxy.Proxy, string) {
	h.t.Helper()
	u, err := url.Parse(to)
	h.must(err)
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	way := toxiproxy.NewProxy(proxies, "way", "127.0.0.1:0", u.Host)
	h.must(way.Start())
	h.t.Cleanup(way.Stop)
	u.Host = way.Listen
	return way, u.String()
}

// TestRedisHangs: a server that is there and says nothing is as good as dead, and keeps
// nobody from seeing the other.
func TestRedisHangs(t *testing.T) {
	h := newHouse(t)
	h.offerOpen()
	way, there := h.way(h.redis.URL)
	store, err := partition.Open(h.ctx, partition.Options{URL: there, Partitions: 2})
	h.must(err)
	t.Cleanup(func() { store.Close() })
	h.registry = prometheus.NewRegistry()
	h.survey = New(store, h.ledger, 1000, zerolog.Nop(), h.registry)
	h.see()
	_, err = way.Toxics.AddToxicJson(strings.NewReader(`{"name":"silence","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`))
	h.must(err)
	if err := h.survey.look(h.ctx); err == nil {
		t.Error("a server that hangs was surveyed")
	}
	if got := h.shown(); got["sluice_redis_up"] != 0 || got["sluice_postgres_up"] != 1 || got["sluice_sales_open"] != 1 {
		t.Errorf("it shows %v", got)
	}
	way.Toxics.ResetToxics(h.ctx)
	h.until("Redis is seen again", func() bool { return h.survey.look(h.ctx) == nil })
}

// TestPostgresDies: the same the other way round.
func TestPostgresDies(t *testing.T) {
	h := newHouse(t)
	h.offerOpen()
	way, there := h.way(h.postgres)
	h.registry = prometheus.NewRegistry()
	h.survey = New(h.store, h.opened(there), 1000, zerolog.Nop(), h.registry)
	h.see()
	h.missing(false, ofPostgres...)

	way.Stop()
	if err := h.survey.look(h.ctx); err == nil {
		t.Error("a dead server was surveyed")
	}
	if got := h.shown(); got["sluice_postgres_up"] != 0 || got["sluice_redis_up"] != 1 || got["sluice_survey_failures_total"] != 1 {
		t.Errorf("without Postgres: %v", got)
	}
	h.missing(true, ofPostgres...)
	h.missing(false, ofRedis...)

	h.must(way.Start())
	h.until("Postgres is seen again", func() bool { return h.survey.look(h.ctx) == nil })
	h.missing(false, ofPostgres...)
}

// TestRun: it goes on while a server is dead, says once that it is and once that it is
// back, and ends when it is told to.
func TestRun(t *testing.T) {
	h := newHouse(t)
	book := &logbook{}
	h.survey.log = zerolog.New(book)
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.survey.Run(ctx) }()
	is := func(name string, value float64) func() bool {
		return func() bool { got, there := h.shown()[name]; return there && got == value }
	}
	h.until("it has looked", is("sluice_redis_up", 1))
	h.redis.Kill()
	h.until("it has failed twice", is("sluice_survey_failures_total", 2))
	h.redis.Restart()
	h.until("it has looked again", is("sluice_redis_up", 1))
	h.until("it says so", func() bool { return strings.Contains(book.String(), "complete again") })
	cancel()
	select {
	case err := <-ended:
		h.must(err)
	case <-time.After(longest):
		t.Fatal("it does not end")
	}
	if n := strings.Count(book.String(), "\n"); n != 2 {
		t.Errorf("%d lines were logged:\n%s", n, book.String())
	}
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

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
