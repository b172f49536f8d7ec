package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// raw is exchanges with the API, which are held against the document.
func raw(t *testing.T, addr, text string, methods ...string) []reply {
	t.Helper()
	all := exchanges(t, addr, text, methods...)
	for i, r := range all {
		method := http.MethodGet
		if i < len(methods) {
			method = methods[i]
		}
		lawful(t, &http.Request{Method: method, URL: &url.URL{Path: "/a/test/of/its/own"}}, "", r)
	}
	return all
}

// exchanges sends bytes and answers every response until the server closes. A server
// that keeps the connection open fails the test; it is given time, but less than the
// five seconds after which a request that does not arrive is cut off anyway. methods are
// those asked, where they are not GET: the answer to a HEAD has no body.
func exchanges(t *testing.T, addr, text string, methods ...string) (all []reply) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(4 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(c)
	for {
		if _, err := reader.Peek(1); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("the connection stays open after %d answers", len(all))
			}
			return all
		}
		asked := &http.Request{Method: http.MethodGet}
		if len(all) < len(methods) {
			asked.Method = methods[len(all)]
		}
		answer, err := http.ReadResponse(reader, asked)
		if err != nil {
			t.Errorf("answer %d: %v", len(all), err)
			return all
		}
		r, err := said(answer)
		if err != nil {
			t.Errorf("answer %d: %v", len(all), err)
		}
		all = append(all, r)
	}
}

// hidden is a request that stands where a body is expected, or the other way round.
const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

// TestSmuggling: a request whose end two servers could see at two places is
// refused, and the connection with it: what is hidden in it is never answered.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for name, text := range smuggled {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := raw(t, addr, text+hidden)
			if len(all) != 1 || all[0].status != 400 || all[0].header.Get("Content-Type") != problemType || !strings.Contains(all[0].raw, `"code":"bad_request"`) {
				t.Errorf("%d answers: %+v", len(all), all)
			}
		})
	}
}

// post and show are a request up to its last headers.
const (
	post = "POST /v1/x HTTP/1.1\r\nHost: x\r\n"
	show = "GET /v1/x HTTP/1.1\r\nHost: x\r\n"
	last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)

