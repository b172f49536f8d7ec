package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/sale"
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
	fault    error // the last one, of an unfinished story
}

// crowd is all buyers, and a count of them for those who watch.
type crowd struct {
	Options
	lot     sale.Sale
	api     *client
	stories []story

	sent, accepted, refused, confirmed, rejected atomic.Int64
}

func newCrowd(o Options, lot sale.Sale) *crowd {
	return &crowd{Options: o, lot: lot, api: newClient(o.URL), stories: make([]story, o.Buyers)}
}

// bid lets everybody bid at his moment, and returns when all have their verdict,
// or when nothing has moved for too long. Its only error is that ctx ended.
func (c *crowd) bid(ctx context.Context, buyers []buyer) error {
	defer c.api.close()
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

// play is one buyer: he looks at the price, bids, and polls his receipt.
func (c *crowd) play(ctx context.Context, b buyer, s *story) {
	seen := c.lot.PriceAt(sale.At(time.Now()))
	s.named, s.quantity = seen-seen*b.cut/100, b.quantity
	ask := bid{Quantity: b.quantity, Price: s.named}
	c.sent.Add(1)
	s.sent = time.Now()
	answer, err := c.post(ctx, b, ask)
	var no *refusal
	switch {
	case errors.As(err, &no):
		s.refused = no.Code
		c.refused.Add(1)
		return
	case err != nil:
		s.fault = err
		return
	}
	s.accepted, s.receipt = time.Now(), answer.Receipt
	c.accepted.Add(1)
	if b.again {
		if second, err := c.post(ctx, b, ask); err == nil {
			s.twice = second.Receipt != s.receipt
		}
	}
	for answer.unsettled() {
		if wait(ctx, answer.pollAfter()) != nil {
			return
		}
		next, err := c.api.receipt(ctx, b.token, s.receipt)
		if err != nil {
			s.fault = err
			continue // as a client does: ask again, at the pace it was given
		}
		answer = next
	}
	s.decided, s.fault = time.Now(), nil
	s.status, s.reason, s.price = answer.Status, answer.Reason, answer.UnitPrice
	if s.status == sale.Rejected.String() {
		c.rejected.Add(1)
	} else {
		c.confirmed.Add(1)
	}
}

// post sends a bid until it is answered for good, always under the same key.
func (c *crowd) post(ctx context.Context, b buyer, ask bid) (answer, error) {
	for {
		a, err := c.api.bid(ctx, b.token, b.key, c.lot.ID, ask)
		if err == nil {
			return a, nil
		}
		pause := 500 * time.Millisecond // no answer at all: nobody knows what came of it, the key makes it safe to ask
		var no *refusal
		if errors.As(err, &no) {
			if !no.temporary() {
				return a, err
			}
			pause = no.after
		}
		if wait(ctx, pause) != nil {
			return a, err
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
		now.Sub(opening).Seconds(), grouped(c.lot.PriceAt(sale.At(now))), grouped(c.sent.Load()), grouped(c.accepted.Load()),
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
