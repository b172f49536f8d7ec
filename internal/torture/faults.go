package torture

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The kinds of faults.
const (
	killProcess   = "kill_process"   // SIGKILL of a worker, started again after a while
	pauseProcess  = "pause_process"  // SIGSTOP, SIGCONT after a while: shorter and longer than a lease
	killRedis     = "kill_redis"     // SIGKILL, started again on its data after a while
	killPostgres  = "kill_postgres"  // the same
	pauseRedis    = "pause_redis"    // SIGSTOP, SIGCONT
	pausePostgres = "pause_postgres" // the same, of all its processes
	slowLink      = "slow_link"      // what goes through a link comes late, each piece by another while
	trickleLink   = "trickle_link"   // it comes in little pieces
	resetLink     = "reset_link"     // its connections are cut off, those that are and those that come
	blackhole     = "blackhole"      // it swallows everything, shorter and longer than a lease
	emptyRedis    = "empty_redis"    // FLUSHALL; only a Redis that is to forget

	// Of a cluster instead of one Redis.
	cutMaster   = "cut_master"   // a blackhole between one worker and one master, one way or both
	killMaster  = "kill_master"  // SIGKILL; its replica takes over, unless it is back before
	killReplica = "kill_replica" // SIGKILL
	lateMaster  = "late_master"  // SIGKILL of a master whose replica had been stopped, and takes over when it goes on
	loseMaster  = "lose_master"  // the same while Postgres stands still, too: what it takes in meanwhile is lost
	pauseMaster = "pause_master" // SIGSTOP, for longer than the others wait: it comes back believing
	promote     = "promote"      // a planned failover
	moveSlot    = "move_slot"    // of a partition of which something is asked, key by key, and back
	killShard   = "kill_shard"   // SIGKILL of a master and its replica
)

// kindsOfFaults, and how many of a hundred are of each.
var kindsOfFaults = []kindOfFault{
	{killProcess, 22}, {pauseProcess, 16}, {killRedis, 8}, {killPostgres, 9}, {pauseRedis, 5}, {pausePostgres, 5},
	{slowLink, 11}, {trickleLink, 6}, {resetLink, 9}, {blackhole, 9},
}

// forgettings come on top when Redis is to forget.
var forgettings = []kindOfFault{{emptyRedis, 8}}

// linesOfCluster come instead of those of the one Redis.
var linesOfCluster = []kindOfFault{{cutMaster, 9}}

// ordealsOfCluster befall its nodes, one after another.
var ordealsOfCluster = []string{killMaster, killReplica, lateMaster, loseMaster, pauseMaster, promote, moveSlot, killShard}

// kinds are those of faults that come at any time, many at once.
func (o Options) kinds() []kindOfFault {
	switch {
	case o.Forgetful:
		return slices.Concat(kindsOfFaults, forgettings)
	case o.Cluster:
		all := slices.DeleteFunc(slices.Clone(kindsOfFaults), func(k kindOfFault) bool { return k.name == killRedis || k.name == pauseRedis })
		return append(all, linesOfCluster...)
	}
	return kindsOfFaults
}

type kindOfFault struct {
	name string
	of   int
}

// Bounds of the dice.
const (
	firstFault             = time.Second
	gapLeast, gapMost      = 300 * time.Millisecond, 2500 * time.Millisecond
	restLeast, restMost    = 100 * time.Millisecond, 2500 * time.Millisecond
	pauseLeast, pauseMost  = 500 * time.Millisecond, 6 * time.Second // a lease lasts 3 s
	serverPauseMost        = 4 * time.Second                         // nothing goes on meanwhile
	slowLeast, slowMost    = 20, 400                                 // ms, one way
	pieceLeast, pieceMost  = 32, 512                                 // bytes
	breather               = time.Second                             // between two ordeals of a cluster
	resetMost              = 200                                     // ms, from the first bytes to the cut
	patienceWithOneRestart = time.Minute
	patienceWithOneOrdeal  = 2 * time.Minute // to be healed, that is
)

// fault is one thing that will be done.
type fault struct {
	at     time.Duration // since the traffic began
	kind   string
	target int           // which worker, or which link
	lasts  time.Duration // until it is started again, or goes on
	toxics []toxic       // of a link
}

