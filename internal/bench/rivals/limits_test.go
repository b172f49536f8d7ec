package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
	"sluice/internal/sale"
)

// TestLimitsAnswerAsSluice: what the limits send is as long as what Sluice sends, so
// that the same bytes are written, sent and read by all that are compared.
func TestLimitsAnswerAsSluice(t *testing.T) {
	client := caller(t)
	api, theirs, number := startSluice(t)
	bids := fmt.Sprintf("/v1/sales/%d/bids", number)
	real := eventually(t, func() (answer, bool) {
		a, err := ask(client, "POST", api+bids, theirs, "key", oneUnit)
		must(t, err)
		return a, a.status == 202
	})
	final := eventually(t, func() (answer, bool) {
		a, err := ask(client, "GET", api+real.header.Get("Location"), theirs, "", "")
		must(t, err)
		return a, strings.Contains(a.body, `"confirmed"`)
	})

	door, err := newDoorkeeper(testKeys)
	must(t, err)
	// The door reads the tokens that Sluice signs.
	posted, err := ask(client, "POST", start(t, (&post{}).app(door))+bids, theirs, "key", oneUnit)
	must(t, err)
	polled, err := ask(client, "GET", start(t, (&hello{}).app())+receiptsPath+"any", "", "", "")
	must(t, err)
	for _, complaint := range append(unlike(posted, real), unlike(polled, final)...) {
		t.Error(complaint)
	}

	// The twin: an answer that lacks a header, or says less, is found out.
	for name, spoil := range map[string]func(*answer){
		"no ETag":         func(a *answer) { a.header.Del("ETag") },
		"a shorter one":   func(a *answer) { a.header.Set("ETag", "1") },
		"one more":        func(a *answer) { a.header.Set("X-More", "1") },
		"another status":  func(a *answer) { a.status = 201 },
		"a shorter body":  func(a *answer) { a.body = `{"receipt":"x"}` },
		"an unlike field": func(a *answer) { a.body = strings.Replace(a.body, `"verb"`, `"word"`, 1) },
	} {
		bad := polled
		bad.header = polled.header.Clone()
		if spoil(&bad); len(unlike(bad, final)) == 0 {
			t.Errorf("%s goes through", name)
		}
	}
}

// unlike tells how two answers differ in form. Numbers may have another digit.
func unlike(a, b answer) (complaints []string) {
	if a.status != b.status {
		complaints = append(complaints, fmt.Sprintf("status %d, not %d", a.status, b.status))
	}
	for name := range b.header {
		if name == "Content-Length" {
			continue // it is that of the body
		}
		if got, want := len(a.header.Get(name)), len(b.header.Get(name)); got != want {
			complaints = append(complaints, fmt.Sprintf("header %s is %d bytes, not %d", name, got, want))
		}
	}
	for name := range a.header {
		if b.header.Get(name) == "" {
			complaints = append(complaints, "header "+name+" is too much")
		}
	}
	if got, want := fields(a.body), fields(b.body); got != want {
		complaints = append(complaints, fmt.Sprintf("fields %s, not %s", got, want))
	}
	const digits = 8
	if d := len(a.body) - len(b.body); d < -digits || d > digits {
		complaints = append(complaints, fmt.Sprintf("a body of %d bytes, not %d", len(a.body), len(b.body)))
	}
	return complaints
}

// fields are the keys of a flat JSON object, in order.
func fields(body string) (keys string) {
	decoder := json.NewDecoder(strings.NewReader(body))
	for i := 0; ; i++ {
		word, err := decoder.Token()
		if err != nil {
			return keys
		}
		if i%2 == 1 { // a brace first, then key and value by turns
			keys += fmt.Sprint(word) + " "
		}
	}
}

func eventually(t *testing.T, try func() (answer, bool)) answer {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		a, ok := try()
		if ok {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("in vain; at last: %d %s", a.status, a.body)
		}
	}
}

// startSluice starts all of it, with a buyer and a sale that is about to open.
func startSluice(t *testing.T) (url, token string, number int64) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	p, err := process.Open(ctx, process.Config{
		RedisURL: embeddedtest.Redis(t), PostgresURL: embeddedtest.Postgres(t), JWTKeys: "test:" + testSecret,
		Partitions: 1, PostgresConns: 4, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 10 * time.Second,
		BuyerBurst: 1, Backlog: 1 << 30, PollBudget: 10_000, Waiters: 100, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json", Name: "rivals",
	}, zerolog.Nop())
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	api, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ops, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running, api, ops) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	sellers, err := p.Accounts.Create(ctx, "seller", 1, 0)
	must(t, err)
	buyers, err := p.Accounts.Create(ctx, "buyer", 1, 1_000)
	must(t, err)
	token, err = p.Token(buyers[0], "buyer", time.Hour)
	must(t, err)
	now := sale.At(time.Now()) + 100
	s, _, err := p.Catalog.Create(ctx, sale.Sale{
		Kind: sale.Auction, Seller: sellers[0], Title: "lamp", Stock: sale.MaxStock, Limit: 1_000, RefundWindow: time.Hour,
		Price:   sale.Price{Policy: sale.Constant, Start: 10, Drop: 1, Period: time.Hour},
		OpensAt: now, ClosesAt: now.Add(time.Hour),
	}, "")
	must(t, err)
	return "http://" + api.Addr().String(), token, s.ID
}
