package migrations_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var receiptsFlag = flag.Int("receipts", 100_000, "receipts that BenchmarkEras brings from the schema before eras into the first of them")

// BenchmarkEras brings a database with so many receipts into eras, while the release
// before goes on settling, batch after batch with its own statements, and tells how long
// each step took and how long the longest batch took meanwhile.
//
//	go test ./migrations -run '^$' -bench Eras -benchtime 1x -receipts 10000000 -timeout 2h
func BenchmarkEras(b *testing.B) {
	receipts := *receiptsFlag
	if testing.Short() {
		receipts = min(receipts, 1000)
	}
	for range b.N {
		b.StopTimer()
		url := blank(b)
		up, _ := stairs(b, url)
		up(4)
		exec(b, url, `
			insert into partitions (id) values (0);
			set statement_timeout = 0; set maintenance_work_mem = '256MB'; set synchronous_commit = off;
			
			drop index receipts_by_buyer, receipts_of_sale, receipts_of_status, receipts_one_payment, receipts_one_return, receipts_one_use;
			alter table receipts drop constraint receipts_pkey`)
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		run := func(statement string, args ...any) {
			b.Helper()
			if _, err := conn.Exec(b.Context(), statement, args...); err != nil {
				b.Fatalf("%s: %v", statement, err)
			}
		}
		began := time.Now()
		run(`set statement_timeout = 0`)
		run(`set maintenance_work_mem = '256MB'`)
		run(`
			insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
			select
				overlay(md5(i::text) placing '8000' from 13 for 4)::uuid, 1 + i / 1000, 1 + (hashint8(i) & 1048575), 'bid', 1, 10,
				case when i % 12 = 0 then 'refunded' else 'confirmed' end, i, i, now() - interval '1 year' * (1 - i / 10000000.0)
			from generate_series(1, $1::bigint) as i`, receipts)
		for _, index := range []string{
			`alter table receipts add primary key (id)`,
			`create index receipts_by_buyer on receipts (buyer, at, id)`,
			`create index receipts_of_sale on receipts (sale, at, id)`,
			`create index receipts_of_status on receipts (sale, status, at, id) where status <> 'confirmed'`,
			`create unique index receipts_one_payment on receipts (target) where verb = 'pay'`,
			`create unique index receipts_one_return on receipts (target) where verb in ('refund', 'cancel', 'reserve') and target is not null`,
			`create unique index receipts_one_use on receipts (coupon) where coupon is not null and status in ('confirmed', 'held', 'waiting')`,
			`select setval('sales_id_seq', 20000)`,
			`analyze`,
		} {
			run(index)
		}
		fmt.Printf("%d receipts filled in %s\n", receipts, time.Since(began).Round(time.Millisecond))

		longest, settled, stop := settles(b, url)
		step := func(name string, do func()) {
			longest.Store(0)
			was, began := settled.Load(), time.Now()
			do()
			time.Sleep(20 * time.Millisecond) // the batch that waited has told how long
			fmt.Printf("%10s  longest batch %8s, %6d settled  %s\n", time.Since(began).Round(time.Millisecond),
				time.Duration(longest.Load()).Round(100*time.Microsecond), settled.Load()-was, name)
		}
		step("nothing", func() { time.Sleep(5 * time.Second) })
		b.StartTimer()
		for _, statement := range statements(b, "00005_eras_ready.sql") {
			step(strings.Join(strings.Fields(statement)[:min(9, len(strings.Fields(statement)))], " "), func() { run(statement) })
		}
		step("00005, again, and 00006", func() { up(6) })
		b.StopTimer()
		step("nothing, in eras", func() { time.Sleep(5 * time.Second) })
		stop()
		conn.Close(context.WithoutCancel(b.Context()))
	}
}

// settles runs batches of a hundred bids as the release before does: with the fence, the
// look at what is there, and the rows.
func settles(b *testing.B, url string) (longest, settled *atomic.Int64, stop func()) {
	b.Helper()
	longest, settled = &atomic.Int64{}, &atomic.Int64{}
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			began := time.Now()
			err := pgx.BeginFunc(context.WithoutCancel(ctx), conn, func(tx pgx.Tx) error {
				batch := &pgx.Batch{}
				batch.Queue(`select set_config('enable_seqscan', 'off', true)`)
				batch.Queue(`update partitions set seq = seq + 1 where id = 0`)
				ids := make([][16]byte, 100)
				batch.Queue(`select id, status from receipts where id = any($1::uuid[]) order by id for no key update`, ids)
				batch.Queue(`
					insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
					select gen_random_uuid(), 20000, i, 'bid', 1, 10, 'confirmed', i, i, now()
					from generate_series(1, 100) as i`)
				return tx.SendBatch(ctx, batch).Close()
			})
			if err != nil && ctx.Err() == nil {
				b.Errorf("a batch: %v", err)
				return
			}
			settled.Add(100)
			longest.Store(max(longest.Load(), int64(time.Since(began))))
		}
	}()
	return longest, settled, func() {
		cancel()
		<-ended
		conn.Close(context.WithoutCancel(b.Context()))
	}
}
