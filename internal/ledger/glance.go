package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Glance shows the record as it is at this moment, as Inspect does, to whoever looks
// often and asks for few rows by their keys. It holds to the limits of the role: nobody
// has a snapshot for long by it.
func (l *Ledger) Glance(ctx context.Context, look func(*Inspection) error) error {
	return l.snapshot(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, byIndex); err != nil {
			return fmt.Errorf("prepare to glance: %w", err)
		}
		return look(&Inspection{tx: tx})
	})
}

// isLive says of a sale that something of it may still happen: it sells, people wait, or
// its seller is not paid. It is the condition of an index, word for word.
const isLive = `(s.phase = 'open' or s.phase = 'closed' and (not s.paid_out or s.lined))`

// Live answers the live sales of partition p, without buyers, holds and lines.
func (i *Inspection) Live(ctx context.Context, p int) (sale.State, error) {
	return i.stands(ctx, `s.partition = $1 and `+isLive, p)
}

// Some answers those of these sales that there are, without buyers, holds and lines.
func (i *Inspection) Some(ctx context.Context, ids []int64) (sale.State, error) {
	return i.stands(ctx, `s.id = any($1::bigint[])`, ids)
}

func (i *Inspection) stands(ctx context.Context, which string, of any) (sale.State, error) {
	rows, err := i.tx.Query(ctx, `
		select `+saleColumns+`
		from sales s
		where `+which, of)
	if err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	stands, err := pgx.CollectRows(rows, scanStand)
	if err != nil {
		return nil, fmt.Errorf("read sales: %w", err)
	}
	state := make(sale.State, len(stands))
	for _, s := range stands {
		state[s.ID] = s
	}
	return state, nil
}

// Places gives the sales of state their holds and lines, and answers the receipts that
// have these places.
func (i *Inspection) Places(ctx context.Context, state sale.State) ([]sale.Receipt, error) {
	live, err := liveReceipts(ctx, i.tx, state)
	if err != nil {
		return nil, fmt.Errorf("read holds and lines: %w", err)
	}
	place(state, live)
	return live, nil
}

// LiveEscrows is Escrows of the live sales of partition p.
func (i *Inspection) LiveEscrows(ctx context.Context, p int, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, escrows+`
			and s.partition = $1
			and `+isLive, p)
}

// LiveSales answers live sales and suspended ones, or with suspended the latter alone, by
// number: the first limit after one, without buyers, holds and lines.
func (l *Ledger) LiveSales(ctx context.Context, suspended bool, after int64, limit int) ([]*sale.Stand, error) {
	which := `(s.suspended or ` + isLive + `)`
	if suspended {
		which = `s.suspended`
	}
	rows, err := l.pool.Query(ctx, `
		select `+saleColumns+`
		from sales s
		where `+which+` and s.id > $1
		order by s.id
		limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list live sales: %w", err)
	}
	stands, err := pgx.CollectRows(rows, scanStand)
	if err != nil {
		return nil, fmt.Errorf("list live sales: %w", err)
	}
	return stands, nil
}
