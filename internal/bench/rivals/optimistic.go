package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"
)

// optimistic reads the sale with its version and changes it only if the version is still
// that one; else it begins again.
//
// The version is asked for first in the transaction: most lose, and who loses should
// have written nothing by then. Who lost waits a random time, longer each time, since
// those who come back together lose together.
type optimistic struct{ baseline }

const (
	optimisticWait     = time.Millisecond // at most, before the second try; then twice that, and so on
	optimisticWaitMost = 256 * time.Millisecond
	optimisticPatience = 10 * time.Second // then it is given up, with 503
)

// Run serves until ctx ends.
func (o *optimistic) Run(ctx context.Context) error {
	return o.run(ctx, func(b *books) (sell, error) { return b.sellVersioned, nil })
}

func (b *books) sellVersioned(ctx context.Context, asked bid) (outcome, error) {
	began := time.Now()
	for wait := optimisticWait; ; wait = min(2*wait, optimisticWaitMost) {
		o, won, err := b.tryVersion(ctx, asked)
		switch {
		case won || err != nil:
			return o, err
		case time.Since(began) > optimisticPatience:
			return outcome{}, &refusal{fiber.StatusServiceUnavailable, "busy"}
		}
		time.Sleep(rand.N(wait))
	}
}

// tryVersion sells, unless somebody else has changed the sale since it was read.
func (b *books) tryVersion(ctx context.Context, asked bid) (o outcome, won bool, err error) {
	gone, stock, version, err := b.readSale(ctx, asked)
	switch {
	case err != nil:
		return outcome{}, false, err
	case gone+asked.Quantity > stock:
		return soldOut, true, nil
	}
	first := &pgx.Batch{}
	first.Queue(`begin`)
	first.Queue(`update rivals.sales set sold = sold + $2, version = version + 1 where id = $1 and version = $3`, asked.Sale, asked.Quantity, version)
	w, err := b.begin(ctx, first, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		won = tag.RowsAffected() == 1
		return err
	})
	defer w.end(ctx)
	if err != nil || !won {
		return outcome{}, false, err
	}
	rest := &pgx.Batch{}
	queueReceipt(rest, asked)
	queueEscrow(rest, asked)
	o, err = judged(w.commit(ctx, rest))
	return o, true, err
}
