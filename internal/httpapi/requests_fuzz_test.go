package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	"sluice/internal/notices"
	"sluice/internal/partition"
	"sluice/internal/receipts"
	"sluice/internal/sale"
	"sluice/internal/sessions"
	"sluice/internal/settlement"
	"sluice/internal/survey"
)

// outside is an API on real stores, as a fuzzer meets it.
type outside struct {
	api    *API
	addr   string
	client *http.Client
	log    *logbook
	redis  string    // its URL
	tokens [4]string // of a buyer, of a seller, of nobody, of an admin
	things []string  // that are there: sales, a store, a receipt
}

func reach(f *testing.F) *outside {
	f.Helper()
	must := func(err error) {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
	}
	const parts = 2
	o := &outside{log: &logbook{}, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	redis := embeddedtest.Redis(f)
	o.redis = redis
	books, err := ledger.Open(f.Context(), ledger.Options{URL: embeddedtest.Postgres(f)})
	must(err)
	f.Cleanup(books.Close)
	must(books.EnsurePartitions(f.Context(), parts))
	store, err := partition.Open(f.Context(), partition.Options{URL: redis, Partitions: parts})
	must(err)
	f.Cleanup(func() { store.Close() })
	signedIn, err := sessions.Open(f.Context(), sessions.Options{URL: redis})
	must(err)
	f.Cleanup(func() { signedIn.Close() })
	people, err := accounts.New(books, signedIn, []accounts.Key{keyNow})
	must(err)
	people.Cheapen()
	registry := prometheus.NewRegistry()

	ctx, stop := context.WithCancel(context.Background())
	worked := make(chan struct{})
	consumer := settlement.New("fuzz", store, books, zerolog.Nop(), registry)
	go func() {
		defer close(worked)
		_ = consumer.Run(ctx) // its faults show in answers
	}()
	f.Cleanup(func() { stop(); <-worked })
	for p := range parts {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if _, err := store.Projection(f.Context(), p, nil); err == nil {
				break
			} else if time.Now().After(deadline) {
				f.Fatal(err)
			}
		}
	}

	o.api = New(Options{
		Admission: admission.New(store, books, partition.Limits{Backlog: 1 << 40}, registry),
		Receipts:  receipts.New(store, books, prometheus.NewRegistry()), Catalog: catalog.New(store, books), Bookings: bookings.New(store, books),
		Coupons: coupons.New(books), Notices: notices.New(books), Accounts: people,
		Glances: survey.NewGlances(store, books), Letters: deadletters.New(store, 1<<40), Audit: audit.New(store, books), News: hearing(f, store, registry), Log: zerolog.New(o.log), Registry: registry,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	o.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- o.api.Serve(l) }()
	f.Cleanup(func() {
		o.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(o.api.Shutdown(ctx))
		must(<-served)
	})

	ids := map[accounts.Role]int64{}
	for i, role := range map[int]accounts.Role{0: accounts.Buyer, 1: accounts.Seller, 3: accounts.Admin} {
		made, err := people.Create(f.Context(), role, 1, 1_000_000)
		must(err)
		ids[role] = made[0]
		o.tokens[i], err = people.Token(accounts.Who{Account: made[0], Role: role}, 24*time.Hour)
		must(err)
	}
	now := time.Now()
	for _, opens := range []time.Time{now.Add(-time.Second), now.Add(2 * time.Hour)} {
		for _, change := range []func(*sale.Sale){func(*sale.Sale) {}, chair, voucher, evening} {
			s := sale.Sale{Kind: sale.Auction, Seller: ids[accounts.Seller], Title: "Lamp", Stock: 1000, Limit: 1000, ShowStock: true, RefundWindow: time.Hour,
				Price:   sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: 10 * time.Second},
				OpensAt: sale.At(opens), ClosesAt: sale.At(opens.Add(time.Hour))}
			change(&s)
			s, err := books.CreateSale(f.Context(), s, parts)
			must(err)
			o.things = append(o.things, fmt.Sprint(s.ID))
		}
	}
	return o
}

