package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"sluice/client"
)

// What the API answers, and tells.
const (
	chair   = "0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0ab"
	payment = "0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0ac"
	lamp    = "0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0ad"

	lineUp  = `{"receipt":"` + chair + `","verb":"reserve","sale":8,"status":"queued","position":3,"eta_ms":40,"outlook":"unlikely","poll_after_ms":60}`
	inLine  = `{"receipt":"` + chair + `","verb":"reserve","sale":8,"status":"waiting","position":1,"poll_after_ms":250}`
	held    = `{"receipt":"` + chair + `","verb":"reserve","sale":8,"status":"held","pay_by":"2030-01-31T18:20:00Z","amount":500}`
	paying  = `{"receipt":"` + payment + `","verb":"pay","sale":8,"status":"queued","position":1,"poll_after_ms":60}`
	paid    = `{"receipt":"` + payment + `","verb":"pay","sale":8,"status":"confirmed"}`
	lampWon = `{"receipt":"` + lamp + `","verb":"bid","sale":7,"status":"confirmed","unit_price":9800}`

	batch = `{"receipts":[` + inLine + `,` + lampWon + `],"problems":[{"receipt":"` + payment + `","status":404,"code":"unknown_receipt","title":"There is no such receipt"}],"poll_after_ms":250}`

	ofChair = "retry: 2000\n\nid: 1\nevent: receipt\ndata: " + lineUp + "\n\nid: 2\nevent: receipt\ndata: " + inLine + "\n\n: beat\n\nid: 3\nevent: receipt\ndata: " + held + "\n\n"
	ofMine  = "retry: 2000\n\nid: 7\nevent: receipt\ndata: " + lampWon + "\n\nid: 8\nevent: receipt\ndata: " + held + "\n\n"
	ofSale  = "retry: 2000\n\nid: 1\nevent: sale\ndata: " + `{"sale":7,"title":"Lamps","state":"open","price":9800,"stock":{"total":100,"free":1,"sold":99}}` +
		"\n\nid: 2\nevent: sale\ndata: " + `{"sale":7,"title":"Lamps","state":"sold_out","price":9800,"stock":{"total":100,"sold":100}}` +
		"\n\nid: 3\nevent: sale\ndata: " + `{"sale":7,"title":"Lamps","state":"closed"}` + "\n\nevent: end\ndata: " + `{"reason":"closed"}` + "\n\n"
)

// waitingRoom is an API that knows the questions of those who wait. It holds no answer for
// long.
func waitingRoom() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "" {
			w.Header().Set("Preference-Applied", r.Header.Get("Prefer"))
		}
		say := func(status int, body string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		tell := func(events string) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, events)
		}
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/sales/8/reservations":
			say(http.StatusAccepted, lineUp)
		case "POST /v1/receipts/" + chair + "/pay":
			say(http.StatusAccepted, paying)
		case "GET /v1/receipts/" + payment:
			say(http.StatusOK, paid)
		case "GET /v1/receipts/" + chair:
			if r.Header.Get("If-None-Match") == `W/"in-line"` { // a chair has come back
				say(http.StatusOK, held)
				return
			}
			w.Header().Set("ETag", `W/"in-line"`)
			say(http.StatusOK, inLine)
		case "GET /v1/receipts":
			say(http.StatusOK, batch)
		case "GET /v1/receipts/" + chair + "/events":
			tell(ofChair)
		case "GET /v1/me/receipts/events":
			tell(ofMine)
		case "GET /v1/sales/7/events":
			tell(ofSale)
		case "POST /v1/sales/9/bids":
			if r.Header.Get("Sluice-Turn") == "" {
				w.Header().Set("Sluice-Turn", "dHVybg")
				say(http.StatusServiceUnavailable, `{"status":503,"code":"overloaded","title":"Too many requests are queued","retry_after_ms":180000}`)
				return
			}
			say(http.StatusAccepted, `{"receipt":"`+lamp+`","verb":"bid","sale":9,"status":"queued"}`)
		}
	}))
}

