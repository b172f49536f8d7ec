package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// serve runs all of Sluice over servers of its own, and answers where.
func serve(t *testing.T) (p *process.Process, url string) {
	t.Helper()
	p, err := process.Open(t.Context(), process.Config{
		RedisURL: embeddedtest.Redis(t), PostgresURL: embeddedtest.Postgres(t),
		JWTKeys: "test:" + strings.Repeat("s", 32), Name: "demo-test",
		Partitions: 16, PostgresConns: 20, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 5 * time.Second,
		BuyerRate: 20, BuyerBurst: 40, Backlog: 100_000, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json",
	}, zerolog.New(t.Output()).Level(zerolog.WarnLevel))
	if err != nil {
		t.Fatal(err)
	}
	var doors [2]net.Listener
	for i := range doors {
		if doors[i], err = process.Listen(t.Context(), "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, doors[0], doors[1]) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, p.Close()); err != nil {
			t.Error(err)
		}
	})
	return p, "http://" + doors[0].Addr().String()
}

func TestDemo(t *testing.T) {
	p, url := serve(t)
	var progress bytes.Buffer
	report, err := Run(t.Context(), p, Options{URL: url, Buyers: 500, Spread: time.Second, Progress: &progress})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() {
		t.Errorf("not clean: %+v", report)
	}
	if report.Requests != 500 || report.Requests != report.Accepted+sum(report.Refused) || report.Accepted != sum(report.Outcomes) ||
		report.Outcomes["rejected"] != sum(report.Reasons) {
		t.Errorf("the numbers do not add up: %+v", report)
	}
	if report.Outcomes["confirmed"] == 0 || report.UnitsSold == 0 || report.PointsMoved == 0 || report.Reasons["price_changed"] == 0 {
		t.Errorf("a dull demo: %+v", report)
	}
	if report.VerdictMS.P50 <= 0 || report.VerdictMS.P99 < report.VerdictMS.P50 || report.AcceptPerS <= 0 {
		t.Errorf("odd times: %+v", report)
	}
	if last := progress.String(); !strings.Contains(last, "sent 500 ") || !strings.Contains(last, "queue 0 ") {
		t.Errorf("the progress ends with %q", last)
	}
	var table bytes.Buffer
	if err := report.Table(&table); err != nil || !strings.Contains(table.String(), "audit                 ok\n") {
		t.Errorf("%v, table:\n%s", err, &table)
	}

	t.Run("invitation", func(t *testing.T) {
		var text bytes.Buffer
		if err := Invitation(t.Context(), p, url, &text); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(text.String(), "curl "); got != 3 {
			t.Errorf("%d curl lines in:\n%s", got, &text)
		}
	})
}

func TestInterruptedDemo(t *testing.T) {
	p, url := serve(t)
	ctx, interrupt := context.WithCancel(t.Context())
	progress := watcher{seen: make(chan struct{}, 1)}
	go func() { <-progress.seen; interrupt() }()
	_, err := Run(ctx, p, Options{URL: url, Buyers: 200, Spread: 20 * time.Second, Progress: progress, Terminal: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// watcher tells that something was written.
type watcher struct{ seen chan struct{} }

func (w watcher) Write(b []byte) (int, error) {
	select {
	case w.seen <- struct{}{}:
	default:
	}
	return len(b), nil
}

func TestOptionsCheck(t *testing.T) {
	for _, o := range []Options{{Buyers: 0}, {Buyers: 1_000_001}, {Buyers: 1, Spread: -1}, {Buyers: 1, Spread: time.Minute}} {
		if o.Check() == nil {
			t.Errorf("%+v went through", o)
		}
	}
}

// told is a story that ends well, n seconds after the first.
func told(status, reason string, n int) story {
	sent := time.Unix(1_700_000_000, 0).Add(time.Duration(n) * time.Second)
	return story{
		receipt: "r", sent: sent, accepted: sent.Add(time.Millisecond), decided: sent.Add(time.Duration(n+1) * 10 * time.Millisecond),
		status: status, reason: reason, quantity: 2, price: 90, named: 100,
	}
}

func TestJudge(t *testing.T) {
	refused := story{refused: "sold_out", sent: time.Unix(1_700_000_009, 0)}
	r := judge([]story{told("confirmed", "", 0), told("confirmed", "", 1), told("rejected", "price_changed", 2), refused}, proof{})
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"requests":4,"accepted":3,"refused":{"sold_out":1},"outcomes":{"confirmed":2,"rejected":1},` +
		`"reasons":{"price_changed":1},"units_sold":4,"points_moved":360,"oversold":0,"unfinished":0,"inversions":0,` +
		`"accept_per_s":1.5,"verdict_ms":{"p50":20,"p99":30},"audit":"ok"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	empty, err := json.Marshal(judge(make([]story, 0), proof{}))
	if err != nil || strings.Contains(string(empty), "null") {
		t.Errorf("nobody came: %s, %v", empty, err)
	}
}

// TestJudgeCatches: each of these must not be clean.
func TestJudgeCatches(t *testing.T) {
	many := make([]story, stock/2+1)
	for i := range many {
		many[i] = told("confirmed", "", i)
	}
	with := func(change func(*story)) []story {
		s := told("confirmed", "", 0)
		change(&s)
		return []story{s}
	}
	for name, test := range map[string]struct {
		stories []story
		proof   proof
		broken  []string // of the audit
	}{
		"more sold than there is":  {many, proof{}, nil},
		"the audit sees it":        {nil, proof{oversold: 1}, nil},
		"somebody was passed over": {nil, proof{inversions: 1, broken: []string{"inversions"}}, []string{"inversions"}},
		"never decided":            {with(func(s *story) { s.decided = time.Time{} }), proof{}, nil},
		"never answered":           {with(func(s *story) { *s = story{sent: s.sent} }), proof{}, []string{"no_answer"}},
		"two receipts":             {with(func(s *story) { s.twice = true }), proof{}, []string{"one_receipt"}},
		"paid too much":            {with(func(s *story) { s.price = s.named + 1 }), proof{}, []string{"ceiling"}},
		"the books are wrong":      {nil, proof{broken: []string{"wallets", "stock"}}, []string{"stock", "wallets"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(test.stories, test.proof)
			if r.Clean() {
				t.Errorf("it is clean: %+v", r)
			}
			if rules, _ := r.Audit.([]string); !slices.Equal(rules, test.broken) {
				t.Errorf("the audit says %v, want %q", r.Audit, test.broken)
			}
		})
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100000: "100,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q", n, got)
		}
	}
}

func sum(m map[string]int) (n int) {
	for v := range maps.Values(m) {
		n += v
	}
	return n
}
