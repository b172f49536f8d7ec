// Package ledger keeps the record in Postgres: partitions with their watermark
// and fence, sales, receipts, orders, coupons, wallets, the double-entry ledger,
// what people are told, and the log of batches. migrations holds its schema, which
// says what is impossible.
//
// Every writer takes its locks in one order: partition, receipts, wallets by id,
// coupons by id, sale, the rest.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/internal/sale"
)

// What a writer may be told.
var (
	ErrFenced = errors.New("fenced: the partition has a later owner")
	ErrMoved  = errors.New("moved: the partition is not at the batch's watermark")
	ErrPlaces = errors.New("places: Redis has a receipt in a place where Postgres has it not")
)

// Source is the wallet that all points come from; it owes what the others have.
const Source = 0

// Ledger is the connection to the record. Its methods may be called
// concurrently.
type Ledger struct {
	pool   *pgxpool.Pool
	wrapTx func(pgx.Tx) pgx.Tx
	places places
}

// Options say how to reach Postgres.
type Options struct {
	URL      string
	MaxConns int32 // 0: the driver's own default

	// WrapTx stands between Settle and its transaction, for tests that break it.
	WrapTx func(pgx.Tx) pgx.Tx
}

// Open connects and checks that the server answers.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Postgres URL: %w", err)
	}
	if o.MaxConns > 0 {
		config.MaxConns = o.MaxConns
	}
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	l := &Ledger{pool: pool, wrapTx: o.WrapTx}
	if l.wrapTx == nil {
		l.wrapTx = func(tx pgx.Tx) pgx.Tx { return tx }
	}
	return l, nil
}

// Close ends every connection once it is idle.
func (l *Ledger) Close() { l.pool.Close() }

// Ping says whether Postgres answers.
func (l *Ledger) Ping(ctx context.Context) error { return l.pool.Ping(ctx) }

// snapshot runs read in one repeatable-read, read-only transaction: everything
// it sees is of one moment.
func (l *Ledger) snapshot(ctx context.Context, read func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, read)
}

const receiptColumns = `
	id, sale, buyer, verb, quantity, unit_price, discount, status, reason, pay_by, passed,
	coalesce(target, '00000000-0000-0000-0000-000000000000'), coalesce(coupon, '00000000-0000-0000-0000-000000000000'),
	fingerprint, seq, at`

func scanReceipt(row pgx.CollectableRow) (r sale.Receipt, err error) {
	var verb, status, reason string
	var fingerprint int64
	var at time.Time
	var payBy *time.Time
	if err := row.Scan((*[16]byte)(&r.ID), &r.Sale, &r.Buyer, &verb, &r.Quantity, &r.UnitPrice, &r.Discount, &status, &reason, &payBy, &r.Passed,
		(*[16]byte)(&r.Target), (*[16]byte)(&r.Coupon), &fingerprint, &r.Seq, &at); err != nil {
		return r, err
	}
	var known, also, why bool
	r.Verb, known = sale.ParseVerb(verb)
	r.Status, also = sale.ParseStatus(status)
	r.Reason, why = sale.ParseReason(reason)
	if !known || !also || why != (r.Status == sale.Rejected) {
		return r, fmt.Errorf("receipt %s has unknown words %q, %q, %q", r.ID, verb, status, reason)
	}
	r.Fingerprint, r.At, r.PayBy = uint64(fingerprint), sale.At(at), instant(payBy)
	return r, nil
}

// Receipt answers a settled receipt with an effect, or one that waited in vain; or
// sale.ErrUnknown.
func (l *Ledger) Receipt(ctx context.Context, id uuid.UUID) (sale.Receipt, error) {
	rows, err := l.pool.Query(ctx, `
		select `+receiptColumns+`
		from receipts
		where id = $1`, [16]byte(id))
	if err != nil {
		return sale.Receipt{}, fmt.Errorf("read receipt %s: %w", id, err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanReceipt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return r, sale.ErrUnknown
	case err != nil:
		return r, fmt.Errorf("read receipt %s: %w", id, err)
	}
	return r, nil
}
