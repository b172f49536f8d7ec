package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzValues: what can be read as a thing of the API is written in a way that reads
// the same.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		`{"receipt":"01a200d5-63f9-7001-9a6a-c18952379aa0","verb":"bid","sale":7,"status":"queued","position":3,"poll_after_ms":250,"requested_at":"2030-01-31T18:00:00.25Z"}`,
		`{"receipt":"x","status":"queued","eta_ms":1250,"outlook":"unlikely"}`, `{"eta_ms":-9223372036854775808}`,
		`{"receipt":"x","status":"held","pay_by":"2030-01-31T18:00:00+01:00","poll_after_ms":9223372036854775807}`,
		`{"sale":7,"kind":"auction","period":60,"hold":-1,"refund_window":86400,"stock":{"total":3,"free":1},"now":"2030-01-31T18:00:00Z"}`,
		`{"sale":8,"period":9223372036854775807,"refund_window":-9223372036854775808,"stock":null}`,
		`{"store":3,"hours":{"mon":"11:00-21:00"},"time_zone":"Asia/Seoul","hold":600,"days_ahead":14}`,
		`{"account":1,"role":"buyer","access_token":"a","refresh_token":"b","access_expires_at":"2030-01-31T18:00:00Z"}`,
		`{"code":"sold_out","errors":[{"pointer":"#/stock","detail":"x"}],"retry_after_ms":50}`,
		`{"version":"v1","at":"2030-01-31T18:00:00Z","redis":{"mode":"cluster","masters":3,"memory":-1,"aof":true},"partitions":[{"partition":0,"owner":"c/1","depth":2,"oldest_ms":8},{"partition":1}],"postgres":{"size":1},"sales":{"open":1,"busiest":[{"sale":7}]}}`,
		`{"partition":1,"depth":null,"oldest_ms":9223372036854775807}`, `{"verdict":"broken","broken":[{"rule":"wallets","partition":-1}],"busy":[3],"took_ms":-5}`,
		`{"letter":"3-1-0","payload":{"e":"\\x01"},"died_at":"2030-01-31T18:00:00Z"}`, `{"receipt":{"receipt":"x","eta_ms":5},"account":{"account":1}}`,
		`null`, `[]`, `{"status":1}`, `{"Sale":"7"}`, `{"sale":7e0}`, `{"now":"0000-01-01T00:00:00Z"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, value := range []any{new(Receipt), new(Sale), new(Store), new(Tokens), new(Problem), new(Slot), new(Entry), new(Notice), new(Purchase),
			new(OwnCoupon), new(Profile), new(Summary), new(TopUp), new(Step), new(Operations), new(PartitionState), new(DeadLetter), new(AuditReport), new(ReceiptOwner)} {
			if json.Unmarshal([]byte(text), value) != nil {
				continue
			}
			written, err := json.Marshal(value)
			if err != nil {
				t.Errorf("%T of %q cannot be written: %v", value, text, err)
				continue
			}
			again := reflect.New(reflect.TypeOf(value).Elem()).Interface()
			if err := json.Unmarshal(written, again); err != nil {
				t.Errorf("%T of %q is written as %s: %v", value, text, written, err)
				continue
			}
			if twice, err := json.Marshal(again); err != nil || !bytes.Equal(twice, written) {
				t.Errorf("%T of %q is written as %s and then %s, %v", value, text, written, twice, err)
			}
		}
	})
}

// FuzzRetryAfter: a header says how long to wait, never to go back in time, and
// never so long that it cannot be reckoned with.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "7", "-1", "+3", "1.5", "2147483648", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := retryAfter(header)
		if got < 0 {
			t.Errorf("%q is %s", header, got)
		}
		if pause := pauseAfter(&Problem{RetryAfter: got}, 1); pause < min(got, longestPause) || pause > 3*longestTurn {
			t.Errorf("%q is a pause of %s", header, pause)
		}
	})
}

// FuzzCalls: over real HTTP, whatever the status, the headers and the body, every
// call ends, with what was understood or with an error. What has a status of refusal
// is a Problem of that status.
func FuzzCalls(f *testing.F) {
	f.Add(200, "", "application/json", `{"receipt":"x","status":"confirmed"}`)
	f.Add(202, "1", "application/json", `{"receipt":"x","status":"queued","poll_after_ms":1}`)
	f.Add(200, "", "application/json", `{"sales":[{"sale":7}],"entries":[{}],"receipts":[{}],"stores":[{}],"notices":[{}],"orders":[{}],"coupons":[{}],"next_cursor":"more"}`)
	f.Add(200, "", "text/html", `<html>`)
	f.Add(204, "", "", ``)
	f.Add(302, "", "text/plain", `elsewhere`)
	f.Add(409, "", "application/problem+json", `{"code":"sold_out","title":"x"}`)
	f.Add(503, "7", "application/problem+json", `{"code":"loading","retry_after_ms":-5}`)
	f.Add(401, "", "application/problem+json", `{"code":"token_expired"}`)
	f.Add(200, "wait=1", "text/event-stream", "event: receipt\ndata: {\"receipt\":\"x\"}\n\nevent: end\ndata: {\"reason\":\"token_expired\"}\n\n")
	f.Add(200, `"a";q=1`, "application/json", `{"receipts":[{"receipt":"0197a0a2-6a39-8d33-9c1c-000000000001","status":"queued"}],"problems":[{"receipt":"0197a0a2-6a39-8d33-9c1c-000000000002","status":404}],"poll_after_ms":9223372036854775807}`)
	f.Add(304, "W/x", "", ``)
	f.Add(502, "Fri, 31 Dec 9999 23:59:59 GMT", "text/html", `null`)
	type reply struct {
		status            int
		after, kind, body string
	}
	var say atomic.Pointer[reply]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r := say.Load()
		w.Header().Set("Retry-After", r.after)
		w.Header().Set("Content-Type", r.kind)
		for _, name := range []string{"ETag", "Preference-Applied", "Sluice-Turn", "RateLimit", "RateLimit-Policy"} {
			w.Header().Set(name, r.after)
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.body)
	}))
	f.Cleanup(server.Close)
	c, err := New(server.URL, WithAttempts(1), WithTokens(Tokens{Access: "a", Refresh: "b"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	f.Fuzz(func(t *testing.T, status int, after, kind, body string) {
		if strings.ContainsFunc(after+kind, func(r rune) bool { return r < ' ' || r > '~' }) {
			return // no HTTP
		}
		status = 200 + int(uint(status)%400)
		say.Store(&reply{status, after, kind, body})
		ctx := t.Context()
		c := c.With(WithTokens(Tokens{Access: "a", Refresh: "b"}))
		check := func(call string, err error) {
			var p *Problem
			if status >= 300 && !errors.As(err, &p) {
				t.Errorf("%s: %d is %v", call, status, err)
			}
			if p != nil && (p.Status != status || p.Code == "" || p.RetryAfter < 0 || p.Error() == "") {
				t.Errorf("%s: %d is %+v", call, status, p)
			}
		}
		r, err := c.Receipt(ctx, "x")
		check("receipt", err)
		if err == nil {
			if pause := r.pause(); pause < min(pollLeast, pollSlow) || pause > pollMost {
				t.Errorf("%q is asked after again in %s", body, pause)
			}
		}
		seen, err := c.look(ctx, Receipt{ID: "mine"}, "tag", time.Second)
		if status == http.StatusNotModified {
			if err != nil || seen.ID != "mine" || seen.tag != "tag" {
				t.Errorf("the same is %+v, %v", seen, err)
			}
		} else {
			check("held receipt", err)
		}
		if polled, err := c.Poll(ctx, numbered(1), numbered(2), numbered(1)); err == nil && (len(polled) != 3 || polled[0] != polled[2] || polled[1].Receipt.ID != numbered(2)) {
			t.Errorf("%q is %+v", body, polled)
		} else {
			check("poll", err)
		}
		heard := 0
		events := &stream{client: c, path: "/events", retry: retryDefault}
		if err := events.connect(ctx, func(event, error) bool { heard++; return true }); !errors.Is(err, errOver) {
			check("events", err)
			if pause := events.pause(err); err == nil || pause < retryLeast || pause > 2*longestTurn {
				t.Errorf("%q ends with %v, and begins again after %s", body, err, pause)
			}
		}
		if heard > 1+len(body) {
			t.Errorf("%q is %d events", body, heard)
		}
		_, err = c.Bid(ctx, 7, Bid{Quantity: 1, Price: 5})
		check("bid", err)
		_, err = c.Sale(ctx, 7)
		check("sale", err)
		_, err = c.Prices(ctx, 7)
		check("prices", err)
		_, err = c.Slots(ctx, 7, "2030-01-31")
		check("slots", err)
		_, err = c.Me(ctx)
		check("profile", err)
		_, err = c.Balance(ctx)
		check("balance", err)
		_, err = c.Summary(ctx, 7)
		check("summary", err)
		check("deletion", c.DeleteSale(ctx, 7))
		_, err = c.SignIn(ctx, "a@example.com", "long enough")
		check("sign-in", err)
		if csv, err := c.ReceiptsCSV(ctx, 7, SaleReceiptFilter{}); err == nil {
			_, _ = io.Copy(io.Discard, csv)
			csv.Close()
		}
		ends(t, "sales", len(body), c.Sales(ctx, SaleFilter{}))
		ends(t, "statement", len(body), c.Statement(ctx))
		ends(t, "receipts", len(body), c.Receipts(ctx, ReceiptFilter{}))
		ends(t, "stores", len(body), c.Stores(ctx, 0))
		ends(t, "notices", len(body), c.Notices(ctx, false))
		ends(t, "orders", len(body), c.Orders(ctx, ""))
		ends(t, "coupons", len(body), c.Coupons(ctx, ""))
	})
}

// ends walks a list whose pages are all the same, of so many bytes: it ends with the
// second one.
func ends[Item any](t *testing.T, what string, length int, list iter.Seq2[Item, error]) {
	t.Helper()
	seen := 0
	for _, err := range list {
		if err != nil {
			return
		}
		if seen++; seen > 2*length {
			t.Fatalf("the list of %s does not end", what)
		}
	}
}
