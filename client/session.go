package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Role says what an account may do.
type Role string

// The roles. An admin cannot be signed up.
const (
	Buyer  Role = "buyer"
	Seller Role = "seller"
	Admin  Role = "admin"
)

// Tokens are a session. They are secrets: printing or logging them shows whose
// they are and no more, but their JSON is whole, to be kept.
type Tokens struct {
	Account        int64     `json:"account"`
	Role           Role      `json:"role"`
	Access         string    `json:"access_token"`
	AccessExpires  time.Time `json:"access_expires_at"`
	Refresh        string    `json:"refresh_token"`
	RefreshExpires time.Time `json:"refresh_expires_at"`
}

// Format writes t without its secrets, whatever the verb.
func (t Tokens) Format(w fmt.State, _ rune) {
	_, _ = io.WriteString(w, t.masked())
}

// LogValue is t without its secrets.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.masked()) }

func (t Tokens) masked() string { return fmt.Sprintf("tokens of %s %d", t.Role, t.Account) }

// session is who a client speaks for.
type session struct {
	saving sync.Mutex // held while the tokens change and are saved

	mu      sync.Mutex
	source  func(context.Context) (string, error) // if not nil, instead of all else
	tokens  Tokens                                // none: nobody
	ended   error                                 // set when they cannot be renewed any more
	renewal *renewal
}

// renewal is under way until done is closed; then it does not change any more.
type renewal struct {
	done   chan struct{}
	access string
	err    error
}

// unrenewed says that a call was not sent, or not again, since there is no valid
// token for it.
type unrenewed struct{ err error }

func (u *unrenewed) Error() string { return "renew the session: " + u.err.Error() }
func (u *unrenewed) Unwrap() error { return u.err }

// renewBy bounds a renewal, which does not end with the call that began it: the
// answer is the only copy of the next refresh token, and all calls need it.
const renewBy = time.Minute

// token answers an access token, if possible another than stale, which was
// refused. It is "" when nobody is signed in.
func (c *Client) token(ctx context.Context, stale string) (string, error) {
	s := c.session
	s.mu.Lock()
	switch {
	case s.source != nil:
		source := s.source
		s.mu.Unlock()
		return source(ctx)
	case s.ended != nil:
		defer s.mu.Unlock()
		return "", &unrenewed{s.ended}
	case s.tokens.Access != stale, s.tokens.Refresh == "":
		defer s.mu.Unlock()
		return s.tokens.Access, nil
	case s.renewal == nil:
		s.renewal = &renewal{done: make(chan struct{})}
		go c.renew(context.WithoutCancel(ctx), s.renewal, s.tokens.Refresh)
	}
	r := s.renewal
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-r.done:
	}
	if r.err != nil {
		return "", &unrenewed{r.err}
	}
	return r.access, nil
}

// renew exchanges a refresh token. An attempt whose answer is lost is repeated
// like any other: if the API had executed it, the session is lost either way.
func (c *Client) renew(ctx context.Context, r *renewal, refresh string) {
	ctx, cancel := context.WithTimeout(ctx, renewBy)
	defer cancel()
	defer close(r.done)
	var next Tokens
	r.err = c.do(ctx, &call{method: http.MethodPost, path: "/v1/auth/refresh", public: true, body: refreshBody{refresh}, into: &next})
	r.access = next.Access
	c.replace(refresh, next, r.err)
}

type refreshBody struct {
	Refresh string `json:"refresh_token"`
}

// replace ends a renewal. Who signed in or out meanwhile stays as he is.
func (c *Client) replace(refresh string, next Tokens, err error) {
	s := c.session
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	current := s.tokens.Refresh == refresh // stays so: who changes it holds saving
	s.mu.Unlock()
	if current && err == nil {
		c.save(next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewal = nil // not before the tokens are new: the old ones must not be sent again
	switch {
	case !current:
	case err == nil:
		s.tokens = next
	case CodeOf(err) == CodeSessionEnded:
		s.ended = err
	}
}

// begin makes t the session of c; none ends it.
func (c *Client) begin(t Tokens) {
	s := c.session
	s.saving.Lock()
	defer s.saving.Unlock()
	c.save(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.source, s.tokens, s.ended = nil, t, nil
}

func (c *Client) save(t Tokens) {
	if c.saver != nil {
		c.saver(t)
	}
}

// settle waits until no renewal is under way, or until ctx ends, and answers the
// refresh token then.
func (s *session) settle(ctx context.Context) (refresh string, err error) {
	for {
		s.mu.Lock()
		r, refresh := s.renewal, s.tokens.Refresh
		s.mu.Unlock()
		if r == nil {
			return refresh, nil
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
