package httpapi

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// queuedBehind is a queued receipt with so many before it, of a thousand that are decided
// in a second.
func queuedBehind(ahead int64) sale.Standing {
	return sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: ahead, Drain: 1000}
}

// TestSoon: who is about to be decided waits where he is, until there is news; nobody else
// does, and not too many at once.
func TestSoon(t *testing.T) {
	room := newWaitRoom(1000, prometheus.NewRegistry())
	next := func() *parked { return &parked{api: &API{waiters: room}, until: time.Now().Add(time.Hour)} }

	p := next()
	go func() {
		for rung := false; !rung; time.Sleep(time.Millisecond) {
			p.mu.Lock()
			rung = p.bell != nil
			p.mu.Unlock()
		}
		p.wake()
	}()
	if !p.soon(queuedBehind(50)) {
		t.Error("the news was not heard")
	}
	if p.woken || p.bell != nil {
		t.Error("the news is still there when it has been heard")
	}

	early := next()
	early.wake()
	if !early.soon(queuedBehind(50)) {
		t.Error("news that came before was not heard")
	}
	if next().soon(queuedBehind(50)) {
		t.Error("news was heard that did not come")
	}
	for name, standing := range map[string]sale.Standing{
		"decided much later": queuedBehind(5000), "waiting in a line": {Receipt: sale.Receipt{Status: sale.Waiting}},
	} {
		p := next()
		p.wake()
		if p.soon(standing) {
			t.Errorf("somebody waits where he is who is %s", name)
		}
	}

	room.soon.Store(soonMost)
	full := next()
	full.wake()
	if full.soon(queuedBehind(50)) || room.soon.Load() != soonMost {
		t.Errorf("one more waits where he is beside %d", soonMost)
	}
	room.soon.Store(0)

	over := next()
	over.until = time.Now()
	if over.soon(queuedBehind(50)) {
		t.Error("news was heard after the time was up")
	}
	room.send()
	if next().soon(queuedBehind(50)) {
		t.Error("news was heard while everybody was sent away")
	}
	if n := room.soon.Load(); n != 0 {
		t.Errorf("%d places were not given back", n)
	}
}

// TestDecidedSoon: who waits where he is is told what came of it, one after the other on
// the same connection; and who waits for longer than that is parked, and told as well.
func TestDecidedSoon(t *testing.T) {
	t.Parallel()
	h := open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	soon := h.second(l)
	_, token := h.account(accounts.Buyer, 100_000)
	s := h.sale(-time.Minute, time.Hour, func(s *sale.Sale) { s.Stock, s.Limit = 100, 100 })
	c := soon.parkedClient()
	tell := func() {
		t.Helper()
		if status, applied, body, closes := c.hears(); status != http.StatusOK || applied != "wait=20" || !strings.Contains(body, `"status":"confirmed"`) || closes {
			t.Errorf("answered %d, %q, closes %t, %s", status, applied, closes, body)
		}
	}
	h.work()
	for range 20 {
		c.send(longPollOf(h.bid(s, token, 1, 1000).header.Get("Location"), token, 20))
		tell()
	}
	h.rest()
	c.send(longPollOf(h.bid(s, token, 1, 1000).header.Get("Location"), token, 20))
	time.Sleep(2 * soonTime)
	h.work()
	tell()
	soon.parks(0)
	if n := soon.api.waiters.soon.Load(); n != 0 {
		t.Errorf("%d places were not given back", n)
	}
}
