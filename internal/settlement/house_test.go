package settlement

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const partitions = 4

// patience bounds every wait for a condition: far longer than any takes.
const patience = time.Minute

// house is a deployment in miniature over real servers.
type house struct {
	t      testing.TB
	ctx    context.Context
	redis  string
	pg     string
	store  *partition.Store
	ledger *ledger.Ledger
	seller int64
	plain  redis.UniversalClient // to the same Redis, for what no part of ours does

	pooler *embeddedtest.PgBouncer // before its Postgres, where there is one

	broken *breakage   // of its commits, where a test breaks them
	kills  atomic.Bool // connections, before they commit
}

func newHouse(t testing.TB) *house {
	return houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), nil)
}

// houseOver builds a house over given servers, with a driver that may be broken.
func houseOver(t testing.TB, redisURL, pgURL string, wrap func(pgx.Tx) pgx.Tx, hooks ...redis.Hook) *house {
	t.Helper()
	return furnished(&house{t: t, ctx: t.Context(), redis: redisURL, pg: pgURL}, func(o *ledger.Options) { o.WrapTx = wrap }, hooks...)
}

// pooledHouse builds one whose ledgers, all together, have so many sessions of Postgres,
// by a pooler in transaction mode.
func pooledHouse(t testing.TB, sessions int) *house {
	t.Helper()
	h := &house{t: t, ctx: t.Context(), redis: embeddedtest.Redis(t), pg: embeddedtest.Postgres(t)}
	h.pooler = embeddedtest.Pooler(t, h.pg, sessions)
	return furnished(h, nil)
}

// books is how a ledger of the house reaches Postgres.
func (h *house) books() ledger.Options {
	if h.pooler != nil {
		return ledger.Options{URL: h.pooler.URL, Pooler: true}
	}
	return ledger.Options{URL: h.pg}
}

// furnished opens what a house is made of.
func furnished(h *house, record func(*ledger.Options), hooks ...redis.Hook) *house {
	t, o := h.t, h.books()
	t.Helper()
	if record != nil {
		record(&o)
	}
	var err error
	h.ledger, err = ledger.Open(h.ctx, o)
	h.must(err)
	t.Cleanup(h.ledger.Close)
	h.must(h.ledger.EnsurePartitions(h.ctx, partitions))
	h.store, err = partition.Open(h.ctx, partition.Options{URL: h.redis, Partitions: partitions, Hooks: hooks})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	h.plain = h.raw()
	sellers, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	h.seller = sellers[0]
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) consumer(name string) *Consumer {
	return New(name, h.store, h.ledger, zerolog.Nop(), prometheus.NewRegistry())
}

// owner takes partition p.
func (h *house) owner(p int) *owner {
	h.t.Helper()
	o := newOwner(h.consumer("test"), p)
	h.must(o.take(h.ctx))
	return o
}

func (h *house) buyers(n int, points int64) []int64 {
	h.t.Helper()
	ids, err := h.ledger.CreateAccounts(h.ctx, "buyer", n, points)
	h.must(err)
	return ids
}

// sale records a sale that has been open for a moment; change says how it
// differs from ten units at a fixed price of 100, ten to a buyer.
func (h *house) sale(change func(*sale.Sale)) sale.Sale {
	h.t.Helper()
	now := sale.At(time.Now())
	s := sale.Sale{
		Kind: sale.Auction, Seller: h.seller, Title: "lamp", Stock: 10, Limit: 10, ShowStock: true,
		Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
		OpensAt: now - 1000, ClosesAt: now.Add(time.Hour), RefundWindow: sale.DefaultRefund,
	}
	if change != nil {
		change(&s)
	}
	s, err := h.ledger.CreateSale(h.ctx, s, partitions)
	h.must(err)
	return s
}

// open puts a sale into Redis, as the first request for it would. Its partition
// must have been taken.
func (h *house) open(s sale.Sale) {
	h.t.Helper()
	h.must(h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		return h.ledger.Stand(ctx, s.ID)
	}))
}

// admit queues a request and answers its receipt.
func (h *house) admit(s sale.Sale, r sale.Request) uuid.UUID {
	h.t.Helper()
	r.Sale = s.ID
	if r.Receipt == uuid.Nil {
		r.Receipt = sale.NewReceiptID(s.Partition)
	}
	_, err := h.store.Admit(h.ctx, s.Partition, r, partition.Anytime, partition.Limits{Backlog: 1 << 30})
	h.must(err)
	return r.Receipt
}

func (h *house) bid(s sale.Sale, buyer, quantity int64) uuid.UUID {
	h.t.Helper()
	return h.admit(s, sale.Request{Verb: sale.Bid, Buyer: buyer, Quantity: quantity, Price: s.Price.Start})
}

