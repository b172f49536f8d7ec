package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// input is what a route takes, and what must not be taken for it.
type input struct {
	by       person              // who may ask; zero: anybody
	thing    string              // the path's :id, of something that is there
	body     object              // one that would be taken; nil: the route takes none
	optional bool                // whether there need be no body
	may      []string            // fields that may be left out
	also     []string            // fields that are tried though they do not go with the body
	with     string              // query that the route cannot do without
	bad      map[string][]string // raw values that a field must not have
	params   map[string][]string // texts that a parameter must not have
	keyed    bool                // whether it reads an Idempotency-Key
}

var (
	noText  = []string{`null`, `1`, `true`, `["x"]`, `{"x":"y"}`, `"\ud800"`}
	noWhole = []string{`null`, `"1"`, `true`, `[1]`, `0`, `-1`, `1.5`, `1.0`, `1e3`, `9007199254740992`, `99999999999999999999999`}
	noTruth = []string{`null`, `1`, `"true"`, `[]`}
	noTime  = []string{`null`, `1893456000`, `"2030-01-31"`, `"2030-01-31T18:00:00"`, `"2030-01-31T18:00:00.0001Z"`, `"1969-12-31T00:00:00Z"`,
		`"9999-12-31T00:00:00Z"`, `"+12030-01-31T18:00:00Z"`, `"2030-02-30T18:00:00Z"`, `"now"`, `""`}
	noLimit  = []string{"0", "101", "-1", "+5", "05", "5.0", "5e0", "", "ten", "%20", "9223372036854775808"}
	noCursor = []string{"", "x", "AQE", strings.Repeat("A", cursorLength), strings.Repeat("A", 5000), "%00", "%F0%9F%8F%AE"}
	noNumber = []string{"0", "-1", "+1", "01", "1.0", "", "x", "9007199254740992"}
	noMoment = []string{"2030-01-31", "2030-01-31T18:00:00+01:00", "1893456000", "", "yesterday"} // a plus is a space in a query
	noStatus = []string{"queued", "Confirmed", "", "x"}
	noCount  = slices.DeleteFunc(slices.Clone(noWhole), func(raw string) bool { return raw == "0" })
	noHours  = []string{`null`, `1`, `"11:00-21:00"`, `[]`, `{}`, `{"mon":null}`, `{"mon":1}`, `{"Mon":"11:00-21:00"}`, `{"mon":"11:00-21:00","day":"11:00-21:00"}`,
		`{"mon":"11-21"}`, `{"mon":"11:00–21:00"}`, `{"mon":"9:00-21:00"}`, `{"mon":"11:00-24:00"}`, `{"mon":"11:10-21:00"}`, `{"mon":"11:00-21:00","mon":"11:00-21:00"}`, `{"mon":"21:00-11:00"}`, `{"mon":""}`}
	noCoupon = append([]string{`""`, `"x"`, `"` + strings.ToUpper(aCoupon.String()) + `"`, `"{` + aCoupon.String() + `}"`}, noText...)
)

