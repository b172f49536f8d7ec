package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// write records the decision, one set-based statement per table, none for what the
// batch does not have.
func write(ctx context.Context, tx pgx.Tx, b *sale.Batch, eras *eras) error {
	w := newWrites(b, eras)
	if err := w.acrossSales(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := w.receipts(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	w.transfers()
	w.coupons()
	w.sales()
	w.orders()
	w.notices()
	w.rejections()
	w.add(1, `
		insert into batches (
			partition, prev_ms, prev_no, last_ms, last_no, seq, epoch, entries, facts, outcomes, effects)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		b.Partition, b.Prev.At, b.Prev.No, b.Last.At, b.Last.No, b.Seq, b.Epoch,
		b.EncodeEntries(), b.EncodeFacts(), b.EncodeOutcomes(), b.Effects.Encode())

	answers := tx.SendBatch(ctx, &w.statements)
	defer answers.Close()
	for i, rows := range w.rows {
		tag, err := answers.Exec()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if n := int(tag.RowsAffected()); n > rows || n < rows && !w.fewer[i] {
			return fmt.Errorf("write: statement %d touched %d rows, not %d", i, n, rows)
		}
	}
	return answers.Close()
}

// writes is a pipeline of statements, each with the rows it must touch, or may.
type writes struct {
	batch   *sale.Batch
	changed []sale.Receipt          // all of them, as they stand now
	last    map[uuid.UUID]sale.Move // of every receipt that moved
	eras    *eras

	statements pgx.Batch
	rows       []int
	fewer      map[int]bool // statements that may touch fewer
}

func newWrites(b *sale.Batch, eras *eras) *writes {
	w := &writes{batch: b, eras: eras, changed: b.Receipts(), last: make(map[uuid.UUID]sale.Move, len(b.Effects.Moves)), fewer: map[int]bool{}}
	for _, m := range b.Effects.Moves {
		w.last[m.Receipt.ID] = m
	}
	return w
}

func (w *writes) add(rows int, statement string, args ...any) {
	if rows == 0 {
		return
	}
	w.statements.Queue(statement, args...)
	w.rows = append(w.rows, rows)
}

// addAtMost adds a statement that may touch fewer rows.
func (w *writes) addAtMost(rows int, statement string, args ...any) {
	w.fewer[len(w.rows)] = true
	w.add(rows, statement, args...)
}

// settled answers a receipt as it stood before the batch.
func (w *writes) settled(id uuid.UUID) (sale.Receipt, bool) {
	r, ok := w.batch.Facts.Receipts[id]
	return r, ok
}

// since is when a receipt became what it is.
func (w *writes) since(r sale.Receipt) sale.Instant {
	if m, moved := w.last[r.ID]; moved {
		return m.At
	}
	return r.At
}

// receipts moves those that stood before, and adds those of the batch, each in the
// table of its era. What it gave up may be taken in the same batch, such as a coupon:
// so it is given up first.
func (w *writes) receipts() error {
	moved, fresh := map[era]*receiptRows{}, map[era]*receiptRows{}
	for _, r := range w.changed {
		_, went := w.last[r.ID]
		if r.Status == sale.Rejected && !went {
			continue
		}
		e, kept := w.eras.of(r.Sale)
		if !kept {
			return &Impossible{r.ID, fmt.Sprintf("is of sale %d, whose receipts are not kept", r.Sale)}
		}
		rows := fresh
		before, ok := w.settled(r.ID)
		if ok {
			rows = moved
		}
		if rows[e] == nil {
			rows[e] = &receiptRows{}
		}
		rows[e].add(r)
		if ok {
			rows[e].was = append(rows[e].was, before.Status.String())
		}
	}
	for _, e := range inOrder(moved) {
		rows := moved[e]
		w.add(len(rows.ids), `
			update `+e.table()+` as receipts
			set status = m.status,
				reason = m.reason,
				unit_price = m.unit_price,
				pay_by = m.pay_by,
				passed = m.passed
			from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[])
				as m (id, status, reason, unit_price, pay_by, passed, sale, was)
			where receipts.id = m.id and receipts.sale = m.sale and receipts.status = m.was`,
			rows.ids, rows.statuses, rows.reasons, rows.prices, rows.payBys, rows.passed, rows.sales, rows.was)
	}
	for _, e := range inOrder(fresh) {
		rows := fresh[e]
		w.add(len(rows.ids), `
			insert into `+e.table()+` (
				id, sale, buyer, verb, quantity, unit_price, discount, status, reason, pay_by, passed, target, coupon, fingerprint, seq, at)
			select
				id, sale, buyer, verb, quantity, unit_price, coalesce(discount, 0), status, coalesce(reason, ''), pay_by, coalesce(passed, 0),
				nullif(target, '00000000-0000-0000-0000-000000000000'), nullif(coupon, '00000000-0000-0000-0000-000000000000'),
				fingerprint, seq, at
			from unnest(
				$1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
				$9::text[], $10::timestamptz[], $11::bigint[], $12::uuid[], $13::uuid[], $14::bigint[], $15::bigint[], $16::timestamptz[])
				as r (id, sale, buyer, verb, quantity, unit_price, discount, status,
					reason, pay_by, passed, target, coupon, fingerprint, seq, at)`,
			rows.ids, rows.sales, rows.buyers, rows.verbs, rows.quantities, rows.prices, orNone(rows.discounts), rows.statuses,
			orNone(rows.reasons), orNone(rows.payBys), orNone(rows.passed), orNone(rows.targets), orNone(rows.coupons), rows.fingerprints, rows.seqs, rows.ats)
	}
	return nil
}

func inOrder(rows map[era]*receiptRows) []era {
	return slices.SortedFunc(maps.Keys(rows), func(a, b era) int { return cmp.Compare(a.first, b.first) })
}

// orNone answers no column when nothing is in it: unnest reads it as nulls then,
// which costs less than so many zeros.
func orNone[T comparable](column []T) []T {
	var none T
	if slices.ContainsFunc(column, func(v T) bool { return v != none }) {
		return column
	}
	return nil
}

// receiptRows is receipts as columns.
type receiptRows struct {
	ids, targets, coupons                                                    [][16]byte
	verbs, statuses, reasons, was                                            []string
	sales, buyers, quantities, prices, discounts, passed, fingerprints, seqs []int64
	ats                                                                      []time.Time
	payBys                                                                   []*time.Time
}

func (c *receiptRows) add(r sale.Receipt) {
	c.ids, c.targets, c.coupons = append(c.ids, r.ID), append(c.targets, r.Target), append(c.coupons, r.Coupon)
	c.verbs, c.statuses, c.reasons = append(c.verbs, r.Verb.String()), append(c.statuses, r.Status.String()), append(c.reasons, r.Reason.String())
	c.sales, c.buyers, c.quantities = append(c.sales, r.Sale), append(c.buyers, r.Buyer), append(c.quantities, r.Quantity)
	c.prices, c.discounts, c.passed = append(c.prices, r.UnitPrice), append(c.discounts, r.Discount), append(c.passed, r.Passed)
	c.fingerprints, c.seqs = append(c.fingerprints, int64(r.Fingerprint)), append(c.seqs, r.Seq)
	c.ats, c.payBys = append(c.ats, r.At.Time()), append(c.payBys, moment(r.PayBy))
}

func (w *writes) transfers() {
	var receipts [][16]byte
	var debits, credits, amounts []int64
	net := map[int64]int64{}
	for _, t := range w.batch.Effects.Transfers {
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
		w.batch.Last.At.Time(), receipts, debits, credits, amounts)

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

// coupons adds those that were claimed, with the terms of their sale, and says
// what each one is used by now.
func (w *writes) coupons() {
	var claimed [][16]byte
	var sales, buyers, sellers, amounts []int64
	var froms, untils []time.Time
	for i, e := range w.batch.Entries {
		if o := w.batch.Outcomes[i]; e.Verb != sale.Claim || o.Stands || o.Status != sale.Confirmed {
			continue
		}
		s := w.batch.State[e.Sale]
		claimed = append(claimed, e.Receipt)
		sales, buyers, sellers = append(sales, s.ID), append(buyers, e.Buyer), append(sellers, s.Seller)
		amounts, froms, untils = append(amounts, s.AmountOff), append(froms, s.ValidFrom.Time()), append(untils, s.ValidUntil.Time())
	}
	w.add(len(claimed), `
		insert into coupons (id, sale, buyer, seller, amount, valid_from, valid_until)
		select id, sale, buyer, seller, amount, valid_from, valid_until
		from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::timestamptz[])
			as c (id, sale, buyer, seller, amount, valid_from, valid_until)`,
		claimed, sales, buyers, sellers, amounts, froms, untils)

	var changed, users, were [][16]byte
	for _, c := range w.batch.Effects.Coupons {
		changed, users = append(changed, c.Coupon), append(users, c.UsedBy)
		were = append(were, w.batch.Facts.Coupons[c.Coupon].UsedBy)
	}
	w.add(len(changed), `
		update coupons
		set used_by = nullif(c.used_by, '00000000-0000-0000-0000-000000000000')
		from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as c (id, used_by, was)
		where coupons.id = c.id and coupons.used_by is not distinct from nullif(c.was, '00000000-0000-0000-0000-000000000000')`,
		changed, users, were)
}

// sales moves the counters. A refund window keeps its length when the sale closes
// later.
func (w *writes) sales() {
	var ids, free, held, sold, stock, waiting, revenue []int64
	var phases []string
	var closesAt, payoutAt []time.Time
	var paidOut, suspended []bool
	for _, s := range w.batch.Effects.Sales {
		if !s.Changed {
			continue
		}
		ids, free, held, sold = append(ids, s.Sale), append(free, s.Free), append(held, s.Held), append(sold, s.Sold)
		stock, waiting, revenue = append(stock, s.Stock), append(waiting, s.Waiting), append(revenue, s.Revenue)
		phases, paidOut, suspended = append(phases, string(s.Phase)), append(paidOut, s.PaidOut), append(suspended, s.Suspended)
		closesAt = append(closesAt, s.ClosesAt.Time())
		payoutAt = append(payoutAt, s.ClosesAt.Add(w.batch.State[s.Sale].RefundWindow).Time())
	}
	w.add(len(ids), `
		update sales
		set free = sales.free + c.free,
			held = sales.held + c.held,
			sold = sales.sold + c.sold,
			stock = sales.stock + c.stock,
			waiting = sales.waiting + c.waiting,
			revenue = sales.revenue + c.revenue,
			phase = c.phase,
			paid_out = c.paid_out,
			closes_at = c.closes_at,
			payout_at = c.payout_at,
			suspended = c.suspended,
			suspensions = suspensions + (c.suspended and not sales.suspended)::int
		from unnest(
			$1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
			$8::text[], $9::boolean[], $10::timestamptz[], $11::timestamptz[], $12::boolean[])
			as c (sale, free, held, sold, stock, waiting, revenue, phase, paid_out, closes_at, payout_at, suspended)
		where sales.id = c.sale`,
		ids, free, held, sold, stock, waiting, revenue, phases, paidOut, closesAt, payoutAt, suspended)
}

// notices tells everybody who wants to know. Accounts are asked by accounts_silent,
// which has only those who do not.
func (w *writes) notices() {
	var accounts, sales []int64
	var words []string
	var receipts [][16]byte
	var ats []time.Time
	var payBys []*time.Time
	for _, n := range w.batch.Notices() {
		accounts, sales, words = append(accounts, n.Account), append(sales, n.Sale), append(words, string(n.Word))
		receipts, ats, payBys = append(receipts, n.Receipt), append(ats, n.At.Time()), append(payBys, moment(n.PayBy))
	}
	if len(accounts) == 0 {
		return
	}
	w.addAtMost(len(accounts), `
		insert into notices (account, at, word, sale, receipt, pay_by)
		select n.account, n.at, n.word, n.sale, n.receipt, n.pay_by
		from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::uuid[], $6::timestamptz[])
			as n (account, at, word, sale, receipt, pay_by)
		where not exists (
			select
			from accounts a
			where a.id = n.account and (not a.notices or a.deleted_at is not null))`,
		accounts, ats, words, sales, receipts, payBys)
}
