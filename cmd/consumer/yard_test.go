package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestMain runs the tests; or, in a child that they start, this very program.
func TestMain(m *testing.M) {
	switch os.Getenv("SLUICE_TEST_AS") {
	case "consumer":
		main()
	case "pausing":
		pausing()
	default:
		embeddedtest.Main(m)
	}
}

const (
	yardPartitions = 16
	askEvery       = 50 * time.Millisecond // each partition, for something
	lookEvery      = 5 * time.Millisecond  // whether it is decided
)

// yard is real servers, consumers as processes, and somebody who asks something of
// each partition and sees how long the answer takes.
type yard struct {
	testing.TB
	ctx      context.Context
	redis    *embeddedtest.Server
	postgres string
	store    *partition.Store
	ledger   *ledger.Ledger
	buyers   []int64
	sales    []sale.Sale

	mu      sync.Mutex
	answers []answer
	waiting int // for one
}

// answer is how one request fared.
type answer struct {
	partition int
	asked     time.Time
	took      time.Duration
}

func newYard(t testing.TB) *yard {
	t.Helper()
	y := &yard{TB: t, ctx: context.WithoutCancel(t.Context()), redis: embeddedtest.RedisServer(t), postgres: embeddedtest.Postgres(t)}
	var err error
	y.ledger, err = ledger.Open(y.ctx, ledger.Options{URL: y.postgres})
	y.must(err)
	t.Cleanup(y.ledger.Close)
	y.must(y.ledger.EnsurePartitions(y.ctx, yardPartitions))
	y.store, err = partition.Open(y.ctx, partition.Options{URL: y.redis.URL, Partitions: yardPartitions})
	y.must(err)
	t.Cleanup(func() { y.store.Close() })
	sellers, err := y.ledger.CreateAccounts(y.ctx, "seller", 1, 0)
	y.must(err)
	y.buyers, err = y.ledger.CreateAccounts(y.ctx, "buyer", yardPartitions, sale.MaxPoints/1000)
	y.must(err)
	now := sale.At(time.Now())
	for range yardPartitions {
		s, err := y.ledger.CreateSale(y.ctx, sale.Sale{
			Kind: sale.Auction, Seller: sellers[0], Title: "lamp", Stock: 1_000_000, Limit: 1_000_000, ShowStock: true,
			Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
			OpensAt: now - 1000, ClosesAt: now.Add(time.Hour), RefundWindow: sale.DefaultRefund,
		}, yardPartitions)
		y.must(err)
		y.sales = append(y.sales, s)
	}
	slices.SortFunc(y.sales, func(a, b sale.Sale) int { return a.Partition - b.Partition })
	return y
}

func (y *yard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

func (y *yard) until(what string, met func() bool) {
	y.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			y.Fatalf("in vain: %s", what)
		}
	}
}

// child is a consumer in a process of its own.
type child struct {
	*exec.Cmd
	lines chan string // of a pausing one
}

// starts runs a consumer of this name, over servers at these addresses.
func (y *yard) starts(as, name, redis, postgres string) *child {
	y.Helper()
	program, err := os.Executable()
	y.must(err)
	c := &child{exec.Command(program), make(chan string, 100)}
	c.Env = append(os.Environ(), "SLUICE_TEST_AS="+as, "SLUICE_NAME="+name, "SLUICE_REDIS_URL="+redis, "SLUICE_POSTGRES_URL="+postgres,
		"SLUICE_LOG_LEVEL=error", "SLUICE_OPS_LISTEN=127.0.0.1:0", "SLUICE_POSTGRES_CONNS=8", "SLUICE_PARTITIONS="+strconv.Itoa(yardPartitions))
	c.Stderr, c.Stdout = y.Output(), lineWriter(c.lines)
	y.must(c.Start())
	y.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

// lineWriter sends what a child says, a line at a time.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w <- strings.TrimSpace(line)
	}
	return len(p), nil
}

// says waits for a line of a child that begins so.
func (y *yard) says(c *child, beginning string) string {
	y.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line := <-c.lines:
			if strings.HasPrefix(line, beginning) {
				return line
			}
		case <-deadline:
			y.Fatalf("it never says %q", beginning)
		}
	}
}

func (y *yard) signal(c *child, s syscall.Signal) {
	y.Helper()
	y.must(c.Process.Signal(s))
}

// owned is how many partitions each lease holder has, by the name before its slash.
func (y *yard) owned() map[string]int {
	y.Helper()
	raw := y.raw()
	counts := map[string]int{}
	for p := range yardPartitions {
		holder, err := raw.Get(y.ctx, "{s"+strconv.Itoa(p)+"}:owner").Result()
		if !errors.Is(err, redis.Nil) {
			y.must(err)
		}
		name, _, _ := strings.Cut(holder, "/")
		counts[name]++
	}
	return counts
}