// drain steps until everything admitted to the partition is applied.
func (h *house) drain(o *owner) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		lead, err := h.store.Lead(h.ctx, o.partition, o.mark.Epoch, o.mark.Generation)
		h.must(err)
		if lead.AppliedSeq == lead.Seq {
			return
		}
		h.must(o.step(h.ctx))
		if time.Now().After(deadline) {
			h.t.Fatal("the partition does not drain")
		}
	}
}

// receipt answers a receipt as a client sees it: Redis, else Postgres.
func (h *house) receipt(id uuid.UUID) sale.Receipt {
	h.t.Helper()
	p, _ := sale.PartitionOf(id)
	hot, err := h.store.Receipt(h.ctx, p, id)
	var loading *sale.Refusal
	if errors.Is(err, sale.ErrUnknown) || errors.As(err, &loading) {
		hot.Receipt, err = h.ledger.Receipt(h.ctx, id)
	}
	h.must(err)
	return hot.Receipt
}

// count counts receipts by "status" or "rejected reason".
func (h *house) count(ids []uuid.UUID) map[string]int {
	h.t.Helper()
	counts := map[string]int{}
	for _, id := range ids {
		r := h.receipt(id)
		word := r.Status.String()
		if r.Status == sale.Rejected {
			word += " " + r.Reason.String()
		}
		counts[word]++
	}
	return counts
}

func (h *house) points(wallet int64) int64 {
	h.t.Helper()
	n, err := h.ledger.Points(h.ctx, wallet)
	h.must(err)
	return n
}

// until waits for a condition, looking often.
func (h *house) until(what string, met func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("in vain: %s", what)
		}
	}
}

// agree fails unless Redis and Postgres tell the same of a sale, and its units
// add up.
func (h *house) agree(s sale.Sale) *sale.Stand {
	h.t.Helper()
	stand, applied, err := h.ledger.Stand(h.ctx, s.ID)
	h.must(err)
	redis, err := h.store.Projection(h.ctx, s.Partition, []int64{s.ID})
	h.must(err)
	hot := redis.Sales[s.ID]
	switch {
	case redis.Applied != applied:
		h.t.Errorf("Redis stands at %s, Postgres at %s", redis.Applied, applied)
	case hot == nil:
		h.t.Error("Redis lacks the sale")
	case hot.Free != stand.Free || hot.Held != stand.Held || hot.Sold != stand.Sold || hot.Stock != stand.Stock || hot.Phase != stand.Phase || hot.PaidOut != stand.PaidOut:
		h.t.Errorf("Redis has %+v, Postgres %+v", hot, stand)
	case hot.Waiting != stand.Waiting || !slices.Equal(hot.Holds, stand.Holds) || !slices.Equal(hot.Line, stand.Line):
		h.t.Errorf("Redis has %d waiting, holds %v and line %v, Postgres %d, %v and %v", hot.Waiting, hot.Holds, hot.Line, stand.Waiting, stand.Holds, stand.Line)
	case stand.Free+stand.Held+stand.Sold != stand.Stock:
		h.t.Errorf("units do not add up: %+v", stand)
	}
	if hot != nil && len(hot.Buyers) != len(stand.Buyers) {
		h.t.Errorf("%d buyers in Redis, %d in Postgres", len(hot.Buyers), len(stand.Buyers))
	}
	for buyer, units := range stand.Buyers {
		if hot != nil && hot.Buyers[buyer] != units {
			h.t.Errorf("buyer %d has %d units in Redis, %d in Postgres", buyer, hot.Buyers[buyer], units)
		}
	}
	return stand
}

// raw is a plain connection to the house's Redis, for what no part of ours does.
func (h *house) raw() redis.UniversalClient {
	h.t.Helper()
	return embeddedtest.Client(h.t, h.redis)
}

// dump copies everything in Redis; what it answers puts that copy back.
func (h *house) dump() (back func()) {
	h.t.Helper()
	raw := h.plain
	keys, err := raw.Keys(h.ctx, "*").Result()
	h.must(err)
	kept := map[string]string{}
	for _, key := range keys {
		value, err := raw.Dump(h.ctx, key).Result()
		h.must(err)
		kept[key] = value
	}
	return func() {
		h.t.Helper()
		h.must(raw.FlushDB(h.ctx).Err())
		for key, value := range kept {
			h.must(raw.Restore(h.ctx, key, 0, value).Err())
		}
	}
}

func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	c, err := pgx.Connect(h.ctx, h.pg)
	h.must(err)
	defer c.Close(h.ctx)
	_, err = c.Exec(h.ctx, statement, args...)
	h.must(err)
}
