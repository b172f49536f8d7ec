package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestSameKeyAtOnce: one key sent twenty times at the same moment is one request.
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	buyer, token := h.account(accounts.Buyer, 50_000)
	var wg sync.WaitGroup
	replies := make([]reply, 20)
	for i := range replies {
		wg.Go(func() {
			var err error
			if replies[i], err = h.send("POST", bids(s.ID), token, goodBid, "Idempotency-Key: together"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := 0
	for _, r := range replies {
		if r.status != http.StatusAccepted || r.text("receipt") != replies[0].text("receipt") {
			t.Errorf("%d %s", r.status, r.raw)
		}
		if r.header.Get("Idempotency-Replayed") == "" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d of them are said to be the first", first)
	}
	if all := h.queued(); len(all) != 1 {
		t.Errorf("%d requests were queued", len(all))
	}
	h.work()
	if r := h.settled(token, replies[0].text("receipt")); r.text("status") != "confirmed" {
		t.Errorf("settled: %s", r.raw)
	}
	if points := h.points(buyer); points != 49_000 {
		t.Errorf("the buyer has %d points", points)
	}
}

// TestStringsStayApart: fasthttp reuses the buffers behind keys and traces. Many
// different ones at once, and each answer and each entry has its own.
func TestStringsStayApart(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	buyer, token := h.account(accounts.Buyer, 0)
	const callers, each = 16, 40
	traces := make([]map[string]string, callers) // by receipt
	var wg sync.WaitGroup
	for caller := range callers {
		traces[caller] = map[string]string{}
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%02d-%02d-", caller, i)
				key := "k" + name + strings.Repeat(string(rune('a'+caller)), (caller*7+i*13)%200)
				trace := name + strings.Repeat(string(rune('A'+caller)), (caller*5+i*3)%58)
				want := sale.KeyedReceiptID(s.Partition, buyer, s.ID, sale.Bid, key).String()
				r, err := h.send("POST", bids(s.ID), token, goodBid, "Idempotency-Key: "+key, "X-Request-ID: "+trace)
				if err != nil {
					t.Error(err)
					return
				}
				if r.status != http.StatusAccepted || r.text("receipt") != want || r.header.Get("Location") != receiptsPath+want || r.header.Get("X-Request-Id") != trace {
					t.Errorf("key %s, trace %s: %d %v %s", key, trace, r.status, r.header, r.raw)
				}
				traces[caller][want] = trace
			}
		})
	}
	wg.Wait()
	all := h.queued()
	if len(all) != callers*each {
		t.Fatalf("%d requests were queued", len(all))
	}
	for _, e := range all {
		found := false
		for _, of := range traces {
			found = found || of[e.Receipt.String()] == e.Trace
		}
		if !found {
			t.Errorf("entry %s carries the trace %q of another", e.ID, e.Trace)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, token := h.account(accounts.Buyer, 0)
	for given, taken := range map[string]bool{
		"abc-123": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "a b": false, "": false, "ü": false,
	} {
		r := h.ask("GET", "/v1/sales/1", token, "", "X-Request-ID: "+given)
		if got := r.header.Get("X-Request-Id"); (got == given) != taken || got == "" {
			t.Errorf("%q was answered as %q", given, got)
		}
	}
}
