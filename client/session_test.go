package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = log.New(io.Discard, "", 0)

// porter keeps sessions: each refresh token is good once, as the API has it, and an
// access token until the next is given out.
type porter struct {
	mu      sync.Mutex
	given   int // pairs
	renewed int
	ended   bool
	delay   time.Duration
	before  func(http.ResponseWriter) bool // of an answer to a renewal; true: it has answered
}

func (p *porter) api(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/v1/auth/signin", "/v1/auth/signup":
		p.given++
		p.ended = false
		say(w, 200, pair(p.given))
	case "/v1/auth/refresh":
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || p.ended || body["refresh_token"] != pair(p.given).Refresh {
			p.ended = true
			refuse(w, 401, CodeSessionEnded)
			return
		}
		p.mu.Unlock()
		time.Sleep(p.delay)
		p.mu.Lock()
		p.given++
		p.renewed++
		if p.before == nil || !p.before(w) {
			say(w, 200, pair(p.given))
		}
	case "/v1/auth/signout":
		p.ended = true
		w.WriteHeader(204)
	default:
		if r.Header.Get("Authorization") != "Bearer "+pair(p.given).Access {
			refuse(w, 401, CodeTokenExpired)
			return
		}
		say(w, 200, Profile{Account: 7})
	}
}

// expired is the n'th pair some minutes later.
func expired(n int) Tokens {
	t := pair(n)
	t.Access = "expired"
	return t
}

// TestRenewal: however many calls find the token expired, one renews it; also those
// that come while the new tokens are being saved.
func TestRenewal(t *testing.T) {
	p := &porter{given: 1, delay: time.Second}
	var all sync.WaitGroup
	var saved []Tokens
	perform(t, p.api, func(s *stage, c *Client) {
		call := func() {
			if _, err := c.Me(s.Context()); err != nil {
				s.Error(err)
			}
		}
		WithSaver(func(t Tokens) {
			saved = append(saved, t)
			for range 10 {
				all.Go(call)
			}
			for range 10_000 { // a slow disk, in a clock that stands still
				runtime.Gosched()
			}
		})(c)
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 40 * time.Millisecond) // also into the renewal, and after it
				call()
			})
		}
		all.Wait()
		if p.renewed != 1 || p.ended || len(saved) != 1 || saved[0] != pair(2) {
			s.Errorf("%d renewals, ended %t, saved %v", p.renewed, p.ended, saved)
		}
	}, WithTokens(expired(1)))
}

// TestRenewalOutlivesItsCall: the call that began it is cancelled, and the next
// refresh token still arrives.
func TestRenewalOutlivesItsCall(t *testing.T) {
	p := &porter{given: 1, delay: time.Second}
	perform(t, p.api, func(s *stage, c *Client) {
		began := time.Now()
		ctx, cancel := cancelAfter(100 * time.Millisecond)(s.Context())
		defer cancel()
		if _, err := c.Me(ctx); !errors.Is(err, context.Canceled) {
			s.Errorf("got %v", err)
		}
		s.took(time.Since(began), 100*time.Millisecond, 100*time.Millisecond)
		_, err := c.Me(s.Context())
		s.must(err)
		if p.renewed != 1 || p.ended {
			s.Errorf("%d renewals, ended %t", p.renewed, p.ended)
		}
	}, WithTokens(expired(1)))
}

// TestCloseWaits: a renewal that nobody waits for any more ends before Close does.
func TestCloseWaits(t *testing.T) {
	p := &porter{given: 1, delay: time.Second}
	saved := 0
	perform(t, p.api, func(s *stage, c *Client) {
		ctx, cancel := cancelAfter(100 * time.Millisecond)(s.Context())
		defer cancel()
		_, _ = c.Me(ctx)
		c.Close()
		if saved != 1 {
			s.Errorf("saved %d times", saved)
		}
	}, WithTokens(expired(1)), WithSaver(func(Tokens) { saved++ }))
}

