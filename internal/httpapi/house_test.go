package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	"sluice/internal/news"
	"sluice/internal/notices"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sale"
	"sluice/internal/sessions"
	"sluice/internal/settlement"
	"sluice/internal/survey"
)

func TestMain(m *testing.M) { embeddedtest.Main(judged{m}) }

const partitions = 16

var (
	keyNow   = accounts.Key{ID: "now", Secret: []byte("0123456789abcdef0123456789abcdef")}
	keyOther = accounts.Key{ID: "other", Secret: []byte("ffffffffffffffffffffffffffffffff")}
)

// house is an API on real stores, with a real listener. Its partitions are
// loaded, so requests are queued; nothing settles them until work is called.
type house struct {
	t        *testing.T
	api      *API
	addr     string
	postgres string // its URL
	redis    string // the same
	ledger   *ledger.Ledger
	store    *partition.Store
	accounts *accounts.Accounts
	registry *prometheus.Registry
	log      *logbook
	secrets  *secrets // all that was said and must not be heard again
	client   *http.Client

	consumer *settlement.Consumer
	rest     func() // stops the consumer and waits for it
}

// open starts a house with a Redis of its own.
func open(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	return openOn(t, embeddedtest.Redis(t), change...)
}

func openOn(t *testing.T, redis string, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, redis: redis, registry: prometheus.NewRegistry(), log: &logbook{}, secrets: &secrets{said: map[string]bool{}},
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(func() {
		h.secrets.check(t, h.log.String())
		for _, line := range nameless(h.log.String()) {
			t.Errorf("a line of the log is about no request: %s", line)
		}
	})
	h.postgres = embeddedtest.Postgres(t)
	var err error
	if h.ledger, err = ledger.Open(t.Context(), record(t, h.postgres)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.ledger.Close)
	if err := h.ledger.EnsurePartitions(t.Context(), partitions); err != nil {
		t.Fatal(err)
	}
	if h.store, err = partition.Open(t.Context(), partition.Options{URL: redis, Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() })
	signedIn, err := sessions.Open(t.Context(), sessions.Options{URL: redis})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { signedIn.Close() })
	if h.accounts, err = accounts.New(h.ledger, signedIn, []accounts.Key{keyNow}); err != nil {
		t.Fatal(err)
	}
	h.accounts.Cheapen()
	o := Options{
		Admission: admission.New(h.store, h.ledger, partition.Limits{Rate: 1000, Burst: 1000, Backlog: 10_000}, h.registry),
		Receipts:  receipts.New(h.store, h.ledger, prometheus.NewRegistry()),
		Catalog:   catalog.New(h.store, h.ledger),
		Bookings:  bookings.New(h.store, h.ledger),
		Coupons:   coupons.New(h.ledger),
		Notices:   notices.New(h.ledger),
		Accounts:  h.accounts,
		Glances:   survey.NewGlances(h.store, h.ledger),
		Letters:   deadletters.New(h.store, 10_000),
		Audit:     audit.New(h.store, h.ledger),
		Version:   "v1.2.0",
		Log:       zerolog.New(h.log),
		Registry:  h.registry,
	}
	for _, c := range change {
		c(&o)
	}
	h.consumer = settlement.New("test", h.store, h.ledger, zerolog.Nop(), h.registry)
	h.work()
	h.rest()
	o.News = hearing(t, h.store, h.registry) // after all that would have it wake everybody

	h.api = New(o)
	h.api.waiters.brief = 0 // whoever waits is parked, however soon he is decided
	h.addr = serve(t, h.api)
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

// hearing is news that are heard until the test ends, from now on.
func hearing(t testing.TB, store *partition.Store, registry *prometheus.Registry) *news.News {
	t.Helper()
	log := &logbook{}
	n := news.New(store, zerolog.New(log), registry)
	ctx, deaf := context.WithCancel(context.Background())
	var ears sync.WaitGroup
	ears.Go(func() { _ = n.Run(ctx) })
	t.Cleanup(func() { deaf(); ears.Wait() })
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(log.String(), "news flow"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no news flow")
		}
	}
	return n
}

// serve has api listen until the test ends, and answers its address.
func serve(t *testing.T, api *API) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, api, l)
}

// serveOn is serve on a listener of the test's own.
func serveOn(t *testing.T, api *API, l net.Listener) string {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- api.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := api.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// work runs a consumer until rest is called or the test ends, and returns once
// it has all partitions and all of them are loaded.
func (h *house) work() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.consumer.Run(ctx) // its faults show in outcomes that do not come
	}()
	h.rest = sync.OnceFunc(func() { cancel(); <-done })
	h.t.Cleanup(h.rest)
	for p := range partitions {
		h.until("partition is loaded", func() bool {
			_, err := h.store.Projection(h.t.Context(), p, nil)
			return err == nil
		})
	}
}

