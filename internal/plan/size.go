package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// Deployment is what a workload is put on.
type Deployment struct {
	APIs       int `json:"apis"`
	Consumers  int `json:"consumers"`
	Masters    int `json:"masters"`
	Partitions int `json:"partitions"`
}

// Use is how busy one kind of thing is at the peak, and when it is at its end.
type Use struct {
	What   string  `json:"what"`
	Busy   float64 `json:"busy"`   // the peak, as a share of what it can bear
	Breaks float64 `json:"breaks"` // requests per second that it can bear, with batches and trips as full as patience allows
	Then   string  `json:"then"`   // what helps
}

// sizing counts what a workload needs.
type sizing struct {
	Workload
	Machines
	costs Costs
}

// hotPartition is the share of the requests that the partition of the hottest sale gets.
func (s sizing) hotPartition(d Deployment) float64 {
	return s.hot() + (1-s.hot())/float64(d.Partitions)
}

// hotMaster is the same of the master of Redis that has it.
func (s sizing) hotMaster(d Deployment) float64 {
	return s.hot() + (1-s.hot())/float64(d.Masters)
}

// What is busy shares: the longer a batch or a trip takes, the more come for the next one, and
// the less each of them costs. So nothing is at its end as long as that helps, and as long as
// nobody has to wait longer for it than so.
const (
	batchPatience = 0.25 // seconds
	tripPatience  = 0.02
)

// shared is how many share a trip to a partition for which so many ask one API in a second.
func shared(rate float64) float64 { return min(max(1, rate*tripPatience), shareMost) }

// outcome is a cost of a request that wins, and of one that is rejected, as often as they are.
func (s sizing) outcome(of string) float64 {
	return s.Wins*s.costs.us(of+"_won") + (1-s.Wins)*s.costs.us(of+"_lost")
}

// transaction is how long a partition is settled for n requests: nobody else's are meanwhile.
func (s sizing) transaction(n, sales float64) float64 {
	return s.costs.us("consumer_batch") + s.costs.us("postgres_batch") + n*(s.outcome("consumer")+s.outcome("postgres")) +
		sales*(s.costs.us("consumer_sale")+s.costs.us("postgres_sale")) + 2*roundTrips*s.Network/1000 + s.Commit/1000
}

// batch is how many are settled at once in a partition to which so many come in a second,
// and how many sales are among them.
func batch(rate, sales float64) (n, met float64) {
	n = min(max(1, rate*batchPatience), batchMost)
	return n, distinct(n, sales, 0)
}

// others are the sales of a partition beside the hottest one.
func (s sizing) others(d Deployment) float64 {
	return float64(s.Sales-1) / float64(d.Partitions)
}

// uses are how busy everything is at a rate, when as much is shared as patience allows.
func (s sizing) uses(d Deployment, rate float64) []Use {
	perDesk := rate / float64(d.APIs*d.Partitions)
	letIn := shared(perDesk)
	reads := s.Waits + s.Polls
	read := shared(perDesk * reads)
	n, met := batch(rate/float64(d.Partitions), s.others(d))
	hot := s.hotPartition(d)
	inHot := s.hot() / hot
	perBatch := 1 / n

	asking := s.costs.us("api_request") + s.Waits*s.costs.us("api_wait") + s.Polls*s.costs.us("api_poll") +
		s.costs.us("api_trip")*(1/letIn+reads/read)
	hearing := s.costs.us("api_hears")
	redis := s.costs.us("redis_admission") + reads*s.costs.us("redis_reading") + s.costs.us("redis_trip")*(1/letIn+reads/read+redisTrips*perBatch) +
		s.outcome("redis") + met*perBatch*s.costs.us("redis_sale") + float64(d.APIs)*s.costs.us("redis_tells")
	besides := s.Wins*s.costs.us("consumer_beside_won") + (1-s.Wins)*s.costs.us("consumer_beside_lost")
	consumer := s.outcome("consumer") + besides + perBatch*(s.costs.us("consumer_batch")+redisTrips*s.costs.us("api_trip")) +
		1.5*met*perBatch*s.costs.us("consumer_sale")
	postgres := s.outcome("postgres") + perBatch*s.costs.us("postgres_batch") + met*perBatch*s.costs.us("postgres_sale")
	limit := batchMost / s.transaction(batchMost, distinct(batchMost, s.others(d), inHot))
	return []Use{
		{What: "the partition of the hottest sale", Busy: rate * hot / limit, Then: "nothing but fewer requests: split the sale, or let fewer in"},
		{What: "the master of Redis of the hottest sale", Busy: rate * s.hotMaster(d) * redis, Then: "more masters help all but the hottest sale"},
		{What: "cores of Postgres", Busy: rate * postgres / float64(s.PostgresCores), Then: "more cores, or a second Postgres: another cell"},
		{What: "the log of Postgres", Busy: rate * s.Wins * s.costs.bytes("wal_won") / (s.Disk * 1e6), Then: "a faster disk, wal_compression, a greater max_wal_size; or another cell"},
		{What: "cores of the consumers", Busy: rate * consumer / float64(d.Consumers*s.ConsumerCores), Then: "more consumers, up to one for each partition"},
		{What: "cores of the APIs, asking", Busy: rate * asking / float64(d.APIs*s.APICores), Then: "more APIs"},
		{What: "cores of an API, hearing of every batch", Busy: rate * hearing / float64(s.APICores), Then: "larger hosts for the APIs, or another cell"},
	}
}

