package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Settle decides a batch and commits all that comes of it in one transaction:
// fence, facts, sale.Decide, writes, the batch's row in the log. On entry b holds
// partition, epoch, watermarks, entries, the state at Prev, and the generation
// among its facts; on success also the facts and the decision.
//
// ErrFenced when the epoch is over, ErrMoved when the partition does not stand at
// b.Prev, *Edited when the state has sales as they are no more. After any other error it is not known whether the batch is settled: ask
// Watermark.
func (l *Ledger) Settle(ctx context.Context, b *sale.Batch) error {
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	tx = l.wrapTx(tx)
	// A transaction must not outlive its batch, whatever happened to ctx. After a
	// commit this does nothing.
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = tx.Rollback(late)
	}()
	if err := l.facts(ctx, tx, b); err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	b.Decision = sale.Decide(b.State, b.Facts, b.Entries)
	if err := write(ctx, tx, b); err != nil {
		return fmt.Errorf("settle partition %d: %w", b.Partition, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("settle partition %d: commit: %w", b.Partition, err)
	}
	return nil
}

// byIndex keeps the planner, in this transaction, from reading whole tables. Every
// statement of a batch touches a few hundred rows by their key. A prepared one is
// planned while its table is young and small, when reading all of it looks cheap,
// and that plan would be kept while the table grows: three of ten runs of
// BenchmarkBids settled at less than half the speed of the others.
const byIndex = `
	select
		set_config('enable_seqscan', 'off', true),
		set_config('enable_hashjoin', 'off', true),
		set_config('enable_mergejoin', 'off', true)`

// facts moves the watermark, which is the fence, and then reads and locks what
// Postgres knows of what the batch may touch.
func (l *Ledger) facts(ctx context.Context, tx pgx.Tx, b *sale.Batch) error {
	var receipts [][16]byte
	wallets := map[int64]bool{}
	for _, e := range b.Entries {
		if e.Receipt != uuid.Nil {
			receipts = append(receipts, e.Receipt)
		}
		if e.Target != uuid.Nil {
			receipts = append(receipts, e.Target)
		}
		stand := b.State[e.Sale]
		if stand == nil {
			continue
		}
		switch e.Verb {
		case sale.Bid:
			wallets[e.Buyer], wallets[stand.Payee()] = true, true
		case sale.Refund:
			wallets[e.Buyer], wallets[stand.Escrow] = true, true
		case sale.Payout:
			wallets[stand.Escrow], wallets[stand.Seller] = true, true
		}
	}

	scheduled := scheduled(b.State)
	b.Facts.Balances = make(map[int64]int64, len(wallets))
	b.Facts.Receipts = map[uuid.UUID]sale.Receipt{}
	questions := &pgx.Batch{}
	questions.Queue(byIndex)
	questions.Queue(`
		update partitions
		set applied_ms = $4, applied_no = $5, seq = $6
		where id = $1 and epoch = $2 and (applied_ms, applied_no) = ($3, $7)`,
		b.Partition, b.Epoch, b.Prev.At, b.Last.At, b.Last.No, b.Seq, b.Prev.No)
	questions.Queue(`
		select `+receiptColumns+`
		from receipts
		where id = any($1::uuid[])
		order by id
		for no key update`, receipts)
	questions.Queue(`
		select id, balance
		from wallets
		where id = any($1::bigint[])
		order by id
		for no key update`, slices.Sorted(maps.Keys(wallets)))
	if len(scheduled) > 0 {
		questions.Queue(lockScheduled, scheduled)
	}

	answers := tx.SendBatch(ctx, questions)
	defer answers.Close()
	if _, err := answers.Exec(); err != nil {
		return fmt.Errorf("choose plans: %w", err)
	}
	tag, err := answers.Exec()
	if err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	if tag.RowsAffected() != 1 {
		_ = answers.Close()
		return l.fenced(ctx, tx, b)
	}
	rows, err := answers.Query()
	if err != nil {
		return fmt.Errorf("read receipts: %w", err)
	}
	known, err := pgx.CollectRows(rows, scanReceipt)
	if err != nil {
		return fmt.Errorf("read receipts: %w", err)
	}
	for _, r := range known {
		b.Facts.Receipts[r.ID] = r
	}
	if rows, err = answers.Query(); err != nil {
		return fmt.Errorf("read wallets: %w", err)
	}
	var id, balance int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &balance}, func() error {
		b.Facts.Balances[id] = balance
		return nil
	}); err != nil {
		return fmt.Errorf("read wallets: %w", err)
	}
	if len(scheduled) > 0 {
		if err := unedited(answers, b.State, scheduled); err != nil {
			return err
		}
	}
	return answers.Close()
}

