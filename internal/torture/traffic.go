package torture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// The traffic.
const (
	richPoints = 1_000_000
	poorPoints = unitPrice + unitPrice/2 // one purchase, and not another
	poorShare  = 8                       // one in so many buyers
	tokenLife  = 12 * time.Hour

	answerBy    = 3 * time.Second // for one HTTP request; then it is sent again
	connections = 64
	restMostOf  = 300 * time.Millisecond // a buyer between two errands

	twiceShare = 0.05 // of requests that are sent twice at the same moment
	againShare = 0.10 // of requests that are sent once more when they are answered
	lateShare  = 5    // one in so many is sent once more in the end

	readers = 16 // at once, in the end
)

// person is an account and what it does.
type person struct {
	account int64
	api     *client.Client
	dice    *rand.Rand
	coupons []coupon // not used yet
	bids    []bought // confirmed, to be refunded perhaps
}

type coupon struct {
	id     string
	seller int
}

type bought struct {
	asked  *asked
	closes time.Time
}

// asked is a request with the way to send it again.
type asked struct {
	*Request
	who     *person
	send    func(context.Context, client.CallOption) (client.Receipt, error)
	receipt client.Receipt // as it was last seen
}

// crowd is everybody who asks, and what they write down.
type crowd struct {
	seed    uint64
	began   time.Time
	took    time.Duration
	api     *client.Client
	sellers []*person
	buyers  []*person
	market  market
	record  record

	mu  sync.Mutex
	all []*asked

	sent, answered, decided atomic.Int64
}

// anyAPI sends each request to an API chosen at random: one that is repeated may
// well meet another.
type anyAPI struct {
	hosts []string
	next  http.RoundTripper
}

func (a anyAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = a.hosts[rand.IntN(len(a.hosts))]
	return a.next.RoundTrip(r)
}

// CloseIdleConnections is what Client.Close asks for.
func (a anyAPI) CloseIdleConnections() { a.next.(*http.Transport).CloseIdleConnections() }

// invite makes everybody's account.
func (h *house) invite(ctx context.Context) (*crowd, error) {
	c := &crowd{seed: h.Seed, record: record{History: History{Stock: map[int64]int64{}}}}
	route := anyAPI{next: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	for _, w := range h.fleet.workers {
		if w.role == roleAPI {
			route.hosts = append(route.hosts, w.address)
		}
	}
	var err error
	c.api, err = client.New("http://any", client.WithAttempts(math.MaxInt),
		client.WithHTTPClient(&http.Client{Timeout: answerBy, Transport: route}))
	if err != nil {
		return nil, err
	}
	poor := h.Buyers / poorShare
	return c, h.inside(ctx, func(p *process.Process) error {
		buyers := func(n int, points int64) func() ([]int64, error) {
			return func() ([]int64, error) { return p.Accounts.Create(ctx, "buyer", n, points) }
		}
		for _, some := range []struct {
			role string
			made func() ([]int64, error)
			into *[]*person
		}{
			{"seller", func() ([]int64, error) { return p.Accounts.Create(ctx, "seller", sellers, 0) }, &c.sellers},
			{"buyer", buyers(h.Buyers-poor, richPoints), &c.buyers},
			{"buyer", buyers(poor, poorPoints), &c.buyers},
		} {
			accounts, err := some.made()
			if err != nil {
				return fmt.Errorf("make accounts: %w", err)
			}
			for _, account := range accounts {
				token, err := p.Token(account, some.role, tokenLife)
				if err != nil {
					return err
				}
				*some.into = append(*some.into, &person{
					account: account, api: c.api.With(client.WithToken(token)),
					dice: rand.New(rand.NewPCG(h.Seed, uint64(100+len(c.sellers)+len(c.buyers)))),
				})
			}
		}
		return nil
	})
}

func (c *crowd) close() { c.api.Close() }

// play lets everybody ask until end, and returns when all that they began is over,
// or when ctx ends.
func (c *crowd) play(ctx context.Context, end time.Time) {
	var all sync.WaitGroup
	all.Go(func() { c.sell(ctx, end) })
	for i, who := range c.buyers {
		all.Go(func() {
			for n := 0; time.Now().Before(end) && ctx.Err() == nil; n++ {
				c.errand(ctx, who, fmt.Sprintf("b%d-%d", i, n))
				_ = wait(ctx, time.Duration(who.dice.Int64N(int64(restMostOf)))) // the loop asks ctx
			}
		})
	}
	all.Wait()
	c.took = time.Since(c.began)
}

// ask sends a request under its key until it is answered, sometimes more often than
// needed, and writes down the answers. It says whether there is a receipt.
func (c *crowd) ask(ctx context.Context, who *person, dice *rand.Rand, request Request,
	send func(context.Context, client.CallOption) (client.Receipt, error)) (*asked, bool) {
	a := &asked{Request: c.record.begin(request), who: who, send: send}
	key := client.WithKey(a.Key)
	twice, again := dice.Float64() < twiceShare, dice.Float64() < againShare
	c.sent.Add(1)
	sent := time.Now()
	var second client.Receipt
	secondErr := errors.New("not sent")
	var beside sync.WaitGroup
	if twice {
		beside.Go(func() { second, secondErr = send(ctx, key) })
	}
	first, err := send(ctx, key)
	beside.Wait()
	if err != nil && secondErr == nil { // one was refused before the other was let in
		first, err = second, nil
	}
	if err != nil {
		if code := client.CodeOf(err); code != "" && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			a.Refused = string(code)
			c.answered.Add(1)
			c.decided.Add(1)
		} else {
			a.Unanswered = err.Error()
		}
		return a, false
	}
	c.answered.Add(1)
	a.Answers = append(a.Answers, first.ID)
	if secondErr == nil {
		a.Answers = append(a.Answers, second.ID)
	}
	c.mu.Lock()
	c.all = append(c.all, a)
	c.mu.Unlock()
	c.see(a, sent, first)
	if again {
		c.repeat(ctx, a, sent)
	}
	return a, c.follow(ctx, a, sent, client.Receipt.Decided)
}

