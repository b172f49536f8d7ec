package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// somewhere is a listener.
func somewhere(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// waiting is how many wait now.
func (h *house) waiting(how waiting) int {
	return int(testutil.ToFloat64(h.api.waiters.now.WithLabelValues(string(how))))
}

// holding asks for a receipt and answers what comes, and after how long. It returns when
// the answer is held.
func (h *house) holding(token, receipt string, headers ...string) (answer func() (reply, time.Duration)) {
	h.t.Helper()
	before := h.waiting(longPoll)
	began := time.Now()
	var r reply
	var err error
	var took time.Duration
	var asked sync.WaitGroup
	asked.Go(func() {
		r, err = h.send("GET", receiptsPath+receipt, token, "", headers...)
		took = time.Since(began)
	})
	h.until("it is held", func() bool { return h.waiting(longPoll) > before })
	return func() (reply, time.Duration) {
		h.t.Helper()
		asked.Wait()
		if err != nil {
			h.t.Fatal(err)
		}
		return r, took
	}
}

const longest = "Prefer: wait=60"

// TestHeld: an answer is held back until the receipt stands otherwise than the client
// knows, wherever in the queue it is, and no longer.
func TestHeld(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	raw := embeddedtest.Client(t, url)
	s := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	_, ann := h.account(accounts.Buyer, 5000)
	_, bob := h.account(accounts.Buyer, 5000)
	first, second := h.reserve(s, ann, 1).text("receipt"), h.reserve(s, bob, 1).text("receipt")

	// Its place is another one: that is no change that one waits for. When the time is up
	// he is told.
	known := h.ask("GET", receiptsPath+second, bob, "")
	named := "If-None-Match: " + known.header.Get("ETag")
	place, err := strconv.Atoi(known.text("position"))
	if err != nil {
		t.Fatal(err)
	}
	answer := h.holding(bob, second, "Prefer: wait=2", named)
	part := fmt.Sprintf("{s%d}", s.Partition)
	if err := raw.HIncrBy(t.Context(), part, "applied_seq", 1).Err(); err != nil {
		t.Fatal(err)
	}
	r, took := answer()
	if r.status != http.StatusOK || r.text("status") != "queued" || r.text("position") != strconv.Itoa(place-1) || took < 2*time.Second || r.header.Get(preferenceApplied) != "wait=2" {
		t.Errorf("after %s: %d %s %v", took, r.status, r.raw, r.header)
	}
	if err := raw.HIncrBy(t.Context(), part, "applied_seq", -1).Err(); err != nil {
		t.Fatal(err)
	}
	// It is exactly what he has, and the time is up.
	r, took = h.holding(bob, second, "Prefer: wait=1", named)()
	if r.status != http.StatusNotModified || r.raw != "" || took < time.Second || r.header.Get(preferenceApplied) != "wait=1" {
		t.Errorf("after %s: %d %q %v", took, r.status, r.raw, r.header)
	}
	// He knows something else.
	if r := h.ask("GET", receiptsPath+second, bob, "", longest, `If-None-Match: W/"another.1"`); r.status != http.StatusOK || r.text("status") != "queued" {
		t.Errorf("%d %s", r.status, r.raw)
	}
	// A client that goes leaves its place, when it would have been answered.
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nPrefer: wait=1\r\n\r\n", receiptsPath, second, bob)
	h.until("it is held", func() bool { return h.waiting(longPoll) == 1 })
	conn.Close()
	h.until("it has left", func() bool { return h.waiting(longPoll) == 0 })

	// Settled, and told.
	one, two := h.holding(ann, first, longest), h.holding(bob, second, longest, named)
	h.work()
	for of, answer := range map[string]func() (reply, time.Duration){"held": one, "waiting": two} {
		if r, took := answer(); r.status != http.StatusOK || r.text("status") != of || took > 50*time.Second || r.header.Get(preferenceApplied) != "wait=60" {
			t.Errorf("%s after %s: %d %s", of, took, r.status, r.raw)
		}
	}
	// Whoever does not say what he has, has nothing but that it is queued.
	if r := h.ask("GET", receiptsPath+second, bob, "", longest); r.text("status") != "waiting" {
		t.Errorf("%s", r.raw)
	}
	// Held, and waiting, with a tag that says so.
	one = h.holding(ann, first, longest, "If-None-Match: "+h.ask("GET", receiptsPath+first, ann, "").header.Get("ETag"))
	two = h.holding(bob, second, longest, "If-None-Match: "+h.ask("GET", receiptsPath+second, bob, "").header.Get("ETag"))
	h.accepted("POST", receiptsPath+first+"/cancel", ann, "")
	for of, answer := range map[string]func() (reply, time.Duration){"cancelled": one, "held": two} {
		if r, took := answer(); r.status != http.StatusOK || r.text("status") != of || took > 50*time.Second {
			t.Errorf("%s after %s: %d %s", of, took, r.status, r.raw)
		}
	}
	// What is final never changes: nobody waits for that.
	r = h.ask("GET", receiptsPath+first, ann, "", longest, "If-None-Match: "+h.ask("GET", receiptsPath+first, ann, "").header.Get("ETag"))
	if r.status != http.StatusNotModified {
		t.Errorf("%d %s", r.status, r.raw)
	}

	// No message comes: the pulse tells.
	h.rest()
	third := h.bid(h.sale(-time.Second, time.Hour), ann, 1, 1000).text("receipt")
	answer = h.holding(ann, third, longest)
	silent, enough := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(silent)
		for {
			select {
			case <-enough:
				return
			default:
				_ = raw.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err() // what it cannot kill has been told
			}
		}
	}()
	h.work()
	r, took = answer()
	close(enough)
	<-silent
	if r.text("status") != "confirmed" || took > 50*time.Second {
		t.Errorf("after %s: %d %s", took, r.status, r.raw)
	}

	// What cannot be shown is not waited for.
	h.ask("GET", receiptsPath+third, bob, "", longest).wantProblem(t, 403, "not_yours")
	h.ask("GET", receiptsPath+sale.NewReceiptID(s.Partition).String(), bob, "", longest).wantProblem(t, 404, "unknown_receipt")
	h.rest()
	lost := h.bid(h.sale(-time.Second, time.Hour), ann, 1, 1000).text("receipt")
	if err := raw.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	h.work()
	h.ask("GET", receiptsPath+lost, ann, "", longest).wantProblem(t, 410, "lost")
	if n := h.waiting(longPoll); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// TestNotHeld: when nobody may wait any more, because the room is full or the API stops,
// the answer comes at once, as it is.
func TestNotHeld(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Waiters = 1 })
	_, token := h.account(accounts.Buyer, 5000)
	receipt := h.bid(h.sale(-time.Second, time.Hour), token, 1, 1000).text("receipt")
	answer := h.holding(token, receipt, longest)
	r := h.ask("GET", receiptsPath+receipt, token, "", longest)
	if r.status != http.StatusOK || r.text("status") != "queued" || r.header.Get(preferenceApplied) != "" || r.header.Get("Retry-After") == "" {
		t.Errorf("a second one: %d %s %v", r.status, r.raw, r.header)
	}
	r = h.ask("GET", receiptsPath+receipt+"/events", token, "")
	r.wantProblem(t, 503, "too_many_waiters")
	if after := r.header.Get("Retry-After"); after < "2" || after > "6" {
		t.Errorf("to come back in %q", after)
	}
	if r := h.ask("HEAD", receiptsPath+receipt+"/events", token, ""); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
	if err := h.api.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if r, took := answer(); r.status != http.StatusOK || r.text("status") != "queued" || took > 50*time.Second {
		t.Errorf("at the shutdown after %s: %d %s", took, r.status, r.raw)
	}
	if n := h.waiting(longPoll); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// headed is a request with these headers: name, value, …
