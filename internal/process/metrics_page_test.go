package process

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// documented is a metric as its page shows it.
type documented struct {
	name, kind, help string
	labels           []string
	buckets          []float64 // classic ones, of a histogram
	native           bool
	from             []string // processes that export it
}

// unit is the last word of its name that says one.
func (d documented) unit() string {
	name := strings.TrimSuffix(d.name, "_total")
	for _, unit := range []string{"seconds", "bytes", "points", "units", "entries"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

var loopNames = []string{"API", "consumer", "scheduler"}

// complete is one process of each kind at work over the same servers, with a sale that is
// open and a request that was answered.
func complete(t *testing.T) []*Process {
	t.Helper()
	redis, postgres := embeddedtest.Redis(t), embeddedtest.Postgres(t)
	var all []*Process
	api := listener(t)
	for _, loop := range []func(*Process, context.Context) error{
		func(p *Process, ctx context.Context) error { return p.ServeAPI(ctx, api) },
		(*Process).RunConsumer, (*Process).RunScheduler,
	} {
		p := open(t, config(t, redis, postgres))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- loop(p, ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		all = append(all, p)
	}
	sellers, err := all[0].ledger.CreateAccounts(t.Context(), "seller", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := sale.At(time.Now())
	if _, err := all[0].ledger.CreateSale(t.Context(), sale.Sale{
		Kind: sale.Reservation, Seller: sellers[0], Title: "lamp", Stock: 1, Limit: 1, Price: sale.Price{Policy: sale.Fixed, Start: 1}, Hold: time.Minute,
		OpensAt: now, ClosesAt: now.Add(time.Hour),
	}, all[0].config.Partitions); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, "http://"+api.Addr().String()+"/v1/me"); status != http.StatusUnauthorized {
		t.Fatalf("the API answers %d %s", status, body)
	}
	return all
}

// described is every metric of ours that these registries have, those without a series
// too; of a counter the name tells that it is one, the type of everything else is told by
// its series.
func described(t *testing.T, all []*Process) (metrics []documented, untold []string) {
	t.Helper()
	found := map[string]*documented{}
	for i, p := range all {
		descs := make(chan *prometheus.Desc)
		go func() {
			p.Registry.Describe(descs)
			close(descs)
		}()
		for desc := range descs {
			d, ours := parseDesc(t, desc.String())
			if !ours {
				continue
			}
			if found[d.name] == nil {
				found[d.name] = &d
			}
			found[d.name].from = append(found[d.name].from, loopNames[i])
		}
		families, err := p.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if d := found[family.GetName()]; d != nil {
				d.kind = strings.ToLower(family.GetType().String())
				if h := family.Metric[0].GetHistogram(); h != nil {
					d.buckets, d.native = nil, h.Schema != nil
					for _, b := range h.Bucket {
						d.buckets = append(d.buckets, b.GetUpperBound())
					}
				}
			}
		}
	}
	for _, d := range found {
		counts := strings.HasSuffix(d.name, "_total")
		switch {
		case d.kind == "" && counts:
			d.kind = "counter"
		case d.kind == "":
			untold = append(untold, d.name)
		case counts != (d.kind == "counter"):
			t.Errorf("%s is a %s: a counter's name ends in _total, and no other's", d.name, d.kind)
		}
		metrics = append(metrics, *d)
	}
	slices.SortFunc(metrics, func(a, b documented) int { return cmp.Compare(a.name, b.name) })
	slices.Sort(untold)
	return metrics, untold
}

var (
	descForm  = regexp.MustCompile(`^Desc\{fqName: (".*"), help: (".*"), unit: ".*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	labelForm = regexp.MustCompile(`(\w+)="`)
)

// parseDesc reads what a Desc says of itself; there is no other way to ask.
func parseDesc(t *testing.T, text string) (d documented, ours bool) {
	t.Helper()
	parts := descForm.FindStringSubmatch(text)
	if parts == nil {
		t.Fatalf("no description that can be read: %s", text)
	}
	var err, also error
	d.name, err = strconv.Unquote(parts[1])
	d.help, also = strconv.Unquote(parts[2])
	if err != nil || also != nil {
		t.Fatalf("no description that can be read: %s", text)
	}
	for _, label := range labelForm.FindAllStringSubmatch(parts[3], -1) {
		d.labels = append(d.labels, label[1])
	}
	if parts[4] != "" {
		d.labels = append(d.labels, strings.Split(parts[4], ",")...)
	}
	return d, strings.HasPrefix(d.name, "sluice_")
}

// metricsOf is described, once everything that can have a series has one.
func metricsOf(t *testing.T, all []*Process) []documented {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		metrics, untold := described(t, all)
		if len(untold) == 0 {
			return metrics
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing tells the type of %v: create a series of them at the start, or let complete do what makes one", untold)
		}
	}
}

// TestMetricsPage keeps docs/metrics.md true to the registries of a complete deployment.
func TestMetricsPage(t *testing.T) {
	const path = "../../docs/metrics.md"
	is := metricsPage(t, metricsOf(t, complete(t)))
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(was) != is {
		t.Errorf("docs/metrics.md is not what the registries say; write it anew with\n\tgo test ./internal/process -run MetricsPage -update\nand it says\n%s", is)
	}
}

// metricsPage is docs/metrics.md.
func metricsPage(t *testing.T, metrics []documented) string {
	t.Helper()
	var page strings.Builder
	fmt.Fprint(&page, `# Metrics

What Sluice tells Prometheus on the operations port of every process, at `+"`/metrics`"+`. This page is written by

	go test ./internal/process -run MetricsPage -update

from the registries of processes at work; a test fails when it is out of date. Beside these there are those of the Go
runtime and of the process (`+"`go_…`, `process_…`"+`).

All have base units, and labels of closed sets, so that one process has at most so many series: see [the end](#how-many).
`+"`sluice up` and `sluice demo`"+` are all three processes in one. Every scheduler surveys, leading or not, and all of
them see the same: take the greatest (`+"`max by (partition) (sluice_partition_depth)`"+`), and the sum of what is counted.
What a survey could not ask is not shown until it can be asked again: then `+"`sluice_redis_up` or `sluice_postgres_up`"+` is 0.
`)
	sets := labelSets()
	total := 0
	for _, section := range []struct {
		title string
		of    func(documented) bool
	}{
		{"Every process", func(d documented) bool { return len(d.from) == len(loopNames) }},
		{"API", func(d documented) bool { return len(d.from) < len(loopNames) && d.from[0] == "API" }},
		{"Consumer", func(d documented) bool { return slices.Equal(d.from, []string{"consumer"}) }},
		{"Scheduler", func(d documented) bool { return slices.Equal(d.from, []string{"scheduler"}) }},
	} {
		fmt.Fprintf(&page, "\n## %s\n\n| metric | type | unit | labels | what it is |\n|---|---|---|---|---|\n", section.title)
		for _, d := range metrics {
			if !section.of(d) {
				continue
			}
			if d.help == "" {
				t.Errorf("%s has no help", d.name)
			}
			labels := make([]string, len(d.labels))
			for i, label := range d.labels {
				labels[i] = "`" + label + "`"
				if _, ok := setOf(sets, d.name, label); !ok {
					t.Errorf("%s has a label without a closed set, %s: put it into labelSets", d.name, label)
				}
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", d.name, d.kind, d.unit(), strings.Join(labels, ", "), strings.ReplaceAll(d.help, "|", "\\|"))
			total += seriesAtMost(t, d)
		}
	}

	page.WriteString("\n## Labels\n\n| label | of | values |\n|---|---|---|\n")
	type row struct{ label, values string }
	of := map[row][]string{}
	for _, d := range metrics {
		for _, label := range d.labels {
			set, _ := setOf(sets, d.name, label)
			r := row{label, set.page}
			of[r] = append(of[r], "`"+strings.TrimPrefix(d.name, "sluice_")+"`")
		}
	}
	rows := make([]row, 0, len(of))
	for r := range of {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.values, b.values)) })
	for _, r := range rows {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", r.label, strings.Join(of[r], ", "), r.values)
	}

	page.WriteString("\n## Histograms\n\nTo who asks for them, those marked so are native histograms, too.\n\n| metric | classic buckets, seconds or requests | native |\n|---|---|---|\n")
	for _, d := range metrics {
		if d.kind != "histogram" {
			continue
		}
		bounds := make([]string, len(d.buckets))
		for i, b := range d.buckets {
			bounds[i] = strconv.FormatFloat(b, 'g', 4, 64)
		}
		native := ""
		if d.native {
			native = "yes"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", d.name, strings.Join(bounds, " "), native)
		if len(d.buckets) > mostBuckets {
			t.Errorf("%s has %d classic buckets: each is a series", d.name, len(d.buckets))
		}
	}
	fmt.Fprintf(&page, `
## How many

With %d partitions, all three processes in one have at most %d series of ours, whatever is asked of them and however many
sales there are: every route answering every status that it can, every verb every reason, and so on.
`, mostPartitions, total)
	if total >= mostSeries {
		t.Errorf("there may be %d series", total)
	}
	return page.String()
}

const (
	mostBuckets = 14
	mostSeries  = 5000 // of one scrape
)

// TestMetricsWithoutALabelSet: the page cannot be made of what it cannot explain.
func TestMetricsWithoutALabelSet(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_strange_total", Help: "Strange."}, []string{"colour"}))
	metrics, untold := described(t, []*Process{{Registry: registry, log: zerolog.Nop()}})
	if len(metrics) != 1 || len(untold) != 0 || metrics[0].kind != "counter" || !slices.Equal(metrics[0].labels, []string{"colour"}) {
		t.Errorf("described as %+v, untold %v", metrics, untold)
	}
	if _, ok := setOf(labelSets(), metrics[0].name, "colour"); ok {
		t.Error("colour has a set")
	}
	registry.MustRegister(prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sluice_stranger", Help: "Stranger."}, []string{"colour"}))
	if _, untold = described(t, []*Process{{Registry: registry}}); !slices.Equal(untold, []string{"sluice_stranger"}) {
		t.Errorf("untold are %v", untold)
	}
}
