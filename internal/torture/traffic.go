package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
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
	token   string
	api     *client.Client
	asking  atomic.Int64 // requests that are on their way
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
	waiting *waiting // nil: nobody waits but those who ask

	mu       sync.Mutex
	all      []*asked
	places   []int    // partitions of all: what was asked is its asker's to write to
	doubtful []*asked // refused, while an earlier sending may still be on its way

	said sync.Map // Asked by Idempotency-Key
	gone sync.Map // the keys of which some sending was not answered

	sent, answered, decided atomic.Int64
}

// anyAPI sends each request to an API chosen at random: one that is repeated may
// well meet another.
type anyAPI struct {
	hosts []string
	next  http.RoundTripper
	hears func(*http.Request)
	loses func(*http.Request) // it was not answered, or with a fault: it may still be on its way
}

func (a anyAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	a.hears(r)
	r = r.Clone(r.Context())
	r.URL.Host = a.hosts[rand.IntN(len(a.hosts))]
	answer, err := a.next.RoundTrip(r)
	if err != nil || answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusRequestTimeout {
		a.loses(r)
	}
	return answer, err
}

// CloseIdleConnections is what Client.Close asks for.
func (a anyAPI) CloseIdleConnections() {
	a.next.(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

// invite makes everybody's account.
func (h *house) invite(ctx context.Context) (*crowd, error) {
	c := &crowd{seed: h.Seed, record: record{History: History{Stock: map[int64]int64{}}}}
	route := anyAPI{hears: c.hear, loses: c.lose, next: h.fleet.dial.transport()}
	for _, w := range h.fleet.workers {
		if w.role == process.RoleAPI {
			route.hosts = append(route.hosts, w.address)
		}
	}
	within := answerBy
	if h.calm != nil {
		route.hosts, route.next, within = []string{h.calm.front.address()}, h.calm, calmAnswerBy
	}
	var err error
	c.api, err = client.New("http://any", client.WithAttempts(math.MaxInt),
		client.WithHTTPClient(&http.Client{Timeout: within, Transport: route}))
	if err != nil {
		return nil, err
	}
	poor := h.Buyers / poorShare
	err = h.inside(ctx, func(p *process.Process) error {
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
					account: account, token: token, api: c.api.With(client.WithToken(token)),
					dice: rand.New(rand.NewPCG(h.Seed, uint64(100+len(c.sellers)+len(c.buyers)))),
				})
			}
		}
		return nil
	})
	if err == nil && h.calm != nil {
		if c.waiting, err = newWaiting(c, "http://"+h.calm.front.address(), h.calm); err == nil {
			for _, who := range c.buyers {
				c.waiting.account(who)
			}
		}
	}
	return c, err
}

func (c *crowd) close() {
	if c.waiting != nil {
		c.waiting.stop()
	}
	c.api.Close()
}

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
	who.asking.Add(1)
	known := sync.OnceFunc(func() { who.asking.Add(-1) })
	defer known()
	sent := time.Now()
	a.SentUS = c.us()
	var second client.Receipt
	secondErr := errors.New("not sent")
	var beside sync.WaitGroup
	if twice {
		beside.Go(func() { second, secondErr = send(ctx, key) })
	}
	first, err := send(ctx, key)
	beside.Wait()
	if said, ok := c.said.Load(a.Key); ok {
		a.Asked = said.(Asked)
	}
	if err != nil && secondErr == nil { // one was refused before the other was let in
		first, err = second, nil
	}
	if err != nil {
		if code := client.CodeOf(err); code != "" && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			a.Refused, a.AnsweredUS = string(code), c.us()
			c.answered.Add(1)
			c.decided.Add(1)
			if _, lost := c.gone.Load(a.Key); lost {
				a.Doubtful = true
				c.mu.Lock()
				c.doubtful = append(c.doubtful, a)
				c.mu.Unlock()
			}
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
	c.all, c.places = append(c.all, a), append(c.places, partitionOf(first.ID))
	c.mu.Unlock()
	known()
	if c.waiting != nil {
		c.waiting.receipt(who, first.ID)
	}
	c.see(a, sent, first)
	if again {
		c.repeat(ctx, a, sent)
	}
	return a, c.follow(ctx, a, sent, client.Receipt.Decided)
}

// lose notes that a sending was not answered.
func (c *crowd) lose(r *http.Request) {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		c.gone.Store(key, true)
	}
}

