package httpapi

import (
	"testing"

	"sluice/internal/accounts"
)

// TestNoSandbox: where the sandbox is closed nobody gets points out of nothing, also not
// by repeating what once gave him some.
func TestNoSandbox(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.NoTopUps = true })
	buyer := h.person(accounts.Buyer)
	if _, err := h.accounts.TopUp(t.Context(), buyer.Account, 7, "once"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"once", "another"} {
		h.ask("POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":7}`, "Idempotency-Key: "+key).wantProblem(t, 403, "topups_off")
	}
	h.ask("POST", "/v1/me/wallet/topups", "", `{"amount":7}`).wantProblem(t, 401, "unauthorized")
	if got := h.points(buyer.Account); got != 7 {
		t.Errorf("he has %d points", got)
	}
}
