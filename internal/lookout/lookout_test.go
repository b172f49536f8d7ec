package lookout

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// moment is when the first of the recorded scrapes was taken, of a `sluice demo` in the
// middle of its crowd, without the metrics of Go. The second came two seconds later.
var moment = time.Date(2026, 11, 22, 14, 9, 7, 0, time.UTC)

// audited is what the audit and the sales that it suspends add to them, written by hand.
var audited = fmt.Sprintf("sluice_audit_finished_timestamp_seconds %d\nsluice_audit_breaches{rule=\"stock\"} 0\nsluice_audit_breaches{rule=\"turns\"} 0\n"+
	"sluice_audit_oversold_units 0\nsluice_audit_inversions 0\nsluice_audit_points_imbalance 0\nsluice_sales_suspended 0\n", moment.Unix()-10)

// recorded is what a process said of itself once.
func recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// station is a process that says what it is told to say.
type station struct {
	*httptest.Server
	metrics string
	ready   int
	wrong   string
	clock   time.Time
}

// speaking answers one that is ready.
func speaking(t *testing.T, metrics string, clock time.Time) *station {
	s := &station{metrics: metrics, ready: 200, wrong: "[]", clock: clock}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.clock.Format(http.TimeFormat))
		switch r.URL.Path {
		case "/readyz":
			w.WriteHeader(s.ready)
			fmt.Fprintln(w, s.wrong)
		case "/metrics":
			fmt.Fprint(w, s.metrics)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// two looks at one process, whose second scrape change has had its hands on. The address
// of a test's server is any: it is made one that stays.
func two(t *testing.T, change func(*station)) Facts {
	t.Helper()
	s := speaking(t, recorded(t, "demo-1.prom")+audited, moment)
	look := func() Round {
		r := Ask(t.Context(), s.Client(), []string{s.URL})
		r.at = s.clock
		for i := range r.answers {
			r.answers[i].url = "http://sluice.example:8081"
		}
		return r
	}
	before := look()
	s.metrics, s.clock = recorded(t, "demo-2.prom")+audited, moment.Add(2*time.Second)
	if change != nil {
		change(s)
	}
	return Look(before, look())
}

// golden holds text against a file.
func golden(t *testing.T, name, is string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was := recorded(t, name); was != is {
		t.Errorf("%s is\n%s\nit was\n%s", name, is, was)
	}
}

func TestDrawing(t *testing.T) {
	facts := two(t, nil)
	sick := two(t, func(s *station) {
		s.ready, s.wrong = 503, `["redis: dial tcp: \u001b[2Jconnection refused"]`
		s.metrics = strings.NewReplacer(`sluice_partition_held{partition="3"} 1`, `sluice_partition_held{partition="3"} 0`,
			`sluice_partition_oldest_seconds{partition="3"} 0`, `sluice_partition_oldest_seconds{partition="3"} 73.5`,
			`sluice_partition_depth{partition="3"} 0`, `sluice_partition_depth{partition="3"} 4321`,
			`sluice_partition_loading{partition="5"} 0`, `sluice_partition_loading{partition="5"} 1`).Replace(s.metrics)
	})
	for name, test := range map[string]struct {
		facts Facts
		page  Page
	}{
		"wide.txt":   {facts, Page{Width: wide}},
		"small.txt":  {facts, Page{Width: 80, Height: 24}},
		"tiny.txt":   {facts, Page{Width: 30, Height: 6}},
		"sick.txt":   {sick, Page{Width: 100, Height: 30}},
		"color.txt":  {sick, Page{Width: 80, Height: 12, Color: true}},
		"first.txt":  {Look(Round{}, Round{at: moment}), Page{Width: 80, Height: 24}},
		"silent.txt": {Look(Round{}, Round{at: moment, answers: []answer{{url: "http://sluice.example:8081", fault: http.ErrServerClosed}}}), Page{Width: 80, Height: 24}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := test.facts.Draw(test.page)
			golden(t, name, strings.Join(lines, "\n")+"\n")
			if h := test.page.Height; h > 0 && len(lines) > h {
				t.Errorf("%d lines in a page of %d", len(lines), h)
			}
			for _, l := range lines {
				if !test.page.Color && (len([]rune(l)) > test.page.Width || strings.ContainsRune(l, '\x1b')) {
					t.Errorf("%q is no line of %d columns", l, test.page.Width)
				}
			}
		})
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	if err := two(t, nil).Report(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", out.String())
}

// TestJSON is the contract with scripts.
func TestJSON(t *testing.T) {
	text, err := json.MarshalIndent(two(t, nil), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "facts.json", string(text)+"\n")
}

// without drops all metrics with a prefix.
func without(metrics, prefix string) string {
	lines := strings.Split(metrics, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, prefix) || strings.HasPrefix(l, "# HELP "+prefix) || strings.HasPrefix(l, "# TYPE "+prefix)
	}), "\n")
}

