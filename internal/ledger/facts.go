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

// patiently is byIndex for a very large batch, and gives it the time that it takes.
// Nothing else needs more than the few seconds that its role allows, and a process that
// is stopped in the middle of a batch must not block its successor for longer.
const patiently = byIndex + `,
		set_config('idle_in_transaction_session_timeout', '1min', true),
		set_config('statement_timeout', '1min', true)`

// patientFrom is how many receipts make a batch very large: those of so many holds that
// end at once, when nobody has ended them in time.
const patientFrom = 20_000

// touched is what a batch may touch, beside its sales.
type touched struct {
	eras    []*share // that its receipts may be in
	all     int      // receipts
	wallets map[int64]bool
	coupons [][16]byte // named by entries
	used    bool       // some of the receipts may name coupons, too
}

// share is what a batch may touch of one era.
type share struct {
	era
	receipts [][16]byte // of the entries, of their targets, of the places in the state
	paid     [][16]byte // targets of payments
}

// of answers the share that the receipts of a sale are in; nil when they are not kept.
func (t *touched) of(eras *eras, id int64) *share {
	for _, s := range t.eras {
		if id >= s.first && id < s.past {
			return s
		}
	}
	e, kept := eras.of(id)
	if !kept {
		return nil
	}
	s := &share{era: e}
	t.eras = append(t.eras, s)
	return s
}

// touch adds a receipt of a sale.
func (t *touched) touch(eras *eras, id uuid.UUID, of int64) {
	if s := t.of(eras, of); s != nil && id != uuid.Nil {
		s.receipts = append(s.receipts, id)
		t.all++
	}
}

// touches says what b may touch: enough for whatever Decide may come to.
func touches(b *sale.Batch, eras *eras) touched {
	t := touched{wallets: map[int64]bool{}}
	for _, e := range b.Entries {
		t.touch(eras, e.Receipt, e.Sale)
		t.touch(eras, e.Target, cmp.Or(e.From, e.Sale))
		if e.Coupon != uuid.Nil {
			t.coupons = append(t.coupons, e.Coupon)
		}
		if s := t.of(eras, e.Sale); e.Verb == sale.Pay && s != nil {
			s.paid = append(s.paid, e.Target)
		}
		if s := b.State[e.Sale]; s != nil {
			t.pays(s, b.State[e.From], e)
			t.used = t.used || e.Verb == sale.Refund && s.FixedPrice()
		}
	}
	for _, s := range b.State {
		for _, places := range [][]sale.Place{s.Holds, s.Line} {
			for _, p := range places {
				t.touch(eras, p.Receipt, s.ID)
			}
		}
		t.used = t.used || s.Kind == sale.Reservation
	}
	return t
}

// pays adds the wallets that e may move points between. from is the sale of a
// booking that e replaces.
func (t *touched) pays(s, from *sale.Stand, e sale.Entry) {
	between := func(wallets ...int64) {
		for _, id := range wallets {
			t.wallets[id] = true
		}
	}
	switch {
	case e.Verb == sale.Payout:
		between(s.Escrow, s.Seller)
	case s.Price.Start == 0 && (from == nil || from.Price.Start == 0): // nobody pays anything
	case e.Verb == sale.Bid, s.Kind == sale.Event && e.Verb.Buys():
		between(e.Buyer, s.Payee())
		if from != nil {
			between(from.Escrow)
		}
	case e.Verb == sale.Pay: // it may have been paid out a moment before
		between(e.Buyer, s.Escrow, s.Seller)
	case e.Verb == sale.Cancel, e.Verb == sale.Refund:
		between(e.Buyer, s.Escrow)
	}
}

// lock reads the receipts of a share by their number, and those of the payments for
// some of them.
func (s *share) lock() (string, []any) {
	if len(s.paid) == 0 {
		return `
			select ` + receiptColumns + `
			from ` + s.table() + `
			where id = any($1::uuid[])
			order by id
			for no key update`, []any{s.receipts}
	}
	return `
		select ` + receiptColumns + `
		from ` + s.table() + `
		where id = any($1::uuid[] || array(
			select id
			from ` + s.table() + `
			where target = any($2::uuid[]) and verb = 'pay'))
		order by id
		for no key update`, []any{s.receipts, s.paid}
}

const couponColumns = `
	id, sale, buyer, seller, amount, valid_from, valid_until, coalesce(used_by, '00000000-0000-0000-0000-000000000000')`

