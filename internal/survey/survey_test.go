package survey

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const longest = time.Minute // of any wait: far longer than one takes

// house is a Sluice without a consumer, until one is started, and its survey.
type house struct {
	t        testing.TB
	ctx      context.Context
	redis    *embeddedtest.Server
	postgres string // URL
	store    *partition.Store
	ledger   *ledger.Ledger
	registry *prometheus.Registry
	survey   *Survey
	seller   int64
	buyers   []int64
}

func newHouse(t testing.TB) *house {
	h := &house{t: t, ctx: t.Context(), redis: embeddedtest.RedisServer(t), postgres: embeddedtest.Postgres(t), registry: prometheus.NewRegistry()}
	h.ledger = h.opened(h.postgres)
	h.must(h.ledger.EnsurePartitions(h.ctx, 2))
	var err error
	h.store, err = partition.Open(h.ctx, partition.Options{URL: h.redis.URL, Partitions: 2})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	sellers, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	h.seller = sellers[0]
	h.buyers, err = h.ledger.CreateAccounts(h.ctx, "buyer", 8, 1000)
	h.must(err)
	h.survey = New(h.store, h.ledger, 1000, zerolog.Nop(), h.registry)
	return h
}

func (h *house) opened(url string) *ledger.Ledger {
	h.t.Helper()
	l, err := ledger.Open(h.ctx, ledger.Options{URL: url})
	h.must(err)
	h.t.Cleanup(l.Close)
	return l
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) until(what string, met func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(longest); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

// consume starts a consumer.
func (h *house) consume() (stop func()) {
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- settlement.New("consumer", h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry()).Run(ctx)
	}()
	stop = func() {
		if cancel(); ctx.Err() != nil {
			h.must(<-ended)
			ended <- nil
		}
	}
	h.t.Cleanup(stop)
	return stop
}

// offer records a sale of a hundred units at 10 that has just opened.
func (h *house) offer(s sale.Sale) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s.Seller, s.Title, s.Stock, s.Limit = h.seller, "lamp", 100, 100
	s.OpensAt, s.ClosesAt, s.RefundWindow = now, now.Add(time.Hour), time.Hour
	if s.Kind == sale.Auction {
		s.Price = sale.Price{Policy: sale.Constant, Start: 10, Drop: 1, Period: time.Hour}
	}
	s, err := h.ledger.CreateSale(h.ctx, s, 2)
	h.must(err)
	return s
}

// ask queues a request for so many units.
func (h *house) ask(s sale.Sale, verb sale.Verb, buyer, units int64) {
	h.t.Helper()
	h.must(h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		return h.ledger.Stand(ctx, s.ID)
	}))
	_, err := h.store.Admit(h.ctx, s.Partition, sale.Request{
		Receipt: sale.NewReceiptID(s.Partition), Verb: verb, Sale: s.ID, Buyer: buyer, Quantity: units, Price: 10,
	}, partition.Selling, partition.Limits{Backlog: 1000})
	h.must(err)
}

// shown is what a scrape shows now, by name and label values: name{a,b}.
func (h *house) shown() map[string]float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	h.must(err)
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			name := family.GetName()
			if labels != nil {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// see surveys once, successfully, and answers what a scrape shows then.
func (h *house) see() map[string]float64 {
	h.t.Helper()
	h.must(h.survey.look(h.ctx))
	return h.shown()
}

// sees waits for a survey that shows all of that.
func (h *house) sees(what string, want map[string]float64) {
	h.t.Helper()
	var seen map[string]float64
	for deadline := time.Now().Add(longest); ; time.Sleep(5 * time.Millisecond) {
		seen = h.see()
		differs := func(name string) bool { got, there := seen[name]; return !there || got != want[name] }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(want)), differs) {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: want %v, there is %v", what, want, seen)
		}
	}
}

