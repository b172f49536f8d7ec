package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// states are what is told of a receipt, one word each.
func states(s *stage, c *Client) (all []string, last error) {
	for r, err := range c.Follow(s.Context(), "r") {
		if err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%s:%d", r.Status, r.Position))
	}
	return all, nil
}

func telling(status Status, position int64, id string) func(*act) {
	return func(a *act) { a.tell("receipt", id, Receipt{ID: "r", Status: status, Position: position}) }
}

// TestFollow: through every end of a connection, each state is told, and the stream
// is taken up where it was.
func TestFollow(t *testing.T) {
	last := []string{}
	noted := func(a *act) { last = append(last, a.lastID()) }
	api := &turnout{acts: []func(*act){
		func(a *act) {
			noted(a)
			a.open()
			telling(Queued, 9, "1")(a)
			a.beat(10 * time.Minute)
			telling(Queued, 2, "2")(a)
			a.end("shutdown")
		},
		func(a *act) {
			noted(a)
			a.open()
			telling(Waiting, 4, "3")(a)
			lose(a.ResponseWriter)
		},
		func(a *act) { noted(a); refuse(a, 503, CodeTooManyWaiters, "retry_after_ms", "7000") },
		func(a *act) {
			noted(a)
			a.open()
			a.say("event: surprise\ndata: {}\n\n")
			telling(Held, 0, "4")(a)
			a.end("slow")
		},
		func(a *act) {
			noted(a)
			a.open()
			a.say(": beat\n\n")
			telling(Confirmed, 0, "5")(a)
			a.say("id: 6\nevent: receipt\ndata: half of") // and no more
		},
		func(a *act) { noted(a); a.WriteHeader(http.StatusNoContent) },
	}}
	perform(t, api.api, func(s *stage, c *Client) {
		all, err := states(s, c)
		s.must(err)
		if got := strings.Join(all, " "); got != "queued:9 queued:2 waiting:4 held:0 confirmed:0" {
			s.Errorf("told %s", got)
		}
		if got := strings.Join(last, ","); got != ",2,3,3,4,5" {
			s.Errorf("gone on from %q", got)
		}
		for i, pause := range []time.Duration{2 * time.Second, 2 * time.Second, 7 * time.Second, 2 * time.Second, 2 * time.Second} {
			ended := s.all()[i].at
			if i == 0 {
				ended += 10 * time.Minute
			}
			s.took(s.all()[i+1].at-ended, pause, pause+pause/4)
		}
		if first := s.all()[0]; first.what != "GET /v1/receipts/r/events" || first.header.Get("Accept") != "text/event-stream" {
			s.Errorf("asked %+v", first)
		}
	})
}

// TestFollowEnds: what ends a stream for good.
func TestFollowEnds(t *testing.T) {
	for name, test := range map[string]struct {
		act  func(*act)
		is   func(error) bool
		told int
	}{
		"final":       {func(a *act) { a.open(); telling(Rejected, 0, "1")(a); a.end("final"); a.away() }, func(err error) bool { return err == nil }, 1},
		"closed":      {func(a *act) { a.open(); a.end("closed") }, func(err error) bool { return err == nil }, 0},
		"no content":  {func(a *act) { a.WriteHeader(http.StatusNoContent) }, func(err error) bool { return err == nil }, 0},
		"not yours":   {func(a *act) { refuse(a, 403, CodeNotYours) }, func(err error) bool { return CodeOf(err) == CodeNotYours }, 0},
		"unknown":     {func(a *act) { refuse(a, 404, CodeUnknownReceipt) }, func(err error) bool { return CodeOf(err) == CodeUnknownReceipt }, 0},
		"no events":   {func(a *act) { say(a, 200, Receipt{}) }, func(err error) bool { return strings.Contains(fmt.Sprint(err), "no stream of events") }, 0},
		"202":         {func(a *act) { a.Header().Set("Content-Type", "text/event-stream"); a.WriteHeader(202) }, func(err error) bool { return strings.Contains(fmt.Sprint(err), "no stream of events") }, 0},
		"nonsense":    {func(a *act) { a.open(); a.say("event: receipt\ndata: <html>\n\n"); a.away() }, func(err error) bool { return strings.Contains(fmt.Sprint(err), "understand") }, 0},
		"too long":    {func(a *act) { a.open(); a.say("data: " + strings.Repeat("x", 2*eventMost)); a.away() }, func(err error) bool { return errors.Is(err, errEventTooLong) }, 0},
		"signed out":  {func(a *act) { refuse(a, 401, CodeUnauthorized) }, func(err error) bool { return CodeOf(err) == CodeUnauthorized }, 0},
		"redirection": {func(a *act) { a.Header().Set("Location", "http://elsewhere/"); a.WriteHeader(302) }, func(err error) bool { return CodeOf(err) == "http_302" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			api := &turnout{acts: []func(*act){test.act}}
			perform(t, api.api, func(s *stage, c *Client) {
				all, err := states(s, c)
				if !test.is(err) || len(all) != test.told || len(s.all()) != 1 {
					s.Errorf("%q, %v after %d connections", all, err, len(s.all()))
				}
			})
		})
	}
}

