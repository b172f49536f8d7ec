package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// counter is an API with one receipt, which holds its answers as ours does.
type counter struct {
	mu      sync.Mutex
	receipt Receipt
	changed chan struct{}
	deaf    bool // holds nothing, as an older API, or one with too many who wait
	hasty   bool // lets go of everybody at once, as one that is being stopped
	barred  time.Duration
}

// become changes the receipt, and lets go of those who wait for that.
func (c *counter) become(r Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.ID, c.receipt = "r", r
	if c.changed != nil {
		close(c.changed)
	}
	c.changed = make(chan struct{})
}

func (c *counter) look() (r Receipt, tag string, changed chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.receipt, fmt.Sprintf(`W/"%s-%d"`, c.receipt.Status, c.receipt.Position), c.changed
}

func (c *counter) api(w http.ResponseWriter, r *http.Request) {
	known := r.Header.Get("If-None-Match")
	status, _, _ := strings.Cut(strings.TrimPrefix(known, `W/"`), "-")
	if status == "" {
		status = string(Queued)
	}
	wait, _ := strings.CutPrefix(r.Header.Get("Prefer"), "wait=")
	if seconds, _ := strconv.Atoi(wait); seconds > 0 && !c.deaf {
		w.Header().Set("Preference-Applied", "wait="+wait)
		up := time.After(time.Duration(seconds) * time.Second)
		if c.hasty {
			up = time.After(0)
		}
		if c.barred > 0 && c.barred < time.Duration(seconds)*time.Second {
			time.Sleep(c.barred)
			w.WriteHeader(http.StatusGatewayTimeout)
			return
		}
		for late := false; !late; {
			receipt, _, changed := c.look()
			if string(receipt.Status) != status {
				break
			}
			select {
			case <-changed:
			case <-up:
				late = true
			case <-r.Context().Done():
				return
			}
		}
	}
	receipt, tag, _ := c.look()
	w.Header().Set("ETag", tag)
	if tag == known {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	say(w, 200, receipt)
}

// TestWaitIsHeld: who waits is told at once, and asks no more than three times a
// minute.
func TestWaitIsHeld(t *testing.T) {
	var api counter
	perform(t, api.api, func(s *stage, c *Client) {
		api.become(Receipt{Status: Queued, Position: 900, PollAfter: 300 * time.Millisecond})
		time.AfterFunc(10*time.Second, func() { api.become(Receipt{Status: Queued, Position: 700, PollAfter: 300 * time.Millisecond}) })
		time.AfterFunc(90*time.Second, func() { api.become(Receipt{Status: Waiting, Position: 3}) })
		time.AfterFunc(91*time.Second, func() { api.become(Receipt{Status: Waiting, Position: 2}) })
		time.AfterFunc(195*time.Second, func() { api.become(Receipt{Status: Held}) })
		time.AfterFunc(195500*time.Millisecond, func() { api.become(Receipt{Status: Confirmed}) })
		began := time.Now()
		r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued, Position: 950, PollAfter: time.Second})
		s.must(err)
		s.took(time.Since(began), 90*time.Second, 90*time.Second)
		if r.Status != Waiting || r.Position != 3 || len(s.all()) != 5 {
			s.Errorf("%+v after %d questions", r, len(s.all()))
		}
		r, err = c.WaitUntil(s.Context(), r, Receipt.Settled)
		s.must(err)
		s.took(time.Since(began), 195500*time.Millisecond, 195500*time.Millisecond)
		if r.Status != Confirmed || len(s.all()) > 5+1+6+1 {
			s.Errorf("%+v after %d questions", r, len(s.all()))
		}
		if first := s.all()[0].header; first.Get("Prefer") != "wait=20" || first.Get("If-None-Match") != "" {
			s.Errorf("the first question is %v", first)
		}
	})
}