// TestMoves: a picture is looked at again soon unless it is whole, well, and like the one
// before.
func TestMoves(t *testing.T) {
	still := func(change func(*Picture)) *Picture {
		p := &Picture{Redis: &partition.Survey{Partitions: []partition.Condition{{Known: true, Generation: 1, Held: true}, {Known: true, Generation: 1, Held: true}}}, Postgres: &Record{}}
		if change != nil {
			change(p)
		}
		return p
	}
	for name, c := range map[string]struct {
		now, before *Picture
		moves       bool
	}{
		"nothing":               {still(nil), still(nil), false},
		"the first":             {still(nil), nil, true},
		"something is queued":   {still(func(p *Picture) { p.Redis.Partitions[1].Depth = 1 }), still(func(p *Picture) { p.Redis.Partitions[1].Depth = 1 }), true},
		"nobody owns one":       {still(func(p *Picture) { p.Redis.Partitions[1].Held = false }), still(func(p *Picture) { p.Redis.Partitions[1].Held = false }), true},
		"one is loading":        {still(func(p *Picture) { p.Redis.Partitions[0].Loading = true }), still(func(p *Picture) { p.Redis.Partitions[0].Loading = true }), true},
		"a dead letter came":    {still(func(p *Picture) { p.Redis.Partitions[0].Dead = 1 }), still(nil), true},
		"dead letters stay":     {still(func(p *Picture) { p.Redis.Partitions[0].Dead = 1 }), still(func(p *Picture) { p.Redis.Partitions[0].Dead = 1 }), false},
		"Redis does not answer": {still(func(p *Picture) { p.Redis = nil }), still(nil), true},
		"Redis answers again":   {still(nil), still(func(p *Picture) { p.Redis = nil }), true},
		"Postgres does not":     {still(func(p *Picture) { p.Postgres = nil }), still(nil), true},
	} {
		if c.now.moves(c.before) != c.moves {
			t.Errorf("%s: moves is %t", name, !c.moves)
		}
	}
}

// TestNothingBeforeTheFirstSurvey: only what is known without asking.
func TestNothingBeforeTheFirstSurvey(t *testing.T) {
	h := newHouse(t)
	want := map[string]float64{"sluice_backlog_max": 1000, "sluice_survey_failures_total": 0, "sluice_survey_timestamp_seconds": 0}
	if got := h.shown(); !maps.Equal(got, want) {
		t.Errorf("it shows %v", got)
	}
}

// TestQueues: while the consumer stands still a queue gets longer and older; with it
// both are nothing again. A partition that nobody owns is seen, and one that Redis knows
// nothing of.
func TestQueues(t *testing.T) {
	h := newHouse(t)
	nothing := map[string]float64{"sluice_partition_depth{0}": 0, "sluice_partition_depth{1}": 0, "sluice_partition_oldest_seconds{0}": 0, "sluice_partition_oldest_seconds{1}": 0}
	h.sees("Redis is empty", with(nothing, map[string]float64{
		"sluice_partition_held{0}": 0, "sluice_partition_held{1}": 0, "sluice_partition_loading{0}": 1, "sluice_partition_loading{1}": 1, "sluice_partition_generation{0}": 0,
	}))
	stop := h.consume()
	working := with(nothing, map[string]float64{
		"sluice_partition_held{0}": 1, "sluice_partition_held{1}": 1, "sluice_partition_loading{0}": 0, "sluice_partition_loading{1}": 0, "sluice_partition_generation{0}": 1,
	})
	h.sees("a consumer is at work", working)
	s := h.offer(sale.Sale{Kind: sale.Auction})
	stop()
	h.sees("nobody owns them", with(nothing, map[string]float64{"sluice_partition_held{0}": 0, "sluice_partition_held{1}": 0, "sluice_partition_loading{0}": 0}))

	depth, age := "sluice_partition_depth{"+digit(s.Partition)+"}", "sluice_partition_oldest_seconds{"+digit(s.Partition)+"}"
	for n := range int64(3) {
		h.ask(s, sale.Bid, h.buyers[n], 1)
		h.sees("one more is queued", map[string]float64{depth: float64(n + 1)})
	}
	first := h.see()[age]
	h.until("it gets older", func() bool { return h.see()[age] > first })
	h.consume()
	h.sees("all is settled", working)
}

func with(a, b map[string]float64) map[string]float64 {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

func digit(p int) string { return string(rune('0' + p)) }

// TestDeadLetters: one is counted, and none when it is dropped.
func TestDeadLetters(t *testing.T) {
	h := newHouse(t)
	h.consume()
	h.sees("nothing died", map[string]float64{"sluice_dead_letters": 0, "sluice_partition_loading{1}": 0})
	raw := h.raw()
	h.must(raw.XAdd(h.ctx, &redis.XAddArgs{Stream: "{s1}:log", Values: []any{"q", "x", "e", "unreadable"}}).Err())
	h.sees("one died", map[string]float64{"sluice_dead_letters": 1})
	letters, err := h.store.DeadList(h.ctx, 1, sale.EntryID{}, 10)
	h.must(err)
	h.must(h.store.DropDead(h.ctx, 1, letters[0].ID))
	h.sees("it was dropped", map[string]float64{"sluice_dead_letters": 0})
}

func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	c, err := pgx.Connect(h.ctx, h.postgres)
	h.must(err)
	defer c.Close(h.ctx)
	_, err = c.Exec(h.ctx, statement, args...)
	h.must(err)
}

