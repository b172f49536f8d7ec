// Package demo is the main job, shown and proved in half a minute: four sales, one
// of each kind, each with a crowd of its own that asks over real HTTP, every receipt
// polled to its end, and an audit of the whole record.
//
//	offer ──▶ crowd (one goroutine per buyer) ──▶ judge ──▶ Report, one row per kind
//	  │          POST … GET receipts …               │
//	accounts     as any client would                audit
//	and sales
//
//	auction       the price falls every second; most hope for less than is shown
//	reservation   held for two seconds, then paid, cancelled or let go; a waiting line;
//	              some cancel what they have paid; some bring a coupon
//	coupon        1,500 claims on 1,000 coupons, when 5,000 buyers come
//	event         200 seats' worth of people on 10, some of whom do not come; a line
//
// A few send their request twice, as impatient people do, and must get one receipt.
//
// Seller and buyers speak to the API through package client alone. Behind its back
// their accounts are made, so many would take hours to sign up, and the audit runs.
package demo

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// The sales.
const (
	stock      = 100 // of the auction
	limit      = 2   // units per buyer; bids are for 1 or 2
	startPrice = 10_000
	drop       = 100 // points every second
	length     = time.Minute

	unitPrice = 2_000           // of the reservation
	amountOff = 500             // of a coupon
	hold      = 2 * time.Second // of the reservation
	lineup    = 4 * time.Second // after the last request: how long the reservation and the event go on
)

const (
	tokenLife = 12 * time.Hour
	opensIn   = 2500 * time.Millisecond // from the making of the sales: time to sign everybody's token
	patience  = 30 * time.Second        // without any news after which the demo gives up
	readyBy   = 30 * time.Second        // for partitions to be taken

	connections  = 128              // to the API, for all buyers together
	answerBy     = 10 * time.Second // for one HTTP request
	auditTries   = 3                // while a partition will not hold still
	auditAgainIn = 500 * time.Millisecond
)

// Options says how big the demo is.
type Options struct {
	URL      string        // of the API, http://127.0.0.1:8080
	Buyers   int           // of the auction; the other crowds are sized after it
	Spread   time.Duration // after opening, over which the buyers ask
	Progress io.Writer     // for a person to watch; nil: nothing
	Terminal bool          // Progress can rewrite its line
}

// Check tells what is wrong with o.
func (o Options) Check() error {
	switch {
	case o.Buyers < 1 || o.Buyers > 1_000_000:
		return fmt.Errorf("buyers must be between 1 and 1000000, not %d", o.Buyers)
	case o.Spread < 0 || o.Spread > length/2:
		return fmt.Errorf("the spread must be between 0 and %s, half the auction, not %s", length/2, o.Spread)
	}
	return nil
}

// crowdOf is how many buyers come to a sale of this kind.
func (o Options) crowdOf(kind client.Kind) int {
	switch kind {
	case client.Reservation:
		return max(o.Buyers/5, 1)
	case client.Coupon:
		return max(o.Buyers*3/10, 1)
	case client.Event:
		return max(o.Buyers/25, 1)
	}
	return o.Buyers
}

// kinds is the order in which they are reported.
var kinds = []client.Kind{client.Auction, client.Reservation, client.Coupon, client.Event}

// Run plays the demo on a running process. An error says that it could not be
// played to its end; what came of it is the report's business.
func Run(ctx context.Context, p *process.Process, o Options) (Report, error) {
	if err := o.Check(); err != nil {
		return Report{}, err
	}
	api, err := connect(o.URL)
	if err != nil {
		return Report{}, err
	}
	defer api.Close()
	people, err := invite(ctx, p, o)
	if err != nil {
		return Report{}, err
	}
	lots, err := offerAll(ctx, p, api, o)
	if err != nil {
		return Report{}, err
	}
	prices, err := look(ctx, api, lots)
	if err != nil {
		return Report{}, err
	}
	if err := wait(ctx, time.Until(lots[client.Auction].OpensAt)); err != nil {
		return Report{}, err
	}
	c := newCrowd(o, api, lots, prices)
	if err := c.play(ctx, people); err != nil {
		return Report{}, err
	}
	found, err := audited(ctx, p)
	if err != nil {
		return Report{}, err
	}
	return c.report(found), nil
}

// audited audits everything, again while some partition does not hold still.
func audited(ctx context.Context, p *process.Process) (proof, error) {
	for try := 1; ; try++ {
		found, err := p.Audit.Run(ctx)
		if err != nil {
			return proof{}, fmt.Errorf("audit: %w", err)
		}
		if found.Verdict == busy && try < auditTries {
			if err := wait(ctx, auditAgainIn); err != nil {
				return proof{}, err
			}
			continue
		}
		told := proof{oversold: found.Oversold, inversions: found.Inversions}
		for _, f := range found.Broken {
			told.broken = append(told.broken, rule{string(f.Rule), f.Sale})
		}
		if found.Verdict == busy {
			told.broken = append(told.broken, rule{name: busy})
		}
		return told, nil
	}
}

