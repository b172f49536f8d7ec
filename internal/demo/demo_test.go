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

	"sluice/client"
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
		BuyerRate: 20, BuyerBurst: 40, Backlog: 100_000, PollBudget: 10_000, Waiters: 20_000, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json",
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
	var sums Tally
	for _, kind := range kinds {
		tally := report.Kinds[kind]
		sums.Requests += tally.Requests
		sums.Accepted += tally.Accepted
		sums.UnitsSold += tally.UnitsSold
		sums.PointsMoved += tally.PointsMoved
		addsUp(t, string(kind), tally)
		if tally.Accepted == 0 || tally.VerdictMS.P50 <= 0 || tally.VerdictMS.P99 < tally.VerdictMS.P50 || tally.AcceptPerS <= 0 {
			t.Errorf("%s: %+v", kind, tally)
		}
	}
	addsUp(t, "all", report.Tally)
	if sums.Requests != report.Requests || sums.Accepted != report.Accepted || sums.UnitsSold != report.UnitsSold || sums.PointsMoved != report.PointsMoved {
		t.Errorf("the kinds sum to %+v, the whole is %+v", sums, report.Tally)
	}
	auction, coupon, reservation := report.Kinds[client.Auction], report.Kinds[client.Coupon], report.Kinds[client.Reservation]
	if auction.Requests != 500 || auction.UnitsSold == 0 || auction.PointsMoved == 0 || auction.Reasons["price_changed"] == 0 {
		t.Errorf("a dull auction: %+v", auction)
	}
	if coupon.Requests != 150 || coupon.UnitsSold != 100 || coupon.Refused["sold_out"]+coupon.Reasons["sold_out"] != 50 {
		t.Errorf("150 claims on 100 coupons: %+v", coupon)
	}
	if reservation.Requests <= 100 || reservation.Reasons["line_full"] == 0 {
		t.Errorf("a dull reservation: %+v", reservation)
	}
	if last := progress.String(); !strings.Contains(last, "queue 0 ") {
		t.Errorf("the progress ends with %q", last)
	}
	var table bytes.Buffer
	if err := report.Table(&table); err != nil || strings.Count(table.String(), " ok\n") != len(kinds)+1 {
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

func addsUp(t *testing.T, name string, tally Tally) {
	t.Helper()
	if tally.Requests != tally.Accepted+sum(tally.Refused) || tally.Accepted != sum(tally.Outcomes) || tally.Outcomes["rejected"] != sum(tally.Reasons) {
		t.Errorf("%s: the numbers do not add up: %+v", name, tally)
	}
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

// told is the story of a bid that ends well, n seconds after the first.
func told(status client.Status, reason client.Reason, n int) *story {
	sent := time.Unix(1_700_000_000, 0).Add(time.Duration(n) * time.Second)
	s := &story{
		kind: client.Auction, verb: client.VerbBid, named: 100,
		sent: sent, accepted: sent.Add(time.Millisecond), decided: sent.Add(time.Duration(n+1) * 10 * time.Millisecond),
		last: client.Receipt{ID: "r", Status: status, Reason: reason, Quantity: 2, UnitPrice: 90},
	}
	if status == client.Confirmed {
		s.moved = 180
	}
	return s
}

// reported is what a crowd of such stories comes to, with one auction of stock units.
func reported(stories []*story, p proof) Report {
	c := &crowd{stories: stories, lots: map[client.Kind]client.Sale{}}
	for i, kind := range kinds {
		c.lots[kind] = client.Sale{ID: int64(i + 1), Kind: kind, Stock: &client.Stock{Total: stock}}
	}
	return c.report(p)
}

func TestReport(t *testing.T) {
	refused := &story{kind: client.Auction, refused: "sold_out", sent: time.Unix(1_700_000_009, 0)}
	paid := told(client.Confirmed, "", 3)
	paid.kind, paid.verb, paid.last.Quantity = client.Reservation, client.VerbPay, 0
	r := reported([]*story{told(client.Confirmed, "", 0), told(client.Confirmed, "", 1), told(client.Rejected, "price_changed", 2), refused, paid}, proof{})
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const nothing = `{"requests":0,"accepted":0,"refused":{},"outcomes":{},"reasons":{},"units_sold":0,"points_moved":0,"oversold":0,"unfinished":0,` +
		`"inversions":0,"accept_per_s":0,"verdict_ms":{"p50":0,"p99":0},"audit":"ok"}`
	const want = `{"requests":5,"accepted":4,"refused":{"sold_out":1},"outcomes":{"confirmed":3,"rejected":1},` +
		`"reasons":{"price_changed":1},"units_sold":4,"points_moved":540,"oversold":0,"unfinished":0,"inversions":0,` +
		`"accept_per_s":1.3,"verdict_ms":{"p50":20,"p99":40},"audit":"ok","kinds":{` +
		`"auction":{"requests":4,"accepted":3,"refused":{"sold_out":1},"outcomes":{"confirmed":2,"rejected":1},` +
		`"reasons":{"price_changed":1},"units_sold":4,"points_moved":360,"oversold":0,"unfinished":0,"inversions":0,` +
		`"accept_per_s":1.5,"verdict_ms":{"p50":20,"p99":30},"audit":"ok"},` +
		`"coupon":` + nothing + `,"event":` + nothing + `,` +
		`"reservation":{"requests":1,"accepted":1,"refused":{},"outcomes":{"confirmed":1},"reasons":{},"units_sold":0,"points_moved":180,` +
		`"oversold":0,"unfinished":0,"inversions":0,"accept_per_s":1000,"verdict_ms":{"p50":40,"p99":40},"audit":"ok"}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestReportCatches: each of these must not be clean, in the whole and, where it is
// about the auction, in the auction.
func TestReportCatches(t *testing.T) {
	many := make([]*story, stock/2+1)
	for i := range many {
		many[i] = told(client.Confirmed, "", i)
	}
	with := func(change func(*story)) []*story {
		s := told(client.Confirmed, "", 0)
		change(s)
		return []*story{s}
	}
	auction := rule{name: "inversions", sale: 1}
	for name, test := range map[string]struct {
		stories  []*story
		proof    proof
		broken   []string // of the audit
		anywhere bool     // it is of no kind
	}{
		"more sold than there is":  {many, proof{}, nil, false},
		"the audit sees it":        {nil, proof{oversold: 1}, nil, true},
		"somebody was passed over": {nil, proof{inversions: 1, broken: []rule{auction}}, []string{"inversions"}, false},
		"never decided":            {with(func(s *story) { s.decided = time.Time{} }), proof{}, nil, false},
		"never answered":           {with(func(s *story) { *s = story{kind: s.kind, sent: s.sent} }), proof{}, []string{"no_answer"}, false},
		"two receipts":             {with(func(s *story) { s.twice = true }), proof{}, []string{"one_receipt"}, false},
		"an old clock":             {with(func(s *story) { s.stale = true }), proof{}, []string{"fresh_clock"}, false},
		"paid too much":            {with(func(s *story) { s.last.UnitPrice = s.named + 1 }), proof{}, []string{"ceiling"}, false},
		"the books are wrong":      {nil, proof{broken: []rule{{name: "wallets"}, {name: "stock", sale: 1}}}, []string{"stock", "wallets"}, false},
		"busy":                     {nil, proof{broken: []rule{{name: busy}}}, []string{"busy"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := reported(test.stories, test.proof)
			if r.Clean() || r.Tally.Clean() {
				t.Errorf("it is clean: %+v", r)
			}
			if r.Kinds[client.Auction].Clean() != test.anywhere || !r.Kinds[client.Coupon].Clean() {
				t.Errorf("the auction: %+v, the coupons: %+v", r.Kinds[client.Auction], r.Kinds[client.Coupon])
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