// A place in the line becomes a hold, and the hold a chair.
func ExampleClient_WaitUntil() {
	api := waitingRoom()
	defer api.Close()
	ctx := context.Background()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	receipt, err := c.Reserve(ctx, 8, client.Reserve{Quantity: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Status, receipt.Outlook, "about", receipt.ETA)

	receipt, err = c.WaitUntil(ctx, receipt, func(r client.Receipt) bool {
		return r.Decided() && r.Status != client.Waiting
	})
	if err != nil {
		log.Fatal(err)
	}
	if receipt.Status == client.Held {
		fmt.Println("to pay", receipt.Amount, "by", receipt.PayBy.Format(time.TimeOnly))
		payment, err := c.Pay(ctx, receipt.ID)
		if err != nil {
			log.Fatal(err)
		}
		if payment, err = c.Wait(ctx, payment); err != nil {
			log.Fatal(err)
		}
		fmt.Println("the payment is", payment.Status)
	}
	// Output:
	// queued unlikely about 40ms
	// to pay 500 by 18:20:00
	// the payment is confirmed
}

// Behind a proxy that lets no request last, answers are not held: the API says how
// often to ask.
func ExampleWithPolling() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL, client.WithPolling())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	receipt, err := c.Wait(context.Background(), client.Receipt{ID: payment})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Status)
	// Output:
	// confirmed
}

// What the program has under way is asked after at once.
func ExampleClient_Poll() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	polled, err := c.Poll(context.Background(), lamp, chair, payment)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range polled {
		if p.Problem != nil {
			fmt.Println(p.Problem.Code)
			continue
		}
		fmt.Println(p.Receipt.Verb, p.Receipt.Status)
	}
	// Output:
	// bid confirmed
	// reserve waiting
	// unknown_receipt
}

// Two requests are waited for with one question at a time.
func ExampleClient_WaitAll() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	all, err := c.WaitAll(ctx, client.Receipt{ID: lamp}, client.Receipt{ID: chair})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range all {
		fmt.Println(p.Receipt.Verb, p.Receipt.Status)
	}
	// Output:
	// bid confirmed
	// reserve waiting
}

// A buyer sees how he gets ahead, until the chair is his to pay for.
func ExampleClient_Follow() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	for receipt, err := range c.Follow(context.Background(), chair) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(receipt.Status, receipt.Position)
		if receipt.Status == client.Held {
			break
		}
	}
	// Output:
	// queued 3
	// waiting 1
	// held 0
}

// A program hears of all its receipts. At a reset it reads what it holds open; here
// there are two.
func ExampleClient_FollowMine() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	open := map[string]bool{lamp: true, chair: true}
	see := func(r client.Receipt) {
		fmt.Println(r.Verb, r.Status)
		if r.Settled() || r.Status == client.Held {
			delete(open, r.ID)
		}
	}
	for event, err := range c.FollowMine(ctx) {
		switch {
		case err != nil:
			log.Fatal(err)
		case event.Reset:
			fmt.Println("reading", len(open))
			polled, err := c.Poll(ctx, lamp, chair)
			if err != nil {
				log.Fatal(err)
			}
			for _, p := range polled {
				if p.Problem == nil {
					see(p.Receipt)
				}
			}
		default:
			see(event.Receipt)
		}
		if len(open) == 0 {
			break
		}
	}
	// Output:
	// reading 2
	// bid confirmed
	// reserve waiting
	// bid confirmed
	// reserve held
}

// A page shows a sale as it sells. Nobody has to sign in for that.
func ExampleClient_FollowSale() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	for sale, err := range c.FollowSale(context.Background(), 7) {
		if err != nil {
			log.Fatal(err)
		}
		if sale.Stock == nil {
			fmt.Println(sale.State)
			continue
		}
		fmt.Println(sale.State, "at", sale.Price, "with", sale.Stock.Free, "left")
	}
	// Output:
	// open at 9800 with 1 left
	// sold_out at 9800 with 0 left
	// closed
}

// A turn that is too far off to wait for here is kept, with the key of the call.
func ExampleWithTurn() {
	api := waitingRoom()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	bid := client.Bid{Quantity: 1, Price: 9800}
	_, err = c.Bid(ctx, 9, bid, client.WithKey("order-4712"))
	var crowd *client.Problem
	if errors.As(err, &crowd) && crowd.Turn != "" {
		fmt.Println("again after", crowd.RetryAfter)
		// … which this example does not wait for.
		receipt, err := c.Bid(ctx, 9, bid, client.WithKey("order-4712"), client.WithTurn(crowd.Turn))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(receipt.Status)
	}
	// Output:
	// again after 3m0s
	// queued
}