// repeat sends a request that has a receipt once more.
func (c *crowd) repeat(ctx context.Context, a *asked, sent time.Time) {
	r, err := a.send(ctx, client.WithKey(a.Key))
	switch code := client.CodeOf(err); {
	case err == nil:
		a.Answers = append(a.Answers, r.ID)
		c.see(a, sent, r)
	case code != "" && ctx.Err() == nil:
		a.Forgotten = string(code)
	}
}

// follow asks after a receipt until it is as wanted, and says whether it came to
// that.
func (c *crowd) follow(ctx context.Context, a *asked, sent time.Time, wanted func(client.Receipt) bool) bool {
	_, err := a.who.api.WaitUntil(ctx, a.receipt, func(r client.Receipt) bool {
		c.see(a, sent, r)
		return wanted(r)
	})
	if err != nil && ctx.Err() == nil {
		a.Vanished = err.Error()
	}
	return err == nil
}

// see writes down a sighting, unless it tells nothing new.
func (c *crowd) see(a *asked, sent time.Time, r client.Receipt) {
	before := a.receipt
	a.receipt = r
	now := Sighting{
		AtMS: time.Since(c.began).Milliseconds(), Receipt: r.ID, Status: r.Status, Reason: r.Reason,
		Quantity: r.Quantity, UnitPrice: r.UnitPrice, Amount: r.Amount,
	}
	if r.Decided() && !before.Decided() {
		a.VerdictMS = float64(time.Since(sent).Microseconds()) / 1000
		c.decided.Add(1)
	}
	if len(a.Seen) == 0 || !a.last().sameOutcome(now) {
		a.Seen = append(a.Seen, now)
	}
}

// reread reads every receipt and every account's list once more, when nothing goes
// on any more, and sends some requests again. An error says that it was not done.
func (c *crowd) reread(ctx context.Context) error {
	work := make(chan *asked)
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for a := range work {
				now := time.Now()
				if r, err := a.who.api.Receipt(ctx, a.Answers[0]); err == nil {
					c.see(a, now, r)
				} else if ctx.Err() == nil {
					a.Vanished = err.Error()
				}
			}
		})
	}
	for i, a := range c.all {
		if i%lateShare == 0 { // one after the other: each has one writer
			c.repeat(ctx, a, time.Now())
		}
		work <- a
	}
	close(work)
	all.Wait()
	for _, who := range c.buyers {
		for r, err := range who.api.Receipts(ctx, client.ReceiptFilter{}) {
			if err != nil {
				return fmt.Errorf("list the receipts of account %d: %w", who.account, err)
			}
			c.record.Belongings = append(c.record.Belongings, Belonging{who.account, r.ID, r.Status})
		}
	}
	return ctx.Err()
}