// TestWaitKnownByID: what has not been seen is seen at once.
func TestWaitKnownByID(t *testing.T) {
	var api counter
	perform(t, api.api, func(s *stage, c *Client) {
		api.become(Receipt{Status: Queued, Position: 3})
		r, err := c.WaitUntil(s.Context(), Receipt{ID: "r"}, func(r Receipt) bool { return r.Position > 0 })
		s.must(err)
		if r.Position != 3 || s.all()[0].header.Get("Prefer") != "" {
			s.Errorf("%+v by %v", r, s.all()[0].header)
		}
		time.AfterFunc(12*time.Second, func() { api.become(Receipt{Status: Confirmed}) })
		began := time.Now()
		r, err = c.Wait(s.Context(), Receipt{ID: "r"})
		s.must(err)
		s.took(time.Since(began), 12*time.Second, 12*time.Second)
		if r.Status != Confirmed || len(s.all()) != 1+2 {
			s.Errorf("%+v after %d questions", r, len(s.all()))
		}
	})
}

// TestWaitIsNotHeld: where nothing is held the client comes as often as it is told
// to, and no more often when all are let go at once.
func TestWaitIsNotHeld(t *testing.T) {
	for name, test := range map[string]struct {
		api     *counter
		options []Option
		prefers string
	}{
		"an older API":     {&counter{deaf: true}, nil, "wait=20"},
		"one that stops":   {&counter{hasty: true}, nil, "wait=20"},
		"nobody wants it":  {&counter{}, []Option{WithPolling()}, ""},
		"nobody's patient": {&counter{}, []Option{impatient(time.Second)}, ""},
		"few connections":  {&counter{}, []Option{func(c *Client) { c.http.Transport.(*http.Transport).MaxConnsPerHost = 1 }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, test.api.api, func(s *stage, c *Client) {
				test.api.become(Receipt{Status: Queued, PollAfter: 500 * time.Millisecond})
				time.AfterFunc(9750*time.Millisecond, func() { test.api.become(Receipt{Status: Confirmed}) })
				began := time.Now()
				r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued, PollAfter: 500 * time.Millisecond})
				s.must(err)
				s.took(time.Since(began), 10*time.Second, 10*time.Second)
				if r.Status != Confirmed || len(s.all()) < 20 || len(s.all()) > 21 || s.all()[0].header.Get("Prefer") != test.prefers {
					s.Errorf("%+v after %d questions such as %v", r, len(s.all()), s.all()[0].header)
				}
			}, test.options...)
		})
	}
}

// impatient gives up on every answer after limit, as a caller's own http.Client may.
func impatient(limit time.Duration) Option {
	return func(c *Client) {
		own := *c.http
		own.Timeout = limit
		WithHTTPClient(&own)(c)
	}
}

// TestHold: nobody is asked to hold an answer for longer than somebody waits for it.
func TestHold(t *testing.T) {
	for limit, want := range map[time.Duration]string{
		0: "wait=20", time.Minute: "wait=20", 30 * time.Second: "wait=20", 15 * time.Second: "wait=10", 3 * time.Second: "wait=2", 2 * time.Second: "wait=1", time.Second: "",
	} {
		t.Run(limit.String(), func(t *testing.T) {
			var api counter
			perform(t, api.api, func(s *stage, c *Client) {
				api.become(Receipt{Status: Queued, PollAfter: time.Second})
				time.AfterFunc(50*time.Second, func() { api.become(Receipt{Status: Rejected}) })
				began := time.Now()
				r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued})
				s.must(err)
				s.took(time.Since(began), 50*time.Second, 51*time.Second)
				if r.Status != Rejected || s.all()[0].header.Get("Prefer") != want {
					s.Errorf("%+v by %v", r, s.all()[0].header)
				}
			}, impatient(limit))
		})
	}
	t.Run("the transport's", func(t *testing.T) {
		var api counter
		perform(t, api.api, func(s *stage, c *Client) {
			c.http.Transport.(*http.Transport).ResponseHeaderTimeout = 6 * time.Second
			api.become(Receipt{Status: Queued})
			time.AfterFunc(30*time.Second, func() { api.become(Receipt{Status: Rejected}) })
			_, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued})
			s.must(err)
			if s.all()[0].header.Get("Prefer") != "wait=4" {
				s.Errorf("asked %v", s.all()[0].header)
			}
		})
	})
	t.Run("the context's", func(t *testing.T) {
		var api counter
		perform(t, api.api, func(s *stage, c *Client) {
			api.become(Receipt{Status: Queued, Position: 5})
			ctx, cancel := context.WithTimeout(s.Context(), 7500*time.Millisecond)
			defer cancel()
			began := time.Now()
			r, err := c.Wait(ctx, Receipt{ID: "r", Status: Queued})
			s.took(time.Since(began), 7500*time.Millisecond, 7500*time.Millisecond)
			if !errors.Is(err, context.DeadlineExceeded) || r.Status != Queued || s.all()[0].header.Get("Prefer") != "wait=8" || len(s.all()) != 1 {
				s.Errorf("%+v, %v by %v", r, err, s.all()[0].header)
			}
		})
	})
}

