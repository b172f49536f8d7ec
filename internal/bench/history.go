package bench

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"sluice/internal/sale"
)

var history = Scenario{
	Name: "history", Title: "Flat over the receipts that Postgres has", Gives: []string{"old receipts", "growth", "reading a receipt"},
	What: "Bids of 10,000 buyers on one sale, all of which win, over ever more receipts of the past, each with its ledger entry and its notice, " +
		"in the real tables with all their indexes: a thousand to a sale, of a million buyers, over a year; one in twelve refunded." + howFlat,
	Run: func(ctx context.Context, r *Run) error {
		var grown *keepers
		var next func(int) sale.Request
		had := 0
		return growth{
			of: "old receipts", base: 0, points: pick(r, []int{1_000_000, 10_000_000}, []int{2000}), rounds: 3,
			world: func(ctx context.Context, x int) (*keepers, flow, error) {
				k, bid := grown, next
				if k == nil {
					var err error
					if k, bid, err = r.bidding(ctx); err != nil {
						return k, flow{}, err
					}
				}
				if x > 0 {
					began := time.Now()
					if err := k.remember(ctx, had, x); err != nil {
						return k, flow{}, err
					}
					r.Say("   filled up to %s receipts in %s", grouped(int64(x)), time.Since(began).Round(time.Second))
					grown, next, had = k, bid, x
				}
				return k, flowScale(r, bid), nil
			},
			after: func(ctx context.Context, base, grown *keepers) error {
				return r.compareReads(ctx, base, grown)
			},
		}.measure(ctx, r)
	},
}

// past are the tables that grow with every request, and how their rows of the past come
// about; i is the number of one. What has no index is left as it is by default.
var past = []struct{ table, fill string }{
	{"receipts", `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		select
			overlay(md5(i::text) placing '8000' from 13 for 4)::uuid, 1000000000 + (i - 1) / 1000, 1 + (hashint8(i) & 1048575), 'bid', 1, 10,
			case when i % 12 = 0 then 'refunded' else 'confirmed' end, i, i, now() - interval '1 year' * (1 - i / 10000000.0)
		from generate_series($1::bigint, $2::bigint) as i`},
	{"entries", `
		insert into entries (at, receipt, debit, credit, amount)
		select
			now() - interval '1 year' * (1 - i / 10000000.0), overlay(md5(i::text) placing '8000' from 13 for 4)::uuid,
			1 + (hashint8(i) & 1048575), -1000000000 - (i - 1) / 1000, 10
		from generate_series($1::bigint, $2::bigint) as i`},
	{"notices", `
		insert into notices (account, at, word, sale, receipt, read)
		select
			1 + (hashint8(i) & 1048575), now() - interval '1 year' * (1 - i / 10000000.0), 'confirmed', 1000000000 + (i - 1) / 1000,
			overlay(md5(i::text) placing '8000' from 13 for 4)::uuid, i % 3 > 0
		from generate_series($1::bigint, $2::bigint) as i`},
}

