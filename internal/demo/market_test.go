package demo

import (
	"context"
	"testing"
	"time"

	"sluice/client"
)

// TestMarket: there is always something of each kind to be seen and to be had, somebody
// takes of it, and the books are right in the end.
func TestMarket(t *testing.T) {
	p, url := serve(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Market(ctx, p, url) }()
	api, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	deadline := time.Now().Add(90 * time.Second)
	for {
		open, taken := map[client.Kind]bool{}, int64(0)
		for s, err := range api.Sales(ctx, client.SaleFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.State == client.Open || s.State == client.SoldOut {
				open[s.Kind] = true
				taken += s.Stock.Held + s.Stock.Sold
			}
		}
		if len(open) == len(kinds) && taken >= 10 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the market is over: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("open are %v, and %d units are taken", open, taken)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if found, err := p.Audit.Run(t.Context()); err != nil || found.Breaches != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestWares: everything that may be offered can be.
func TestWares(t *testing.T) {
	p, url := serve(t)
	api, err := connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	seller, err := sellerOf(t.Context(), p, api)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		for n := range 3 * len(wares[kind]) {
			if _, err := seller.CreateSale(t.Context(), ware(kind, n, time.Now().Add(time.Minute).Truncate(time.Second))); err != nil {
				t.Errorf("%s %d: %v", kind, n, err)
			}
		}
	}
}