func headed(t testing.TB, app *fiber.App, headers ...string) *fiber.Ctx {
	request := &fasthttp.RequestCtx{}
	for i := 0; i < len(headers); i += 2 {
		request.Request.Header.Add(headers[i], headers[i+1])
	}
	c := app.AcquireCtx(request)
	t.Cleanup(func() { app.ReleaseCtx(c) })
	return c
}

func TestPreferredWait(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	for prefer, want := range map[string]time.Duration{
		"":                             0,
		"wait=20":                      20 * time.Second,
		"wait=1":                       time.Second,
		"wait=60":                      time.Minute,
		"wait=61":                      time.Minute,
		"wait=99999999999999999999999": time.Minute,
		`wait="20"`:                    20 * time.Second,
		"Wait = 20":                    20 * time.Second,
		"wait=20; unit=s":              20 * time.Second,
		"respond-async, wait=20":       20 * time.Second,
		"wait=20, wait=30":             20 * time.Second,
		"wait=x, wait=30":              0, // the first counts
		"wait=0":                       0,
		"wait=-1":                      0,
		"wait=+1":                      0,
		"wait=1.5":                     0,
		"wait=1e1":                     0,
		"wait=20s":                     0,
		"wait=0x10":                    0,
		"wait":                         0,
		"wait=":                        0,
		`wait=""`:                      0,
		`wait="20`:                     0,
		`wait=20"`:                     0,
		"waiting=20":                   0,
		"return=minimal":               0,
		"=20":                          0,
		",,;;==":                       0,
		"wait=2 0":                     0,
		"wait=२०":                      0,
	} {
		if got := preferredWait(headed(t, app, preferHeader, prefer)); got != want {
			t.Errorf("%q is %s, want %s", prefer, got, want)
		}
	}
	if got := preferredWait(headed(t, app, preferHeader, "respond-async", preferHeader, "wait=5")); got != 5*time.Second {
		t.Errorf("in a second header: %s", got)
	}
}

