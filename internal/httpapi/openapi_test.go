package httpapi

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// lawOf is the law, for tests of it.
func lawOf(t *testing.T) *contract {
	t.Helper()
	l, err := law()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestDocumentListsTheRoutes: the document and the table of routes have the same
// operations, for the same people.
func TestDocumentListsTheRoutes(t *testing.T) {
	t.Parallel()
	for _, complaint := range lawOf(t).unlike((&API{}).routes()) {
		t.Error(complaint)
	}
}

// unlike says where the document and routes differ.
func (l *contract) unlike(routes []route) (all []string) {
	served := map[string]bool{}
	for _, r := range routes {
		pattern := strings.ReplaceAll(r.pattern, ":id", "{id}")
		name := r.method + " " + pattern
		served[name] = true
		item := l.doc.Paths.Value(pattern)
		if item == nil || item.GetOperation(r.method) == nil {
			all = append(all, name+" is not in the document")
			continue
		}
		o := item.GetOperation(r.method)
		if told, want := fmt.Sprint(*o.Security), map[need]string{required: "[map[bearer:[]]]", optional: "[map[] map[bearer:[]]]", ignored: "[]"}[r.who.token]; told != want {
			all = append(all, fmt.Sprintf("%s: the document says %s of its token, want %s", name, told, want))
		}
		roles := fmt.Sprint(r.who.roles)
		if told, ok := o.Extensions["x-roles"]; ok && fmt.Sprint(told) != roles || !ok && len(r.who.roles) > 0 {
			all = append(all, fmt.Sprintf("%s is for %s, the document says %v", name, roles, told))
		}
		query := slices.ContainsFunc(o.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.In == "query" })
		if query != (r.use == paged || r.use == polled) {
			all = append(all, name+": the document and the table do not agree on whether it reads the query")
		}
	}
	for pattern, item := range l.doc.Paths.Map() {
		for method, o := range item.Operations() {
			name := method + " " + pattern
			if !served[name] {
				all = append(all, name+" is not served")
			}
			if o.OperationID == "" || o.Summary == "" || o.Description == "" || len(o.Tags) != 1 {
				all = append(all, name+" is not explained")
			}
		}
	}
	return all
}

// TestDocumentKnowsTheCodes: the table of codes and the document have the same ones,
// with the same statuses, and each is of some operation or of none.
func TestDocumentKnowsTheCodes(t *testing.T) {
	t.Parallel()
	for _, complaint := range lawOf(t).unlikeCodes() {
		t.Error(complaint)
	}
}

func (l *contract) unlikeCodes() (all []string) {
	told := map[code]bool{}
	for _, word := range l.codes() {
		told[code(word)] = true
		if _, known := answers[code(word)]; !known {
			all = append(all, word+" is no code")
		}
	}
	for word := range answers {
		if !told[word] {
			all = append(all, fmt.Sprintf("%s is not explained", word))
		}
	}
	used := map[string]bool{}
	outside, _ := l.doc.Extensions["x-outside"].([]any)
	for _, word := range outside {
		used[fmt.Sprint(word)] = true
	}
	for name, response := range l.doc.Components.Responses {
		content := response.Value.Content[problemType]
		if content == nil {
			continue
		}
		own := content.Schema.Value.AllOf[1].Value.Properties
		status := fmt.Sprint(own["status"].Value.Const)
		words := []string{status}
		for _, word := range own["code"].Value.Enum {
			words = append(words, fmt.Sprint(word))
			used[fmt.Sprint(word)] = true
			if want := fmt.Sprint(answers[code(fmt.Sprint(word))].status); want != status && word != "bad_credentials" && want != "0" {
				all = append(all, fmt.Sprintf("%s is a %s, not a %s", word, want, status))
			}
		}
		if strings.Join(words, ".") != name {
			all = append(all, fmt.Sprintf("the answer %s is one of %v", name, words))
		}
	}
	for _, word := range l.codes() {
		if !used[word] {
			all = append(all, word+" is of no operation")
		}
	}
	return all
}