// set gives a metric another value, or tells one that was not told.
func set(metric string, value any) func(*station) {
	return func(s *station) {
		lines := strings.Split(s.metrics, "\n")
		now := fmt.Sprintf("%s %v", metric, value)
		for i, l := range lines {
			if strings.HasPrefix(l, metric+" ") {
				lines[i] = now
				s.metrics = strings.Join(lines, "\n")
				return
			}
		}
		s.metrics += now + "\n"
	}
}

// add makes a counter grow by so much more.
func add(metric string, n float64) func(*station) {
	return func(s *station) {
		for _, l := range strings.Split(s.metrics, "\n") {
			if rest, ok := strings.CutPrefix(l, metric+" "); ok {
				var was float64
				if _, err := fmt.Sscan(rest, &was); err != nil {
					panic(err)
				}
				n += was
			}
		}
		set(metric, n)(s)
	}
}

// TestChecks: in the recording all is well; each of these is the one thing that is wrong
// with it, and is found.
func TestChecks(t *testing.T) {
	good := two(t, nil)
	if good.Status != Healthy {
		t.Fatalf("the recording is %s: %+v", good.Status, good.Checks)
	}
	at := float64(moment.Unix() + 2)
	found := map[string]bool{}
	for _, test := range []struct {
		name   string
		change func(*station)
		says   string
	}{
		{"processes", func(s *station) { s.metrics = "<html>" }, "cannot be read"},
		{"processes", func(s *station) { s.ready = 404 }, "404"},
		{"processes", func(s *station) { s.wrong = "hello" }, "is this an operations port?"},
		{"ready", func(s *station) { s.ready, s.wrong = 503, `["schema: old"]` }, "schema: old"},
		{"redis", set("sluice_redis_up", 0), "does not answer"},
		{"postgres", set("sluice_postgres_up", 0), "does not answer"},
		{"redis_memory", func(s *station) {
			set("sluice_redis_memory_used_bytes", 900<<20)(s)
			set("sluice_redis_memory_max_bytes", 1<<30)(s)
		}, "900 MiB of 1.0 GiB"},
		{"redis_eviction", func(s *station) {
			set("sluice_redis_noeviction", 0)(s)
			set("sluice_redis_memory_max_bytes", 1<<40)(s)
		}, "noeviction"},
		{"redis_persistence", set(`sluice_redis_persistence_ok{kind="rdb"}`, 0), "rdb"},
		{"partition_owners", set(`sluice_partition_held{partition="3"}`, 0), "no owner of: 3"},
		{"partitions_loaded", set(`sluice_partition_loading{partition="5"}`, 1), "5"},
		{"oldest_request", set(`sluice_partition_oldest_seconds{partition="7"}`, 11), "queued for 11 s in: 7"},
		{"backlog", set(`sluice_partition_depth{partition="7"}`, 81_000), "80 % full: 7"},
		{"survey", set("sluice_survey_timestamp_seconds", at-16), "16 s ago"},
		{"survey", set("sluice_survey_timestamp_seconds", 0), "there was none"},
		{"scheduler_lead", set("sluice_scheduler_leads", 0), "no scheduler that was asked leads"},
		{"scheduler_steps", set("sluice_scheduler_step_timestamp_seconds", at-16), "16 s ago"},
		{"duties", set("sluice_duties_overdue_seconds", 11), "11 s late"},
		{"shedding", add(`sluice_admissions_total{answer="overloaded",verb="bid"}`, 20), "overloaded 10.0/s"},
		{"settlement_faults", add(`sluice_settlement_faults_total{fault="retried"}`, 3), "retried 3"},
		{"verdicts", func(s *station) {
			add(`sluice_verdict_seconds_bucket{verb="bid",le="+Inf"}`, 1000)(s)
			add(`sluice_verdict_seconds_count{verb="bid"}`, 1000)(s)
		}, "within a second"},
		{"audit", set(`sluice_audit_breaches{rule="stock"}`, 2), "broken: stock 2"},
		{"audit", set("sluice_audit_finished_timestamp_seconds", at-301), "5 min ago"},
		{"sales_suspended", set("sluice_sales_suspended", 1), "1 suspended"},
		{"dead_letters", set("sluice_dead_letters", 2), "2 to be looked after"},
	} {
		f := two(t, test.change)
		for _, c := range f.Checks {
			if wrong := c.OK != nil && !*c.OK; wrong && c.Name == test.name && strings.Contains(c.Detail, test.says) {
				found[c.Name] = true
			} else if wrong && c.Name != test.name {
				t.Errorf("%s: %s is wrong, too: %s", test.name, c.Name, c.Detail)
			} else if c.Name == test.name && !wrong {
				t.Errorf("%s: not found: %v %s", test.name, c.OK, c.Detail)
			} else if wrong {
				t.Errorf("%s does not say %q: %s", test.name, test.says, c.Detail)
			}
		}
		if f.Status != Unhealthy {
			t.Errorf("%s: the whole is %s", test.name, f.Status)
		}
	}
	for _, c := range good.Checks {
		if !found[c.Name] {
			t.Errorf("nothing makes %s fail: it may not be able to", c.Name)
		}
	}
}

