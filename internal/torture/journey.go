package torture

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/client"
)

// What buyers do with what they got.
const (
	payShare    = 0.6  // of who holds something: he pays
	cancelShare = 0.2  // he cancels; the rest let it expire
	leaveShare  = 0.3  // of who waits in a line: he leaves it
	regretShare = 0.2  // of who has paid or joined: he cancels
	refundShare = 0.5  // of who has a bid of a sale that is closed: he wants his points back
	couponShare = 0.5  // of who has a coupon of the seller: he uses it
	twiceUsed   = 0.3  // of coupons that are used: also for something else, at the same moment
	bookShare   = 0.2  // of errands: he books a table
	exactShare  = 0.1  // of bids that insist on a price
	thinkMost   = 1200 // ms, before he pays: some are too late
)

// errand is one thing that a buyer wants, from the first request to the last thing
// that can happen to it.
func (c *crowd) errand(ctx context.Context, who *person, key string) {
	if c.refund(ctx, who, key) {
		return
	}
	if t, ok := c.market.table(who.dice); ok && who.dice.Float64() < bookShare {
		c.book(ctx, who, key, t)
		return
	}
	kinds := []client.Kind{client.Auction, client.Reservation, client.Reservation, client.Coupon, client.Event}
	o, ok := c.market.open(who.dice, kinds[who.dice.IntN(len(kinds))])
	if !ok {
		return
	}
	e := errand{c, who, o, key}
	switch o.Kind {
	case client.Auction:
		e.bid(ctx)
	case client.Reservation:
		e.reserve(ctx)
	case client.Coupon:
		e.claim(ctx)
	case client.Event:
		e.join(ctx)
	}
}

type errand struct {
	*crowd
	who *person
	offer
	key string
}

// ask sends one request of the errand.
func (e errand) ask(ctx context.Context, verb client.Verb, send func(context.Context, client.CallOption) (client.Receipt, error)) (*asked, bool) {
	return e.crowd.ask(ctx, e.who, e.who.dice, Request{
		Key: e.key + "-" + string(verb), Account: e.who.account, Kind: e.Kind, Verb: verb, Sale: e.ID,
	}, send)
}

func (e errand) likely(share float64) bool { return e.who.dice.Float64() < share }

func (e errand) quantity() int64 { return 1 + e.who.dice.Int64N(e.Limit) }

// bid: he takes the price of the moment, or insists on one that may be gone.
func (e errand) bid(ctx context.Context) {
	b := client.Bid{Quantity: e.quantity(), Price: startPrice}
	if e.likely(exactShare) {
		b.Exact, b.Price = true, startPrice-drop*int64(time.Since(e.OpensAt)/e.Period)
	}
	if e.fixed() {
		b.Coupon = e.coupon()
	}
	a, ok := e.ask(ctx, client.VerbBid, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return e.who.api.Bid(ctx, e.ID, b, key)
	})
	if ok && a.receipt.Status == client.Confirmed {
		e.who.bids = append(e.who.bids, bought{a, e.ClosesAt})
	}
}

// refund asks for the points of a bid of a closed sale, if there is one.
func (c *crowd) refund(ctx context.Context, who *person, key string) bool {
	if len(who.bids) == 0 || time.Now().Before(who.bids[0].closes) {
		return false
	}
	b := who.bids[0].asked
	who.bids = who.bids[1:]
	e := errand{c, who, offer{Sale: client.Sale{ID: b.Sale, Kind: b.Kind}}, key}
	if !e.likely(refundShare) {
		return false
	}
	e.undo(ctx, b, client.VerbRefund, who.api.Refund)
	return true
}

// reserve: he takes what he is given, waits if he has to, and pays, cancels or lets
// it go.
func (e errand) reserve(ctx context.Context) {
	wanted := client.Reserve{Quantity: e.quantity(), Coupon: e.coupon()}
	if wanted.Coupon != "" && e.likely(twiceUsed) {
		var beside sync.WaitGroup
		defer beside.Wait()
		beside.Go(e.again(ctx, wanted.Coupon))
	}
	a, ok := e.ask(ctx, client.VerbReserve, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return e.who.api.Reserve(ctx, e.ID, wanted, key)
	})
	if ok {
		e.end(ctx, a)
	}
}

