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
	noStatus = []string{"queued", "rejected", "Confirmed", "", "x"}
)

func inputs(h *house) map[string]input {
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000)
	open := h.sale(-time.Second, time.Hour, of(seller.Account))
	later := h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	receipt := h.bid(open, buyer.Access, 1, 1000).text("receipt")
	openID, laterID := fmt.Sprint(open.ID), fmt.Sprint(later.ID)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	terms := object{
		{"title", `"Lamp"`}, {"description", `"It shines."`}, {"kind", `"auction"`}, {"stock", "10"}, {"limit", "3"}, {"show_stock", "true"},
		{"opens_at", quote(at)}, {"closes_at", quote(at.Add(10 * time.Minute))}, {"refund_window", "3600"},
		{"policy", `"constant"`}, {"start_price", "1000"}, {"drop", "10"}, {"period", "60"},
	}
	badTerms := map[string][]string{
		"title":         append([]string{`""`, `"  "`, `"a\u0000b"`, `"a\nb"`, `"\u007f"`, `"` + strings.Repeat("ü", 201) + `"`}, noText...),
		"description":   append([]string{`"a\u0000b"`, `"\u0007"`, `"` + strings.Repeat("x", 4001) + `"`}, noText...),
		"kind":          append([]string{`""`, `"Auction"`, `"coupon"`, `"reservation"`, `"event"`}, noText...),
		"stock":         append([]string{`1000000001`, `2`}, noWhole...),
		"limit":         append([]string{`1000000001`}, noWhole...),
		"show_stock":    noTruth,
		"opens_at":      append([]string{quote(time.Now().Add(-time.Minute).UTC().Truncate(time.Second))}, noTime...),
		"closes_at":     append([]string{quote(at), quote(at.Add(61 * time.Minute)), quote(at.Add(61 * time.Second))}, noTime...),
		"refund_window": append([]string{`7776001`}, slices.DeleteFunc(slices.Clone(noWhole), func(raw string) bool { return raw == "0" })...),
		"policy":        append([]string{`""`, `"linear"`, `"Constant"`}, noText...),
		"start_price":   append([]string{`90`}, noWhole...),
		"drop":          append([]string{`1000`, `1001`}, noWhole...),
		"rate":          append([]string{`1`, `5001`}, noWhole...), // 1 is right in itself, but not for this policy
		"period":        append([]string{`3601`, `7`}, noWhole...),
	}
	refreshToken := input{body: object{{"refresh_token", `"x.y"`}}, bad: map[string][]string{"refresh_token": noText}}
	list := func(more map[string][]string) map[string][]string {
		more["limit"], more["cursor"] = noLimit, noCursor
		return more
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
			},
		},
		"DELETE /v1/me":     {by: buyer, body: object{{"current_password", `"wrong"`}}, bad: map[string][]string{"current_password": noText}},
		"GET /v1/me/wallet": {by: buyer, params: list(map[string][]string{})},
		"POST /v1/me/wallet/topups": {
			by: buyer, body: object{{"amount", "5"}}, keyed: true,
			bad: map[string][]string{"amount": noWhole},
		},
		"GET /v1/me/receipts": {by: buyer, params: list(map[string][]string{"sale": noNumber, "status": noStatus})},

		"POST /v1/sales": {
			by: seller, body: terms, bad: badTerms, keyed: true,
			may: []string{"description", "kind", "show_stock", "refund_window", "rate"},
		},
		"GET /v1/sales": {params: list(map[string][]string{
			"kind": {"", "Auction", "x"}, "state": {"", "opened", "queued"}, "seller": noNumber, "order": {"", "price", "--opens_at", "opens_at,closes_at", "id"},
		})},
		"GET /v1/sales/:id":        {thing: openID},
		"GET /v1/sales/:id/prices": {thing: openID},
		"PATCH /v1/sales/:id": {
			by: seller, thing: laterID, body: terms, keyed: true,
			may: []string{"title", "description", "kind", "stock", "limit", "show_stock", "opens_at", "closes_at", "refund_window", "policy", "start_price", "drop", "period"},
			bad: func() map[string][]string {
				bad := map[string][]string{"grow_by": append([]string{"5"}, noWhole...)} // 5 is right, but not with others
				for name, values := range badTerms {
					bad[name] = values
				}
				return bad
			}(),
		},
		"DELETE /v1/sales/:id": {by: seller, thing: laterID},
		"GET /v1/sales/:id/receipts": {by: seller, thing: openID, params: list(map[string][]string{
			"status": noStatus, "buyer": noNumber, "from": noMoment, "to": noMoment,
		})},
		"GET /v1/sales/:id/summary": {by: seller, thing: openID},
		"POST /v1/sales/:id/bids": {
			by: buyer, thing: openID, body: object{{"quantity", "1"}, {"price", "1000"}, {"exact", "false"}}, may: []string{"exact"}, keyed: true,
			bad: map[string][]string{"quantity": append([]string{"1000000001", "9007199254741"}, noWhole...), "price": noWhole, "exact": noTruth},
		},

		"GET /v1/receipts/:id":         {by: buyer, thing: receipt},
		"POST /v1/receipts/:id/refund": {by: buyer, thing: receipt, body: object{}, optional: true, keyed: true},
	}
}

// TestBadInputEverywhere asks every route that fiber knows for what it must not
// take, made of what it takes. A route that has no input here fails. None of it
// leaves a trace.
func TestBadInputEverywhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	all := inputs(h)
	routes := routesOf(t, h.api)
	for _, name := range missing(routes, all) {
		t.Errorf("%s has no input", name)
	}
	for _, name := range missing(all, routes) {
		t.Errorf("%s is no route", name)
	}
	before, queued := h.record(), len(h.queued())
	for name, in := range all {
		t.Run(strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
			h := *h
			h.t = t
			method, path, _ := strings.Cut(name, " ")
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
	if strings.HasPrefix(b.path, receiptsPath) {
		code, bad = "unknown_receipt", []string{"0", "x", strings.ToUpper(b.in.thing), strings.ReplaceAll(b.in.thing, "-", ""), "{" + b.in.thing + "}",
			uuid.Nil.String(), uuid.NewString(), sale.NewReceiptID(3).String(), sale.NewReceiptID(4000).String()}
	}
	body := b.good()
	if b.method == http.MethodPatch { // every part of it would be refused by what the sale is, but there is none
		body = `{"title":"Lamp"}`
	}
	for _, thing := range bad {
		b.want(b.ask(b.method, b.at(thing), b.in.by.Access, body), 404, code)
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
		if !slices.ContainsFunc(b.in.body, func(f [2]string) bool { return f[0] == name }) && !slices.Contains([]string{"rate", "grow_by"}, name) {
			b.t.Errorf("%s is no field", name)
		}
	}
	for _, f := range b.in.body {
		if b.in.bad[f[0]] == nil {
			b.t.Errorf("nothing bad is tried for %s", f[0])
		}
	}
}