// TestHeldInVain: what breaks every held answer does not keep the news from us.
func TestHeldInVain(t *testing.T) {
	t.Run("a proxy", func(t *testing.T) {
		api := counter{barred: 10 * time.Second}
		perform(t, api.api, func(s *stage, c *Client) {
			api.become(Receipt{Status: Queued, PollAfter: 300 * time.Millisecond})
			time.AfterFunc(35*time.Second, func() { api.become(Receipt{Status: Confirmed}) })
			began := time.Now()
			r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued})
			s.must(err)
			s.took(time.Since(began), 35*time.Second, 47*time.Second)
			if r.Status != Confirmed || len(s.all()) > 9 {
				s.Errorf("%+v after %d questions", r, len(s.all()))
			}
		})
	})
	t.Run("silence", func(t *testing.T) {
		silent := true
		perform(t, func(w http.ResponseWriter, r *http.Request) {
			if silent {
				silent = false
				<-r.Context().Done()
				return
			}
			say(w, 200, Receipt{ID: "r", Status: Confirmed})
		}, func(s *stage, c *Client) {
			began := time.Now()
			_, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued})
			s.must(err)
			s.took(time.Since(began), 36*time.Second, 37*time.Second) // 20 held, 15 as for every call, and a pause
		})
	})
	t.Run("the same as nothing", func(t *testing.T) {
		perform(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }, func(s *stage, c *Client) {
			if _, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued}); CodeOf(err) != "http_304" || len(s.all()) != 1 {
				s.Errorf("%v after %d questions", err, len(s.all()))
			}
		})
	})
}

// TestRenewalInAStorm: a session that cannot be renewed for a while ends no wait.
func TestRenewalInAStorm(t *testing.T) {
	p := &porter{given: 1}
	storm := 40
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/auth/refresh" && storm > 0:
			storm--
			refuse(w, 503, CodeUnavailable)
		case r.URL.Path == "/v1/receipts/r" && r.Header.Get("Authorization") == "Bearer "+pair(2).Access:
			say(w, 200, Receipt{ID: "r", Status: Confirmed})
		default:
			p.api(w, r)
		}
	}, func(s *stage, c *Client) {
		r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued})
		s.must(err)
		if r.Status != Confirmed || storm > 0 {
			s.Errorf("%+v with a storm of %d to come", r, storm)
		}
	}, WithTokens(expired(1)))
}

// TestApplied: what the API says it did.
func TestApplied(t *testing.T) {
	for header, want := range map[string]bool{
		"wait=20": true, "Wait = 20": true, "respond-async, wait=7": true, "wait": true, "": false, "waiting=20": false, "respond-async; wait=20": false, ",": false,
	} {
		if applied(http.Header{"Preference-Applied": {header}}, "wait") != want {
			t.Errorf("%q", header)
		}
	}
	if !applied(http.Header{"Preference-Applied": {"handling=lenient", "wait=3"}}, "wait") {
		t.Error("the second line is not read")
	}
}
