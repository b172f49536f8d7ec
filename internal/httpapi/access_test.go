package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// askers are the columns of the matrix below. The sale, the receipt and the bids
// of a question are the buyer's and the seller's; "other" is somebody of the same
// role to whom they do not belong.
var askers = []string{"nobody", "liar", "buyer", "other", "seller", "other", "admin"}

// matrix says what every route answers whom: a status, or the code of a refusal.
//
//	nobody        liar          buyer     other     seller    other     admin
var matrix = map[string]string{
	"POST /v1/auth/signup":  "201           201           201       201       201       201       201",
	"POST /v1/auth/signin":  "200           200           200       200       200       200       200",
	"POST /v1/auth/refresh": "200           200           200       200       200       200       200",
	"POST /v1/auth/signout": "204           204           204       204       204       204       204",

	"GET /v1/me":                "unauthorized  token_invalid 200       200       200       200       200",
	"PATCH /v1/me":              "unauthorized  token_invalid 200       200       200       200       200",
	"DELETE /v1/me":             "unauthorized  token_invalid 204       204       204       204       204",
	"GET /v1/me/wallet":         "unauthorized  token_invalid 200       200       200       200       200",
	"POST /v1/me/wallet/topups": "unauthorized  token_invalid 201       201       201       201       201",
	"GET /v1/me/receipts":       "unauthorized  token_invalid 200       200       200       200       200",
	"GET /v1/me/orders":         "unauthorized  token_invalid 200       200       200       200       200",
	"GET /v1/me/coupons":        "unauthorized  token_invalid 200       200       200       200       200",
	"GET /v1/me/notices":        "unauthorized  token_invalid 200       200       200       200       200",
	"POST /v1/me/notices/read":  "unauthorized  token_invalid 200       200       200       200       200",
	"PATCH /v1/me switch":       "unauthorized  token_invalid 200       200       200       200       200",

	"POST /v1/sales":             "unauthorized  token_invalid forbidden forbidden 201       201       forbidden",
	"GET /v1/sales":              "200           token_invalid 200       200       200       200       200",
	"GET /v1/sales/:id":          "200           token_invalid 200       200       200       200       200",
	"GET /v1/sales/:id/prices":   "200           token_invalid 200       200       200       200       200",
	"PATCH /v1/sales/:id":        "unauthorized  token_invalid forbidden forbidden 200       not_yours forbidden",
	"PATCH /v1/sales/:id grow":   "unauthorized  token_invalid forbidden forbidden 202       not_yours forbidden",
	"DELETE /v1/sales/:id":       "unauthorized  token_invalid forbidden forbidden 204       not_yours forbidden",
	"GET /v1/sales/:id/receipts": "unauthorized  token_invalid forbidden forbidden 200       not_yours 200",
	"GET /v1/sales/:id/summary":  "unauthorized  token_invalid forbidden forbidden 200       not_yours 200",
	"POST /v1/sales/:id/bids":    "unauthorized  token_invalid 202       202       forbidden forbidden forbidden",

	"PATCH /v1/sales/:id extend":      "unauthorized  token_invalid forbidden forbidden 202       not_yours forbidden",
	"GET /v1/sales/:id/receipts csv":  "unauthorized  token_invalid forbidden forbidden 200       not_yours 200",
	"POST /v1/sales/:id/reservations": "unauthorized  token_invalid 202       202       forbidden forbidden forbidden",
	"POST /v1/sales/:id/claims":       "unauthorized  token_invalid 202       202       forbidden forbidden forbidden",
	"POST /v1/sales/:id/joins":        "unauthorized  token_invalid 202       202       forbidden forbidden forbidden",
	"PUT /v1/sales/:id/watch":         "unauthorized  token_invalid 204       204       forbidden forbidden forbidden",
	"DELETE /v1/sales/:id/watch":      "unauthorized  token_invalid 204       204       forbidden forbidden forbidden",
	"GET /v1/coupons":                 "unauthorized  token_invalid 200       200       forbidden forbidden forbidden",

	"GET /v1/sales/:id/events":    "200           token_invalid 200       200       200       200       200",
	"GET /v1/me/receipts/events":  "unauthorized  token_invalid 200       200       200       200       200",
	"GET /v1/receipts":            "unauthorized  token_invalid 200       200       200       200       200", // for each not_yours beside
	"GET /v1/receipts/:id/events": "unauthorized  token_invalid 200       not_yours not_yours not_yours not_yours",

	"GET /v1/receipts/:id":            "unauthorized  token_invalid 200       not_yours not_yours not_yours not_yours",
	"POST /v1/receipts/:id/refund":    "unauthorized  token_invalid 202       not_yours forbidden forbidden forbidden",
	"POST /v1/receipts/:id/pay":       "unauthorized  token_invalid 202       not_yours forbidden forbidden forbidden",
	"POST /v1/receipts/:id/cancel":    "unauthorized  token_invalid 202       not_yours forbidden forbidden forbidden",
	"POST /v1/receipts/:id/change":    "unauthorized  token_invalid 202       not_yours forbidden forbidden forbidden",
	"PUT /v1/receipts/:id/attendance": "unauthorized  token_invalid forbidden forbidden 204       not_yours forbidden",

	"POST /v1/stores":                  "unauthorized  token_invalid forbidden forbidden 201       201       forbidden",
	"GET /v1/stores":                   "200           token_invalid 200       200       200       200       200",
	"GET /v1/stores/:id":               "200           token_invalid 200       200       200       200       200",
	"PATCH /v1/stores/:id":             "unauthorized  token_invalid forbidden forbidden 200       not_yours forbidden",
	"DELETE /v1/stores/:id":            "unauthorized  token_invalid forbidden forbidden 204       not_yours forbidden",
	"GET /v1/stores/:id/slots":         "200           token_invalid 200       200       200       200       200",
	"POST /v1/stores/:id/reservations": "unauthorized  token_invalid 202       202       forbidden forbidden forbidden",

	"GET /v1/operations":                          "unauthorized  token_invalid forbidden forbidden forbidden forbidden 200",
	"GET /v1/operations/dead-letters":             "unauthorized  token_invalid forbidden forbidden forbidden forbidden 200",
	"GET /v1/operations/dead-letters/:id":         "unauthorized  token_invalid forbidden forbidden forbidden forbidden 200",
	"POST /v1/operations/dead-letters/:id/replay": "unauthorized  token_invalid forbidden forbidden forbidden forbidden 202",
	"DELETE /v1/operations/dead-letters/:id":      "unauthorized  token_invalid forbidden forbidden forbidden forbidden 204",
	"POST /v1/operations/audits":                  "unauthorized  token_invalid forbidden forbidden forbidden forbidden 200",
	"POST /v1/operations/sales/:id/suspend":       "unauthorized  token_invalid forbidden forbidden forbidden forbidden 202",
	"POST /v1/operations/sales/:id/resume":        "unauthorized  token_invalid forbidden forbidden forbidden forbidden 202",
	"GET /v1/operations/receipts/:id":             "unauthorized  token_invalid forbidden forbidden forbidden forbidden 200",

	"GET /v1/openapi.json": "200           200           200       200       200       200       200",
	"GET /docs":            "200           200           200       200       200       200       200",
	"GET /docs/errors":     "200           200           200       200       200       200       200",
}

