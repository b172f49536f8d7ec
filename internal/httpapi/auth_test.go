package httpapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
)

// from is h as seen from another address of this machine: throttles go by it.
func (h *house) from(ip string) *house {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	moved := *h
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}}
	moved.client = &http.Client{Timeout: 20 * time.Second, Transport: transport}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &moved
}

func credentials(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

func newcomer(email, password, role string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q,"role":%q}`, email, password, role)
}

// wantSession checks the whole form of a session.
func (r reply) wantSession(t *testing.T, status int, role string) {
	t.Helper()
	if r.status != status || r.text("role") != role || r.text("account") == "" || r.text("access_token") == "" || r.text("refresh_token") == "" || len(r.body) != 6 {
		t.Fatalf("no session: %d %s", r.status, r.raw)
	}
	for name, life := range map[string]time.Duration{"access_expires_at": 15 * time.Minute, "refresh_expires_at": 7 * 24 * time.Hour} {
		at, rule := moment(r.text(name))
		if left := time.Until(at.Time()); rule != "" || left > life || left < life-time.Minute {
			t.Errorf("%s is %q", name, r.text(name))
		}
	}
}

// TestSession is a session's life: up, in, renewed, stolen, out.
func TestSession(t *testing.T) {
	t.Parallel()
	h := open(t)
	up := h.ask("POST", "/v1/auth/signup", "", newcomer("Ann@Example.org", "correct horse", "seller"))
	up.wantSession(t, 201, "seller")
	me := h.ask("GET", "/v1/me", up.text("access_token"), "")
	if me.status != 200 || me.text("account") != up.text("account") || me.text("role") != "seller" || me.text("email") != "Ann@Example.org" {
		t.Errorf("me: %s", me.raw)
	}
	if at, rule := moment(me.text("created_at")); rule != "" || time.Since(at.Time()).Abs() > time.Minute {
		t.Errorf("created_at %q", me.text("created_at"))
	}

	in := h.ask("POST", "/v1/auth/signin", "", credentials(" aNN@example.ORG", "correct horse"))
	in.wantSession(t, 200, "seller")
	if in.text("account") != up.text("account") || in.text("refresh_token") == up.text("refresh_token") {
		t.Errorf("in: %s", in.raw)
	}

	refresh := func(token string) reply {
		return h.ask("POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, token))
	}
	second := refresh(in.text("refresh_token"))
	second.wantSession(t, 200, "seller")
	third := refresh(second.text("refresh_token"))
	third.wantSession(t, 200, "seller")
	// A token that was used comes again: somebody else has it, and it ends for both.
	used := refresh(second.text("refresh_token"))
	used.wantProblem(t, 401, "session_ended")
	refresh(third.text("refresh_token")).wantProblem(t, 401, "session_ended")
	unknown := refresh("x.y")
	unknown.wantProblem(t, 401, "session_ended")
	for _, name := range []string{"title", "detail", "type"} {
		if used.text(name) != unknown.text(name) {
			t.Errorf("a used token is told %q, an unknown one %q", used.text(name), unknown.text(name))
		}
	}
	if challenge := used.header.Get("Www-Authenticate"); challenge != `Bearer realm="sluice"` {
		t.Errorf("WWW-Authenticate: %s", challenge)
	}
	// The first session is another family and goes on, until it is signed out.
	renewed := refresh(up.text("refresh_token"))
	renewed.wantSession(t, 200, "seller")
	for range 2 {
		out := h.ask("POST", "/v1/auth/signout", "", fmt.Sprintf(`{"refresh_token":%q}`, renewed.text("refresh_token")))
		if out.status != 204 || out.raw != "" || out.header.Get("Content-Type") != "" {
			t.Errorf("signed out: %d %v %q", out.status, out.header, out.raw)
		}
	}
	refresh(renewed.text("refresh_token")).wantProblem(t, 401, "session_ended")
}

// TestSignUpTogether: ten sign-ups at once with one e-mail make one account.
func TestSignUpTogether(t *testing.T) {
	t.Parallel()
	h := open(t)
	var wg sync.WaitGroup
	replies := make([]reply, 10)
	for i := range replies {
		email := "together@example.org"
		if i%2 == 1 {
			email = "TOGETHER@example.org"
		}
		wg.Go(func() {
			var err error
			if replies[i], err = h.send("POST", "/v1/auth/signup", "", newcomer(email, "correct horse", "buyer")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, r := range replies {
		if r.status == 201 {
			made++
			continue
		}
		r.wantProblem(t, 409, "email_taken")
	}
	if n := query[int](h, `select count(*) from accounts where lower(email) = 'together@example.org'`); made != 1 || n != 1 {
		t.Errorf("%d sign-ups made %d accounts", made, n)
	}
}

// TestGuessing: wrong, unknown and deleted are one answer, and too many of them
// are held back, by e-mail and by address.
func TestGuessing(t *testing.T) {
	t.Parallel()
	h := open(t)
	p, gone := h.person(accounts.Buyer), h.person(accounts.Buyer)
	if r := h.ask("DELETE", "/v1/me", gone.Access, fmt.Sprintf(`{"current_password":%q}`, gone.password)); r.status != 204 {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	guess := func(h *house, email, password string) reply {
		return h.ask("POST", "/v1/auth/signin", "", credentials(email, password))
	}
	want := guess(h, p.email, "wrong guess")
	for _, c := range [][2]string{{"nobody@example.org", "wrong guess"}, {gone.email, gone.password}, {"no e-mail", "x"}, {"", ""}, {p.email + "\t", " " + p.password}, {"a b@c", "ü"}, {p.email, strings.Repeat("x", 50_000)}} {
		r := guess(h, c[0], c[1])
		if r.wantProblem(t, 401, "bad_credentials"); r.text("title") != want.text("title") || r.text("detail") != want.text("detail") {
			t.Errorf("%.20q: %s", c, r.raw)
		}
	}
	guess(h, p.email, p.password).wantSession(t, 200, "buyer")

	victim := h.person(accounts.Buyer)
	for i := range 10 {
		guess(h.from(fmt.Sprintf("127.0.1.%d", i+1)), victim.email, "wrong").wantProblem(t, 401, "bad_credentials")
	}
	// The eleventh is not judged, wherever it comes from and whatever it says.
	held := guess(h.from("127.0.2.1"), strings.ToUpper(victim.email), victim.password)
	held.wantProblem(t, 429, "throttled")
	wait, _ := strconv.Atoi(held.header.Get("Retry-After"))
	ms, _ := strconv.Atoi(held.text("retry_after_ms"))
	if wait < 60 || wait > 900 || ms > wait*1000 || ms <= (wait-1)*1000 {
		t.Errorf("Retry-After %d s, %d ms", wait, ms)
	}
	guess(h, p.email, p.password).wantSession(t, 200, "buyer")

	// Twenty sign-ups come from one address, not one more, and from elsewhere they do.
	crowd, n := h.from("127.0.3.1"), 0
	for range 20 {
		n++
		crowd.ask("POST", "/v1/auth/signup", "", newcomer(fmt.Sprintf("crowd-%d@example.org", n), "correct horse", "buyer")).wantSession(t, 201, "buyer")
	}
	late := newcomer("crowd-late@example.org", "correct horse", "buyer")
	crowd.ask("POST", "/v1/auth/signup", "", late, "X-Forwarded-For: 127.0.4.2", "X-Real-Ip: 127.0.4.2", "Forwarded: for=127.0.4.2").wantProblem(t, 429, "throttled")
	h.from("127.0.4.1").ask("POST", "/v1/auth/signup", "", late).wantSession(t, 201, "buyer")
}

// TestChangeMe: a new password needs the old one and ends the other sessions.
func TestChangeMe(t *testing.T) {
	t.Parallel()
	h := open(t)
	p, other := h.person(accounts.Buyer), h.person(accounts.Buyer)
	elsewhere := h.ask("POST", "/v1/auth/signin", "", credentials(p.email, p.password))
	patch := func(body string) reply { return h.ask("PATCH", "/v1/me", p.Access, body) }

	wrong := patch(`{"current_password":"wrong","password":"another horse"}`)
	if wrong.wantProblem(t, 403, "bad_credentials"); wrong.header.Get("Www-Authenticate") != "" {
		t.Errorf("%v", wrong.header)
	}
	h.ask("DELETE", "/v1/me", p.Access, `{"current_password":"wrong"}`).wantProblem(t, 403, "bad_credentials")
	nothing := patch(fmt.Sprintf(`{"current_password":%q}`, p.password))
	if nothing.wantProblem(t, 422, "invalid_fields"); !strings.Contains(nothing.raw, `"pointer":"#"`) {
		t.Errorf("%s", nothing.raw)
	}
	patch(fmt.Sprintf(`{"current_password":%q,"email":%q}`, p.password, strings.ToUpper(other.email))).wantProblem(t, 409, "email_taken")
	for _, email := range []string{"moved@example.org", "MOVED@example.org"} { // its own, in other letters, is not taken
		if r := patch(fmt.Sprintf(`{"current_password":%q,"email":%q}`, p.password, email)); r.status != 200 || r.text("email") != email {
			t.Fatalf("%d %s", r.status, r.raw)
		}
	}
	if r := patch(fmt.Sprintf(`{"current_password":%q,"password":"another horse"}`, p.password)); r.status != 200 || r.text("account") != fmt.Sprint(p.Account) {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	h.ask("POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, elsewhere.text("refresh_token"))).wantProblem(t, 401, "session_ended")
	h.ask("POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, p.Refresh)).wantSession(t, 200, "buyer")
	h.ask("POST", "/v1/auth/signin", "", credentials("moved@example.org", p.password)).wantProblem(t, 401, "bad_credentials")
	h.ask("POST", "/v1/auth/signin", "", credentials("moved@example.org", "another horse")).wantSession(t, 200, "buyer")
}

// TestDeleteMe: who is gone is gone, also for the token that he still has.
func TestDeleteMe(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 5000)
	h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	leave := func(p person) reply {
		return h.ask("DELETE", "/v1/me", p.Access, fmt.Sprintf(`{"current_password":%q}`, p.password))
	}
	leave(seller).wantProblem(t, 409, "account_busy")
	if r := h.ask("GET", "/v1/me", seller.Access, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.raw)
	}
	if r := leave(buyer); r.status != 204 || r.raw != "" {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	for _, c := range [][3]string{{"GET", "/v1/me"}, {"POST", "/v1/me/wallet/topups", `{"amount":1}`}} {
		h.ask(c[0], c[1], buyer.Access, c[2]).wantProblem(t, 401, "token_invalid")
	}
	h.ask("POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, buyer.Refresh)).wantProblem(t, 401, "session_ended")
	again := h.ask("POST", "/v1/auth/signup", "", newcomer(buyer.email, "correct horse", "buyer"))
	if again.wantSession(t, 201, "buyer"); again.text("account") == fmt.Sprint(buyer.Account) {
		t.Error("it is the old account")
	}

	// A seller who is gone sells nothing more.
	gone := h.person(accounts.Seller)
	if r := leave(gone); r.status != 204 {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	h.ask("POST", "/v1/sales", gone.Access, offer(time.Hour)).wantProblem(t, 401, "token_invalid")
}