// fenced tells the two ways of not getting past the fence apart.
func (l *Ledger) fenced(ctx context.Context, tx pgx.Tx, b *sale.Batch) error {
	var epoch int64
	if err := tx.QueryRow(ctx, `
		select epoch
		from partitions
		where id = $1`, b.Partition).Scan(&epoch); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	if epoch != b.Epoch {
		return ErrFenced
	}
	return ErrMoved
}

// write records the decision, one set-based statement per table.
func write(ctx context.Context, tx pgx.Tx, b *sale.Batch) error {
	w := &writes{}
	w.receipts(b)
	w.transfers(b)
	w.sales(b)
	w.add(1, `
		insert into batches (
			partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, entries, facts, outcomes, effects)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		b.Partition, b.Prev.At, b.Prev.No, b.Last.At, b.Last.No, b.Seq, b.Epoch,
		b.EncodeEntries(), b.EncodeFacts(), b.EncodeOutcomes(), b.Effects.Encode())

	answers := tx.SendBatch(ctx, &w.batch)
	defer answers.Close()
	for i, rows := range w.rows {
		tag, err := answers.Exec()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if int(tag.RowsAffected()) != rows {
			return fmt.Errorf("write: statement %d touched %d rows, not %d", i, tag.RowsAffected(), rows)
		}
	}
	return answers.Close()
}

// writes is a pipeline of statements, each with the rows it must touch.
type writes struct {
	batch pgx.Batch
	rows  []int
}

func (w *writes) add(rows int, statement string, args ...any) {
	if rows == 0 {
		return
	}
	w.batch.Queue(statement, args...)
	w.rows = append(w.rows, rows)
}

func (w *writes) receipts(b *sale.Batch) {
	var moved, ids, targets [][16]byte
	var movedTo, verbs, statuses []string
	var sales, buyers, quantities, prices, fingerprints, seqs []int64
	var ats []time.Time
	for _, r := range b.Receipts() {
		if r.Status == sale.Rejected {
			continue
		}
		if _, settled := b.Facts.Receipts[r.ID]; settled {
			moved, movedTo = append(moved, r.ID), append(movedTo, r.Status.String())
			continue
		}
		ids, targets = append(ids, r.ID), append(targets, r.Target)
		verbs, statuses = append(verbs, r.Verb.String()), append(statuses, r.Status.String())
		sales, buyers, quantities = append(sales, r.Sale), append(buyers, r.Buyer), append(quantities, r.Quantity)
		prices, fingerprints = append(prices, r.UnitPrice), append(fingerprints, int64(r.Fingerprint))
		seqs, ats = append(seqs, r.Seq), append(ats, r.At.Time())
	}
	w.add(len(ids), `
		insert into receipts (
			id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select
			id, sale, buyer, verb, quantity, unit_price, status,
			nullif(target, '00000000-0000-0000-0000-000000000000'), fingerprint, seq, at
		from unnest(
			$1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::uuid[],
			$9::bigint[], $10::bigint[], $11::timestamptz[])
			as r (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)`,
		ids, sales, buyers, verbs, quantities, prices, statuses, targets, fingerprints, seqs, ats)
	w.add(len(moved), `
		update receipts
		set status = m.status
		from unnest($1::uuid[], $2::text[]) as m (id, status)
		where receipts.id = m.id`, moved, movedTo)
}

func (w *writes) transfers(b *sale.Batch) {
	var receipts [][16]byte
	var debits, credits, amounts []int64
	net := map[int64]int64{}
	for _, t := range b.Effects.Transfers {
		receipts = append(receipts, t.Receipt)
		debits, credits, amounts = append(debits, t.Debit), append(credits, t.Credit), append(amounts, t.Amount)
		net[t.Debit] -= t.Amount
		net[t.Credit] += t.Amount
	}
	w.add(len(receipts), `
		insert into entries (at, receipt, debit, credit, amount)
		select $1, receipt, debit, credit, amount
		from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
			as t (receipt, debit, credit, amount)`,
		b.Last.At.Time(), receipts, debits, credits, amounts)

	wallets, changes := slices.Sorted(maps.Keys(net)), []int64(nil)
	for _, id := range wallets {
		changes = append(changes, net[id])
	}
	w.add(len(wallets), `
		update wallets
		set balance = balance + c.change
		from unnest($1::bigint[], $2::bigint[]) as c (id, change)
		where wallets.id = c.id`, wallets, changes)
}

func (w *writes) sales(b *sale.Batch) {
	for _, s := range b.Effects.Sales {
		if !s.Changed {
			continue
		}
		w.add(1, `
			update sales
			set free = free + $2,
				held = held + $3,
				sold = sold + $4,
				stock = stock + $5,
				revenue = revenue + $6,
				phase = $7,
				paid_out = $8,
				closes_at = $9
			where id = $1`,
			s.Sale, s.Free, s.Held, s.Sold, s.Stock, s.Revenue, s.Phase, s.PaidOut, s.ClosesAt.Time())
	}
}
