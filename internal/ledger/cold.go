package ledger

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Cold reads what may be a few seconds old, at the replica if there is one and it is no
// further behind than Options.ReplicaLag; else, and whenever anything is wrong there,
// at the primary, so that nobody sees an error for it. What is not known there the
// primary is asked for, too.
//
// No other method of a Ledger ever asks the replica. Nothing is decided by what Cold
// answers, and nobody learns by it what he has just done.
type Cold struct{ l *Ledger }

// Cold is how to read that.
func (l *Ledger) Cold() Cold { return Cold{l} }

// ColdReads is how often cold reads were answered, by whom.
type ColdReads struct{ Replica, Primary int64 }

type coldReads struct{ replica, primary atomic.Int64 }

// cold answers a read of the replica, or else of the primary. There is no way for read
// to write: at the replica it has a ledger that knows nothing but how to read.
func cold[T any](ctx context.Context, l *Ledger, read func(context.Context, *Ledger) (T, error)) (T, error) {
	if l.replica != nil {
		if past := l.replica.past(); past != "" {
			brief, cancel := context.WithTimeout(ctx, replicaPatience)
			answer, err := read(brief, &Ledger{pool: l.replica.pool, past: past})
			cancel()
			switch {
			case err == nil:
				l.reads.replica.Add(1)
				return answer, nil
			case ctx.Err() != nil: // who asks has gone
				return answer, err
			case !errors.Is(err, sale.ErrUnknown):
				l.replica.unfit()
			}
		}
	}
	l.reads.primary.Add(1)
	return read(ctx, l)
}

// Sales is Ledger.Sales.
func (c Cold) Sales(ctx context.Context, f SaleFilter) (stands []*sale.Stand, more bool, now sale.Instant, err error) {
	type answer struct {
		stands []*sale.Stand
		more   bool
		now    sale.Instant
	}
	a, err := cold(ctx, c.l, func(ctx context.Context, at *Ledger) (a answer, err error) {
		a.stands, a.more, a.now, err = at.Sales(ctx, f)
		return a, err
	})
	return a.stands, a.more, a.now, err
}

// Stores is Ledger.Stores.
func (c Cold) Stores(ctx context.Context, f StoreFilter) ([]sale.Store, bool, error) {
	a, err := cold(ctx, c.l, func(ctx context.Context, at *Ledger) (a pageOf[sale.Store], err error) {
		a.rows, a.more, err = at.Stores(ctx, f)
		return a, err
	})
	return a.rows, a.more, err
}

// Receipts is Ledger.Receipts.
func (c Cold) Receipts(ctx context.Context, f ReceiptFilter) ([]sale.Receipt, bool, error) {
	a, err := cold(ctx, c.l, func(ctx context.Context, at *Ledger) (a pageOf[sale.Receipt], err error) {
		a.rows, a.more, err = at.Receipts(ctx, f)
		return a, err
	})
	return a.rows, a.more, err
}

type pageOf[T any] struct {
	rows []T
	more bool
}

// Summary is Ledger.Summary.
func (c Cold) Summary(ctx context.Context, id int64) (Summary, error) {
	return cold(ctx, c.l, func(ctx context.Context, at *Ledger) (Summary, error) { return at.Summary(ctx, id) })
}

// Statement is Ledger.Statement. The first page is the primary's, since it is read
// beside the balance and by who has just paid. Further ones are of a replica that has
// the line they come after: what is before that was there when it was read.
func (c Cold) Statement(ctx context.Context, wallet, before int64, limit int) ([]Line, error) {
	if before <= 0 {
		return c.l.Statement(ctx, wallet, before, limit)
	}
	return cold(ctx, c.l, func(ctx context.Context, at *Ledger) ([]Line, error) {
		if at == c.l {
			return at.Statement(ctx, wallet, before, limit)
		}
		lines, err := at.Statement(ctx, wallet, before+1, limit+1)
		if err == nil && (len(lines) == 0 || lines[0].ID != before) {
			return nil, sale.ErrUnknown
		}
		if err != nil {
			return nil, err
		}
		return lines[1:], nil
	})
}

// Receipt is Ledger.Receipt. A receipt only moves forward, and who has seen it move
// must not be told what it was before: the replica is believed when nothing can follow
// any more.
func (c Cold) Receipt(ctx context.Context, id uuid.UUID) (sale.Receipt, error) {
	return cold(ctx, c.l, func(ctx context.Context, at *Ledger) (sale.Receipt, error) {
		if at == c.l {
			return at.Receipt(ctx, id)
		}
		found, _, err := list(ctx, at, settledForGood, []any{[16]byte(id)}, scanReceipt)
		if err == nil && len(found) == 0 {
			err = sale.ErrUnknown
		}
		if err != nil {
			return sale.Receipt{}, err
		}
		return found[0], nil
	})
}

// settledForGood reads a receipt that nothing can follow: it is final, or it is confirmed
// and its sale is paid out, so that the time in which it could go back is over.
const settledForGood = `
	select ` + receiptColumns + `
	from receipts
	where id = $1
		and (status in ('rejected', 'expired', 'cancelled', 'refunded')
			or status = 'confirmed' and exists (
				select
				from sales s
				where s.id = receipts.sale and s.paid_out))`
