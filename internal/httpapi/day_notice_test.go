package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
)

// TestNotices: what somebody is told, what he has read of it, and how he is told
// nothing.
func TestNotices(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	h.schedule()
	seller, ann, bob := h.person(accounts.Seller), h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	receipt := h.reserve(s, ann.Access, 1).text("receipt")
	held := h.becomes(ann.Access, receipt, "held")
	h.done("POST", receiptsPath+receipt+"/pay", ann.Access, "")
	h.done("POST", receiptsPath+receipt+"/cancel", ann.Access, "")
	if got := h.told(ann, ""); got != "held confirmed refunded" {
		t.Errorf("ann was told %s", got)
	}
	r := h.ask("GET", "/v1/me/notices?limit=1", ann.Access, "")
	if !strings.Contains(r.raw, fmt.Sprintf(`"word":"refunded","sale":%d,"receipt":"%s","at":"`, s.ID, receipt)) || !strings.Contains(r.raw, `"read":false`) || strings.Contains(r.raw, "pay_by") {
		t.Errorf("%s", r.raw)
	}
	ids := h.turn(ann.Access, "/v1/me/notices", "notices", "notice", 100, nil)
	if r := h.ask("GET", "/v1/me/notices", ann.Access, ""); !strings.Contains(r.raw, `"pay_by":"`+held.text("pay_by")) {
		t.Errorf("%s", r.raw)
	}
	read := func(p person, body, want string) {
		t.Helper()
		if r := h.ask("POST", "/v1/me/notices/read", p.Access, body); r.status != 200 || r.text("read") != want {
			t.Errorf("%s: %d %s", body, r.status, r.raw)
		}
	}
	one := fmt.Sprintf(`{"ids":[%s,%s]}`, ids[0], ids[0])
	read(bob, one, "0") // not his
	read(ann, one, "1")
	read(ann, one, "0")
	h.wantWalk(ann.Access, "/v1/me/notices?unread=true", "notices", "notice", ids[1:])
	h.wantWalk(ann.Access, "/v1/me/notices", "notices", "notice", ids)
	read(ann, `{"all":true}`, "2")
	h.wantWalk(ann.Access, "/v1/me/notices?unread=true", "notices", "notice", nil)
	for _, body := range []string{`{}`, `{"all":false}`, `{"all":true,"ids":[1]}`} {
		if r := h.ask("POST", "/v1/me/notices/read", ann.Access, body); r.status != 422 || !strings.Contains(r.raw, `"pointer":"#"`) {
			t.Errorf("%s: %d %s", body, r.status, r.raw)
		}
	}

	// Switched off, without a password; with an e-mail it takes one.
	h.ask("GET", "/v1/me", bob.Access, "").wantFields(t, map[string]string{"notices": "true"})
	h.ask("PATCH", "/v1/me", bob.Access, `{"notices":false}`).wantFields(t, map[string]string{"notices": "false", "email": bob.email})
	h.ask("PATCH", "/v1/me", bob.Access, `{"notices":true,"email":"b@example.org"}`).wantProblem(t, 422, "invalid_fields")
	h.ask("PATCH", "/v1/me", bob.Access, `{"notices":true,"email":"b@example.org","current_password":"wrong"}`).wantProblem(t, 403, "bad_credentials")
	h.becomes(bob.Access, h.reserve(s, bob.Access, 1).text("receipt"), "held")
	h.becomes(ann.Access, h.reserve(s, ann.Access, 1).text("receipt"), "held")
	if got := h.told(bob, ""); got != "" {
		t.Errorf("bob was told %s", got)
	}
	h.ask("PATCH", "/v1/me", bob.Access, fmt.Sprintf(`{"notices":true,"email":"b@example.org","current_password":%q}`, bob.password)).
		wantFields(t, map[string]string{"notices": "true", "email": "b@example.org"})

	// A sale that is watched tells of its opening, once, to who still watches it.
	soon := h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	watch := fmt.Sprintf("/v1/sales/%d/watch", soon.ID)
	for _, c := range []struct {
		p      person
		method string
	}{{ann, "PUT"}, {ann, "PUT"}, {bob, "PUT"}, {bob, "DELETE"}, {bob, "DELETE"}} {
		if r := h.ask(c.method, watch, c.p.Access, ""); r.status != 204 || r.raw != "" {
			t.Errorf("%s: %d %s", c.method, r.status, r.raw)
		}
	}
	h.ask("PUT", fmt.Sprintf("/v1/sales/%d/watch", s.ID), ann.Access, "").wantProblem(t, 409, "opened")
	h.shift(soon.ID, time.Hour+time.Second)
	h.until("ann is told", func() bool { return strings.HasSuffix(h.told(ann, ""), "opens") })
	if r := h.ask("GET", "/v1/me/notices?limit=1", ann.Access, ""); !strings.Contains(r.raw, fmt.Sprintf(`"word":"opens","sale":%d,"at":"`, soon.ID)) {
		t.Errorf("%s", r.raw)
	}
	if got := h.told(bob, ""); got != "" {
		t.Errorf("bob was told %s", got)
	}
}
