package httpapi

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"sluice/internal/sale"
)

// A long poll that has to wait would keep a goroutine with a deep stack and the buffers of
// its connection: 25 KB each. It is parked instead, and costs its request and little more:
//
//	request ──nothing new──▶ parked ──news, time is up, the API stops──▶ the same request again
//
// What is answered then is what any request is answered, by the same way.
//
// That costs as much as another request. So whoever is about to be decided waits where he
// is for a moment, before he is parked (soon).

// taken is what is under a hijacked connection, for whoever keeps it.
func taken(hijacked net.Conn) net.Conn {
	if under, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		hijacked = under.UnsafeConn()
	}
	if l, ok := hijacked.(interface{ keep() net.Conn }); ok {
		return l.keep()
	}
	return hijacked
}

// parked is a long poll that waits; then, as a connection, one that first brings the
// request that waited.
type parked struct {
	conn  // nil in it until it has been taken from the server
	api   *API
	until time.Time   // when it is answered at the latest
	again bool        // the request has been read again
	rest  []byte      // what is to be read first: the request, and what the client sent behind it
	stop  func()      // hearing of the receipt
	timer *time.Timer // of until

	mu     sync.Mutex
	woken  bool
	bell   chan struct{} // of who waits where he is
	heard  *sale.Receipt // what became of it
	queued bool          // that is what it was when it was parked
}

// errParked says that a request is answered later, by another call of its handler.
var errParked = errors.New("parked")

// spot is a place for a long poll, nil when there is none. A request that was parked
// already waits for what is left of its time.
func (a *API) spot(c *fiber.Ctx, id uuid.UUID, wait time.Duration) *parked {
	if has, again := c.Context().UserValue(waited{}).(parkedBefore); again {
		before := has.p
		before.mu.Lock()
		p := &parked{api: a, until: before.until, heard: before.heard, queued: before.queued}
		before.mu.Unlock()
		return p
	}
	p := &parked{api: a, until: time.Now().Add(wait)}
	if len(c.BodyRaw()) > 0 || !c.Request().Header.IsHTTP11() { // it could not be written down as it came
		return nil
	}
	if !p.listen(id) {
		return nil
	}
	return p
}

// listen has the receipt heard of, if one more may wait.
func (p *parked) listen(id uuid.UUID) bool {
	if p.api.waiters.enter(longPoll) {
		p.stop = p.api.news.Receipt(id, p.wake, func(r sale.Receipt) {
			p.mu.Lock()
			p.heard = &r
			p.mu.Unlock()
			p.wake()
		})
	}
	return p.stop != nil
}

// waited is the name under which a request has the one that was parked.
type waited struct{}

// parkedBefore hides that it can be closed, as fasthttp does with what a request has.
type parkedBefore struct{ p *parked }

// standing answers how the receipt stands: as it was heard, if that is enough.
func (p *parked) standing(ctx context.Context, account int64, id uuid.UUID) (sale.Standing, error) {
	if p.queued {
		p.mu.Lock()
		heard := p.heard // who waits where he is may hear more meanwhile
		p.mu.Unlock()
		if standing, known := decided(sale.Queued, heard); known && standing.Buyer == account {
			return standing, nil
		}
	}
	return p.api.receipts.Get(ctx, account, id)
}

// resumes says whether a request is one that was parked, and notes that.
func resumes(request *fasthttp.RequestCtx) bool {
	p, is := request.Conn().(*parked)
	if !is || p.again {
		return false
	}
	p.again = true
	request.SetUserValue(waited{}, parkedBefore{p})
	return true
}

// waits says whether there is any use in waiting: the receipt, as the client knows it, is
// queued, or has the state that he knows.
func (p *parked) waits(s sale.Standing, known tags) bool {
	switch {
	case !time.Now().Before(p.until), p.api.waiters.closing(), s.Status.Final():
		return false
	case len(known) == 0:
		return s.Status == sale.Queued
	}
	return known.knows(tagOf(s))
}

// leave gives the place back.
func (p *parked) leave() {
	if p.stop != nil {
		p.stop()
		p.api.waiters.leave(longPoll)
	}
}

// Of those who wait where they are, there are so many at most, and each for so long.
const (
	soonMost = 256
	soonTime = 100 * time.Millisecond
)

// soon waits for news where the request is, if it is likely to come within moments, and
// says whether it came.
func (p *parked) soon(s sale.Standing) bool {
	w := p.api.waiters
	if s.Status != sale.Queued || s.ETA() >= w.brief {
		return false
	}
	if w.soon.Add(1) > soonMost {
		w.soon.Add(-1)
		return false
	}
	defer w.soon.Add(-1)
	bell := make(chan struct{}, 1)
	p.mu.Lock()
	woken := p.woken
	p.bell = bell
	p.mu.Unlock()
	if !woken {
		late := time.NewTimer(min(w.brief, time.Until(p.until)))
		defer late.Stop()
		select {
		case <-bell:
		case <-late.C:
		case <-w.close:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	woken = p.woken
	p.bell, p.woken = nil, false
	return woken
}

// park takes the connection of c from the server until p is woken.
func (p *parked) park(c *fiber.Ctx) error {
	p.rest = append([]byte(nil), c.Request().Header.Header()...)
	p.timer = time.AfterFunc(time.Until(p.until), p.wake)
	p.api.waiters.park(p)
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) {
		// What has been read already of the next request must not be lost with the buffer.
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		var more [1024]byte
		for {
			n, err := conn.Read(more[:])
			p.rest = append(p.rest, more[:n]...)
			if err != nil {
				break
			}
		}
		_ = conn.SetReadDeadline(time.Time{})
		p.mu.Lock()
		p.Conn = taken(conn)
		woken := p.woken
		p.mu.Unlock()
		if woken {
			go p.resume()
		}
	})
	return errParked
}

// wake has the request answered. It does not block.
func (p *parked) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.woken:
	case p.Conn != nil:
		go p.resume()
	case p.bell != nil:
		p.bell <- struct{}{}
	}
	p.woken = true
}

// resume serves the connection, first of all the request that has waited.
func (p *parked) resume() {
	p.timer.Stop()
	p.leave()
	defer p.api.waiters.unpark(p)
	_ = p.api.app.Server().ServeConn(p) // the client's connection broke, or was closed in order
}

// Read reads the request that has waited, then what comes.
func (p *parked) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		p.rest = nil
	}
	return n, nil
}
