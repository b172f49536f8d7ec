package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// A socket that is closed with bytes in it that nobody has read resets the connection,
// and whoever was still sending them loses the answer that says why. So an answer to
// what was not read to its end is followed by reading on for a while.
const (
	lingerBytes = 1 << 20
	lingerTime  = 2 * time.Second
)

// lender is a listener whose connections are lent to the server: they can linger, and be
// taken from it. It knows those on which nobody has said anything yet. fasthttp takes
// them for busy, for five seconds, and a stop would wait for them: a client has them in
// stock, or has thought better of it.
type lender struct {
	net.Listener

	mu     sync.Mutex
	silent map[*conn]struct{}
}

func lend(l net.Listener) *lender { return &lender{Listener: l, silent: map[*conn]struct{}{}} }

func (l *lender) Accept() (net.Conn, error) {
	under, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: under, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent[c] = struct{}{}
	return c, nil
}

func (l *lender) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.silent, c)
}

// silentMost is how long somebody may say nothing when the API stops.
const silentMost = 500 * time.Millisecond

// hurry gives everybody who has said nothing yet a moment to do so, until ctx ends.
func (l *lender) hurry(ctx context.Context) {
	until := time.Now().Add(silentMost)
	for ctx.Err() == nil {
		l.mu.Lock()
		for c := range l.silent {
			_ = c.SetReadDeadline(until) // the server has its own, which it may set once more
		}
		left := len(l.silent)
		l.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-time.After(silentMost / 10):
		case <-ctx.Done():
		}
	}
}

// conn is a connection that the server has for as long as nobody takes it. It lingers when
// it is closed if it was told to.
type conn struct {
	net.Conn
	of                   *lender // nil when it was not accepted but taken
	lingers, kept, spoke atomic.Bool
}

// Read notes that the client has begun to say something.
func (c *conn) Read(b []byte) (n int, err error) {
	n, err = c.Conn.Read(b)
	if n > 0 && c.of != nil && !c.spoke.Load() && c.spoke.CompareAndSwap(false, true) {
		c.of.forget(c)
	}
	return n, err
}

// Close is called by whoever serves the connection, and at a shutdown by somebody else
// too, who does not wait. It closes nothing that was taken: the server closes what a
// handler has hijacked when that returns, after it has put the buffers back.
func (c *conn) Close() error {
	if c.kept.Load() {
		return nil
	}
	if c.of != nil {
		c.of.forget(c)
	}
	tcp, is := c.Conn.(*net.TCPConn)
	if is && c.lingers.CompareAndSwap(true, false) && tcp.CloseWrite() == nil && tcp.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes) // until he has read the answer and closes, or it takes too long
	}
	return c.Conn.Close()
}

// keep takes the connection from the server.
func (c *conn) keep() net.Conn {
	c.kept.Store(true)
	return c.Conn
}

// linger has it linger when it is closed.
func (c *conn) linger() { c.lingers.Store(true) }

// broken answers a request that was not read to its end. Who took too long to send it
// is not waited for any longer.
func (a *API) broken(c *fiber.Ctx, err error) error {
	if !errors.Is(err, fiber.ErrRequestTimeout) {
		linger(c.Context())
	}
	return a.unread(c, err)
}

// linger has the connection of a request linger when it is closed.
func linger(request *fasthttp.RequestCtx) {
	if c, ok := request.Conn().(interface{ linger() }); ok {
		c.linger()
	}
}