// until asks again and again, for at most half a minute.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// account makes an account with points and answers its number and token.
func (h *house) account(role accounts.Role, points int64) (int64, string) {
	h.t.Helper()
	ids, err := h.accounts.Create(h.t.Context(), role, 1, points)
	if err != nil {
		h.t.Fatal(err)
	}
	return ids[0], h.token(accounts.Who{Account: ids[0], Role: role})
}

func (h *house) token(who accounts.Who) string {
	h.t.Helper()
	token, err := h.accounts.Token(who, time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// sale records a sale of 10 units that opens and closes so long from now. Check
// is the catalog's, so it may have opened or closed already. Its price drops so
// seldom that it stands while a test lasts.
func (h *house) sale(opens, closes time.Duration, change ...func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	seller, _ := h.account(accounts.Seller, 0)
	now := time.Now()
	s := sale.Sale{
		Kind: sale.Auction, Seller: seller, Title: "Lamp",
		Price: sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: 30 * time.Minute},
		Stock: 10, Limit: 3, OpensAt: sale.At(now.Add(opens)), ClosesAt: sale.At(now.Add(closes)),
		RefundWindow: time.Hour, ShowStock: true,
	}
	for _, c := range change {
		c(&s)
	}
	s, err := h.ledger.CreateSale(h.t.Context(), s, partitions)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// queued answers every request that was queued and not trimmed since, over all
// partitions: it tells that a refused one left no trace.
func (h *house) queued() (all []sale.Entry) {
	h.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p := range partitions { // at once, since reading an empty one takes a second
		wg.Go(func() {
			entries, err := h.store.Read(h.t.Context(), p, sale.EntryID{}, 100_000)
			if err != nil {
				h.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, entries...)
		})
	}
	wg.Wait()
	return slices.DeleteFunc(all, func(e sale.Entry) bool { return e.Verb == sale.Rebuilt })
}

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// ask sends one request. Headers are "Name: value".
func (h *house) ask(method, path, token, body string, headers ...string) reply {
	h.t.Helper()
	r, err := h.send(method, path, token, body, headers...)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// send is ask for goroutines, which may not end the test.
func (h *house) send(method, path, token, body string, headers ...string) (r reply, err error) {
	request, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.addr+path, strings.NewReader(body))
	if err != nil {
		return r, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header[name] = append(request.Header[name], value)
		if name == "Content-Type" {
			request.Header[name] = []string{value}
		}
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	if r, err = said(answer); err != nil {
		return r, fmt.Errorf("%s %s: %w", method, path, err)
	}
	lawful(h.t, request, body, r)
	h.secrets.note(request, body, r)
	return r, nil
}

// text is a field of the answer as it was written.
func (r reply) text(name string) string {
	if r.body[name] == nil {
		return ""
	}
	return fmt.Sprint(r.body[name])
}

// bid asks for units at a price; it must be accepted.
func (h *house) bid(s sale.Sale, token string, quantity, price int64, headers ...string) reply {
	h.t.Helper()
	r := h.ask("POST", bids(s.ID), token, fmt.Sprintf(`{"quantity":%d,"price":%d}`, quantity, price), headers...)
	if r.status != http.StatusAccepted {
		h.t.Fatalf("bid: %d %s", r.status, r.raw)
	}
	return r
}

// settled polls a receipt, as it is told to, until it is no longer queued.
func (h *house) settled(token, receipt string) (r reply) {
	h.t.Helper()
	h.until("receipt "+receipt+" is settled", func() bool {
		r = h.ask("GET", receiptsPath+receipt, token, "")
		if r.status != http.StatusOK {
			h.t.Fatalf("poll: %d %s", r.status, r.raw)
		}
		return r.text("status") != "queued"
	})
	return r
}

func (h *house) points(account int64) int64 {
	h.t.Helper()
	points, err := h.accounts.Wallet(h.t.Context(), account)
	if err != nil {
		h.t.Fatal(err)
	}
	return points
}

func bids(id int64) string { return fmt.Sprintf("/v1/sales/%d/bids", id) }

// wantProblem checks an error's whole form.
func (r reply) wantProblem(t *testing.T, status int, code string) {
	t.Helper()
	if r.status != status || r.text("code") != code {
		t.Fatalf("got %d %s; want %d %s: %s", r.status, r.text("code"), status, code, r.raw)
	}
	if media := r.header.Get("Content-Type"); media != problemType {
		t.Errorf("content type %q", media)
	}
	if r.text("status") != fmt.Sprint(status) || r.text("title") == "" || r.text("type") != "/docs/errors#"+code || r.text("instance") == "" {
		t.Errorf("not a whole problem: %s", r.raw)
	}
	if id := r.header.Get("X-Request-Id"); id == "" || id != r.text("request_id") {
		t.Errorf("request ID %q, in the body %q", id, r.text("request_id"))
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

// dialed answers a connection that there is.
func dialed(conn net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return conn, nil }
}
