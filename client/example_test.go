package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"sluice/client"
)

// What the API answers.
const (
	tokens   = `{"account":12,"role":"buyer","access_token":"eyJ","access_expires_at":"2030-01-31T18:15:00Z","refresh_token":"cmV","refresh_expires_at":"2030-02-07T18:00:00Z"}`
	lamps    = `{"sale":7,"kind":"auction","seller":3,"title":"Lamps","state":"open","price":9800,"next_drop_at":"2030-01-31T18:03:00Z","next_price":9700,"policy":"constant","start_price":10000,"drop":100,"period":60,"limit":2,"opens_at":"2030-01-31T18:00:00Z","closes_at":"2030-01-31T18:10:00Z","refund_window":86400,"refund_until":"2030-02-01T18:10:00Z","show_stock":true,"stock":{"total":100,"free":41,"held":0,"sold":59},"now":"2030-01-31T18:02:12Z"}`
	waiting  = `{"receipt":"0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0aa","verb":"bid","sale":7,"status":"queued","quantity":1,"position":17,"poll_after_ms":60,"requested_at":"2030-01-31T18:02:12.5Z"}`
	bought   = `{"receipt":"0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0aa","verb":"bid","sale":7,"status":"confirmed","quantity":1,"unit_price":9800,"requested_at":"2030-01-31T18:02:12.5Z"}`
	soldOut  = `{"type":"/docs/errors#sold_out","title":"The sale is sold out","status":409,"code":"sold_out","instance":"/v1/sales/8/bids","request_id":"b4b8"}`
	crooked  = `{"type":"/docs/errors#invalid_fields","title":"Some fields are missing or break a rule","status":422,"code":"invalid_fields","instance":"/v1/sales","request_id":"b4b9","errors":[{"pointer":"#/limit","detail":"must be at least 1"},{"pointer":"#/stock","detail":"must be at least the limit per buyer"}]}`
	crowded  = `{"type":"/docs/errors#overloaded","title":"Too many requests are queued","status":503,"code":"overloaded","instance":"/v1/sales/9/bids","request_id":"b4ba","retry_after_ms":20}`
	firstTwo = `{"sales":[{"sale":7,"title":"Lamps","state":"open","price":9800},{"sale":8,"title":"Chairs","state":"sold_out","price":50}],"next_cursor":"AQEAAA","now":"2030-01-31T18:02:12Z"}`
	lastOne  = `{"sales":[{"sale":9,"title":"Tables","state":"scheduled","price":700}],"now":"2030-01-31T18:02:12Z"}`
)

// sluice is an API that knows the examples' questions.
func sluice() *httptest.Server {
	crowd := 2
	keys := map[string]bool{}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(status int, body string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/auth/signin":
			say(http.StatusOK, tokens)
		case "GET /v1/sales/7":
			say(http.StatusOK, lamps)
		case "POST /v1/sales/7/bids":
			say(http.StatusAccepted, waiting)
		case "POST /v1/sales/8/bids":
			say(http.StatusConflict, soldOut)
		case "POST /v1/sales/9/bids":
			keys[r.Header.Get("Idempotency-Key")] = true
			if crowd--; crowd >= 0 {
				say(http.StatusServiceUnavailable, crowded)
				return
			}
			fmt.Println("taken in under", len(keys), "key")
			say(http.StatusAccepted, waiting)
		case "GET /v1/receipts/0197a0a2-6a39-8d33-9c1c-6f0b4ed8f0aa":
			say(http.StatusOK, bought)
		case "POST /v1/sales":
			say(http.StatusUnprocessableEntity, crooked)
		case "GET /v1/sales":
			page := firstTwo
			if r.URL.Query().Has("cursor") {
				page = lastOne
			}
			say(http.StatusOK, page)
		default:
			say(http.StatusNotFound, `{}`)
		}
	}))
}

// From signing in to what came of a bid.
func Example() {
	api := sluice()
	defer api.Close()
	ctx := context.Background()

	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.SignIn(ctx, "ada@example.com", "correct horse battery"); err != nil {
		log.Fatal(err)
	}
	sale, err := c.Sale(ctx, 7)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sale.Title, "are", sale.State, "at", sale.Price)

	receipt, err := c.Bid(ctx, sale.ID, client.Bid{Quantity: 1, Price: sale.Price})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Status, "at position", receipt.Position)

	receipt, err = c.Wait(ctx, receipt)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Status, "for", receipt.UnitPrice)
	// Output:
	// Lamps are open at 9800
	// queued at position 17
	// confirmed for 9800
}

// What was refused has a code, which never changes.
func ExampleCodeOf() {
	api := sluice()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.Bid(context.Background(), 8, client.Bid{Quantity: 1, Price: 50})
	switch client.CodeOf(err) {
	case client.CodeSoldOut:
		fmt.Println("too late for a chair")
	case client.CodeNotOpen:
		fmt.Println("too early")
	}
	fmt.Println(err)
	// Output:
	// too late for a chair
	// POST /v1/sales/8/bids: 409 sold_out: The sale is sold out (request b4b8)
}

// A problem names every field that breaks a rule.
func ExampleProblem() {
	api := sluice()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.CreateSale(context.Background(), client.NewSale{Title: "Lamps", OpensAt: time.Now().Add(time.Hour)})
	var problem *client.Problem
	if errors.As(err, &problem) {
		for _, field := range problem.Fields {
			fmt.Println(strings.TrimPrefix(field.Pointer, "#/"), field.Detail)
		}
	}
	// Output:
	// limit must be at least 1
	// stock must be at least the limit per buyer
}

// A bid that is kept under a key of its own is made once, however often it is sent:
// by the client, when the house is crowded, or by another run of the program.
func ExampleWithKey() {
	api := sluice()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	receipt, err := c.Bid(context.Background(), 9, client.Bid{Quantity: 1, Price: 700}, client.WithKey("order-4711"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Status)
	// Output:
	// taken in under 1 key
	// queued
}

// A list fetches its pages as they are needed.
func ExampleClient_Sales() {
	api := sluice()
	defer api.Close()
	c, err := client.New(api.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	for sale, err := range c.Sales(context.Background(), client.SaleFilter{Order: client.ByOpening}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sale.ID, sale.Title, sale.State)
	}
	// Output:
	// 7 Lamps open
	// 8 Chairs sold_out
	// 9 Tables scheduled
}
