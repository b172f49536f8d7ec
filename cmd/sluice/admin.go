package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sluice/internal/embedded"
	"sluice/internal/process"
)

type admin struct {
	Create createAdmin `cmd:"" set:"log_level=warn" help:"Make an administrator's account."`
}

type createAdmin struct {
	process.Config `embed:""`

	Email string `required:"" placeholder:"ADDRESS" help:"What the administrator signs in with."`
}

func (createAdmin) Help() string {
	return `There is no other way to an administrator: nobody can make himself one. The password, 8 to 72 bytes, is SLUICE_ADMIN_PASSWORD if that is set; else it is asked on the terminal without being shown; else it is the first line of standard input. There is no flag for it, since everybody on the machine can read those.

Servers are given by their URLs and have the current schema (see "migrate"); private ones can only be used while no other sluice uses them, and are brought to it.`
}

var errForgotten = errors.New("without redis-server in PATH private servers forget everything at exit, and the account with it: name the servers by their URLs")

// Run is the command.
func (a *createAdmin) Run(ctx context.Context) (err error) {
	if err := a.Check(); err != nil {
		return err
	}
	password, err := process.Secret(ctx, "SLUICE_ADMIN_PASSWORD", "administrator's password", os.Stdin, os.Stderr)
	if err != nil {
		return err
	}
	// Whose database this is decides when it is migrated.
	h, err := open(ctx, a.Config, a.Logger(os.Stderr), a.PostgresURL == "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if a.PostgresURL == "" && h.servers.RedisKind == embedded.InProcess {
		return errForgotten
	}
	account, err := h.Accounts.CreateAdmin(ctx, a.Email, password)
	if err != nil {
		return err
	}
	fmt.Printf("account %d is an administrator\n", account)
	return nil
}
