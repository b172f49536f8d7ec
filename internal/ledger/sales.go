package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

const saleColumns = `
	s.id, s.kind, s.partition, s.seller, s.title, s.description, s.price_policy, s.start_price, s.price_drop, s.price_rate, s.price_period_ms,
	s.per_buyer_limit, s.opens_at, s.closes_at, s.payout_at, s.show_stock,
	s.hold_ms, s.line_most, s.max_bypass, s.amount_off, s.valid_from, s.valid_until, coalesce(s.store, 0), s.starts_at,
	s.phase, s.stock, s.free, s.held, s.sold, s.waiting, s.paid_out, s.suspended`

// escrowOf is the wallet that keeps what buyers paid for a sale.
func escrowOf(id int64) int64 { return -id }

func scanStand(row pgx.CollectableRow) (*sale.Stand, error) {
	s := &sale.Stand{Buyers: map[int64]int64{}}
	var period, hold int64
	var opens, closes, payout time.Time
	var validFrom, validUntil, starts *time.Time
	if err := row.Scan(&s.ID, &s.Kind, &s.Partition, &s.Seller, &s.Title, &s.Description, &s.Price.Policy, &s.Price.Start, &s.Price.Drop, &s.Price.Rate, &period,
		&s.Limit, &opens, &closes, &payout, &s.ShowStock,
		&hold, &s.LineMost, &s.MaxBypass, &s.AmountOff, &validFrom, &validUntil, &s.Store, &starts,
		&s.Phase, &s.Stock, &s.Free, &s.Held, &s.Sold, &s.Waiting, &s.PaidOut, &s.Suspended); err != nil {
		return nil, err
	}
	s.Escrow = escrowOf(s.ID)
	s.Price.Period, s.Hold = time.Duration(period)*time.Millisecond, time.Duration(hold)*time.Millisecond
	s.OpensAt, s.ClosesAt, s.RefundWindow = sale.At(opens), sale.At(closes), payout.Sub(closes)
	s.ValidFrom, s.ValidUntil, s.StartsAt = instant(validFrom), instant(validUntil), instant(starts)
	return s, nil
}

// moment is an instant as a column that may be null has it: none is 0.
func moment(i sale.Instant) *time.Time {
	if i == 0 {
		return nil
	}
	t := i.Time()
	return &t
}

// instant is the way back.
func instant(t *time.Time) sale.Instant {
	if t == nil {
		return 0
	}
	return sale.At(*t)
}

// Sale answers how a sale stands as settled, without its buyers, or
// sale.ErrUnknown.
func (l *Ledger) Sale(ctx context.Context, id int64) (*sale.Stand, error) {
	rows, err := l.pool.Query(ctx, `
		select `+saleColumns+`
		from sales s
		where s.id = $1`, id)
	if err != nil {
		return nil, fmt.Errorf("read sale %d: %w", id, err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStand)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, sale.ErrUnknown
	case err != nil:
		return nil, fmt.Errorf("read sale %d: %w", id, err)
	}
	return s, nil
}

// Stand answers how a sale stands with all its buyers, holds and its whole line,
// and the watermark of its partition at the same moment; sale.ErrUnknown when
// there is no such sale.
func (l *Ledger) Stand(ctx context.Context, id int64) (s *sale.Stand, applied sale.EntryID, err error) {
	err = l.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select `+saleColumns+`
			from sales s
			where s.id = $1`, id)
		if err != nil {
			return err
		}
		if s, err = pgx.CollectExactlyOneRow(rows, scanStand); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `
			select applied_ms, applied_no
			from partitions
			where id = $1`, s.Partition).Scan(&applied.At, &applied.No); err != nil {
			return err
		}
		if err := eachUnits(ctx, tx, []int64{id}, func(_, buyer, units int64) { s.Buyers[buyer] = units }); err != nil {
			return err
		}
		return eachPlace(ctx, tx, sale.State{id: s})
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		l.ForgetPlace(id) // whoever asked had it from there: another process has deleted it
		return nil, applied, sale.ErrUnknown
	case err != nil:
		return nil, applied, fmt.Errorf("read sale %d: %w", id, err)
	}
	return s, applied, nil
}

// eachUnits says how many units each buyer of these sales has, from the receipts.
func eachUnits(ctx context.Context, tx pgx.Tx, sales []int64, has func(sale, buyer, units int64)) error {
	rows, err := tx.Query(ctx, `
		select sale, buyer, sum(quantity)::bigint
		from receipts
		where sale = any($1)
			and verb in ('bid', 'reserve', 'claim', 'join', 'pay')
			and status in ('confirmed', 'held', 'waiting')
		group by sale, buyer
		having sum(quantity) > 0`, sales) // most payments have no units of their own
	if err != nil {
		return err
	}
	var of, buyer, units int64
	_, err = pgx.ForEachRow(rows, []any{&of, &buyer, &units}, func() error {
		has(of, buyer, units)
		return nil
	})
	return err
}

// eachPlace gives the sales of state their holds and their lines, in order, from
// the receipts.
func eachPlace(ctx context.Context, tx pgx.Tx, state sale.State) error {
	live, err := liveReceipts(ctx, tx, state)
	if err == nil {
		place(state, live)
	}
	return err
}

// liveReceipts answers those that are held, or wait.
func liveReceipts(ctx context.Context, tx pgx.Tx, state sale.State) ([]sale.Receipt, error) {
	rows, err := tx.Query(ctx, `
		select `+receiptColumns+`
		from receipts
		where sale = any($1) and status in ('held', 'waiting')`, slices.Collect(maps.Keys(state)))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanReceipt)
}

// place puts them among the holds, and into the lines, of their sales.
func place(state sale.State, live []sale.Receipt) {
	for _, r := range live {
		switch s := state[r.Sale]; r.Status {
		case sale.Held:
			s.Holds = append(s.Holds, r.HoldPlace())
		case sale.Waiting:
			s.Line = append(s.Line, r.LinePlace())
		}
	}
	for _, s := range state {
		slices.SortFunc(s.Holds, sale.Place.Compare)
		slices.SortFunc(s.Line, sale.Place.Compare)
	}
}
