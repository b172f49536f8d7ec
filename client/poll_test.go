package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// desk is an API that answers batches as ours does, of receipts that it makes up:
// what becomes of them is decided by their number and the time since it opened.
type desk struct {
	stand func(n int, t time.Duration) (Receipt, *Problem)
	after time.Duration // poll_after_ms
	began time.Time
}

func numbered(n int) string { return fmt.Sprintf("0197a0a2-6a39-8d33-9c1c-%012d", n) }

func (d *desk) api(w http.ResponseWriter, r *http.Request) {
	ids := r.URL.Query()["id"]
	sorted := slices.Sorted(slices.Values(ids))
	if r.URL.Path != "/v1/receipts" || len(ids) == 0 || len(ids) > 100 || len(slices.Compact(sorted)) != len(ids) {
		refuse(w, 400, CodeBadQuery)
		return
	}
	if d.began.IsZero() {
		d.began = time.Now()
	}
	receipts, problems := []Receipt{}, []map[string]any{}
	body := map[string]any{}
	for _, id := range ids {
		var n int
		_, _ = fmt.Sscanf(id[strings.LastIndexByte(id, '-')+1:], "%d", &n)
		receipt, problem := d.stand(n, time.Since(d.began))
		if problem != nil {
			problems = append(problems, map[string]any{"receipt": id, "status": problem.Status, "code": problem.Code, "title": "No"})
			continue
		}
		if receipt.ID = id; !receipt.Settled() {
			body["poll_after_ms"] = d.after.Milliseconds()
		}
		receipts = append(receipts, receipt)
	}
	body["receipts"], body["problems"] = receipts, problems
	say(w, 200, body)
}

// TestPoll: many are asked after with few requests, and each is answered in its place.
func TestPoll(t *testing.T) {
	d := &desk{after: 700 * time.Millisecond, stand: func(n int, _ time.Duration) (Receipt, *Problem) {
		switch {
		case n%10 == 3:
			return Receipt{}, &Problem{Status: 404, Code: CodeUnknownReceipt}
		case n%2 == 0:
			return Receipt{Status: Confirmed, Sale: int64(n)}, nil
		}
		return Receipt{Status: Queued, Position: int64(n), PollAfter: time.Hour}, nil
	}}
	perform(t, d.api, func(s *stage, c *Client) {
		var ids []string
		for n := range 250 {
			ids = append(ids, numbered((n*7+1)%250)) // in no order
		}
		ids = append(ids, numbered(8), numbered(13), numbered(8))
		polled, err := c.Poll(s.Context(), ids...)
		s.must(err)
		if len(polled) != len(ids) || len(s.all()) != 3 {
			s.Fatalf("%d answers by %d requests", len(polled), len(s.all()))
		}
		for i, p := range polled {
			var n int
			_, _ = fmt.Sscanf(ids[i][24:], "%d", &n)
			want, problem := d.stand(n, 0)
			want.ID = ids[i]
			if want.Status == Queued {
				want.PollAfter = d.after
			}
			if problem == nil && (p.Problem != nil || p.Receipt != want) || problem != nil && (p.Problem == nil || p.Problem.Code != problem.Code || p.Problem.Status != 404 || p.Receipt != want) {
				s.Errorf("%d is %+v, %v", n, p.Receipt, p.Problem)
			}
		}
		if polled, err := c.Poll(s.Context()); err != nil || len(polled) > 0 || len(s.all()) != 3 {
			s.Errorf("%v, %v: nothing was asked", polled, err)
		}
	})
}

// TestPollTypos: what is no ID spoils nothing.
func TestPollTypos(t *testing.T) {
	d := &desk{stand: func(int, time.Duration) (Receipt, *Problem) { return Receipt{Status: Confirmed}, nil }}
	perform(t, d.api, func(s *stage, c *Client) {
		typos := []string{"", "x", numbered(1)[:35], numbered(1) + "0", strings.ToUpper(numbered(1)), "{" + numbered(1)[1:], strings.ReplaceAll(numbered(1), "-", "0"), numbered(1)[:35] + "\n"}
		polled, err := c.Poll(s.Context(), append(typos, numbered(1))...)
		s.must(err)
		for i, typo := range typos {
			if p := polled[i]; p.Problem == nil || p.Problem.Code != CodeUnknownReceipt || p.Problem.Status != 404 || p.Receipt.ID != typo {
				s.Errorf("%q is %+v, %v", typo, p.Receipt, p.Problem)
			}
		}
		if last := polled[len(typos)]; last.Problem != nil || last.Receipt.Status != Confirmed {
			s.Errorf("got %+v, %v", last.Receipt, last.Problem)
		}
		if all, err := c.WaitAll(s.Context(), Receipt{ID: "x"}); err != nil || all[0].Problem == nil {
			s.Errorf("%+v, %v", all, err)
		}
	})
}