// TestFollowFails: connections that bring nothing are begun ever less often, until
// one brings something.
func TestFollowFails(t *testing.T) {
	vain := func(a *act) { a.open() } // the words of greeting are nothing
	api := &turnout{acts: []func(*act){vain, func(a *act) { lose(a.ResponseWriter) }, func(a *act) { a.WriteHeader(502) }, vain, vain, vain,
		func(a *act) { a.open(); telling(Queued, 1, "1")(a) }, vain,
		func(a *act) { a.open(); telling(Confirmed, 0, "2")(a); a.end("final") }}}
	perform(t, api.api, func(s *stage, c *Client) {
		all, err := states(s, c)
		s.must(err)
		if strings.Join(all, " ") != "queued:1 confirmed:0" {
			s.Errorf("told %q", all)
		}
		for i, pause := range []time.Duration{2, 4, 8, 16, 30, 30, 2, 2} {
			pause *= time.Second
			s.took(s.all()[i+1].at-s.all()[i].at, pause, pause+pause/4)
		}
	})
}

// TestFollowSilence: a connection is dead that has neither events nor a beat, whether
// it has begun or not; one is not while nobody listens to it.
func TestFollowSilence(t *testing.T) {
	api := &turnout{acts: []func(*act){
		func(a *act) { a.away() },
		func(a *act) { a.open(); telling(Queued, 1, "1")(a); a.beat(30 * time.Second); a.away() },
		func(a *act) { a.open(); a.beat(5 * time.Minute); telling(Confirmed, 0, "2")(a); a.end("final") },
	}}
	perform(t, api.api, func(s *stage, c *Client) {
		for r, err := range c.Follow(s.Context(), "r") {
			s.must(err)
			if r.Status == Queued {
				s.must(sleep(s.Context(), 10*time.Minute)) // the test is busy: that is no silence
			}
		}
		if len(s.all()) != 3 {
			s.Fatalf("%d connections", len(s.all()))
		}
		s.took(s.all()[1].at, silenceMost+2*time.Second, silenceMost+2500*time.Millisecond)
		s.took(s.all()[2].at-s.all()[1].at, 10*time.Minute+silenceMost+2*time.Second, 11*time.Minute)
	})
}

// TestFollowForEver: no time limit of the client's holds for a stream.
func TestFollowForEver(t *testing.T) {
	api := &turnout{acts: []func(*act){func(a *act) {
		a.open()
		a.beat(24 * time.Hour)
		telling(Confirmed, 0, "1")(a)
		a.end("final")
	}}}
	perform(t, api.api, func(s *stage, c *Client) {
		all, err := states(s, c)
		if err != nil || len(all) != 1 || len(s.all()) != 1 {
			s.Errorf("%q, %v after %d connections", all, err, len(s.all()))
		}
	}, impatient(3*time.Second))
}

// TestFollowLeft: who stops listening leaves no connection behind. (What else is left
// fails every test here: it keeps the bubble from ending.)
func TestFollowLeft(t *testing.T) {
	api := &turnout{acts: []func(*act){func(a *act) {
		a.open()
		for i := range 3 {
			telling(Queued, int64(9-i), fmt.Sprint(i))(a)
		}
		a.away()
	}}}
	perform(t, api.api, func(s *stage, c *Client) {
		for range c.Follow(s.Context(), "r") {
			break
		}
		s.must(sleep(s.Context(), time.Millisecond))
		if api.over() != 1 {
			s.Error("the connection is still there after the loop")
		}
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		var err error
		for _, err = range c.Follow(ctx, "r") {
			time.AfterFunc(time.Minute/2, cancel)
		}
		s.must(sleep(s.Context(), time.Millisecond))
		if !errors.Is(err, context.Canceled) || api.over() != 2 {
			s.Errorf("%v, and %d of 2 connections are over", err, api.over())
		}
	})
}

// TestFollowInVain: the error says what ctx ended, and what was wrong.
func TestFollowInVain(t *testing.T) {
	for name, test := range map[string]struct {
		act  func(*act)
		took time.Duration
		is   func(error) bool
	}{
		"too many":      {func(a *act) { refuse(a, 503, CodeTooManyWaiters) }, 10 * time.Minute, func(err error) bool { return CodeOf(err) == CodeTooManyWaiters }},
		"silent":        {func(a *act) { a.away() }, silenceMost + time.Second, func(err error) bool { return strings.Contains(fmt.Sprint(err), errSilent.Error()) }},
		"silent so far": {func(a *act) { a.open(); a.away() }, time.Second, func(err error) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			api := &turnout{acts: []func(*act){test.act}}
			perform(t, api.api, func(s *stage, c *Client) {
				ctx, cancel := context.WithTimeout(s.Context(), test.took)
				defer cancel()
				began := time.Now()
				var err error
				for _, err = range c.FollowSale(ctx, 7) {
				}
				s.took(time.Since(began), test.took, test.took)
				if !errors.Is(err, context.DeadlineExceeded) || !test.is(err) || len(s.all()) > 25 {
					s.Errorf("%v after %d connections", err, len(s.all()))
				}
			})
		})
	}
}