func inputs(h *house) map[string]input {
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000)
	open := h.sale(-time.Second, time.Hour, of(seller.Account))
	later := h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	receipt := h.bid(open, buyer.Access, 1, 1000).text("receipt")
	chairs := h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	held := h.reserve(chairs, buyer.Access, 1).text("receipt")
	coupons, seats := h.sale(-time.Second, time.Hour, of(seller.Account), voucher), h.sale(-time.Second, time.Hour, of(seller.Account), evening)
	store, slots := h.place(seller.Account)
	storeID, booked := fmt.Sprint(store.ID), h.book(store, slots[0], buyer.Access).text("receipt")
	admin, letter := h.person(accounts.Admin), h.letter(3)
	openID, laterID := fmt.Sprint(open.ID), fmt.Sprint(later.ID)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	terms, badTerms := offers(at)
	refreshToken := input{body: object{{"refresh_token", `"x.y"`}}, bad: map[string][]string{"refresh_token": noText}}
	list := func(more map[string][]string) map[string][]string {
		more["limit"], more["cursor"] = noLimit, noCursor
		return more
	}
	edit := func(kind sale.Kind, id string) input {
		in := input{by: seller, thing: id, body: terms[kind], keyed: true, bad: badTerms(kind), also: append([]string{"grow_by", "extend_to"}, foreign[kind]...)}
		for _, f := range in.body {
			in.may = append(in.may, f[0])
		}
		in.bad["grow_by"] = append([]string{"5"}, noWhole...) // 5 is right, but not with others
		in.bad["extend_to"] = append([]string{quote(at.Add(2 * time.Hour))}, noTime...)
		return in
	}
	return map[string]input{
		"POST /v1/auth/signup": {
			body: object{{"email", `"a@example.org"`}, {"password", `"long enough"`}, {"role", `"buyer"`}},
			bad: map[string][]string{
				"email":    append([]string{`""`, `"a"`, `"@"`, `"a@"`, `"@b"`, `"a@b@c"`, `"a b@c"`, `"a\u0000@b"`, `"a@b\n.org"`, `"ü@b.org"`, `"a@` + strings.Repeat("b", 253) + `"`}, noText...),
				"password": append([]string{`""`, `"1234567"`, `"` + strings.Repeat("x", 73) + `"`, `"` + strings.Repeat("ü", 37) + `"`}, noText...),
				"role":     append([]string{`""`, `"admin"`, `"Buyer"`, `"buyer "`}, noText...),
			},
		},
		"POST /v1/auth/signin": {
			body: object{{"email", `"nobody@example.org"`}, {"password", `"x"`}},
			bad:  map[string][]string{"email": noText, "password": noText},
		},
		"POST /v1/auth/refresh": refreshToken,
		"POST /v1/auth/signout": refreshToken,

		"GET /v1/me": {by: buyer},
		"PATCH /v1/me": {
			by: buyer, body: object{{"current_password", `"wrong"`}, {"email", `"b@example.org"`}, {"password", `"long enough"`}}, may: []string{"email", "password"},
			bad: map[string][]string{
				"current_password": noText,
				"email":            append([]string{`""`, `"a"`, `"a@b@c"`}, noText...),
				"password":         append([]string{`"1234567"`, `"` + strings.Repeat("x", 73) + `"`}, noText...),
				"notices":          noTruth,
			},
			also: []string{"notices"},
		},
		"DELETE /v1/me":     {by: buyer, body: object{{"current_password", `"wrong"`}}, bad: map[string][]string{"current_password": noText}},
		"GET /v1/me/wallet": {by: buyer, params: list(map[string][]string{})},
		"POST /v1/me/wallet/topups": {
			by: buyer, body: object{{"amount", "5"}}, keyed: true,
			bad: map[string][]string{"amount": noWhole},
		},
		"GET /v1/me/receipts": {by: buyer, params: list(map[string][]string{"sale": noNumber, "status": noStatus})},

		"GET /v1/me/orders":  {by: buyer, params: list(map[string][]string{"status": {"", "Paid", "held", "x"}})},
		"GET /v1/me/coupons": {by: buyer, params: list(map[string][]string{"state": {"", "Used", "open", "x"}})},
		"GET /v1/me/notices": {by: buyer, params: list(map[string][]string{"unread": {"", "1", "yes", "True"}})},
		"POST /v1/me/notices/read": {
			by: buyer, body: object{{"ids", "[1]"}}, may: []string{"ids"}, also: []string{"all"},
			bad: map[string][]string{
				"ids": {`null`, `1`, `"1"`, `{}`, `[]`, `[0]`, `[-1]`, `["1"]`, `[1.5]`, `[null]`, `[[1]]`, `[1,2.0]`, `[1` + strings.Repeat(",1", 100) + `]`},
				"all": noTruth,
			},
		},

		"POST /v1/sales": {
			by: seller, body: terms[sale.Auction], bad: badTerms(sale.Auction), keyed: true, also: foreign[sale.Auction],
			may: []string{"description", "kind", "show_stock", "refund_window"},
		},
		"POST /v1/sales reservation": {
			by: seller, body: terms[sale.Reservation], bad: badTerms(sale.Reservation), keyed: true, also: foreign[sale.Reservation],
			may: []string{"description", "kind", "show_stock", "refund_window", "hold", "line", "max_bypass"},
		},
		"POST /v1/sales coupon": {
			by: seller, body: terms[sale.Coupon], bad: badTerms(sale.Coupon), keyed: true, also: foreign[sale.Coupon],
			may: []string{"description", "kind", "show_stock", "refund_window", "limit", "valid_from"},
		},
		"POST /v1/sales event": {
			by: seller, body: terms[sale.Event], bad: badTerms(sale.Event), keyed: true, also: foreign[sale.Event],
			may: []string{"description", "kind", "show_stock", "refund_window", "hold", "line", "max_bypass", "starts_at"},
		},
		"GET /v1/sales": {params: list(map[string][]string{
			"kind": {"", "Auction", "x"}, "state": {"", "opened", "queued"}, "seller": noNumber, "order": {"", "price", "--opens_at", "opens_at,closes_at", "id"},
		})},
		"GET /v1/sales/:id":               {thing: openID},
		"GET /v1/sales/:id/prices":        {thing: openID},
		"PATCH /v1/sales/:id":             edit(sale.Auction, laterID),
		"PATCH /v1/sales/:id reservation": edit(sale.Reservation, fmt.Sprint(h.sale(time.Hour, 2*time.Hour, of(seller.Account), chair).ID)),
		"PATCH /v1/sales/:id coupon":      edit(sale.Coupon, fmt.Sprint(h.sale(time.Hour, 2*time.Hour, of(seller.Account), voucher).ID)),
		"PATCH /v1/sales/:id event":       edit(sale.Event, fmt.Sprint(h.sale(time.Hour, 2*time.Hour, of(seller.Account), evening).ID)),
		"DELETE /v1/sales/:id":            {by: seller, thing: laterID},
		"GET /v1/sales/:id/receipts": {by: seller, thing: openID, params: list(map[string][]string{
			"status": noStatus, "buyer": noNumber, "from": noMoment, "to": noMoment,
		})},
		"GET /v1/sales/:id/summary": {by: seller, thing: openID},
		"POST /v1/sales/:id/bids": {
			by: buyer, thing: openID, body: object{{"quantity", "1"}, {"price", "1000"}, {"exact", "false"}, {"coupon", quoteID(aCoupon)}},
			may: []string{"exact", "coupon"}, keyed: true,
			bad: map[string][]string{"quantity": append([]string{"1000000001", "9007199254741"}, noWhole...), "price": noWhole, "exact": noTruth, "coupon": noCoupon},
		},
		"POST /v1/sales/:id/reservations": {
			by: buyer, thing: fmt.Sprint(chairs.ID), body: object{{"quantity", "1"}, {"coupon", quoteID(aCoupon)}}, may: []string{"coupon"}, keyed: true,
			bad: map[string][]string{"quantity": append([]string{"1000000001"}, noWhole...), "coupon": noCoupon},
		},
		"POST /v1/sales/:id/claims": {by: buyer, thing: fmt.Sprint(coupons.ID), body: object{}, optional: true, keyed: true},
		"POST /v1/sales/:id/joins": {
			by: buyer, thing: fmt.Sprint(seats.ID), body: object{{"quantity", "1"}}, keyed: true,
			bad: map[string][]string{"quantity": append([]string{"1000000001"}, noWhole...)},
		},
		"PUT /v1/sales/:id/watch":    {by: buyer, thing: laterID},
		"DELETE /v1/sales/:id/watch": {by: buyer, thing: laterID},
		"GET /v1/coupons":            {by: buyer, params: list(map[string][]string{})},

		"GET /v1/sales/:id/events":    {thing: openID},
		"GET /v1/me/receipts/events":  {by: buyer},
		"GET /v1/receipts/:id/events": {by: buyer, thing: receipt},
		"GET /v1/receipts": {by: buyer, with: "?id=" + receipt, params: map[string][]string{
			"id": {"", "x", strings.ToUpper(receipt), receipt[:35]},
		}},
		"GET /v1/receipts/:id":         {by: buyer, thing: receipt},
		"POST /v1/receipts/:id/refund": {by: buyer, thing: receipt, body: object{}, optional: true, keyed: true},
		"POST /v1/receipts/:id/pay":    {by: buyer, thing: held, body: object{}, optional: true, keyed: true},
		"POST /v1/receipts/:id/cancel": {by: buyer, thing: held, body: object{}, optional: true, keyed: true},
		"POST /v1/receipts/:id/change": {
			by: buyer, thing: booked, body: object{{"slot", quote(slots[1].Time())}}, keyed: true, bad: map[string][]string{"slot": noTime},
		},
		"PUT /v1/receipts/:id/attendance": {
			by: seller, thing: h.visited(store, buyer.Account), body: object{{"attendance", `"completed"`}},
			bad: map[string][]string{"attendance": append([]string{`""`, `"Completed"`, `"no show"`}, noText...)},
		},

		"POST /v1/stores": {
			by: seller, keyed: true, may: []string{"description", "unit_price", "refund_window", "hold", "days_ahead"}, bad: badStore,
			body: object{{"title", `"Noodles"`}, {"description", `"Hot."`}, {"time_zone", `"Asia/Seoul"`}, {"tables", "3"}, {"hours", `{"mon":"11:00-21:00"}`},
				{"unit_price", "50"}, {"refund_window", "3600"}, {"hold", "60"}, {"days_ahead", "2"}},
		},
		"GET /v1/operations":                          {by: admin},
		"GET /v1/operations/dead-letters":             {by: admin, params: list(map[string][]string{})},
		"GET /v1/operations/dead-letters/:id":         {by: admin, thing: letter},
		"POST /v1/operations/dead-letters/:id/replay": {by: admin, thing: letter, body: object{}, optional: true},
		"DELETE /v1/operations/dead-letters/:id":      {by: admin, thing: letter},
		"POST /v1/operations/audits":                  {by: admin, body: object{{"sale", openID}}, may: []string{"sale"}, bad: map[string][]string{"sale": noWhole}},
		"POST /v1/operations/sales/:id/suspend":       {by: admin, thing: openID, body: object{}, optional: true},
		"POST /v1/operations/sales/:id/resume":        {by: admin, thing: openID, body: object{{"force", "true"}}, may: []string{"force"}, bad: map[string][]string{"force": noTruth}},
		"GET /v1/operations/receipts/:id":             {by: admin, thing: receipt},
		"GET /v1/openapi.json":                        {}, "GET /docs": {}, "GET /docs/errors": {},

		"GET /v1/stores":     {params: list(map[string][]string{"seller": noNumber})},
		"GET /v1/stores/:id": {thing: storeID},
		"PATCH /v1/stores/:id": {
			by: seller, thing: storeID, may: []string{"title", "description", "tables", "hours", "days_ahead"},
			body: object{{"title", `"Noodles"`}, {"description", `"Hot."`}, {"tables", "3"}, {"hours", `{"mon":"11:00-21:00"}`}, {"days_ahead", "2"}},
			bad: map[string][]string{"title": badStore["title"], "description": badStore["description"], "tables": badStore["tables"],
				"hours": badStore["hours"], "days_ahead": badStore["days_ahead"], "time_zone": {`"UTC"`}, "hold": {"60"}, "unit_price": {"1"}},
			also: []string{"time_zone", "hold", "unit_price"},
		},
		"DELETE /v1/stores/:id": {by: seller, thing: storeID},
		"GET /v1/stores/:id/slots": {thing: storeID, with: "?day=2030-01-31", params: map[string][]string{
			"day": {"", "2030-1-31", "2030-02-30", "20300131", "tomorrow", "2030-01-31T00:00:00Z", "-2030-01-31", "0000-01-01", "9999-01-01"},
		}},
		"POST /v1/stores/:id/reservations": {
			by: buyer, thing: storeID, body: object{{"slot", quote(slots[1].Time())}}, keyed: true, bad: map[string][]string{"slot": noTime},
		},
	}
}

