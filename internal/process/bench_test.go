package process_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"sluice/internal/embedded"
	"sluice/internal/process"
	"sluice/internal/sale"
)

// audits is how often the live sales are audited meanwhile: -audit-every 0 shows what that
// costs.
var audits = flag.Duration("audit-every", 5*time.Second, "how often BenchmarkBids is audited; 0: never")

// BenchmarkBids sends bids over HTTP to a whole Sluice in this process, on a
// private Redis (AOF, everysec) and a private Postgres (fsync on), and waits
// until the last one is settled. Every bid has a token and an Idempotency-Key of
// its own, and wins: points move and rows are written. One iteration is one bid.
//
// accepted/s counts from the first POST to the last 202, settled/s to the last
// outcome. The load is made in this process too, so it shares the cores.
func BenchmarkBids(b *testing.B) {
	const callers = 256
	dir, err := os.MkdirTemp("", "sluice-bench-*") // not b.TempDir: Postgres' own user must enter it
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(os.Chmod(dir, 0o755))
	ctx := b.Context()
	servers, err := embedded.Start(ctx, embedded.Options{Dir: dir, Durable: true})
	must(err)
	defer servers.Close()
	must(process.Migrate(ctx, servers.PostgresURL))
	config := process.Config{
		RedisURL: servers.RedisURL, PostgresURL: servers.PostgresURL, JWTKeys: "bench:" + strings.Repeat("k", 32),
		Partitions: 16, PostgresConns: 20, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 10 * time.Second,
		BuyerBurst: 1, Backlog: 1 << 30, PollBudget: 10_000, Waiters: 20_000, BatchesKeep: 24 * time.Hour, AuditEvery: *audits, LogLevel: "warn", LogFormat: "json", Name: "bench",
	}
	p, err := process.Open(ctx, config, zerolog.Nop())
	must(err)
	defer p.Close()
	api, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	ops, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running, api, ops) }()
	defer func() {
		stop()
		must(<-ended)
	}()

	sellers, err := p.Accounts.Create(ctx, "seller", 1, 0)
	must(err)
	buyers, err := p.Accounts.Create(ctx, "buyer", 10_000, 1_000_000)
	must(err)
	tokens := make([]string, len(buyers))
	for i, buyer := range buyers {
		tokens[i], err = p.Token(buyer, "buyer", time.Hour)
		must(err)
	}
	now := sale.At(time.Now()) + 100
	s, _, err := p.Catalog.Create(ctx, sale.Sale{
		Kind: sale.Auction, Seller: sellers[0], Title: "bench", Stock: sale.MaxStock, Limit: 1_000_000, RefundWindow: time.Hour,
		Price:   sale.Price{Policy: sale.Constant, Start: 10, Drop: 1, Period: time.Hour},
		OpensAt: now, ClosesAt: now.Add(time.Hour),
	}, "")
	must(err)
	client := &fasthttp.HostClient{Addr: api.Addr().String(), MaxConns: callers, Dial: func(addr string) (net.Conn, error) {
		return net.Dial("tcp", addr) // their own keeps a goroutine for ever
	}}
	bid := func(i int) (status int, receipt string) {
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(request)
		defer fasthttp.ReleaseResponse(response)
		request.Header.SetMethod("POST")
		request.SetRequestURI(fmt.Sprintf("http://%s/v1/sales/%d/bids", client.Addr, s.ID))
		request.Header.SetContentType("application/json")
		request.Header.Set("Authorization", "Bearer "+tokens[i%len(tokens)])
		request.Header.Set("Idempotency-Key", fmt.Sprint(i))
		request.SetBodyString(`{"quantity":1,"price":10}`)
		if err := client.Do(request, response); err != nil {
			b.Error(err)
		}
		return response.StatusCode(), string(response.Header.Peek("Location"))
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := bid(-1 + len(tokens)); status == fasthttp.StatusAccepted {
			break
		}
		if time.Now().After(deadline) {
			b.Fatal("the sale does not open")
		}
	}

	b.ResetTimer()
	var refused atomic.Int64
	var crowd sync.WaitGroup
	for caller := range callers {
		crowd.Go(func() {
			for i := caller; i < b.N; i += callers {
				if status, _ := bid(len(tokens) + i); status != fasthttp.StatusAccepted {
					refused.Add(1)
				}
			}
		})
	}
	crowd.Wait()
	accepted := b.Elapsed()
	for {
		stand, _, err := p.Catalog.Sale(ctx, s.ID)
		must(err)
		if stand.Sold == int64(b.N)+1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	if refused.Load() > 0 {
		b.Errorf("%d refused", refused.Load())
	}
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "settled/s")
}
