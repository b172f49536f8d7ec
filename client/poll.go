package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const batchMost = 100 // receipts that the API answers at once

// Polled is what the API says of one of many receipts.
type Polled struct {
	Receipt Receipt  // of which only the ID is set where nothing else was ever known
	Problem *Problem // nil: the receipt is there
}

// Poll asks after many receipts of the account that c speaks for, with one request
// for every 100 of them, and answers them in the order asked. What is wrong with one
// is its own Problem: [CodeUnknownReceipt], [CodeNotYours], [CodeLost]. The PollAfter
// of each that is queued or waiting says when to ask after all of them again.
func (c *Client) Poll(ctx context.Context, ids ...string) ([]Polled, error) {
	once := slices.Compact(slices.Sorted(slices.Values(ids)))
	found := make(map[string]Polled, len(once))
	once = slices.DeleteFunc(once, func(id string) bool {
		if isID(id) {
			return false
		}
		found[id] = Polled{Receipt{ID: id}, &Problem{Status: http.StatusNotFound, Code: CodeUnknownReceipt, Title: "This is no ID of a receipt"}}
		return true // it would spoil the question for all others
	})
	for batch := range slices.Chunk(once, batchMost) {
		if err := c.pollBatch(ctx, batch, found); err != nil {
			return nil, err
		}
	}
	all := make([]Polled, len(ids))
	for i, id := range ids {
		all[i] = found[id]
	}
	return all, nil
}

// isID says whether id is a UUID as the API writes it.
func isID(id string) bool {
	for i, b := range []byte(id) {
		switch i {
		case 8, 13, 18, 23:
			if b != '-' {
				return false
			}
		default:
			if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
				return false
			}
		}
	}
	return len(id) == 36
}

// pollBatch finds the receipts of these IDs, at most batchMost and each once.
func (c *Client) pollBatch(ctx context.Context, ids []string, found map[string]Polled) error {
	var answer struct {
		Receipts []Receipt `json:"receipts"`
		Problems []struct {
			ID string `json:"receipt"`
			Problem
			RetryAfterMS int64 `json:"retry_after_ms"`
		} `json:"problems"`
		PollAfterMS int64 `json:"poll_after_ms"`
	}
	k := &call{method: http.MethodGet, path: receiptsPath[:len(receiptsPath)-1], query: url.Values{"id": ids}, into: &answer}
	if err := c.do(ctx, k); err != nil {
		return err
	}
	for _, r := range answer.Receipts {
		if answer.PollAfterMS > 0 && (r.Status == Queued || r.Status == Waiting) {
			r.PollAfter = milliseconds(answer.PollAfterMS)
		}
		found[r.ID] = Polled{Receipt: r}
	}
	for _, p := range answer.Problems {
		p.RetryAfter = milliseconds(p.RetryAfterMS)
		found[p.ID] = Polled{Receipt{ID: p.ID}, &p.Problem}
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return fmt.Errorf("GET %s: the answer does not say what became of %s", k.path, id)
		}
	}
	return nil
}

// WaitAll is [Client.Wait] for many receipts at once: it asks after them in batches,
// as often as the API wants it to, until each is decided or has a Problem that does
// not pass, and answers them in the order given. With an error come all of them as
// they were last seen.
func (c *Client) WaitAll(ctx context.Context, receipts ...Receipt) ([]Polled, error) {
	all := make([]Polled, len(receipts))
	pause := pollMost
	for i, r := range receipts {
		all[i].Receipt = r
		switch {
		case r.Status == "":
			pause = 0
		case all[i].open():
			pause = min(pause, r.pause())
		}
	}
	var fault error
	for {
		var open []string
		for _, p := range all {
			if p.open() {
				open = append(open, p.Receipt.ID)
			}
		}
		if len(open) == 0 {
			return all, nil
		}
		if err := sleep(ctx, pause); err != nil {
			if fault != nil {
				err = fmt.Errorf("%w; %w", err, fault)
			}
			return all, fmt.Errorf("%d of %d receipts: %w", len(open), len(all), err)
		}
		polled, err := c.Poll(ctx, open...)
		switch {
		case err == nil:
			pause, fault = merge(all, polled), nil
		case ctx.Err() == nil && recovers(err):
			pause, fault = spread(min(max(retryAfterOf(err), pollFault), pollMost)), err
		default:
			return all, fmt.Errorf("%d of %d receipts: %w", len(open), len(all), err)
		}
	}
}

// merge puts what was polled in the places of those that were open, in their order,
// and answers how long to wait before asking again: no batch is asked for sooner than
// the API wants it.
func merge(all, polled []Polled) (pause time.Duration) {
	for i := range all {
		if !all[i].open() {
			continue
		}
		next := polled[0]
		polled = polled[1:]
		if all[i].Problem = next.Problem; next.Problem == nil {
			all[i].Receipt = next.Receipt
		}
		switch {
		case !all[i].open():
		case next.Problem != nil:
			pause = max(pause, min(max(next.Problem.RetryAfter, pollFault), pollMost))
		default:
			pause = max(pause, next.Receipt.pause())
		}
	}
	return pause
}

// open says whether it is worth asking after p again.
func (p Polled) open() bool {
	if p.Problem != nil {
		return passes(p.Problem)
	}
	return !p.Receipt.Decided()
}