// FuzzWaiting: whatever stands in the headers of who waits, it is within bounds or no
// preference, and what he has already are words without quotes.
func FuzzWaiting(f *testing.F) {
	for _, seed := range [][3]string{{"wait=20", `W/"abc.1"`, "abc.1"}, {`wait="5";x=y, wait=7`, `"a", W/"b" ,"c`, ""}, {"wait=99999999999999999999", "*", "1700000000000"}, {"", "", "a b"}, {"\x00", `""`, "\xff"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	app := fiber.New()
	f.Fuzz(func(t *testing.T, prefer, match, last string) {
		request := &fasthttp.RequestCtx{}
		request.Request.Header.Set(preferHeader, prefer)
		request.Request.Header.Set(fiber.HeaderIfNoneMatch, match)
		request.Request.Header.Set("Last-Event-ID", last)
		c := app.AcquireCtx(request)
		defer app.ReleaseCtx(c)
		if wait := preferredWait(c); wait < 0 || wait > waitMost || wait%time.Second != 0 || wait > 0 && !strings.Contains(strings.ToLower(prefer), "wait") {
			t.Errorf("%q is %s", prefer, wait)
		}
		known := knownTags(c)
		if len(known) > tagsMost {
			t.Errorf("%q are %d tags", match, len(known))
		}
		for _, word := range known {
			if word == "" || !strings.Contains(match, `"`+word+`"`) || strings.Contains(word, ",") {
				t.Errorf("%q has %q", match, word)
			}
		}
		if id := lastEventID(c); id != "" && (id != last || !visible(id, 100)) {
			t.Errorf("%q is the ID %q", last, id)
		}
	})
}

// FuzzReadNames: what is taken are 1 to most different receipts in the order of the query,
// and every refusal says why.
func FuzzReadNames(f *testing.F) {
	one, two := uuid.Max.String(), "01a200d5-63f9-7001-9a6a-c18952379aa0"
	for _, seed := range []string{"", "id=" + one, "id=" + one + "&id=" + two, "id=" + one + "&id=" + one, "id=x", "id", "id=" + one + "&x=1", "%zz", "id=" + strings.ToUpper(two),
		"id=" + strings.Repeat(one+"&id=", 5) + two} {
		f.Add(seed)
	}
	app := fiber.New()
	f.Fuzz(func(t *testing.T, text string) {
		request := &fasthttp.RequestCtx{}
		request.Request.SetRequestURI("/")
		request.Request.URI().SetQueryString(text)
		c := app.AcquireCtx(request)
		defer app.ReleaseCtx(c)
		ids, err := readNames(c, "id", 3)
		if err != nil {
			if p := problemOf(err); p.code != badQuery || len(p.fields) == 0 && p.detail == "" || len(p.fields) > faultsMost || ids != nil {
				t.Errorf("%q: %v, %+v", text, ids, p)
			}
			return
		}
		if len(ids) < 1 || len(ids) > 3 {
			t.Fatalf("%q: %v", text, ids)
		}
		seen := map[uuid.UUID]bool{}
		for _, id := range ids {
			if seen[id] {
				t.Errorf("%q names %s twice", text, id)
			}
			seen[id] = true
		}
	})
}

// second is another API process on the stores of h, behind l; what it has is its own.
func (h *house) second(l net.Listener) *house {
	h.t.Helper()
	registry := prometheus.NewRegistry()
	other := *h
	other.api = New(Options{
		Admission: h.api.admission, Receipts: h.api.receipts, Catalog: h.api.catalog, Bookings: h.api.bookings, Coupons: h.api.coupons,
		Notices: h.api.notices, Accounts: h.accounts, News: hearing(h.t, h.store, registry), Log: zerolog.Nop(), Registry: registry,
	})
	other.addr = serveOn(h.t, other.api, l)
	return &other
}
