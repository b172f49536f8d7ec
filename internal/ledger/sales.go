package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

const saleColumns = `
	s.id, s.kind, s.partition, s.seller, s.title, s.description, s.price_policy, s.start_price, s.price_drop, s.price_rate, s.price_period_ms,
	s.per_buyer_limit, s.opens_at, s.closes_at, s.payout_at, s.show_stock, s.phase, s.stock, s.free, s.held, s.sold, s.paid_out`

// escrowOf is the wallet that keeps what buyers paid for a sale.
func escrowOf(id int64) int64 { return -id }

func scanStand(row pgx.CollectableRow) (*sale.Stand, error) {
	s := &sale.Stand{Buyers: map[int64]int64{}}
	var period int64
	var opens, closes, payout time.Time
	if err := row.Scan(&s.ID, &s.Kind, &s.Partition, &s.Seller, &s.Title, &s.Description, &s.Price.Policy, &s.Price.Start, &s.Price.Drop, &s.Price.Rate, &period,
		&s.Limit, &opens, &closes, &payout, &s.ShowStock, &s.Phase, &s.Stock, &s.Free, &s.Held, &s.Sold, &s.PaidOut); err != nil {
		return nil, err
	}
	s.Escrow = escrowOf(s.ID)
	s.Price.Period = time.Duration(period) * time.Millisecond
	s.OpensAt, s.ClosesAt, s.RefundWindow = sale.At(opens), sale.At(closes), payout.Sub(closes)
	return s, nil
}

// CreateSale records a checked sale, spreads it over the partitions, opens its
// escrow, and answers it with its number.
func (l *Ledger) CreateSale(ctx context.Context, s sale.Sale, partitions int) (sale.Sale, error) {
	stand, _, err := l.CreateSaleOnce(ctx, s, partitions, uuid.Nil)
	if err != nil {
		return s, err
	}
	return stand.Sale, nil
}

// CreateSaleOnce is CreateSale under a request: a second one answers the sale of
// the first, as it stands now. A *sale.Refusal (idempotency_mismatch) when that
// asked for another sale; sale.ErrUnknown when the seller has no account (any
// more). uuid.Nil is no request.
func (l *Ledger) CreateSaleOnce(ctx context.Context, s sale.Sale, partitions int, request uuid.UUID) (stand *sale.Stand, replayed bool, err error) {
	var fingerprint *int64
	if sum := int64(s.Sum()); request != uuid.Nil {
		fingerprint = &sum
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			with seller as (
				select
				from accounts
				where id = $3 and deleted_at is null
				for key share),
			next as (
				select nextval(pg_get_serial_sequence('sales', 'id')) as id
				from seller)
			insert into sales (
				id, partition, kind, seller, title, description, price_policy, start_price, price_drop, price_rate, price_period_ms,
				stock, free, per_buyer_limit, opens_at, closes_at, payout_at, show_stock, request, fingerprint)
			overriding system value
			select
				id, id % $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
				$11, $11, $12, $13, $14, $15, $16, nullif($17, '00000000-0000-0000-0000-000000000000'::uuid), $18
			from next
			on conflict (request) do nothing
			returning id, partition`,
			partitions, s.Kind, s.Seller, s.Title, s.Description, s.Price.Policy, s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period.Milliseconds(),
			s.Stock, s.Limit, s.OpensAt.Time(), s.ClosesAt.Time(), s.PayoutAt().Time(), s.ShowStock, [16]byte(request), fingerprint).
			Scan(&s.ID, &s.Partition)
		if errors.Is(err, pgx.ErrNoRows) {
			replayed = true
			return tx.QueryRow(ctx, `
				select
				from accounts
				where id = $1 and deleted_at is null`, s.Seller).Scan()
		}
		if err != nil {
			return err
		}
		s.Escrow = escrowOf(s.ID)
		_, err = tx.Exec(ctx, `
			insert into wallets (id, kind)
			values ($1, 'escrow')`, s.Escrow)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, false, sale.ErrUnknown
	case err != nil:
		return nil, false, fmt.Errorf("create sale: %w", err)
	case !replayed:
		return &sale.Stand{Sale: s, Phase: sale.Scheduled, Free: s.Stock, Buyers: map[int64]int64{}}, false, nil
	}
	stand, err = l.SaleOf(ctx, request, s)
	if errors.Is(err, sale.ErrUnknown) { // deleted since: whoever asks again creates it
		err = fmt.Errorf("create sale: %w", sale.ErrUnavailable)
	}
	return stand, true, err
}

// SaleOf answers the sale that a request has created, as it stands now without
// its buyers, or sale.ErrUnknown. A *sale.Refusal (idempotency_mismatch) when the
// request asked for another sale than s.
func (l *Ledger) SaleOf(ctx context.Context, request uuid.UUID, s sale.Sale) (*sale.Stand, error) {
	var id, fingerprint int64
	err := l.pool.QueryRow(ctx, `
		select id, fingerprint
		from sales
		where request = $1`, [16]byte(request)).Scan(&id, &fingerprint)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, sale.ErrUnknown
	case err != nil:
		return nil, fmt.Errorf("find the sale of request %s: %w", request, err)
	case uint64(fingerprint) != s.Sum():
		return nil, &sale.Refusal{Code: sale.RefusedMismatch}
	}
	return l.Sale(ctx, id)
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

// Stand answers how a sale stands with all its buyers, and the watermark of its
// partition at the same moment; sale.ErrUnknown when there is no such sale.
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
		return eachUnits(ctx, tx, []int64{id}, func(_, buyer, units int64) { s.Buyers[buyer] = units })
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
		where sale = any($1) and verb = 'bid' and status in ('confirmed', 'held', 'waiting')
		group by sale, buyer`, sales)
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

// Duty is a tick that a sale is due for.
type Duty struct {
	Sale      int64
	Partition int
	Verb      sale.Verb
	Due       sale.Instant
}

// Duties answers up to limit ticks that are due at now, of each verb, the most
// overdue first.
func (l *Ledger) Duties(ctx context.Context, now sale.Instant, limit int) ([]Duty, error) {
	rows, err := l.pool.Query(ctx, `
		(select id, partition, 'open', opens_at
		from sales
		where phase = 'scheduled' and opens_at <= $1
		order by opens_at
		limit $2)
		union all
		(select id, partition, 'close', closes_at
		from sales
		where phase = 'open' and closes_at <= $1
		order by closes_at
		limit $2)
		union all
		(select id, partition, 'payout', payout_at
		from sales
		where phase = 'closed' and not paid_out and payout_at <= $1
		order by payout_at
		limit $2)`, now.Time(), limit)
	if err != nil {
		return nil, fmt.Errorf("read duties: %w", err)
	}
	duties, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Duty, err error) {
		var verb string
		var due time.Time
		if err := row.Scan(&d.Sale, &d.Partition, &verb, &due); err != nil {
			return d, err
		}
		d.Verb, _ = sale.ParseVerb(verb)
		d.Due = sale.At(due)
		return d, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read duties: %w", err)
	}
	return duties, nil
}
