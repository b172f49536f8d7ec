package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Cost is what one thing takes: CPU in µs, or memory and disk in bytes.
type Cost struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	From  string  `json:"from"` // who measured it, or said so
	what  string
}

// Costs are all that a plan counts with, by name.
type Costs map[string]Cost

// costNames are the costs there are, in the order in which they are shown.
var costNames = []struct{ name, unit, what string }{
	{"api_request", "µs", "the API for an accepted POST, without its trip to Redis"},
	{"api_poll", "µs", "the API for a poll, without its trip"},
	{"api_wait", "µs", "the API for an answer that it holds until the outcome is there, without its trip"},
	{"api_trip", "µs", "who asks, for a trip to Redis, shared by all who ask for the same partition at that moment"},
	{"api_hears", "µs", "every API, for each request that is settled, whoever waits for it"},
	{"api_rouse", "µs", "the API, and who asks, when it had nothing to do before"},
	{"wake", "µs", "nobody, while a core wakes up that had nothing to do"},
	{"redis_trip", "µs", "Redis for a trip"},
	{"redis_admission", "µs", "Redis for an admission"},
	{"redis_reading", "µs", "Redis for a receipt that is read"},
	{"redis_won", "µs", "Redis for a request with an effect: read, viewed and applied"},
	{"redis_lost", "µs", "Redis for one that is rejected"},
	{"redis_sale", "µs", "Redis for each sale in a batch"},
	{"redis_tells", "µs", "Redis for each API, for each request that is settled"},
	{"consumer_batch", "µs", "the consumer for a batch, while Postgres waits for it"},
	{"consumer_won", "µs", "the consumer for a request with an effect, while Postgres waits for it"},
	{"consumer_lost", "µs", "the consumer for one that is rejected, while Postgres waits for it"},
	{"consumer_beside_won", "µs", "the consumer for a request with an effect, while Postgres is busy"},
	{"consumer_beside_lost", "µs", "the consumer for one that is rejected, while Postgres is busy"},
	{"consumer_sale", "µs", "the consumer for each sale in a batch"},
	{"postgres_batch", "µs", "Postgres for a batch"},
	{"postgres_won", "µs", "Postgres for a request with an effect"},
	{"postgres_lost", "µs", "Postgres for one that is rejected"},
	{"postgres_sale", "µs", "Postgres for each sale in a batch"},
	{"memory_queued", "B", "Redis for a queued request"},
	{"memory_decided", "B", "Redis for a receipt with an effect, until its sale is forgotten"},
	{"memory_rejected", "B", "Redis for a rejected receipt"},
	{"disk_won", "B", "Postgres for a receipt with an effect, with its entry, notice and indexes"},
	{"disk_lost", "B", "Postgres for a rejected request, in the log of batches"},
	{"wal_won", "B", "the log of Postgres for a request with an effect, where there are ten million receipts"},
}

// us is a cost in seconds.
func (c Costs) us(name string) float64 { return c[name].Value / 1e6 }

// bytes is a cost in bytes.
func (c Costs) bytes(name string) float64 { return c[name].Value }

// All are the costs in the order in which they are shown.
func (c Costs) All() (all []Cost) {
	for _, known := range costNames {
		cost := c[known.name]
		cost.what = known.what
		all = append(all, cost)
	}
	return all
}

// Measured are the costs that `make bench` has measured (benchmarks.json).
func Measured(benchmarks []byte) (Costs, error) {
	seen, err := readMeasured(benchmarks)
	if err != nil {
		return nil, err
	}
	c := Costs{}
	tell := func(name string, value float64, from string) {
		c[name] = Cost{Name: name, Value: max(value, 0), From: from}
	}
	trip, who := seen.figure("trips", "a trip, redis"), seen.figure("trips", "a trip, who asks")
	admission, reading := seen.figure("trips", "admission, redis"), seen.figure("trips", "reading, redis")
	tell("redis_trip", trip, "trips")
	tell("api_trip", who, "trips")
	tell("redis_admission", admission, "trips")
	tell("redis_reading", reading, "trips")

	// What the API computes for a request is fitted (fit.go), since how many share its trip is
	// known to the simulation alone. Polls came from so many connections that all shared.
	tell("api_request", seen.cpu("door", "sluice", "api"), "door, less the trips")
	tell("api_poll", seen.cpu("poll", "queued", "api")-who*seen.cpu("poll", "queued", "redis")/max(trip, 1), "poll, less the trips")
	tell("api_wait", seen.cpu("verdict", "capacity", "api")-seen.cpu("door", "sluice", "api"), "verdict and door, less the trips")
	tell("api_hears", seen.figure("fanout", "an API hears"), "fanout")
	tell("redis_tells", seen.figure("fanout", "Redis tells an API"), "fanout")

	// A batch costs something, and each request in it: the line through the sizes of batch.
	loop, rows := seen.line("batch", "loop"), seen.line("batch", "postgres")
	tell("consumer_batch", loop, "batch")
	tell("postgres_batch", rows, "batch")
	for _, kind := range []struct{ name, of string }{{"won", "all win"}, {"lost", "sold out"}} {
		ours, alone := "sluice, "+kind.of, "loop, "+kind.of
		inBatch := seen.cpu("settle", alone, "loop")
		tell("consumer_"+kind.name, inBatch-loop/batchMost, "settle, the loop")
		tell("consumer_beside_"+kind.name, seen.cpu("settle", ours, "consumer")-inBatch, "settle, what the loop does not do")
		tell("postgres_"+kind.name, seen.cpu("settle", ours, "postgres")-rows/batchMost, "settle")
		tell("redis_"+kind.name, seen.cpu("consumers", "1 consumer, "+kind.of, "redis"), "consumers")
	}
	for _, process := range []string{"consumer", "postgres", "redis"} {
		tell(process+"_sale", seen.bySales(process), "sales")
	}
	tell("memory_queued", seen.figure("memory", "queued"), "memory")
	tell("memory_decided", seen.figure("memory", "confirmed, all in all"), "memory")
	tell("memory_rejected", seen.figure("memory", "rejected"), "memory")
	tell("disk_won", seen.figure("memory", "Postgres, confirmed"), "memory")
	tell("disk_lost", seen.figure("memory", "Postgres, rejected"), "memory")
	tell("wal_won", seen.value("history", "10,000,000 old receipts", "WAL B"), "history")
	load := seen.fitting()
	if len(seen.missing) > 0 {
		return nil, fmt.Errorf("the benchmarks do not tell %q", seen.missing)
	}
	c.fit(load)
	for _, known := range costNames {
		cost, ok := c[known.name]
		if !ok {
			return nil, fmt.Errorf("nothing tells %s", known.name)
		}
		cost.Unit, cost.From = known.unit, "benchmarks: "+cost.From
		c[known.name] = cost
	}
	return c, nil
}

// Over is c, but for what a file says: a JSON object of names and numbers.
func (c Costs) Over(file io.Reader, from string) (Costs, error) {
	var other map[string]float64
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), &other); err != nil {
		return nil, fmt.Errorf("costs must be a JSON object of names and numbers: %w", err)
	}
	all := maps.Clone(c)
	for _, name := range slices.Sorted(maps.Keys(other)) {
		cost, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("there is no cost %q; there are %q", name, slices.Sorted(maps.Keys(c)))
		}
		if other[name] < 0 {
			return nil, fmt.Errorf("%s must not be negative, is %v", name, other[name])
		}
		cost.Value, cost.From = other[name], from
		all[name] = cost
	}
	return all, nil
}
