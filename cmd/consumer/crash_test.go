package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/process"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const patience = 2 * time.Minute

// fleet is a deployment of real processes over real servers.
type fleet struct {
	t        *testing.T
	dir      string
	env      []string
	postgres string
	inside   *process.Process // for what no API offers: accounts, sales, the audit
	apis     []string
}

func launch(t *testing.T, apis int) *fleet {
	f := &fleet{t: t, dir: t.TempDir(), postgres: embeddedtest.Postgres(t)}
	config := process.Config{
		RedisURL: embeddedtest.Redis(t), PostgresURL: f.postgres, JWTKeys: "test:" + strings.Repeat("k", 32),
		Partitions: 16, PostgresConns: 8, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ShutdownGrace: 5 * time.Second,
		BuyerRate: 1000, BuyerBurst: 1000, Backlog: 100_000, BatchesKeep: 24 * time.Hour, LogLevel: "warn", LogFormat: "json", Name: "test",
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
		f.apis = append(f.apis, "http://"+address)
	}
	for _, api := range f.apis {
		f.until("the API answers", func() bool {
			response, err := http.Get(api + "/v1/sales/1")
			if err != nil {
				return false
			}
			response.Body.Close()
			return true
		})
	}
	return f
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

// ask sends one request to an API chosen at random, and again to another until
// one answers.
func (f *fleet) ask(method, path, token, key string, body any) (status int, answer map[string]any) {
	payload, err := json.Marshal(body)
	if err != nil {
		f.t.Error(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequest(method, f.apis[rand.IntN(len(f.apis))]+path, bytes.NewReader(payload))
		if err != nil {
			f.t.Error(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		if key != "" {
			request.Header.Set("Idempotency-Key", key)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		answer = nil
		err = json.NewDecoder(response.Body).Decode(&answer)
		response.Body.Close()
		if err == nil && response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
			return response.StatusCode, answer
		}
	}
	f.t.Errorf("%s %s: no answer", method, path)
	return 0, nil
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
	tokens := make([]string, len(buyers))
	for i, buyer := range buyers {
		tokens[i], err = f.inside.Token(buyer, "buyer", time.Hour)
		f.must(err)
	}
	const sales, bids, stock = 4, 20, 900
	var ids []int64
	opens := sale.At(time.Now()) + 500
	for range sales {
		s, err := f.inside.Catalog.Create(ctx, sale.Sale{
			Kind: sale.Auction, Seller: sellers[0], Title: "lamp", Stock: stock, Limit: 10, RefundWindow: time.Hour,
			Price:   sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Second},
			OpensAt: opens, ClosesAt: opens.Add(10 * time.Minute),
		})
		f.must(err)
		ids = append(ids, s.ID)
	}
	f.until("they open", func() bool {
		status, shown := f.ask("GET", fmt.Sprintf("/v1/sales/%d", ids[0]), tokens[0], "", nil)
		return status == http.StatusOK && shown["state"] == "open"
	})

	var sent atomic.Int64
	var mu sync.Mutex
	accepted := map[string]string{} // receipt → its buyer's token
	refused := map[any]int{}
	var crowd sync.WaitGroup
	for i, token := range tokens {
		crowd.Go(func() {
			for j := range bids {
				path := fmt.Sprintf("/v1/sales/%d/bids", ids[(i+j)%sales])
				status, answer := f.ask("POST", path, token, fmt.Sprintf("bid-%d", j), map[string]any{"quantity": 1, "price": 1000})
				sent.Add(1)
				mu.Lock()
				if receipt, ok := answer["receipt"].(string); ok && status == http.StatusAccepted {
					accepted[receipt] = token
				} else {
					refused[answer["code"]]++
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

	outcomes := map[any]int{}
	for receipt, token := range accepted {
		f.until("receipt "+receipt+" ends", func() bool {
			status, answer := f.ask("GET", "/v1/receipts/"+receipt, token, "", nil)
			if status != http.StatusOK || answer["status"] == "queued" {
				return false
			}
			outcomes[answer["status"]]++
			return true
		})
	}
	t.Logf("%d sent, %d accepted, refused %v, outcomes %v", sent.Load(), len(accepted), refused, outcomes)
	if len(accepted)+refused["sold_out"] != len(buyers)*bids {
		t.Errorf("%d accepted, refused %v, of %d", len(accepted), refused, len(buyers)*bids)
	}
	if outcomes["confirmed"] != sales*stock || outcomes["confirmed"]+outcomes["rejected"] != len(accepted) {
		t.Errorf("outcomes %v of %d accepted", outcomes, len(accepted))
	}
	report, err := f.inside.Audit.Run(ctx)
	f.must(err)
	if report.Verdict != "ok" || report.Oversold != 0 || report.Inversions != 0 {
		t.Errorf("audit %+v", report)
	}
}