// clear asks again, once nothing is on its way any more, what was refused after an
// earlier sending had not been answered. That one may have arrived later, when what it
// was refused for was true no more: a sale that was closed has been extended.
func (c *crowd) clear(ctx context.Context) {
	for _, a := range c.doubtful {
		sent := time.Now()
		r, err := a.send(ctx, client.WithKey(a.Key))
		if err != nil {
			continue // and it is as it was
		}
		a.Refused, a.Doubtful = "", false
		a.Answers = append(a.Answers, r.ID)
		c.all = append(c.all, a)
		c.see(a, sent, r)
		c.follow(ctx, a, sent, client.Receipt.Decided)
	}
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

// latest are so many requests.
const latest = 32

// lately are the partitions of the latest requests; any, if there are none.
func (c *crowd) lately() (all []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all = slices.Clone(c.places[max(0, len(c.places)-latest):]); len(all) == 0 {
		return []int{0}
	}
	return all
}

// us is the time since the traffic began, by the one clock that all clients share.
func (c *crowd) us() int64 { return time.Since(c.began).Microseconds() }

// hear notes what a request says on its way to an API.
func (c *crowd) hear(r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return
	}
	var wire struct {
		Quantity int64     `json:"quantity"`
		Price    int64     `json:"price"`
		Exact    bool      `json:"exact"`
		Coupon   string    `json:"coupon"`
		GrowBy   int64     `json:"grow_by"`
		ExtendTo time.Time `json:"extend_to"`
	}
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			_ = json.NewDecoder(body).Decode(&wire) // what has no body says nothing in it
			_ = body.Close()
		}
	}
	said := Asked{Quantity: wire.Quantity + wire.GrowBy, Price: wire.Price, Exact: wire.Exact, Coupon: wire.Coupon}
	if !wire.ExtendTo.IsZero() {
		said.ClosesAtMS = wire.ExtendTo.UnixMilli()
	}
	path := strings.Split(r.URL.Path, "/")
	if len(path) > 3 && path[2] == "receipts" {
		said.Target = path[3]
	}
	if last := path[len(path)-1]; last == "claims" || last == "change" || path[2] == "stores" && last == "reservations" {
		said.Quantity = 1 // which is not said
	}
	c.said.Store(key, said)
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
		AtUS: c.us(), Receipt: r.ID, Status: r.Status, Reason: r.Reason,
		Quantity: r.Quantity, UnitPrice: r.UnitPrice, Amount: r.Amount,
	}
	if !r.PayBy.IsZero() {
		now.PayByMS = r.PayBy.UnixMilli()
	}
	if at := r.RequestedAt.UnixMilli(); at != a.StreamMS { // the first time; or it was lost, and asked again under its key
		if a.StreamMS != 0 {
			a.Earlier = append(a.Earlier, a.StreamMS)
		}
		a.StreamMS, a.AnsweredUS = at, now.AtUS
	}
	if r.Decided() && !before.Decided() {
		a.VerdictMS = float64(time.Since(sent).Microseconds()) / 1000
		c.decided.Add(1)
	}
	if len(a.Seen) == 0 || !a.last().sameOutcome(now) {
		a.Seen = append(a.Seen, now)
	}
}

// recordSales writes the terms of all sales down: as they were made, and those of
// slots, which nobody changes, as they are read.
func (c *crowd) recordSales(ctx context.Context) error {
	made := map[int64]bool{}
	for _, o := range c.market.offers {
		c.record.Sales = append(c.record.Sales, o.Sale)
		made[o.ID] = true
	}
	for id := range c.record.Stock {
		if made[id] {
			continue
		}
		s, err := c.api.Sale(ctx, id)
		if err != nil {
			return fmt.Errorf("read the terms of sale %d: %w", id, err)
		}
		if s.Store != 0 {
			c.record.Sales = append(c.record.Sales, s)
		}
	}
	return nil
}

// reread reads every receipt and every account's list once more, when nothing goes
// on any more, and sends some requests again. An error says that it was not done.
func (c *crowd) reread(ctx context.Context) error {
	if err := c.recordSales(ctx); err != nil {
		return err
	}
	c.clear(ctx)
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
		stillLost := a.Lost != nil && !a.Lost.Anew // asked again by recall, which would have followed it
		if i%lateShare == 0 && !stillLost {        // one after the other: each has one writer
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
