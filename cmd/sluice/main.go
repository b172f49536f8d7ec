// Command sluice is all of Sluice in one program, for a laptop, a small
// deployment and an operator's hand.
//
//	sluice up            the API, a consumer and a scheduler in one process, on :8080
//	sluice demo          the same, with four sales, thousands of buyers and a proof
//	sluice torture       breaks a deployment of its own at random, and checks that nobody was wronged
//	sluice bench         measures it beside its limits, what it replaces, and other carriers
//	sluice plan          says what a crowd needs, what breaks first, and simulates it
//	sluice audit         proves that Redis, Postgres and the log tell one story
//	sluice top           shows an operator what is going on, in a terminal
//	sluice status        says whether all is well, to a script
//	sluice sales         lists live sales; suspends one that must not sell on, resumes it
//	sluice dead          lists what could not be settled; shows, replays, drops it
//	sluice migrate       brings the database to this program's schema
//	sluice health        asks an operations port whether all is well, for images and units
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
//	SLUICE_OPS_LISTEN  127.0.0.1:8081  /healthz /readyz /metrics /audit /loglevel /debug
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
//	1  it could not; or the demo, the audit or the torture found something broken;
//	   or the status is not healthy; or the crowd of the plan does not fit
//	2  wrong flags or settings
//	3  audit, and sales resume: nothing is broken, but a partition was too busy to be compared
package main

import (
	"context"
	"os"
	_ "time/tzdata" // the machine may have none

	"github.com/alecthomas/kong"

	yard "sluice/internal/bench"
	"sluice/internal/process"
)

const about = "Sluice sells a limited stock at the moment when everybody comes at once, and gives every request the right answer."

// commands is the command line. Servers log what they do; tools only what is
// wrong.
type commands struct {
	Up      up      `cmd:"" set:"log_level=info" help:"Run the API, a consumer and a scheduler in one process."`
	Demo    demo    `cmd:"" set:"log_level=warn" help:"Run everything, sell four kinds of things to thousands of buyers at once, and prove the outcome."`
	Audit   audit   `cmd:"" set:"log_level=warn" help:"Prove that Redis, Postgres and the log tell one story."`
	Top     top     `cmd:"" help:"Show what is going on, in a terminal: sales, rates, partitions and their owners, faults."`
	Status  look    `cmd:"" help:"Say whether a deployment is healthy, and what is not; --json for scripts."`
	Sales   sales   `cmd:"" help:"Look after live sales: list, suspend and resume them."`
	Dead    dead    `cmd:"" help:"Look after requests that could not be settled."`
	Torture torture `cmd:"" help:"Break a deployment of its own at random while clients ask it for things, and check that nobody was wronged."`
	Bench   bench   `cmd:"" help:"Measure Sluice beside what limits it, what it replaces and what else could carry its requests."`
	Plan    plan    `cmd:"" help:"Say how many processes, partitions and servers a crowd needs and what breaks first, and simulate it."`
	Migrate migrate `cmd:"" set:"log_level=warn" help:"Bring the database to this program's schema."`
	Health  health  `cmd:"" help:"Ask an operations port whether all is well."`
	Admin   admin   `cmd:"" help:"Look after administrators."`

	// One process of what torture and bench deploy; torture called it by its other name in earlier releases.
	Worker process.Worker `cmd:"" aliases:"torture-worker" set:"log_level=warn" hidden:""`
	// What makes the load of bench.
	Generate yard.Generate `cmd:"" hidden:""`

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
