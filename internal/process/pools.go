package process

import (
	"math"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/partition"
)

// pools shows how the connections of a process to its servers are. The drivers count;
// a scrape asks no server.
type pools struct{ process *Process }

var (
	redisConns    = prometheus.NewDesc("sluice_redis_pool_connections", "Connections to Redis, by what they are for and whether they are in use.", []string{"pool", "state"}, nil)
	redisTimeouts = prometheus.NewDesc("sluice_redis_pool_timeouts_total", "Times that nobody gave a connection to Redis back in time for who wanted one.", []string{"pool"}, nil)
	redisMisses   = prometheus.NewDesc("sluice_redis_pool_misses_total", "Times that no connection to Redis was idle for who wanted one.", []string{"pool"}, nil)

	postgresConns  = prometheus.NewDesc("sluice_postgres_pool_connections", "Connections to Postgres, by whether they are in use.", []string{"state"}, nil)
	postgresMost   = prometheus.NewDesc("sluice_postgres_pool_connections_max", "Connections to Postgres that this process may have.", nil, nil)
	postgresWaits  = prometheus.NewDesc("sluice_postgres_pool_waits_total", "Times that no connection to Postgres was idle for who wanted one.", nil, nil)
	postgresWaited = prometheus.NewDesc("sluice_postgres_pool_wait_seconds_total", "Time that was waited for a connection to Postgres, all together.", nil, nil)
	postgresEnded  = prometheus.NewDesc("sluice_postgres_pooler_sessions_ended_total", "Sessions of the pooler before Postgres that refused to write, though new ones may, and were ended.", nil, nil)

	coldReads  = prometheus.NewDesc("sluice_postgres_cold_reads_total", "Reads that may be a little old, by who answered: the replica, or the primary because there is none, it does not know, or it is not to be asked.", []string{"from"}, nil)
	replicaLag = prometheus.NewDesc("sluice_postgres_replica_lag_seconds", "How far the replica of Postgres is behind at most: infinitely while it does not answer or is none of this primary, 0 where there is none.", nil, nil)
)

// Describe is for the registry.
func (pools) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{redisConns, redisTimeouts, redisMisses, postgresConns, postgresMost, postgresWaits, postgresWaited, postgresEnded, coldReads, replicaLag} {
		to <- d
	}
}

// Collect shows them as they are now.
func (p pools) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
	}
	all := p.process.store.Pools()
	if p.process.sessions != nil {
		pool := partition.Pool{Name: "sessions"}
		pool.InUse, pool.Idle, pool.Timeouts, pool.Misses = p.process.sessions.Pool()
		all = append(all, pool)
	}
	for _, pool := range all {
		gauge(redisConns, float64(pool.InUse), pool.Name, "in_use")
		gauge(redisConns, float64(pool.Idle), pool.Name, "idle")
		counter(redisTimeouts, float64(pool.Timeouts), pool.Name)
		counter(redisMisses, float64(pool.Misses), pool.Name)
	}
	pool := p.process.ledger.Pool()
	gauge(postgresConns, float64(pool.InUse), "in_use")
	gauge(postgresConns, float64(pool.Idle), "idle")
	gauge(postgresMost, float64(pool.Max))
	counter(postgresWaits, float64(pool.Waits))
	counter(postgresWaited, pool.Waited.Seconds())
	counter(postgresEnded, float64(pool.Ended))
	reads := p.process.ledger.ColdReads()
	counter(coldReads, float64(reads.Replica), "replica")
	counter(coldReads, float64(reads.Primary), "primary")
	lag, known := p.process.ledger.ReplicaLag()
	behind := lag.Seconds()
	if !known {
		behind = math.Inf(1)
	}
	gauge(replicaLag, behind)
}

// buildInfo is 1, and says which program this is.
func buildInfo() prometheus.Collector {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_build_info", Help: "1, for the version, the commit and the Go that this program was built with.",
		ConstLabels: prometheus.Labels{"version": Version(), "revision": revision, "go": runtime.Version()},
	})
	build.Set(1)
	return build
}
