package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// setup makes the books of one sale. What it made before goes.
type setup struct {
	Postgres string `env:"SLUICE_POSTGRES_URL" required:"" placeholder:"URL" help:"The database; all is made in its schema rivals."`
	Sale     int64  `default:"1" help:"Number of the sale. Default: ${default}."`
	Stock    int64  `required:"" placeholder:"N" help:"Units it has."`
	Buyers   int64  `required:"" placeholder:"N" help:"Buyers, who are numbered from 1."`
	Balance  int64  `required:"" placeholder:"POINTS" help:"What each of them has."`
}

// Run makes them.
func (s *setup) Run(ctx context.Context) error {
	if s.Sale < 1 || s.Stock < 0 || s.Buyers < 1 || s.Balance < 0 {
		return fmt.Errorf("sale %d, stock %d, buyers %d, balance %d: nothing may be negative, and there must be a sale and a buyer", s.Sale, s.Stock, s.Buyers, s.Balance)
	}
	conn, err := pgx.Connect(ctx, s.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, schema); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`insert into rivals.sales (id, stock) values ($1, $2)`, s.Sale, s.Stock)
	batch.Queue(`insert into rivals.wallets (id, opening, balance) values (-$1::bigint, 0, 0)`, s.Sale)
	batch.Queue(`insert into rivals.wallets (id, opening, balance) select n, $2, $2 from generate_series(1, $1::bigint) as n`, s.Buyers, s.Balance)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("fill the books: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	if err := makeRiver(ctx, s.Postgres); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	_, err = conn.Exec(ctx, `vacuum analyze rivals.wallets, rivals.sales`)
	return err
}