// plan throws the dice for all faults at once: it depends on the seed, the length and
// the kinds. The first are one of each kind, so that no run is without.
func plan(seed uint64, length time.Duration, kinds []kindOfFault) (faults []fault) {
	in := 0
	for _, kind := range kinds {
		in += kind.of
	}
	dice := rand.New(rand.NewPCG(seed, 1))
	first := dice.Perm(len(kinds))
	hurry := min(gapMost, length/time.Duration(len(first)+1))
	for at := firstFault; at < length; {
		f := fault{at: at, target: dice.IntN(1 << 20), lasts: between(dice, restLeast, restMost)}
		thrown := dice.IntN(in)
		if n := len(faults); n < len(first) {
			f.kind = kinds[first[n]].name
			at += between(dice, min(gapLeast, hurry), hurry)
		} else {
			for _, kind := range kinds {
				if f.kind = kind.name; thrown < kind.of {
					break
				}
				thrown -= kind.of
			}
			at += between(dice, gapLeast, gapMost)
		}
		switch f.kind {
		case pauseProcess, slowLink, trickleLink, blackhole, cutMaster:
			f.lasts = between(dice, pauseLeast, pauseMost)
		case pauseRedis, pausePostgres:
			f.lasts = between(dice, pauseLeast, serverPauseMost)
		}
		f.toxics = toxicsOf(dice, f.kind)
		faults = append(faults, f)
	}
	return faults
}

// ordeals throws the dice for what befalls the nodes of a cluster: each kind once, then
// each once more in another order, and so on, and never the same shard twice running, or
// everybody ends up waiting for it. Whichever comes while the one before goes on waits for
// its turn; those whose turn does not come within the length are left out.
func ordeals(seed uint64, length time.Duration) (faults []fault) {
	dice := rand.New(rand.NewPCG(seed, 6))
	shard := dice.IntN(masters)
	for at := firstFault; at < length; {
		for _, i := range dice.Perm(len(ordealsOfCluster)) {
			shard = (shard + 1 + dice.IntN(masters-1)) % masters
			f := fault{at: at, kind: ordealsOfCluster[i], target: shard + masters*dice.IntN(1<<20)}
			switch f.kind {
			case pauseMaster:
				f.lasts = between(dice, nodeTimeout, pauseMost)
			case killShard:
				f.lasts = between(dice, pauseMost/2, pauseMost)
			case killMaster: // some are back before anybody takes over
				f.lasts = between(dice, restLeast, pauseMost)
			case loseMaster:
				f.lasts = between(dice, pauseLeast, serverPauseMost/2)
			default:
				f.lasts = between(dice, restLeast, pauseMost/2)
			}
			faults = append(faults, f)
			at += between(dice, gapLeast, gapMost)
		}
	}
	return faults
}

// toxicsOf throws the dice for what befalls a link; nothing for any other fault. What
// is swallowed one way only is the meaner: it is done, and nobody is told.
func toxicsOf(dice *rand.Rand, kind string) (toxics []toxic) {
	ways := [][]string{{"upstream", "downstream"}, {"upstream"}, {"downstream"}}[dice.IntN(3)]
	var of string
	var attributes map[string]int64
	switch kind {
	case slowLink:
		of, ways = "latency", []string{"upstream", "downstream"}
		by := slowLeast + dice.Int64N(slowMost-slowLeast+1)
		attributes = map[string]int64{"latency": by, "jitter": by / 2}
	case trickleLink:
		size := pieceLeast + dice.Int64N(pieceMost-pieceLeast+1)
		of, attributes = "slicer", map[string]int64{"average_size": size, "size_variation": size / 2, "delay": 500 + dice.Int64N(5000)} // µs
	case resetLink:
		of, attributes = "reset_peer", map[string]int64{"timeout": dice.Int64N(resetMost + 1)}
	case blackhole, cutMaster:
		of, attributes = "timeout", map[string]int64{"timeout": 0} // it swallows until it is healed
	default:
		return nil
	}
	for _, way := range ways {
		toxics = append(toxics, toxic{Type: of, Stream: way, Name: kind + "_" + way, Attributes: attributes})
	}
	return toxics
}

// between is a time from least to most, all alike.
func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)+1))
}

// struck counts the faults that were done.
type struck struct {
	mu      sync.Mutex
	done    map[string]int
	skipped int   // their target was down already
	err     error // the first: something did not come back
}