// asks is a request for every route, which is taken but for what it may lack. Where a
// path has an :id it is of the thing.
var asks = []struct {
	route       string
	as, thing   int // as outside.tokens and outside.things have them; thing -1: a receipt, -2: a dead letter
	query, body string
	header      string
}{
	{"POST /v1/auth/signup", 2, 0, "", `{"email":"a@example.org","password":"long enough","role":"buyer"}`, ""},
	{"POST /v1/auth/signin", 2, 0, "", `{"email":"nobody@example.org","password":"x"}`, ""},
	{"POST /v1/auth/refresh", 2, 0, "", `{"refresh_token":"x.y"}`, ""},
	{"POST /v1/auth/signout", 2, 0, "", `{"refresh_token":"x.y"}`, ""},
	{"GET /v1/me", 0, 0, "", "", ""},
	{"PATCH /v1/me", 0, 0, "", `{"current_password":"wrong","notices":true,"email":"b@example.org","password":"long enough"}`, ""},
	{"DELETE /v1/me", 0, 0, "", `{"current_password":"wrong"}`, ""},
	{"GET /v1/me/wallet", 0, 0, "limit=5", "", ""},
	{"POST /v1/me/wallet/topups", 0, 0, "", `{"amount":5}`, "Idempotency-Key: one"},
	{"GET /v1/me/receipts", 0, 0, "sale=7&status=confirmed&limit=1", "", ""},
	{"GET /v1/me/orders", 0, 0, "status=paid", "", ""},
	{"GET /v1/me/coupons", 0, 0, "state=used", "", ""},
	{"GET /v1/me/notices", 0, 0, "unread=true", "", ""},
	{"POST /v1/me/notices/read", 0, 0, "", `{"ids":[1,2]}`, ""},
	{"POST /v1/sales", 1, 0, "", `{"title":"Lamp","kind":"auction","stock":10,"limit":3,"opens_at":"2090-01-01T00:00:00Z","closes_at":"2090-01-01T00:10:00Z","policy":"constant","start_price":1000,"drop":10,"period":60}`, "Idempotency-Key: two"},
	{"POST /v1/sales", 1, 0, "", `{"title":"Chair","kind":"reservation","stock":10,"limit":3,"opens_at":"2090-01-01T00:00:00Z","closes_at":"2090-01-01T00:10:00Z","unit_price":5,"hold":60,"line":5,"max_bypass":1}`, ""},
	{"POST /v1/sales", 1, 0, "", `{"title":"Off","kind":"coupon","stock":10,"opens_at":"2090-01-01T00:00:00Z","closes_at":"2090-01-01T00:10:00Z","amount_off":5,"valid_from":"2090-01-01T00:00:00Z","valid_until":"2090-01-02T00:00:00Z"}`, ""},
	{"POST /v1/sales", 1, 0, "", `{"title":"Show","kind":"event","stock":10,"limit":1,"opens_at":"2090-01-01T00:00:00Z","closes_at":"2090-01-01T00:10:00Z","unit_price":5,"hold":60,"line":5,"starts_at":"2090-01-01T01:00:00Z"}`, ""},
	{"GET /v1/sales", 2, 0, "kind=auction&state=open&order=-closes_at&seller=1", "", ""},
	{"GET /v1/sales/:id", 2, 0, "", "", ""},
	{"PATCH /v1/sales/:id", 1, 4, "", `{"title":"Lamp","stock":7}`, ""},
	{"PATCH /v1/sales/:id", 1, 0, "", `{"grow_by":5}`, "Idempotency-Key: grow"},
	{"PATCH /v1/sales/:id", 1, 1, "", `{"extend_to":"2090-01-01T00:00:00Z"}`, ""},
	{"DELETE /v1/sales/:id", 1, 7, "", "", ""},
	{"GET /v1/sales/:id/prices", 2, 0, "", "", ""},
	{"GET /v1/sales/:id/receipts", 1, 0, "status=confirmed&buyer=1&from=2030-01-31T18:00:00Z&to=2030-01-31T18:00:00%2B01:00", "", ""},
	{"GET /v1/sales/:id/receipts", 1, 0, "", "", "Accept: text/csv;q=0.9, application/json;q=0.1"},
	{"GET /v1/sales/:id/summary", 1, 0, "", "", ""},
	{"POST /v1/sales/:id/bids", 0, 0, "", `{"quantity":1,"price":1000,"exact":false,"coupon":"01a200d5-63f9-7001-9a6a-c18952379aa0"}`, "Idempotency-Key: three"},
	{"POST /v1/sales/:id/bids", 0, 0, "", `{"quantity":1,"price":1000}`, ""},
	{"POST /v1/sales/:id/reservations", 0, 1, "", `{"quantity":1}`, ""},
	{"POST /v1/sales/:id/claims", 0, 2, "", `{}`, ""},
	{"POST /v1/sales/:id/joins", 0, 3, "", `{"quantity":1}`, ""},
	{"PUT /v1/sales/:id/watch", 0, 4, "", "", ""},
	{"DELETE /v1/sales/:id/watch", 0, 4, "", "", ""},
	{"GET /v1/coupons", 0, 0, "cursor=" + listClaimable.cursor(position{id: 1}, "0?"), "", ""},
	{"GET /v1/receipts/:id", 0, -1, "", "", ""},
	{"GET /v1/receipts/:id", 0, -1, "", "", "Prefer: wait=0"},
	{"GET /v1/receipts/:id", 0, -1, "", "", `If-None-Match: W/"a.1", "b.2"`},
	{"GET /v1/receipts", 0, 0, "id=01a200d5-63f9-7001-9a6a-c18952379aa0", "", ""},
	{"GET /v1/receipts/:id/events", 0, -1, "", "", "Last-Event-ID: a.1"},
	{"GET /v1/me/receipts/events", 0, 0, "", "", "Last-Event-ID: 1700000000000"},
	{"GET /v1/sales/:id/events", 2, 0, "", "", "Last-Event-ID: abc"},
	{"POST /v1/receipts/:id/pay", 0, -1, "", "", ""},
	{"POST /v1/receipts/:id/cancel", 0, -1, "", `{}`, "Idempotency-Key: four"},
	{"POST /v1/receipts/:id/refund", 0, -1, "", "", ""},
	{"POST /v1/receipts/:id/change", 0, -1, "", `{"slot":"2030-01-31T18:00:00Z"}`, ""},
	{"PUT /v1/receipts/:id/attendance", 1, -1, "", `{"attendance":"completed"}`, ""},
	{"POST /v1/stores", 1, 0, "", `{"title":"Noodles","time_zone":"Asia/Seoul","tables":3,"hours":{"mon":"11:00-21:00"},"unit_price":50,"refund_window":3600,"hold":60,"days_ahead":1}`, "Idempotency-Key: five"},
	{"GET /v1/stores", 2, 0, "seller=1", "", ""},
	{"GET /v1/stores/:id", 2, 0, "", "", ""},
	{"PATCH /v1/stores/:id", 1, 0, "", `{"title":"Soup","hours":{"tue":"11:00-21:00"},"tables":4,"days_ahead":1}`, ""},
	{"DELETE /v1/stores/:id", 1, 0, "", "", ""},
	{"GET /v1/stores/:id/slots", 2, 0, "day=2030-01-31", "", ""},
	{"POST /v1/stores/:id/reservations", 0, 0, "", `{"slot":"2030-01-31T18:00:00Z"}`, ""},
	{"GET /v1/operations", 3, 0, "", "", ""},
	{"GET /v1/operations/dead-letters", 3, 0, "limit=1&cursor=" + listLetters.cursor(position{at: 1, id: 1}, "0?"), "", ""},
	{"GET /v1/operations/dead-letters/:id", 3, -2, "", "", ""},
	{"POST /v1/operations/dead-letters/:id/replay", 3, -2, "", "", ""},
	{"DELETE /v1/operations/dead-letters/:id", 3, -2, "", "", ""},
	{"POST /v1/operations/audits", 3, 0, "", `{"sale":1}`, ""},
	{"POST /v1/operations/sales/:id/suspend", 3, 0, "", "", ""},
	{"POST /v1/operations/sales/:id/resume", 3, 0, "", `{"force":true}`, ""},
	{"GET /v1/operations/receipts/:id", 3, -1, "", "", ""},
	{"GET /v1/openapi.json", 2, 0, "", "", `If-None-Match: W/"x", *`},
	{"GET /docs", 2, 0, "", "", "If-None-Match: *"},
	{"GET /docs/errors", 2, 0, "", "", ""},
}

