package httpapi

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// stall asks an admin's question about a sale: suspend, or resume.
func (h *house) stall(admin person, s sale.Sale, verb, body string) reply {
	h.t.Helper()
	return h.ask("POST", fmt.Sprintf("%s/sales/%d/%s", operationsPath, s.ID, verb), admin.Access, body)
}

// isShown waits until a sale is shown in a state.
func (h *house) isShown(s sale.Sale, state string) {
	h.t.Helper()
	h.until("it is "+state, func() bool { return h.ask("GET", fmt.Sprintf("/v1/sales/%d", s.ID), "", "").text("state") == state })
}

// TestSuspendedSale: it says so, refuses whoever is at the door, and lets go on what there
// is; an admin stops it and has it sell on, as often as he likes.
func TestSuspendedSale(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, buyer, admin := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000), h.person(accounts.Admin)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), func(s *sale.Sale) {
		s.Kind, s.Price, s.Hold, s.LineMost = sale.Reservation, sale.Price{Policy: sale.Fixed, Start: 100}, time.Minute, 10
	})
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	reserve := func() reply {
		return h.ask("POST", path+"/reservations", buyer.Access, `{"quantity":1}`)
	}
	held := h.settled(buyer.Access, reserve().text("receipt"))
	held.wantFields(t, map[string]string{"status": "held"})

	for range 2 { // what is stopped is stopped
		r := h.stall(admin, s, "suspend", "")
		if r.status != 202 || r.header.Get("Location") != path {
			t.Errorf("suspend: %d %s, at %q", r.status, r.raw, r.header.Get("Location"))
		}
		h.isShown(s, "suspended")
	}
	reserve().wantProblem(t, 409, "suspended")
	list := h.ask("GET", "/v1/sales?state=suspended", "", "")
	if found, ok := list.body["sales"].([]any); !ok || len(found) != 1 {
		t.Errorf("listed as suspended: %s", list.raw)
	}
	grow := h.ask("PATCH", path, seller.Access, `{"grow_by":1}`)
	h.settled(seller.Access, grow.text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "suspended"})
	paid := h.ask("POST", receiptsPath+held.text("receipt")+"/pay", buyer.Access, "")
	h.settled(buyer.Access, paid.text("receipt")).wantFields(t, map[string]string{"status": "confirmed"})

	h.until("it is resumed", func() bool { // which an audit allows once both stores hold still
		r := h.stall(admin, s, "resume", `{}`)
		if r.status != 202 {
			r.wantProblem(t, 409, "audit_unsure")
		}
		return r.status == 202
	})
	h.isShown(s, "open")
	h.settled(buyer.Access, reserve().text("receipt")).wantFields(t, map[string]string{"status": "held"})
}

// TestResume: what is broken does not sell on but by force, and who stops what has not
// opened, or is not there, is told.
func TestResume(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	admin := h.person(accounts.Admin)
	s := h.sale(-time.Second, time.Hour)
	h.stall(admin, s, "suspend", "")
	h.isShown(s, "suspended")
	query[int64](h, `update sales set sold = sold + 1, free = free - 1 where id = $1 returning id`, s.ID)
	h.stall(admin, s, "resume", `{"force":false}`).wantProblem(t, 409, "sale_broken")
	h.isShown(s, "suspended")
	if r := h.stall(admin, s, "resume", `{"force":true}`); r.status != 202 {
		t.Errorf("by force: %d %s", r.status, r.raw)
	}
	h.isShown(s, "open")

	later := h.sale(time.Hour, 2*time.Hour)
	for _, verb := range []string{"suspend", "resume"} {
		r := h.stall(admin, later, verb, `{}`)
		r.wantProblem(t, 409, "not_open")
		if r.header.Get("Retry-After") == "" {
			t.Errorf("%s: nobody knows when it opens", verb)
		}
		h.stall(admin, sale.Sale{ID: 999999}, verb, `{}`).wantProblem(t, 404, "unknown_sale")
	}
}

// TestResumeUnsure: a sale whose stores cannot be compared, since Redis has forgotten it,
// does not sell on.
func TestResumeUnsure(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.person(accounts.Admin)
	s := h.sale(-time.Second, time.Hour)
	if err := embeddedtest.Client(t, h.redis).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	h.stall(admin, s, "resume", `{}`).wantProblem(t, 409, "audit_unsure")
}
