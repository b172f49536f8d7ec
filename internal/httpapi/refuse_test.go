package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const goodBid = `{"quantity":1,"price":1000}`

// TestBadInput: every bad request is answered with its own problem, and none of
// them leaves a trace.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := open(t)
	s, early, late := h.sale(-time.Second, time.Hour), h.sale(time.Hour, 2*time.Hour), h.sale(-time.Hour, -time.Minute)
	buyer, token := h.account(accounts.Buyer, 5000)
	_, stranger := h.account(accounts.Buyer, 5000)
	_, seller := h.account(accounts.Seller, 0)
	receipt := h.bid(s, token, 1, 1000, "Idempotency-Key: used").text("receipt")
	nobody := sale.NewReceiptID(3).String()
	expired, err := h.accounts.Token(accounts.Who{Account: buyer, Role: accounts.Buyer}, -time.Second)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		code                            string
		headers                         []string
	}{
		{"empty body", "POST", bids(s.ID), token, "", 415, "unsupported_media_type", nil},
		{"empty body that says JSON", "POST", bids(s.ID), token, "", 400, "bad_json", []string{"Content-Type: application/json"}},
		{"no JSON", "POST", bids(s.ID), token, "quantity=1&price=1000", 400, "bad_json", nil},
		{"broken JSON", "POST", bids(s.ID), token, `{"quantity":1,"price":`, 400, "bad_json", nil},
		{"a comma too many", "POST", bids(s.ID), token, `{"quantity":1,"price":1000,}`, 400, "bad_json", nil},
		{"a comma missing", "POST", bids(s.ID), token, `{"quantity":1 "price":1000}`, 400, "bad_json", nil},
		{"trailing text", "POST", bids(s.ID), token, goodBid + "x", 400, "bad_json", nil},
		{"two objects", "POST", bids(s.ID), token, goodBid + goodBid, 400, "bad_json", nil},
		{"a comment", "POST", bids(s.ID), token, `{"quantity":1,/**/"price":1000}`, 400, "bad_json", nil},
		{"array", "POST", bids(s.ID), token, "[" + goodBid + "]", 400, "bad_json", nil},
		{"null", "POST", bids(s.ID), token, "null", 400, "bad_json", nil},
		{"deep", "POST", bids(s.ID), token, `{"quantity":` + strings.Repeat("[", 20_000), 400, "bad_json", nil},
		{"body over the limit", "POST", bids(s.ID), token, goodBid + strings.Repeat(" ", 64<<10), 413, "body_too_large", nil},
		{"no content type", "POST", bids(s.ID), token, goodBid, 415, "unsupported_media_type", []string{"Content-Type: "}},
		{"text", "POST", bids(s.ID), token, goodBid, 415, "unsupported_media_type", []string{"Content-Type: text/plain"}},
		{"form", "POST", bids(s.ID), token, "quantity=1", 415, "unsupported_media_type", []string{"Content-Type: application/x-www-form-urlencoded"}},
		{"multipart", "POST", bids(s.ID), token, "--b\r\n", 415, "unsupported_media_type", []string{"Content-Type: multipart/form-data; boundary=b"}},
		{"JSON of another kind", "POST", bids(s.ID), token, goodBid, 415, "unsupported_media_type", []string{"Content-Type: application/json5"}},
		{"compressed", "POST", bids(s.ID), token, "\x1f\x8b", 415, "unsupported_media_type", []string{"Content-Encoding: gzip"}},
		{"refund with text", "POST", receiptsPath + receipt + "/refund", token, "please", 415, "unsupported_media_type", []string{"Content-Type: text/plain"}},
		{"refund with fields", "POST", receiptsPath + receipt + "/refund", token, `{"quantity":1}`, 422, "invalid_fields", nil},

		{"before opening", "POST", bids(early.ID), token, goodBid, 409, "not_open", nil},
		{"after closing", "POST", bids(late.ID), token, goodBid, 409, "closed", nil},
		{"after closing, with a key", "POST", bids(late.ID), token, goodBid, 409, "closed", []string{"Idempotency-Key: k"}},
		{"same key, other body", "POST", bids(s.ID), token, `{"quantity":2,"price":1000}`, 422, "idempotency_mismatch", []string{"Idempotency-Key: used"}},
		{"same key, exact", "POST", bids(s.ID), token, `{"quantity":1,"price":1000,"exact":true}`, 422, "idempotency_mismatch", []string{"Idempotency-Key: used"}},
		{"key empty", "POST", bids(s.ID), token, goodBid, 400, "idempotency_key_invalid", []string{"Idempotency-Key: "}},
		{"key with a space", "POST", bids(s.ID), token, goodBid, 400, "idempotency_key_invalid", []string{"Idempotency-Key: a b"}},
		{"key not ASCII", "POST", bids(s.ID), token, goodBid, 400, "idempotency_key_invalid", []string{"Idempotency-Key: clé"}},
		{"key too long", "POST", bids(s.ID), token, goodBid, 400, "idempotency_key_invalid", []string{"Idempotency-Key: " + strings.Repeat("k", 256)}},
		{"two keys", "POST", bids(s.ID), token, goodBid, 400, "idempotency_key_invalid", []string{"Idempotency-Key: a", "Idempotency-Key: b"}},
		{"key of a refund", "POST", receiptsPath + receipt + "/refund", token, "", 400, "idempotency_key_invalid", []string{"Idempotency-Key: a\tb"}},

		{"no token", "POST", bids(s.ID), "", goodBid, 401, "unauthorized", nil},
		{"another scheme", "POST", bids(s.ID), "", goodBid, 401, "unauthorized", []string{"Authorization: Basic YTpi"}},
		{"empty token", "POST", bids(s.ID), "", goodBid, 401, "token_invalid", []string{"Authorization: Bearer "}},
		{"two tokens", "POST", bids(s.ID), token, goodBid, 401, "token_invalid", []string{"Authorization: Bearer " + stranger}},
		{"expired", "POST", bids(s.ID), expired, goodBid, 401, "token_expired", nil},
		{"a letter changed", "POST", bids(s.ID), token[:len(token)-8] + "AAAAAAAA", goodBid, 401, "token_invalid", nil},
		{"signed by a stranger", "POST", bids(s.ID), forged(t, buyer, jwt.SigningMethodHS256, keyOther.Secret, keyNow.ID), goodBid, 401, "token_invalid", nil},
		{"another kid", "POST", bids(s.ID), forged(t, buyer, jwt.SigningMethodHS256, keyOther.Secret, keyOther.ID), goodBid, 401, "token_invalid", nil},
		{"not signed", "POST", bids(s.ID), forged(t, buyer, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, keyNow.ID), goodBid, 401, "token_invalid", nil},
		{"a seller bids", "POST", bids(s.ID), seller, goodBid, 403, "forbidden", nil},
		{"a stranger's receipt", "GET", receiptsPath + receipt, stranger, "", 403, "not_yours", nil},
		{"a stranger's refund", "POST", receiptsPath + receipt + "/refund", stranger, "", 403, "not_yours", nil},

		{"unknown sale", "GET", "/v1/sales/999999", token, "", 404, "unknown_sale", nil},
		{"bid on an unknown sale", "POST", bids(999999), token, goodBid, 404, "unknown_sale", nil},
		{"unknown receipt", "GET", receiptsPath + nobody, token, "", 404, "unknown_receipt", nil},
		{"refund of an unknown receipt", "POST", receiptsPath + nobody + "/refund", token, "", 404, "unknown_receipt", nil},
		{"receipt of no partition", "GET", receiptsPath + sale.NewReceiptID(4000).String(), token, "", 404, "unknown_receipt", nil},
		{"receipt that is no ID of ours", "GET", receiptsPath + uuid.New().String(), token, "", 404, "unknown_receipt", nil},
		{"receipt nil", "GET", receiptsPath + uuid.Nil.String(), token, "", 404, "unknown_receipt", nil},
		{"receipt without dashes", "GET", receiptsPath + strings.ReplaceAll(receipt, "-", ""), token, "", 404, "unknown_receipt", nil},
		{"receipt word", "GET", receiptsPath + "abc", token, "", 404, "unknown_receipt", nil},
		{"sale word", "GET", "/v1/sales/abc", token, "", 404, "unknown_sale", nil},
		{"sale zero", "GET", "/v1/sales/0", token, "", 404, "unknown_sale", nil},
		{"sale negative", "POST", "/v1/sales/-1/bids", token, goodBid, 404, "unknown_sale", nil},
		{"sale huge", "GET", "/v1/sales/9223372036854775808", token, "", 404, "unknown_sale", nil},
		{"sale with a plus", "GET", fmt.Sprintf("/v1/sales/+%d", s.ID), token, "", 404, "unknown_sale", nil},
		{"sale with a zero", "GET", fmt.Sprintf("/v1/sales/0%d", s.ID), token, "", 404, "unknown_sale", nil},
		{"sale escaped", "GET", "/v1/sales/%00", token, "", 404, "unknown_sale", nil},

		{"unknown route", "GET", "/v1/nothing", token, "", 404, "not_found", nil},
		{"root", "GET", "/", token, "", 404, "not_found", nil},
		{"a slash too many", "GET", fmt.Sprintf("/v1/sales/%d/", s.ID), token, "", 404, "not_found", nil},
		{"another letter", "GET", fmt.Sprintf("/V1/sales/%d", s.ID), token, "", 404, "not_found", nil},
		{"wrong method", "PUT", "/v1/sales/1", token, "", 405, "method_not_allowed", nil},
		{"bids cannot be listed", "GET", bids(s.ID), token, "", 405, "method_not_allowed", nil},
		{"a method nobody knows", "BID", bids(s.ID), token, goodBid, 501, "method_unknown", nil},
		{"too many headers", "GET", "/v1/sales/1", token, "", 431, "header_too_large", []string{"X-Long: " + strings.Repeat("x", 9<<10)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := *h
			h.t = t
			r := h.ask(c.method, c.path, c.token, c.body, c.headers...)
			r.wantProblem(t, c.status, c.code)
			if r.header.Get("Location") != "" {
				t.Errorf("Location %q", r.header.Get("Location"))
			}
			if got, want := r.header.Get("Www-Authenticate") != "", c.status == 401; got != want {
				t.Errorf("WWW-Authenticate: %t, want %t", got, want)
			}
			if got, want := r.header.Get("Allow") != "", c.status == 405; got != want {
				t.Errorf("Allow: %t, want %t", got, want)
			}
			if c.code == "not_open" && r.header.Get("Retry-After") == "" {
				t.Error("it does not say when the sale opens")
			}
			if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: %v", r.header)
			}
		})
	}
	if all := h.queued(); len(all) != 1 || all[0].Receipt.String() != receipt {
		t.Errorf("%d requests were queued, not just the good one", len(all))
	}
	if r := h.ask("GET", receiptsPath+receipt, token, ""); r.text("status") != "queued" || r.text("quantity") != "1" {
		t.Errorf("the good bid: %s", r.raw)
	}
}

