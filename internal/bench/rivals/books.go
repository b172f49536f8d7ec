package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema.sql
var schema string

// books are what all rivals write, in a schema of their own.
type books struct {
	pool *pgxpool.Pool
	name string // that this set of books has
}

// outcome is what came of a bid.
type outcome struct {
	Status string // confirmed or rejected; queued while there is none
	Reason string // of a rejected one
}

const (
	queuedStatus = "queued"
	confirmed    = "confirmed"
	rejected     = "rejected"
)

var (
	sold        = outcome{Status: confirmed}
	soldOut     = outcome{rejected, "sold_out"}
	shortPoints = outcome{rejected, "short_points"}
)

// openBooks answers the books that setup has made, over so many connections.
func openBooks(ctx context.Context, url string, connections int32) (*books, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	config.MinIdleConns = connections
	// A plan that was made while the tables were empty must not read them whole later:
	// Sluice forbids it as well. Time-outs are the server's; they cost nothing here.
	config.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	config.ConnConfig.RuntimeParams["statement_timeout"] = "10000"
	b := &books{}
	if b.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := b.pool.QueryRow(ctx, `select name::text from rivals.books`).Scan(&b.name); err != nil {
		b.pool.Close()
		return nil, fmt.Errorf("read the name of the books (rivals setup makes them): %w", err)
	}
	return b, nil
}

func (b *books) close() { b.pool.Close() }

// find answers what came of a bid: not yet anything, when nothing is written down.
func (b *books) find(ctx context.Context, receipt uuid.UUID) (o outcome, err error) {
	err = b.pool.QueryRow(ctx, `select status, reason from rivals.receipts where id = $1`, receipt).Scan(&o.Status, &o.Reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return outcome{Status: queuedStatus}, nil
	}
	return o, err
}

// A won bid is written by five statements. The rows that all bids of a sale change come
// last, so that they are locked as shortly as can be, and always in this order.

func queueReceipt(batch *pgx.Batch, b bid) {
	batch.Queue(`insert into rivals.receipts (id, sale, buyer, quantity, unit_price, status) values ($1, $2, $3, $4, $5, 'confirmed')`,
		b.Receipt, b.Sale, b.Buyer, b.Quantity, b.Price)
	batch.Queue(`insert into rivals.entries (receipt, debit, credit, amount) values ($1, $2, $3, $4)`, b.Receipt, b.Buyer, -b.Sale, b.cost())
	batch.Queue(`update rivals.wallets set balance = balance - $2 where id = $1`, b.Buyer, b.cost())
}

func queueSold(batch *pgx.Batch, b bid) {
	batch.Queue(`update rivals.sales set sold = sold + $2, version = version + 1 where id = $1`, b.Sale, b.Quantity)
}

func queueEscrow(batch *pgx.Batch, b bid) {
	batch.Queue(`update rivals.wallets set balance = balance + $2 where id = $1`, -b.Sale, b.cost())
}

// errRepeated says that the receipt is written already.
var errRepeated = errors.New("the receipt is there already")

// judged makes an outcome of what the schema refuses: what is sold out or costs more
// than the buyer has cannot be written.
func judged(err error) (outcome, error) {
	var refused *pgconn.PgError
	if err == nil {
		return sold, nil
	}
	if errors.As(err, &refused) {
		switch refused.ConstraintName {
		case "sold_out":
			return soldOut, nil
		case "short_points":
			return shortPoints, nil
		case "receipts_pkey":
			return outcome{}, errRepeated
		}
	}
	return outcome{}, err
}

// writing is a transaction that is sent in as few trips as can be: pgx sends a batch in
// one, BEGIN and COMMIT with it.
type writing struct{ conn *pgxpool.Conn }

// begin sends batch, of which the first statement must be BEGIN. read, if given, reads
// the answers behind that one. The writing must be ended, also after an error.
func (b *books) begin(ctx context.Context, batch *pgx.Batch, read func(pgx.BatchResults) error) (writing, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return writing{}, err
	}
	w := writing{conn}
	results := conn.SendBatch(ctx, batch)
	if _, err = results.Exec(); err == nil && read != nil {
		err = read(results)
	}
	return w, errors.Join(err, results.Close())
}

// commit sends what is left to write, and COMMIT.
func (w writing) commit(ctx context.Context, batch *pgx.Batch) error {
	batch.Queue(`commit`)
	return w.conn.SendBatch(ctx, batch).Close()
}

// end gives the connection back, and takes back what was not committed.
func (w writing) end(ctx context.Context) {
	if w.conn == nil {
		return
	}
	if w.conn.Conn().PgConn().TxStatus() != 'I' {
		_, _ = w.conn.Exec(ctx, `rollback`) // or else the pool closes the connection, which does as much
	}
	w.conn.Release()
}