func (y *yard) raw() redis.UniversalClient {
	y.Helper()
	return embeddedtest.Client(y, y.redis.URL)
}

// share waits until these consumers have so many each, and every sale is open.
func (y *yard) share(each int, names ...string) {
	y.Helper()
	y.until("they share", func() bool {
		counts := y.owned()
		for _, name := range names {
			if counts[name] != each {
				return false
			}
		}
		return true
	})
	for _, s := range y.sales {
		y.until("it opens", func() bool {
			return y.store.LoadFrom(y.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
				return y.ledger.Stand(ctx, s.ID)
			}) == nil
		})
	}
}

// busy asks something of every partition, again and again, and notes how long each
// answer took, until it is ended; then it waits for the last ones.
func (y *yard) busy() (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for p := range yardPartitions {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(askEvery):
					all.Go(func() { y.ask(p) })
				}
			}
		})
	}
	end = sync.OnceFunc(func() {
		close(stop)
		all.Wait()
	})
	y.Cleanup(end)
	return end
}

func (y *yard) ask(p int) {
	asked := time.Now()
	y.waits(+1)
	defer y.waits(-1)
	r := sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Bid, Sale: y.sales[p].ID, Buyer: y.buyers[p], Quantity: 1, Price: 100}
	// A Redis that hangs gives no answer; the same request again finds the same receipt.
	for deadline := asked.Add(patience); ; time.Sleep(lookEvery) {
		_, err := y.store.Admit(y.ctx, p, r, partition.Anytime, partition.Limits{Backlog: 1 << 30})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			y.Errorf("partition %d: %v", p, err)
			return
		}
	}
	y.settled(p, r.Receipt)
	y.mu.Lock()
	defer y.mu.Unlock()
	y.answers = append(y.answers, answer{p, asked, time.Since(asked)})
}

func (y *yard) waits(more int) (now int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.waiting += more
	return y.waiting
}

// settled waits until a receipt is decided.
func (y *yard) settled(p int, id uuid.UUID) {
	for deadline := time.Now().Add(patience); ; time.Sleep(lookEvery) {
		hot, err := y.store.Receipt(y.ctx, p, id)
		if err == nil && hot.Status == sale.Confirmed {
			return
		}
		if time.Now().After(deadline) {
			y.Errorf("partition %d: %v %v", p, hot.Status, err)
			return
		}
	}
}

// flows waits until what is asked from now on is decided everywhere.
func (y *yard) flows() {
	var all sync.WaitGroup
	for p := range yardPartitions {
		all.Go(func() { y.ask(p) })
	}
	all.Wait()
}

// worst answers, for each partition, the longest time that an answer took of those
// that came after a moment.
func (y *yard) worst(since time.Time) (all []time.Duration, worst time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	of := make([]time.Duration, yardPartitions)
	for _, a := range y.answers {
		if a.asked.Add(a.took).After(since) {
			of[a.partition] = max(of[a.partition], a.took)
		}
	}
	return of, slices.Max(of)
}

// proves proves that both stores tell one story.
func (y *yard) proves() {
	y.Helper()
	var report audit.Report
	y.until("the audit finds the partitions at rest", func() bool {
		var err error
		report, err = audit.New(y.store, y.ledger).Run(y.ctx)
		y.must(err)
		return report.Verdict != "busy"
	})
	if report.Verdict != "ok" {
		y.Errorf("audit %+v", report)
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	sold := int64(0)
	for _, s := range y.sales {
		stand, _, err := y.ledger.Stand(y.ctx, s.ID)
		y.must(err)
		sold += stand.Sold
	}
	if sold != int64(len(y.answers)) {
		y.Errorf("%d are sold to %d who were answered", sold, len(y.answers))
	}
}

// ends waits for a process and answers how long that took.
func (y *yard) ends(c *child) (took time.Duration, status int) {
	y.Helper()
	began, ended := time.Now(), make(chan struct{})
	go func() {
		_ = c.Wait() // its status is read below
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		y.Fatal("it does not end")
	}
	return time.Since(began), c.ProcessState.ExitCode()
}

// query answers one value of Postgres.
func (y *yard) query(sql string) (value string) {
	y.Helper()
	c, err := pgx.Connect(y.ctx, y.postgres)
	y.must(err)
	defer c.Close(y.ctx)
	y.must(c.QueryRow(y.ctx, sql).Scan(&value))
	return value
}
