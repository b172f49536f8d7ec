package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

var everyStatus = []sale.Status{sale.Queued, sale.Confirmed, sale.Held, sale.Waiting, sale.Rejected, sale.Expired, sale.Cancelled, sale.Refunded}

// standings are receipts as they may be shown.
var standings = rapid.Custom(func(t *rapid.T) sale.Standing {
	small := rapid.Int64Range(0, 3)
	return sale.Standing{Receipt: sale.Receipt{
		ID: uuid.UUID{byte(small.Draw(t, "id"))}, Verb: sale.Bid, Status: rapid.SampledFrom(everyStatus).Draw(t, "status"),
		Reason: sale.Reason(small.Draw(t, "reason")), Quantity: small.Draw(t, "quantity"), UnitPrice: small.Draw(t, "price"),
		Discount: small.Draw(t, "discount"), Coupon: uuid.UUID{15: byte(small.Draw(t, "coupon"))}, PayBy: sale.Instant(small.Draw(t, "pay by")),
		At: sale.Instant(1 + small.Draw(t, "at")),
	}, Ahead: small.Draw(t, "ahead"), Line: small.Draw(t, "line")}
})

// shown is what a client sees of a standing and a tag has to tell apart.
func shown(s sale.Standing) (state sale.Receipt, place int64) {
	switch s.Status {
	case sale.Queued:
		place = s.Ahead + 1
	case sale.Waiting:
		place = s.Line
	}
	return s.Receipt, place
}

// TestTagsTellApart: two standings have the same tag when they show the same, and never
// else; a tag is strong when the receipt is final; what a client has is found again.
func TestTagsTellApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := standings.Draw(t, "a"), standings.Draw(t, "b")
		if rapid.Bool().Draw(t, "alike") { // else they hardly ever are
			b.Receipt = a.Receipt
		}
		if rapid.Bool().Draw(t, "but for the status") {
			b.Receipt = a.Receipt
			b.Status = rapid.SampledFrom(everyStatus).Draw(t, "its status")
		}
		stateA, placeA := shown(a)
		stateB, placeB := shown(b)
		tagA, tagB := tagOf(a), tagOf(b)
		if (tagA.String() == tagB.String()) != (stateA == stateB && placeA == placeB) {
			t.Errorf("%+v is %s, %+v is %s", a, tagA, b, tagB)
		}
		known := tags{"other", tagA.opaque()}
		if known.has(tagB) != (stateA == stateB && placeA == placeB) || known.knows(tagB) != (stateA == stateB) {
			t.Errorf("who has %s has %s: %t, its state: %t", tagA, tagB, known.has(tagB), known.knows(tagB))
		}
		if strings.HasPrefix(tagA.String(), "W/") == a.Status.Final() {
			t.Errorf("%s is %s", a.Status, tagA)
		}
	})
}

// TestTags: every process answers the same tag, with how long it is good, and who has it
// already gets nothing; and it is another one at each step.
func TestTags(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	other := h.second(somewhere(t))
	_, ann := h.account(accounts.Buyer, 50_000)
	_, bob := h.account(accounts.Buyer, 50_000)
	seen := map[string]string{}
	check := func(token, receipt, status string) (r reply) {
		t.Helper()
		r = h.ask("GET", receiptsPath+receipt, token, "")
		etag, cache := r.header.Get("ETag"), r.header.Get("Cache-Control")
		if r.text("status") != status {
			t.Fatalf("%s, not %s", r.raw, status)
		}
		status = receipt + " " + status + " " + r.text("position")
		if before, ok := seen[etag]; ok && before != status || etag == "" {
			t.Errorf("%s has the tag %q of %s", status, etag, before)
		}
		seen[etag] = status
		final := r.text("status") == "rejected" || r.text("status") == "cancelled" || r.text("status") == "refunded" || r.text("status") == "expired"
		if strings.HasPrefix(etag, `W/"`) == final || final != (cache == "private, max-age=31536000, immutable") || !final && cache != "private, no-cache" {
			t.Errorf("%s: %s, %s", status, etag, cache)
		}
		if vary := r.header.Get("Vary"); !strings.Contains(vary, "Authorization") {
			t.Errorf("Vary: %s", vary)
		}
		if got := other.ask("GET", receiptsPath+receipt, token, ""); got.header.Get("ETag") != etag || final && got.raw != r.raw {
			t.Errorf("%s: another process answers %s %s", status, got.header.Get("ETag"), got.raw)
		}
		for _, match := range []string{etag, `"x", ` + etag, "W/" + strings.TrimPrefix(etag, "W/")} {
			got := other.ask("GET", receiptsPath+receipt, token, "", "If-None-Match: "+match)
			if got.status != http.StatusNotModified || got.raw != "" || got.header.Get("ETag") != etag || got.header.Get("Cache-Control") != cache {
				t.Errorf("%s, If-None-Match: %s: %d %q %v", status, match, got.status, got.raw, got.header)
			}
		}
		if got := h.ask("GET", receiptsPath+receipt, token, "", `If-None-Match: "x"`); got.status != http.StatusOK {
			t.Errorf("%s, another tag: %d", status, got.status)
		}
		return r
	}

	lamp := h.sale(-time.Hour, 5*time.Second, func(s *sale.Sale) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Hour}
	})
	one := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	brief := h.sale(-time.Second, time.Hour, chair, func(s *sale.Sale) { s.Hold = 2 * time.Second })
	bought := h.bid(lamp, ann, 1, 1000).text("receipt")
	greedy := h.bid(lamp, ann, 3, 1000).text("receipt")
	first, second := h.reserve(one, ann, 1).text("receipt"), h.reserve(one, bob, 1).text("receipt")
	lapsing := h.reserve(brief, bob, 1).text("receipt")
	check(ann, bought, "queued")
	check(bob, second, "queued")
	h.work()
	h.schedule()
	for _, receipt := range []string{bought, greedy, first} {
		h.settled(ann, receipt)
	}
	h.settled(bob, second)
	check(ann, bought, "confirmed")
	check(ann, greedy, "rejected")
	check(ann, first, "held")
	check(bob, second, "waiting")
	h.accepted("POST", receiptsPath+first+"/cancel", ann, "")
	h.becomes(bob, second, "held")
	check(ann, first, "cancelled")
	check(bob, second, "held")
	h.becomes(bob, lapsing, "expired")
	expired := check(bob, lapsing, "expired")
	h.until("its auction is over", func() bool {
		r := h.done("POST", receiptsPath+bought+"/refund", ann, "")
		return r.text("status") == "confirmed"
	})
	refunded := check(ann, bought, "refunded")

	// Redis forgets, Postgres answers: the same, to the byte, or the tag would lie.
	h.rest()
	if err := embeddedtest.Client(t, url).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for token, was := range map[string]reply{ann: refunded, bob: expired} {
		if r := h.ask("GET", receiptsPath+was.text("receipt"), token, ""); r.raw != was.raw || r.header.Get("ETag") != was.header.Get("ETag") {
			t.Errorf("from Redis %s %s, from Postgres %s %s", was.header.Get("ETag"), was.raw, r.header.Get("ETag"), r.raw)
		}
	}
}