// TestDocumentIsOfOnePiece: every reference that is not kin-openapi's to find, in
// x-events, leads somewhere, and no component stands there for nobody.
func TestDocumentIsOfOnePiece(t *testing.T) {
	t.Parallel()
	l := lawOf(t)
	for pattern, item := range l.doc.Paths.Map() {
		for _, o := range item.Operations() {
			events, _ := o.Extensions["x-events"].(map[string]any)
			for event := range events {
				for _, wrong := range l.judgeEvent(pattern, event, `"none of them"`) {
					if !strings.Contains(wrong, "none of them") {
						t.Error(wrong)
					}
				}
			}
		}
	}
	used := map[string]bool{}
	for _, found := range regexp.MustCompile(`"#/components/([^"]+)"`).FindAllSubmatch(openAPI, -1) {
		used[string(found[1])] = true
	}
	for kind, names := range map[string][]string{
		"schemas": slices.Collect(maps.Keys(l.doc.Components.Schemas)), "responses": slices.Collect(maps.Keys(l.doc.Components.Responses)),
		"headers": slices.Collect(maps.Keys(l.doc.Components.Headers)), "parameters": slices.Collect(maps.Keys(l.doc.Components.Parameters)),
		"examples": slices.Collect(maps.Keys(l.doc.Components.Examples)),
	} {
		for _, name := range names {
			if !used[kind+"/"+name] {
				t.Errorf("%s %s is used by nobody", kind, name)
			}
		}
	}
}