// smuggled are requests that two servers could see ending at two places.
var smuggled = map[string]string{
	"two lengths":                  post + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
	"one length twice":             post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
	"two lengths in other letters": post + "Content-Length: 5\r\ncontent-length: 0\r\n\r\nhello",
	"a list of lengths":            post + "Content-Length: 0, 40\r\n\r\n",
	"length with a sign":           post + "Content-Length: +0\r\n\r\n",
	"negative length":              post + "Content-Length: -1\r\n\r\n",
	"length of minus nothing":      post + "Content-Length: -0\r\n\r\n",
	"length in hex":                post + "Content-Length: 0x5\r\n\r\nhello",
	"length with a blank inside":   post + "Content-Length: 1 2\r\n\r\nhello",
	"length with a parameter":      post + "Content-Length: 5;x\r\n\r\nhello",
	"length with an underscore":    post + "Content-Length: 5_0\r\n\r\n",
	"no length at all":             post + "Content-Length: \r\n\r\n",
	"length past 64 bits":          post + "Content-Length: 18446744073709551621\r\n\r\nhello",
	"blank before the colon":       post + "Content-Length : 5\r\n\r\nhello",
	"blank in the name":            post + "Content Length: 5\r\n\r\nhello",
	"tab in the name":              post + "Content\tLength: 5\r\n\r\nhello",

	"unknown coding":                   post + "Transfer-Encoding: xchunked\r\n\r\n",
	"coding, then another":             post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
	"coding twice":                     post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding, then no coding":           post + "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n\r\n0\r\n\r\n",
	"a list of codings":                post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"a list that ends in identity":     post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"chunked twice in a list":          post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	"identity":                         post + "Transfer-Encoding: identity\r\n\r\n",
	"identity and a length":            post + "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
	"coding behind a vertical tab":     post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"coding before NUL":                post + "Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
	"coding in quotes":                 post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
	"no coding":                        post + "Transfer-Encoding: \r\n\r\n0\r\n\r\n",
	"space before colon":               post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"coding in a line that goes on":    post + "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding that goes on":              post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"colon in the next line":           post + "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
	"coding behind a bare LF":          post + "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding behind a bare CR":          post + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding in the first line's blank": "POST /v1/x HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: x\r\n\r\n0\r\n\r\n",
	"chunks in HTTP/1.0":               "POST /v1/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",

	"chunk of no number":              post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	"chunk in quotes of an extension": post + "Transfer-Encoding: chunked\r\n\r\n5;x=\"\r\n0\r\n\"\r\nhello\r\n0\r\n\r\n",
	"extension that ends in LF":       post + "Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n",
	"chunks of bare LF":               post + "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
	"chunk behind a blank":            post + "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n",
	"chunk in hex":                    post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	"chunk with a sign":               post + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
	"negative chunk":                  post + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
	"chunk that ends in letters":      post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
	"chunk that does not end":         post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
	"chunk past 64 bits":              post + "Transfer-Encoding: chunked\r\n\r\n100000000000000005\r\nhello\r\n0\r\n\r\n",
	"length in a trailer":             post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
	"trailer without a colon":         post + "Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
	"request as a trailer":            post + "Transfer-Encoding: chunked\r\n\r\n0\r\n",
	"an empty line before chunks":     post + "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",

	"no request":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	"HTTP/0.9":                   "GET /v1/x\r\n\r\n",
	"HTTP/9":                     "GET /v1/x HTTP/9\r\nHost: x\r\n\r\n",
	"two blanks":                 "GET  /v1/x HTTP/1.1\r\nHost: x\r\n\r\n",
	"a blank in the address":     "GET /v1/x y HTTP/1.1\r\nHost: x\r\n\r\n",
	"tabs for blanks":            "GET\t/v1/x\tHTTP/1.1\r\nHost: x\r\n\r\n",
	"NUL in the address":         "GET /v1/x\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
	"all lines of bare LF":       "GET /v1/x HTTP/1.1\nHost: x\n\n",
	"one line of bare LF":        show + "X-A: a\n\r\n",
	"the last line of bare LF":   show + "X-A: a\r\n\n",
	"all lines of bare CR":       "GET /v1/x HTTP/1.1\rHost: x\r\r",
	"a line that goes on":        show + "X-A: a\r\n b\r\n\r\n",
	"a line that goes on by tab": show + "X-A: a\r\n\tb\r\n\r\n",
	"a name with a blank":        show + "X A: a\r\n\r\n",
	"a name that ends in one":    show + "X-A : a\r\n\r\n",
	"a name of nothing":          show + ": a\r\n\r\n",
	"a name with a bracket":      show + "X(A): a\r\n\r\n",
	"a name not in ASCII":        show + "X-\xc3\xbc: a\r\n\r\n",
	"no colon":                   show + "X-A\r\n\r\n",
	"NUL in a header":            show + "X-A: a\x00b\r\n\r\n",
	"NUL in a name":              show + "X\x00A: a\r\n\r\n",
	"bare CR in a header":        show + "X-A: a\rb\r\n\r\n",
	"two hosts":                  show + "Host: y\r\n\r\n",
	"no host":                    "GET /v1/x HTTP/1.1\r\nX-A: a\r\n\r\n",
	"a host with a blank":        "GET /v1/x HTTP/1.1\r\nHost: x y\r\n\r\n",
}

