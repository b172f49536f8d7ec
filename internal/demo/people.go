package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// What people are like.
const (
	richPoints  = 3 * startPrice
	poorPoints  = startPrice / 100
	poorShare   = 0.03 // bidders with too few points
	againShare  = 0.02 // requests that are sent once more under the same key
	soldOutAt   = 0.7  // of the spread: about when the last unit of the auction should go
	accountsAt1 = 10_000

	payShare    = 0.6  // of who holds something: he pays
	cancelShare = 0.15 // he cancels; the rest let it expire
	regretShare = 0.15 // of who has paid or joined: he cancels all the same
	couponShare = 0.05 // of who got a coupon: he uses it on the reservation
	ponders     = time.Second
)

// person is one of the crowd.
type person struct {
	token string
	kind  client.Kind   // of the sale he came for
	after time.Duration // of opening, when he asks

	quantity int64
	cut      int64 // percent below the price he sees that a bidder names; 0: he takes it
	again    bool  // sends his request once more
	does     decision
	regrets  bool
	uses     bool          // his coupon
	ponders  time.Duration // before he pays, cancels or regrets
}

// decision is what somebody does with a hold.
type decision int

const (
	pays decision = iota
	cancels
	letsGo
)

// invite makes everybody's account, with points, and what each will do.
func invite(ctx context.Context, p *process.Process, o Options) (people []person, err error) {
	for _, kind := range kinds {
		crowd := o.crowdOf(kind)
		poor := 0
		if kind == client.Auction {
			poor = int(float64(crowd) * poorShare)
		}
		accounts, err := create(ctx, p, crowd-poor, richPoints)
		if err != nil {
			return nil, err
		}
		short, err := create(ctx, p, poor, poorPoints)
		if err != nil {
			return nil, err
		}
		for i, account := range append(accounts, short...) {
			who := character(kind, o)
			if i >= len(accounts) {
				who.cut = 0
			}
			if who.token, err = p.Token(account, "buyer", tokenLife); err != nil {
				return nil, err
			}
			people = append(people, who)
		}
	}
	return people, nil
}

// character throws the dice for one person.
func character(kind client.Kind, o Options) person {
	who := person{
		kind: kind, quantity: 1, again: rand.Float64() < againShare,
		after:   time.Duration(rand.Int64N(int64(o.Spread) + 1)),
		regrets: rand.Float64() < regretShare, uses: rand.Float64() < couponShare,
		ponders: time.Duration(rand.Int64N(int64(ponders))),
	}
	switch dice := rand.Float64(); {
	case dice < payShare:
		who.does = pays
	case dice < payShare+cancelShare:
		who.does = cancels
	default:
		who.does = letsGo
	}
	if kind == client.Auction {
		who.quantity = 1 + rand.Int64N(limit)
		// So many take the price they see that the stock lasts for most of the spread.
		if takers := stock / (soldOutAt * float64(o.Buyers) * (1 + limit) / 2); rand.Float64() > takers {
			who.cut = 1 + rand.Int64N(30)
		}
	}
	return who
}

func create(ctx context.Context, p *process.Process, n int, points int64) (all []int64, err error) {
	for n > 0 {
		some, err := p.Accounts.Create(ctx, "buyer", min(n, accountsAt1), points)
		if err != nil {
			return nil, fmt.Errorf("make buyers: %w", err)
		}
		all, n = append(all, some...), n-len(some)
	}
	return all, nil
}
