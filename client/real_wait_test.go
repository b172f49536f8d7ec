package client_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// ledger of requests: how many of each method and path were sent.
type counted struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen map[string]int
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.seen[r.Method+" "+r.URL.Path]++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

func (c *counted) CloseIdleConnections() { c.next.(*http.Transport).CloseIdleConnections() }

// since answers what was sent since it was called last.
func (c *counted) since() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := maps.Clone(c.seen)
	clear(c.seen)
	return seen
}

// counting is a client of the same account whose requests are counted.
func (h *house) counting(c *client.Client) (*client.Client, *counted) {
	h.Helper()
	count := &counted{next: &http.Transport{}, seen: map[string]int{}}
	other := c.With(client.WithHTTPClient(&http.Client{Transport: count}))
	h.Cleanup(other.Close)
	return other, count
}

// halted keeps everything from being settled until it is let go.
func (h *house) halted() (letGo func()) {
	h.Helper()
	conn := embeddedtest.Blocker(h, h.postgres)
	_, err := conn.Exec(h.Context(), "begin; lock table batches in access exclusive mode")
	h.must(err)
	letGo = sync.OnceFunc(func() { h.must(conn.Close(context.Background())) })
	h.Cleanup(letGo)
	return letGo
}

// soon is a time by which everything has happened that is told at once, and nothing that
// is found out after a held answer has run out.
func (h *house) soon() context.Context {
	ctx, cancel := context.WithTimeout(h.Context(), 15*time.Second)
	h.Cleanup(cancel)
	return ctx
}

// TestRealWaitIsHeld: a verdict costs a question or two, however long it takes, and is
// told at once; so is the end of a place in the line.
func TestRealWaitIsHeld(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	eve, _ := h.join("eve@example.com", client.Buyer)
	id := h.opened(seller.Account, func(s *sale.Sale) { s.Hold = time.Hour })
	ctx := h.soon()

	letGo := h.halted()
	adas, count := h.counting(ada)
	receipt, err := adas.Reserve(ctx, id, client.Reserve{Quantity: 1})
	h.must(err)
	if receipt.Status != client.Queued {
		t.Errorf("asked %+v", receipt)
	}
	time.AfterFunc(time.Second, letGo) // it is not about when: polls would be twenty by then
	held, err := adas.Wait(ctx, receipt)
	h.must(err)
	if n := count.since()["GET /v1/receipts/"+receipt.ID]; held.Status != client.Held || n > 2 {
		t.Errorf("%+v after %d questions", held, n)
	}

	asked, err := eve.Reserve(ctx, id, client.Reserve{Quantity: 1})
	waits := h.becomes(eve, client.Waiting, asked, err)
	eves, count := h.counting(eve)
	promoted := make(chan error, 1)
	go func() {
		r, err := eves.WaitUntil(ctx, waits, func(r client.Receipt) bool { return r.Status != client.Waiting })
		if err == nil && r.Status != client.Held {
			err = fmt.Errorf("got %+v", r)
		}
		promoted <- err
	}()
	_, err = ada.Cancel(ctx, held.ID)
	h.must(err)
	h.must(<-promoted)
	if n := count.since()["GET /v1/receipts/"+waits.ID]; n > 3 {
		t.Errorf("%d questions", n)
	}
}

// TestRealPolling: nobody has to be held.
func TestRealPolling(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	id := h.opened(seller.Account, func(s *sale.Sale) { s.Hold = time.Hour })
	letGo := h.halted()
	receipt, err := ada.Reserve(h.soon(), id, client.Reserve{Quantity: 1})
	h.must(err)
	adas, count := h.counting(ada)
	time.AfterFunc(time.Second, letGo)
	if held, err := adas.With(client.WithPolling()).Wait(h.soon(), receipt); err != nil || held.Status != client.Held {
		t.Errorf("%+v, %v", held, err)
	}
	if n := count.since()["GET /v1/receipts/"+receipt.ID]; n < 3 || n > 40 {
		t.Errorf("%d questions", n)
	}
}

// TestRealFollow: from the queue to the end, each state as it comes.
func TestRealFollow(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	ctx := h.soon()
	_, err := ada.TopUp(ctx, 5000)
	h.must(err)
	id := h.opened(seller.Account, func(s *sale.Sale) { s.Hold = time.Hour })
	letGo := h.halted()
	receipt, err := ada.Reserve(ctx, id, client.Reserve{Quantity: 1})
	h.must(err)
	var states []client.Status
	for r, err := range ada.Follow(ctx, receipt.ID) {
		h.must(err)
		states = append(states, r.Status)
		switch r.Status {
		case client.Queued:
			if r.Position < 1 || r.ID != receipt.ID {
				t.Errorf("queued %+v", r)
			}
			letGo()
		case client.Held:
			_, err = ada.Pay(ctx, receipt.ID)
		case client.Confirmed:
			_, err = ada.Cancel(ctx, receipt.ID)
		}
		h.must(err)
	}
	if states = slices.Compact(states); !slices.Equal(states, []client.Status{client.Queued, client.Held, client.Confirmed, client.Cancelled}) {
		t.Errorf("told %s", states)
	}
	for r, err := range ada.Follow(ctx, receipt.ID) { // what is final is told once, and that is all
		h.must(err)
		if r.Status != client.Cancelled {
			t.Errorf("told %+v", r)
		}
	}
	for _, err := range ada.Follow(ctx, "0197a0a2-6a39-7d33-9c1c-6f0b4ed8f0ab") {
		h.refused("nobody's receipt", err, client.CodeUnknownReceipt)
	}
	for _, err := range h.client().Follow(ctx, receipt.ID) {
		h.refused("nobody", err, client.CodeUnauthorized)
	}
}

