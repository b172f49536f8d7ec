package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// A market goes on and on, so that whoever opens the pages sees something move: there
// is always something open and something that opens soon of each kind, and a crowd that
// takes of it, a few requests a second.
//
//	seller ──one of each kind, again and again──▶ sales ◀──bid, reserve, claim, join, pay, cancel── crowd

const (
	marketBuyers = 60
	marketRest   = 12 * time.Second // of one buyer between two requests, on average
	marketSells  = 15 * time.Second // between two looks at what is missing
	marketOpen   = 3                // sales of a kind that are open or about to be
	marketPoints = 50_000_000
	marketTables = 6
)

// wares are what is sold, by kind.
var wares = map[client.Kind][]string{
	client.Auction:     {"Brass desk lamp, 1962", "Ten vinyl test pressings", "Film camera, serviced", "Blue glass vase", "Mountain bicycle, one owner", "A painter's easel"},
	client.Reservation: {"Walnut lounge chair", "Limited sneakers, size 270", "Numbered print no. 12", "Ceramic tea set", "Winter tent for two"},
	client.Coupon:      {"3,000 off at Lamp House", "2,000 off, this week", "5,000 off for the quick"},
	client.Event:       {"An evening with lamps", "Listening session", "Pottery for beginners", "Night walk by the river"},
}

// off is what the coupons of wares take off, in their order.
var off = []int64{3_000, 2_000, 5_000}

// ware is the n'th thing of a kind to be sold, from opens on.
func ware(kind client.Kind, n int, opens time.Time) client.NewSale {
	names := wares[kind]
	s := client.NewSale{Kind: kind, Title: names[n%len(names)], Description: "One of the things that the demo sells, to a crowd that it makes.", OpensAt: opens, Limit: 2}
	minutes := func(few, many int) time.Duration { return time.Duration(few+rand.IntN(many-few+1)) * time.Minute }
	switch kind {
	case client.Auction:
		s.Stock, s.StartPrice, s.Policy, s.Rate, s.Period = 40+rand.Int64N(80), 1000*(20+rand.Int64N(80)), client.Percentage, 100+50*rand.Int64N(6), 15*time.Second
		if n%2 == 1 {
			s.Policy, s.Rate, s.Drop = client.Constant, 0, s.StartPrice/160
		}
		s.ClosesAt = opens.Add(minutes(8, 25))
	case client.Reservation:
		s.Stock, s.Limit, s.UnitPrice, s.Hold, s.Line = 8+rand.Int64N(20), 1, 1000*(10+rand.Int64N(50)), 2*time.Minute, 50
		s.ClosesAt = opens.Add(minutes(15, 40))
	case client.Coupon:
		s.Stock, s.Limit, s.AmountOff = 60+rand.Int64N(100), 1, off[n%len(off)]
		s.ClosesAt = opens.Add(minutes(10, 30))
		s.ValidUntil = s.ClosesAt.Add(24 * time.Hour)
	case client.Event:
		s.Stock, s.UnitPrice, s.Line = 12+rand.Int64N(30), 500*rand.Int64N(6), 30
		s.ClosesAt = opens.Add(minutes(15, 40))
		s.StartsAt = s.ClosesAt.Add(48 * time.Hour)
	}
	return s
}

// Market keeps the pages alive until ctx ends. An error says that it could not begin;
// what goes wrong later is tried again.
func Market(ctx context.Context, p *process.Process, url string) error {
	api, err := connect(url)
	if err != nil {
		return err
	}
	defer api.Close()
	seller, err := sellerOf(ctx, p, api)
	if err != nil {
		return err
	}
	accounts, err := create(ctx, p, marketBuyers, marketPoints)
	if err != nil {
		return err
	}
	hours := client.Hours{}
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		hours[day] = "11:00-21:30"
	}
	if _, err := seller.CreateStore(ctx, client.NewStore{Title: "Lamp and table", Description: "Small plates under a hundred lamps.", TimeZone: "Asia/Seoul", Tables: marketTables, Hours: hours}); err != nil {
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { supply(ctx, seller) })
	for _, account := range accounts {
		token, err := p.Token(account, "buyer", tokenLife)
		if err != nil {
			return err
		}
		all.Go(func() { shopper(ctx, api.With(client.WithToken(token))) })
	}
	return nil
}

// supply offers whatever is missing, until ctx ends.
func supply(ctx context.Context, seller *client.Client) {
	me, err := seller.Me(ctx)
	if err != nil {
		return // ctx has ended
	}
	for n := 0; ctx.Err() == nil; {
		for _, kind := range kinds {
			there := 0
			for _, state := range []client.State{client.Open, client.Scheduled} {
				for _, err := range seller.Sales(ctx, client.SaleFilter{Kind: kind, State: state, Seller: me.Account}) {
					if err != nil {
						break
					}
					there++
				}
			}
			for ; there < marketOpen && ctx.Err() == nil; there++ {
				opens := time.Now().Add(2*time.Second + time.Duration(there)*20*time.Second) // one at once, the others soon
				if _, err := seller.CreateSale(ctx, ware(kind, n, opens.Truncate(time.Second))); err != nil {
					break
				}
				n++
			}
		}
		_ = wait(ctx, marketSells) // the loop asks ctx
	}
}

// shopper looks around and takes something now and then, until ctx ends.
func shopper(ctx context.Context, me *client.Client) {
	for wait(ctx, time.Duration(rand.ExpFloat64()*float64(marketRest))) == nil {
		var open []client.Sale
		for s, err := range me.Sales(ctx, client.SaleFilter{State: client.Open}) {
			if err != nil || len(open) == 40 {
				break
			}
			if s.Store == 0 {
				open = append(open, s)
			}
		}
		if len(open) > 0 {
			shop(ctx, me, open[rand.IntN(len(open))])
		}
	}
}

// shop asks for something of a sale, and goes on with what he got. A refusal is no
// harm: there is something else.
func shop(ctx context.Context, me *client.Client, s client.Sale) {
	var r client.Receipt
	var err error
	switch s.Kind {
	case client.Auction: // the cheaper, the more want it
		if cheap := 1 - float64(s.Price)/float64(s.StartPrice); rand.Float64() > 0.15+cheap {
			return
		}
		r, err = me.Bid(ctx, s.ID, client.Bid{Quantity: 1 + rand.Int64N(s.Limit), Price: s.Price})
	case client.Reservation:
		r, err = me.Reserve(ctx, s.ID, client.Reserve{Quantity: 1})
	case client.Coupon:
		r, err = me.Claim(ctx, s.ID)
	case client.Event:
		r, err = me.Join(ctx, s.ID, 1+rand.Int64N(s.Limit))
	}
	if err != nil {
		return
	}
	if r, err = me.Wait(ctx, r); err != nil || r.Status != client.Held {
		return
	}
	if wait(ctx, time.Duration(1+rand.IntN(40))*time.Second) != nil {
		return
	}
	switch dice := rand.Float64(); {
	case dice < 0.6:
		_, _ = me.Pay(ctx, r.ID) // what comes of it is on record
	case dice < 0.8:
		_, _ = me.Cancel(ctx, r.ID)
	}
}

// Address says where a person finds the pages.
func Address(url string) string {
	return fmt.Sprintf("\nOpen %s in a browser: everything that is on sale here is for sale there, too. Sign up as a buyer, or as a seller; points cost nothing.\n", url)
}
