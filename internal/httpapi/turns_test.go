package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// limited holds buyers and partitions to other limits from now on: nothing is asked yet.
func (h *house) limited(limits partition.Limits) {
	h.api.admission = admission.New(h.store, h.ledger, limits, prometheus.NewRegistry())
}

// TestTurns: who is refused as overloaded is promised a turn; at its moment, and not before,
// it lets him in before newcomers, and nobody else.
func TestTurns(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Redis(t)
	h := openOn(t, url)
	redis := embeddedtest.Client(t, url)
	const most = 20
	h.limited(partition.Limits{Backlog: most})
	s := h.sale(-time.Second, time.Hour)
	part := fmt.Sprintf("{s%d}", s.Partition)
	settled := func(by int64) { // so many places of the queue are free, as if their requests were settled
		t.Helper()
		if err := redis.HIncrBy(t.Context(), part, "applied_seq", by).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := redis.HSet(t.Context(), part, "drain", 1).Err(); err != nil { // a turn each second
		t.Fatal(err)
	}
	_, crowd := h.account(accounts.Buyer, 5000)
	patient, token := h.account(accounts.Buyer, 5000)
	_, newcomer := h.account(accounts.Buyer, 5000)
	for range most {
		h.bid(s, crowd, 1, 1000)
	}
	r := h.ask("POST", bids(s.ID), token, goodBid)
	r.wantProblem(t, 503, "overloaded")
	turn := r.header.Get(turnHeader)
	due := h.accounts.ReadTurn(patient, turn)
	after, err := strconv.Atoi(r.header.Get("Retry-After"))
	if in := time.Until(due.Time()); err != nil || turn == "" || due == 0 || in > time.Duration(after)*time.Second || in < time.Duration(after-2)*time.Second {
		t.Fatalf("turn %q in %s, Retry-After: %d, %v", turn, in, after, err)
	}
	refused := func(what, token, turn string) {
		t.Helper()
		r := h.ask("POST", bids(s.ID), token, goodBid, turnHeader+": "+turn)
		r.wantProblem(t, 503, "overloaded")
		if got := r.header.Get(turnHeader); got == "" || got == turn {
			t.Errorf("%s: the turn %q is answered by %q", what, turn, got)
		}
	}
	now := sale.At(time.Now())
	settled(1) // a place is free, and others were here before
	h.ask("POST", bids(s.ID), newcomer, goodBid).wantProblem(t, 503, "overloaded")
	refused("early", token, turn)
	refused("another's", newcomer, h.accounts.Turn(patient, now-1))
	refused("forged", token, turn[:10]+"A"+turn[11:])
	refused("too late", token, h.accounts.Turn(patient, now-sale.Instant(2*time.Minute/time.Millisecond)))
	refused("none at all", token, "x")

	h.until("its moment has come", func() bool { return !time.Now().Before(due.Time()) })
	settled(-1)
	r = h.ask("POST", bids(s.ID), token, goodBid, turnHeader+": "+turn)
	r.wantProblem(t, 503, "overloaded") // it is full again; he keeps it
	if h.accounts.ReadTurn(patient, r.header.Get(turnHeader)) != due {
		t.Errorf("his turn at %d became %q", due, r.header.Get(turnHeader))
	}
	settled(1)
	refused("while others have turns", newcomer, "x")
	if r := h.ask("POST", bids(s.ID), token, goodBid, turnHeader+": "+turn); r.status != http.StatusAccepted {
		t.Errorf("at his turn: %d %s", r.status, r.raw)
	}
	settled(-1)
}

// TestRateLimitHeaders: each answer says how many more requests there may be at once, and
// the refusal that there is none, and when there is.
func TestRateLimitHeaders(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.limited(partition.Limits{Rate: 0.25, Burst: 4, Backlog: 1000})
	s := h.sale(-time.Second, time.Hour)
	_, token := h.account(accounts.Buyer, 50_000)
	_, other := h.account(accounts.Buyer, 50_000)
	want := func(r reply, left int) {
		t.Helper()
		if got, want := r.header.Get(rateLimitHeader), fmt.Sprintf(`"buyer";r=%d;t=4`, left); got != want {
			t.Errorf("%d: %s, not %s", r.status, got, want)
		}
		if got := r.header.Get(ratePolicyHeader); got != `"buyer";q=4;w=16` {
			t.Errorf("%d: the policy is %s", r.status, got)
		}
	}
	for left := 3; left >= 0; left-- {
		want(h.bid(s, token, 1, 1000, fmt.Sprintf("%s: %d", keyHeader, left)), left)
	}
	r := h.ask("POST", bids(s.ID), token, goodBid)
	r.wantProblem(t, 429, "rate_limited")
	if want(r, 0); r.header.Get("Retry-After") != "4" && r.header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After: %s", r.header.Get("Retry-After"))
	}
	// The same again is no other request, and takes nothing; nor does another buyer's.
	if r := h.bid(s, token, 1, 1000, keyHeader+": 3"); r.header.Get(rateLimitHeader) != "" || r.header.Get(replayedHeader) != "true" {
		t.Errorf("repeated: %v", r.header)
	}
	want(h.bid(s, other, 1, 1000), 3)

	h.limited(partition.Limits{Backlog: 1000})
	if r := h.bid(s, token, 1, 1000); r.header.Get(rateLimitHeader) != "" || r.header.Get(ratePolicyHeader) != "" {
		t.Errorf("without a limit: %v", r.header)
	}
}
