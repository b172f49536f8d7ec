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
	"sync/atomic"
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
	eras   eras
	ended  atomic.Int64 // sessions of the pooler that refused to write

	replica *replica // nil: there is none
	reads   coldReads
	past    string // of a ledger that only reads at the replica: what that must have come to
}

// Options say how to reach Postgres.
type Options struct {
	URL      string
	MaxConns int32 // 0: the driver's own default
	Pooler   bool  // the URLs lead to poolers in transaction mode

	// ReplicaURL leads to a hot standby, for Cold; "": there is none. It is not asked while
	// it may be further behind than ReplicaLag.
	ReplicaURL string
	ReplicaLag time.Duration

	// WrapTx stands between Settle and its transaction, for tests that break it. Tune
	// may stand anywhere between the ledger and its server.
	WrapTx      func(pgx.Tx) pgx.Tx
	Tune        func(*pgxpool.Config)
	TuneReplica func(*pgxpool.Config)
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
	l := &Ledger{wrapTx: o.WrapTx}
	if l.wrapTx == nil {
		l.wrapTx = func(tx pgx.Tx) pgx.Tx { return tx }
	}
	if o.Pooler {
		behindPooler(config, func() { l.ended.Add(1) })
	} else {
		// A session goes on refusing to write when its server was read-only as it began,
		// though a new one may write. Postgres tells that of each session, unasked.
		config.AfterRelease = func(c *pgx.Conn) bool {
			return c.PgConn().ParameterStatus("default_transaction_read_only") != "on" && c.PgConn().ParameterStatus("in_hot_standby") != "on"
		}
	}
	if o.Tune != nil {
		o.Tune(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	l.pool = pool
	if o.ReplicaURL != "" {
		if err := l.beside(o); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return l, nil
}

// beside opens the way to the replica.
func (l *Ledger) beside(o Options) error {
	config, err := pgxpool.ParseConfig(o.ReplicaURL)
	if err != nil {
		return fmt.Errorf("read the URL of the replica: %w", err)
	}
	if o.MaxConns > 0 {
		config.MaxConns = o.MaxConns
	}
	if o.Pooler {
		behindPooler(config, func() {})
	}
	if o.TuneReplica != nil {
		o.TuneReplica(config)
	}
	if l.replica, err = openReplica(l, config, o.ReplicaLag); err != nil {
		return fmt.Errorf("open the replica: %w", err)
	}
	return nil
}

// Close ends every connection once it is idle.
func (l *Ledger) Close() {
	if l.replica != nil {
		l.replica.close()
	}
	l.pool.Close()
}

// Ping says whether Postgres answers.
func (l *Ledger) Ping(ctx context.Context) error { return l.pool.Ping(ctx) }

// snapshot runs read in one repeatable-read, read-only transaction: everything
// it sees is of one moment.
func (l *Ledger) snapshot(ctx context.Context, read func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if l.past != "" {
			if err := come(tx.QueryRow(ctx, hasCome, l.past)); err != nil {
				return err
			}
		}
		return read(tx)
	})
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
	if !known || !also || why != (r.Status == sale.Rejected) || !why && reason != "" {
		// The schema lets no such words in: a later release has added them, and its
		// processes know what they mean.
		return r, fmt.Errorf("%w: receipt %s has words that this release does not know: %q, %q, %q", sale.ErrUnavailable, r.ID, verb, status, reason)
	}
	r.Fingerprint, r.At, r.PayBy = uint64(fingerprint), sale.At(at), instant(payBy)
	return r, nil
}

// Receipt answers a settled receipt with an effect, or one that waited in vain; or
// sale.ErrUnknown.
//
// Of which sale it is, and so in which era, the ID does not say: each is asked by its
// index.
func (l *Ledger) Receipt(ctx context.Context, id uuid.UUID) (sale.Receipt, error) {
	found, _, err := list(ctx, l, `
		select `+receiptColumns+`
		from receipts
		where id = $1`, []any{[16]byte(id)}, scanReceipt)
	switch {
	case err != nil:
		return sale.Receipt{}, fmt.Errorf("read receipt %s: %w", id, err)
	case len(found) == 0:
		return sale.Receipt{}, sale.ErrUnknown
	}
	return found[0], nil
}
