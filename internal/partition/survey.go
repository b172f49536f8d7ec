package partition

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisurl"
	"sluice/internal/sale"
)

// Survey is how Redis and every partition in it are, for those who watch over them.
type Survey struct {
	Partitions []Condition // by number
	Server     Server

	Mode             redisurl.Mode
	Masters, Reached int   // servers that have slots, and those that answered: of one server, 1
	Slots            int64 // whose server the cluster thinks well; one server has all
}

// Condition is how one partition is.
type Condition struct {
	Known      bool          // its server has answered: else there is nothing to be said
	Depth      int64         // requests admitted and not applied
	Oldest     time.Duration // age of the oldest of them by Redis' clock; 0: there is none
	Generation int64         // 0: Redis has no data of it
	Held       bool          // somebody has the lease
	Owner      string        // who that is
	Loading    bool          // Admit answers loading
	Dead       int64         // dead letters
}

// Server is what a Redis says of itself. A number is -1 when this one does not tell. Of a
// cluster, whose masters are watched as one, it is the memory of the fullest, each flag when
// all have it, the least replicas that one has, and the sum of the rest.
type Server struct {
	Memory, MemoryMax int64 // bytes; a limit of 0 is none
	NoEviction        int64 // 1: what it holds is never thrown away for want of memory
	AOF               int64 // 1: it writes what it is told into a file
	AOFOK, RDBOK      int64 // 1: the last time that it wrote, or saved, went well, or there was none
	Replicas          int64 // that are connected
	Evicted           int64 // keys thrown away for want of memory since it started
	Clients           int64 // connections
}

// Survey asks for all of that in one round trip to each server. It is never retried: who
// watches asks again soon anyway. A server that does not answer leaves its partitions unknown;
// none is an error.
func (s *Store) Survey(ctx context.Context) (Survey, error) {
	found, err := s.survey(ctx)
	if err != nil {
		return Survey{}, fmt.Errorf("survey Redis: %w", err)
	}
	return found, nil
}

// surveyPatience is how long is waited for one server of a cluster: those who are asked for
// this are in no hurry.
const surveyPatience = time.Second

func (s *Store) survey(ctx context.Context) (found Survey, err error) {
	found = Survey{Partitions: make([]Condition, s.n), Mode: s.mode, Masters: 1, Slots: slots}
	of := map[string][]int{}
	ask := func(ctx context.Context, c *redis.Client, partitions []int) (surveyed, error) {
		return survey(ctx, c, partitions)
	}
	var answers []answer[surveyed]
	if s.topology == nil {
		answers = byNode(ctx, s.owners, s.all(), surveyPatience, ask)
	} else {
		var masters []string
		masters, found.Slots = s.topology.nodes()
		for _, addr := range masters { // one without a partition may be full, too
			of[addr] = nil
		}
		for _, p := range s.all() {
			if addr := s.topology.master(keySlot(slot(p))); addr != "" {
				of[addr] = append(of[addr], p)
			}
		}
		found.Masters = len(of)
		answers = eachOf(ctx, s.owners, of, surveyPatience, ask)
	}
	for _, a := range answers {
		if a.err != nil {
			err = a.err
			continue
		}
		for i, p := range a.partitions {
			found.Partitions[p] = a.value.conditions[i]
		}
		if found.Reached++; found.Reached == 1 {
			found.Server = a.value.server
		} else {
			found.Server = found.Server.and(a.value.server)
		}
	}
	if found.Reached == 0 {
		return Survey{}, err
	}
	return found, nil
}

// surveyed is what one server says of itself and of its partitions.
type surveyed struct {
	conditions []Condition
	server     Server
}

// survey asks of each partition three things, which cost an idle server little; only of
// what is queued how old it is, in a second round trip: an entry that is settled in
// between makes the next one the oldest.
func survey(ctx context.Context, c *redis.Client, partitions []int) (found surveyed, err error) {
	hashes, owner, dead := make([]*redis.SliceCmd, len(partitions)), make([]*redis.SliceCmd, len(partitions)), make([]*redis.IntCmd, len(partitions))
	var info *redis.StringCmd
	if _, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, p := range partitions {
			hashes[i] = pipe.HMGet(ctx, slot(p), "seq", "applied", "applied_seq", "generation", "run")
			owner[i], dead[i] = pipe.MGet(ctx, leaseKey(p)), pipe.XLen(ctx, deadKey(p)) // of one key, since it is no error when nobody has it
		}
		info = pipe.Info(ctx)
		return nil
	}); err != nil && !elsewhere(err) {
		return found, err
	}
	run := infoFields(info.Val())["run_id"]
	found.conditions = make([]Condition, len(partitions))
	queued := map[int]sale.EntryID{} // behind these entries
	for i := range partitions {
		if hashes[i].Err() != nil || owner[i].Err() != nil || dead[i].Err() != nil { // its slot is on its way
			continue
		}
		c, applied, err := parseCondition(hashes[i].Val(), run)
		if err != nil {
			return found, err
		}
		c.Known, c.Dead = true, dead[i].Val()
		if holder := owner[i].Val(); len(holder) == 1 && holder[0] != nil {
			c.Held, c.Owner = true, text(holder[0])
		}
		if found.conditions[i] = c; c.Depth > 0 {
			queued[i] = applied
		}
	}
	found.server = parseServer(info.Val())
	return found, ages(ctx, c, partitions, found.conditions, queued)
}