// lockCoupons reads coupons by their number, and those that receipts name. The
// receipts are locked already.
func (t *touched) lockCoupons() (string, []any) {
	named, args := "$1::uuid[]", []any{t.coupons}
	for _, s := range t.eras {
		args = append(args, s.receipts)
		named += fmt.Sprintf(` || array(
			select coupon
			from %s
			where id = any($%d::uuid[]) and coupon is not null)`, s.table(), len(args))
	}
	return `
		select ` + couponColumns + `
		from coupons
		where id = any(` + named + `)
		order by id
		for no key update`, args
}

// facts moves the watermark, which is the fence, and then reads and locks what
// Postgres knows of what the batch may touch. It asks for nothing that the batch
// cannot have.
func (l *Ledger) facts(ctx context.Context, tx pgx.Tx, b *sale.Batch) error {
	t, scheduled := touches(b, &l.eras), scheduled(b.State)
	b.Facts.Balances = make(map[int64]int64, len(t.wallets))
	b.Facts.Receipts = map[uuid.UUID]sale.Receipt{}
	b.Facts.Coupons = map[uuid.UUID]sale.CouponStand{}
	questions := &pgx.Batch{}
	if t.all < patientFrom {
		questions.Queue(byIndex)
	} else {
		questions.Queue(patiently)
	}
	questions.Queue(`
		update partitions
		set applied_ms = $4, applied_no = $5, seq = $6
		where id = $1 and epoch = $2 and (applied_ms, applied_no) = ($3, $7)`,
		b.Partition, b.Epoch, b.Prev.At, b.Last.At, b.Last.No, b.Seq, b.Prev.No)
	for _, s := range t.eras {
		query, args := s.lock()
		questions.Queue(query, args...)
	}
	questions.Queue(`
		select id, balance
		from wallets
		where id = any($1::bigint[])
		order by id
		for no key update`, slices.Sorted(maps.Keys(t.wallets)))
	coupons := len(t.coupons) > 0 || t.used
	if coupons {
		query, args := t.lockCoupons()
		questions.Queue(query, args...)
	}
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
	for range t.eras {
		if err := readReceipts(answers, b.Facts); err != nil {
			return fmt.Errorf("read receipts: %w", err)
		}
	}
	if err := readWallets(answers, b.Facts); err != nil {
		return fmt.Errorf("read wallets: %w", err)
	}
	if coupons {
		if err := readCoupons(answers, b.Facts); err != nil {
			return fmt.Errorf("read coupons: %w", err)
		}
	}
	if len(scheduled) > 0 {
		if err := unedited(answers, b.State, scheduled); err != nil {
			return err
		}
	}
	if err := answers.Close(); err != nil {
		return err
	}
	return placed(b)
}

func readReceipts(answers pgx.BatchResults, facts sale.Facts) error {
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, scanReceipt)
	for _, r := range known {
		facts.Receipts[r.ID] = r
	}
	return err
}

func readWallets(answers pgx.BatchResults, facts sale.Facts) error {
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	var id, balance int64
	_, err = pgx.ForEachRow(rows, []any{&id, &balance}, func() error {
		facts.Balances[id] = balance
		return nil
	})
	return err
}

func readCoupons(answers pgx.BatchResults, facts sale.Facts) error {
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	var id uuid.UUID
	var c sale.CouponStand
	var from, until time.Time
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &c.Sale, &c.Buyer, &c.Seller, &c.Amount, &from, &until, (*[16]byte)(&c.UsedBy)}, func() error {
		c.ValidFrom, c.ValidUntil = sale.At(from), sale.At(until)
		facts.Coupons[id] = c
		return nil
	})
	return err
}

// placed proves that whoever the state shows in a place is there by his receipt. If
// not, Redis and Postgres tell two stories, and to decide on either would be wrong.
func placed(b *sale.Batch) error {
	for _, s := range b.State {
		for _, p := range s.Holds {
			r := b.Facts.Receipts[p.Receipt]
			if r.Sale != s.ID || r.Status != sale.Held || r.HoldPlace() != p {
				return fmt.Errorf("%w: sale %d holds for %s until %d, receipt %+v", ErrPlaces, s.ID, p.Receipt, p.At, r)
			}
		}
		for _, p := range s.Line {
			r := b.Facts.Receipts[p.Receipt]
			if r.Sale != s.ID || r.Status != sale.Waiting || r.LinePlace() != p {
				return fmt.Errorf("%w: in the line of sale %d stands %s since %d, receipt %+v", ErrPlaces, s.ID, p.Receipt, p.At, r)
			}
		}
	}
	return nil
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
