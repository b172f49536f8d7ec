package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"

	"github.com/jackc/pgx/v5"
)

// check says whether the books are right.
type check struct {
	Postgres string `env:"SLUICE_POSTGRES_URL" required:"" placeholder:"URL" help:"The database that setup has prepared."`
	Sale     int64  `default:"1" help:"Number of the sale. Default: ${default}."`
}

// finding is what the books say of a sale.
type finding struct {
	Sold     int64 `json:"sold"`     // units of confirmed receipts
	Stock    int64 `json:"stock"`    // units there were
	Oversold int64 `json:"oversold"` // units sold beyond them
	Counted  int64 `json:"counted"`  // units sold by the sale's own counter
	Entries  int64 `json:"entries"`  // movements of points for it
	Receipts int64 `json:"receipts"` // confirmed ones
	Rejected int64 `json:"rejected"` // receipts
	PointsOK bool  `json:"points_ok"`
}

//go:embed check.sql
var checkText string

// Run prints the finding as JSON.
func (k *check) Run(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, k.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	found, err := examine(ctx, conn, k.Sale)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func examine(ctx context.Context, conn *pgx.Conn, sale int64) (f finding, err error) {
	err = conn.QueryRow(ctx, checkText, sale).Scan(&f.Sold, &f.Stock, &f.Counted, &f.Entries, &f.Receipts, &f.Rejected, &f.PointsOK)
	f.Oversold = max(0, f.Sold-f.Stock)
	return f, err
}
