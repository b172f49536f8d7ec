// Command scheduler does what is due: it opens, closes and pays out sales at
// their time, and sweeps the log of batches.
//
// # What it needs
//
// Redis and Postgres, with a schema that `sluice migrate` has brought up to date.
// It keeps nothing on disk. One is enough; of several one leads, and the others
// wait to take its place. SLUICE_NAME, if set, must differ.
//
// # Settings
//
// From the environment or as flags; `scheduler --help` lists them with their
// defaults. Required: SLUICE_REDIS_URL, SLUICE_POSTGRES_URL. All are checked
// before anything opens, and printed at start with their secrets masked.
//
// # Ports
//
//	SLUICE_OPS_LISTEN  127.0.0.1:8083  /healthz (the process lives)
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
// SIGTERM or SIGINT: it gives its lead away and ends at once. A second one kills
// it.
//
// # When it dies
//
// Another one leads after 3 s. Without any, nothing wrong is decided, since every
// sale is judged by the stream's own clock; sellers are paid later, once, and the
// log grows.
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
		Name:  "scheduler",
		About: "Opens, closes and pays out sales at their time. Settings come from the environment or as flags.",
		Ops:   "127.0.0.1:8083",
		Needs: []process.Need{process.Servers},
		Run:   (*process.Process).RunScheduler,
	}.Main()
}
