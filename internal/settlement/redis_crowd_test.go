package settlement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/audit"
	"sluice/internal/housetest"
	"sluice/internal/sale"
)

// crowd is buyers who ask, follow their receipts and repeat themselves while Redis is
// broken, and complain about all that nobody may be told.
type crowd struct {
	*housetest.House
	auction, seats, show sale.Sale // of many units; of few, held and with a line; sold out at once

	ctx     context.Context // ends when they are to begin nothing new
	all     sync.WaitGroup
	lost    atomic.Int64
	decided atomic.Int64
	full    atomic.Int64 // refused as overloaded

	mu     sync.Mutex
	wishes []*wish
}

// wish is one request, which may be sent more than once.
type wish struct {
	by   admission.Asker
	ask  func(context.Context, admission.Asker) (sale.Standing, error)
	id   uuid.UUID
	told sale.Receipt // as it was last seen decided
}

// gather opens a house over a Redis, with sales and buyers who ask until disperse.
func gather(t *testing.T, redisURL string) (c *crowd, disperse func()) {
	t.Helper()
	c = &crowd{House: housetest.Over(t, redisURL)}
	offer := func(s sale.Sale) sale.Sale {
		now := sale.At(time.Now())
		s.Seller, s.Title, s.OpensAt, s.ClosesAt, s.RefundWindow = c.Seller, "lamp", now, now.Add(time.Hour), time.Hour
		s, err := c.Ledger.CreateSale(c.Ctx, s, 2)
		c.Must(err)
		return s
	}
	c.auction = offer(sale.Sale{Kind: sale.Auction, Stock: 500, Limit: 500, Price: sale.Price{Policy: sale.Constant, Start: 2, Drop: 1, Period: time.Hour}})
	c.seats = offer(sale.Sale{Kind: sale.Reservation, Stock: 3, Limit: 1, Hold: time.Second, LineMost: 100, Price: sale.Price{Policy: sale.Fixed, Start: 1}})
	c.show = offer(sale.Sale{Kind: sale.Event, Stock: 2, Limit: 1, Hold: time.Second, Price: sale.Price{Policy: sale.Fixed}})
	ctx, cancel := context.WithCancel(c.Ctx)
	c.ctx = ctx
	for i, buyer := range c.Buyers {
		c.all.Go(func() { c.live(i, buyer) })
	}
	return c, func() {
		cancel()
		c.all.Wait()
	}
}

// live is what one buyer does.
func (c *crowd) live(i int, buyer int64) {
	dice := rand.New(rand.NewPCG(7, uint64(i)))
	for n := 0; c.ctx.Err() == nil && !c.T.Failed(); n++ {
		w := &wish{by: admission.Asker{Account: buyer}}
		if n%4 != 0 {
			w.by.Key = strconv.Itoa(n)
		}
		switch dice.IntN(3) {
		case 0:
			w.ask = func(ctx context.Context, by admission.Asker) (sale.Standing, error) {
				return c.Admission.Bid(ctx, by, c.auction.ID, 1, 2, false, uuid.Nil)
			}
		case 1:
			w.ask = func(ctx context.Context, by admission.Asker) (sale.Standing, error) {
				return c.Admission.Reserve(ctx, by, c.seats.ID, 1, uuid.Nil)
			}
		case 2:
			w.ask = func(ctx context.Context, by admission.Asker) (sale.Standing, error) {
				return c.Admission.Join(ctx, by, c.show.ID, 1)
			}
		}
		if !c.pursue(w) {
			continue
		}
		if s := w.told.Status; (s == sale.Held || s == sale.Waiting) && dice.IntN(3) > 0 {
			pay := s == sale.Held && dice.IntN(2) == 0
			c.pursue(&wish{by: admission.Asker{Account: buyer, Key: w.by.Key + " undo"}, ask: func(ctx context.Context, by admission.Asker) (sale.Standing, error) {
				if pay {
					return c.Admission.Pay(ctx, by, w.id)
				}
				return c.Admission.Cancel(ctx, by, w.id)
			}})
		}
		c.repeat(w)
		if before := c.any(dice); before != nil && before.by.Account == buyer {
			c.repeat(before)
			c.look(before)
		}
	}
}

// any answers a wish of anybody's.
func (c *crowd) any(dice *rand.Rand) *wish {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wishes) == 0 {
		return nil
	}
	return c.wishes[dice.IntN(len(c.wishes))]
}

