package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const shop, local = "https://shop.example.com", "http://localhost:3000"

func TestParseOrigins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "[]", " ": "[]", shop: "[" + shop + "]", shop + " , " + local: "[" + shop + " " + local + "]",
		"http://127.0.0.1:3000": "[http://127.0.0.1:3000]", "http://[::1]:3000": "[http://[::1]:3000]", "https://xn--bcher-kva.example": "[https://xn--bcher-kva.example]",
		"*": "", "null": "", ",": "", shop + ",": "", shop + "/": "", shop + "/x": "", shop + "?": "", shop + "#": "", shop + "?q": "", "shop.example.com": "", "//shop.example.com": "",
		"https://": "", "https://:8443": "", "https://Shop.example.com": "", "HTTPS://shop.example.com": "", "https://shop.example.com:443": "", "http://shop.example.com:80": "",
		"https://shop.example.com:": "", "https://shop.example.com:x": "", "https://user@shop.example.com": "", "ftp://shop.example.com": "", "https://*.example.com": "",
		"https://bücher.example": "", "https://shop.example.com\r\nX: y": "", "https://shop .example.com": "", shop + ";" + local: "",
	} {
		got, err := ParseOrigins(text)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// FuzzParseOrigins: what is read is one origin, that can stand in a header.
func FuzzParseOrigins(f *testing.F) {
	for _, seed := range []string{shop, local, shop + "," + local, "*", "https://[::1]:8443", "https://a:443", "http://a%0d%0a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseOrigins(text)
		if err != nil && len(all) > 0 {
			t.Errorf("%q is both %v and %v", text, all, err)
		}
		for _, origin := range all {
			scheme, host, ok := strings.Cut(origin, "://")
			if !ok || scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(host, "/?#@*, \r\n\x00") || !visible(origin, len(text)) {
				t.Errorf("%q has the origin %q", text, origin)
			}
			if again, err := ParseOrigins(origin); err != nil || len(again) != 1 || again[0] != origin {
				t.Errorf("%q is then %v, %v", origin, again, err)
			}
		}
	})
}

// corsOf are an answer's headers of CORS.
func corsOf(h http.Header) (found []string) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			found = append(found, name)
		}
	}
	return found
}

// TestCORS: a page of the list reads every answer, also one that says no, and nobody
// else any.
func TestCORS(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, func(o *Options) { o.Edge.Origins = []string{shop, local} }, nil)
	addr := serve(t, api)
	ask := func(request, headers string) reply {
		t.Helper()
		method, _, _ := strings.Cut(request, " ")
		all := raw(t, addr, request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+headers+"\r\n", method)
		if len(all) != 1 {
			t.Fatalf("%s: %d answers", request, len(all))
		}
		return all[0]
	}
	long := "X-Long: " + strings.Repeat("x", 9<<10) + "\r\n"
	for request, status := range map[string]int{"GET /v1/me": 401, "HEAD /v1/me": 401, "GET /nowhere": 404, "PUT /v1/me": 405, "BREW /v1/me": 501, "OPTIONS /v1/me": 405, "OPTIONS /nowhere": 404} {
		for _, origin := range []string{shop, local} {
			r := ask(request, "Origin: "+origin+"\r\n")
			if r.status != status || r.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Retry-After") || len(corsOf(r.header)) != 2 {
				t.Errorf("%s of %s: %d %v", request, origin, r.status, r.header)
			}
			if r.header.Get("Vary") != "Origin" {
				t.Errorf("%s of %s: Vary %q", request, origin, r.header.Get("Vary"))
			}
		}
		for name, headers := range map[string]string{
			"none": "", "unknown": "Origin: https://evil.example\r\n", "null": "Origin: null\r\n", "a star": "Origin: *\r\n", "empty": "Origin: \r\n",
			"longer": "Origin: " + shop + ".evil.example\r\n", "shorter": "Origin: https://shop.example.co\r\n", "other scheme": "Origin: http://shop.example.com\r\n",
			"other port": "Origin: http://localhost:3001\r\n", "other letters": "Origin: https://SHOP.example.com\r\n", "with a path": "Origin: " + shop + "/\r\n",
			"two": "Origin: " + shop + "\r\nOrigin: https://evil.example\r\n", "a list": "Origin: " + shop + ", https://evil.example\r\n",
		} {
			r := ask(request, headers+"Access-Control-Request-Method: POST\r\n")
			if found := corsOf(r.header); r.status != status || found != nil || r.header.Get("Vary") != "Origin" {
				t.Errorf("%s of %s: %d %v %v", request, name, r.status, found, r.header)
			}
		}
	}
	if r := ask("GET /v1/me", "Origin: "+shop+"\r\n"+long); r.status != 431 { // the header it is known by may not have been read
		t.Errorf("%d", r.status)
	}
	if r := ask("POST /v1/me", "Origin: "+shop+"\r\nContent-Length: 99999\r\n"); r.status != 413 || r.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("a body that is too long: %d %v", r.status, r.header)
	}
	for _, path := range []string{"/v1/me", "/v1/sales/7/bids", "/nowhere"} {
		r := ask("OPTIONS "+path, "Origin: "+local+"\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, x-evil\r\n")
		want := map[string]string{
			"Access-Control-Allow-Origin": local, "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE", "Access-Control-Max-Age": "600", "Vary": "Origin",
			"Access-Control-Allow-Headers":     "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-ID, Sluice-Turn",
			"Access-Control-Allow-Credentials": "", "Content-Type": "",
		}
		for name, value := range want {
			if r.header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, r.header.Get(name))
			}
		}
		if r.status != 204 || r.raw != "" || strings.Contains(fmt.Sprint(r.header), "evil") {
			t.Errorf("%s: %d %q %v", path, r.status, r.raw, r.header)
		}
	}
}

// TestNoListNoCORS: without a list nothing is said of it, and OPTIONS is what it was.
func TestNoListNoCORS(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for request, status := range map[string]int{"OPTIONS /v1/me": 405, "OPTIONS /nowhere": 404, "GET /v1/me": 401} {
		all := raw(t, addr, request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: "+shop+"\r\nAccess-Control-Request-Method: POST\r\n\r\n")
		if len(all) != 1 || all[0].status != status || corsOf(all[0].header) != nil || all[0].header.Get("Vary") != "" {
			t.Errorf("%s: %+v", request, all)
		}
	}
}

// TestCORSOfAWholeHouse: good answers are read, too, and one that differs by what is
// accepted says both.
func TestCORSOfAWholeHouse(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Edge.Origins = []string{shop} })
	q := newQuestions(h)
	for _, path := range []string{"/v1/sales", receiptsPath + q.receipt} {
		if r := h.ask("GET", path, q.buyer.Access, "", "Origin: "+shop); r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != shop {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
	r := h.ask("GET", fmt.Sprintf("/v1/sales/%d/receipts", q.open), q.seller.Access, "", "Origin: "+shop)
	if vary := r.header.Values("Vary"); r.status != 200 || !strings.Contains(fmt.Sprint(vary), "Origin") || !strings.Contains(fmt.Sprint(vary), "Accept") {
		t.Errorf("%d, Vary %v", r.status, vary)
	}
	if r := h.ask("POST", "/v1/sales", q.seller.Access, `{"title":""}`, "Origin: "+shop); r.status != 422 || r.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("a refusal: %d %v", r.status, r.header)
	}
}