// TestWhatIsNotToldIsUnknown: never zero, never good news, and the whole is not healthy
// unless time or traffic may be missing.
func TestWhatIsNotToldIsUnknown(t *testing.T) {
	for _, test := range []struct {
		prefix string
		checks []string
		shown  func(Facts) bool // that it is shown as unknown
		whole  Status
	}{
		{"sluice_redis_", []string{"redis", "redis_memory", "redis_eviction", "redis_persistence"}, func(f Facts) bool { return f.Redis.Up == nil && f.Redis.Memory == nil }, Unknown},
		{"sluice_postgres_up", []string{"postgres"}, func(f Facts) bool { return f.Postgres.Up == nil }, Unknown},
		{"sluice_partition_held", []string{"partition_owners"}, func(f Facts) bool { return f.Partitions[0].Held == nil }, Unknown},
		{`sluice_partition_held{partition="4"}`, []string{"partition_owners"}, func(f Facts) bool { return f.Partitions[4].Held == nil }, Unknown},
		{"sluice_partition_epoch", nil, func(f Facts) bool { return f.Partitions[0].Owner == nil && f.Partitions[0].Epoch == nil }, Healthy},
		{"sluice_partition_", []string{"partition_owners", "partitions_loaded", "oldest_request", "backlog"}, func(f Facts) bool { return len(f.Partitions) == 0 }, Unknown},
		{"sluice_survey_", []string{"survey"}, nil, Unknown},
		{"sluice_scheduler_", []string{"scheduler_lead", "scheduler_steps", "audit"}, func(f Facts) bool { return f.Scheduler.Lead == nil && f.Audit.Breaches == nil }, Unknown},
		{"sluice_duties_", []string{"duties"}, func(f Facts) bool { return f.Scheduler.Overdue == nil }, Unknown},
		{"sluice_audit_", []string{"audit"}, func(f Facts) bool { return f.Audit.Age == nil && f.Audit.Oversold == nil }, Healthy},
		{"sluice_verdict_", []string{"verdicts"}, func(f Facts) bool { return f.Verdicts.P99 == nil && f.Verdicts.Count == nil }, Healthy},
		{"sluice_sales_suspended", []string{"sales_suspended"}, func(f Facts) bool { return f.Suspended == nil }, Healthy},
		{"sluice_dead_letters", []string{"dead_letters"}, func(f Facts) bool { return f.Dead == nil }, Unknown},
		{"sluice_sale_price", nil, func(f Facts) bool { return f.Sales[0].Price == nil }, Healthy},
		{"sluice_http_", []string{"shedding"}, func(f Facts) bool {
			return f.Rates.Accepted == nil && f.Rates.Refused == nil && f.Rates.Polls == nil
		}, Healthy},
	} {
		f := two(t, func(s *station) { s.metrics = without(s.metrics, test.prefix) })
		var dark []string
		for _, c := range f.Checks {
			if c.OK == nil {
				dark = append(dark, c.Name)
			} else if !*c.OK {
				t.Errorf("without %s: %s is wrong: %s", test.prefix, c.Name, c.Detail)
			}
		}
		if !slices.Equal(dark, test.checks) {
			t.Errorf("without %s unknown are %q, want %q", test.prefix, dark, test.checks)
		}
		if test.shown != nil && !test.shown(f) {
			t.Errorf("without %s something else is shown", test.prefix)
		}
		if f.Status != test.whole {
			t.Errorf("without %s the whole is %s, want %s", test.prefix, f.Status, test.whole)
		}
	}
}

func TestTargets(t *testing.T) {
	got, err := Targets([]string{"localhost:8081", " http://10.0.0.7:8082/ ", "http://10.0.0.7:8082", "https://ops.example.com/sluice"})
	if want := []string{"http://localhost:8081", "http://10.0.0.7:8082", "https://ops.example.com/sluice"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range [][]string{nil, {""}, {"ftp://x"}, {"http://"}, {"http://u:p@h:1"}, {"http://h/?a=b"}, {"http://h:port"}, {"\x1b[2J"}} {
		if got, err := Targets(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
}