// TestPollIncomplete: an answer that leaves one out is none.
func TestPollIncomplete(t *testing.T) {
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, map[string]any{"receipts": []Receipt{{ID: numbered(1), Status: Confirmed}}})
	}, func(s *stage, c *Client) {
		if _, err := c.Poll(s.Context(), numbered(1), numbered(2)); err == nil || !strings.Contains(err.Error(), "became of "+numbered(2)) {
			s.Errorf("got %v", err)
		}
	})
}

// TestWaitAll: a crowd of receipts is followed with few requests, each as often as the
// API says, and those that are decided are not asked after again.
func TestWaitAll(t *testing.T) {
	d := &desk{after: 500 * time.Millisecond, stand: func(n int, t time.Duration) (Receipt, *Problem) {
		switch {
		case n == 7:
			return Receipt{}, &Problem{Status: 410, Code: CodeLost}
		case n == 8 && t < 5*time.Second:
			return Receipt{}, &Problem{Status: 503, Code: CodeLoading}
		case n < 60 || t > 9*time.Second:
			return Receipt{Status: Confirmed}, nil
		}
		return Receipt{Status: Queued}, nil
	}}
	perform(t, d.api, func(s *stage, c *Client) {
		var receipts []Receipt
		for n := range 150 {
			receipts = append(receipts, Receipt{ID: numbered(n), Status: Queued, PollAfter: time.Duration(200+n) * time.Millisecond})
		}
		receipts[100] = Receipt{ID: "decided already", Status: Rejected}
		began := time.Now()
		all, err := c.WaitAll(s.Context(), receipts...)
		s.must(err)
		s.took(time.Since(began), 9*time.Second, 10*time.Second)
		for i, p := range all {
			switch {
			case i == 7 && (p.Problem == nil || p.Problem.Code != CodeLost || p.Receipt != receipts[7]):
				s.Errorf("7 is %+v, %v", p.Receipt, p.Problem)
			case i == 100 && p.Receipt != receipts[100]:
				s.Errorf("100 is %+v", p.Receipt)
			case i != 7 && i != 100 && (p.Problem != nil || p.Receipt.ID != numbered(i) || p.Receipt.Status != Confirmed):
				s.Errorf("%d is %+v, %v", i, p.Receipt, p.Problem)
			}
		}
		if s.all()[0].at != 200*time.Millisecond || len(s.all()) > 2+20 {
			s.Errorf("%d requests, the first after %s", len(s.all()), s.all()[0].at)
		}
		for _, r := range s.all()[2:] {
			if strings.Contains(r.what, numbered(5)) {
				s.Errorf("asked after what is decided: %s", r.what)
			}
		}
	})
}

// TestWaitAllInVain: it lasts as long as ctx, and says why, and what it knows.
func TestWaitAllInVain(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		took   time.Duration
		told   func(error) bool
	}{
		"queued for ever": {(&desk{stand: func(n int, _ time.Duration) (Receipt, *Problem) {
			return Receipt{Status: []Status{Queued, Confirmed}[n], PollAfter: time.Second}, nil
		}}).api, time.Minute, func(err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "1 of 2 receipts")
		}},
		"down for ever": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, CodeUnavailable) }, time.Minute, func(err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && CodeOf(err) == CodeUnavailable
		}},
		"not there": {http.NotFound, 0, func(err error) bool { return CodeOf(err) == "http_404" }},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, test.answer, func(s *stage, c *Client) {
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				all, err := c.WaitAll(ctx, Receipt{ID: numbered(0)}, Receipt{ID: numbered(1)})
				s.took(time.Since(began), test.took, test.took)
				if !test.told(err) || len(all) != 2 || all[0].Receipt.ID != numbered(0) || len(s.all()) > 100 {
					s.Errorf("%+v, %v after %d requests", all, err, len(s.all()))
				}
				if name == "queued for ever" && all[1].Receipt.Status != Confirmed {
					s.Errorf("it has forgotten %+v", all[1])
				}
			})
		})
	}
}