// missed is how often the API has found out by looking that something had changed.
func (h *house) missed() (n float64) {
	h.Helper()
	families, err := h.inside.Registry.Gather()
	h.must(err)
	for _, f := range families {
		if f.GetName() == "sluice_news_missed_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	h.Fatal("the API does not count what it missed")
	return 0
}

// TestRealFollowMine: all that is mine, and no more, from a reset on.
func TestRealFollowMine(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	eve, _ := h.join("eve@example.com", client.Buyer)
	id := h.opened(seller.Account, func(s *sale.Sale) { s.Hold, s.Stock = time.Hour, 10 })
	ctx := h.soon()
	var mine string
	var states []client.Status
	<-h.log.flows // since when nobody is woken but for a reason
	before := h.missed()
	for e, err := range ada.FollowMine(ctx) {
		h.must(err)
		if e.Reset {
			if mine != "" {
				if h.missed() == before { // such as partitions that are opened only now
					t.Error("a reset for nothing")
				}
				continue
			}
			_, err := eve.Reserve(ctx, id, client.Reserve{Quantity: 1})
			h.must(err)
			receipt, err := ada.Reserve(ctx, id, client.Reserve{Quantity: 1})
			h.must(err)
			mine = receipt.ID
			continue
		}
		if e.Receipt.ID != mine && e.Receipt.Verb != client.VerbCancel {
			t.Errorf("told of %+v", e.Receipt)
		}
		if e.Receipt.ID == mine {
			states = append(states, e.Receipt.Status)
			if e.Receipt.Status == client.Held {
				_, err := ada.Cancel(ctx, mine)
				h.must(err)
			}
		}
		if e.Receipt.Status == client.Cancelled {
			break
		}
	}
	if states = slices.Compact(states); !slices.Equal(states, []client.Status{client.Held, client.Cancelled}) {
		t.Errorf("told %s", states)
	}
}

// TestRealFollowSale: anybody sees how a sale sells, and that it closes.
func TestRealFollowSale(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	closes := time.Now().Add(6 * time.Second)
	id := h.opened(seller.Account, func(s *sale.Sale) { s.Hold, s.Stock, s.ClosesAt = time.Hour, 2, sale.At(closes) })
	ctx := h.soon()
	var seen []string
	for s, err := range h.client().FollowSale(ctx, id) {
		h.must(err)
		seen = append(seen, fmt.Sprintf("%s %d", s.State, s.Stock.Held))
		if s.State == client.Open && s.Stock.Held == 0 {
			_, err := ada.Reserve(ctx, id, client.Reserve{Quantity: 1})
			h.must(err)
		}
	}
	if got := strings.Join(slices.Compact(seen), ", "); got != "open 0, open 1, closed 1" {
		t.Errorf("seen %s", got)
	}
	for _, err := range ada.FollowSale(ctx, id+1000) {
		h.refused("no sale", err, client.CodeUnknownSale)
	}
}

// TestRealWaitAll: a hundred and fifty verdicts cost a few questions.
func TestRealWaitAll(t *testing.T) {
	h := build(t)
	_, seller := h.join("bob@example.com", client.Seller)
	ada, _ := h.join("ada@example.com", client.Buyer)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := ada.TopUp(ctx, 1_000_000)
	h.must(err)
	id := h.opened(seller.Account, func(s *sale.Sale) {
		s.Kind, s.Hold, s.LineMost, s.Stock, s.Limit = sale.Auction, 0, 0, 200, 200
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Hour}
	})
	letGo := h.halted()
	patient := ada.With(client.WithAttempts(math.MaxInt)) // he asks more often than he may
	receipts := make([]client.Receipt, 150)
	var all sync.WaitGroup
	for worker := range 10 {
		all.Go(func() {
			for i := worker; i < len(receipts); i += 10 {
				var err error
				if receipts[i], err = patient.Bid(ctx, id, client.Bid{Quantity: 1, Price: 1000 - int64(i%2)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	stranger := client.Receipt{ID: "0197a0a2-6a39-7d33-9c1c-6f0b4ed8f0ab"}
	adas, count := h.counting(ada)
	time.AfterFunc(time.Second, letGo)
	polled, err := adas.WaitAll(ctx, append(receipts, stranger)...)
	h.must(err)
	for i, p := range polled[:150] {
		want := []client.Status{client.Confirmed, client.Rejected}[i%2]
		if p.Problem != nil || p.Receipt.ID != receipts[i].ID || p.Receipt.Status != want {
			t.Errorf("%d is %+v, %v", i, p.Receipt, p.Problem)
		}
	}
	if last := polled[150]; last.Problem == nil || last.Problem.Code != client.CodeUnknownReceipt || last.Problem.Status != http.StatusNotFound {
		t.Errorf("the stranger is %+v", last)
	}
	sent := count.since()
	if n := sent["GET /v1/receipts"]; n > 60 || len(sent) != 1 {
		t.Errorf("sent %v", sent)
	}
}
