package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
)

const auditsPath = operationsPath + "/audits"

// TestAudits: an admin has everything audited, or one sale; what is broken is told with 200.
func TestAudits(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	admin, buyer := h.person(accounts.Admin), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour)
	h.settled(buyer.Access, h.bid(s, buyer.Access, 2, 1000).text("receipt"))
	verdict := func(body, want string) reply {
		t.Helper()
		var r reply
		h.until("the audit says "+want, func() bool {
			r = h.ask("POST", auditsPath, admin.Access, body)
			if r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.raw)
			}
			return r.text("verdict") != "busy"
		})
		if r.text("verdict") != want {
			t.Errorf("%s: %s, want %s", body, r.raw, want)
		}
		return r
	}
	one := fmt.Sprintf(`{"sale":%d}`, s.ID)
	if r := verdict(`{}`, "ok"); r.text("partitions") != fmt.Sprint(partitions) {
		t.Errorf("of everything: %s", r.raw)
	}
	if r := verdict(one, "ok"); r.text("partitions") != "1" {
		t.Errorf("of one: %s", r.raw)
	}
	h.ask("POST", auditsPath, admin.Access, `{"sale":999999}`).wantProblem(t, 404, "unknown_sale")

	query[int64](h, `update wallets set balance = balance + 1 where id = $1 returning id`, buyer.Account)
	verdict(`{}`, "broken")
	verdict(one, "ok") // it is not the sale's fault
}

// locked keeps every audit waiting until it is undone.
func (h *house) locked() (undo func()) {
	h.t.Helper()
	conn := embeddedtest.Blocker(h.t, h.postgres)
	undo = sync.OnceFunc(func() { conn.Close(context.Background()) }) // which ends its transaction
	h.t.Cleanup(undo)
	for _, statement := range []string{`begin`, `lock table wallets in access exclusive mode`} {
		if _, err := conn.Exec(h.t.Context(), statement); err != nil {
			h.t.Fatal(err)
		}
	}
	return undo
}

// TestAuditTakesTooLong: it is ended, and that is no fault of ours.
func TestAuditTakesTooLong(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.AuditTimeout = 100 * time.Millisecond })
	admin := h.person(accounts.Admin)
	undo := h.locked()
	h.ask("POST", auditsPath, admin.Access, `{}`).wantProblem(t, 409, "audit_too_long")
	undo()
}

// TestOneAuditAtATime: the second is refused while the first waits, and not afterwards.
func TestOneAuditAtATime(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.person(accounts.Admin)
	undo := h.locked()
	var first sync.WaitGroup
	defer first.Wait()
	defer undo()
	// Postgres gives up what waits for a lock for two seconds, so on a machine that
	// stands still the first one may be gone before the second comes: then another goes first.
	h.until("the second is refused", func() bool {
		first.Go(func() { _, _ = h.send("POST", auditsPath, admin.Access, `{}`) })
		h.until("an audit waits", func() bool {
			return query[bool](h, `select exists (select from pg_locks where not granted and relation = 'wallets'::regclass)`)
		})
		r := h.ask("POST", auditsPath, admin.Access, `{}`)
		if r.text("code") == "audit_under_way" {
			r.wantProblem(t, 409, "audit_under_way")
			return true
		}
		return false
	})
	undo()
	h.until("it is free again", func() bool { return h.ask("POST", auditsPath, admin.Access, `{}`).status == http.StatusOK })
}

// TestAuditEndsWithTheAPI: a shutdown waits for no audit, and who asked for it is told to
// ask another process.
func TestAuditEndsWithTheAPI(t *testing.T) {
	t.Parallel()
	down, _ := bare(t, nil, nil)
	if down.auditing.Err() != nil {
		t.Error("no audit can run")
	}
	if err := down.Shutdown(t.Context()); err != nil || down.auditing.Err() == nil {
		t.Errorf("audits go on after a shutdown: %v", err)
	}
	h := open(t)
	h.api.noAudits()
	h.ask("POST", auditsPath, h.person(accounts.Admin).Access, `{}`).wantProblem(t, 503, "unavailable")
}