// elsewhere says whether err is of a slot that another server has, or gets.
func elsewhere(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || redis.IsTryAgainError(err)
}

// ages adds how old the oldest entry is behind each of those, by the clock of the server.
func ages(ctx context.Context, c *redis.Client, partitions []int, conditions []Condition, queued map[int]sale.EntryID) error {
	if len(queued) == 0 {
		return nil
	}
	oldest := make(map[int]*redis.XMessageSliceCmd, len(queued))
	var clock *redis.TimeCmd
	if _, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, applied := range queued {
			oldest[i] = pipe.XRangeN(ctx, streamKey(partitions[i]), "("+applied.String(), "+", 1)
		}
		clock = pipe.Time(ctx)
		return nil
	}); err != nil && !elsewhere(err) {
		return err
	}
	for i, found := range oldest {
		for _, m := range found.Val() {
			id, err := sale.ParseEntryID(m.ID)
			if err != nil {
				return err
			}
			// Stream time may be ahead of the clock, but no request is younger than nothing.
			conditions[i].Oldest = max(clock.Val().Sub(id.At.Time()).Truncate(time.Millisecond), 0)
		}
	}
	return nil
}

// and is what is to be watched of two servers.
func (s Server) and(other Server) Server {
	least := func(a, b int64) int64 { // of those that tell
		if a < 0 || b >= 0 && b < a {
			return b
		}
		return a
	}
	sum := func(a, b int64) int64 {
		if a < 0 || b < 0 {
			return max(a, b)
		}
		return a + b
	}
	all := Server{
		Memory: s.Memory, MemoryMax: s.MemoryMax,
		NoEviction: least(s.NoEviction, other.NoEviction), AOF: least(s.AOF, other.AOF), AOFOK: least(s.AOFOK, other.AOFOK),
		RDBOK: least(s.RDBOK, other.RDBOK), Replicas: least(s.Replicas, other.Replicas),
		Evicted: sum(s.Evicted, other.Evicted), Clients: sum(s.Clients, other.Clients),
	}
	if other.fuller(s) {
		all.Memory, all.MemoryMax = other.Memory, other.MemoryMax
	}
	return all
}

// fuller says whether s is nearer to its limit than other; one that has a limit goes before
// one that has none.
func (s Server) fuller(other Server) bool {
	switch {
	case s.MemoryMax > 0 && other.MemoryMax > 0:
		return float64(s.Memory)/float64(s.MemoryMax) > float64(other.Memory)/float64(other.MemoryMax)
	case s.MemoryMax > 0 || other.MemoryMax > 0:
		return s.MemoryMax > 0
	}
	return s.Memory > other.Memory
}

// parseCondition reads what the hash of a partition says: seq, applied, applied_seq,
// generation, run. The last is the server that its owner trusts, where one tells: another
// one's data nobody may be told of.
func parseCondition(words []any, run string) (c Condition, applied sale.EntryID, err error) {
	if len(words) != 5 {
		return c, applied, unknown("HMGET", words)
	}
	var numbers [4]int64
	for _, i := range []int{0, 2, 3} {
		n, ok := count(words[i])
		if !ok || n < 0 {
			return c, applied, unknown("HMGET", words)
		}
		numbers[i] = n
	}
	if words[1] != nil {
		if applied, err = sale.ParseEntryID(text(words[1])); err != nil {
			return c, applied, err
		}
	}
	c.Depth, c.Generation = max(numbers[0]-numbers[2], 0), numbers[3]
	c.Loading = words[3] == nil || words[4] != nil && text(words[4]) != run
	return c, applied, nil
}

// parseServer reads what INFO answers.
func parseServer(info string) Server {
	fields := infoFields(info)
	number := func(name string) int64 {
		n, err := strconv.ParseInt(fields[name], 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	is := func(word string, names ...string) int64 {
		for _, name := range names {
			switch fields[name] {
			case "":
				return -1
			case word:
			default:
				return 0
			}
		}
		return 1
	}
	return Server{
		Memory: number("used_memory"), MemoryMax: number("maxmemory"), NoEviction: is("noeviction", "maxmemory_policy"),
		AOF: number("aof_enabled"), AOFOK: is("ok", "aof_last_write_status", "aof_last_bgrewrite_status"), RDBOK: is("ok", "rdb_last_bgsave_status"),
		Replicas: number("connected_slaves"), Evicted: number("evicted_keys"), Clients: number("connected_clients"),
	}
}

// infoFields are the lines of INFO.
func infoFields(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