// TestBadFields: every broken field is named, all at once.
func TestBadFields(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	for body, want := range map[string][]string{
		`{}`:                                                {"#/quantity", "#/price"},
		`{"quantity":1}`:                                    {"#/price"},
		`{"quantity":"1","price":1000}`:                     {"#/quantity"},
		`{"quantity":null,"price":1000}`:                    {"#/quantity"},
		`{"quantity":true,"price":[1000]}`:                  {"#/quantity", "#/price"},
		`{"quantity":{"n":1},"price":1000}`:                 {"#/quantity"},
		`{"quantity":-1,"price":-1000}`:                     {"#/quantity", "#/price"},
		`{"quantity":0,"price":0}`:                          {"#/quantity", "#/price"},
		`{"quantity":1.5,"price":1000}`:                     {"#/quantity"},
		`{"quantity":1.0,"price":1000}`:                     {"#/quantity"},
		`{"quantity":1,"price":1e3}`:                        {"#/price"},
		`{"quantity":1000000001,"price":1}`:                 {"#/quantity"},
		`{"quantity":1,"price":9007199254740992}`:           {"#/price"},
		`{"quantity":1,"price":99999999999999999999999999}`: {"#/price"},
		`{"quantity":1,"price":1e999}`:                      {"#/price"},
		`{"quantity":2,"price":9007199254740991}`:           {"#/quantity"},
		`{"quantity":1,"price":1000,"exact":1}`:             {"#/exact"},
		`{"quantity":1,"price":1000,"exact":"true"}`:        {"#/exact"},
		`{"quantity":1,"price":1000,"exact":null}`:          {"#/exact"},
		`{"quantity":1,"price":1000,"buyer":7}`:             {"#/buyer"},
		`{"quantity":1,"price":1000,"a/b~ü":7}`:             {"#/a~1b~0%C3%BC"},
		`{"Quantity":1,"price":1000}`:                       {"#/Quantity", "#/quantity"},
		`{"quantity":1,"quantity":2,"price":1000}`:          {"#/quantity"},
		`{"x":1,"x":1,"x":1}`:                               {"#/x", "#/x", "#/x", "#/quantity", "#/price"},
		"{" + strings.Repeat(`"x":1,`, 9000) + `"y":1}`:     strings.Split(strings.Repeat("#/x ", 20)[:20*4-1], " "),
	} {
		r := h.ask("POST", bids(s.ID), token, body)
		r.wantProblem(t, 422, "invalid_fields")
		list, _ := r.body["errors"].([]any)
		var got []string
		for _, fault := range list {
			fields, _ := fault.(map[string]any)
			got = append(got, fmt.Sprint(fields["pointer"]))
			if fields["detail"] == "" {
				t.Errorf("%.100s: no detail: %s", body, r.raw)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%.100s: %v, want %v", body, got, want)
		}
	}
	if all := h.queued(); len(all) != 0 {
		t.Errorf("%d requests were queued", len(all))
	}
	// What JSON allows is taken.
	for _, body := range []string{" \n{ \"price\" : 1000 , \"quantity\" : 1 }\r\n", `{"quantity":1,"price":9007199254740991,"exact":false}`, `{"\u0071uantity":1,"price":1}`} {
		for _, media := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
			if r := h.ask("POST", bids(s.ID), token, body, "Content-Type: "+media); r.status != http.StatusAccepted {
				t.Errorf("%s as %s: %d %s", body, media, r.status, r.raw)
			}
		}
	}
}

