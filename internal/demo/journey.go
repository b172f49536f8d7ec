package demo

import (
	"context"
	"time"

	"sluice/client"
)

// journey is what one person does, from his first request to the last thing that
// can happen to it.
func (c *crowd) journey(ctx context.Context, who person, key string) {
	j := &traveller{crowd: c, person: who, api: c.api.With(client.WithToken(who.token)), key: key}
	switch who.kind {
	case client.Auction:
		j.bid(ctx)
	case client.Reservation:
		j.reserve(ctx, "")
	case client.Coupon:
		j.claim(ctx)
	case client.Event:
		j.joinIn(ctx)
	}
}

// traveller is a person on his journey.
type traveller struct {
	*crowd
	person
	api *client.Client
	key string
}

// ask sends one request about a sale, under a key of its own.
func (j *traveller) ask(ctx context.Context, s story, send func(key client.CallOption) (client.Receipt, error)) *story {
	if s.kind == "" {
		s.kind = j.kind
	}
	key := client.WithKey(j.key + "-" + string(s.verb))
	return j.post(ctx, s, j.again, func() (client.Receipt, error) { return send(key) }, j.api)
}

// bid: he looks at the price, bids, and waits for his verdict.
func (j *traveller) bid(ctx context.Context) {
	seen := j.priceAt(time.Now())
	named := seen - seen*j.cut/100
	s := j.ask(ctx, story{verb: client.VerbBid, named: named}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Bid(ctx, j.lots[client.Auction].ID, client.Bid{Quantity: j.quantity, Price: named}, key)
	})
	if s != nil && s.last.Status == client.Confirmed {
		s.moved = s.last.Amount
	}
}

// reserve: he takes what he is given, waits if he has to, and pays, cancels or lets
// it go.
func (j *traveller) reserve(ctx context.Context, coupon string) {
	lot := j.lots[client.Reservation]
	s := j.ask(ctx, story{kind: lot.Kind, verb: client.VerbReserve}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Reserve(ctx, lot.ID, client.Reserve{Quantity: j.quantity, Coupon: coupon}, key)
	})
	if s == nil {
		return
	}
	if s.last.Status == client.Waiting {
		if !j.until(ctx, s, func(r client.Receipt) bool { return r.Status != client.Waiting }) {
			return
		}
		// The clock of a promotion starts when it happens, which is after the request.
		s.stale = s.last.Status == client.Held && s.last.PayBy.Sub(s.last.RequestedAt) <= lot.Hold
	}
	if s.last.Status != client.Held {
		return
	}
	switch j.does {
	case pays:
		j.payFor(ctx, s)
	case cancels:
		j.callOff(ctx, s)
	}
	j.until(ctx, s, func(r client.Receipt) bool { return r.Status != client.Held })
}

// payFor pays a hold, after a moment's thought; some regret it.
func (j *traveller) payFor(ctx context.Context, s *story) {
	if wait(ctx, j.ponders) != nil {
		return
	}
	paid := j.ask(ctx, story{kind: s.kind, verb: client.VerbPay}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Pay(ctx, s.last.ID, key)
	})
	if paid == nil || paid.last.Status != client.Confirmed {
		return
	}
	paid.moved = s.last.Amount
	if paid.last.Quantity == 0 { // not so late that it bought anew
		j.until(ctx, s, func(r client.Receipt) bool { return r.Status != client.Held })
	}
	if j.regrets {
		j.callOff(ctx, s)
	}
}

// callOff cancels what he has. What was paid comes back.
func (j *traveller) callOff(ctx context.Context, s *story) {
	if wait(ctx, j.ponders) != nil {
		return
	}
	had := s.last
	off := j.ask(ctx, story{kind: s.kind, verb: client.VerbCancel}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Cancel(ctx, had.ID, key)
	})
	if off == nil || off.last.Status != client.Confirmed {
		return
	}
	if had.Status == client.Confirmed {
		off.moved = had.Amount
	}
	j.until(ctx, s, func(r client.Receipt) bool { return r.Status == client.Cancelled })
}

// claim: he gets a coupon or not; some use it on the reservation at once.
func (j *traveller) claim(ctx context.Context) {
	s := j.ask(ctx, story{verb: client.VerbClaim}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Claim(ctx, j.lots[client.Coupon].ID, key)
	})
	if s != nil && s.last.Status == client.Confirmed && j.uses {
		j.reserve(ctx, s.last.ID)
	}
}

// joinIn: he has a seat, or waits for one until the event closes. Some do not come.
func (j *traveller) joinIn(ctx context.Context) {
	s := j.ask(ctx, story{verb: client.VerbJoin}, func(key client.CallOption) (client.Receipt, error) {
		return j.api.Join(ctx, j.lots[client.Event].ID, j.quantity, key)
	})
	if s == nil {
		return
	}
	if s.last.Status == client.Waiting && !j.until(ctx, s, func(r client.Receipt) bool { return r.Status != client.Waiting }) {
		return
	}
	if s.last.Status == client.Confirmed && j.regrets {
		j.callOff(ctx, s)
	}
}

// until follows a receipt until it is as he waits for it, and says whether it came
// to that.
func (j *traveller) until(ctx context.Context, s *story, is func(client.Receipt) bool) bool {
	r, err := j.api.WaitUntil(ctx, s.last, is)
	if err != nil {
		s.decided = time.Time{}
		return false
	}
	s.last = r
	return true
}
