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

// story is what became of one bid. Its times are the buyer's.
type story struct {
	refused  string    // code of the refusal at the door; then there is nothing else
	receipt  string    // ID; "" if he never got an answer
	sent     time.Time // the first POST that was answered in the end
	accepted time.Time
	decided  time.Time // zero: unfinished
	status   string
	reason   string
	quantity int64
	price    int64 // per unit, paid
	named    int64 // per unit, at most
	twice    bool  // the same key got a second receipt
}

// crowd is all buyers, and a count of them for those who watch.
type crowd struct {
	Options
	api     *client.Client
	lot     client.Sale
	prices  []client.Step // of the lot
	stories []story

	sent, accepted, refused, confirmed, rejected atomic.Int64
}

// priceAt is the price of the lot at t.
func (c *crowd) priceAt(t time.Time) int64 {
	price := c.lot.StartPrice
	for _, step := range c.prices {
		if step.At.After(t) {
			break
		}
		price = step.Price
	}
	return price
}

// bid lets everybody bid at his moment, and returns when all have their verdict,
// or when nothing has moved for too long. Its only error is that ctx ended.
func (c *crowd) bid(ctx context.Context, buyers []buyer) error {
	work, giveUp := context.WithCancel(ctx)
	defer giveUp()
	opening := time.Now()
	var all sync.WaitGroup
	for i, b := range buyers {
		all.Go(func() {
			if wait(work, time.Until(opening.Add(b.after))) == nil {
				c.play(work, b, &c.stories[i])
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	c.watch(done, opening, giveUp)
	<-done
	return ctx.Err()
}

// play is one buyer: he looks at the price, bids, and waits for his verdict.
func (c *crowd) play(ctx context.Context, b buyer, s *story) {
	api := c.api.With(client.WithToken(b.token))
	seen := c.priceAt(time.Now())
	s.named, s.quantity = seen-seen*b.cut/100, b.quantity
	ask := client.Bid{Quantity: b.quantity, Price: s.named}
	c.sent.Add(1)
	s.sent = time.Now()
	receipt, err := c.post(ctx, api, b.key, ask)
	switch code := client.CodeOf(err); {
	case err == nil:
	case code != "" && ctx.Err() == nil:
		s.refused = string(code)
		c.refused.Add(1)
		return
	default:
		return // never answered
	}
	s.accepted, s.receipt = time.Now(), receipt.ID
	c.accepted.Add(1)
	if b.again {
		if second, err := c.post(ctx, api, b.key, ask); err == nil {
			s.twice = second.ID != s.receipt
		}
	}
	if receipt, err = api.Wait(ctx, receipt); err != nil {
		return // unfinished
	}
	s.decided = time.Now()
	s.status, s.reason, s.price = string(receipt.Status), string(receipt.Reason), receipt.UnitPrice
	if receipt.Status == client.Rejected {
		c.rejected.Add(1)
	} else {
		c.confirmed.Add(1)
	}
}

// post sends a bid, always under the same key. A buyer whose clock is a little
// ahead of the sale's is told that it is not open, and comes again.
func (c *crowd) post(ctx context.Context, api *client.Client, key string, ask client.Bid) (client.Receipt, error) {
	for {
		receipt, err := api.Bid(ctx, c.lot.ID, ask, client.WithKey(key))
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
		sum := c.sent.Load() + c.accepted.Load() + c.refused.Load() + c.rejected.Load() + c.confirmed.Load()
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
	decided := c.confirmed.Load() + c.rejected.Load()
	line := fmt.Sprintf("%5.1f s  price %s  sent %s  accepted %s  confirmed %s  rejected %s  queue %s  refused %s",
		now.Sub(opening).Seconds(), grouped(c.priceAt(now)), grouped(c.sent.Load()), grouped(c.accepted.Load()),
		grouped(c.confirmed.Load()), grouped(c.rejected.Load()), grouped(max(c.accepted.Load()-decided, 0)), grouped(c.refused.Load()))
	before, after := "", "\n"
	if c.Terminal {
		before = "\r\x1b[K" // back to the start, and clear the line
		if !end {
			before, after = before+"\x1b[?7l", "\x1b[?7h" // cut off at the edge: a wrapped line could not be rewritten
		}
	}
	fmt.Fprint(c.Progress, before, line, after)
}
