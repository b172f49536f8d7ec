package httpapi

import (
	"net/http"
	"testing"
	"time"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// TestRedisLosesEverything: what was queued is lost in so many words and may be asked
// again under its key; what was decided stays as it was told.
func TestRedisLosesEverything(t *testing.T) {
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account("buyer", 10_000)
	h.work()
	won := h.bid(s, token, 1, 1000, "Idempotency-Key: won")
	unseen := h.bid(s, token, 3, 1000) // settled before what follows, and not asked for until Redis is empty: this API does not know it
	over := h.bid(s, token, 3, 1000, "Idempotency-Key: over")
	for _, r := range []reply{won, over} {
		if got := r.text("durability"); got != "memory" {
			t.Errorf("accepted as %q by a Redis that writes nothing down", got)
		}
		if got := h.settled(token, r.text("receipt")).text("durability"); got != "settled" {
			t.Errorf("settled as %q", got)
		}
	}
	h.rest()
	const again = "Idempotency-Key: again"
	queued, unkeyed := h.bid(s, token, 1, 1000, again), h.bid(s, token, 1, 1000)

	raw := embeddedtest.Client(t, url)
	if err := raw.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	shows := func(r reply, status int, word string) {
		t.Helper()
		got := h.ask("GET", receiptsPath+r.text("receipt"), token, "")
		if got.status != status || got.text("status") != word && got.text("code") != word {
			t.Errorf("receipt %s: %d %s, not %d %s", r.text("receipt"), got.status, got.raw, status, word)
		}
		if status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	shows(won, 200, "confirmed") // Postgres is asked
	shows(unseen, 503, "loading")
	shows(queued, 503, "loading")
	if r := h.ask("POST", bids(s.ID), token, `{"quantity":1,"price":1000}`, again); r.status != 503 || r.text("code") != "loading" {
		t.Errorf("asked again while it is loading: %d %s", r.status, r.raw)
	}

	h.work()
	h.rest()
	shows(won, 200, "confirmed")
	shows(over, 200, "rejected")
	shows(unseen, 200, "rejected")
	shows(queued, 410, "lost")
	shows(unkeyed, 410, "lost")
	for _, r := range []reply{won, over} {
		key, body := "Idempotency-Key: won", `{"quantity":1,"price":1000}`
		if r.text("receipt") == over.text("receipt") {
			key, body = "Idempotency-Key: over", `{"quantity":3,"price":1000}`
		}
		got := h.ask("POST", bids(s.ID), token, body, key)
		if got.status != http.StatusAccepted || got.text("receipt") != r.text("receipt") || got.text("status") == "queued" {
			t.Errorf("repeated: %d %s", got.status, got.raw)
		}
		if r := h.ask("POST", bids(s.ID), token, `{"quantity":2,"price":1000}`, key); r.status != 422 || r.text("code") != string(sale.RefusedMismatch) {
			t.Errorf("another request under the key: %d %s", r.status, r.raw)
		}
	}
	if got := h.bid(s, token, 1, 1000, again); got.text("receipt") != queued.text("receipt") || got.text("status") != "queued" {
		t.Errorf("a new attempt: %s", got.raw)
	}
	h.work()
	if got := h.settled(token, queued.text("receipt")); got.text("status") != "confirmed" {
		t.Errorf("the new attempt became %s", got.raw)
	}
	shows(unkeyed, 410, "lost")
}