// breaks says at which rate a use is at its end.
func (s sizing) breaks(d Deployment, i int) float64 {
	low, high := 0.0, 1e9
	for range 60 {
		if middle := (low + high) / 2; s.uses(d, middle)[i].Busy > 1 {
			high = middle
		} else {
			low = middle
		}
	}
	return low
}

// Breaking are all uses at the peak, with what breaks first on top.
func (s sizing) Breaking(d Deployment) []Use {
	all := s.uses(d, s.Rate)
	for i := range all {
		all[i].Breaks = s.breaks(d, i)
		all[i].Busy = s.Rate / all[i].Breaks
	}
	slices.SortStableFunc(all, func(a, b Use) int { return cmp.Compare(a.Breaks, b.Breaks) })
	return all
}

// The places of uses.
const (
	ofPartition = iota
	ofMaster
	ofPostgres
	ofLog
	ofConsumers
	ofAsking
	ofHearing
)

// Size says how much of everything is needed so that nothing is busier than it may be, and
// complains of what no number of processes can help.
func (s sizing) Size() (d Deployment, complaints []string) {
	grow := func(have *int, given, least, ceiling int, use int) {
		if given > 0 {
			*have = given
			return
		}
		for *have = least; *have < ceiling && s.uses(d, s.Rate)[use].Busy > s.Full; {
			*have += max(1, *have/8)
			if use == ofMaster && s.uses(d, s.Rate)[use].Busy/s.hotMaster(d)/float64(d.Masters) < s.Full/3 {
				break // what is left is the hottest sale, which more masters do not help
			}
		}
	}
	d = Deployment{APIs: 2, Consumers: 2, Masters: 1, Partitions: 16}
	for range 3 { // each asks for a little more when the others grow
		if d.Partitions = s.Partitions; d.Partitions == 0 {
			for d.Partitions = 16; d.Partitions < partitionsMost && (d.Partitions < 2*d.Masters || s.crowded(d)); {
				d.Partitions *= 2
			}
		}
		grow(&d.APIs, s.APIs, 2, most, ofAsking)
		grow(&d.Masters, s.Masters, 1, most, ofMaster)
		if s.Masters == 0 && d.Masters == 2 {
			d.Masters = 3 // a cluster has three
		}
		grow(&d.Consumers, s.Consumers, 2, d.Partitions, ofConsumers)
	}
	for _, use := range s.Breaking(d) {
		if use.Busy > s.Full {
			complaints = append(complaints, fmt.Sprintf("%s: %s of what it can, and may be %s; %s", use.What, percent(use.Busy), percent(s.Full), use.Then))
		}
	}
	return d, complaints
}

// crowded says that an ordinary partition, without the hottest sale, gets more than it may.
func (s sizing) crowded(d Deployment) bool {
	limit := batchMost / s.transaction(batchMost, distinct(batchMost, s.others(d), 0))
	return s.Rate*(1-s.hot())/float64(d.Partitions) > s.Full*limit/2
}

// Stores is what the crowd leaves behind.
type Stores struct {
	RedisBytes    float64 `json:"redis_bytes"`     // of all masters, at most: what is queued and what was decided in the hours it is kept
	PostgresDay   float64 `json:"postgres_day"`    // bytes that tables grow by in a day
	WALDay        float64 `json:"wal_day"`         // bytes that are written to the log in a day
	PostgresConns int     `json:"postgres_conns"`  // at most, of all processes
	RedisConns    int     `json:"redis_conns"`     // at most, of one master
	EachConns     int     `json:"each_conns"`      // SLUICE_POSTGRES_CONNS of a consumer
	Backlog       float64 `json:"backlog_seconds"` // seconds of the hottest sale's requests that its partition lets wait
}

// A process's own connections, as partition and the settings have them.
const (
	connsDefault   = 20 // SLUICE_POSTGRES_CONNS
	connsBeside    = 4  // of those that a consumer needs beside one for each partition
	requestConns   = 16
	leaseConns     = 2
	readerConns    = 4
	rejectedHashes = 2 * 1_000_000 // rejected receipts that a partition remembers, at most
	schedulers     = 2
)

func (s sizing) Stores(d Deployment) Stores {
	day := s.Day
	if day == 0 {
		day = s.Rate * s.Peak
	}
	kept := day * min(1, s.Hours/24)
	kept = max(kept, min(day, s.Rate*s.Peak))
	own := (d.Partitions + d.Consumers - 1) / d.Consumers
	each := max(connsDefault, own+connsBeside)
	return Stores{
		RedisBytes: s.queuedMost(d)*s.costs.bytes("memory_queued") +
			kept*s.Wins*s.costs.bytes("memory_decided") +
			min(kept*(1-s.Wins), float64(d.Partitions)*rejectedHashes)*s.costs.bytes("memory_rejected"),
		PostgresDay:   day * (s.Wins*s.costs.bytes("disk_won") + (1-s.Wins)*s.costs.bytes("disk_lost")),
		WALDay:        day * s.Wins * s.costs.bytes("wal_won"),
		PostgresConns: (d.APIs+schedulers)*connsDefault + d.Consumers*each,
		RedisConns:    (d.APIs+schedulers)*(requestConns+leaseConns+readerConns) + d.Consumers*(requestConns+leaseConns+readerConns+3*own+connsBeside),
		EachConns:     each,
		Backlog:       float64(s.Workload.Backlog) / (s.Rate * s.hotPartition(d)),
	}
}

// queuedMost is how many may be queued at once: all that come, or all that may.
func (s sizing) queuedMost(d Deployment) float64 {
	return min(s.Rate*s.Peak, float64(d.Partitions)*float64(s.Workload.Backlog))
}
