package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/audit"
	"sluice/internal/bookings"
	"sluice/internal/catalog"
	"sluice/internal/coupons"
	"sluice/internal/deadletters"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/notices"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sale"
	"sluice/internal/sessions"
	"sluice/internal/settlement"
	"sluice/internal/survey"
)

// outage is a house whose API and consumer can be cut off from Postgres. The house's
// own ledger and accounts are not.
type outage struct {
	*house
	way *toxiproxy.Proxy
}

// openToOutage opens one whose partitions take so many requests that are not decided.
func openToOutage(t *testing.T, backlog int64) *outage {
	t.Helper()
	redis := embeddedtest.Redis(t)
	o := &outage{house: openOn(t, redis)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(o.postgres)
	must(err)
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	o.way = toxiproxy.NewProxy(proxies, "postgres", "127.0.0.1:0", u.Host)
	must(o.way.Start())
	t.Cleanup(o.way.Stop)
	u.Host = o.way.Listen
	cut, err := ledger.Open(t.Context(), ledger.Options{URL: u.String() + "&application_name=ours"})
	must(err)
	t.Cleanup(cut.Close)
	signedIn, err := sessions.Open(t.Context(), sessions.Options{URL: redis})
	must(err)
	t.Cleanup(func() { signedIn.Close() })
	who, err := accounts.New(cut, signedIn, []accounts.Key{keyNow})
	must(err)
	who.Cheapen()
	o.registry = prometheus.NewRegistry()
	o.consumer = settlement.New("ours", o.store, cut, zerolog.Nop(), o.registry)
	o.addr = serve(t, New(Options{
		Admission: admission.New(o.store, cut, partition.Limits{Rate: 1000, Burst: 1000, Backlog: backlog}, o.registry),
		Receipts:  receipts.New(o.store, cut, prometheus.NewRegistry()),
		Catalog:   catalog.New(o.store, cut),
		Bookings:  bookings.New(o.store, cut),
		Coupons:   coupons.New(cut),
		Notices:   notices.New(cut),
		Accounts:  who,
		Glances:   survey.NewGlances(o.store, cut),
		Letters:   deadletters.New(o.store, backlog),
		Audit:     audit.New(o.store, cut),
		News:      hearing(t, o.store, o.registry),
		Log:       zerolog.New(o.log),
		Registry:  o.registry,

		WorkTimeout: 2 * time.Second, // nobody waits long for a Postgres that says nothing
	}))
	return o
}

func (o *outage) worsen(toxic string) {
	o.t.Helper()
	if _, err := o.way.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		o.t.Fatal(err)
	}
}

// alter changes how the database treats everybody to come, and ends the sessions that
// the API and the consumer have.
func (o *outage) alter(how string) {
	o.t.Helper()
	ctx := o.t.Context()
	config, err := pgx.ParseConfig(o.postgres)
	if err != nil {
		o.t.Fatal(err)
	}
	database := config.Database
	config.Database = "postgres" // nobody can lock himself out
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		o.t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "alter database "+database+" "+how); err != nil {
		o.t.Fatal(err)
	}
	if _, err := c.Exec(ctx, `
		select pg_terminate_backend(pid)
		from pg_stat_activity
		where datname = $1 and application_name = 'ours'`, database); err != nil {
		o.t.Fatal(err)
	}
}

func (o *outage) close() { o.way.Stop() }

