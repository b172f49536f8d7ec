package stage

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"sluice/client"
)

// Crowd is a seller with one sale of each kind, and buyers who ask of all of them
// without end.
type Crowd struct {
	Sales map[client.Kind]client.Sale

	buyers []*client.Client
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// What is on offer: units for hours, but for one chair, for which there is a line.
const (
	plenty     = 1_000_000
	points     = 1 << 40
	crowdHold  = 2 * time.Second
	breath     = 20 * time.Millisecond // of a buyer between two requests
	crowdWords = "lamps-and-more"      // everybody's password
)

// Come makes the sales and so many buyers by the API at url. They ask as soon as the
// sales are open, and go home when the test ends or Leave sends them.
func Come(t testing.TB, url string, buyers int) *Crowd {
	t.Helper()
	c := &Crowd{Sales: map[client.Kind]client.Sale{}}
	seller := signUp(t, url, client.Seller)
	for range buyers {
		buyer := signUp(t, url, client.Buyer)
		if _, err := buyer.TopUp(t.Context(), points); err != nil {
			t.Fatal(err)
		}
		c.buyers = append(c.buyers, buyer)
	}
	opens := time.Now().Add(2 * time.Second).Truncate(time.Millisecond)
	closes := opens.Add(time.Hour)
	for _, offer := range []client.NewSale{
		{Kind: client.Auction, Title: "Lamps", Stock: plenty, Limit: plenty, OpensAt: opens, ClosesAt: closes,
			Policy: client.Constant, StartPrice: 10_000, Drop: 2, Period: time.Second},
		{Kind: client.Reservation, Title: "One chair", Stock: 1, Limit: 1, OpensAt: opens, ClosesAt: closes,
			UnitPrice: 1, Hold: crowdHold, Line: 2},
		{Kind: client.Coupon, Title: "200 off", Stock: plenty, OpensAt: opens, ClosesAt: closes,
			AmountOff: 200, ValidUntil: closes.Add(time.Hour)},
		{Kind: client.Event, Title: "An evening with lamps", Stock: plenty, Limit: plenty, OpensAt: opens, ClosesAt: closes},
	} {
		sale, err := seller.CreateSale(t.Context(), offer)
		if err != nil {
			t.Fatalf("offer %q: %v", offer.Title, err)
		}
		c.Sales[sale.Kind] = sale
	}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	t.Cleanup(c.Leave)
	for _, buyer := range c.buyers {
		c.done.Go(func() { c.ask(ctx, buyer) })
	}
	return c
}

// signUp makes an account and answers its client.
func signUp(t testing.TB, url string, role client.Role) *client.Client {
	t.Helper()
	who, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(who.Close)
	if _, err := who.SignUp(t.Context(), rand.Text()+"@example.com", crowdWords, role); err != nil {
		t.Fatal(err)
	}
	return who
}

// Leave sends all buyers home and waits until they have gone.
func (c *Crowd) Leave() {
	c.stop()
	c.done.Wait()
}

// ask is what a buyer does until ctx ends. That he is refused, or that nothing
// answers, is his day: whoever watches the deployment sees it.
func (c *Crowd) ask(ctx context.Context, buyer *client.Client) {
	for ctx.Err() == nil {
		for _, one := range []func(context.Context, *client.Client) (client.Receipt, error){c.bid, c.reserve, c.claim, c.join} {
			if receipt, err := one(ctx, buyer); err == nil {
				_, _ = buyer.Wait(ctx, receipt) // it ends with ctx at the latest
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(breath):
			}
		}
	}
}

func (c *Crowd) bid(ctx context.Context, buyer *client.Client) (client.Receipt, error) {
	return buyer.Bid(ctx, c.Sales[client.Auction].ID, client.Bid{Quantity: 1, Price: 10_000})
}

// reserve lets every hold expire: the next in line gets it.
func (c *Crowd) reserve(ctx context.Context, buyer *client.Client) (client.Receipt, error) {
	return buyer.Reserve(ctx, c.Sales[client.Reservation].ID, client.Reserve{Quantity: 1})
}

// claim gets one coupon, and is told that it is one to each ever after.
func (c *Crowd) claim(ctx context.Context, buyer *client.Client) (client.Receipt, error) {
	return buyer.Claim(ctx, c.Sales[client.Coupon].ID)
}

func (c *Crowd) join(ctx context.Context, buyer *client.Client) (client.Receipt, error) {
	return buyer.Join(ctx, c.Sales[client.Event].ID, 1)
}
