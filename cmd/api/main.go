// Command api answers HTTP: it shows sales and receipts, and queues requests.
//
// # What it needs
//
// Redis and Postgres, with a schema that `sluice migrate` has brought up to date,
// and the token keys. It keeps nothing on disk. Any number may run side by side
// behind a load balancer; they must be given the same SLUICE_JWT_KEYS and
// SLUICE_PARTITIONS. Without a consumer requests are accepted and stay queued
// until the backlog bound, SLUICE_BACKLOG, is reached.
//
// # Settings
//
// From the environment or as flags; `api --help` lists them with their defaults.
// Required: SLUICE_REDIS_URL, SLUICE_POSTGRES_URL, SLUICE_JWT_KEYS. All are
// checked before anything opens, and printed at start with their secrets masked.
//
// # Ports
//
//	SLUICE_LISTEN      :8080           /v1, for everybody
//	SLUICE_OPS_LISTEN  127.0.0.1:8081  /healthz (the process lives)
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
// SIGTERM or SIGINT: /readyz turns 503, no connection is accepted any more,
// requests under way are finished, the connections to the stores close. All of it
// takes at most SLUICE_SHUTDOWN_GRACE, whatever hangs; of that, requests get all
// but the last two seconds. A second one kills it.
//
// # When it dies
//
// Nothing is lost: what it answered with 202 is in Redis, and what it did not
// answer may be sent again under the same Idempotency-Key, to any other.
//
// # Exit status
//
// 0 after a signal, 1 when it cannot work (a store does not answer at start, the
// port is taken, the schema is old), 2 for wrong flags or settings.
package main

import (
	_ "time/tzdata" // the machine may have none

	"sluice/internal/process"
)

func main() {
	process.Command{
		Name:  "api",
		About: "Answers HTTP: shows sales and receipts, and queues requests. Settings come from the environment or as flags.",
		Ops:   "127.0.0.1:8081",
		Needs: []process.Need{process.Servers, process.Keys},
		Run:   (*process.Process).RunAPI,
	}.Main()
}
