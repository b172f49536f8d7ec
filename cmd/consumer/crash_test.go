package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"sluice/client"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
)

const patience = 2 * time.Minute

// fleet is a deployment of real processes over real servers.
type fleet struct {
	t        *testing.T
	dir      string
	env      []string
	postgres string
	inside   *process.Process // for what no API offers: accounts in bulk, the audit
	apis     anyAPI
	client   *client.Client // of nobody, to all APIs
}

// anyAPI sends each request to an API chosen at random: one that is repeated may
// well meet another.
type anyAPI []string // hosts

func (a anyAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = a[rand.IntN(len(a))]
	return http.DefaultTransport.RoundTrip(r)
}

func launch(t *testing.T, apis int) *fleet {
	f := &fleet{t: t, dir: t.TempDir(), postgres: embeddedtest.Postgres(t)}
	config := process.Config{
		RedisURL: embeddedtest.Redis(t), PostgresURL: f.postgres, JWTKeys: "test:" + strings.Repeat("k", 32),
		Partitions: 16, PostgresConns: 8, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 5 * time.Second,
		BuyerRate: 1000, BuyerBurst: 1000, Backlog: 100_000, PollBudget: 10_000, Waiters: 20_000, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json", Name: "test",
	}
	f.env = append(os.Environ(), "SLUICE_REDIS_URL="+config.RedisURL, "SLUICE_POSTGRES_URL="+config.PostgresURL,
		"SLUICE_JWT_KEYS="+config.JWTKeys, "SLUICE_LOG_LEVEL=warn", "SLUICE_BUYER_RATE=1000", "SLUICE_BUYER_BURST=1000",
		"SLUICE_OPS_LISTEN=127.0.0.1:0")
	build := exec.Command("go", "build", "-o", f.dir, "sluice/cmd/api", "sluice/cmd/consumer")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	f.inside, err = process.Open(t.Context(), config, zerolog.Nop())
	f.must(err)
	t.Cleanup(func() { f.inside.Close() })
	for range apis {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		f.must(err)
		address := listener.Addr().String()
		f.must(listener.Close())
		f.start("api", "SLUICE_LISTEN="+address)
		f.apis = append(f.apis, address)
		api, err := client.New("http://"+address, client.WithAttempts(math.MaxInt))
		f.must(err)
		if _, err := api.Sale(f.within(), 1); client.CodeOf(err) != client.CodeUnknownSale {
			t.Fatalf("the API answers %v", err)
		}
		api.Close()
	}
	f.client, err = client.New("http://any", client.WithAttempts(math.MaxInt),
		client.WithHTTPClient(&http.Client{Timeout: 10 * time.Second, Transport: f.apis}))
	f.must(err)
	return f
}

// within is a context for what must come to an end.
func (f *fleet) within() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

// as is the client of an account.
func (f *fleet) as(account int64, role string) *client.Client {
	f.t.Helper()
	token, err := f.inside.Token(account, role, time.Hour)
	f.must(err)
	return f.client.With(client.WithToken(token))
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) until(what string, met func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("in vain: %s", what)
		}
	}
}

// start runs one of the built programs until the test ends.
func (f *fleet) start(program string, env ...string) *os.Process {
	f.t.Helper()
	cmd := exec.Command(filepath.Join(f.dir, program))
	cmd.Env, cmd.Stderr = append(f.env, env...), f.t.Output()
	f.must(cmd.Start())
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process
}

// owned is how many partitions each consumer leads, by Postgres' own book.
func (f *fleet) owned() map[string]int {
	f.t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, f.postgres)
	f.must(err)
	defer c.Close(ctx)
	rows, err := c.Query(ctx, `select owner, count(*) from partitions group by owner`)
	f.must(err)
	counts := map[string]int{}
	var owner string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&owner, &n}, func() error {
		counts[owner] = n
		return nil
	})
	f.must(err)
	return counts
}

