package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/client"
)

// story is what became of one request. Its times are the buyer's.
type story struct {
	kind     client.Kind // of the sale
	verb     client.Verb
	refused  string    // code of the refusal at the door; then there is nothing else
	sent     time.Time // the first POST that was answered in the end
	accepted time.Time // zero: he never got an answer
	decided  time.Time // read as anything but queued; zero: unfinished
	last     client.Receipt
	named    int64 // per unit, at most, of a bid
	moved    int64 // points, to or from the buyer
	twice    bool  // the same key got a second receipt
	stale    bool  // promoted with the clock of somebody else's hold
}

// crowd is everybody who asks, and a count of it for those who watch.
type crowd struct {
	Options
	api    *client.Client
	lots   map[client.Kind]client.Sale
	prices []client.Step // of the auction

	mu      sync.Mutex
	stories []*story

	sent, accepted, refused, decided, confirmed, rejected atomic.Int64
}

func newCrowd(o Options, api *client.Client, lots map[client.Kind]client.Sale, prices []client.Step) *crowd {
	return &crowd{Options: o, api: api, lots: lots, prices: prices}
}

// priceAt is the price of the auction at t.
func (c *crowd) priceAt(t time.Time) int64 {
	price := c.lots[client.Auction].StartPrice
	for _, step := range c.prices {
		if step.At.After(t) {
			break
		}
		price = step.Price
	}
	return price
}

// play lets everybody ask at his moment, and returns when all journeys are at their
// end, or when nothing has moved for too long. Its only error is that ctx ended.
func (c *crowd) play(ctx context.Context, people []person) error {
	work, giveUp := context.WithCancel(ctx)
	defer giveUp()
	opening := time.Now()
	var all sync.WaitGroup
	for i, who := range people {
		all.Go(func() {
			if wait(work, time.Until(opening.Add(who.after))) == nil {
				c.journey(work, who, fmt.Sprintf("demo-%d", i))
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	c.watch(done, opening, giveUp)
	<-done
	return ctx.Err()
}

// post sends a request of the key and waits until it is decided. It answers nil
// when there is no receipt, or none that was decided.
func (c *crowd) post(ctx context.Context, s story, again bool, send func() (client.Receipt, error), api *client.Client) *story {
	told := &s
	c.mu.Lock()
	c.stories = append(c.stories, told)
	c.mu.Unlock()
	c.sent.Add(1)
	s.sent = time.Now()
	receipt, err := c.patiently(ctx, send)
	switch code := client.CodeOf(err); {
	case err == nil:
	case code != "" && ctx.Err() == nil:
		s.refused = string(code)
		c.refused.Add(1)
		return nil
	default:
		return nil // never answered
	}
	s.accepted, s.last = time.Now(), receipt
	c.accepted.Add(1)
	if again {
		if second, err := c.patiently(ctx, send); err == nil {
			s.twice = second.ID != receipt.ID
		}
	}
	if receipt, err = api.Wait(ctx, receipt); err != nil {
		return nil // unfinished
	}
	s.decided, s.last = time.Now(), receipt
	c.decided.Add(1)
	switch receipt.Status {
	case client.Rejected:
		c.rejected.Add(1)
	case client.Confirmed:
		c.confirmed.Add(1)
	}
	return told
}

// patiently sends a request until it is open: a buyer whose clock is a little ahead
// of the sale's is told that it is not, and comes again.
func (c *crowd) patiently(ctx context.Context, send func() (client.Receipt, error)) (client.Receipt, error) {
	for {
		receipt, err := send()
		var no *client.Problem
		if !errors.As(err, &no) || no.Code != client.CodeNotOpen {
			return receipt, err
		}
		if wait(ctx, max(no.RetryAfter, 10*time.Millisecond)) != nil {
			return receipt, err
		}
	}
}

// watch shows how it goes until done, and gives up when nothing moves any more.
func (c *crowd) watch(done <-chan struct{}, opening time.Time, giveUp func()) {
	every := 2 * time.Second
	if c.Terminal {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	moved, last := time.Now(), int64(0)
	for {
		select {
		case <-done:
			c.show(opening, true)
			return
		case <-tick.C:
		}
		c.show(opening, false)
		sum := c.sent.Load() + c.accepted.Load() + c.refused.Load() + c.decided.Load()
		switch {
		case sum != last:
			moved, last = time.Now(), sum
		case time.Since(moved) > patience+c.Spread:
			giveUp()
		}
	}
}

// show writes the progress line.
func (c *crowd) show(opening time.Time, end bool) {
	if c.Progress == nil {
		return
	}
	now := time.Now()
	accepted, decided := c.accepted.Load(), c.decided.Load()
	line := fmt.Sprintf("%5.1f s  price %s  sent %s  accepted %s  confirmed %s  rejected %s  queue %s  refused %s",
		now.Sub(opening).Seconds(), grouped(c.priceAt(now)), grouped(c.sent.Load()), grouped(accepted),
		grouped(c.confirmed.Load()), grouped(c.rejected.Load()), grouped(max(accepted-decided, 0)), grouped(c.refused.Load()))
	before, after := "", "\n"
	if c.Terminal {
		before = "\r\x1b[K" // back to the start, and clear the line
		if !end {
			before, after = before+"\x1b[?7l", "\x1b[?7h" // cut off at the edge: a wrapped line could not be rewritten
		}
	}
	fmt.Fprint(c.Progress, before, line, after)
}
