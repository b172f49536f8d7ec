package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// CreateSale records a checked sale, spreads it over the partitions, opens its
// escrow, and answers it with its number.
func (l *Ledger) CreateSale(ctx context.Context, s sale.Sale, partitions int) (sale.Sale, error) {
	stand, _, err := l.CreateSaleOnce(ctx, s, partitions, uuid.Nil)
	if err != nil {
		return s, err
	}
	return stand.Sale, nil
}

// insertSale makes a sale with its escrow, unless its seller is gone, or there is
// one under the same request, or of the same store and slot.
const insertSale = `
	with seller as (
		select
		from accounts
		where id = $3 and deleted_at is null
		for key share),
	next as (
		select nextval(pg_get_serial_sequence('sales', 'id')) as id
		from seller),
	made as (
		insert into sales (
			id, partition, kind, seller, title, description, price_policy, start_price, price_drop, price_rate, price_period_ms,
			stock, free, per_buyer_limit, opens_at, closes_at, payout_at, show_stock,
			hold_ms, line_most, max_bypass, amount_off, valid_from, valid_until, store, starts_at, request, fingerprint)
		overriding system value
		select
			id, coalesce($2, id % $1), $4, $3, $5, $6, $7, $8, $9, $10, $11,
			$12, $12, $13, $14, $15, $16, $17,
			$18, $19, $20, $21, $22, $23, $24, $25, $26, $27
		from next
		on conflict do nothing
		returning id, partition),
	escrow as (
		insert into wallets (id, kind)
		select -id, 'escrow'
		from made)
	select id, partition
	from made`

// insertSaleArgs is what insertSale asks for. A slot is in the partition of its
// store, any other sale in one by its number.
func insertSaleArgs(s sale.Sale, partitions int, request uuid.UUID) []any {
	var of *int64
	var partition *int
	if s.Store != 0 {
		of, partition = &s.Store, &s.Partition
	}
	var once *[16]byte
	var fingerprint *int64
	if sum := int64(s.Sum()); request != uuid.Nil {
		once, fingerprint = (*[16]byte)(&request), &sum
	}
	return []any{
		partitions, partition, s.Seller, s.Kind, s.Title, s.Description,
		s.Price.Policy, s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period.Milliseconds(),
		s.Stock, s.Limit, s.OpensAt.Time(), s.ClosesAt.Time(), s.PayoutAt().Time(), s.ShowStock,
		s.Hold.Milliseconds(), s.LineMost, s.MaxBypass, s.AmountOff, moment(s.ValidFrom), moment(s.ValidUntil),
		of, moment(s.StartsAt), once, fingerprint,
	}
}

// CreateSaleOnce is CreateSale under a request: a second one answers the sale of
// the first, as it stands now. A *sale.Refusal (idempotency_mismatch) when that
// asked for another sale; sale.ErrUnknown when the seller has no account (any
// more). uuid.Nil is no request.
func (l *Ledger) CreateSaleOnce(ctx context.Context, s sale.Sale, partitions int, request uuid.UUID) (stand *sale.Stand, replayed bool, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, insertSale, insertSaleArgs(s, partitions, request)...).Scan(&s.ID, &s.Partition)
		if errors.Is(err, pgx.ErrNoRows) {
			replayed = true
			return tx.QueryRow(ctx, `
				select
				from accounts
				where id = $1 and deleted_at is null`, s.Seller).Scan()
		}
		s.Escrow = escrowOf(s.ID)
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