func (o *outage) open() {
	o.t.Helper()
	if err := o.way.Start(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *outage) heal() { o.way.Toxics.ResetToxics(o.t.Context()) }

// outages are the ways in which Postgres is not there, and how each ends.
var outages = map[string]struct{ begin, end func(*outage) }{
	"nobody listens": {(*outage).close, (*outage).open},
	"no answer": {func(o *outage) {
		o.worsen(`{"name":"lost","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
	}, (*outage).heal},
	"connections reset": {func(o *outage) {
		o.worsen(`{"name":"reset","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`)
	}, (*outage).heal},
	"sessions refused": {
		func(o *outage) { o.alter("allow_connections false") },
		func(o *outage) { o.alter("allow_connections true") },
	},
	readsOnly: {
		func(o *outage) { o.alter("set default_transaction_read_only = on") },
		func(o *outage) { o.alter("reset default_transaction_read_only") },
	},
}

const readsOnly = "reads only"

// reads says of which rows nothing is written to Postgres, beside those that have GET.
func reads(row string) bool {
	switch row {
	case "POST /v1/operations/audits", "POST /v1/operations/sales/:id/suspend", "POST /v1/operations/sales/:id/resume", "POST /v1/auth/signin", "POST /v1/auth/refresh",
		"POST /v1/sales/:id/claims", "POST /v1/sales/:id/joins", "POST /v1/receipts/:id/change", "POST /v1/stores/:id/reservations":
		return true
	}
	return strings.HasPrefix(row, "GET ")
}

// unmoved are the rows of the matrix that Redis alone can answer, or nobody need: of
// sales that this API has met, and of receipts that are not cold.
var unmoved = map[string]bool{
	"POST /v1/auth/signout": true,

	"GET /v1/sales/:id": true, "GET /v1/sales/:id/prices": true, "PATCH /v1/sales/:id grow": true, "PATCH /v1/sales/:id extend": true,
	"POST /v1/sales/:id/bids": true, "POST /v1/sales/:id/reservations": true,

	"GET /v1/receipts": true, "GET /v1/receipts/:id/events": true, "GET /v1/me/receipts/events": true, "GET /v1/sales/:id/events": true,
	"GET /v1/receipts/:id": true, "POST /v1/receipts/:id/pay": true, "POST /v1/receipts/:id/cancel": true, "POST /v1/receipts/:id/refund": true,

	"GET /v1/operations": true, "GET /v1/operations/dead-letters": true, "GET /v1/operations/dead-letters/:id": true,
	"POST /v1/operations/dead-letters/:id/replay": true, "DELETE /v1/operations/dead-letters/:id": true,

	"GET /v1/openapi.json": true, "GET /docs": true, "GET /docs/errors": true,
}

// TestEveryRouteWithoutPostgres asks every route while Postgres is away, in every way:
// what can be answered is, all else is told to come again, and nothing is half done.
// Afterwards every route answers as ever, and what was queued ends.
func TestEveryRouteWithoutPostgres(t *testing.T) {
	t.Parallel()
	for name, way := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openToOutage(t, 10_000)
			q := newQuestions(o.house)
			asked := map[string]question{}
			for row := range matrix {
				who, role := q.asker(row)
				asked[row], _ = q.ask(row, role, who.Access)
			}
			before := o.record()
			way.begin(o)
			answers := o.askAll(asked)
			var queued []string
			for row, r := range answers {
				switch got := verdict(r); {
				case got == allowed(row) && (unmoved[row] || name == readsOnly && reads(row)):
				case unmoved[row]:
					t.Errorf("%s: %s, want %s: %s", row, got, allowed(row), r.raw)
				default:
					r.wantAgain(t, row, "unavailable")
				}
				if r.status == http.StatusAccepted {
					queued = append(queued, row)
				}
			}
			// What nobody can know now is not said to be unknown.
			for _, path := range []string{receiptsPath + sale.NewReceiptID(3).String(), "/v1/sales/404"} {
				r := o.ask("GET", path, q.buyer.Access, "")
				if name == readsOnly {
					if r.status != http.StatusNotFound {
						t.Errorf("%s: %d %s", path, r.status, r.raw)
					}
					continue
				}
				r.wantAgain(t, path, "unavailable")
			}
			way.end(o)
			if after := o.record(); after != before {
				t.Errorf("something was done:\n%s\n%s", before, after)
			}
			if len(queued) < 7 {
				t.Errorf("queued were only %q", queued)
			}

			for row := range matrix {
				who, role := q.asker(row)
				a, _ := q.ask(row, role, who.Access)
				method, _, _ := strings.Cut(row, " ")
				o.until(row+" answers as ever", func() bool {
					r := o.ask(method, a.path, a.token, a.body, a.headers()...)
					if r.status >= 500 { // it has met a connection from before
						r.wantAgain(t, row, "unavailable")
						return false
					}
					if got := verdict(r); got != allowed(row) {
						t.Errorf("afterwards %s: %s, want %s: %s", row, got, allowed(row), r.raw)
					}
					return true
				})
			}
			o.work()
			for _, row := range queued {
				if strings.HasPrefix(row, "POST "+operationsPath) { // it is its buyer's, who is nobody
					continue
				}
				o.settled(asked[row].token, answers[row].text("receipt"))
			}
		})
	}
}