// question is a request that is all right but for who asks.
type question struct{ token, path, body, accept string }

func (a question) headers() []string {
	if a.accept == "" {
		return nil
	}
	return []string{"Accept: " + a.accept}
}

// questions make one of each row, fresh where asking uses something up.
type questions struct {
	h             *house
	buyer, seller person
	admin         person
	open          int64 // a sale of the seller's
	receipt       string

	chair, voucher, evening int64 // sales of other kinds
	held                    string
	store, doomed           sale.Store
	slots                   []sale.Instant
	booked, visited         string
	letter                  string
}

func newQuestions(h *house) *questions {
	q := &questions{h: h, buyer: h.rich(accounts.Buyer, 1_000_000), seller: h.person(accounts.Seller), admin: h.person(accounts.Admin)}
	s := h.sale(-time.Second, time.Hour, of(q.seller.Account))
	q.open = s.ID
	q.receipt = h.bid(s, q.buyer.Access, 1, 1000).text("receipt")
	s = h.sale(-time.Second, time.Hour, of(q.seller.Account), chair)
	q.chair, q.held = s.ID, h.reserve(s, q.buyer.Access, 1).text("receipt")
	q.voucher = h.sale(-time.Second, time.Hour, of(q.seller.Account), voucher).ID
	q.evening = h.sale(-time.Second, time.Hour, of(q.seller.Account), evening).ID
	q.store, q.slots = h.place(q.seller.Account)
	q.doomed, _ = h.place(q.seller.Account)
	q.booked = h.book(q.store, q.slots[0], q.buyer.Access).text("receipt")
	q.visited = h.visited(q.store, q.buyer.Account)
	q.letter = h.letter(3)
	return q
}

