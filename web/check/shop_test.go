package check

import (
	"fmt"
	"testing"
	"time"

	"sluice/client"
)

type session = client.Tokens

// counter is somebody who sells, through the API.
type counter struct {
	*client.Client
	t      testing.TB
	tokens session
}

// shop opens an account for a seller.
func shop(t testing.TB) *counter {
	t.Helper()
	c, err := house.anew()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := within(t)
	defer cancel()
	tokens, err := c.SignUp(ctx, fmt.Sprintf("seller-%d@example.com", time.Now().UnixNano()), password, client.Seller)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &counter{c, t, tokens}
}

// buyer opens an account for a buyer, with points.
func (s *counter) buyer(name string, points int64) session {
	s.t.Helper()
	_, tokens := s.customer(name, points)
	return tokens
}

// customer is a buyer who comes through the API.
func (s *counter) customer(name string, points int64) (*client.Client, session) {
	s.t.Helper()
	c, err := house.anew()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	ctx, cancel := within(s.t)
	defer cancel()
	tokens, err := c.SignUp(ctx, fmt.Sprintf("%s-%d@example.com", name, time.Now().UnixNano()), password, client.Buyer)
	if err == nil && points > 0 {
		_, err = c.TopUp(ctx, points)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c, tokens
}

// sells has somebody who comes through the API buy one unit.
func (s *counter) sells(id int64) {
	s.t.Helper()
	c, _ := s.customer("customer", 10_000)
	ctx, cancel := within(s.t)
	defer cancel()
	r, err := c.Bid(ctx, id, client.Bid{Quantity: 1, Price: 10_000})
	if err == nil {
		r, err = c.Wait(ctx, r)
	}
	if err != nil || r.Status != client.Confirmed {
		s.t.Fatalf("%s %s, %v", r.Status, r.Reason, err)
	}
}

// opened makes a sale that opens at once, and waits until it has.
func (s *counter) opened(n client.NewSale, length time.Duration) client.Sale {
	s.t.Helper()
	n.OpensAt = time.Now().Add(1500 * time.Millisecond)
	n.ClosesAt = n.OpensAt.Add(length)
	ctx, cancel := within(s.t)
	defer cancel()
	made, err := s.CreateSale(ctx, n)
	if err != nil {
		s.t.Fatal(err)
	}
	for made.State == client.Scheduled {
		if made, err = s.Sale(ctx, made.ID); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return made
}

// falling is an auction whose price falls by a tenth each period.
func falling(title string, stock int64, period time.Duration) client.NewSale {
	return client.NewSale{
		Title: title, Description: "One of a few, and the price falls until they are gone.", Kind: client.Auction,
		Stock: stock, Limit: 2, Policy: client.Percentage, StartPrice: 10_000, Rate: 1000, Period: period,
	}
}

// sale reads a sale as everybody can.
func (s *counter) sale(id int64) client.Sale {
	s.t.Helper()
	ctx, cancel := within(s.t)
	defer cancel()
	found, err := s.Sale(ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// counts answers how many receipts of a sale have each status.
func (s *counter) counts(id int64) map[client.Status]int {
	s.t.Helper()
	ctx, cancel := within(s.t)
	defer cancel()
	counts := map[client.Status]int{}
	for r, err := range s.SaleReceipts(ctx, id, client.SaleReceiptFilter{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		counts[r.Status]++
	}
	return counts
}
