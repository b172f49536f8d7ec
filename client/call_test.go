package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// books is an API that makes a bid for every key it has not seen, once.
type books struct {
	mu   sync.Mutex
	made map[string]string // key → receipt
}

func (b *books) bid(r *http.Request) Receipt {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made == nil {
		b.made = map[string]string{}
	}
	key := r.Header.Get("Idempotency-Key")
	if b.made[key] == "" {
		b.made[key] = fmt.Sprintf("receipt-%d", len(b.made)+1)
	}
	return Receipt{ID: b.made[key], Status: Queued}
}

// faults are what can happen to an answer although the API has acted.
var faults = map[string]func(http.ResponseWriter){
	"reply lost": lose,
	"reply cut short": func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"receipt":`))
	},
	"bad gateway":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	"too slow":        func(w http.ResponseWriter) { w.WriteHeader(http.StatusRequestTimeout) },
	"gateway timeout": func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) },
	"unavailable":     func(w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable, CodeUnavailable) },
}

// TestActedAndLost: whatever happens to the answers, what was asked for once is
// done once.
func TestActedAndLost(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			var b books
			left := 2
			perform(t, func(w http.ResponseWriter, r *http.Request) {
				receipt := b.bid(r)
				if left > 0 {
					left--
					fault(w)
					return
				}
				say(w, http.StatusAccepted, receipt)
			}, func(s *stage, c *Client) {
				receipt, err := c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 100})
				s.must(err)
				sent := s.requests("POST /v1/sales/7/bids")
				if receipt.ID != "receipt-1" || len(b.made) != 1 || len(sent) != 3 {
					s.Errorf("%s after %d requests, %v made", receipt.ID, len(sent), b.made)
				}
				for _, r := range sent {
					if r.key == "" || r.key != sent[0].key {
						s.Errorf("the keys are %+v", sent)
					}
				}
				_, err = c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 100})
				s.must(err)
				if len(b.made) != 2 {
					s.Error("another call was taken for the same one")
				}
			})
		})
	}
}

// forgetful is the known-bad twin: it makes up another key for each attempt. The
// books must show it.
type forgetful struct{ http.RoundTripper }

func (f forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Idempotency-Key", rand.Text())
	return f.RoundTripper.RoundTrip(r)
}

func TestBooksCatchForgetful(t *testing.T) {
	var b books
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if b.bid(r); len(b.made) < 2 {
			lose(w)
			return
		}
		say(w, http.StatusAccepted, Receipt{})
	}, func(s *stage, c *Client) {
		c.http.Transport = forgetful{c.http.Transport}
		defer c.http.Transport.(forgetful).RoundTripper.(*http.Transport).CloseIdleConnections()
		_, err := c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 100})
		s.must(err)
		if len(b.made) != 2 {
			s.Errorf("it went unnoticed: %v", b.made)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for name, test := range map[string]struct {
		answer      func(http.ResponseWriter)
		least, most time.Duration
	}{
		"seconds": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "4")
			refuse(w, 429, CodeRateLimited)
		}, 4 * time.Second, 5 * time.Second},
		"milliseconds, which say it better": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			refuse(w, 503, CodeOverloaded, "retry_after_ms", "400")
		}, 400 * time.Millisecond, 500 * time.Millisecond},
		"a date": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", time.Now().Add(8*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, 7 * time.Second, 10 * time.Second},
		"nothing":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, firstPause / 2, firstPause},
		"nonsense": {func(w http.ResponseWriter) { w.Header().Set("Retry-After", "-5"); w.WriteHeader(502) }, firstPause / 2, firstPause},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			perform(t, func(w http.ResponseWriter, _ *http.Request) {
				if first {
					first = false
					test.answer(w)
					return
				}
				say(w, 200, Sale{ID: 7})
			}, func(s *stage, c *Client) {
				began := time.Now()
				sale, err := c.Sale(s.Context(), 7)
				s.must(err)
				s.took(time.Since(began), test.least, test.most)
				if sale.ID != 7 {
					s.Errorf("got %+v", sale)
				}
			})
		})
	}
}

func TestStorm(t *testing.T) {
	for name, test := range map[string]struct {
		options     []Option
		tries       int
		least, most time.Duration // half of 0.2 + 0.4 + 0.8 + 1.6 + 3.2 … 5, 5, to all of it
	}{
		"as it comes": {nil, 6, 3100 * time.Millisecond, 6200 * time.Millisecond},
		"once":        {[]Option{WithAttempts(1)}, 1, 0, 0},
		"never":       {[]Option{WithAttempts(0)}, 1, 0, 0},
		"often":       {[]Option{WithAttempts(8)}, 8, 8100 * time.Millisecond, 16200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			tried := 0
			perform(t, func(w http.ResponseWriter, _ *http.Request) {
				tried++
				refuse(w, 503, CodeUnavailable, "request_id", fmt.Sprintf(`"try-%d"`, tried))
			}, func(s *stage, c *Client) {
				began := time.Now()
				_, err := c.Sale(s.Context(), 7)
				s.took(time.Since(began), test.least, test.most)
				if p := s.problem(err); p.Code != CodeUnavailable || p.Status != 503 || p.RequestID != fmt.Sprintf("try-%d", test.tries) || tried != test.tries {
					s.Errorf("after %d: %v", tried, err)
				}
			}, test.options...)
		})
	}
}

func TestFinalAnswers(t *testing.T) {
	for _, status := range []int{301, 307, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 431, 500, 501} {
		perform(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://elsewhere/")
			refuse(w, status, "word")
		}, func(s *stage, c *Client) {
			_, get := c.Sale(s.Context(), 7)
			_, post := c.Bid(s.Context(), 7, Bid{})
			if CodeOf(get) != "word" || CodeOf(post) != "word" || s.problem(post).Status != status || len(s.seen) != 2 {
				s.Errorf("%d: %v, %v after %d requests", status, get, post, len(s.seen))
			}
		}, WithToken("fixed"))
	}
}

func TestTooLongToWaitFor(t *testing.T) {
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 429, CodeThrottled, "retry_after_ms", "900000")
	}, func(s *stage, c *Client) {
		began := time.Now()
		_, err := c.SignIn(s.Context(), "ada@example.com", "a password")
		s.took(time.Since(began), 0, 0)
		if p := s.problem(err); p.Code != CodeThrottled || p.RetryAfter != 15*time.Minute || len(s.seen) != 1 {
			s.Errorf("after %d: %+v", len(s.seen), p)
		}
	})
}

// TestContextEnds: at once, whatever is being waited for.
func TestContextEnds(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that we have gone
		<-r.Context().Done()
	}
	storm := func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 503, CodeUnavailable, "retry_after_ms", "20000")
	}
	for name, test := range map[string]struct {
		api    http.HandlerFunc
		ctx    func(context.Context) (context.Context, context.CancelFunc)
		within time.Duration
		is     error
	}{
		"before it begins": {storm, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, 0, context.Canceled},
		"in a pause":   {storm, cancelAfter(3 * time.Second), 3 * time.Second, context.Canceled},
		"in a request": {slow, cancelAfter(3 * time.Second), 3 * time.Second, context.Canceled},
		"by its time": {slow, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, time.Second, context.DeadlineExceeded},
		"before a pause is over": {storm, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Second)
		}, 0, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, test.api, func(s *stage, c *Client) {
				began := time.Now()
				ctx, cancel := test.ctx(s.Context())
				defer cancel()
				_, err := c.Bid(ctx, 7, Bid{})
				s.took(time.Since(began), test.within, test.within)
				if !errors.Is(err, test.is) {
					s.Errorf("got %v", err)
				}
				if name == "before a pause is over" && s.problem(err).Code != CodeUnavailable {
					s.Errorf("it does not say why: %v", err)
				}
			})
		})
	}
}

func cancelAfter(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}

// TestSilence: an API that takes a request and says nothing is asked again.
func TestSilence(t *testing.T) {
	silent := true
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if silent {
			silent = false
			<-r.Context().Done()
			return
		}
		say(w, 200, Sale{ID: 7})
	}, func(s *stage, c *Client) {
		began := time.Now()
		_, err := c.Sale(s.Context(), 7)
		s.must(err)
		s.took(time.Since(began), 15*time.Second, 16*time.Second)
	})
}

func TestKeys(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) { say(w, 202, Receipt{ID: "r"}) }, func(s *stage, c *Client) {
		for _, key := range []string{"", "two words", "ключ", strings.Repeat("k", 256), "line\r\nX-Evil: 1"} {
			if _, err := c.Bid(s.Context(), 7, Bid{}, WithKey(key)); err == nil {
				s.Errorf("%q went through", key)
			}
		}
		if len(s.seen) > 0 {
			s.Fatalf("sent %+v", s.seen)
		}
		longest := strings.Repeat("k", 255)
		for call, send := range map[string]func() error{
			"POST /v1/sales/7/bids":      func() error { _, err := c.Bid(s.Context(), 7, Bid{}, WithKey(longest)); return err },
			"POST /v1/receipts/r/refund": func() error { _, err := c.Refund(s.Context(), "r", WithKey(longest)); return err },
			"PATCH /v1/sales/7":          func() error { _, err := c.GrowStock(s.Context(), 7, 1, WithKey(longest)); return err },
			"POST /v1/sales":             func() error { _, err := c.CreateSale(s.Context(), NewSale{}, WithKey(longest)); return err },
			"POST /v1/me/wallet/topups":  func() error { _, err := c.TopUp(s.Context(), 1, WithKey(longest)); return err },
		} {
			s.must(send())
			if sent := s.requests(call); len(sent) != 1 || sent[0].key != longest {
				s.Errorf("%s: %+v", call, sent)
			}
		}
		_, err := c.GrowStock(s.Context(), 8, 1)
		s.must(err)
		_, err = c.EditSale(s.Context(), 9, SaleEdit{Title: new("x")})
		s.must(err)
		if grown, edited := s.requests("PATCH /v1/sales/8"), s.requests("PATCH /v1/sales/9"); grown[0].key == "" || edited[0].key != "" {
			s.Errorf("grown with %+v, edited with %+v", grown, edited)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(409)
		}
		filler := []byte(strings.Repeat(" ", 1<<20))
		for range 9 {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	}, func(s *stage, c *Client) {
		if _, err := c.Sale(s.Context(), 7); err == nil || !strings.Contains(err.Error(), "longer than") {
			s.Errorf("got %v", err)
		}
		if _, err := c.Bid(s.Context(), 7, Bid{}); CodeOf(err) != "http_409" {
			s.Errorf("got %v", err)
		}
		if len(s.seen) != 2 {
			s.Errorf("%d requests", len(s.seen))
		}
	})
}

func TestNonsense(t *testing.T) {
	perform(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, func(s *stage, c *Client) {
		if _, err := c.Sale(s.Context(), 7); err == nil || CodeOf(err) != "" || len(s.seen) != 1 {
			s.Errorf("after %d: %v", len(s.seen), err)
		}
	})
}

// TestNobodyThere: what certainly was not sent is no reason for doubt.
func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := New(server.URL, WithAttempts(2))
	if err != nil {
		t.Fatal(err)
	}
	k := &call{method: "GET", path: "/"}
	if err := c.do(t.Context(), k); err == nil || k.unsure {
		t.Errorf("got %v, unsure %t", err, k.unsure)
	}
}

// TestStranger: a server with a certificate of nobody's gets neither a request nor
// a second visit.
func TestStranger(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request") }))
	defer server.Close()
	server.Config.ErrorLog = quiet
	c, err := New(server.URL, WithToken("secret-token"), WithAttempts(math.MaxInt))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = c.Me(ctx)
	if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://", "http://user:geheim@x", "http://x?a=b", "http://x#f", ":"} {
		if _, err := New(bad); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c, err := New("https://example.com/sluice/")
	if err != nil || c.base != "https://example.com/sluice" {
		t.Errorf("%v, %v", c, err)
	}
}