// scheduled is a sale of the seller's that opens in an hour.
func (q *questions) scheduled() int64 {
	return q.h.sale(time.Hour, 2*time.Hour, of(q.seller.Account)).ID
}

// ask is the question of a row as somebody of role with that token asks it. It is
// false when the row has none.
func (q *questions) ask(row string, role accounts.Role, token string) (question, bool) {
	method, path, _ := strings.Cut(row, " ")
	path, part, _ := strings.Cut(path, " ")
	a := question{token: token, path: path}
	at := func(thing any) { a.path = strings.Replace(path, ":id", fmt.Sprint(thing), 1) }
	switch {
	case strings.HasPrefix(path, receiptsPath):
		at(q.receipt)
	case strings.HasPrefix(path, seenReceiptsPath):
		at(q.receipt)
	case strings.HasPrefix(path, operationsPath):
		at(q.letter)
	case strings.HasPrefix(path, storesPath):
		at(q.store.ID)
	default:
		at(q.open)
	}
	switch method + " " + path {
	case "POST /v1/auth/signup":
		a.body = fmt.Sprintf(`{"email":"new-%d@example.org","password":"long enough","role":"buyer"}`, people.Add(1))
	case "POST /v1/auth/signin":
		a.body = fmt.Sprintf(`{"email":%q,"password":%q}`, q.buyer.email, q.buyer.password)
	case "POST /v1/auth/refresh", "POST /v1/auth/signout":
		a.body = fmt.Sprintf(`{"refresh_token":%q}`, q.h.person(accounts.Buyer).Refresh)
	case "PATCH /v1/me", "DELETE /v1/me":
		fresh := q.h.person(role)
		if token == "" || strings.HasPrefix(token, "x.") { // nobody, liar
			fresh.Access = token
		}
		a.token, a.body = fresh.Access, fmt.Sprintf(`{"current_password":%q}`, fresh.password)
		if part == "switch" {
			a.body = `{"notices":false}`
		} else if method == "PATCH" {
			a.body = strings.Replace(a.body, "}", fmt.Sprintf(`,"email":"moved-%d@example.org"}`, people.Add(1)), 1)
		}
	case "POST /v1/me/wallet/topups":
		a.body = `{"amount":5}`
	case "POST /v1/sales":
		a.body = offer(time.Hour)
	case "PATCH /v1/sales/:id":
		a.path, a.body = fmt.Sprintf("/v1/sales/%d", q.scheduled()), `{"stock":7}`
		switch part {
		case "grow":
			a.path, a.body = fmt.Sprintf("/v1/sales/%d", q.open), `{"grow_by":1}`
		case "extend":
			a.path, a.body = fmt.Sprintf("/v1/sales/%d", q.chair), fmt.Sprintf(`{"extend_to":%s}`, quote(time.Now().Add(2*time.Hour).UTC().Truncate(time.Second)))
		}
	case "DELETE /v1/sales/:id":
		a.path = fmt.Sprintf("/v1/sales/%d", q.scheduled())
	case "POST /v1/sales/:id/bids":
		a.body = goodBid
	case "POST /v1/sales/:id/reservations":
		at(q.chair)
		a.body = `{"quantity":1}`
	case "POST /v1/sales/:id/claims":
		at(q.voucher)
	case "POST /v1/sales/:id/joins":
		at(q.evening)
		a.body = `{"quantity":1}`
	case "PUT /v1/sales/:id/watch", "DELETE /v1/sales/:id/watch":
		at(q.scheduled())
	case "POST /v1/me/notices/read":
		a.body = `{"all":true}`
	case "GET /v1/sales/:id/receipts":
		if part == "csv" {
			a.accept = "text/csv"
		}
	case "POST /v1/receipts/:id/pay", "POST /v1/receipts/:id/cancel":
		at(q.held)
	case "POST /v1/receipts/:id/change":
		at(q.booked)
		a.body = fmt.Sprintf(`{"slot":%s}`, quote(q.slots[1].Time()))
	case "PUT /v1/receipts/:id/attendance":
		at(q.visited)
		a.body = `{"attendance":"completed"}`
	case "POST /v1/stores":
		a.body = `{"title":"Noodles","time_zone":"UTC","tables":1,"hours":{"mon":"12:00-12:00"}}`
	case "PATCH /v1/stores/:id":
		a.body = `{"tables":3}`
	case "DELETE /v1/stores/:id":
		at(q.doomed.ID)
	case "POST /v1/operations/audits":
		a.body = `{}`
	case "POST /v1/operations/sales/:id/suspend":
		at(q.evening)
	case "POST /v1/operations/sales/:id/resume":
		at(q.evening)
		a.body = `{"force":true}`
	case "POST /v1/operations/dead-letters/:id/replay", "DELETE /v1/operations/dead-letters/:id":
		at(q.h.letter(3))
	case "GET /v1/receipts":
		a.path += "?id=" + q.receipt
	case "GET /v1/stores/:id/slots":
		a.path += "?day=" + tomorrow(q.store).String()
	case "POST /v1/stores/:id/reservations":
		a.body = fmt.Sprintf(`{"slot":%s}`, quote(q.slots[2].Time()))
	case "GET /v1/me", "GET /v1/me/wallet", "GET /v1/me/receipts", "GET /v1/sales", "GET /v1/sales/:id", "GET /v1/sales/:id/prices",
		"GET /v1/sales/:id/summary", "GET /v1/receipts/:id", "POST /v1/receipts/:id/refund",
		"GET /v1/me/orders", "GET /v1/me/coupons", "GET /v1/me/notices", "GET /v1/coupons", "GET /v1/stores", "GET /v1/stores/:id",
		"GET /v1/sales/:id/events", "GET /v1/receipts/:id/events", "GET /v1/me/receipts/events",
		"GET /v1/operations", "GET /v1/operations/dead-letters", "GET /v1/operations/dead-letters/:id", "GET /v1/operations/receipts/:id",
		"GET /v1/openapi.json", "GET /docs", "GET /docs/errors":
	default:
		return a, false
	}
	return a, true
}

