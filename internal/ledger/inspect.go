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

// inspectFor bounds an inspection as a whole and each of its statements, in place
// of the role's limits: it locks nothing and nobody waits for it.
const inspectFor = 10 * time.Minute

// Inspection is the record at one moment, for the audit. It is read in one
// repeatable-read transaction and only valid until Inspect returns.
type Inspection struct {
	tx   pgx.Tx
	gone []era // nil: not read yet
}

// Gone says whether the receipts of a sale are dropped, or about to be, as far as
// Receipts has been asked before.
func (i *Inspection) Gone(of int64) bool {
	_, is := eraAmong(i.gone, of)
	return is
}

// erasGone reads which eras are.
func (i *Inspection) erasGone(ctx context.Context) error {
	if i.gone != nil {
		return nil
	}
	rows, err := i.tx.Query(ctx, `
		select first, past
		from eras
		where leaves_at is not null
		order by first`)
	if err != nil {
		return fmt.Errorf("read eras: %w", err)
	}
	i.gone, err = pgx.AppendRows([]era{}, rows, scanEra)
	if err != nil {
		return fmt.Errorf("read eras: %w", err)
	}
	return nil
}

// Inspect shows the record as it is at this moment.
//
// Its questions are about whole tables, which may be too young to have
// statistics: taken for small they would be joined row by row. So hashes are
// preferred, whatever the planner thinks.
func (l *Ledger) Inspect(ctx context.Context, look func(*Inspection) error) error {
	return l.snapshot(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			select
				set_config('statement_timeout', $1, true),
				set_config('idle_in_transaction_session_timeout', $1, true),
				set_config('enable_nestloop', 'off', true),
				set_config('jit', 'off', true)`,
			fmt.Sprint(inspectFor.Milliseconds())); err != nil {
			return fmt.Errorf("prepare to inspect: %w", err)
		}
		return look(&Inspection{tx: tx})
	})
}

// Sizes is how much there is.
type Sizes struct{ Sales, Receipts, Entries int64 }

// Sizes counts rows.
func (i *Inspection) Sizes(ctx context.Context) (n Sizes, err error) {
	err = i.tx.QueryRow(ctx, `
		select
			(select count(*) from sales),
			(select count(*) from receipts),
			(select count(*) from entries)`).Scan(&n.Sales, &n.Receipts, &n.Entries)
	if err != nil {
		return n, fmt.Errorf("count the record: %w", err)
	}
	return n, nil
}

// Watermark answers where partition p stands.
func (i *Inspection) Watermark(ctx context.Context, p int) (w Watermark, err error) {
	err = i.tx.QueryRow(ctx, `
		select epoch, generation, applied_ms, applied_no, seq
		from partitions
		where id = $1`, p).Scan(&w.Epoch, &w.Generation, &w.Applied.At, &w.Applied.No, &w.Seq)
	if err != nil {
		return w, fmt.Errorf("read watermark: %w", err)
	}
	return w, nil
}

// SaleIDs answers the sales of partition p whose receipts are kept: Redis has forgotten
// the others, or knows better than Postgres who bought.
func (i *Inspection) SaleIDs(ctx context.Context, p int) ([]int64, error) {
	rows, err := i.tx.Query(ctx, `
		select id
		from sales
		where partition = $1 and not id <@ `+gone+`
		order by id`, p)
	if err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	return ids, nil
}

// Stands answers how the sales of partition p stand, with their buyers, holds and
// whole lines as the receipts have them.
func (i *Inspection) Stands(ctx context.Context, p int) (sale.State, error) {
	state, err := i.stands(ctx, `s.partition = $1`, p)
	if err != nil {
		return nil, err
	}
	if err := eachUnits(ctx, i.tx, slices.Collect(maps.Keys(state)), func(of, buyer, units int64) { state[of].Buyers[buyer] = units }); err != nil {
		return nil, fmt.Errorf("read buyers: %w", err)
	}
	if err := eachPlace(ctx, i.tx, state); err != nil {
		return nil, fmt.Errorf("read holds and lines: %w", err)
	}
	return state, nil
}

// Receipts answers those of these receipts that have a row: an effect, or a wait in
// vain.
func (i *Inspection) Receipts(ctx context.Context, ids [][16]byte) (map[uuid.UUID]sale.Receipt, error) {
	if err := i.erasGone(ctx); err != nil {
		return nil, err
	}
	rows, err := i.tx.Query(ctx, `
		select `+receiptColumns+`
		from receipts
		where id = any($1::uuid[])`, ids)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	receipts, err := pgx.CollectRows(rows, scanReceipt)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	found := make(map[uuid.UUID]sale.Receipt, len(receipts))
	for _, r := range receipts {
		found[r.ID] = r
	}
	return found, nil
}

// CouponStands answers those of these coupons that there are.
func (i *Inspection) CouponStands(ctx context.Context, ids [][16]byte) (map[uuid.UUID]sale.CouponStand, error) {
	rows, err := i.tx.Query(ctx, `
		select id, sale, buyer, seller, amount, valid_from, valid_until, coalesce(used_by, '00000000-0000-0000-0000-000000000000')
		from coupons
		where id = any($1::uuid[])`, ids)
	if err != nil {
		return nil, fmt.Errorf("read coupons: %w", err)
	}
	found := map[uuid.UUID]sale.CouponStand{}
	var id uuid.UUID
	var c sale.CouponStand
	var from, until time.Time
	if _, err := pgx.ForEachRow(rows, []any{(*[16]byte)(&id), &c.Sale, &c.Buyer, &c.Seller, &c.Amount, &from, &until, (*[16]byte)(&c.UsedBy)}, func() error {
		c.ValidFrom, c.ValidUntil = sale.At(from), sale.At(until)
		found[id] = c
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read coupons: %w", err)
	}
	return found, nil
}

// Rejection is how often buyers of a sale were rejected at once, for one reason.
type Rejection struct {
	Sale   int64
	Reason string
}

// Rejections answers those of the sales of partition p.
func (i *Inspection) Rejections(ctx context.Context, p int) (map[Rejection]int64, error) {
	rows, err := i.tx.Query(ctx, `
		select r.sale, r.reason, r.n
		from rejections r
		join sales s on s.id = r.sale
		where s.partition = $1`, p)
	if err != nil {
		return nil, fmt.Errorf("read rejections: %w", err)
	}
	counts := map[Rejection]int64{}
	var r Rejection
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&r.Sale, &r.Reason, &n}, func() error {
		counts[r] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read rejections: %w", err)
	}
	return counts, nil
}

// ReceiptsAfter counts the receipts of partition p's sales later than that moment.
func (i *Inspection) ReceiptsAfter(ctx context.Context, p int, after sale.Instant) (n int64, err error) {
	err = i.tx.QueryRow(ctx, `
		select count(*)
		from receipts r
		join sales s on s.id = r.sale
		where s.partition = $1 and r.at > $2`, p, after.Time()).Scan(&n)
	if err != nil {
		return n, fmt.Errorf("count receipts: %w", err)
	}
	return n, nil
}

// Logged is a batch of the log as it was found.
type Logged struct {
	sale.Batch
	Unreadable error // why the batch is incomplete; its watermarks are there
}

// pageOfLog is how many batches are in memory at once.
const pageOfLog = 16

// Log shows the batches of partition p in order, page by page.
func (i *Inspection) Log(ctx context.Context, p int, show func([]Logged) error) error {
	return i.LogAfter(ctx, p, sale.EntryID{At: -1}, show)
}

// LogAfter is Log from behind a watermark on.
func (i *Inspection) LogAfter(ctx context.Context, p int, after sale.EntryID, show func([]Logged) error) error {
	for {
		rows, err := i.tx.Query(ctx, `
			select `+batchColumns+`
			from batches
			where partition = $1 and (last_ms, last_no) > ($2, $3)
			order by last_ms, last_no
			limit $4`, p, after.At, after.No, pageOfLog)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Logged, error) {
			b, err := scanBatch(row)
			return Logged{b, err}, nil
		})
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := show(page); err != nil {
			return err
		}
		next := page[len(page)-1].Last
		if next.Compare(after) <= 0 { // the row itself could not be read: it has no place to go on from
			return fmt.Errorf("read the log: %w", page[len(page)-1].Unreadable)
		}
		after = next
	}
}
