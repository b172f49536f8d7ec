// Command sluice is all of Sluice in one program, for a laptop, a small
// deployment and an operator's hand.
//
//	sluice up            the API, a consumer and a scheduler in one process, on :8080
//	sluice demo          the same, with four sales, thousands of buyers and a proof
//	sluice torture       breaks a deployment of its own at random, and checks that nobody was wronged
//	sluice audit         proves that Redis, Postgres and the log tell one story
//	sluice dead          lists what could not be settled; shows, replays, drops it
//	sluice migrate       brings the database to this program's schema
//	sluice admin create  makes an administrator's account
//
// # What it needs
//
// Postgres and, better than the slow imitation inside the program, redis-server
// in PATH: it starts private ones in SLUICE_DATA_DIR, which end with it, whatever
// ends it. Or servers that are there, by SLUICE_REDIS_URL and
// SLUICE_POSTGRES_URL; those are used as they are. One sluice at a time works in
// a data folder.
//
// # Settings
//
// From the environment or as flags; `sluice up --help` lists them with their
// defaults. All are checked before anything opens, and printed by `up` at start
// with their secrets masked. Without SLUICE_JWT_KEYS a random key is made and
// kept in the data folder (jwt.key, for its owner's eyes only).
//
// # Ports
//
//	SLUICE_LISTEN      :8080           /v1
//	SLUICE_OPS_LISTEN  127.0.0.1:8081  /healthz /readyz /metrics
//
// # Signals
//
// SIGTERM or SIGINT: the API finishes its requests, then the consumer its
// batches, then the scheduler; then the stores close and the private servers
// stop. A second one kills it, and the private servers with it.
//
// # Exit status
//
//	0  it did what it should
//	1  it could not; or the demo, the audit or the torture found something broken
//	2  wrong flags or settings
//	3  audit only: nothing is broken, but a partition was too busy to be compared
package main

import (
	"context"
	"os"
	_ "time/tzdata" // the machine may have none

	"github.com/alecthomas/kong"

	"sluice/internal/process"
	rack "sluice/internal/torture"
)

const about = "Sluice sells a limited stock at the moment when everybody comes at once, and gives every request the right answer."

// commands is the command line. Servers log what they do; tools only what is
// wrong.
type commands struct {
	Up      up      `cmd:"" set:"log_level=info" help:"Run the API, a consumer and a scheduler in one process."`
	Demo    demo    `cmd:"" set:"log_level=warn" help:"Run everything, sell four kinds of things to thousands of buyers at once, and prove the outcome."`
	Audit   audit   `cmd:"" set:"log_level=warn" help:"Prove that Redis, Postgres and the log tell one story."`
	Dead    dead    `cmd:"" help:"Look after requests that could not be settled."`
	Torture torture `cmd:"" help:"Break a deployment of its own at random while clients ask it for things, and check that nobody was wronged."`
	Migrate migrate `cmd:"" set:"log_level=warn" help:"Bring the database to this program's schema."`
	Admin   admin   `cmd:"" help:"Look after administrators."`

	TortureWorker rack.Worker `cmd:"" set:"log_level=warn" hidden:""`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	var line commands
	chosen := process.Parse(&line, "sluice", about, kong.Vars{
		"ops_listen": "127.0.0.1:8081", "log_format": "console",
		"given": "Default: a private one, in the data folder.",
		"keys":  "Default: one made at random and kept in the data folder.",
	})
	ctx, stop := process.Signals(context.Background())
	chosen.BindTo(ctx, (*context.Context)(nil))
	err := chosen.Run()
	stop()
	os.Exit(status(err))
}
