package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stage is an API of the test's own. It is reached through pipes within a bubble
// (synctest): HTTP is real and its faults too, but the clock moves only while
// everybody waits, at once. A goroutine left behind fails the test.
type stage struct {
	*testing.T
	api http.HandlerFunc

	mu   sync.Mutex
	seen []seen
}

// seen is a request as it arrived.
type seen struct {
	what  string // method, path and query
	key   string
	token string
	at    time.Duration // since the curtain rose

	header http.Header
}

// perform plays scene with a client of an API.
func perform(t *testing.T, api http.HandlerFunc, scene func(*stage, *Client), options ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, api: api}
		c, err := New("http://stage", append(options, withDoor(s.open()))...)
		if err != nil {
			t.Fatal(err)
		}
		scene(s, c)
		c.Close()
	})
}

// withDoor sends all requests through dial, on connections of the client's own.
func withDoor(dial func(context.Context, string, string) (net.Conn, error)) Option {
	return func(c *Client) { c.http.Transport.(*http.Transport).DialContext = dial }
}

type door struct {
	knocks chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.knocks:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error   { d.once.Do(func() { close(d.closed) }); return nil }
func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: "stage"} }

// open serves s and answers how to get to it.
func (s *stage) open() func(context.Context, string, string) (net.Conn, error) {
	d := &door{knocks: make(chan net.Conn), closed: make(chan struct{})}
	began := time.Now()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, seen{
			what: r.Method + " " + r.URL.RequestURI(), key: r.Header.Get("Idempotency-Key"),
			token: r.Header.Get("Authorization"), at: time.Since(began), header: r.Header,
		})
		s.mu.Unlock()
		s.api(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(d) }()
	s.Cleanup(func() {
		server.Close()
		<-ended
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case d.knocks <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// all are the requests seen so far.
func (s *stage) all() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// requests are those seen so far, of this method, path and query.
func (s *stage) requests(what string) []seen {
	return slices.DeleteFunc(s.all(), func(r seen) bool { return r.what != what })
}

// say answers with JSON.
func say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers a problem as the API does.
func refuse(w http.ResponseWriter, status int, code Code, more ...string) {
	body := map[string]any{"status": status, "code": code, "title": "No", "request_id": "r-1"}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = json.RawMessage(more[i+1])
	}
	say(w, status, body)
}

// lose breaks the connection: the request has arrived, its answer never will.
func lose(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// problem answers the problem in err; there must be one.
func (s *stage) problem(err error) *Problem {
	s.Helper()
	var p *Problem
	if !errors.As(err, &p) {
		s.Fatalf("no problem: %v", err)
	}
	return p
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// took checks that something took between least and most.
func (s *stage) took(d, least, most time.Duration) {
	s.Helper()
	if d < least || d > most {
		s.Errorf("it took %s, not %s to %s", d, least, most)
	}
}

// pair is tokens that the n'th sign-in or renewal answers.
func pair(n int) Tokens {
	return Tokens{
		Account: 7, Role: Buyer, Access: fmt.Sprintf("access-%d", n), Refresh: fmt.Sprintf("refresh-%d", n),
		AccessExpires: time.Unix(1_900_000_000, 0).UTC(), RefreshExpires: time.Unix(1_900_600_000, 0).UTC(),
	}
}