func (h *house) raw() redis.UniversalClient {
	h.t.Helper()
	return embeddedtest.Client(h.t, h.redis.URL)
}

// TestBusiestSales: what is shown follows the trade, and is gone with the sale.
func TestBusiestSales(t *testing.T) {
	h := newHouse(t)
	h.consume()
	auction := h.offer(sale.Sale{Kind: sale.Auction})
	stage := h.offer(sale.Sale{Kind: sale.Reservation, Price: sale.Price{Policy: sale.Fixed, Start: 7}, Hold: time.Hour, LineMost: 10})
	now := sale.At(time.Now())
	coupon := sale.Sale{Kind: sale.Coupon, Seller: h.seller, Title: "coupon", Stock: 5, Limit: 1, Price: sale.Price{Policy: sale.Fixed}, AmountOff: 1,
		OpensAt: now, ClosesAt: now.Add(time.Hour), ValidFrom: now, ValidUntil: now.Add(time.Hour)}
	coupon, err := h.ledger.CreateSale(h.ctx, coupon, 2)
	h.must(err)
	h.sees("none has opened", map[string]float64{"sluice_sales_open": 0, "sluice_partition_loading{0}": 0, "sluice_partition_loading{1}": 0})

	name := func(s sale.Sale) string { return string(s.Kind) + "," + strconv.FormatInt(s.ID, 10) } // labels go by their names
	a, r, c := name(auction), name(stage), name(coupon)
	h.ask(auction, sale.Bid, h.buyers[0], 3)
	h.ask(stage, sale.Reserve, h.buyers[0], 98)
	h.ask(stage, sale.Reserve, h.buyers[1], 3)
	h.ask(coupon, sale.Claim, h.buyers[0], 1)
	h.sees("the trade", map[string]float64{
		"sluice_sales_open":                   3,
		"sluice_sales_suspended":              0,
		"sluice_sale_units{" + a + ",free}":   97,
		"sluice_sale_units{" + a + ",sold}":   3,
		"sluice_sale_price_points{" + a + "}": 10,
		"sluice_sale_units{" + r + ",free}":   2,
		"sluice_sale_units{" + r + ",held}":   98,
		"sluice_sale_waiting{" + r + "}":      1,
		"sluice_sale_price_points{" + r + "}": 7,
		"sluice_sale_units{" + c + ",free}":   4,
		"sluice_sale_waiting{" + c + "}":      0,
	})
	if _, priced := h.shown()["sluice_sale_price_points{"+c+"}"]; priced {
		t.Error("a coupon has a price")
	}

	h.sql(`update sales set suspended = true, suspensions = 1 where id = $1`, stage.ID)
	h.sees("one is suspended", map[string]float64{"sluice_sales_open": 3, "sluice_sales_suspended": 1, "sluice_sale_units{" + r + ",held}": 98})
	h.sql(`update sales set suspended = false where id = $1`, stage.ID)
	h.sql(`update sales set phase = 'closed' where id = $1`, auction.ID)
	h.sees("it is resumed, and one has closed", map[string]float64{"sluice_sales_open": 2, "sluice_sales_suspended": 0})
	for name := range h.shown() {
		if strings.Contains(name, "{"+a) {
			t.Errorf("%s outlives its sale", name)
		}
	}
}

// BenchmarkLook is one survey of ten thousand open sales, which are all looked at each
// time.
func BenchmarkLook(b *testing.B) {
	h := newHouse(b)
	h.sql(`
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, phase)
		select
			'auction', n % 2, $1, 'lamp', 'constant', 10, 1, 0, 60000, 10,
			now(), now() + n * interval '1 second', now() + interval '1 day', true, 100, 100, 'open'
		from generate_series(1, 10000) as n`, h.seller)
	for b.Loop() {
		h.survey.countAt = time.Time{}
		h.see()
	}
}
