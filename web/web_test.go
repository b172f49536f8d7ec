package web

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/sale"
)

// dead is an API that cannot be reached.
type dead struct{}

func (dead) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody is there")
}

// said are the words that templates and code name as they are.
var (
	said   = regexp.MustCompile(`(?:\bt|say) ?\(?"([a-z_.A-Z]+)"`)
	begins = regexp.MustCompile(`\bt \(print "([a-z.]+\.)" `)
)

// TestWords: everything that a page names can be said, in both languages, and nothing
// else is there. What is put together from a word of the API is there for every word.
func TestWords(t *testing.T) {
	used := map[string]bool{}
	reasons := strings.Fields("unknown_sale not_open closed sold_out line_full price_changed over_limit duplicate short_points coupon_unusable expired not_payable not_yours not_refundable already_final suspended lost internal")
	families := map[string][]string{
		"kind.": texts(kinds), "kinds.": texts(kinds), "sell.about.": texts(kinds),
		"state.":         {"open", "scheduled", "sold_out", "suspended", "closed"},
		"status.":        {"queued", "confirmed", "held", "waiting", "rejected", "expired", "cancelled", "refunded"},
		"verb.":          {"bid", "reserve", "claim", "join", "pay", "cancel", "refund", "change"},
		"won.":           {"bid", "reserve", "claim", "join", "pay", "cancel", "refund", "change"},
		"verdict.":       {"rejected", "expired", "cancelled", "refunded"},
		"after.":         {"confirmed", "expired", "cancelled", "refunded"},
		"undone.":        {"pay", "cancel", "refund"},
		"busy.":          {"pay", "cancel", "refund"},
		"outlook.":       {"likely", "unlikely", "sold_out"},
		"reason.":        reasons,
		"sell.reason.":   reasons,
		"partition.":     {"ok", "away", "empty", "loading", "ownerless", "late"},
		"role.":          {"buyer", "seller", "admin"},
		"audit.verdict.": {"ok", "broken", "busy"},
		"audit.means.":   {"ok", "broken", "busy"},
		"redis.":         {"keeps", "aof", "aof.ok", "rdb.ok"},
		"operate.wrong.": {"redis", "postgres", "masters", "memory", "eviction", "unsaved", "away", "ownerless", "loading", "late", "suspended", "letters"},
		"entry.":         {"topup", "bid", "reserve", "join", "pay", "cancel", "refund", "payout"},
		"notice.":        {"held", "promoted", "soon", "expired", "confirmed", "refunded", "closed", "opens", "reminder"},
		"day.":           weekdays,
		"coupon.state.":  {"usable", "used", "expired"},
		"attendance.":    {"completed", "no_show"},
		"sell.status.":   {"queued", "confirmed", "held", "waiting", "rejected", "expired", "cancelled", "refunded"},
		"list.":          {"open", "scheduled", "sold_out", "closed"},
		"done.":          {"edit", "text", "grow", "extend", "delete", "attendance"},
		"done.store.":    {"edit", "close"},
		"operate.done.":  {"suspend", "resume"},
	}
	for _, kind := range kinds {
		for _, e := range newDraft(kind, time.Now()).Entries {
			families["entry.name."] = append(families["entry.name."], e.Name)
			families["hint."] = append(families["hint."], e.Name)
		}
	}
	read := func(files fs.FS, dir string) {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := fs.ReadFile(files, dir+"/"+e.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range said.FindAllStringSubmatch(string(text), -1) {
				used[m[1]] = true
			}
			for _, m := range begins.FindAllStringSubmatch(string(text), -1) {
				if families[m[1]] == nil && m[1] != "code." {
					t.Errorf("%s puts %s… together, of which no words are known", e.Name(), m[1])
				}
			}
		}
	}
	read(pageFiles, "pages")
	for begin, ends := range families {
		for _, end := range ends {
			used[begin+end] = true
		}
	}
	for _, more := range strings.Fields("list.title receipts.title wallet.title coupons.title notices.title stores.title signin.title signup.title problem.title nav.sales nav.tables nav.receipts nav.coupons nav.sell span.s span.min span.h span.d sell.new sell.edit store.new operate.sales operate.letters operate.letter operate.audit operate.lookup nav.operate") {
		used[more] = true
	}
	for key := range used {
		both, ok := words[key]
		switch {
		case !ok:
			t.Errorf("%s cannot be said", key)
		case both[0] == "" || both[1] == "":
			t.Errorf("%s is not said in both languages", key)
		case strings.Count(both[0], "%s") != strings.Count(both[1], "%s") || strings.Count(both[0], "%d") != strings.Count(both[1], "%d"):
			t.Errorf("%s takes other things in Korean", key)
		}
	}
	for key := range words {
		if !used[key] && !strings.HasPrefix(key, "code.") {
			t.Errorf("%s is said nowhere", key)
		}
	}
}