func TestAllowNamesTheMethods(t *testing.T) {
	t.Parallel()
	h := open(t)
	for path, want := range map[string]string{"/v1/sales/1": "GET, HEAD, DELETE, PATCH", "/v1/sales/1/bids": "POST", receiptsPath + "x": "GET, HEAD", receiptsPath + "x/refund": "POST"} {
		if got := h.ask("PUT", path, "", "").header.Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", path, got, want)
		}
	}
}

// TestLimits: asking too often and a full backlog are refused with a time to wait.
func TestLimits(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	limit := func(l partition.Limits) {
		h.api.admission = admission.New(h.store, h.ledger, l, prometheus.NewRegistry())
	}
	want := func(status int, code string) {
		t.Helper()
		r := h.ask("POST", bids(s.ID), token, goodBid)
		r.wantProblem(t, status, code)
		seconds, _ := strconv.Atoi(r.header.Get("Retry-After"))
		if ms, _ := strconv.Atoi(r.text("retry_after_ms")); ms < 1 || seconds < 1 || ms > seconds*1000 {
			t.Errorf("Retry-After %q, %s", r.header.Get("Retry-After"), r.raw)
		}
	}
	limit(partition.Limits{Rate: 0.1, Burst: 1, Backlog: 10})
	h.bid(s, token, 1, 1000)
	want(429, "rate_limited")
	limit(partition.Limits{Backlog: 1})
	want(503, "overloaded")
}