// coupon takes one that is good for the offer out of his pocket; "" when he has none,
// or keeps it.
func (e errand) coupon() string {
	for i, mine := range e.who.coupons {
		if mine.seller == e.seller && e.likely(couponShare) {
			e.who.coupons = append(e.who.coupons[:i:i], e.who.coupons[i+1:]...)
			return mine.id
		}
	}
	return ""
}

// again uses a coupon that he uses already once more, at the same moment, and lets
// go of what he is given for it.
func (e errand) again(ctx context.Context, coupon string) func() {
	dice := rand.New(rand.NewPCG(e.who.dice.Uint64(), 5)) // his own are in use
	request := Request{Key: e.key + "-again", Account: e.who.account, Kind: e.Kind, Verb: client.VerbReserve, Sale: e.ID}
	return func() {
		a, ok := e.crowd.ask(ctx, e.who, dice, request, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
			return e.who.api.Reserve(ctx, e.ID, client.Reserve{Quantity: 1, Coupon: coupon}, key)
		})
		if ok {
			e.until(ctx, a, client.Receipt.Settled)
		}
	}
}

// join: he has a seat, or waits for one.
func (e errand) join(ctx context.Context) {
	n := e.quantity()
	a, ok := e.ask(ctx, client.VerbJoin, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return e.who.api.Join(ctx, e.ID, n, key)
	})
	if ok {
		e.end(ctx, a)
	}
}

// claim: he has a coupon, or not.
func (e errand) claim(ctx context.Context) {
	a, ok := e.ask(ctx, client.VerbClaim, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return e.who.api.Claim(ctx, e.ID, key)
	})
	if ok && a.receipt.Status == client.Confirmed {
		e.who.coupons = append(e.who.coupons, coupon{a.Answers[0], e.seller})
	}
}

// end goes with a purchase to its end.
func (e errand) end(ctx context.Context, a *asked) {
	if a.receipt.Status == client.Waiting {
		if e.likely(leaveShare) {
			e.undo(ctx, a, client.VerbCancel, e.who.api.Cancel)
		}
		if !e.until(ctx, a, func(r client.Receipt) bool { return r.Status != client.Waiting }) {
			return
		}
	}
	if a.receipt.Status == client.Held {
		switch dice := e.who.dice.Float64(); {
		case dice < payShare:
			if wait(ctx, time.Duration(e.who.dice.IntN(thinkMost))*time.Millisecond) != nil {
				return
			}
			e.ask(ctx, client.VerbPay, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
				return e.who.api.Pay(ctx, a.Answers[0], key)
			})
		case dice < payShare+cancelShare:
			e.undo(ctx, a, client.VerbCancel, e.who.api.Cancel)
		}
		if !e.until(ctx, a, client.Receipt.Settled) {
			return
		}
	}
	if a.receipt.Status == client.Confirmed && e.likely(regretShare) {
		e.key += "-regret"
		e.undo(ctx, a, client.VerbCancel, e.who.api.Cancel)
	}
}

// undo cancels or refunds a receipt, and sees that it is done if it is confirmed.
func (e errand) undo(ctx context.Context, a *asked, verb client.Verb, by func(context.Context, string, ...client.CallOption) (client.Receipt, error)) {
	off, ok := e.ask(ctx, verb, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return by(ctx, a.Answers[0], key)
	})
	if ok && off.receipt.Status == client.Confirmed {
		e.until(ctx, a, func(r client.Receipt) bool { return r.Status == client.Cancelled || r.Status == client.Refunded })
	}
}

func (e errand) until(ctx context.Context, a *asked, is func(client.Receipt) bool) bool {
	return e.follow(ctx, a, time.Now(), is)
}