// TestSmugglersAreSeen is the known-bad twin: a server that goes by its own reading
// answers what is hidden, and the check of TestSmuggling says so.
func TestSmugglersAreSeen(t *testing.T) {
	t.Parallel()
	naive := &fasthttp.Server{Handler: func(request *fasthttp.RequestCtx) { request.SetBodyString(string(request.Path())) }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- naive.Serve(l) }()
	defer func() {
		if err := errors.Join(naive.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"identity", "coding behind a bare LF", "blank in the name", "a line that goes on"} {
		all := exchanges(t, l.Addr().String(), smuggled[name]+hidden+last)
		if !slices.ContainsFunc(all, func(r reply) bool { return r.raw == "/hidden" }) {
			t.Errorf("%s: nothing hidden is answered: %+v", name, all)
		}
	}
}

// TestFairRequests: what is right, however odd, is read right, and so is what follows.
func TestFairRequests(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for name, text := range map[string]string{
		"blanks around a length":  post + "Content-Length: \t 5 \t\r\n\r\nhello",
		"a length with zeros":     post + "Content-Length: 005\r\n\r\nhello",
		"chunks":                  post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunks after a tab":      post + "Transfer-Encoding:\tChunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"many chunks":             post + "transfer-encoding: CHUNKED\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 1000) + "000\r\n\r\n",
		"an extension":            post + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n",
		"a trailer":               post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n",
		"odd names":               show + "!#$%&'*+-.^_`|~09: a\r\nX_A: b\r\n\r\n",
		"odd values":              show + "X-A: \xff\xfe;=,\"()<>@[]{}\r\nX-B:\r\n\r\n",
		"empty lines before it":   "\r\n\r\n" + show + "\r\n",
		"a whole address":         "GET http://x/v1/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"a colon in a value":      show + "X-A: http://x:80\r\n\r\n",
		"an upgrade nobody wants": show + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	} {
		all := raw(t, addr, text+last)
		if len(all) != 2 || all[0].status != 404 || all[1].status != 404 || !strings.Contains(all[1].raw, "/last") {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// FuzzFraming: what is hidden in a header is never answered, and what is clear is read
// by net/http as it is by us.
func FuzzFraming(f *testing.F) {
	for _, seed := range []string{"Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", "X: y\nContent-Length: 5\r\n", " X: y\r\n", "X y: z\r\n", "transfer-encoding: identity\r\n", "X-A: b\r\n", "\r\n", ":", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		var h fasthttp.RequestHeader
		text := "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n"
		rest := bufio.NewReader(strings.NewReader(text))
		if h.Read(rest) != nil || framingOf(&h) != oneEnd {
			return
		}
		ours, err := io.ReadAll(rest)
		if err != nil {
			t.Fatal(err)
		}
		other := bufio.NewReader(strings.NewReader(text))
		theirs, err := http.ReadRequest(other)
		if err != nil {
			return // nobody reads it in another way
		}
		left, err := io.ReadAll(other)
		if err != nil {
			t.Fatal(err)
		}
		chunked := len(theirs.TransferEncoding) > 0
		if string(left) != string(ours) || chunked != (h.ContentLength() == -1) || !chunked && theirs.ContentLength > 0 && int64(h.ContentLength()) != theirs.ContentLength {
			t.Errorf("%q: %q is left, and to net/http %q; length %d, and to it %d %v", text, ours, left, h.ContentLength(), theirs.ContentLength, theirs.TransferEncoding)
		}
	})
}

// TestLengthAndChunks: what goes by its chunks is answered, what follows is not.
func TestLengthAndChunks(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for name, text := range map[string]string{
		"length and chunks": "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"chunks and length": "POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n" + hidden,
		"in other letters":  "GET /v1/x HTTP/1.1\r\nHost: x\r\ntransfer-encoding: Chunked\r\nCONTENT-LENGTH:60\r\n\r\n0\r\n\r\n" + hidden,
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 404 || all[0].header.Get("Content-Type") != problemType {
			t.Errorf("%s: %d answers: %+v", name, len(all), all)
		}
	}
}

// TestBodyOfAGet: it is read with its request, or it would be the next one.
func TestBodyOfAGet(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, map[string]fiber.Handler{"/hidden": func(c *fiber.Ctx) error { return c.SendString("hidden") }})
	addr := serve(t, api)
	for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS"} {
		for name, text := range map[string]string{
			"by length": fmt.Sprintf("%s /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, len(hidden), hidden),
			"in chunks": fmt.Sprintf("%s /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", method, len(hidden), hidden),
		} {
			kept := strings.Replace(text, "Connection: close\r\n", "", 1) + "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			all := raw(t, addr, kept, method)
			if len(all) != 2 || all[0].status != 404 || all[1].status != 404 || !strings.Contains(all[1].raw, "/last") {
				t.Errorf("%s %s: %+v", method, name, all)
			}
		}
	}
}

// TestNothingIsInjected: whatever a client says stays in its place: no value of his
// makes a header or an answer of its own.
func TestNothingIsInjected(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Edge.Origins = []string{shop} })
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 100_000)
	signed := "Authorization: Bearer " + token + "\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(goodBid)) + "\r\n"
	for _, evil := range []string{
		"a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n", "a\x00X-Evil: 1", "a%0d%0aX-Evil: 1", "a\\r\\nX-Evil: 1",
		"a\u560d\u560aX-Evil: 1", "a\u2028X-Evil: 1", "\"}\r\nX-Evil: 1", "<script>X-Evil</script>", strings.Repeat("X-Evil", 200),
	} {
		for name, text := range map[string]string{
			"X-Request-ID":    "GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: " + evil + "\r\nConnection: close\r\n\r\n",
			"Idempotency-Key": "POST " + bids(s.ID) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + signed + "Idempotency-Key: " + evil + "\r\n\r\n" + goodBid,
			"Origin":          "GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: " + evil + "\r\n\r\n",
			"a known Origin":  "GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: " + shop + evil + "\r\n\r\n",
			"asked headers":   "OPTIONS /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: " + shop + "\r\nAccess-Control-Request-Method: " + evil + "\r\nAccess-Control-Request-Headers: " + evil + "\r\n\r\n",
			"Host":            "GET /v1/x HTTP/1.1\r\nConnection: close\r\nHost: " + evil + "\r\n\r\n",
			"the path":        "GET /v1/" + evil + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"the query":       "GET /v1/sales?cursor=" + evil + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"an ID":           "GET " + receiptsPath + evil + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + signed[:strings.Index(signed, "\r\n")+2] + "\r\n",
			"an escaped ID":   "POST /v1/sales/" + url.PathEscape(evil) + "/bids HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + signed + "\r\n" + goodBid,
			"the method":      evil + " /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		} {
			for _, r := range raw(t, h.addr, text) {
				for field, values := range r.header {
					if strings.Contains(field, "Evil") || field != "X-Request-Id" && strings.Contains(fmt.Sprint(values), "X-Evil") {
						t.Errorf("%s %q: %s: %q", name, evil, field, values)
					}
					if id := r.header.Get("X-Request-Id"); !visible(id, sale.MaxTrace) {
						t.Errorf("%s %q: request ID %q", name, evil, id)
					}
				}
				if r.status < 200 || r.status == 200 && name != "the query" || r.status >= 500 && r.status != 501 || strings.ContainsAny(r.raw, "<>\r\x00") || !fencedWell(r) {
					t.Errorf("%s %q: %d %q", name, evil, r.status, r.raw)
				}
			}
		}
	}
}

