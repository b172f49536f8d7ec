package torture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/client"
)

// A Redis that forgets. Everything that was queued when it lost its data is gone, and
// nobody may be left in doubt of it: its receipt is answered as lost from then on,
// until the request is asked again under its key, which is a new attempt under the
// same receipt. What was settled is in Postgres, and must outlast all.
//
//	queued ──▶ 410 lost ──▶ 410 lost …                nobody asks again
//	                   └──▶ queued ──▶ …              asked again: decided once, or refused at the door, still lost
//
// So before everything is read once more, everything that was answered as lost is
// read again, and must still be lost; then it is asked again.

// Loss is what became of a request whose receipt was answered as lost.
type Loss struct {
	Seen  int    `json:"seen"`            // sightings before that: of what was settled nothing is lost
	Found string `json:"found,omitempty"` // what the receipt was read as later, though nobody had asked again; "" is right: lost
	Anew  bool   `json:"anew,omitempty"`  // asked again, it was taken in
}

// Again is the rule of what was lost: it stays lost until it is asked again.
const Again Rule = "stays_lost"

// answeredLost says whether the error with which a receipt could not be read says
// that it is lost.
func answeredLost(text string) bool {
	return strings.Contains(text, ": 410 "+string(client.CodeLost)+": ")
}

// recall reads everything that was answered as lost again, and then asks for it again,
// to its end. Nothing breaks any more by then.
func (c *crowd) recall(ctx context.Context) error {
	lost := map[*person][]*asked{}
	for _, a := range c.all {
		if answeredLost(a.Vanished) {
			lost[a.who] = append(lost[a.who], a)
		}
	}
	var all sync.WaitGroup
	for _, his := range lost { // a person does one thing at a time
		all.Go(func() {
			for _, a := range his {
				c.askAnew(ctx, a)
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

func (c *crowd) askAnew(ctx context.Context, a *asked) {
	a.Lost = &Loss{Seen: len(a.Seen)}
	switch r, err := a.who.api.Receipt(ctx, a.Answers[0]); {
	case err == nil:
		a.Lost.Found = string(r.Status)
	case client.CodeOf(err) != client.CodeLost:
		a.Lost.Found = err.Error()
	}
	before := len(a.Answers)
	c.repeat(ctx, a, time.Now())
	if len(a.Answers) == before {
		return
	}
	a.Lost.Anew, a.Vanished = true, ""
	if !c.follow(ctx, a, time.Now(), client.Receipt.Decided) {
		return
	}
	e := errand{c, a.who, offer{Sale: client.Sale{ID: a.Sale, Kind: a.Kind}}, a.Key + "-anew"}
	if a.receipt.Status == client.Waiting {
		e.queue(ctx, a)
	}
	e.until(ctx, a, client.Receipt.Settled)
}

// CheckForgetful is Check for a Redis that forgets: what was lost may be, in the way
// that Loss tells. It is a pure function, too.
func CheckForgetful(h History) []Violation {
	_, found := checkForgetful(h)
	return found
}

func checkForgetful(h History) (l Linear, found []Violation) {
	asked := h.Requests
	h.Requests = nil
	excused := map[string]bool{} // keys of what is rejected as lost, or was taken in again
	for _, r := range asked {
		broken := func(rule Rule, detail string, args ...any) {
			found = append(found, Violation{rule, r.Key, r.Sale, fmt.Sprintf(detail, args...)})
		}
		last := r.last().Reason
		excused[r.Key] = last == client.ReasonLost || len(r.Earlier) > 0 && !slices.Contains(faults, last)
		if r.Lost == nil {
			h.Requests = append(h.Requests, r)
			continue
		}
		for _, s := range r.Seen[:r.Lost.Seen] {
			if s.Status != client.Queued {
				broken(Kept, "%s (%s) was shown, and then it was lost", s.Status, s.Reason)
				break
			}
		}
		if r.Lost.Found != "" {
			broken(Again, "%s was lost, and then: %s", r.Answers[0], r.Lost.Found)
		}
		if !r.Lost.Anew && answeredLost(r.Vanished) {
			if len(slices.Compact(slices.Sorted(slices.Values(r.Answers)))) > 1 {
				broken(OneReceipt, "answered with %q", r.Answers)
			}
			if r.Forgotten != "" && !slices.Contains(refusals, r.Forgotten) {
				broken(Refusals, "asked again, refused with %q", r.Forgotten)
			}
			continue // it never was
		}
		again := *r
		if again.Forgotten != "" && slices.Contains(refusals, again.Forgotten) {
			again.Forgotten = "" // while it was lost
		}
		h.Requests = append(h.Requests, &again)
	}
	h.Belongings = unanswered(h, asked)
	l, rest := check(h)
	for _, v := range rest {
		if v.Rule != NoneLost || !excused[v.Key] {
			found = append(found, v)
		}
	}
	return l, found
}

// unanswered leaves out of the belongings what a request brought whose answer never
// arrived, and which was refused when it was sent again: its key was forgotten by then.
// Each such request excuses one receipt, of its account and partition.
func unanswered(h History, asked []*Request) []Belonging {
	known, partition := map[string]bool{}, map[int64]int{}
	for _, r := range asked {
		for _, id := range r.Answers {
			known[id], partition[r.Sale] = true, partitionOf(id)
		}
	}
	type place struct {
		account   int64
		partition int
	}
	doubtful := map[place]int{}
	for _, r := range asked {
		if at, ok := partition[r.Sale]; ok && r.Doubtful {
			doubtful[place{r.Account, at}]++
		}
	}
	return slices.DeleteFunc(slices.Clone(h.Belongings), func(b Belonging) bool {
		at := place{b.Account, partitionOf(b.Receipt)}
		if known[b.Receipt] || doubtful[at] == 0 {
			return false
		}
		doubtful[at]--
		return true
	})
}
