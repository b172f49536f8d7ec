package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// throwAwayPrefix begins the name of every database that ends with its process.
const throwAwayPrefix = "sluice_throwaway_"

func throwAwayName() string {
	return throwAwayPrefix + strings.ToLower(rand.Text()[:12])
}

// duplicateDatabase is the SQLSTATE of a database that exists already.
const duplicateDatabase = "42P04"

// create makes the database if it is missing.
func (p *postgres) create(ctx context.Context, name string) error {
	err := p.exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == duplicateDatabase {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// drop throws the database away, and whoever is still connected to it out.
func (p *postgres) drop(ctx context.Context, name string) error {
	if err := p.exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// dropThrowAways removes what killed runs left behind.
func (p *postgres) dropThrowAways(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return fmt.Errorf("look for databases of killed runs: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `select datname from pg_database where starts_with(datname, $1)`, throwAwayPrefix)
	if err != nil {
		return fmt.Errorf("look for databases of killed runs: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for databases of killed runs: %w", err)
	}
	for _, name := range names {
		if err := p.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