// missing names what is in want and not in have.
func missing[A, B any](want map[string]A, have map[string]B) (names []string) {
	for name := range want {
		if _, ok := have[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// routesOf are all routes that fiber knows, as "METHOD /pattern". A HEAD is its
// GET without the body.
func routesOf(t *testing.T, api *API) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, r := range api.app.GetRoutes(true) {
		all[r.Method+" "+r.Path] = true
	}
	for name := range all {
		if path, is := strings.CutPrefix(name, "HEAD "); is {
			if !all["GET "+path] {
				t.Errorf("%s has no GET", name)
			}
			delete(all, name)
		}
	}
	if len(all) != len(api.routes()) {
		t.Errorf("fiber knows %d routes, the table has %d", len(all), len(api.routes()))
	}
	return all
}

// TestWhoMayAsk holds every route that fiber knows against the matrix, and asks
// each as everybody, also with tokens that are none. A route that is not in it fails:
// say first who may use it. Whoever is refused changes nothing, whatever it belongs to.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	h := open(t)
	routes := routesOf(t, h.api)
	rows := map[string]bool{}
	for row := range matrix {
		rows[routeOf(row)] = true
	}
	for _, name := range missing(routes, rows) {
		t.Errorf("%s is not in the matrix", name)
	}
	for _, name := range missing(rows, routes) {
		t.Errorf("%s is in the matrix and no route", name)
	}

	q := newQuestions(h)
	roles := []accounts.Role{accounts.Buyer, accounts.Buyer, accounts.Buyer, accounts.Buyer, accounts.Seller, accounts.Seller, accounts.Admin}
	tokens := []string{"", "x." + uuid.NewString() + ".y", q.buyer.Access, h.rich(accounts.Buyer, 10_000).Access,
		q.seller.Access, h.person(accounts.Seller).Access, q.admin.Access}
	expired, err := h.accounts.Token(accounts.Who{Account: q.buyer.Account, Role: accounts.Buyer}, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	// Tokens that have been good, or would be elsewhere, are no better than none.
	strangers := map[string]string{
		expired: "token_expired",
		forged(t, q.buyer.Account, jwt.SigningMethodHS256, keyOther.Secret, keyOther.ID):               "token_invalid", // of a key we do not have
		forged(t, q.buyer.Account, jwt.SigningMethodHS256, keyOther.Secret, keyNow.ID):                 "token_invalid", // … that says it is ours
		forged(t, q.buyer.Account, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, keyNow.ID): "token_invalid",
	}
	queued := len(h.queued())
	for row, line := range matrix {
		cells := strings.Fields(line)
		if len(cells) != len(askers) {
			t.Fatalf("%s has %d cells", row, len(cells))
		}
		// All questions first, since some make things to ask for.
		type asking struct {
			question
			by, want string
		}
		var allowed, refused []asking
		add := func(by, want string, role accounts.Role, token string) {
			asked, ok := q.ask(row, role, token)
			if !ok {
				t.Fatalf("%s has no question", row)
			}
			if strangers[token] != "" {
				asked.token = token // not that of somebody who was made for the question
			}
			if a := (asking{asked, by, want}); strings.HasPrefix(want, "2") {
				allowed = append(allowed, a)
			} else {
				refused = append(refused, a)
			}
		}
		for i, want := range cells {
			add(fmt.Sprintf("%s (column %d)", askers[i], i), want, roles[i], tokens[i])
		}
		for token, want := range strangers {
			if cells[1] != "token_invalid" {
				want = cells[1] // it is not read at all
			}
			add("a stranger with "+want, want, accounts.Buyer, token)
		}
		method, _, _ := strings.Cut(row, " ")
		ask := func(a asking) {
			r := h.ask(method, a.path, a.token, a.body, a.headers()...)
			if got := verdict(r); got != a.want {
				t.Errorf("%s by %s: %s, want %s: %s", row, a.by, got, a.want, r.raw)
			}
			if r.status == http.StatusAccepted {
				queued++
			}
			if method == "GET" { // a HEAD lets in nobody else
				if head := h.ask("HEAD", a.path, a.token, "", a.headers()...); head.status != r.status || head.raw != "" {
					t.Errorf("HEAD of %s by %s: %d %q, GET says %d", row, a.by, head.status, head.raw, r.status)
				}
			}
		}
		before := h.record()
		for _, a := range refused {
			ask(a)
		}
		if h.record() != before {
			t.Errorf("%s: somebody was refused, and yet something changed", row)
		}
		for _, a := range allowed {
			ask(a)
		}
	}
	if got := len(h.queued()); got != queued {
		t.Errorf("%d requests are queued, %d were accepted", got, queued)
	}
}

// verdict is a cell of the matrix.
func verdict(r reply) string {
	if r.status >= 400 {
		return r.text("code")
	}
	return fmt.Sprint(r.status)
}

// TestMatrixCatchesAMissingRoute is the known-bad twin: a route that nobody has
// thought of is found.
func TestMatrixCatchesAMissingRoute(t *testing.T) {
	t.Parallel()
	found := missing(map[string]bool{"GET /v1/secrets": true, "GET /v1/me": true}, matrix)
	if len(found) != 1 || found[0] != "GET /v1/secrets" {
		t.Errorf("found %v", found)
	}
	if _, ok := (&questions{}).ask("GET /v1/secrets", accounts.Buyer, ""); ok {
		t.Error("it has a question")
	}
	// And so is a refusal that changes something, if only by one point.
	h := open(t)
	before := h.record()
	h.rich(accounts.Buyer, 1)
	if h.record() == before {
		t.Error("the record does not show a point")
	}
}

// TestHiddenStock: who sees the stock of a sale that hides it.
func TestHiddenStock(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller, other, buyer, admin := h.person(accounts.Seller), h.person(accounts.Seller), h.person(accounts.Buyer), h.person(accounts.Admin)
	s := h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	h.ask("PATCH", fmt.Sprintf("/v1/sales/%d", s.ID), seller.Access, `{"show_stock":false}`)
	for name, c := range map[string]struct {
		token string
		sees  bool
	}{"nobody": {"", false}, "seller": {seller.Access, true}, "other": {other.Access, false}, "buyer": {buyer.Access, false}, "admin": {admin.Access, false}} {
		if r := h.ask("GET", fmt.Sprintf("/v1/sales/%d", s.ID), c.token, ""); (r.body["stock"] != nil) != c.sees || r.text("show_stock") != "false" {
			t.Errorf("%s: %s", name, r.raw)
		}
		r := h.ask("GET", "/v1/sales", c.token, "")
		if strings.Contains(r.raw, `"stock":`) != c.sees {
			t.Errorf("%s, in the list: %s", name, r.raw)
		}
	}
}