// TestBadInputEverywhere asks every route that fiber knows for what it must not
// take, made of what it takes. A route that has no input here fails. None of it
// leaves a trace.
func TestBadInputEverywhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	all := inputs(h)
	routes, covered := routesOf(t, h.api), map[string]bool{}
	for name := range all {
		covered[routeOf(name)] = true
	}
	for _, name := range missing(routes, covered) {
		t.Errorf("%s has no input", name)
	}
	for _, name := range missing(covered, routes) {
		t.Errorf("%s is no route", name)
	}
	before, queued := h.record(), len(h.queued())
	for name, in := range all {
		t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
			h := *h
			h.t = t
			method, path, _ := strings.Cut(routeOf(name), " ")
			b := battery{&h, method, path, in}
			b.paths()
			b.query()
			b.key()
			if in.body != nil {
				b.media()
				b.fields()
			}
		})
	}
	if after := h.record(); after != before {
		t.Errorf("the record was %s and is %s", before, after)
	}
	if n := len(h.queued()); n != queued {
		t.Errorf("%d requests were queued", n-queued)
	}
	if strings.Contains(h.log.String(), `"level":"warn"`) {
		t.Errorf("a fault of ours: %s", h.log)
	}
}

// routeOf is the route of a row, without the part of it that the row is about.
func routeOf(row string) string { return strings.Join(strings.Fields(row)[:2], " ") }