// fencedWell says whether an answer is one of ours.
func fencedWell(r reply) bool { return fenced(r.header) == nil }

// TestPipelining: requests that come together are answered in their order, also when
// one of them is refused.
func TestPipelining(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	var text strings.Builder
	for i := range 200 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&text, "GET /n/%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&text, "POST /n/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", i, len(hidden), hidden)
		case 2:
			fmt.Fprintf(&text, "POST /n/%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", i, len(hidden), hidden)
		case 3:
			fmt.Fprintf(&text, "BREW /n/%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		}
	}
	all := raw(t, addr, text.String()+last)
	if len(all) != 201 {
		t.Fatalf("%d answers", len(all))
	}
	for i, r := range all[:200] {
		if want := map[bool]int{false: 404, true: 501}[i%4 == 3]; r.status != want || !strings.Contains(r.raw, fmt.Sprintf(`"/n/%d"`, i)) {
			t.Errorf("answer %d: %d %s", i, r.status, r.raw)
		}
	}
}

// TestHalfClosed: who has said all that he has to say is still answered, and who goes
// in the middle of it harms nobody.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for text, want := range map[string]string{
		show + "\r\n": "HTTP/1.1 404", show + "\r\n" + show + "\r\n": "HTTP/1.1 404", post + "Content-Length: 5\r\n\r\nhello": "HTTP/1.1 404",
		"GET /v1/x HT": "HTTP/1.1 400", post + "Content-Length: 5\r\n\r\nhel": "HTTP/1.1 400", post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel": "HTTP/1.1 400", "": "",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.SetDeadline(time.Now().Add(10*time.Second)), func() error { _, err := io.WriteString(c, text); return err }(), c.(*net.TCPConn).CloseWrite()); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), want) || want == "" && len(answer) > 0 || strings.Count(string(answer), "HTTP/1.1 404") != strings.Count(text, "HTTP/1.1\r\n") && want == "HTTP/1.1 404" {
			t.Errorf("%q: %v %q", text, err, answer)
		}
		c.Close()
	}
	for _, text := range []string{"", "GET", show, show + "\r\n", post + "Content-Length: 5\r\n\r\nhe", strings.Repeat(show+"\r\n", 1000)} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).SetLinger(0) // resets it
		c.Close()
	}
	if r, err := get(addr, "/v1/me"); err != nil || r.status != 401 {
		t.Errorf("afterwards: %d, %v", r.status, err)
	}
}

