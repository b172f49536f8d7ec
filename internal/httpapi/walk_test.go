package httpapi

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestWalk is the main road: look, bid, poll to confirmed, and after the close
// the points back.
func TestWalk(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	s := h.sale(-time.Second, 3*time.Second)
	buyer, token := h.account(accounts.Buyer, 5000)

	look := h.ask("GET", "/v1/sales/"+strconv.FormatInt(s.ID, 10), token, "")
	if look.status != http.StatusOK || look.text("state") != "open" || look.text("price") != "1000" {
		t.Fatalf("sale: %d %s", look.status, look.raw)
	}

	bid := h.bid(s, token, 2, 1000, "Idempotency-Key: one")
	id := bid.text("receipt")
	if bid.header.Get("Location") != "/v1/receipts/"+id || bid.text("verb") != "bid" || bid.text("quantity") != "2" {
		t.Fatalf("accepted: %v %s", bid.header, bid.raw)
	}
	if bid.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first request is said to be a repeated one")
	}
	if bid.text("status") == "queued" {
		if after, _ := strconv.Atoi(bid.header.Get("Retry-After")); after < 1 {
			t.Errorf("Retry-After %q", bid.header.Get("Retry-After"))
		}
		if ms, _ := strconv.Atoi(bid.text("poll_after_ms")); ms < 50 || ms > 5000 || bid.text("position") == "" {
			t.Errorf("poll_after_ms and position in %s", bid.raw)
		}
	}

	got := h.settled(token, id)
	for field, want := range map[string]string{"receipt": id, "status": "confirmed", "unit_price": "1000", "quantity": "2",
		"sale": strconv.FormatInt(s.ID, 10), "reason": "", "position": "", "poll_after_ms": "", "target": ""} {
		if got.text(field) != want {
			t.Errorf("%s is %q, want %q: %s", field, got.text(field), want, got.raw)
		}
	}
	if at, err := time.Parse(time.RFC3339, got.text("requested_at")); err != nil || time.Since(at).Abs() > time.Minute || at.Location() != time.UTC {
		t.Errorf("requested_at %q: %v", got.text("requested_at"), err)
	}
	if h.points(buyer) != 3000 {
		t.Errorf("the buyer has %d points", h.points(buyer))
	}

	// The same key gets the same receipt, as it stands now, and nothing to wait for.
	again := h.bid(s, token, 2, 1000, "Idempotency-Key: one")
	if again.text("receipt") != id || again.text("status") != "confirmed" || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Retry-After") != "" {
		t.Errorf("again: %v %s", again.header, again.raw)
	}

	// Before the close there is no refund: queued, and rejected in its turn.
	early := h.ask("POST", "/v1/receipts/"+id+"/refund", token, "")
	if early.status != http.StatusAccepted {
		t.Fatalf("early refund: %d %s", early.status, early.raw)
	}
	if r := h.settled(token, early.text("receipt")); r.text("status") != "rejected" || r.text("reason") != "not_refundable" {
		t.Errorf("early refund: %s", r.raw)
	}

	h.until("the sale is closed", func() bool {
		return h.ask("GET", "/v1/sales/"+strconv.FormatInt(s.ID, 10), token, "").text("state") == "closed"
	})
	refund := h.ask("POST", "/v1/receipts/"+id+"/refund", token, "{}", "Idempotency-Key: back")
	own := refund.text("receipt")
	if refund.status != http.StatusAccepted || own == id || refund.header.Get("Location") != "/v1/receipts/"+own ||
		refund.text("verb") != "refund" || refund.text("target") != id {
		t.Fatalf("refund: %d %v %s", refund.status, refund.header, refund.raw)
	}
	if r := h.settled(token, own); r.text("status") != "confirmed" || r.text("target") != id {
		t.Errorf("refund: %s", r.raw)
	}
	if r := h.ask("GET", "/v1/receipts/"+id, token, ""); r.text("status") != "refunded" {
		t.Errorf("the refunded bid: %s", r.raw)
	}
	if h.points(buyer) != 5000 {
		t.Errorf("the buyer has %d points back", h.points(buyer))
	}
	repeated := h.ask("POST", "/v1/receipts/"+id+"/refund", token, "", "Idempotency-Key: back")
	if repeated.status != http.StatusAccepted || repeated.text("receipt") != own || repeated.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("refund again: %d %s", repeated.status, repeated.raw)
	}
	// After the close a keyed bid still finds its receipt.
	late := h.bid(s, token, 2, 1000, "Idempotency-Key: one")
	if late.text("receipt") != id || late.text("status") != "refunded" {
		t.Errorf("late: %s", late.raw)
	}
}

