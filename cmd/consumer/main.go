// Command consumer settles requests: it owns partitions, decides what is queued
// in them in stream order, commits that to Postgres and makes it visible.
//
// # What it needs
//
// Redis and Postgres, with a schema that `sluice migrate` has brought up to date.
// It keeps nothing on disk. Any number may run side by side, with the same
// SLUICE_PARTITIONS; they share the partitions evenly among themselves, so more of
// them than partitions is no use. SLUICE_NAME, if set, should differ, or nobody can
// tell them apart in the logs and in Postgres.
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
//	                                   /audit (a full audit now, and its report)
//	                                   /loglevel (GET; PUT changes it while the process runs)
//	                                   /debug/pprof/ /debug/flight (profiles and the last seconds)
//
// It asks for no token, whoever may profile a process may slow it down, and /loglevel
// changes it: the operations port is for operators' networks only.
//
// # Signals
//
// SIGTERM or SIGINT: it takes no more requests, finishes the batches in its
// hands, and hands each partition over as soon as it is done with it; the others
// take them within milliseconds, and it ends within about a second. It ends within
// five seconds also when Redis or Postgres hang: what it had in hand is left to the
// next owners, and the exit status may be 1. A second signal kills it.
//
// # When it dies
//
// Its leases end within 3 s, and the other consumers take its partitions; so they do
// when it hangs, in the middle of a transaction too. A batch that Postgres has not
// committed never happened and is decided afresh; one that Postgres has is made
// visible by the next owner. A consumer that was stopped and wakes up is fenced: it
// can change nothing. While Postgres does not answer it tries again and again;
// receipts stay queued.
//
// # Exit status
//
// 0 after a signal (what hung at the end stands in the log), 1 when it cannot work (a
// store does not answer at start, the schema is old), 2 for wrong flags or settings.
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
