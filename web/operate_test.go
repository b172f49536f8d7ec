package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/client"
)

// TestJudge: what is wrong is said, and what is well is not.
func TestJudge(t *testing.T) {
	well := func() client.Operations {
		return client.Operations{
			Redis: &client.RedisState{Masters: 1, Reached: 1, Memory: new(int64(85)), MemoryMax: new(int64(100)), NoEviction: new(true), AOF: new(false), AOFOK: new(true), RDBOK: new(true)},
			Partitions: []client.PartitionState{
				{Known: true, Owner: "a", Generation: 1, Depth: 7, Oldest: oldestMost}, {Partition: 1, Known: true, Owner: "a", Generation: 1},
			},
			Postgres: &client.PostgresState{},
		}
	}
	for name, test := range map[string]struct {
		change func(*client.Operations)
		want   string
	}{
		"well":                  {func(*client.Operations) {}, ""},
		"no Redis":              {func(o *client.Operations) { o.Redis, o.Partitions = nil, nil }, "redis"},
		"no Postgres":           {func(o *client.Operations) { o.Postgres = nil }, "postgres"},
		"a master is away":      {func(o *client.Operations) { o.Redis.Masters = 3 }, "masters"},
		"nearly full":           {func(o *client.Operations) { *o.Redis.Memory = 86 }, "memory"},
		"full without a limit":  {func(o *client.Operations) { *o.Redis.Memory, *o.Redis.MemoryMax = 1<<40, 0 }, ""},
		"eviction":              {func(o *client.Operations) { *o.Redis.NoEviction = false }, "eviction"},
		"eviction, no limit":    {func(o *client.Operations) { *o.Redis.NoEviction, *o.Redis.MemoryMax = false, 0 }, ""},
		"both writes failed":    {func(o *client.Operations) { *o.Redis.AOFOK, *o.Redis.RDBOK = false, false }, "unsaved"},
		"Redis tells nothing":   {func(o *client.Operations) { o.Redis = &client.RedisState{Masters: 1, Reached: 1} }, ""},
		"a partition is silent": {func(o *client.Operations) { o.Partitions[1] = client.PartitionState{Partition: 1} }, "away"},
		"nobody owns one":       {func(o *client.Operations) { o.Partitions[0].Owner = "" }, "ownerless"},
		"one is loaded":         {func(o *client.Operations) { o.Partitions[1].Loading = true }, "loading"},
		"one is new":            {func(o *client.Operations) { o.Partitions[1].Generation = 0 }, ""},
		"one is late":           {func(o *client.Operations) { o.Partitions[0].Oldest++ }, "late"},
	} {
		d := desk{Operations: well()}
		test.change(&d.Operations)
		d.judgeServers()
		d.judgePartitions("en")
		var said []string
		for _, w := range d.Wrong {
			said = append(said, strings.TrimPrefix(w.Key, "operate.wrong."))
		}
		if got := strings.Join(said, " "); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestShelves: of many partitions those are shown in which something is wrong or waits.
func TestShelves(t *testing.T) {
	var d desk
	for i := range 4096 {
		d.Partitions = append(d.Partitions, client.PartitionState{Partition: i, Known: true, Owner: "a", Generation: 1})
	}
	d.Partitions[4000].Depth, d.Partitions[3000].Owner, d.Partitions[2000].DeadLetters, d.Partitions[1000].Depth = 9, "", 1, 5
	d.judgePartitions("en")
	var first []int
	for _, row := range d.Rows[:5] {
		first = append(first, row.Partition)
	}
	if want := []int{4000, 1000, 2000, 3000, 0}; !slices.Equal(first, want) || len(d.Rows) != partitionsMost || d.Hidden != 4096-partitionsMost || d.Queued != 14 {
		t.Errorf("%v of %d, %d hidden, %d queued", first, len(d.Rows), d.Hidden, d.Queued)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1,023 B", 1536: "1.5 KiB", 73400320: "70.0 MiB", 5<<40 + 1: "5,120.0 GiB"} {
		if got := strings.ReplaceAll(size(bytes), "\u00a0", " "); got != want {
			t.Errorf("%d: %s", bytes, got)
		}
	}
}

func TestAge(t *testing.T) {
	for age, want := range map[time.Duration]string{0: "–", time.Microsecond: "1 ms", 999 * time.Millisecond: "999 ms", time.Second: "1 s", 90 * time.Second: "1 min 30 s"} {
		if got := ageIn("en", age); got != want {
			t.Errorf("%s: %s", age, got)
		}
	}
}