// FuzzRequests: over real HTTP and on real stores, whatever stands in the path, the
// query, a header or the body of any route, the answer is a thing or a problem, and
// never a fault of ours.
func FuzzRequests(f *testing.F) {
	o := reach(f)
	routes, asked := map[string]bool{}, map[string]bool{}
	for _, r := range o.api.routes() {
		routes[r.method+" "+r.pattern] = true
	}
	letters := []string{bury(f, o.redis, 0), bury(f, o.redis, 1), "0-1700000000000-0", "9-1-1"}
	for i, a := range asks {
		if !routes[a.route] {
			f.Errorf("%s is no route", a.route)
		}
		thing := sale.NewReceiptID(1).String()
		switch {
		case a.thing >= 0:
			thing = o.things[a.thing]
		case a.thing == -2:
			thing = letters[i%len(letters)]
		}
		name, value, _ := strings.Cut(a.header, ": ")
		f.Add(uint(i), byte(a.as), thing, a.query, name, value, "application/json", a.body)
		asked[a.route] = true
	}
	for _, name := range missing(routes, asked) {
		f.Errorf("%s is not asked", name)
	}
	f.Fuzz(func(t *testing.T, which uint, as byte, thing, query, name, value, media, body string) {
		method, path, _ := strings.Cut(asks[which%uint(len(asks))].route, " ")
		address := url.URL{Scheme: "http", Host: o.addr, Path: strings.Replace(path, ":id", thing, 1), RawQuery: query}
		request, err := http.NewRequestWithContext(t.Context(), method, address.String(), strings.NewReader(body))
		if err != nil || !sendable(name, value) || !sendable("x", media) || !sendable("x", query) {
			return // no client can send it
		}
		request.Header.Set("Content-Type", media)
		if name != "" {
			request.Header.Add(name, value)
		}
		if who := o.tokens[int(as)%len(o.tokens)]; who != "" && request.Header.Get("Authorization") == "" {
			request.Header.Set("Authorization", "Bearer "+who)
		}
		o.ask(t, request, body)
	})
}

