package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// nolock reads what is left, sees that it is enough, and writes what is left then: as
// fast as Postgres goes, and wrong as soon as two do it at once.
type nolock struct{ baseline }

// Run serves until ctx ends.
func (n *nolock) Run(ctx context.Context) error {
	return n.run(ctx, func(b *books) (sell, error) { return b.sellUnlocked, nil })
}

// readSale answers how many units are sold, how many there are, and the version of that:
// errRepeated when the bid is decided already.
func (b *books) readSale(ctx context.Context, asked bid) (sold, stock, version int64, err error) {
	var known bool
	err = b.pool.QueryRow(ctx, `
		select sold, stock, version, exists (select from rivals.receipts where id = $2)
		from rivals.sales
		where id = $1`, asked.Sale, asked.Receipt).Scan(&sold, &stock, &version, &known)
	if known {
		err = errRepeated
	}
	return sold, stock, version, err
}

func (b *books) sellUnlocked(ctx context.Context, asked bid) (outcome, error) {
	gone, stock, _, err := b.readSale(ctx, asked)
	switch {
	case err != nil:
		return outcome{}, err
	case gone+asked.Quantity > stock:
		return soldOut, nil
	}
	batch := &pgx.Batch{} // without BEGIN, a batch is one transaction of its own
	queueReceipt(batch, asked)
	batch.Queue(`update rivals.sales set sold = $2, version = version + 1 where id = $1`, asked.Sale, gone+asked.Quantity)
	queueEscrow(batch, asked)
	return judged(b.pool.SendBatch(ctx, batch).Close())
}