// TestRenewalStorm: a fault that passes does not end the session, and is not
// multiplied by the attempts of the call.
func TestRenewalStorm(t *testing.T) {
	p := &porter{given: 1}
	down := true
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if down && r.URL.Path == "/v1/auth/refresh" {
			refuse(w, 503, CodeUnavailable)
			return
		}
		p.api(w, r)
	}, func(s *stage, c *Client) {
		_, err := c.Me(s.Context())
		if n := len(s.requests("POST /v1/auth/refresh")); CodeOf(err) != CodeUnavailable || n != 6 {
			s.Errorf("after %d renewals: %v", n, err)
		}
		down = false
		_, err = c.Me(s.Context())
		s.must(err)
	}, WithTokens(expired(1)))
}

// TestSessionEnds: a renewal whose answer is lost cannot be repeated. The calls
// say so without asking again, until somebody signs in.
func TestSessionEnds(t *testing.T) {
	p := &porter{given: 1, before: func(w http.ResponseWriter) bool { lose(w); return true }}
	perform(t, p.api, func(s *stage, c *Client) {
		for range 3 {
			if _, err := c.Me(s.Context()); CodeOf(err) != CodeSessionEnded {
				s.Errorf("got %v", err)
			}
		}
		if n := len(s.seen); n != 3 { // the call, the renewal, the renewal again
			s.Errorf("%d requests", n)
		}
		_, err := c.SignIn(s.Context(), "ada@example.com", "a password")
		s.must(err)
		_, err = c.Me(s.Context())
		s.must(err)
	}, WithTokens(expired(1)))
}

// TestSignInMeanwhile: a session that was begun during the renewal of an old one
// is not overwritten by it.
func TestSignInMeanwhile(t *testing.T) {
	p := &porter{given: 1, delay: time.Second}
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/signin" {
			say(w, 200, pair(99))
			return
		}
		p.api(w, r)
	}, func(s *stage, c *Client) {
		go func() { _, _ = c.Me(s.Context()) }()
		synctest.Wait() // until the renewal is under way
		_, err := c.SignIn(s.Context(), "bob@example.com", "a password")
		s.must(err)
		c.Close()
		if c.session.tokens != pair(99) {
			s.Errorf("the tokens are %s", c.session.tokens.Access)
		}
	}, WithTokens(expired(1)))
}

func TestSignOut(t *testing.T) {
	p := &porter{}
	var saved []Tokens
	perform(t, p.api, func(s *stage, c *Client) {
		s.must(c.SignOut(s.Context())) // of nothing
		_, err := c.SignIn(s.Context(), "ada@example.com", "a password")
		s.must(err)
		s.must(c.SignOut(s.Context()))
		if _, err := c.Me(s.Context()); CodeOf(err) != CodeTokenExpired { // the porter's word for none
			s.Errorf("got %v", err)
		}
		if !p.ended || len(saved) != 3 || saved[1] != pair(1) || saved[2] != (Tokens{}) {
			s.Errorf("ended %t, saved %v", p.ended, saved)
		}
		if last := s.seen[len(s.seen)-1]; last.token != "" {
			s.Errorf("a token was sent: %s", last.token)
		}
	}, WithSaver(func(t Tokens) { saved = append(saved, t) }))
}

// TestSignUpTwice: the first attempt made the account and its answer was lost.
func TestSignUpTwice(t *testing.T) {
	for name, test := range map[string]struct {
		lost  bool
		found Role
		want  Code
	}{
		"ours":               {true, Buyer, ""},
		"of another role":    {true, Seller, CodeEmailTaken},
		"somebody else's":    {true, "", CodeEmailTaken},
		"there all the time": {false, Buyer, CodeEmailTaken},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v1/auth/signin" && test.found != "":
					tokens := pair(1)
					tokens.Role = test.found
					say(w, 200, tokens)
				case r.URL.Path == "/v1/auth/signin":
					refuse(w, 401, CodeBadCredentials)
				case test.lost:
					test.lost = false
					lose(w)
				default:
					refuse(w, 409, CodeEmailTaken)
				}
			}, func(s *stage, c *Client) {
				tokens, err := c.SignUp(s.Context(), "ada@example.com", "a password", Buyer)
				if CodeOf(err) != test.want || (err == nil) != (tokens == pair(1)) {
					s.Errorf("got %v, %v", tokens, err)
				}
			})
		})
	}
}

