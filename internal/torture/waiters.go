package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/client"
)

// How somebody waits, beside those who asked.
const (
	byStream = "stream" // an event stream of one receipt, through the client library
	byRaw    = "raw"    // the same by hand, as a browser does it: Last-Event-ID, retry
	byMine   = "mine"   // the stream of all receipts of an account
	bySale   = "sale"   // the stream of a sale
)

// Waiter is what somebody was told who waited all the time.
type Waiter struct {
	How     string                     `json:"how"`
	Account int64                      `json:"account,omitempty"`
	Sale    int64                      `json:"sale,omitempty"`
	Told    map[string][]client.Status `json:"told,omitempty"` // of each receipt, one after the other
	State   client.State               `json:"state,omitempty"`
	Failed  string                     `json:"failed,omitempty"` // why he was told no more

	asked map[string]bool // receipts that he has asked after himself: what comes then may be older news
}

// The rules of who waits.
const (
	Told   Rule = "told"   // who waits is told everything: in the end, what is true
	Served Rule = "served" // while nothing breaks every request is answered, and no waiter cut off without a word
)

// waiting is everybody who waits.
type waiting struct {
	crowd  *crowd
	client *client.Client // of nobody
	http   *http.Client
	front  string // where the API is

	ctx   context.Context
	leave context.CancelFunc
	all   sync.WaitGroup

	mu      sync.Mutex
	waiters []*Waiter
}

// newWaiting lets waiters come, through this transport.
func newWaiting(c *crowd, front string, t http.RoundTripper) (*waiting, error) {
	w := &waiting{crowd: c, front: front, http: &http.Client{Transport: t}}
	w.ctx, w.leave = context.WithCancel(context.Background())
	var err error
	w.client, err = client.New(front, client.WithHTTPClient(&http.Client{Timeout: calmAnswerBy, Transport: t}))
	return w, err
}

func (w *waiting) come(one *Waiter, wait func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.Told, one.asked = map[string][]client.Status{}, map[string]bool{}
	w.waiters = append(w.waiters, one)
	w.all.Go(func() {
		if err := wait(w.ctx); err != nil && w.ctx.Err() == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			one.Failed = err.Error()
		}
	})
}

// hear writes down what a waiter is told of a receipt.
func (w *waiting) hear(one *Waiter, receipt string, status client.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := one.Told[receipt]
	if len(told) > 0 {
		if last := told[len(told)-1]; last == status || one.asked[receipt] && follows(status, last) {
			return
		}
	}
	one.Told[receipt] = append(told, status)
}

// ask writes down what a waiter is answered.
func (w *waiting) ask(one *Waiter, receipt string, status client.Status) {
	w.hear(one, receipt, status)
	w.mu.Lock()
	defer w.mu.Unlock()
	one.asked[receipt] = true
}

// account has all receipts of an account waited for. After a reset he asks himself.
func (w *waiting) account(who *person) {
	one := &Waiter{How: byMine, Account: who.account}
	api := w.client.With(client.WithToken(who.token))
	w.come(one, func(ctx context.Context) error {
		for e, err := range api.FollowMine(ctx) {
			switch {
			case err != nil:
				return err
			case !e.Reset:
				w.hear(one, e.Receipt.ID, e.Receipt.Status)
				continue
			}
			for who.asking.Load() > 0 { // he does not know the receipt of what is on its way yet
				if err := wait(ctx, 10*time.Millisecond); err != nil {
					return err
				}
			}
			polled, err := api.Poll(ctx, w.crowd.receiptsOf(who)...)
			if err != nil {
				return err
			}
			for _, p := range polled {
				if p.Problem != nil {
					return p.Problem
				}
				w.ask(one, p.Receipt.ID, p.Receipt.Status)
			}
		}
		return nil
	})
}

// receiptsOf are those that somebody has been given so far.
func (c *crowd) receiptsOf(who *person) (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.all {
		if a.who == who {
			ids = append(ids, a.Answers[0])
		}
	}
	return ids
}

// receipt has a receipt waited for, in one way or the other.
func (w *waiting) receipt(who *person, id string) {
	one := &Waiter{How: byStream, Account: who.account}
	if rand.IntN(2) == 0 {
		one.How = byRaw
		w.come(one, func(ctx context.Context) error { return w.raw(ctx, one, who, id) })
		return
	}
	api := w.client.With(client.WithToken(who.token))
	w.come(one, func(ctx context.Context) error {
		for r, err := range api.Follow(ctx, id) {
			if err != nil {
				return err
			}
			w.hear(one, id, r.Status)
		}
		return nil
	})
}

// sale has a sale waited for until it closes.
func (w *waiting) sale(id int64) {
	one := &Waiter{How: bySale, Sale: id}
	w.come(one, func(ctx context.Context) error {
		for s, err := range w.client.FollowSale(ctx, id) {
			if err != nil {
				return err
			}
			w.mu.Lock()
			one.State = s.State
			w.mu.Unlock()
		}
		return nil
	})
}