// TestDocumentKnowsTheWords: closed sets of words are the same there and here.
func TestDocumentKnowsTheWords(t *testing.T) {
	t.Parallel()
	l := lawOf(t)
	var statuses, reasons []any
	for s := sale.Queued; s.String() != ""; s++ {
		statuses = append(statuses, s.String())
	}
	for r := sale.UnknownSale; r.String() != ""; r++ {
		reasons = append(reasons, r.String())
	}
	for schema, want := range map[string][]any{
		"Status": statuses, "Reason": reasons,
		"Role": {string(accounts.Buyer), string(accounts.Seller), string(accounts.Admin)},
		"Kind": {string(sale.Auction), string(sale.Reservation), string(sale.Coupon), string(sale.Event)},
	} {
		told := slices.Clone(l.doc.Components.Schemas[schema].Value.Enum)
		for _, words := range [][]any{told, want} {
			slices.SortFunc(words, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s has %v, want %v", schema, told, want)
		}
	}
	for field, want := range map[string]int64{
		"Units": sale.MaxStock, "Points": sale.MaxPoints, "NewAuction.rate": sale.MaxRate, "NewAuction.period": int64(sale.MaxLength.Seconds()),
		"NewReservation.hold": int64(sale.MaxHold.Seconds()), "NewReservation.line": sale.MaxLine, "NewEvent.max_bypass": sale.MaxBypass,
		"NewSaleTerms.refund_window": int64(sale.MaxRefundWindow.Seconds()), "NewStore.tables": sale.MaxTables, "NewStore.days_ahead": sale.MaxDaysAhead,
		"NewStore.unit_price": sale.MaxPoints / sale.MaxTables,
	} {
		name, property, _ := strings.Cut(field, ".")
		schema := l.doc.Components.Schemas[name].Value
		if property != "" {
			schema = schema.Properties[property].Value
		}
		if schema.Max == nil || int64(*schema.Max) != want {
			t.Errorf("%s has another maximum than %d", field, want)
		}
	}
	for name, want := range map[string]uint64{"Title": sale.MaxTitle, "Description": sale.MaxDescription} {
		if most := l.doc.Components.Schemas[name].Value.MaxLength; most == nil || *most != want {
			t.Errorf("%s has another length than %d", name, want)
		}
	}
}

// TestDoctoredDocuments are known-bad twins: a document with one thing wrong is no
// document, or differs from what is served.
func TestDoctoredDocuments(t *testing.T) {
	t.Parallel()
	for name, doctor := range map[string]struct{ old, new string }{
		"another path":        {`"/v1/me/wallet": {`, `"/v1/me/purse": {`},
		"another method":      {"\"/v1/sales/{id}/watch\": {\n      \"put\": {", "\"/v1/sales/{id}/watch\": {\n      \"post\": {"},
		"for other people":    {`"x-roles": ["buyer"]`, `"x-roles": ["seller"]`},
		"for everybody":       {`"security": [{"bearer": []}],` + "\n        \"parameters\"", `"security": [],` + "\n        \"parameters\""},
		"no parameters":       {`{ "$ref": "#/components/parameters/Limit" },` + "\n          " + `{ "$ref": "#/components/parameters/Cursor" },`, ``},
		"a code of no answer": {`"const": "closed"`, `"const": "shut"`},
		"another status":      {`{"const": 410}`, `{"const": 411}`},
		"no summary":          {`"summary": "Make an account",`, ``},
		"a bad example":       {`"balance": 3120`, `"balance": -1`},
		"a reference nowhere": {`"#/components/schemas/Wallet"`, `"#/components/schemas/Purse"`},
	} {
		text := bytes.Replace(openAPI, []byte(doctor.old), []byte(doctor.new), 1)
		if bytes.Equal(text, openAPI) {
			t.Errorf("%s: nothing was doctored", name)
			continue
		}
		l, err := newContract(text)
		if err == nil && len(l.unlike((&API{}).routes())) == 0 && len(l.unlikeCodes()) == 0 {
			t.Errorf("%s: nobody complains", name)
		}
	}
	fresh, err := newContract(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if got := fresh.unseen(); len(got) < len(answers)+30 {
		t.Errorf("when nothing was answered only %v is missed", got)
	}
}

// TestDocumentIsObeyed is the known-bad twin of lawful: each of these answers, or
// requests that were accepted, is against the document, and the first of all is not.
func TestDocumentIsObeyed(t *testing.T) {
	t.Parallel()
	l, err := newContract(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	const receipt = `{"receipt":"0194f3a2-7c1e-7d35-9b4a-5f0c8e2d6a11","verb":"bid","sale":7,"status":"queued","quantity":2,"position":3,"poll_after_ms":80,"durability":"memory","requested_at":"2030-01-31T18:00:00.125Z"}`
	header := func(more ...string) http.Header {
		h := http.Header{"X-Request-Id": {"a"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/json"}}
		for _, line := range more {
			name, value, _ := strings.Cut(line, ": ")
			if h.Set(name, value); value == "" {
				h.Del(name)
			}
		}
		return h
	}
	bid := func(change func(*exchange)) exchange {
		x := exchange{method: "POST", target: &url.URL{Path: "/v1/sales/7/bids"}, sent: http.Header{"Content-Type": {"application/json"}}, body: `{"quantity":2,"price":1000}`,
			reply: reply{status: 202, header: header("Location: /v1/receipts/0194f3a2-7c1e-7d35-9b4a-5f0c8e2d6a11", "Retry-After: 1"), raw: receipt}}
		if change != nil {
			change(&x)
		}
		return x
	}
	in := func(old, new string) exchange {
		return bid(func(x *exchange) { x.reply.raw = strings.Replace(receipt, old, new, 1) })
	}
	asked := func(body string) exchange { return bid(func(x *exchange) { x.body = body }) }
	with := func(lines ...string) exchange {
		return bid(func(x *exchange) {
			for name, values := range header(lines...) {
				x.reply.header[name] = values
			}
			for _, line := range lines {
				if name, value, _ := strings.Cut(line, ": "); value == "" {
					x.reply.header.Del(name)
				}
			}
		})
	}
	refused := func(status int, word, more string) exchange {
		return bid(func(x *exchange) {
			x.reply = reply{status: status, header: header("Content-Type: " + problemType), body: map[string]any{"code": word},
				raw: fmt.Sprintf(`{"type":"/docs/errors#%s","title":%q,"status":%d,"code":"%s","instance":"/v1/sales/7/bids","request_id":"a"%s}`, word, answers[code(word)].title, status, word, more)}
		})
	}
	for name, x := range map[string]exchange{
		"a bid": bid(nil), "a refusal": refused(409, "closed", ""), "decided": in(`"queued","quantity":2,"position":3,"poll_after_ms":80`, `"rejected","quantity":2,"reason":"closed"`),
		"foreseen": in(`"position":3`, `"position":3,"eta_ms":20,"outlook":"unlikely"`),
	} {
		if wrong := l.judge(x); len(wrong) > 0 {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	for name, x := range map[string]exchange{
		"a status of no operation": refused(410, "lost", ""),
		"a code of another one":    refused(409, "email_taken", ""),
		"a code of nobody":         refused(409, "no_such_code", ""),
		"a field of a problem":     refused(409, "closed", `,"cause":"postgres: 10.0.0.7"`),
		"another status inside": bid(func(x *exchange) {
			*x = refused(409, "closed", "")
			x.reply.raw = strings.Replace(x.reply.raw, "409", "404", 1)
		}),
		"a problem as JSON":        bid(func(x *exchange) { *x = refused(409, "closed", ""); x.reply.header = header() }),
		"a 503 without a time":     refused(503, "overloaded", ""),
		"a 401 without challenge":  refused(401, "unauthorized", ""),
		"an operation of nobody":   bid(func(x *exchange) { x.target = &url.URL{Path: "/v1/sales/7/asks"} }),
		"a code there is none":     bid(func(x *exchange) { *x = refused(409, "closed", ""); x.target = &url.URL{Path: "/v1/nowhere"} }),
		"no Location":              with("Location: "),
		"no X-Request-ID":          with("X-Request-ID: "),
		"may be kept":              with("Cache-Control: public"),
		"may be sniffed":           with("X-Content-Type-Options: "),
		"a header of nobody":       with("X-Powered-By: us"),
		"a header that is wrong":   with("Retry-After: soon"),
		"replayed or not":          with("Idempotency-Replayed: false"),
		"no body":                  bid(func(x *exchange) { x.reply.raw = "" }),
		"a field of nobody":        in(`"sale":7`, `"sale":7,"shard":3`),
		"a field for the seller":   in(`"sale":7`, `"sale":7,"buyer":3`),
		"a field is missing":       in(`"durability":"memory",`, ``),
		"a word of nobody":         in(`"queued"`, `"pending"`),
		"null":                     in(`"sale":7`, `"sale":7,"reason":null`),
		"a fraction":               in(`"quantity":2`, `"quantity":2.5`),
		"too much":                 in(`"sale":7`, `"sale":9007199254740992`),
		"a reason too early":       in(`"sale":7`, `"sale":7,"reason":"closed"`),
		"a time to pay too early":  in(`"sale":7`, `"sale":7,"pay_by":"2030-01-31T18:00:00Z"`),
		"no position":              in(`"position":3,`, ``),
		"a time of another form":   in(`18:00:00.125Z`, `18:00:00.125+01:00`),
		"two objects":              in(`}`, `}{}`),
		"took nothing":             asked(``),
		"took an unknown field":    asked(`{"quantity":2,"price":1000,"gift":true}`),
		"took too little":          asked(`{"quantity":0,"price":1000}`),
		"took a string":            asked(`{"quantity":"2","price":1000}`),
		"took a parameter":         bid(func(x *exchange) { x.target = &url.URL{Path: "/v1/sales/7/bids", RawQuery: "quantity=2"} }),
		"took a bad key":           bid(func(x *exchange) { x.sent.Set("Idempotency-Key", "two words") }),
		"took a form":              bid(func(x *exchange) { x.sent.Set("Content-Type", "text/plain") }),
		"took no number of a sale": bid(func(x *exchange) { x.target = &url.URL{Path: "/v1/sales/seven/bids"} }),
	} {
		if wrong := l.judge(x); len(wrong) == 0 {
			t.Errorf("%s: nobody complains", name)
		}
	}
}