// TestDoneBefore: repeated calls that are no POSTs find that they were executed.
func TestDoneBefore(t *testing.T) {
	gone, password := false, "old password"
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		var body changes
		_ = json.NewDecoder(r.Body).Decode(&body)
		switch {
		case r.Method == "DELETE" && !gone:
			gone = true
			lose(w)
		case r.Method == "DELETE":
			refuse(w, 404, CodeUnknownSale)
		case body.Current != password:
			refuse(w, 403, CodeBadCredentials)
		case password == body.Password:
			say(w, 200, Profile{Account: 7})
		default:
			password = body.Password
			refuse(w, 503, CodeUnavailable)
		}
	}, func(s *stage, c *Client) {
		s.must(c.DeleteSale(s.Context(), 7))
		if err := c.DeleteSale(s.Context(), 7); CodeOf(err) != CodeUnknownSale {
			s.Errorf("deleted again: %v", err)
		}
		profile, err := c.ChangePassword(s.Context(), "old password", "new password")
		s.must(err)
		if profile.Account != 7 {
			s.Errorf("got %+v", profile)
		}
		if _, err := c.ChangePassword(s.Context(), "old password", "new password"); CodeOf(err) != CodeBadCredentials {
			s.Errorf("changed again: %v", err)
		}
	})
}

func TestWhoSpeaks(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) { say(w, 200, Profile{}) }, func(s *stage, c *Client) {
		speaks := func(c *Client, token string) {
			s.Helper()
			_, err := c.Me(s.Context())
			s.must(err)
			if last := s.seen[len(s.seen)-1].token; last != strings.TrimSpace("Bearer "+token) && last != token {
				s.Errorf("%q speaks, not %q", last, token)
			}
		}
		speaks(c, "")
		ada := c.With(WithToken("ada"))
		speaks(ada, "ada")
		speaks(ada.With(WithAttempts(1)), "ada")
		n := 0
		speaks(c.With(WithTokenSource(func(context.Context) (string, error) { n++; return fmt.Sprint("source-", n), nil })), "source-1")
		_, err := c.With(WithTokenSource(func(context.Context) (string, error) { return "", io.ErrClosedPipe })).Me(s.Context())
		if !errors.Is(err, io.ErrClosedPipe) {
			s.Errorf("got %v", err)
		}
		before := len(s.seen)
		if _, err := c.With(WithToken("geheim\r\nX-Evil: 1")).Me(s.Context()); err == nil || strings.Contains(err.Error(), "geheim") || len(s.seen) != before {
			s.Errorf("got %v", err)
		}
		speaks(c, "")
	})
}

// TestSecretsStayHidden: neither a print nor a log nor an error shows a token or a
// password.
func TestSecretsStayHidden(t *testing.T) {
	var shown bytes.Buffer
	tokens := Tokens{Account: 7, Role: Buyer, Access: "geheim-access", Refresh: "geheim-refresh"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&shown, verb+verb, tokens, &tokens)
	}
	fmt.Fprintf(&shown, "%+v", struct{ T Tokens }{tokens})
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "tokens", tokens)
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "tokens", tokens)
	for name, fault := range map[string]http.HandlerFunc{
		"lost":    func(w http.ResponseWriter, _ *http.Request) { lose(w) },
		"refused": func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, CodeTokenExpired) },
		"nonsense": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"account":"x","access_token":7}`))
		},
	} {
		perform(t, fault, func(s *stage, c *Client) {
			_, me := c.Me(s.Context())
			_, in := c.SignIn(s.Context(), "geheim@example.com", "geheim-password")
			_, up := c.SignUp(s.Context(), "geheim@example.com", "geheim-password", Buyer)
			_, change := c.ChangePassword(s.Context(), "geheim-password", "geheim-new")
			out := c.SignOut(s.Context())
			for _, err := range []error{me, in, up, change, out} {
				if err == nil && name != "nonsense" {
					s.Errorf("%s: no error", name)
				}
				fmt.Fprintln(&shown, err)
			}
			fmt.Fprintf(&shown, "%v %+v", c, c)
		}, WithTokens(tokens))
	}
	if text := shown.String(); strings.Contains(text, "geheim") || !strings.Contains(text, "tokens of buyer 7") {
		t.Errorf("it shows:\n%s", text)
	}
	kept, err := json.Marshal(tokens)
	if err != nil || !strings.Contains(string(kept), `"refresh_token":"geheim-refresh"`) {
		t.Errorf("what is kept: %s, %v", kept, err)
	}
}