// pursue sends w until it is decided, and says whether it was.
func (c *crowd) pursue(w *wish) bool {
	for c.submit(w) {
		for {
			again, err := c.Receipts.Get(c.Ctx, w.by.Account, w.id)
			switch {
			case err == nil && again.Status == sale.Queued:
			case err == nil && again.Reason == sale.Lost:
				c.lost.Add(1)
				return false
			case err == nil:
				c.see(w, again.Receipt)
				c.mu.Lock()
				c.wishes = append(c.wishes, w)
				c.mu.Unlock()
				c.decided.Add(1)
				return true
			case errors.Is(err, sale.ErrLost):
				c.lost.Add(1)
			default:
				c.mayPass(w, err)
			}
			if errors.Is(err, sale.ErrLost) {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		if w.by.Key == "" {
			return false
		}
	}
	return false
}

// submit sends w until there is an answer, and says whether it is a receipt.
func (c *crowd) submit(w *wish) bool {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		standing, err := w.ask(c.Ctx, w.by)
		var refusal *sale.Refusal
		switch {
		case err == nil:
			if w.by.Key != "" && w.id != uuid.Nil && w.id != standing.ID {
				c.T.Errorf("key %q of %d has receipts %s and %s", w.by.Key, w.by.Account, w.id, standing.ID)
			}
			w.id = standing.ID
			return true
		case errors.As(err, &refusal) && refusal.Code != sale.RefusedLoading && refusal.Code != sale.RefusedOverload:
			return false
		case errors.As(err, &refusal) && refusal.Code == sale.RefusedOverload:
			c.full.Add(1)
		case errors.Is(err, sale.ErrLost), errors.Is(err, sale.ErrUnknown):
			c.T.Errorf("the target of %q of %d, which was decided: %v", w.by.Key, w.by.Account, err)
			return false
		}
		if time.Since(began) > time.Minute {
			c.T.Errorf("not let in for a minute: %v", err)
			return false
		}
	}
}

// repeat sends a decided wish once more, under its key: the answer is the same
// receipt, and not that it is queued.
func (c *crowd) repeat(w *wish) {
	if w.by.Key == "" {
		return
	}
	standing, err := w.ask(c.Ctx, w.by)
	var refusal *sale.Refusal
	switch {
	case err == nil && standing.ID != w.id:
		c.T.Errorf("key %q of %d has receipts %s and %s", w.by.Key, w.by.Account, w.id, standing.ID)
	case err == nil:
		c.see(w, standing.Receipt)
	case errors.As(err, &refusal) && refusal.Code != sale.RefusedLoading && refusal.Code != sale.RefusedOverload:
		c.T.Errorf("key %q of %d, which was decided, is refused as %s", w.by.Key, w.by.Account, refusal.Code)
	}
}

// look reads a decided wish once more.
func (c *crowd) look(w *wish) {
	standing, err := c.Receipts.Get(c.Ctx, w.by.Account, w.id)
	if err == nil {
		c.see(w, standing.Receipt)
		return
	}
	c.mayPass(w, err)
}

// mayPass complains about an error that tells something false.
func (c *crowd) mayPass(w *wish, err error) {
	if errors.Is(err, sale.ErrUnknown) || errors.Is(err, sale.ErrLost) || errors.Is(err, sale.ErrNotYours) {
		c.T.Errorf("receipt %s of %d, last seen %s: %v", w.id, w.by.Account, w.told.Status, err)
	}
}

// see notes how a wish stands, and complains when that cannot come of what was told.
func (c *crowd) see(w *wish, now sale.Receipt) {
	was := w.told
	if was.Status != 0 && !follows(was.Status, now.Status) || was.Status == sale.Rejected && now.Reason != was.Reason {
		c.T.Errorf("receipt %s of %d was %s %s, and is %s %s", w.id, w.by.Account, was.Status, was.Reason, now.Status, now.Reason)
	}
	w.told = now
}

// follows says whether b may be seen after a.
func follows(a, b sale.Status) bool {
	if a == b {
		return true
	}
	for _, next := range []sale.Status{sale.Confirmed, sale.Held, sale.Waiting, sale.Rejected, sale.Expired, sale.Cancelled, sale.Refunded} {
		if a.CanBecome(next) && follows(next, b) {
			return true
		}
	}
	return false
}

// proves reads and sends everything once more, audits, and says what there was.
func (c *crowd) proves() {
	c.T.Helper()
	for _, w := range c.wishes {
		c.Until(fmt.Sprintf("receipt %s can be read", w.id), func() bool {
			_, err := c.Receipts.Get(c.Ctx, w.by.Account, w.id)
			c.mayPass(w, err)
			return err == nil || c.T.Failed()
		})
		c.look(w)
		c.repeat(w)
	}
	var report audit.Report
	c.Until("the audit holds still", func() bool {
		var err error
		report, err = audit.New(c.Partitions, c.Ledger).Run(c.Ctx)
		c.Must(err)
		return report.Verdict != audit.Busy && report.Unfinished == 0
	})
	if report.Verdict != audit.OK || report.Oversold+report.Inversions != 0 {
		c.T.Errorf("audit %+v", report)
	}
	c.T.Logf("%d decided, %d lost, %d refused since it was full; %d receipts, %d batches", c.decided.Load(), c.lost.Load(), c.full.Load(), report.Receipts, report.Batches)
	if c.decided.Load() == 0 {
		c.T.Error("nothing was decided")
	}
}

// goesOn waits until so many more are decided.
func (c *crowd) goesOn(more int64) {
	c.T.Helper()
	from := c.decided.Load()
	c.Until("more is decided", func() bool { return c.decided.Load() >= from+more || c.T.Failed() })
}
