package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sluice/internal/process"
)

type migrate struct {
	process.Config `embed:""`
}

func (migrate) Help() string {
	return `It applies the migrations that the database lacks, each once and in order; several at once are harmless. Run it before the new version of api, consumer and scheduler starts; the old version works on until it is replaced. Only Postgres is needed; behind a pooler it goes past it, by SLUICE_POSTGRES_DIRECT_URL.`
}

// Run is the command.
func (m *migrate) Run(ctx context.Context) (err error) {
	if err := m.Check(process.Schema); err != nil {
		return err
	}
	c := m.Config
	if c.RedisURL == "" {
		c.RedisURL = "redis://unused" // so that none is started
	}
	servers, err := startServers(ctx, c, m.Logger(os.Stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	c.PostgresURL = servers.PostgresURL
	n, err := process.Pending(ctx, c.SchemaURL())
	if err != nil {
		return err
	}
	if err := process.Migrate(ctx, c.SchemaURL()); err != nil {
		return err
	}
	if n == 0 {
		fmt.Println("the schema is up to date")
		return nil
	}
	fmt.Printf("applied %d migrations; the schema is up to date\n", n)
	return nil
}
