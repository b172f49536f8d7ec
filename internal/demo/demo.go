// Package demo is the main job, shown and proved in half a minute: an auction
// whose price falls every second, thousands of buyers who bid over real HTTP,
// every receipt polled to its end, and an audit of the whole record.
//
//	invite ──▶ crowd (one goroutine per buyer) ──▶ judge ──▶ Report
//	  │           POST bids … GET receipts …         │
//	accounts      as any client would               audit
//	and sale
//
// Most buyers hope for a lower price than the one shown and are told that it is
// not to be had; those who take the price they see get the units, until they are
// gone. A few have too few points. A few send their bid twice, as impatient
// people do, and must get one receipt.
//
// Seller and buyers speak to the API through package client alone. Behind its back
// their accounts are made, so many would take hours to sign up, and the audit runs.
package demo

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// The auction.
const (
	stock      = 100
	limit      = 2 // units per buyer; bids are for 1 or 2
	startPrice = 10_000
	drop       = 100 // points every second
	length     = time.Minute
)

// The crowd.
const (
	richPoints  = 3 * startPrice
	poorPoints  = startPrice / 100
	poorShare   = 0.03 // buyers with too few points
	againShare  = 0.02 // accepted bids that are sent once more under the same key
	soldOutAt   = 0.7  // of the spread: about when the last unit should go
	tokenLife   = 12 * time.Hour
	accountsAt1 = 10_000 // accounts made in one transaction
)

const (
	opensIn      = 1500 * time.Millisecond // from the making of the sale: time to sign everybody's token
	patience     = 30 * time.Second        // without any news after which the demo gives up
	readyBy      = 30 * time.Second        // for partitions to be taken
	connections  = 128                     // to the API, for all buyers together
	answerBy     = 10 * time.Second        // for one HTTP request
	auditTries   = 3                       // while a partition will not hold still
	auditAgainIn = 500 * time.Millisecond
)

// Options says how big the demo is.
type Options struct {
	URL      string // of the API, http://127.0.0.1:8080
	Buyers   int
	Spread   time.Duration // after opening, over which the buyers bid
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

// buyer is one of the crowd.
type buyer struct {
	token    string
	key      string
	quantity int64
	after    time.Duration // of opening, when he bids
	cut      int64         // percent below the price he sees that he names; 0: he takes it
	again    bool          // sends it once more
}

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
	buyers, err := invite(ctx, p, o)
	if err != nil {
		return Report{}, err
	}
	lot, err := offer(ctx, p, api, "One hundred lamps", opensIn, length, time.Second)
	if err != nil {
		return Report{}, err
	}
	prices, err := look(ctx, api, lot)
	if err != nil {
		return Report{}, err
	}
	if err := wait(ctx, time.Until(lot.OpensAt)); err != nil {
		return Report{}, err
	}
	c := &crowd{Options: o, api: api, lot: lot, prices: prices, stories: make([]story, o.Buyers)}
	if err := c.bid(ctx, buyers); err != nil {
		return Report{}, err
	}
	for try := 1; ; try++ {
		audit, err := p.Audit.Run(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("audit: %w", err)
		}
		if audit.Verdict != "busy" || try == auditTries {
			var rules []string
			for _, rule := range audit.Rules() {
				rules = append(rules, string(rule))
			}
			if audit.Verdict == "busy" {
				rules = append(rules, "busy")
			}
			return judge(c.stories, proof{oversold: audit.Oversold, inversions: audit.Inversions, broken: rules}), nil
		}
		if err := wait(ctx, auditAgainIn); err != nil {
			return Report{}, err
		}
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

// offer makes a seller, and has him offer an auction that opens in a moment.
func offer(ctx context.Context, p *process.Process, api *client.Client, title string, in, length, period time.Duration) (lot client.Sale, err error) {
	sellers, err := p.Accounts.Create(ctx, "seller", 1, 0)
	if err != nil {
		return lot, err
	}
	token, err := p.Token(sellers[0], "seller", tokenLife)
	if err != nil {
		return lot, err
	}
	opens := time.Now().Add(in)
	return api.With(client.WithToken(token)).CreateSale(ctx, client.NewSale{
		Title: title, Stock: stock, Limit: limit, OpensAt: opens, ClosesAt: opens.Add(length),
		Policy: client.Constant, StartPrice: startPrice, Drop: drop, Period: period,
	})
}

// invite makes the buyers' accounts, with points, and what each will do.
func invite(ctx context.Context, p *process.Process, o Options) ([]buyer, error) {
	poor := int(float64(o.Buyers) * poorShare)
	accounts, err := create(ctx, p, o.Buyers-poor, richPoints)
	if err != nil {
		return nil, err
	}
	short, err := create(ctx, p, poor, poorPoints)
	if err != nil {
		return nil, err
	}
	// So many take the price they see that the stock lasts for most of the spread.
	takers := stock / (soldOutAt * float64(o.Buyers) * (1 + limit) / 2)
	buyers := make([]buyer, o.Buyers)
	for i := range buyers {
		b := buyer{
			key: fmt.Sprintf("bid-%d", i), quantity: 1 + rand.Int64N(limit), again: rand.Float64() < againShare,
			after: time.Duration(rand.Int64N(int64(o.Spread) + 1)),
		}
		account := int64(0)
		if i < len(accounts) {
			account = accounts[i]
			if rand.Float64() > takers {
				b.cut = 1 + rand.Int64N(30)
			}
		} else {
			account = short[i-len(accounts)]
		}
		if b.token, err = p.Token(account, "buyer", tokenLife); err != nil {
			return nil, err
		}
		buyers[i] = b
	}
	return buyers, nil
}

func create(ctx context.Context, p *process.Process, n int, points int64) (all []int64, err error) {
	for n > 0 {
		some, err := p.Accounts.Create(ctx, "buyer", min(n, accountsAt1), points)
		if err != nil {
			return nil, err
		}
		all, n = append(all, some...), n-len(some)
	}
	return all, nil
}

// Invitation prints how a person can bid in a second sale, which goes on for an
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
	lot, err := offer(ctx, p, api, "A lamp for you", time.Second, time.Hour, time.Minute)
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

// look answers the sale's price curve, which is there as soon as its partition has
// an owner.
func look(ctx context.Context, api *client.Client, lot client.Sale) ([]client.Step, error) {
	ready, cancel := context.WithTimeout(ctx, readyBy)
	defer cancel()
	prices, err := api.Prices(ready, lot.ID)
	if client.CodeOf(err) == client.CodeLoading {
		err = fmt.Errorf("no consumer took the sale's partition within %s: %w", readyBy, err)
	}
	return prices, err
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
