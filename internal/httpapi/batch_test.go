package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// many is the path that asks for these receipts at once.
func many(ids ...string) string { return "/v1/receipts?id=" + strings.Join(ids, "&id=") }

// TestBatch: many receipts are answered in the order in which they were asked for, as
// each would be alone, beside why the others are not; and when to ask again, as long as
// there is anything to come.
func TestBatch(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	_, ann := h.account(accounts.Buyer, 50_000)
	_, bob := h.account(accounts.Buyer, 50_000)
	h.work()
	done := h.bid(s, ann, 1, 1000).text("receipt")
	h.settled(ann, done)
	h.rest()
	queued, another := h.bid(s, ann, 1, 1000).text("receipt"), h.bid(s, bob, 1, 1000).text("receipt")
	nowhere, elsewhere := sale.NewReceiptID(s.Partition).String(), uuid.NewString()

	r := h.ask("GET", many(queued, another, done, nowhere, elsewhere), ann, "")
	if r.status != http.StatusOK || r.header.Get("Retry-After") != "1" {
		t.Fatalf("%d %v %s", r.status, r.header, r.raw)
	}
	var got []string
	for _, list := range []string{"receipts", "problems"} {
		for _, one := range r.body[list].([]any) {
			fields := one.(map[string]any)
			got = append(got, fmt.Sprint(fields["receipt"], " ", fields["status"], " ", fields["code"]))
			if list == "receipts" && fields["poll_after_ms"] != nil || list == "problems" && fields["title"] == "" {
				t.Errorf("%v", fields)
			}
		}
	}
	want := []string{queued + " queued <nil>", done + " confirmed <nil>", another + " 403 not_yours", nowhere + " 404 unknown_receipt", elsewhere + " 404 unknown_receipt"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if ms := r.text("poll_after_ms"); ms == "" || ms == "0" {
		t.Errorf("when to ask again: %q", ms)
	}
	if r := h.ask("GET", many(done), ann, ""); strings.Contains(r.raw, "poll_after_ms") || r.header.Get("Retry-After") != "" || !strings.Contains(r.raw, `"problems":[]`) {
		t.Errorf("all are decided: %s", r.raw)
	}
	if r := h.ask("GET", many(nowhere), ann, ""); !strings.Contains(r.raw, `"receipts":[]`) || strings.Contains(r.raw, "poll_after_ms") {
		t.Errorf("none is there: %s", r.raw)
	}

	hundred := make([]string, receiptsMost+1)
	for i := range hundred {
		hundred[i] = sale.NewReceiptID(i % partitions).String()
	}
	if r := h.ask("GET", many(hundred[1:]...), ann, ""); r.status != http.StatusOK || len(r.body["problems"].([]any)) != receiptsMost {
		t.Errorf("a hundred: %d %s", r.status, r.raw)
	}
	for name, path := range map[string]string{
		"none": "/v1/receipts", "nothing": "/v1/receipts?", "one too many": many(hundred...), "one twice": many(done, queued, done), "no receipt": many("7"),
		"none in it": many(""), "in capitals": many(strings.ToUpper(done)), "something else": many(done) + "&limit=5", "no query": "/v1/receipts?%zz",
	} {
		if r := h.ask("GET", path, ann, ""); r.status != http.StatusBadRequest || r.text("code") != "bad_query" {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}
	h.ask("GET", many(done), "", "").wantProblem(t, 401, "unauthorized")
}
