package survey

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// collector shows the last picture to a scrape.
type collector struct{ survey *Survey }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	depth      = desc("sluice_partition_depth", "Requests admitted and not applied.", "partition")
	oldest     = desc("sluice_partition_oldest_seconds", "Age of the oldest request admitted and not applied, by Redis' clock; 0: there is none.", "partition")
	held       = desc("sluice_partition_held", "1 while a consumer has the lease.", "partition")
	loading    = desc("sluice_partition_loading", "1 while admission answers loading: Redis has no data of the partition, or none that its owner has checked.", "partition")
	generation = desc("sluice_partition_generation", "How often the partition was opened in Redis, the first time included; 0: Redis has no data of it.", "partition")
	dead       = desc("sluice_dead_letters", "Dead letters in all partitions.")

	open      = desc("sluice_sales_open", "Sales that are open.")
	suspended = desc("sluice_sales_suspended", "Sales that are suspended, and not resumed yet.")
	units     = desc("sluice_sale_units", "Units of one of the twenty busiest open sales.", "sale", "kind", "state")
	waiting   = desc("sluice_sale_waiting", "Receipts in the waiting line of one of the twenty busiest open sales.", "sale", "kind")
	price     = desc("sluice_sale_price_points", "Price of a unit of one of the twenty busiest open sales, but for coupons.", "sale", "kind")

	redisUp     = desc("sluice_redis_up", "1 when Redis answered the last survey; of a cluster, any of its masters.")
	masters     = desc("sluice_redis_masters", "Servers of Redis that have slots: known, and reached by the last survey; of one server 1.", "state")
	slots       = desc("sluice_redis_slots_served", "Slots of a Redis Cluster whose server the cluster thinks well, of 16384; one server has all.")
	memory      = desc("sluice_redis_memory_used_bytes", "Memory that Redis uses; of a cluster, that of its fullest master.")
	memoryMax   = desc("sluice_redis_memory_max_bytes", "Memory that Redis may use; 0: no limit.")
	noEviction  = desc("sluice_redis_noeviction", "1 when Redis refuses to write rather than throw something away when its memory is full. It must.")
	persistence = desc("sluice_redis_persistence_ok", "1 when Redis' last write to its append-only file (aof, while it has one) or its last snapshot (rdb) went well, or there was none.", "kind")
	aof         = desc("sluice_redis_aof_enabled", "1 when Redis writes an append-only file.")
	replicas    = desc("sluice_redis_replicas", "Replicas that are connected to Redis; of a cluster, the least that one of its masters has.")
	evicted     = desc("sluice_redis_evicted_keys_total", "Keys that Redis has thrown away since its memory was full; of a cluster, all its masters.")
	clients     = desc("sluice_redis_clients", "Connections to Redis; of a cluster, to all its masters.")

	postgresUp = desc("sluice_postgres_up", "1 when Postgres answered the last survey.")
	database   = desc("sluice_postgres_database_bytes", "Size of the database on disk.")
)

// Describe is for the registry.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		depth, oldest, held, loading, generation, dead, open, suspended, units, waiting, price,
		redisUp, masters, slots, memory, memoryMax, noEviction, persistence, aof, replicas, evicted, clients, postgresUp, database,
	} {
		to <- d
	}
}

// Collect shows what the last survey saw; nothing before the first one.
func (c collector) Collect(to chan<- prometheus.Metric) {
	seen := c.survey.seen.Load()
	if seen == nil {
		return
	}
	show := shower(to)
	show.gauge(redisUp, truth(seen.Redis != nil))
	if seen.Redis != nil {
		show.partitions(seen.Redis.Partitions)
		show.gauge(masters, float64(seen.Redis.Masters), "known")
		show.gauge(masters, float64(seen.Redis.Reached), "reached")
		show.gauge(slots, float64(seen.Redis.Slots))
		show.server(seen.Redis.Server)
	}
	show.gauge(postgresUp, truth(seen.Postgres != nil))
	if seen.Postgres != nil {
		show.record(seen.Postgres)
	}
}

// shower makes metrics.
type shower chan<- prometheus.Metric

func (to shower) gauge(d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (to shower) partitions(all []partition.Condition) {
	var letters int64
	for p, c := range all {
		letters += c.Dead
		if !c.Known {
			continue
		}
		name := strconv.Itoa(p)
		to.gauge(depth, float64(c.Depth), name)
		to.gauge(oldest, c.Oldest.Seconds(), name)
		to.gauge(held, truth(c.Held), name)
		to.gauge(loading, truth(c.Loading), name)
		to.gauge(generation, float64(c.Generation), name)
	}
	to.gauge(dead, float64(letters))
}

// server shows what the server has told of itself.
func (to shower) server(s partition.Server) {
	for d, value := range map[*prometheus.Desc]int64{
		memory: s.Memory, memoryMax: s.MemoryMax, noEviction: s.NoEviction, aof: s.AOF, replicas: s.Replicas, clients: s.Clients,
	} {
		if value >= 0 {
			to.gauge(d, float64(value))
		}
	}
	if s.Evicted >= 0 {
		to <- prometheus.MustNewConstMetric(evicted, prometheus.CounterValue, float64(s.Evicted))
	}
	if s.RDBOK >= 0 {
		to.gauge(persistence, float64(s.RDBOK), "rdb")
	}
	if s.AOFOK >= 0 && s.AOF == 1 {
		to.gauge(persistence, float64(s.AOFOK), "aof")
	}
}

func (to shower) record(r *Record) {
	to.gauge(open, float64(r.Open))
	to.gauge(suspended, float64(r.Suspended))
	to.gauge(database, float64(r.Size))
	for _, s := range r.Sales {
		id, kind := strconv.FormatInt(s.ID, 10), string(s.Kind)
		to.gauge(units, float64(s.Free), id, kind, "free")
		to.gauge(units, float64(s.Held), id, kind, "held")
		to.gauge(units, float64(s.Sold), id, kind, "sold")
		to.gauge(waiting, float64(s.Waiting), id, kind)
		if s.Kind != sale.Coupon {
			to.gauge(price, float64(s.PriceAt(r.At)), id, kind)
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
