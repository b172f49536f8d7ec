package audit_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/audit"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/settlement"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

const partitions = 2

var free = partition.Limits{Backlog: 1_000_000}

// house is both stores, and the doors behind them that only a burglar uses.
type house struct {
	t        testing.TB
	redisURL string
	pgURL    string
	store    *partition.Store
	ledger   *ledger.Ledger
	redis    redis.UniversalClient
	pg       *pgx.Conn
}

func open(t testing.TB, redisURL, pgURL string, hooks ...redis.Hook) *house {
	t.Helper()
	h := &house{t: t, redisURL: redisURL, pgURL: pgURL}
	var err error
	h.store, err = partition.Open(t.Context(), partition.Options{URL: redisURL, Partitions: partitions, Hooks: hooks})
	h.must(err)
	t.Cleanup(func() { h.store.Close() })
	h.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: pgURL})
	h.must(err)
	t.Cleanup(h.ledger.Close)
	h.redis = embeddedtest.Client(t, redisURL)
	h.pg, err = pgx.Connect(t.Context(), pgURL)
	h.must(err)
	t.Cleanup(func() { h.pg.Close(context.WithoutCancel(t.Context())) })
	h.must(h.ledger.EnsurePartitions(t.Context(), partitions))
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// audit runs one.
func (h *house) audit() audit.Report {
	h.t.Helper()
	report, err := audit.New(h.store, h.ledger).Run(h.t.Context())
	h.must(err)
	return report
}

// consume starts a consumer; the answer stops it.
func (h *house) consume() (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	consumer := settlement.New("consumer", h.store, h.ledger, zerolog.New(io.Discard), prometheus.NewRegistry())
	go func() { done <- consumer.Run(ctx) }()
	for p := range partitions { // until admission opens
		h.until(func() bool {
			_, err := h.store.Projection(h.t.Context(), p, nil)
			return err == nil
		})
	}
	return func() {
		cancel()
		h.must(<-done)
	}
}

// until waits for what another process does, a minute at most.
func (h *house) until(done func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatal("waited a minute in vain")
		}
	}
}

// sale records a sale as it is, however short or old; an auction unless it says
// otherwise.
func (h *house) sale(s sale.Sale) sale.Sale {
	h.t.Helper()
	s.Kind, s.Title = cmp.Or(s.Kind, sale.Auction), "lamp"
	s, err := h.ledger.CreateSale(h.t.Context(), s, partitions)
	h.must(err)
	return s
}

// ask queues a request, loading its sale if need be, and answers its receipt.
func (h *house) ask(p int, r sale.Request, gate partition.Gate) uuid.UUID {
	h.t.Helper()
	if r.Receipt == uuid.Nil {
		r.Receipt = sale.NewReceiptID(p)
	}
	if stand, applied, err := h.ledger.Stand(h.t.Context(), r.Sale); err == nil {
		if err := h.store.Load(h.t.Context(), 0, applied, stand); err != nil && gate == partition.Selling {
			h.until(func() bool {
				stand, applied, err := h.ledger.Stand(h.t.Context(), r.Sale)
				return err == nil && h.store.Load(h.t.Context(), 0, applied, stand) == nil
			})
		}
	}
	_, err := h.store.Admit(h.t.Context(), p, r, gate, free)
	h.must(err)
	return r.Receipt
}

// becomes waits for the outcome of a receipt, which must be that one.
func (h *house) becomes(id uuid.UUID, want string) {
	h.t.Helper()
	p, _ := sale.PartitionOf(id)
	var got string
	h.until(func() bool {
		r, err := h.store.Receipt(h.t.Context(), p, id)
		h.must(err)
		got = r.Status.String()
		if r.Reason != 0 {
			got += " " + r.Reason.String()
		}
		return r.Status != sale.Queued
	})
	if got != want {
		h.t.Fatalf("receipt %s is %s, want %s", id, got, want)
	}
}

// jump sets the stream time of every partition.
func (h *house) jump(to sale.Instant) {
	h.t.Helper()
	for p := range partitions {
		h.must(h.redis.HSet(h.t.Context(), fmt.Sprintf("{s%d}", p), "clock", int64(to)).Err())
	}
}

// backup is a house as it was when nobody was in it.
type backup struct {
	redisURL string
	pgURL    string // of the database, which has kept all rows in a second schema
	keys     map[string]string
	expiries map[string]time.Duration
}

// backup leaves the house.
func (h *house) backup() *backup {
	h.t.Helper()
	b := &backup{redisURL: h.redisURL, pgURL: h.pgURL, keys: map[string]string{}, expiries: map[string]time.Duration{}}
	names, err := h.redis.Keys(h.t.Context(), "*").Result()
	h.must(err)
	for _, name := range names {
		b.keys[name], err = h.redis.Dump(h.t.Context(), name).Result()
		h.must(err)
		ttl, err := h.redis.PTTL(h.t.Context(), name).Result()
		h.must(err)
		b.expiries[name] = max(ttl, 0)
	}
	// Without foreign keys the rows come back in any order.
	_, err = h.pg.Exec(h.t.Context(), `
		create schema kept;
		do $$
		declare x record;
		begin
			for x in select conrelid::regclass as on_table, conname from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace loop
				execute format('alter table %s drop constraint %I', x.on_table, x.conname);
			end loop;
			for x in select relname as tablename from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition loop
				execute format('create table kept.%I as table public.%I', x.tablename, x.tablename);
			end loop;
		end $$`)
	h.must(err)
	h.ledger.Close()
	return b
}

// restore opens the house again, with everything where it was. What is possible stays
// possible: constraints that were dropped do not come back.
func (b *backup) restore(t testing.TB, hooks ...redis.Hook) *house {
	t.Helper()
	h := open(t, b.redisURL, b.pgURL, hooks...)
	_, err := h.pg.Exec(t.Context(), `
		do $$
		declare x record;
		begin
			for x in
				select table_name, string_agg(format('%I', column_name), ', ') as columns
				from information_schema.columns
				where table_schema = 'public' and is_generated = 'NEVER'
					and table_name in (select tablename from pg_tables where schemaname = 'kept')
				group by table_name
			loop
				execute format('delete from public.%I', x.table_name);
				execute format('insert into public.%1$I (%2$s) overriding system value select %2$s from kept.%1$I', x.table_name, x.columns);
			end loop;
		end $$`)
	h.must(err)
	h.must(h.redis.FlushAll(t.Context()).Err())
	for key, dump := range b.keys {
		h.must(h.redis.RestoreReplace(t.Context(), key, b.expiries[key], dump).Err())
	}
	return h
}