// TestConsumersDieInTheMiddle: three APIs and two consumers sell four sales; one
// consumer is killed, one is stopped, outlived and continued. Every accepted bid
// ends, nothing is oversold, and the audit finds one story.
func TestConsumersDieInTheMiddle(t *testing.T) {
	f := launch(t, 3)
	doomed := f.start("consumer", "SLUICE_NAME=doomed")
	paused := f.start("consumer", "SLUICE_NAME=paused")
	f.until("both lead some", func() bool { owned := f.owned(); return owned["doomed"] == 8 && owned["paused"] == 8 })

	ctx := t.Context()
	sellers, err := f.inside.Accounts.Create(ctx, "seller", 1, 0)
	f.must(err)
	buyers, err := f.inside.Accounts.Create(ctx, "buyer", 200, 100_000)
	f.must(err)
	const sales, bids, stock = 4, 20, 900
	seller := f.as(sellers[0], "seller")
	var ids []int64
	opens := time.Now().Add(2 * time.Second)
	for range sales {
		s, err := seller.CreateSale(f.within(), client.NewSale{
			Title: "lamp", Stock: stock, Limit: 10, RefundWindow: new(time.Hour),
			Policy: client.Constant, StartPrice: 1000, Drop: 1, Period: time.Second,
			OpensAt: opens, ClosesAt: opens.Add(10 * time.Minute),
		})
		f.must(err)
		ids = append(ids, s.ID)
	}
	f.until("they open", func() bool {
		s, err := f.client.Sale(f.within(), ids[0])
		return err == nil && s.State == client.Open
	})

	work := f.within()
	var sent atomic.Int64
	var mu sync.Mutex
	accepted := map[string]*client.Client{} // receipt → its buyer
	refused := map[client.Code]int{}
	var crowd sync.WaitGroup
	for i, account := range buyers {
		buyer := f.as(account, "buyer")
		crowd.Go(func() {
			for j := range bids {
				receipt, err := buyer.Bid(work, ids[(i+j)%sales], client.Bid{Quantity: 1, Price: 1000}, client.WithKey(fmt.Sprintf("bid-%d", j)))
				sent.Add(1)
				mu.Lock()
				if err == nil {
					accepted[receipt.ID] = buyer
				} else {
					refused[client.CodeOf(err)]++
				}
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // spreads the crowd; proves nothing
			}
		})
	}
	f.until("a fifth is sent", func() bool { return sent.Load() > int64(len(buyers)*bids/5) })
	f.must(doomed.Signal(syscall.SIGKILL))
	f.until("half is sent", func() bool { return sent.Load() > int64(len(buyers)*bids/2) })
	f.must(paused.Signal(syscall.SIGSTOP))
	f.start("consumer", "SLUICE_NAME=heir")
	f.until("the heir leads all", func() bool { return f.owned()["heir"] == 16 })
	f.must(paused.Signal(syscall.SIGCONT))
	crowd.Wait()

	outcomes := map[client.Status]int{}
	end := f.within()
	for id, buyer := range accepted {
		receipt, err := buyer.Wait(end, client.Receipt{ID: id})
		f.must(err)
		outcomes[receipt.Status]++
	}
	t.Logf("%d sent, %d accepted, refused %v, outcomes %v", sent.Load(), len(accepted), refused, outcomes)
	if len(accepted)+refused[client.CodeSoldOut] != len(buyers)*bids {
		t.Errorf("%d accepted, refused %v, of %d", len(accepted), refused, len(buyers)*bids)
	}
	if outcomes[client.Confirmed] != sales*stock || outcomes[client.Confirmed]+outcomes[client.Rejected] != len(accepted) {
		t.Errorf("outcomes %v of %d accepted", outcomes, len(accepted))
	}
	report, err := f.inside.Audit.Run(ctx)
	f.must(err)
	if report.Verdict != "ok" || report.Oversold != 0 || report.Inversions != 0 {
		t.Errorf("audit %+v", report)
	}
}