// remember gives Postgres the receipts from one number up to another, with all that
// belongs to them. Indexes are taken away meanwhile, and made again as they were: that is
// several times faster. Afterwards everything is as if it had come over a year.
func (k *keepers) remember(ctx context.Context, from, to int) error {
	work, ctx := errgroup.WithContext(ctx)
	for _, p := range past {
		work.Go(func() error {
			fill := k.refill
			if p.table == "receipts" {
				fill = k.refillEra
			}
			if err := fill(ctx, p.table, p.fill, from, to); err != nil {
				return fmt.Errorf("fill %s: %w", p.table, err)
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return k.sql(context.WithoutCancel(ctx), "checkpoint")
}

// refillEra is refill of receipts: what has been lies in an era of its own, a thousand
// receipts to a sale.
func (k *keepers) refillEra(ctx context.Context, table, fill string, from, to int) error {
	era := fmt.Sprintf("%s_of_%d_to_%d", table, from, to)
	conn, err := k.postgres.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	do := func(statements ...string) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%.100s: %w", statement, err)
			}
		}
		return nil
	}
	if err := do("set synchronous_commit = off", "set maintenance_work_mem = '512MB'",
		"create table "+era+" (like "+table+" including defaults including constraints)",
		strings.Replace(strings.NewReplacer("$1::bigint", fmt.Sprint(from+1), "$2::bigint", fmt.Sprint(to)).Replace(fill), "insert into "+table, "insert into "+era, 1)); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		select regexp_replace(indexdef, ' INDEX \S+ ON \S+ ', ' INDEX ON ' || $2 || ' ')
		from pg_indexes
		where schemaname = 'public' and tablename = $1
		order by indexname`, table+"_0", era)
	if err != nil {
		return err
	}
	indexes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if err := do(indexes...); err != nil { // those that are an era's own, too
		return err
	}
	if err := do(fmt.Sprintf("alter table %s attach partition %s for values from (%d) to (%d)", table, era, 1_000_000_000+from/1000, 1_000_000_000+(to+999)/1000),
		"vacuum (freeze, analyze) "+era, "reset synchronous_commit", "reset maintenance_work_mem"); err != nil {
		return err
	}
	return nil
}

func (k *keepers) refill(ctx context.Context, table, fill string, from, to int) error {
	conn, err := k.postgres.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, `
		select
			case when c.conname is null then 'drop index ' || i.relname else 'alter table ' || t.relname || ' drop constraint ' || c.conname end,
			case when c.conname is null then pg_get_indexdef(i.oid)
				else 'alter table ' || t.relname || ' add constraint ' || c.conname || ' ' || pg_get_constraintdef(c.oid) end
		from pg_index x
		join pg_class i on i.oid = x.indexrelid
		join pg_class t on t.oid = x.indrelid
		left join pg_constraint c on c.conindid = i.oid and c.conrelid = t.oid and c.contype in ('p', 'u')
		where t.relname = $1 and t.relnamespace = 'public'::regnamespace`, table)
	if err != nil {
		return err
	}
	type index struct{ Drop, Make string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return err
	}
	if len(indexes) == 0 {
		return fmt.Errorf("it has no index")
	}
	run := func(statement string, args ...any) {
		if err == nil {
			_, err = conn.Exec(ctx, statement, args...)
		}
	}
	run("set synchronous_commit = off")
	run("set maintenance_work_mem = '512MB'")
	for _, x := range indexes {
		run(x.Drop)
	}
	run(fill, from+1, to)
	for _, x := range indexes {
		run(x.Make)
	}
	run("vacuum (freeze, analyze) " + table)
	run("reset synchronous_commit")
	run("reset maintenance_work_mem")
	return err
}

// compareReads tells what reading one receipt from Postgres costs, of those that were
// just settled in base, and of the oldest in grown.
func (r *Run) compareReads(ctx context.Context, base, grown *keepers) error {
	n := r.Scale(10_000, 100)
	var cost []float64
	for range r.Times(3) {
		a, err := base.reads(ctx, n)
		if err != nil {
			return err
		}
		b, err := grown.reads(ctx, n)
		if err != nil {
			return err
		}
		r.Contender("a receipt read, young", "any receipt, where there is no past")
		r.Round("a receipt read, young", a)
		r.Contender("a receipt read, of all", "any receipt of all, most of them of the past")
		r.Round("a receipt read, of all", b)
		cost = append(cost, b.cost()/a.cost())
	}
	r.Figure("reading a receipt", "× (among all : without a past)", Median(cost), flatness)
	return nil
}

// reads reads n receipts, drawn from all there are, sixteen at a time.
func (k *keepers) reads(ctx context.Context, n int) (Round, error) {
	rows, err := k.postgres.Query(ctx, `
		select near.id
		from generate_series(1, $1) as i
		cross join lateral (
			select id
			from receipts
			where id >= overlay(md5(random()::text || i) placing '8000' from 13 for 4)::uuid
			order by id
			limit 1) as near`, n)
	if err != nil {
		return Round{}, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return Round{}, err
	}
	if len(ids) == 0 {
		return Round{}, fmt.Errorf("there is no receipt to read")
	}
	own := computedSoFar()
	began := time.Now()
	used, err := k.Spent(func() error {
		var taken atomic.Int64
		work, ctx := errgroup.WithContext(ctx)
		for range 16 {
			work.Go(func() error {
				for {
					i := int(taken.Add(1)) - 1
					if i >= n {
						return nil
					}
					if _, err := k.ledger.Receipt(ctx, uuid.UUID(ids[i%len(ids)])); err != nil {
						return err
					}
				}
			})
		}
		return work.Wait()
	})
	if err != nil {
		return Round{}, err
	}
	took := time.Since(began).Seconds()
	used["reader"] = computedSoFar() - own
	delete(used, "redis") // it is not asked
	return Round{Rate: float64(n) / took, N: float64(n), Seconds: took, CPU: PerOne(used, float64(n))}, nil
}