func texts[W ~string](all []W) (list []string) {
	for _, w := range all {
		list = append(list, string(w))
	}
	return list
}

// ask asks a front for something.
func ask(f *Front, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// TestAPIGone: without the API there is a page that says so, and no form is lost in it.
func TestAPIGone(t *testing.T) {
	f := New(Options{API: dead{}})
	for _, path := range []string{"/", "/sales/7", "/stores", "/stores/1"} {
		if w := ask(f, "GET", path, nil); w.Code != 500 || !strings.Contains(w.Body.String(), sayIn("en", "code.internal")) || strings.Contains(w.Body.String(), "nobody is there") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for path, code := range map[string]int{"/nothing": 404, "/sales/x": 404, "/sales/0": 404, "/sign-in": 200, "/sign-up": 200, "/static/x/nothing": 404} {
		if w := ask(f, "GET", path, nil); w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestStrangersForms: a form of another site is refused before anything is read.
func TestStrangersForms(t *testing.T) {
	f := New(Options{API: dead{}})
	for _, headers := range [][]string{{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}} {
		if w := ask(f, "POST", "/sign-out", url.Values{}, headers...); w.Code != 403 {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site: same-origin"}, {"Origin: http://example.com"}} {
		if w := ask(f, "POST", "/sign-out", url.Values{}, headers...); w.Code != 303 {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
}

// TestHeaders: no page runs a script of its own, and none is kept; what it loads is.
func TestHeaders(t *testing.T) {
	f := New(Options{API: dead{}})
	w := ask(f, "GET", "/sign-in", nil)
	if h := w.Header(); h.Get("Content-Security-Policy") != policy || h.Get("Cache-Control") != "no-store" || h.Get("Content-Language") != "en" {
		t.Errorf("%v", h)
	}
	for _, inline := range []string{" style=", "<style", " onclick", "javascript:", "https://"} {
		if strings.Contains(w.Body.String(), inline) {
			t.Errorf("a page has %q", inline)
		}
	}
	for name := range f.assets.all {
		if w := ask(f, "GET", f.assets.address(name), nil); w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() != len(f.assets.all[name].plain) {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if w := ask(f, "GET", "/static/another/"+name, nil); w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s of another release: %d %v", name, w.Code, w.Header())
		}
		if w := ask(f, "GET", f.assets.address(name), nil, "Accept-Encoding: gzip"); w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() >= len(f.assets.all[name].plain) {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

// TestDoor: whoever is not signed in is led through the door and back, to our own pages
// only.
func TestDoor(t *testing.T) {
	f := New(Options{API: dead{}})
	w := ask(f, "GET", "/receipts?status=held", nil)
	if w.Code != 303 || w.Header().Get("Location") != "/sign-in?next=%2Freceipts%3Fstatus%3Dheld" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask(f, "POST", "/sales/7/bid", url.Values{}); w.Header().Get("Location") != "/sign-in?next=%2Fsales%2F7" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for to, want := range map[string]string{"/wallet": "/wallet", "//evil.example": "/", "https://evil.example": "/", "/\\evil.example": "/", "": "/", "/a\nb": "/"} {
		if got := local(to, "/"); got != want {
			t.Errorf("%q leads to %q", to, got)
		}
	}
	if w := ask(f, "POST", "/language", url.Values{"to": {"ko"}, "next": {"//evil.example"}}); w.Header().Get("Location") != "/" || !strings.Contains(w.Header().Get("Set-Cookie"), "sluice_language=ko") {
		t.Errorf("%v", w.Header())
	}
	for header, want := range map[string]string{"": "en", "ko-KR,ko;q=0.9,en;q=0.8": "ko", "de,ko;q=0.5": "ko", "de": "en", "en-US,ko": "en"} {
		if w := ask(f, "GET", "/sign-in", nil, "Accept-Language: "+header); w.Header().Get("Content-Language") != want {
			t.Errorf("%q: %v", header, w.Header())
		}
	}
}

// TestRenewOnce: a browser that opens many pages at once shows one refresh token many
// times, and it is exchanged once.
func TestRenewOnce(t *testing.T) {
	r := newRenewals()
	var mu sync.Mutex
	exchanged := 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := r.renew(t.Context(), "one", func(context.Context) (client.Tokens, error) {
				mu.Lock()
				defer mu.Unlock()
				exchanged++
				return client.Tokens{Access: "next"}, nil
			})
			if err != nil || got.Access != "next" {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	all.Wait()
	if exchanged != 1 {
		t.Errorf("exchanged %d times", exchanged)
	}
	fails := func(context.Context) (client.Tokens, error) { return client.Tokens{}, errors.New("later") }
	if _, err := r.renew(t.Context(), "two", fails); err == nil {
		t.Error("it was renewed")
	}
	if got, err := r.renew(t.Context(), "two", func(context.Context) (client.Tokens, error) { return client.Tokens{Access: "at last"}, nil }); err != nil || got.Access != "at last" {
		t.Errorf("what failed once is not tried again: %v, %v", got, err)
	}
}

// TestUnprovedToken: what a token says is read for what is shown, if it is a token at all.
func TestUnprovedToken(t *testing.T) {
	for _, bad := range []string{"", "a.b", "a.b.c", "a.e30.c", "a.eyJleHAiOjF9.c"} {
		if _, ok := readToken(bad); ok {
			t.Errorf("%q is a token", bad)
		}
	}
}

// TestPreview: the curve of a form is that of the rule, and what breaks a rule is named.
func TestPreview(t *testing.T) {
	d := newDraft(client.Auction, time.Now())
	if p := d.look(time.Now()); len(p.Wrong) != 0 || p.Steps != 30 || p.First != 10_000 || p.Last != (sale.Price{Policy: sale.Percentage, Start: 10_000, Rate: 500}).After(29) {
		t.Errorf("%+v", p)
	}
	for field, wrong := range map[string][2]string{"period": {"7", "period"}, "start_price": {"0", "start_price"}, "rate": {"51", "rate"}, "length": {"61", "length"}} {
		d := newDraft(client.Auction, time.Now())
		d.field(field).Value = wrong[0]
		if p := d.look(time.Now()); !slices.Contains(p.Wrong, wrong[1]) {
			t.Errorf("%s = %s: %v", field, wrong[0], p.Wrong)
		}
	}
}

// TestDraft: a form says what was typed, and an old sale what it is.
func TestDraft(t *testing.T) {
	at := time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)
	s := client.Sale{ID: 7, Kind: client.Auction, Title: "Lamp", Stock: &client.Stock{Total: 5}, Limit: 2, OpensAt: at, ClosesAt: at.Add(time.Hour),
		Policy: client.Percentage, StartPrice: 900, Rate: 1250, Period: 90 * time.Second, RefundWindow: 36 * time.Hour, ShowStock: true}
	n := newDraft(client.Auction, at).of(s).sale()
	if n.Title != "Lamp" || n.Stock != 5 || n.Limit != 2 || !n.OpensAt.Equal(at) || !n.ClosesAt.Equal(at.Add(time.Hour)) || n.Rate != 1250 || n.Period != 90*time.Second ||
		*n.RefundWindow != 36*time.Hour || !*n.ShowStock || n.StartPrice != 900 || n.Drop != 0 {
		t.Errorf("%+v", n)
	}
	for text, want := range map[string]int64{"5": 500, "0.01": 1, "12.5": 1250, "50": 5000, "1.234": 0, "x": 0, "": 0, "-1": -100} {
		d := newDraft(client.Auction, at)
		d.field("rate").Value = text
		if got := d.basisPoints("rate"); got != want {
			t.Errorf("%q: %d basis points", text, got)
		}
	}
	d := newDraft(client.Reservation, at)
	d.blame([]client.Field{{Pointer: "#/closes_at", Detail: "too late"}, {Pointer: "#/stock", Detail: "too few"}, {Pointer: "#/what", Detail: "odd"}})
	if d.field("length").Wrong != "too late" || d.field("stock").Wrong != "too few" || d.Entries[0].Wrong != "odd" {
		t.Errorf("%+v", d.Entries)
	}
}

// TestCurve: a curve ends where its sale does, marks the present, and is no longer than
// a page can bear.
func TestCurve(t *testing.T) {
	at := time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)
	var steps []client.Step
	for i := range int64(3600) {
		steps = append(steps, client.Step{At: at.Add(time.Duration(i) * time.Second), Price: 3600 - i})
	}
	c := newCurve(steps, at.Add(time.Hour), at.Add(30*time.Minute))
	if !c.HasNow || c.NowX != curveWidth/2 || c.First != 3600 || c.Last != 1 || len(c.Prices) != 3600 || len(c.Past)+len(c.Future) > 12_000 {
		t.Errorf("%+v", c)
	}
	for _, now := range []time.Time{at.Add(-time.Second), at.Add(time.Hour)} {
		if newCurve(steps, at.Add(time.Hour), now).HasNow {
			t.Errorf("at %s it has a present", now)
		}
	}
	if newCurve(nil, at, at) != nil {
		t.Error("nothing has a curve")
	}
}

// TestNumber: amounts are read at a glance.
func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "−1,234,567", 9007199254740991: "9,007,199,254,740,991"} {
		if got := number(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestEdit: whichever way a price falls, a form says only what goes with it.
func TestEdit(t *testing.T) {
	for policy, want := range map[client.Policy][2]bool{client.Constant: {true, false}, client.Percentage: {false, true}} {
		d := newDraft(client.Auction, time.Now())
		d.field("policy").Value = string(policy)
		if e := d.edit(); *e.Policy != policy || (e.Drop != nil) != want[0] || (e.Rate != nil) != want[1] {
			t.Errorf("%s: %+v", policy, e)
		}
	}
}