// TestFollowRenews: a stream whose token expires goes on with another.
func TestFollowRenews(t *testing.T) {
	p := &porter{given: 1}
	stream := &turnout{acts: []func(*act){
		func(a *act) { a.open(); telling(Queued, 1, "1")(a); a.beat(time.Minute); a.end("token_expired") },
		func(a *act) {
			if a.r.Header.Get("Authorization") != "Bearer "+pair(2).Access || a.lastID() != "1" {
				refuse(a, 401, CodeTokenExpired)
				return
			}
			a.open()
			telling(Confirmed, 0, "2")(a)
			a.end("final")
		},
	}}
	api := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events") {
			stream.api(w, r)
			return
		}
		p.api(w, r)
	}
	perform(t, api, func(s *stage, c *Client) {
		all, err := states(s, c)
		s.must(err)
		if strings.Join(all, " ") != "queued:1 confirmed:0" || p.renewed != 1 || len(s.all()) != 3 {
			s.Errorf("told %q after %d renewals and %d requests", all, p.renewed, len(s.all()))
		}
	}, WithTokens(pair(1)))

	stream.next, p.ended = 0, true
	perform(t, api, func(s *stage, c *Client) {
		if all, err := states(s, c); CodeOf(err) != CodeSessionEnded || len(all) != 1 {
			s.Errorf("told %q, %v", all, err)
		}
	}, WithTokens(pair(2)))
}

// TestFollowRenewsLate: a renewal that takes longer than a stream may be silent ends
// neither.
func TestFollowRenewsLate(t *testing.T) {
	p := &porter{given: 1}
	began := time.Time{}
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/auth/refresh" && time.Since(began) < 2*time.Minute:
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/events") && r.Header.Get("Authorization") == "Bearer "+pair(2).Access:
			w.WriteHeader(http.StatusNoContent)
		default:
			p.api(w, r)
		}
	}, func(s *stage, c *Client) {
		began = time.Now()
		all, err := states(s, c)
		s.must(err)
		s.took(time.Since(began), 2*time.Minute, 3*time.Minute)
		if len(all) > 0 || p.renewed != 1 {
			s.Errorf("told %q after %d renewals", all, p.renewed)
		}
	}, WithTokens(expired(1)))
}

// TestFollowMine: a reset whenever something may have been missed, and never else.
func TestFollowMine(t *testing.T) {
	api := &turnout{acts: []func(*act){
		func(a *act) { a.open(); a.beat(time.Minute) }, // nothing to go on from: what happens now is missed
		func(a *act) { a.open(); telling(Queued, 1, "1")(a); a.end("shutdown") },
		func(a *act) { a.open(); telling(Held, 0, "2")(a); lose(a.ResponseWriter) },
		func(a *act) { a.open(); a.tell("reset", "3", struct{}{}); telling(Confirmed, 0, "4")(a); a.end("slow") },
		func(a *act) { refuse(a, 401, CodeUnauthorized) },
	}}
	perform(t, api.api, func(s *stage, c *Client) {
		var told []string
		var last error
		for e, err := range c.FollowMine(s.Context()) {
			switch last = err; {
			case err != nil:
			case e.Reset:
				told = append(told, "reset")
			default:
				told = append(told, string(e.Receipt.Status))
			}
		}
		if got := strings.Join(told, " "); got != "reset reset queued held reset confirmed" || CodeOf(last) != CodeUnauthorized || s.all()[0].what != "GET /v1/me/receipts/events" {
			s.Errorf("told %s, %v by %s", got, last, s.all()[0].what)
		}
	})
}

// TestFollowSale: as it stands, until it is closed.
func TestFollowSale(t *testing.T) {
	api := &turnout{acts: []func(*act){func(a *act) {
		a.open()
		a.tell("sale", "1", Sale{ID: 7, State: Open, Price: 100, Period: time.Minute, Stock: &Stock{Total: 2, Free: 2}})
		a.tell("sale", "2", Sale{ID: 7, State: SoldOut, Price: 90, Stock: &Stock{Total: 2, Sold: 2}})
		a.tell("sale", "3", Sale{ID: 7, State: Closed})
		a.end("closed")
	}}}
	perform(t, api.api, func(s *stage, c *Client) {
		var sales []Sale
		for sale, err := range c.FollowSale(s.Context(), 7) {
			s.must(err)
			sales = append(sales, sale)
		}
		if len(sales) != 3 || sales[0].Period != time.Minute || sales[1].Stock.Sold != 2 || sales[2].State != Closed || sales[2].Stock != nil || s.all()[0].what != "GET /v1/sales/7/events" {
			s.Errorf("told %+v by %s", sales, s.all()[0].what)
		}
	})
}