// TestRedisFull: new requests are refused as an overload; what is there is shown.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	server := embeddedtest.Redis(t)
	h := openOn(t, server)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	receipt := h.bid(s, token, 1, 1000).text("receipt")
	client := embeddedtest.Client(t, server)
	if err := client.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	r := h.ask("POST", bids(s.ID), token, goodBid)
	r.wantProblem(t, 503, "overloaded")
	if r.header.Get("Retry-After") == "" {
		t.Errorf("%v", r.header)
	}
	for _, path := range []string{receiptsPath + receipt, "/v1/sales/" + strconv.FormatInt(s.ID, 10)} {
		if r := h.ask("GET", path, token, ""); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.status, r.raw)
		}
	}
}

// TestStoresGone: a store that cannot be reached is a 503, one that came back
// empty is loading, and what was wrong is told to nobody but the log.
func TestStoresGone(t *testing.T) {
	t.Parallel()
	server := embeddedtest.RedisServer(t)
	h := openOn(t, server.URL)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	receipt := h.bid(s, token, 1, 1000).text("receipt")
	all := func(code string, reads ...string) {
		t.Helper()
		asked := make([]reply, 1+len(reads))
		var wg sync.WaitGroup // at once: each takes the seconds that the driver tries
		for i := range asked {
			wg.Go(func() {
				var err error
				if i == 0 {
					asked[i], err = h.send("POST", bids(s.ID), token, goodBid, "Idempotency-Key: k")
				} else {
					asked[i], err = h.send("GET", reads[i-1], token, "")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range asked {
			r.wantProblem(t, 503, code)
			if r.header.Get("Retry-After") == "" || strings.Contains(r.raw, server.Addr) || r.text("detail") != "" {
				t.Errorf("%v %s", r.header, r.raw)
			}
		}
	}
	server.Kill()
	all("unavailable", "/v1/sales/"+strconv.FormatInt(s.ID, 10), receiptsPath+receipt)
	server.Restart()
	all("loading", "/v1/sales/"+strconv.FormatInt(s.ID, 10))
	if !strings.Contains(h.log.String(), "refused") {
		t.Errorf("the log does not say why: %s", h.log)
	}

	h.ledger.Close()
	if r := h.ask("GET", receiptsPath+sale.NewReceiptID(1).String(), token, ""); r.status < 500 || r.header.Get("Content-Type") != problemType {
		t.Errorf("without Postgres: %d %s", r.status, r.raw)
	}
}

// forged is a token of buyer signed in any way.
func forged(t *testing.T, buyer int64, method jwt.SigningMethod, secret any, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"iss": "sluice", "sub": strconv.FormatInt(buyer, 10), "role": "buyer",
		"exp": time.Now().Add(time.Minute).Unix()})
	token.Header["kid"] = kid
	signed, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