func TestOversizedHeader(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	for name, text := range map[string]string{
		"one long header": "GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 9<<10) + "\r\n\r\n",
		"a long address":  "GET /" + strings.Repeat("x", 9<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"many headers":    "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 2000) + "\r\n",
		"a long query":    "GET /v1/sales?cursor=" + strings.Repeat("x", 500<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"a header of MiB": "GET /v1/x HTTP/1.1\r\nHost: x\r\nCookie: " + strings.Repeat("x", 900<<10) + "\r\n\r\n",
		"a long method":   strings.Repeat("X", 9<<10) + " /v1/x HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 431 || !strings.Contains(all[0].raw, `"code":"header_too_large"`) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// TestSlowRequest: who drips a request in is cut off.
func TestSlowRequest(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, func(o *Options) { o.ReadTimeout, o.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond }, nil)
	addr := serve(t, api)
	for name, text := range map[string]string{
		"headers": "POST /v1/x HTTP/1.1\r\nHost: x\r\nX-A",
		"body":    "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"nothing": "",
	} {
		all := raw(t, addr, text)
		if len(all) != 1 || all[0].status != 408 || !strings.Contains(all[0].raw, `"code":"request_timeout"`) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// TestSlowLoris: hundreds who drip their requests in keep nobody from being answered,
// and are cut off, each with an answer.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	const drips = 300
	api, _ := bare(t, func(o *Options) { o.ReadTimeout = 3 * time.Second }, nil)
	addr := serve(t, api)
	slow := make([]net.Conn, drips)
	for i := range slow {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := []string{"P", "POST /v1/x HTTP/1.1\r\nHost: x\r\nX-A: ", post + "Content-Length: 60000\r\n\r\n"}[i%3]
		if _, err := io.WriteString(c, start); err != nil {
			t.Fatal(err)
		}
		slow[i] = c
	}
	// One byte of each between two requests of everybody else.
	for round := range 50 {
		for i, c := range slow {
			if _, err := io.WriteString(c, "x"); err != nil && round == 0 {
				t.Errorf("drip %d is cut off at once: %v", i, err)
			}
		}
		if r, err := get(addr, "/v1/me"); err != nil || r.status != 401 {
			t.Fatalf("round %d: %d, %v", round, r.status, err)
		}
	}
	for i, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 408") && !errors.Is(err, syscall.ECONNRESET) { // a drop that came after the cut
			t.Errorf("drip %d: %v %q", i, err, answer)
		}
	}
}