// asker is somebody who may ask a row.
func (q *questions) asker(row string) (person, accounts.Role) {
	switch cells := strings.Fields(matrix[row]); {
	case cells[2] != "forbidden":
		return q.buyer, accounts.Buyer
	case cells[4] != "forbidden":
		return q.seller, accounts.Seller
	}
	return q.admin, accounts.Admin
}

// allowed is what the matrix has for him.
func allowed(row string) string {
	cells := strings.Fields(matrix[row])
	for _, who := range []int{2, 4} {
		if cells[who] != "forbidden" {
			return cells[who]
		}
	}
	return cells[6]
}

// askAll asks everything at once.
func (o *outage) askAll(asked map[string]question) map[string]reply {
	o.t.Helper()
	answers := map[string]reply{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for row, a := range asked {
		all.Go(func() {
			method, _, _ := strings.Cut(row, " ")
			r, err := o.send(method, a.path, a.token, a.body, a.headers()...)
			if err != nil {
				o.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[row] = r
		})
	}
	all.Wait()
	return answers
}

// wantAgain checks that somebody is told to come again, and when.
func (r reply) wantAgain(t *testing.T, what, code string) {
	t.Helper()
	after, _ := strconv.Atoi(r.header.Get("Retry-After"))
	ms, _ := strconv.Atoi(r.text("retry_after_ms"))
	if r.status != http.StatusServiceUnavailable || r.text("code") != code || after < 1 || after > 30 || ms < 1000 || ms > 1000*after {
		t.Errorf("%s: %d, Retry-After %q: %s", what, r.status, r.header.Get("Retry-After"), r.raw)
	}
}

// TestSessionEndsAfterARefusal: what the driver still had to tidy up on a connection
// that is no more is not our fault, and passes.
func TestSessionEndsAfterARefusal(t *testing.T) {
	t.Parallel()
	o := openToOutage(t, 10)
	_, token := o.account(accounts.Buyer, 0)
	for range 5 {
		for _, how := range []string{"set default_transaction_read_only = on", "reset default_transaction_read_only"} {
			o.alter(how)
			for range 2 { // the first one meets a session that has ended, the second one is refused
				if r := o.ask("POST", "/v1/me/wallet/topups", token, `{"amount":5}`); r.status != http.StatusCreated {
					r.wantAgain(t, how, "unavailable")
				}
			}
		}
	}
	o.until("a top-up gets through", func() bool {
		return o.ask("POST", "/v1/me/wallet/topups", token, `{"amount":5}`).status == http.StatusCreated
	})
}

// TestBacklogWithoutPostgres: a crowd goes on while Postgres is away, until as many
// wait as may; the others are told when to come again, and get in then.
func TestBacklogWithoutPostgres(t *testing.T) {
	t.Parallel()
	const bound = 40
	o := openToOutage(t, bound)
	o.work()
	s := o.sale(-time.Second, time.Hour, func(s *sale.Sale) { s.Stock, s.Limit = 1000, 1000 })
	buyer, token := o.account(accounts.Buyer, 1_000_000)
	first := o.bid(s, token, 1, 1000)
	o.settled(token, first.text("receipt"))

	o.close()
	ids, shed := o.fill(s, token)
	shed.wantAgain(t, "beyond the bound", "overloaded")
	if len(ids) != bound {
		t.Errorf("%d are queued, not %d", len(ids), bound)
	}
	for _, id := range ids {
		if r := o.ask("GET", receiptsPath+id, token, ""); r.status != http.StatusOK || r.text("status") != "queued" {
			t.Errorf("a queued receipt: %d %s", r.status, r.raw)
		}
	}
	if r := o.ask("GET", receiptsPath+first.text("receipt"), token, ""); r.text("status") != "confirmed" {
		t.Errorf("a receipt from before: %d %s", r.status, r.raw)
	}
	o.open()
	for _, id := range ids {
		if r := o.settled(token, id); r.text("status") != "confirmed" {
			t.Errorf("afterwards: %s", r.raw)
		}
	}
	late := o.bid(s, token, 1, 1000)
	if r := o.settled(token, late.text("receipt")); r.text("status") != "confirmed" {
		t.Errorf("who was shed: %s", r.raw)
	}
	if got, want := o.points(buyer), int64(1_000_000-1000*(bound+2)); got != want {
		t.Errorf("%d points are left, not %d", got, want)
	}
}

// fill asks until somebody is shed, and answers who got in.
func (o *outage) fill(s sale.Sale, token string) (ids []string, shed reply) {
	o.t.Helper()
	for {
		r := o.ask("POST", bids(s.ID), token, `{"quantity":1,"price":1000}`)
		if r.status != http.StatusAccepted {
			return ids, r
		}
		ids = append(ids, r.text("receipt"))
	}
}

// TestRetryAfterTellsTheTruth: the longer Postgres is away, the later whoever is shed
// is told to come again; who does so gets in; and of the next outage nothing is known
// when it begins.
func TestRetryAfterTellsTheTruth(t *testing.T) {
	t.Parallel()
	o := openToOutage(t, 20)
	o.work()
	s := o.sale(-time.Second, time.Hour, func(s *sale.Sale) { s.Stock, s.Limit = 1000, 1000 })
	_, token := o.account(accounts.Buyer, 1_000_000)
	o.settled(token, o.bid(s, token, 1, 1000).text("receipt"))
	told := func(r reply) time.Duration {
		t.Helper()
		r.wantAgain(t, "beyond the bound", "overloaded")
		ms, _ := strconv.Atoi(r.text("retry_after_ms"))
		return time.Duration(ms) * time.Millisecond
	}
	for range 2 {
		began := time.Now()
		o.close()
		ids, shed := o.fill(s, token)
		first := told(shed)
		if since := time.Since(began); first > max(time.Second, since) {
			t.Errorf("shed after %s, and told %s", since, first)
		}
		wait := first
		o.until("who is shed is told to come ever later", func() bool {
			next := told(o.ask("POST", bids(s.ID), token, `{"quantity":1,"price":1000}`))
			if next < wait {
				t.Errorf("told %s after %s", next, wait)
			}
			wait = next
			return wait >= 3*time.Second
		})
		if since := time.Since(began); wait > since+time.Millisecond { // Redis' clock is read in whole ones
			t.Errorf("away for %s, and told %s", since, wait)
		}
		o.open()
		for tries := 1; ; tries++ {
			time.Sleep(wait) // as a client does who is told to
			r := o.ask("POST", bids(s.ID), token, `{"quantity":1,"price":1000}`)
			if r.status == http.StatusAccepted {
				ids = append(ids, r.text("receipt"))
				break
			}
			if wait = told(r); tries == 3 {
				t.Fatalf("did as told three times, and is not in: %s", r.raw)
			}
		}
		for _, id := range ids {
			o.settled(token, id)
		}
	}
}