// connect answers a client of nobody yet, which asks until it is answered or told
// to stop.
func connect(url string) (*client.Client, error) {
	return client.New(url, client.WithAttempts(math.MaxInt), client.WithHTTPClient(&http.Client{
		Timeout: answerBy,
		Transport: &http.Transport{
			MaxConnsPerHost: connections, MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute,
		},
	}))
}

// offerAll has one seller offer a sale of each kind, all of which open at the same
// moment.
func offerAll(ctx context.Context, p *process.Process, api *client.Client, o Options) (map[client.Kind]client.Sale, error) {
	seller, err := sellerOf(ctx, p, api)
	if err != nil {
		return nil, err
	}
	opens := time.Now().Add(opensIn).Truncate(time.Millisecond)
	end := opens.Add(o.Spread)
	lots := map[client.Kind]client.Sale{}
	for _, offer := range []client.NewSale{
		auctionOf("One hundred lamps", opens, length, time.Second),
		{
			Kind: client.Reservation, Title: "A limited chair", Stock: max(int64(o.crowdOf(client.Reservation))/10, 1), Limit: 1,
			OpensAt: opens, ClosesAt: end.Add(lineup), UnitPrice: unitPrice, Hold: hold, Line: max(int64(o.crowdOf(client.Reservation))/5, 1),
		},
		{
			Kind: client.Coupon, Title: "Five hundred off", Stock: max(int64(o.crowdOf(client.Coupon))*2/3, 1),
			OpensAt: opens, ClosesAt: end.Add(lineup), AmountOff: amountOff, ValidUntil: end.Add(time.Hour),
		},
		{
			Kind: client.Event, Title: "An evening with lamps", Stock: max(int64(o.crowdOf(client.Event))/20, 1), Limit: 1,
			OpensAt: opens, ClosesAt: end.Add(lineup), Line: max(int64(o.crowdOf(client.Event))/10, 1),
		},
	} {
		lot, err := seller.CreateSale(ctx, offer)
		if err != nil {
			return nil, fmt.Errorf("offer %q: %w", offer.Title, err)
		}
		lots[lot.Kind] = lot
	}
	return lots, nil
}

// sellerOf makes a seller and answers a client that speaks for him.
func sellerOf(ctx context.Context, p *process.Process, api *client.Client) (*client.Client, error) {
	sellers, err := p.Accounts.Create(ctx, "seller", 1, 0)
	if err != nil {
		return nil, err
	}
	token, err := p.Token(sellers[0], "seller", tokenLife)
	if err != nil {
		return nil, err
	}
	return api.With(client.WithToken(token)), nil
}

func auctionOf(title string, opens time.Time, length, period time.Duration) client.NewSale {
	return client.NewSale{
		Kind: client.Auction, Title: title, Stock: stock, Limit: limit, OpensAt: opens, ClosesAt: opens.Add(length),
		Policy: client.Constant, StartPrice: startPrice, Drop: drop, Period: period,
	}
}

// Invitation prints how a person can bid in one more sale, which goes on for an
// hour, and makes it.
func Invitation(ctx context.Context, p *process.Process, url string, w io.Writer) error {
	api, err := connect(url)
	if err != nil {
		return err
	}
	defer api.Close()
	you, err := p.Accounts.Create(ctx, "buyer", 1, 100*startPrice)
	if err != nil {
		return err
	}
	token, err := p.Token(you[0], "buyer", tokenLife)
	if err != nil {
		return err
	}
	seller, err := sellerOf(ctx, p, api)
	if err != nil {
		return err
	}
	lot, err := seller.CreateSale(ctx, auctionOf("A lamp for you", time.Now().Add(time.Second), time.Hour, time.Minute))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `
Sale %[2]d goes on for an hour, its price falls every minute, and you have %[4]s points. Look, bid, and see what came of it:

TOKEN=%[3]s
curl -sw '\n' %[1]s/v1/sales/%[2]d -H "Authorization: Bearer $TOKEN"
RECEIPT=$(curl -s %[1]s/v1/sales/%[2]d/bids -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: mine-1" -H "Content-Type: application/json" -d '{"quantity":1,"price":%[5]d}' | grep -o '"receipt":"[^"]*' | cut -d'"' -f4)
curl -sw '\n' %[1]s/v1/receipts/$RECEIPT -H "Authorization: Bearer $TOKEN"

Ctrl-C ends it.
`, url, lot.ID, token, grouped(100*startPrice), startPrice)
	return err
}

// look answers the auction's price curve. It returns once the partition of every
// sale has an owner.
func look(ctx context.Context, api *client.Client, lots map[client.Kind]client.Sale) (prices []client.Step, err error) {
	ready, cancel := context.WithTimeout(ctx, readyBy)
	defer cancel()
	for kind, lot := range lots {
		steps, err := api.Prices(ready, lot.ID)
		if client.CodeOf(err) == client.CodeLoading {
			return nil, fmt.Errorf("no consumer took the partition of sale %d within %s: %w", lot.ID, readyBy, err)
		}
		if err != nil {
			return nil, err
		}
		if kind == client.Auction {
			prices = steps
		}
	}
	return prices, nil
}

// wait sleeps for d, or until ctx ends, which is an error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
