// Command consumer settles requests: it owns partitions, decides what is queued
// in them in stream order, commits that to Postgres and makes it visible.
//
// # What it needs
//
// Redis and Postgres, with a schema that `sluice migrate` has brought up to date.
// It keeps nothing on disk. Any number may run side by side, with the same
// SLUICE_PARTITIONS; they share the partitions among themselves, so more of them
// than partitions is no use. SLUICE_NAME, if set, must differ.
//
// # Settings
//
// From the environment or as flags; `consumer --help` lists them with their
// defaults. Required: SLUICE_REDIS_URL, SLUICE_POSTGRES_URL. All are checked
// before anything opens, and printed at start with their secrets masked.
//
// # Ports
//
//	SLUICE_OPS_LISTEN  127.0.0.1:8082  /healthz (the process lives)
//	                                   /readyz  (it can work: else 503 and a JSON list of what is wrong)
//	                                   /metrics (Prometheus)
//
// # Signals
//
// SIGTERM or SIGINT: it takes no more requests, finishes the batches in its
// hands, and hands its partitions over, in about a second; what hangs for five
// seconds is left to the next owner. A second one kills it.
//
// # When it dies
//
// Its leases end after 3 s, and the other consumers take its partitions. A batch
// that Postgres has not committed never happened and is decided afresh; one that
// Postgres has is made visible by the next owner. A consumer that was stopped and
// wakes up is fenced: it can change nothing. While Postgres does not answer it
// tries again and again; receipts stay queued.
//
// # Exit status
//
// 0 after a signal, 1 when it cannot work (a store does not answer at start, the
// schema is old), 2 for wrong flags or settings.
package main

import (
	_ "time/tzdata" // the machine may have none

	"sluice/internal/process"
)

func main() {
	process.Command{
		Name:  "consumer",
		About: "Settles requests: decides what is queued, commits it to Postgres and makes it visible. Settings come from the environment or as flags.",
		Ops:   "127.0.0.1:8082",
		Needs: []process.Need{process.Servers},
		Run:   (*process.Process).RunConsumer,
	}.Main()
}