// battery is everything that one route must refuse.
type battery struct {
	*house
	method, path string
	in           input
}

// at is the path of a thing.
func (b battery) at(thing string) string { return strings.Replace(b.path, ":id", thing, 1) }

func (b battery) good() string {
	if b.in.body == nil || b.in.optional {
		return ""
	}
	return b.in.body.String()
}

// want asks and expects a refusal, of these fields or parameters.
func (b battery) want(r reply, status int, code string, named ...string) {
	b.t.Helper()
	r.wantProblem(b.t, status, code)
	list, _ := r.body["errors"].([]any)
	var got []string
	for _, fault := range list {
		fields, _ := fault.(map[string]any)
		for _, kind := range []string{"pointer", "parameter"} {
			if fields[kind] != nil {
				got = append(got, fmt.Sprint(fields[kind]))
			}
		}
		if fields["detail"] == nil || fields["detail"] == "" {
			b.t.Errorf("no detail: %s", r.raw)
		}
	}
	if !slices.Equal(got, named) {
		b.t.Errorf("%v are named, want %v: %s", got, named, r.raw)
	}
}

func (b battery) paths() {
	if b.in.thing == "" {
		return
	}
	code, bad := "unknown_sale", []string{"0", "-1", "+1", "01", "1.0", "x", "9223372036854775808", "%00", "%20" + b.in.thing, "999999"}
	if strings.HasPrefix(b.path, storesPath) {
		code = "unknown_store"
	}
	if strings.HasPrefix(b.path, lettersPath) {
		code, bad = "unknown_letter", append(bad, "0"+b.in.thing, b.in.thing+"0", "+"+b.in.thing, "9999-1-1", "99999999999-1-1", "3-1-1")
	}
	if strings.HasPrefix(b.path, receiptsPath) || strings.HasPrefix(b.path, seenReceiptsPath) {
		code, bad = "unknown_receipt", []string{"0", "x", strings.ToUpper(b.in.thing), strings.ReplaceAll(b.in.thing, "-", ""), "{" + b.in.thing + "}",
			uuid.Nil.String(), uuid.NewString(), sale.NewReceiptID(3).String(), sale.NewReceiptID(4000).String()}
	}
	body := b.good()
	if b.method == http.MethodPatch { // every part of it would be refused by what the sale is, but there is none
		body = `{"title":"Lamp"}`
	}
	for _, thing := range bad {
		b.want(b.ask(b.method, b.at(thing)+b.in.with, b.in.by.Access, body), 404, code)
	}
}

