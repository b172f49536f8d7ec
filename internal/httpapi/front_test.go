package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
)

// glass is a front that shows what it is asked and what the API says to it.
type glass struct{ api http.RoundTripper }

func (g glass) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/broken":
		panic("glass")
	case "/through", "/rows": // what the API answers to a question of ours
		ask, err := http.NewRequestWithContext(r.Context(), r.URL.Query().Get("method"), "http://api"+r.URL.Query().Get("path"), r.Body)
		if err != nil {
			panic(err)
		}
		if token := r.Header.Get("Authorization"); token != "" {
			ask.Header.Set("Authorization", token)
		}
		ask.Header.Set("Content-Type", "application/json")
		if r.URL.Path == "/rows" {
			ask.Header.Set("Accept", "text/csv")
		}
		answer, err := g.api.RoundTrip(ask)
		if err != nil {
			panic(err)
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	default:
		fmt.Fprintf(w, "%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
	}
}

func withGlass(o *Options) {
	o.Front = func(api http.RoundTripper) http.Handler { return glass{api} }
}

// look asks for a page, which the contract of the API says nothing of.
func (h *house) look(method, path, token, body string) (r reply) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.addr+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := h.client.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{status: answer.StatusCode, header: answer.Header, raw: string(text)}
}

// TestFront: a front answers whatever is none of the API's own, and asks the API as its
// visitor would.
func TestFront(t *testing.T) {
	t.Parallel()
	h := open(t, withGlass)
	seller := h.person(accounts.Seller)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	for path, theirs := range map[string]bool{
		"/": true, "/sales/7": true, "/v1x": true, "/static/a/b.css": true, "/docsy": true,
		"/v1": false, "/v1/": false, "/v1/nothing": false, "/v1/sales": false, "/docs": false, "/docs/errors": false, "/docs/x": false,
	} {
		r := h.look("GET", path, "", "")
		if got := strings.HasPrefix(r.raw, "GET "+path+" from 127.0.0.1:"); got != theirs {
			t.Errorf("%s: answered by the front: %t; %d %.100s", path, got, r.status, r.raw)
		}
		if r.header.Get("X-Request-Id") == "" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, r.header)
		}
	}

	r := h.look("GET", fmt.Sprintf("/through?method=GET&path=/v1/sales/%d", s.ID), "", "")
	if r.status != 200 || r.header.Get("Content-Security-Policy") != "default-src 'self'" || !strings.Contains(r.raw, s.Title) {
		t.Errorf("%d %v %s", r.status, r.header, r.raw)
	}
	if r := h.look("GET", "/through?method=GET&path=/v1/me", "", ""); r.status != 401 {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if r := h.look("GET", "/through?method=GET&path=/v1/me", seller.Access, ""); r.status != 200 || !strings.Contains(r.raw, `"role":"seller"`) {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if r := h.look("POST", "/through?method=POST&path=/v1/auth/signin", "", `{"email":"nobody@example.com","password":"12345678"}`); r.status != 401 || !strings.Contains(r.raw, "bad_credentials") {
		t.Errorf("%d %s", r.status, r.raw)
	}

	// An answer that is written while it is read.
	buyer := h.person(accounts.Buyer)
	const n = csvPage + 5
	h.bought(s, buyer.Account, n)
	if r := h.look("GET", fmt.Sprintf("/rows?method=GET&path=/v1/sales/%d/receipts", s.ID), seller.Access, ""); strings.Count(r.raw, "\r\n") != n+1 {
		t.Errorf("%d lines of %d", strings.Count(r.raw, "\r\n"), n+1)
	}

	// A page that breaks is one page.
	if r := h.look("GET", "/broken", "", ""); r.status != 500 || strings.Contains(r.raw, "glass") {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if !strings.Contains(h.log.String(), "a page broke") {
		t.Error("nobody is told of a page that broke")
	}
	if r := h.look("GET", "/again", "", ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.raw)
	}
}

// TestCookie: the token of who has signed in on a page counts for what changes nothing,
// and where there are pages.
func TestCookie(t *testing.T) {
	t.Parallel()
	h := open(t, withGlass)
	h.work()
	who := h.rich(accounts.Buyer, 10_000)
	s := h.sale(-time.Second, time.Hour)
	cookie := "Cookie: a=b; " + AccessCookie + "=" + who.Access
	for _, path := range []string{"/v1/me", "/v1/me/receipts", "/v1/me/wallet"} {
		if r := h.ask("GET", path, "", "", cookie); r.status != 200 {
			t.Errorf("GET %s: %d %s", path, r.status, r.raw)
		}
	}
	if l := h.listen("/v1/me/receipts/events", "", cookie); l.status != 200 {
		t.Errorf("a stream: %d", l.status)
	}
	for _, no := range [][3]string{
		{"POST", fmt.Sprintf("/v1/sales/%d/bids", s.ID), `{"quantity":1,"price":1000}`},
		{"PUT", fmt.Sprintf("/v1/sales/%d/watch", s.ID), ""},
		{"PATCH", "/v1/me", `{"notices":false}`},
		{"DELETE", fmt.Sprintf("/v1/sales/%d/watch", s.ID), ""},
		{"POST", "/v1/me/wallet/topups", `{"amount":5}`},
	} {
		if r := h.ask(no[0], no[1], "", no[2], cookie, "Idempotency-Key: c-"+no[0]); r.status != 401 || !strings.Contains(r.raw, `"unauthorized"`) {
			t.Errorf("%s %s: %d %s", no[0], no[1], r.status, r.raw)
		}
	}
	if r := h.ask("GET", "/v1/me", "", "", "Cookie: "+AccessCookie+"=nonsense"); r.status != 401 || !strings.Contains(r.raw, "token_invalid") {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if r := h.ask("GET", "/v1/me", "nonsense", "", cookie); r.status != 401 {
		t.Errorf("a header that is wrong is overlooked: %d %s", r.status, r.raw)
	}

	bare := open(t)
	other := bare.person(accounts.Buyer)
	if r := bare.ask("GET", "/v1/me", "", "", "Cookie: "+AccessCookie+"="+other.Access); r.status != 401 {
		t.Errorf("without pages: %d %s", r.status, r.raw)
	}
	if r := bare.ask("GET", "/", "", ""); r.status != 404 || !strings.Contains(r.raw, `"not_found"`) {
		t.Errorf("without pages: %d %s", r.status, r.raw)
	}
}
