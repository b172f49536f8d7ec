package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/client"
)

// The market.
const (
	sellers    = 3
	roundEvery = 4 * time.Second // a sale of each kind is offered so often
	opensIn    = 1500 * time.Millisecond

	auctionLength    = time.Minute
	startPrice, drop = 1000, 10 // of an auction
	unitPrice        = 300      // of a reservation; of some events
	amountOff        = 100
	growShare        = 0.4 // of the sales that grow while they are open
	extendShare      = 0.4 // of the sales, but auctions, whose close is put off
	fixedShare       = 0.3 // of the auctions whose price never falls: coupons are good for them
	offerTries       = 3
)

// offer is a sale that can be asked for things.
type offer struct {
	client.Sale           // as it was made
	seller      int       // which one: a coupon is worth something only with its own
	until       time.Time // its close by now
}

// fixed says whether it is an auction whose price does not fall.
func (o offer) fixed() bool { return o.Kind == client.Auction && o.Period == auctionLength }

// market is the offers that there are.
type market struct {
	mu     sync.Mutex
	offers []offer
	tables []table
}

// open answers an open sale, one of the newest of the kind; false when there is none.
func (m *market) open(dice *rand.Rand, kind client.Kind) (offer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []offer
	now := time.Now()
	for i := len(m.offers) - 1; i >= 0 && len(found) < 3; i-- {
		if o := m.offers[i]; o.Kind == kind && now.After(o.OpensAt) && now.Before(o.until) {
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return offer{}, false
	}
	return found[dice.IntN(len(found))], true
}

func (m *market) add(o offer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offers = append(m.offers, o)
}

// extend puts the close of an offer off.
func (m *market) extend(sale int64, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.offers {
		if o := &m.offers[i]; o.ID == sale {
			o.until = until
		}
	}
}

// sell offers sales until end.
func (c *crowd) sell(ctx context.Context, end time.Time) {
	dice := rand.New(rand.NewPCG(c.seed, 2))
	var all sync.WaitGroup
	defer all.Wait()
	for i := range c.sellers {
		all.Go(func() { c.openStore(ctx, i) })
		all.Go(func() { c.offerQuietly(ctx, i) })
	}
	for round := 0; time.Now().Add(opensIn).Before(end); round++ {
		next := time.Now().Add(roundEvery)
		for _, kind := range []client.Kind{client.Auction, client.Reservation, client.Coupon, client.Event} {
			which, n := dice.IntN(sellers), dice.Uint64()
			all.Go(func() {
				c.offer(ctx, which, kind, fmt.Sprintf("offer-%d-%s", round, kind), rand.New(rand.NewPCG(n, 3)), end)
			})
		}
		if wait(ctx, time.Until(next)) != nil {
			return
		}
	}
}

// offer makes one sale, and lets it grow and last. One whose making is held up until it
// should have opened is refused; then it is tried anew.
func (c *crowd) offer(ctx context.Context, which int, kind client.Kind, key string, dice *rand.Rand, end time.Time) {
	seller := c.sellers[which]
	for try := range offerTries {
		made, err := seller.api.CreateSale(ctx, newSale(kind, dice), client.WithKey(fmt.Sprintf("%s-%d", key, try)))
		switch code := client.CodeOf(err); {
		case err == nil:
			c.record.offered(made.ID, made.Stock.Total)
			c.market.add(offer{made, which, made.ClosesAt})
			if c.waiting != nil {
				c.waiting.sale(made.ID)
			}
			var beside sync.WaitGroup
			defer beside.Wait()
			later := rand.New(rand.NewPCG(dice.Uint64(), 4))
			beside.Go(func() { c.extend(ctx, seller, made, key, later, end) })
			c.grow(ctx, seller, made, key, dice, end)
			return
		case ctx.Err() != nil:
			return
		case code != client.CodeInvalidFields:
			r := c.record.begin(Request{Key: key, Account: seller.account, Kind: kind})
			r.Refused = err.Error()
			return
		}
	}
}

// newSale throws the dice for what is offered.
func newSale(kind client.Kind, dice *rand.Rand) client.NewSale {
	opens := time.Now().Add(opensIn)
	n := client.NewSale{
		Kind: kind, Title: "torture", Stock: 10 + dice.Int64N(60), Limit: 1 + dice.Int64N(3),
		OpensAt: opens, ClosesAt: opens.Add(between(dice, 3*time.Second, 9*time.Second)),
	}
	switch kind {
	case client.Auction:
		n.ClosesAt = opens.Add(auctionLength)
		n.Policy, n.StartPrice, n.Drop, n.Period = client.Constant, startPrice, drop, time.Second
		if dice.Float64() < fixedShare {
			n.Period = auctionLength
		}
		if dice.IntN(2) == 0 {
			n.RefundWindow = new(time.Duration(0)) // paid out as soon as it closes
		}
	case client.Reservation:
		n.UnitPrice, n.Hold, n.Line = unitPrice, time.Duration(1+dice.IntN(3))*time.Second, 5+dice.Int64N(40)
	case client.Coupon:
		n.Limit, n.AmountOff, n.ValidUntil = 1, amountOff, n.ClosesAt.Add(time.Hour)
	case client.Event:
		n.Line = dice.Int64N(40)
		if dice.IntN(2) == 0 {
			n.UnitPrice, n.Hold = unitPrice, 2*time.Second
		}
	}
	return n
}

// grow adds to the stock of some sales while they are open.
func (c *crowd) grow(ctx context.Context, seller *person, s client.Sale, key string, dice *rand.Rand, end time.Time) {
	by, at := 1+dice.Int64N(20), s.OpensAt.Add(between(dice, 0, 3*time.Second))
	if dice.Float64() > growShare || at.After(end) || wait(ctx, time.Until(at)) != nil {
		return
	}
	request := Request{Key: key + "-grow", Account: seller.account, Kind: s.Kind, Verb: client.VerbChange, Sale: s.ID, Grown: by}
	c.ask(ctx, seller, dice, request, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return seller.api.GrowStock(ctx, s.ID, by, key)
	})
}

// extend puts the close of some sales off while they are open. Buyers hear of it.
func (c *crowd) extend(ctx context.Context, seller *person, s client.Sale, key string, dice *rand.Rand, end time.Time) {
	at, until := s.OpensAt.Add(between(dice, 0, s.ClosesAt.Sub(s.OpensAt))), s.ClosesAt.Add(between(dice, time.Second, 4*time.Second))
	if s.Kind == client.Auction || dice.Float64() > extendShare || at.After(end) || wait(ctx, time.Until(at)) != nil {
		return
	}
	request := Request{Key: key + "-extend", Account: seller.account, Kind: s.Kind, Verb: client.VerbChange, Sale: s.ID}
	a, ok := c.ask(ctx, seller, dice, request, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return seller.api.ExtendSale(ctx, s.ID, until, key)
	})
	if ok && a.receipt.Status == client.Confirmed {
		c.market.extend(s.ID, until)
	}
}
