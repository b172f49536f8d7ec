package sessions

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
)

func TestTokensAreUnlike(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		made := newToken()
		text := made.encode()
		if back, ok := parseToken(text); !ok || back != made {
			t.Fatalf("%q does not come back", text)
		}
		if seen[text[:20]] || seen[text[30:]] || seen[made.name()] {
			t.Fatal("two tokens share a part")
		}
		seen[text[:20]], seen[text[30:]], seen[made.name()] = true, true, true
		if strings.Contains(text, made.name()) {
			t.Fatal("the name is a part of the token")
		}
	}
}

// FuzzParseToken: a token is read in the one way that it is written, and what is
// no token has no session.
func FuzzParseToken(f *testing.F) {
	good := newToken().encode()
	for _, seed := range []string{good, good + "=", good[1:], good + "A", " " + good, "", "?", strings.Repeat("_", 64), strings.Repeat("A", 63) + "B", "\r" + good, good + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, ok := parseToken(text)
		if ok && parsed.encode() != text {
			t.Errorf("%q is read as %q", text, parsed.encode())
		}
		if ok != (Name(text) != "") {
			t.Errorf("%q: token %t, name %q", text, ok, Name(text))
		}
	})
}

// cut is a network that can lose the answer to what was sent: done, but nobody
// knows.
type cut struct{ armed atomic.Bool }

func (c *cut) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		return &cutConn{Conn: conn, cut: c}, err
	}
}

func (c *cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

type cutConn struct {
	net.Conn
	cut  *cut
	lost atomic.Bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if strings.Contains(strings.ToLower(string(b)), "evalsha") && c.cut.armed.CompareAndSwap(true, false) {
		c.lost.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lost.Load() {
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestLostAnswer: the driver sends again what was done already. That is no replay.
func TestLostAnswer(t *testing.T) {
	line := &cut{}
	f := on(t, embeddedtest.Redis(t), line)
	refresh := f.start(alice) // the scripts are known from here on
	refresh = f.rotate(refresh, alice)
	for range 3 {
		line.armed.Store(true)
		former := refresh
		refresh = f.rotate(refresh, alice)
		if line.armed.Load() {
			t.Fatal("no answer was lost")
		}
		if refresh == former {
			t.Fatal("it is the same token")
		}
	}
	f.rotate(refresh, alice)
	line.armed.Store(true)
	f.start(alice)
	if n := f.raw.ZCard(f.ctx, f.sessionsKey(alice.Account)).Val(); n != 2 {
		t.Errorf("%d sessions", n)
	}
}