// raw follows a receipt as a browser does: it connects again whenever the stream has ended,
// with the ID of the last event that it has, after as long as it was told, until there is
// nothing more to come (204).
func (w *waiting) raw(ctx context.Context, one *Waiter, who *person, id string) error {
	retry, last := 2*time.Second, ""
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.front+"/v1/receipts/"+id+"/events", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Accept", "text/event-stream")
		request.Header.Set("Authorization", "Bearer "+who.token)
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		answer, err := w.http.Do(request)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // noted where it happened
		case answer.StatusCode == http.StatusNoContent:
			return answer.Body.Close()
		case answer.StatusCode == http.StatusOK:
			w.read(answer.Body, one, id, &last, &retry)
		case answer.StatusCode != http.StatusServiceUnavailable: // which says that there is another
			return fmt.Errorf("the stream of %s is answered with %s", id, answer.Status)
		}
		if err == nil {
			_ = answer.Body.Close()
		}
		if err := wait(ctx, retry); err != nil {
			return err
		}
	}
}

// read reads one stream to its end.
func (w *waiting) read(body io.Reader, one *Waiter, id string, last *string, retry *time.Duration) {
	var event, eventID, data string
	for lines := bufio.NewScanner(body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "id":
			eventID = value
		case "data":
			data = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				*retry = time.Duration(ms) * time.Millisecond
			}
		case "": // the event is whole; a comment looks like it, and has none
			var r client.Receipt
			if event == "receipt" && json.Unmarshal([]byte(data), &r) == nil {
				w.hear(one, id, r.Status)
				*last = eventID
			}
			event, data = "", ""
		}
	}
}

// end waits until all have been told what h says is true, at most so long, and sends
// them away.
func (w *waiting) end(ctx context.Context, h *History, most time.Duration) {
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < most; _ = wait(ctx, 100*time.Millisecond) {
		w.mu.Lock()
		h.Waiters = w.waiters
		behind := len(CheckWaiters(*h))
		w.mu.Unlock()
		if behind == 0 {
			break
		}
	}
	w.stop()
	h.Waiters = w.waiters
}

// stop sends them all away.
func (w *waiting) stop() {
	w.leave()
	w.all.Wait()
	w.http.CloseIdleConnections()
}

// CheckWaiters finds everybody who waited and was not told what is true in the end, or
// was told what nobody else was. It is a pure function.
func CheckWaiters(h History) (found []Violation) {
	of := map[string]*Request{} // by receipt
	by := map[int64][]*Request{}
	for _, r := range h.Requests {
		if r.accepted() {
			of[r.Answers[0]] = r
			by[r.Account] = append(by[r.Account], r)
		}
	}
	closed := map[int64]client.State{}
	for _, s := range h.Closed {
		closed[s.ID] = s.State
	}
	broken := func(r *Request, w *Waiter, detail string, args ...any) {
		v := Violation{Rule: Told, Sale: w.Sale, Detail: w.How + ": " + fmt.Sprintf(detail, args...)}
		if r != nil {
			v.Key, v.Sale = r.Key, r.Sale
		}
		found = append(found, v)
	}
	for _, w := range h.Waiters {
		if w.Failed != "" {
			broken(nil, w, "told no more: %s", w.Failed)
		}
		if truth, known := closed[w.Sale]; w.How == bySale && known && w.State != truth {
			broken(nil, w, "told that it is %q, and it is %s", w.State, truth)
		}
		for id, told := range w.Told {
			r := of[id]
			if r == nil {
				broken(nil, w, "told of the receipt %s, which no key was answered with", id)
				continue
			}
			if detail := untrue(told, r); detail != "" {
				broken(r, w, "%s", detail)
			}
		}
		if w.How == byMine {
			for _, r := range by[w.Account] {
				if _, ok := w.Told[r.Answers[0]]; !ok {
					broken(r, w, "never told of %s, which is %s", r.Answers[0], r.last().Status)
				}
			}
		}
	}
	return found
}

// untrue says what is wrong with what somebody was told of a receipt.
func untrue(told []client.Status, r *Request) string {
	if last := told[len(told)-1]; last != r.last().Status {
		return fmt.Sprintf("told %v in the end, and it is %s", told, r.last().Status)
	}
	for i, one := range told {
		for _, later := range told[i+1:] {
			if !follows(one, later) {
				return fmt.Sprintf("told %v", told)
			}
		}
		for _, seen := range r.Seen {
			if one != seen.Status && !follows(one, seen.Status) && !follows(seen.Status, one) {
				return fmt.Sprintf("told %s, while its sender was told %s", one, seen.Status)
			}
		}
	}
	return ""
}
