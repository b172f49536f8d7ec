package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// crowded is all of Sluice in one process, with ten thousand open sales in sixteen
// partitions, of which some are traded in, and where everything was asked that there is
// an address for, and much that there is none for.
type crowded struct {
	*Process
	api, ops string // base URLs
	buyers   []int64
}

const crowdedSales = 10_000

func newCrowded(t testing.TB) *crowded {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c := config(t, embeddedtest.Redis(t), embeddedtest.Postgres(t))
	p, err := Open(t.Context(), c, zerolog.Nop())
	must(err)
	api, ops := listener(t), listener(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, api, ops) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &crowded{Process: p, api: "http://" + api.Addr().String(), ops: "http://" + ops.Addr().String()}
	sellers, err := p.ledger.CreateAccounts(t.Context(), "seller", 1, 0)
	must(err)
	h.buyers, err = p.ledger.CreateAccounts(t.Context(), "buyer", 8, 1_000_000)
	must(err)
	conn, err := pgx.Connect(t.Context(), c.PostgresURL)
	must(err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `
		with made as (
			insert into sales (
				kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
				opens_at, closes_at, payout_at, show_stock, stock, free, phase, hold_ms, line_most)
			select
				'reservation', n % $2, $1, 'lamp', 'fixed', 10, 0, 0, 0, 10,
				now(), now() + interval '1 hour', now() + interval '2 hours', true, 100, 100, 'open', 60000, 10
			from generate_series(1, $3::int) as n
			returning id)
		insert into wallets (id, kind)
		select -id, 'escrow'
		from made`, sellers[0], c.Partitions, crowdedSales)
	must(err)
	_, err = conn.Exec(t.Context(), `analyze sales`)
	must(err)
	return h
}

// trade reserves in so many of the sales, until each has answered.
func (h *crowded) trade(t testing.TB, sales int) {
	t.Helper()
	for id := range int64(sales) {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			_, err := h.Admission.Reserve(t.Context(), admission.Asker{Account: h.buyers[id%int64(len(h.buyers))]}, id+1, id%3+1, uuid.Nil)
			if err == nil {
				break
			}
			if time.Now().After(deadline) { // its partition has no owner yet
				t.Fatal(err)
			}
		}
	}
}

// knock asks every address of the API by every method, and others that there are not.
func (h *crowded) knock(t testing.TB) {
	t.Helper()
	var paths []string
	for of := range operations(t) {
		if !strings.HasSuffix(of[0], "/events") { // which would be followed to its end
			paths = append(paths, strings.ReplaceAll(of[0], ":id", "7"))
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for n := range 100 {
		paths = append(paths, fmt.Sprintf("/v1/sales/%d", 100_000+n), fmt.Sprintf("/v2/%d/x?y=%d", n, n))
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "PROPFIND"} {
			r, err := http.NewRequestWithContext(t.Context(), method, h.api+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	}
}

// scrape reads /metrics as Prometheus does, and answers its lines of series.
func (h *crowded) scrape(t testing.TB) (lines []string) {
	t.Helper()
	answer, err := http.Get(h.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("/metrics answers %d, %v", answer.StatusCode, err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func has(lines []string, prefix string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// TestCardinality: ten thousand sales in sixteen partitions, and whatever a client sends,
// come to few series with known labels.
func TestCardinality(t *testing.T) {
	h := newCrowded(t)
	h.trade(t, 100)
	h.knock(t)
	open := fmt.Sprintf("sluice_sales_open %d", crowdedSales)
	var lines []string
	for deadline := time.Now().Add(time.Minute); !has(lines, open) || !has(lines, "sluice_sale_units") || !has(lines, "sluice_verdict_seconds_count"); time.Sleep(50 * time.Millisecond) {
		if lines = h.scrape(t); time.Now().After(deadline) {
			t.Fatal("the survey does not see the sales")
		}
	}
	began := time.Now()
	lines = h.scrape(t)
	t.Logf("%d series in %s", len(lines), time.Since(began))
	if len(lines) >= mostSeries {
		t.Errorf("a scrape has %d series", len(lines))
	}
	for name, most := range map[string]int{"sluice_sale_units{": 3 * mostSales, "sluice_sale_waiting{": mostSales, "sluice_partition_depth{": mostPartitions} {
		n := 0
		for _, line := range lines {
			if strings.HasPrefix(line, name) {
				n++
			}
		}
		if n != most {
			t.Errorf("%d series of %s…}, of %d", n, name, most)
		}
	}
	for _, wrong := range complaints(t, h.Registry) {
		t.Error(wrong)
	}
	families, err := h.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		d := documented{name: family.GetName(), kind: strings.ToLower(family.GetType().String())}
		if !strings.HasPrefix(d.name, "sluice_") {
			continue
		}
		for _, label := range family.Metric[0].Label {
			d.labels = append(d.labels, label.GetName())
		}
		per := 1
		if of := family.Metric[0].GetHistogram(); of != nil {
			d.buckets = make([]float64, len(of.Bucket))
			per = len(of.Bucket) + 3
		}
		if n, most := len(family.Metric)*per, seriesAtMost(t, d); n > most {
			t.Errorf("%s has %d series, and %d was said to be the most", d.name, n, most)
		}
	}
}

// TestCardinalityCatchesALabelPerSale is the known-bad twin: one series for each sale
// fails the same count.
func TestCardinalityCatchesALabelPerSale(t *testing.T) {
	registry := prometheus.NewRegistry()
	bad := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_sale_waiting", Help: "A series for each sale."}, []string{"sale", "kind"})
	registry.MustRegister(bad)
	for id := range crowdedSales {
		bad.WithLabelValues(fmt.Sprint(id+1), string(sale.Auction))
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n, most := len(families[0].Metric), seriesAtMost(t, documented{name: "sluice_sale_waiting", labels: []string{"sale", "kind"}}); n <= most || n < mostSeries {
		t.Errorf("%d series are not more than %d", n, most)
	}
}

// BenchmarkScrape is one scrape of that process over HTTP.
func BenchmarkScrape(b *testing.B) {
	h := newCrowded(b)
	h.trade(b, 100)
	h.knock(b)
	var lines []string
	for lines = h.scrape(b); !has(lines, "sluice_sale_units"); lines = h.scrape(b) {
		time.Sleep(50 * time.Millisecond)
	}
	for b.Loop() {
		lines = h.scrape(b)
	}
	b.ReportMetric(float64(len(lines)), "series")
}