func TestQueued(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 5000)
	first, second := h.bid(s, token, 1, 1000), h.bid(s, token, 1, 1000)
	if first.text("position") != "1" || second.text("position") != "2" {
		t.Errorf("positions in %s and %s", first.raw, second.raw)
	}
	if first.text("receipt") == second.text("receipt") {
		t.Error("two requests without a key have one receipt")
	}
	got := h.ask("GET", second.header.Get("Location"), token, "")
	if got.text("status") != "queued" || got.text("position") != "2" || got.text("poll_after_ms") == "" || got.text("unit_price") != "" {
		t.Errorf("poll: %s", got.raw)
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	s := h.sale(-time.Second, time.Hour)
	_, poor := h.account(accounts.Buyer, 10)
	_, rich := h.account(accounts.Buyer, 10_000)
	for _, c := range []struct{ token, body, reason string }{
		{poor, `{"quantity":1,"price":1000}`, "short_points"},
		{rich, `{"quantity":4,"price":1000}`, "over_limit"},
		{rich, `{"quantity":1,"price":999}`, "price_changed"},
		{rich, `{"quantity":1,"price":1001,"exact":true}`, "price_changed"},
	} {
		r := h.ask("POST", bids(s.ID), c.token, c.body)
		if r.status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", c.body, r.status, r.raw)
		}
		if r := h.settled(c.token, r.text("receipt")); r.text("status") != "rejected" || r.text("reason") != c.reason || r.text("poll_after_ms") != "" {
			t.Errorf("%s: %s, want %s", c.body, r.raw, c.reason)
		}
	}
}

func TestSaleShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	hidden := func(s *sale.Sale) { s.ShowStock = false }
	_, token := h.account(accounts.Buyer, 0)
	show := func(s sale.Sale, token string) reply {
		t.Helper()
		r := h.ask("GET", "/v1/sales/"+strconv.FormatInt(s.ID, 10), token, "")
		if r.status != http.StatusOK {
			t.Fatalf("sale: %d %s", r.status, r.raw)
		}
		return r
	}
	want := func(r reply, fields map[string]string) {
		t.Helper()
		for field, want := range fields {
			if got := r.text(field); got != want {
				t.Errorf("%s is %q, want %q: %s", field, got, want, r.raw)
			}
		}
	}
	scheduled := h.sale(time.Hour, 2*time.Hour)
	want(show(scheduled, token), map[string]string{"state": "scheduled", "price": "1000", "next_price": "999", "policy": "constant",
		"start_price": "1000", "drop": "1", "rate": "", "period": "1800", "limit": "3", "kind": "auction", "title": "Lamp",
		"next_drop_at": scheduled.OpensAt.Add(30 * time.Minute).Time().Format(time.RFC3339Nano),
		"opens_at":     scheduled.OpensAt.Time().Format(time.RFC3339Nano), "closes_at": scheduled.ClosesAt.Time().Format(time.RFC3339Nano),
		"refund_until": scheduled.PayoutAt().Time().Format(time.RFC3339Nano), "stock": "map[free:10 held:0 sold:0 total:10]"})
	want(show(h.sale(-45*time.Minute, time.Hour), token), map[string]string{"state": "open", "price": "999", "next_price": "998"})
	closed := h.sale(-time.Hour, -time.Second, func(s *sale.Sale) { s.RefundWindow = 0 })
	want(show(closed, token), map[string]string{"state": "closed", "next_price": "", "next_drop_at": "", "refund_until": ""})

	secret := h.sale(-time.Second, time.Hour, hidden)
	want(show(secret, token), map[string]string{"stock": ""})
	want(show(secret, h.token(accounts.Who{Account: secret.Seller, Role: accounts.Seller})), map[string]string{"stock": "map[free:10 held:0 sold:0 total:10]"})
	_, other := h.account(accounts.Seller, 0)
	want(show(secret, other), map[string]string{"stock": ""})
}

func TestNameOfReceiptHasOneSpelling(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 0)
	s := h.sale(-time.Second, time.Hour)
	id := h.bid(s, token, 1, 1000).text("receipt")
	for _, spelling := range []string{"urn:uuid:" + id, "{" + id + "}", uuid.MustParse(id).URN()} {
		h.ask("GET", receiptsPath+spelling, token, "").wantProblem(t, 404, "unknown_receipt")
	}
}