// ask sends request and judges the answer.
func (o *outside) ask(t *testing.T, request *http.Request, body string) {
	t.Helper()
	answer, err := o.client.Do(request)
	if err != nil {
		if request.ContentLength < lingerBytes { // of one that is longer it may not hear the answer
			t.Fatal(err)
		}
		return
	}
	defer answer.Body.Close()
	r, err := said(answer)
	if err != nil {
		t.Fatal(err)
	}
	lawful(t, request, body, r)
	raw, said := []byte(r.raw), fmt.Sprintf("%s %s: %d %s", request.Method, request.URL, answer.StatusCode, r.raw)
	kind := answer.Header.Get("Content-Type")
	switch {
	case answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusServiceUnavailable: // a slow machine's, not a fault
		t.Errorf("%s\n%s", said, o.log)
	case answer.StatusCode >= http.StatusBadRequest:
		var p struct {
			Status    int    `json:"status"`
			Code      string `json:"code"`
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(raw, &p); err != nil || kind != problemType || p.Status != answer.StatusCode || p.Code == "" || p.RequestID == "" {
			t.Errorf("%s as %q: %v", said, kind, err)
		}
	case len(raw) > 0 && strings.HasPrefix(kind, "application/json") && !json.Valid(raw):
		t.Error(said)
	case answer.StatusCode == http.StatusAccepted && !slices.ContainsFunc([]string{receiptsPath, seenReceiptsPath, "/v1/sales/"}, func(path string) bool {
		return strings.HasPrefix(answer.Header.Get("Location"), path)
	}):
		t.Errorf("%s, and nobody knows where to see what comes of it", said)
	}
}

// sendable says whether a header can have that name and value.
func sendable(name, value string) bool {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	return !strings.ContainsFunc(value, odd) && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) && !slices.Contains([]string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect"}, http.CanonicalHeaderKey(name))
}