// count counts a fault as done, or as skipped; err says that it left something broken.
func (s *struck) count(kind string, done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.err = cmp.Or(s.err, fmt.Errorf("%s: %w", kind, err))
	case done:
		s.done[kind]++
	default:
		s.skipped++
	}
}

func (s *struck) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.done {
		n += m
	}
	return n
}

// strike does the faults at their times and returns when all are healed again: who
// was killed is up, who was paused goes on, and the links are as new. When ctx ends it
// begins no more.
func (h *house) strike(ctx context.Context, faults []fault) error {
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	var all sync.WaitGroup
	for _, f := range faults {
		if wait(ctx, time.Until(h.began.Add(f.at))) != nil {
			break
		}
		all.Go(func() { h.inflict(f) })
	}
	all.Wait()
	h.struck.mu.Lock()
	defer h.struck.mu.Unlock()
	return h.struck.err
}

// inflict does a fault, and heals it after its time.
func (h *house) inflict(f fault) {
	last := func() { time.Sleep(f.lasts) }
	worker := h.fleet.workers[f.target%len(h.fleet.workers)]
	switch f.kind {
	case killProcess:
		done := worker.kill(f.lasts)
		h.struck.count(f.kind, done, nil)
		if done {
			last()
		}
	case pauseProcess:
		goOn := worker.pause()
		h.struck.count(f.kind, goOn != nil, nil)
		if goOn != nil {
			last()
			goOn()
		}
	case killRedis:
		h.strikeServer(f, h.servers.crashRedis)
	case killPostgres:
		h.strikeServer(f, h.servers.crashPostgres)
	case pauseRedis:
		h.strikeServer(f, h.servers.pauseRedis)
	case pausePostgres:
		h.strikeServer(f, h.servers.pausePostgres)
	case emptyRedis:
		h.strikeServer(f, h.servers.emptyRedis)
	case killMaster, killReplica, lateMaster, loseMaster, pauseMaster, promote, moveSlot, killShard:
		h.strikeCluster(f)
	default:
		lines := h.lines(f.kind == cutMaster)
		done, err := lines[f.target%len(lines)].suffer(f.toxics, last)
		h.struck.count(f.kind, done, err)
	}
}

// lines are the links over which anything goes; or only those to the masters of a
// cluster.
func (h *house) lines(toMasters bool) (all []*link) {
	leads := map[int]bool{-1: !toMasters}
	if c := h.servers.cluster; c != nil {
		for shard := range masters {
			master, _ := c.witness.roles(shard)
			leads[master] = true
		}
	}
	for _, l := range h.links.all {
		if leads[l.node] {
			all = append(all, l)
		}
	}
	return all
}

// strikeServer does not end with ctx: what was killed must come back.
func (h *house) strikeServer(f fault, strike func(context.Context, func()) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patienceWithOneRestart)
	defer cancel()
	err := h.fleet.servers.during(func() error {
		return strike(ctx, func() { time.Sleep(f.lasts) })
	})
	h.struck.count(f.kind, true, err)
}

// strikeCluster does not end with ctx either, but begins nothing once the traffic is over.
func (h *house) strikeCluster(f fault) {
	c := h.servers.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(h.began) > h.Length {
		return
	}
	if f.kind == killShard { // that others are served meanwhile must hang on nothing but that
		h.servers.postgresMu.Lock()
		defer h.servers.postgresMu.Unlock()
	}
	strike, target := map[string]func(context.Context, int, func()) error{
		killMaster: c.kill, killReplica: c.killReplica, lateMaster: c.late, pauseMaster: c.pause,
		promote: c.promote, moveSlot: c.move, killShard: c.killShard,
		loseMaster: func(ctx context.Context, shard int, meanwhile func()) error {
			return c.lateDuring(ctx, shard, func(kill func()) error {
				return h.servers.pausePostgres(ctx, func() { meanwhile(); kill() })
			})
		},
	}[f.kind], f.target%masters
	if f.kind == moveSlot {
		asked := h.asked()
		target = asked[f.target%len(asked)]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patienceWithOneOrdeal)
	defer cancel()
	err := h.fleet.servers.during(func() error {
		return strike(ctx, target, func() { time.Sleep(f.lasts) })
	})
	h.struck.count(f.kind, true, err)
	time.Sleep(breather)
}
