package httpapi

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestWhoMayAsk holds every route that fiber knows against this table. A route
// that is not in it fails: say first who may use it.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	everybody := []accounts.Role{accounts.Buyer, accounts.Seller, accounts.Admin}
	table := map[string][]accounts.Role{
		"GET /v1/sales/:id":            everybody,
		"HEAD /v1/sales/:id":           everybody,
		"POST /v1/sales/:id/bids":      {accounts.Buyer},
		"GET /v1/receipts/:id":         everybody,
		"HEAD /v1/receipts/:id":        everybody,
		"POST /v1/receipts/:id/refund": {accounts.Buyer},
	}
	h := open(t)
	routes := h.api.app.GetRoutes(true)
	if len(routes) != len(table) {
		t.Errorf("fiber knows %d routes, the table %d", len(routes), len(table))
	}
	for _, r := range routes {
		name := r.Method + " " + r.Path
		may, ok := table[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		// Things that do not exist: who gets as far as their 404 was let in.
		thing := "999999"
		if strings.Contains(r.Path, "receipts") {
			thing = sale.NewReceiptID(1).String()
		}
		path := strings.Replace(r.Path, ":id", thing, 1)
		status := func(token string) int { return h.ask(r.Method, path, token, goodOr(r.Path)).status }
		if got := status(""); got != 401 {
			t.Errorf("%s lets in nobody in particular: %d", name, got)
		}
		expired, err := h.accounts.Token(accounts.Who{Account: 1, Role: may[0]}, -time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{expired, "x." + uuid.NewString() + ".y"} {
			if got := status(bad); got != 401 {
				t.Errorf("%s takes a bad token: %d", name, got)
			}
		}
		for _, role := range everybody {
			want := 403
			for _, m := range may {
				if m == role {
					want = 404
				}
			}
			if got := status(h.token(accounts.Who{Account: 1, Role: role})); got != want {
				t.Errorf("%s by a %s: %d, want %d", name, role, got, want)
			}
		}
	}
}

// goodOr is a body that a route accepts.
func goodOr(pattern string) string {
	if strings.HasSuffix(pattern, "/bids") {
		return goodBid
	}
	return ""
}

// TestEveryCodeHasAnAnswer: whatever can be refused has a status and a title of
// its own, and no code stands for two things.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, refused := range []sale.Code{sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSoldOut,
		sale.RefusedMismatch, sale.RefusedRate, sale.RefusedOverload, sale.RefusedLoading} {
		if p := problemOf(&sale.Refusal{Code: refused}); p.code != code(refused) {
			t.Errorf("%s is answered as %s", refused, p.code)
		}
	}
	titles := map[string]code{}
	for code, answer := range answers {
		if answer.status < 400 || answer.status > 599 || answer.title == "" || titles[answer.title] != "" {
			t.Errorf("%s: %+v", code, answer)
		}
		titles[answer.title] = code
	}
	for _, word := range words {
		if problemOf(word.err).code != word.code || answers[word.code].status == 0 {
			t.Errorf("%v is answered as %s", word.err, problemOf(word.err).code)
		}
	}
	for status, code := range framework {
		if answers[code].status != status {
			t.Errorf("fiber's %d is answered with %d", status, answers[code].status)
		}
	}
	// A tick's refusal can reach nobody; if it does, it is our fault.
	if p := problemOf(&sale.Refusal{Code: sale.RefusedEarly}); p.code != internal {
		t.Errorf("early is answered as %s", p.code)
	}
}
