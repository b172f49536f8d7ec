package ledger

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// overhears keeps what a transaction sends.
type overhears struct {
	pgx.Tx
	sent map[string][]any
}

func (tx overhears) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	for _, q := range b.QueuedQueries {
		tx.sent[q.SQL] = q.Arguments
	}
	return tx.Tx.SendBatch(ctx, b)
}

// planOf is how Postgres goes, or would go, about a statement of a settlement.
func (b *books) planOf(how, query string, args []any) (p plan) {
	b.t.Helper()
	tx, err := b.pool.Begin(b.ctx)
	b.must(err)
	defer func() { b.must(tx.Rollback(b.ctx)) }()
	_, err = tx.Exec(b.ctx, byIndex)
	b.must(err)
	b.must(tx.QueryRow(b.ctx, `explain (`+how+`, format json) `+query, args...).Scan(&p.text))
	var plans []map[string]any
	b.must(json.Unmarshal([]byte(p.text), &plans))
	p.root, _ = plans[0]["Plan"].(map[string]any)
	return p
}

// TestSettlingReadsNoWholeTable: every statement of every kind of batch goes by an
// index, however small its table is.
func TestSettlingReadsNoWholeTable(t *testing.T) {
	st := newStage(t)
	sent := map[string][]any{}
	st.wrapTx = func(tx pgx.Tx) pgx.Tx { return overhears{tx, sent} }
	random := rand.New(rand.NewPCG(1, 1))
	st.stageOfAll()
	who := st.buyers(8, 300)
	var known []uuid.UUID
	for range 40 {
		var entries []sale.Entry
		for range 8 {
			e := st.random(random, who, known)
			known, entries = append(known, e.Receipt), append(entries, e)
		}
		st.later(time.Minute)
		for _, d := range st.due() {
			entries = append(entries, st.tick(d))
		}
		st.settle(entries...)
	}
	tables := map[string]bool{}
	for query, args := range sent {
		plan := st.planOf("verbose off", query, args)
		if plan.has("Seq Scan") {
			t.Errorf("reads a whole table: %s\n%s", query, plan.text)
		}
		plan.each(func(node map[string]any) {
			if name, ok := node["Relation Name"].(string); ok {
				tables[name] = true
			}
		})
	}
	for _, name := range []string{"partitions", "receipts_0", "wallets", "coupons", "sales", "orders", "accounts"} {
		if !tables[name] {
			t.Errorf("no statement about %s was met, of %d", name, len(sent))
		}
	}

	// The known-bad twin: without its index one of them is found out.
	_, err := st.pool.Exec(st.ctx, `drop index receipts_0_one_payment`)
	st.must(err)
	payments, _ := (&share{paid: [][16]byte{{}}}).lock()
	if plan := st.planOf("verbose off", payments, sent[payments]); !plan.has("Seq Scan") {
		t.Errorf("payments are found by no index\n%s", plan.text)
	}
}

// TestDutiesReadWhatIsDue: of many holds, orders and sales, only what is due is
// read, and of that no more than is answered; whoever plans it.
func TestDutiesReadWhatIsDue(t *testing.T) {
	b := open(t)
	const many = 20_000
	s := b.sale(-time.Minute, time.Hour)
	for _, statement := range []string{`
		insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
		select gen_random_uuid(), 1, n, 1, 0, 'pending', now() + interval '1 h' + n * interval '1 s', now(), now(), now()
		from generate_series(1, 20000) as n`, `
		insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
		select gen_random_uuid(), 1, n, 1, 0, 'paid', now() - n * interval '1 s', now() - interval '1 day', now(), now()
		from generate_series(1, 20000) as n`, `
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, phase, paid_out)
		select
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at + interval '1 day', closes_at + interval '2 days', payout_at + interval '3 days', show_stock, stock, free,
			(array['scheduled', 'open', 'closed', 'closed'])[1 + n % 4], n % 4 = 3
		from sales, generate_series(1, 5000) as n`,
		`analyze`,
	} {
		_, err := b.pool.Exec(b.ctx, statement)
		b.must(err)
	}
	now := sale.At(time.Now())
	due, err := b.Duties(b.ctx, now, 500)
	b.must(err)
	if len(due) != 1 || due[0].Sale != s.ID {
		t.Errorf("due %+v", due)
	}
	args := []any{now.Time(), 500, walkMost, sale.TickMost}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		if plan := b.explain(mode, duties, args); plan.reads() > 100 {
			t.Errorf("%s: it reads %d rows\n%s", mode, plan.reads(), plan)
		}
	}
	if plan := b.planOf("analyze", duties, args); plan.has("Seq Scan") {
		t.Errorf("it reads a whole table\n%s", plan)
	}
	// All of them at once: a bounded part is looked at.
	args[0] = now.Add(24 * 365 * time.Hour).Time()
	if plan := b.planOf("analyze", duties, args); plan.reads() > walkMost+10*500 {
		t.Errorf("of %d holds it reads %d rows\n%s", many, plan.reads(), plan)
	}
}