func (b battery) query() {
	ask := func(query string) reply { return b.ask(b.method, b.at(b.in.thing)+"?"+query, b.in.by.Access, b.good()) }
	b.want(ask("x=1"), 400, "bad_query", "x")
	b.want(ask("password=1&email=2"), 400, "bad_query", "email", "password")
	b.want(ask("x"), 400, "bad_query", "x")
	b.want(ask("a;b"), 400, "bad_query")
	b.want(ask("limit=%zz"), 400, "bad_query")
	if b.in.params == nil {
		b.want(ask("limit=1"), 400, "bad_query", "limit")
	}
	for name, values := range b.in.params {
		for _, value := range values {
			if name == "cursor" {
				b.want(ask("cursor="+value), 400, "bad_cursor")
				continue
			}
			b.want(ask(name+"="+value), 400, "bad_query", name)
		}
		b.want(ask(name+"=1&"+name+"=1"), 400, "bad_query", name)
		b.want(ask(strings.ToUpper(name)+"=1"), 400, "bad_query", strings.ToUpper(name))
	}
}

func (b battery) key() {
	if !b.in.keyed {
		return
	}
	for _, keys := range [][]string{{""}, {"a b"}, {"a\tb"}, {"clé"}, {strings.Repeat("k", 256)}, {"a", "b"}, {"a", "a"}} {
		headers := make([]string, len(keys))
		for i, key := range keys {
			headers[i] = keyHeader + ": " + key
		}
		b.want(b.ask(b.method, b.at(b.in.thing), b.in.by.Access, b.good(), headers...), 400, "idempotency_key_invalid")
	}
}

