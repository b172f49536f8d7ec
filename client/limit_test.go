package client

import (
	"context"
	"errors"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestTurns: who was refused in a crowd comes back with the turn that he was given
// last, when it is his turn, and hardly later.
func TestTurns(t *testing.T) {
	tried := 0
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		tried++
		switch tried {
		case 1:
			w.Header().Set("Sluice-Turn", "first")
			refuse(w, 503, CodeOverloaded, "retry_after_ms", "40000")
		case 2:
			lose(w)
		case 3:
			w.Header().Set("Sluice-Turn", "second")
			refuse(w, 503, CodeOverloaded, "retry_after_ms", "2000")
		case 4:
			refuse(w, 503, CodeLoading, "retry_after_ms", "1000")
		default:
			say(w, 202, Receipt{ID: "r", Status: Queued})
		}
	}, func(s *stage, c *Client) {
		_, err := c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 5})
		s.must(err)
		turns := make([]string, len(s.all()))
		for i, r := range s.all() {
			turns[i] = r.header.Get("Sluice-Turn")
		}
		if got := strings.Join(turns, " "); got != " first first second second" {
			s.Errorf("the turns are %q", got)
		}
		s.took(s.all()[1].at, 40*time.Second, 41*time.Second)
		s.took(s.all()[3].at-s.all()[2].at, 2*time.Second, 2500*time.Millisecond)
		_, err = c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 5})
		s.must(err)
		if s.all()[len(s.all())-1].header.Get("Sluice-Turn") != "" {
			s.Error("another call has taken the turn")
		}
	})
}

// TestTurnKept: a turn too far off is the caller's.
func TestTurnKept(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sluice-Turn") == "later" {
			say(w, 202, Receipt{ID: "r", Status: Queued})
			return
		}
		w.Header().Set("Sluice-Turn", "later")
		refuse(w, 503, CodeOverloaded, "retry_after_ms", "300000")
	}, func(s *stage, c *Client) {
		began := time.Now()
		_, err := c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 5}, WithKey("mine"))
		s.took(time.Since(began), 0, 0)
		p := s.problem(err)
		if p.Turn != "later" || p.RetryAfter != 5*time.Minute {
			s.Fatalf("got %+v", p)
		}
		s.must(sleep(s.Context(), p.RetryAfter))
		_, err = c.Bid(s.Context(), 7, Bid{Quantity: 1, Price: 5}, WithKey("mine"), WithTurn(p.Turn))
		s.must(err)

		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		if _, err := c.Bid(ctx, 7, Bid{}, WithTurn("line\r\nbreak")); err == nil || errors.Is(err, context.DeadlineExceeded) || len(s.all()) != 2 {
			s.Errorf("%v after %d requests", err, len(s.all()))
		}
	})
}

// TestRetryAfterTooShort: who comes too early in spite of what he was told comes ever
// later, so that many who are refused together do not use up their attempts on each
// other.
func TestRetryAfterTooShort(t *testing.T) {
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 429, CodeRateLimited, "retry_after_ms", "1000")
	}, func(s *stage, c *Client) {
		_, err := c.Sale(s.Context(), 7)
		if s.problem(err).Code != CodeRateLimited {
			s.Errorf("got %v", err)
		}
		asked := s.all()
		for i, pause := range []time.Duration{1, 2, 4, 5, 5} {
			pause *= time.Second
			s.took(asked[i+1].at-asked[i].at, pause, pause+pause/4)
		}
	})
}

func TestTurnsThatAreNone(t *testing.T) {
	for _, turn := range []string{"two words", strings.Repeat("t", turnMost+1), "тык"} {
		if p := problemOf(&http.Response{StatusCode: 503, Header: http.Header{turnHeader: {turn}}}, nil); p.Turn != "" {
			t.Errorf("%q is taken for a turn", p.Turn)
		}
	}
}

func TestLimits(t *testing.T) {
	buyer := Limit{Name: "buyer", Quota: 40, Window: 2 * time.Second, Remaining: 39, Reset: time.Second}
	for name, test := range map[string]struct {
		policy, state []string
		want          []Limit
	}{
		"ours":         {[]string{`"buyer";q=40;w=2`}, []string{`"buyer";r=39;t=1`}, []Limit{buyer}},
		"of a token":   {[]string{`buyer;q=40;w=2`}, []string{`buyer;r=39;t=1`}, []Limit{buyer}},
		"with spaces":  {[]string{` "buyer" ; q=40 ;w=2`}, []string{`"buyer"; r=39; t=1; x="a;b,c"`}, []Limit{buyer}},
		"two":          {[]string{`"ip";q=500;w=1, "buyer";q=40;w=2`}, []string{`"buyer";r=39;t=1`}, []Limit{{Name: "ip", Quota: 500, Window: time.Second}, buyer}},
		"on two lines": {[]string{`"ip";q=500;w=1`, `"buyer";q=40;w=2`}, []string{`"buyer";r=39;t=1`}, []Limit{{Name: "ip", Quota: 500, Window: time.Second}, buyer}},
		"state alone":  {nil, []string{`"buyer";r=0;t=5`}, []Limit{{Name: "buyer", Reset: 5 * time.Second}}},
		"none":         {nil, nil, nil},
		"nonsense":     {[]string{`"buyer`}, []string{`;;;`}, nil},
		"below zero":   {[]string{`"buyer";q=-1;w=-2`}, nil, []Limit{{Name: "buyer"}}},
		"too long":     {nil, []string{`"buyer";t=99999999999`}, []Limit{{Name: "buyer", Reset: math.MaxInt32 * time.Second}}},
		"too many":     {nil, []string{strings.Repeat(`"a",`, 1000) + `"a"`}, nil},
	} {
		if got := limitsOf(http.Header{"Ratelimit-Policy": test.policy, "Ratelimit": test.state}); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Policy", `"buyer";q=40;w=2`)
		w.Header().Set("RateLimit", `"buyer";r=0;t=2`)
		refuse(w, 429, CodeRateLimited, "retry_after_ms", "60000")
	}, func(s *stage, c *Client) {
		_, err := c.Bid(s.Context(), 7, Bid{})
		if p := s.problem(err); len(p.Limits) != 1 || p.Limits[0] != (Limit{Name: "buyer", Quota: 40, Window: 2 * time.Second, Reset: 2 * time.Second}) {
			s.Errorf("got %+v", p)
		}
	})
}

// FuzzLimits: whatever stands in the headers, what is read of it can be reckoned with.
func FuzzLimits(f *testing.F) {
	for _, seed := range []string{`"buyer";q=40;w=2`, `"a\"b";r=1`, `a;q=99999999999999999999`, `"`, `;`, `,`, `"a";q="1";w=1.5`, `"\"`} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, policy, state string) {
		limits := limitsOf(http.Header{"Ratelimit-Policy": {policy}, "Ratelimit": {state}})
		if len(limits) > 2*itemsMost {
			t.Errorf("%d limits", len(limits))
		}
		for _, l := range limits {
			if l.Name == "" || l.Quota < 0 || l.Remaining < 0 || l.Window < 0 || l.Reset < 0 {
				t.Errorf("%q and %q are %+v", policy, state, l)
			}
		}
	})
}
