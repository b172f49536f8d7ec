package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const holdMost = 20 * time.Second // that an answer is held for

// Bounds of what Wait does between two questions.
const (
	pollLeast = 10 * time.Millisecond
	pollMost  = longestPause
	pollFault = time.Second
	pollSlow  = time.Second // when the API does not say, since nothing is queued
)

// Wait asks after a queued receipt until it is decided, and answers what came of
// it. A receipt of which only the ID is set is asked after at once. Wait lasts as
// long as ctx does, through every fault that passes: with ctx's error come the
// receipt as it was last seen and the last fault.
func (c *Client) Wait(ctx context.Context, r Receipt) (Receipt, error) {
	return c.WaitUntil(ctx, r, Receipt.Decided)
}

// WaitUntil is Wait until the receipt is as wanted, which is asked of every state
// that is seen: [Receipt.Settled] for the end of a hold or of a place in the line. A
// state may pass unseen between two questions, and so do positions while the API
// holds its answer: [Client.Follow] sees them move.
func (c *Client) WaitUntil(ctx context.Context, r Receipt, wanted func(Receipt) bool) (Receipt, error) {
	var tag string
	var fault error
	var pause time.Duration
	plain := r.Status == "" // what wanted has not been asked of is not waited for
	if !plain && c.hold(ctx) == 0 {
		pause = r.pause()
	}
	for r.Status == "" || !wanted(r) {
		if err := sleep(ctx, pause); err != nil {
			if fault != nil {
				err = fmt.Errorf("%w; %w", err, fault)
			}
			return r, fmt.Errorf("receipt %s: %w", r.ID, err)
		}
		var hold time.Duration
		if !plain {
			hold = c.hold(ctx)
		}
		asked := time.Now()
		seen, err := c.look(ctx, r, tag, hold)
		switch {
		case err == nil && seen.held && (seen.Status != r.Status || time.Since(asked) >= hold/2):
			pause = pollLeast
		case err == nil && r.Status == "" && c.hold(ctx) > 0: // from here on it can be held
			pause = 0
		case err == nil: // it was not held, or let go without news: those who ask are too many, or the API is being stopped
			pause = seen.pause()
		case ctx.Err() == nil && recovers(err):
			fault, plain = err, true // what breaks held answers must not keep the news from us
			pause = spread(min(max(retryAfterOf(err), pollFault), pollMost))
			continue
		default:
			return r, err
		}
		r, tag, fault, plain = seen.Receipt, seen.tag, nil, c.polling
	}
	return r, nil
}

// hold is how long an answer may be held: whole seconds that leave the caller's own
// time limits room, and end not long after ctx; 0: it is better not to ask for it.
func (c *Client) hold(ctx context.Context) time.Duration {
	hold := holdMost
	if c.polling {
		return 0
	}
	if c.theirs {
		hold = within(hold, c.http.Timeout)
	}
	if t, ok := c.http.Transport.(*http.Transport); ok {
		if t.MaxConnsPerHost > 0 {
			return 0 // held answers would keep its few connections from all other calls
		}
		hold = within(hold, t.ResponseHeaderTimeout)
	}
	if deadline, ok := ctx.Deadline(); ok {
		hold = min(hold, time.Until(deadline)+time.Second)
	}
	return max(0, hold.Truncate(time.Second))
}

// within is d, or as much of it as a time limit leaves; 0 is none.
func within(d, limit time.Duration) time.Duration {
	if limit <= 0 {
		return d
	}
	return min(d, limit/3*2)
}

// sight is a receipt as it was seen.
type sight struct {
	Receipt
	tag  string // of just this state; "": it has none
	held bool   // the API was ready to hold the answer
}

// look asks after r, of which the state called tag is known. With a hold, the answer
// may take so long while nothing changes, and is asked for once.
func (c *Client) look(ctx context.Context, r Receipt, tag string, hold time.Duration) (sight, error) {
	var seen sight
	k := &call{method: http.MethodGet, path: receiptPath(r.ID), into: &seen.Receipt, header: http.Header{}}
	if hold > 0 {
		k.hold, k.single = hold, true
		k.header.Set("Prefer", "wait="+strconv.Itoa(int(hold/time.Second)))
		if tag != "" {
			k.header.Set(ifNoneMatch, tag)
		}
	}
	if err := c.do(ctx, k); err != nil {
		return sight{}, err
	}
	if k.status == http.StatusNotModified {
		seen.Receipt, seen.tag = r, tag
	} else if tag := k.answer.Get("ETag"); visible(tag) {
		seen.tag = tag
	}
	seen.held = hold > 0 && applied(k.answer, "wait")
	return seen, nil
}

// applied says whether the API did as it was asked to by the preference of this name
// (RFC 7240, section 3).
func applied(answer http.Header, name string) bool {
	for part := range strings.SplitSeq(strings.Join(answer.Values("Preference-Applied"), ","), ",") {
		token, _, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(token), name) {
			return true
		}
	}
	return false
}

// pause is how long to wait before asking after r again. What the API says is spread
// by it.
func (r Receipt) pause() time.Duration {
	if r.PollAfter == 0 && r.Decided() {
		return pollSlow
	}
	return min(max(r.PollAfter, pollLeast), pollMost)
}