func (b battery) media() {
	ask := func(body string, headers ...string) reply {
		return b.ask(b.method, b.at(b.in.thing), b.in.by.Access, body, headers...)
	}
	good := b.in.body.String()
	if !b.in.optional {
		b.want(ask(""), 415, "unsupported_media_type")
	}
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json5"} {
		b.want(ask(good, "Content-Type: "+media), 415, "unsupported_media_type")
	}
	b.want(ask(good, "Content-Encoding: gzip"), 415, "unsupported_media_type")
	for _, body := range []string{"x", "[]", "null", "[" + good + "]", good + "x", good + good, good[:len(good)-1], strings.Replace(good, "}", ",}", 1),
		`{"a":` + strings.Repeat("[", 20_000), "\ufeff" + good, "{\"\xff\":1}"} {
		b.want(ask(body), 400, "bad_json")
	}
	b.want(ask(good+strings.Repeat(" ", 64<<10)), 413, "body_too_large")
}

func (b battery) fields() {
	ask := func(body object) reply { return b.ask(b.method, b.at(b.in.thing), b.in.by.Access, body.String()) }
	for _, f := range b.in.body {
		if !slices.Contains(b.in.may, f[0]) {
			b.want(ask(b.in.body.with(f[0], "")), 422, "invalid_fields", "#/"+f[0])
		}
		b.want(ask(append(slices.Clone(b.in.body), f)), 422, "invalid_fields", "#/"+f[0])
		upper := strings.ToUpper(f[0])
		b.want(ask(append(slices.Clone(b.in.body), [2]string{upper, f[1]})), 422, "invalid_fields", "#/"+upper)
	}
	b.want(ask(b.in.body.with("x", "1")), 422, "invalid_fields", "#/x")
	b.want(ask(b.in.body.with("id", "1").with("seller", "1").with("account", "1")), 422, "invalid_fields", "#/id", "#/seller", "#/account")
	for name, values := range b.in.bad {
		for _, raw := range values {
			r := ask(b.in.body.with(name, raw))
			if r.wantProblem(b.t, 422, "invalid_fields"); !strings.Contains(r.raw, `"pointer":"#/`+name+`"`) {
				b.t.Errorf("%s = %.100s: %s", name, raw, r.raw)
			}
		}
	}
	for name := range b.in.bad {
		if !slices.ContainsFunc(b.in.body, func(f [2]string) bool { return f[0] == name }) && !slices.Contains(b.in.also, name) {
			b.t.Errorf("%s is no field", name)
		}
	}
	for _, f := range b.in.body {
		if b.in.bad[f[0]] == nil {
			b.t.Errorf("nothing bad is tried for %s", f[0])
		}
	}
}
