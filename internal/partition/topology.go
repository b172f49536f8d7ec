package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisurl"
)

// How often the nodes of a cluster are asked which of them has which slots: now and then,
// and soon when somebody has met one that does not answer, or not as it should. MOVED tells
// the rest.
const (
	topologyEvery = 5 * time.Second
	topologySoon  = 100 * time.Millisecond

	// Every node is asked, and whoever has answered by then is believed: a node that hangs
	// must not keep what the others know.
	topologyPatience = 300 * time.Millisecond
	topologyTimeout  = time.Second // of one node
)

// topology knows which server of a cluster has which slot. All links of a store share one.
//
// Nodes may disagree for a while: one that is cut off from the others still has what they
// have given to its replica. So all are asked, and the one is believed that thinks the
// cluster well and has seen the latest epoch.
type topology struct {
	target *redisurl.Target

	mu      sync.RWMutex
	of      [slots]uint16 // 1 + the place in masters; 0: nobody
	masters []string      // addresses; those that have slots
	others  []string      // replicas
	epoch   int64         // of the view that this is from
	served  int64         // slots whose server the cluster thinks well

	asking map[string]*redis.Client // only of whoever loads, one at a time
	soon   chan struct{}
	stop   context.CancelFunc
	done   sync.WaitGroup
	drop   []func(gone func(addr string) bool)
}

// newTopology asks a cluster for the first time. One of whose nodes none answers is an
// error.
func newTopology(ctx context.Context, target *redisurl.Target) (*topology, error) {
	t := &topology{target: target, asking: map[string]*redis.Client{}, soon: make(chan struct{}, 1)}
	if err := t.load(ctx); err != nil {
		t.hangUp(func(string) bool { return true })
		return nil, err
	}
	var keep context.Context
	keep, t.stop = context.WithCancel(context.Background())
	t.done.Go(func() { t.keep(keep) })
	return t, nil
}

// keep asks again and again until ctx ends.
func (t *topology) keep(ctx context.Context) {
	defer t.hangUp(func(string) bool { return true })
	for {
		timer := time.NewTimer(topologyEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-t.soon:
		case <-timer.C:
		}
		timer.Stop()
		_ = t.load(ctx) // what was known stands until somebody knows better
		select {
		case <-ctx.Done():
			return
		case <-time.After(topologySoon):
		}
	}
}

// whenGone has drop called with what says of an address whether its server is gone.
func (t *topology) whenGone(drop func(gone func(addr string) bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop = append(t.drop, drop)
}

// hint says that what is known may be old.
func (t *topology) hint() {
	select {
	case t.soon <- struct{}{}:
	default: // somebody has said it
	}
}

// close ends the asking.
func (t *topology) close() {
	t.stop()
	t.done.Wait()
}

// master is the address of the server that has a slot; "" when nobody is known to.
func (t *topology) master(slot int) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if i := t.of[slot]; i > 0 {
		return t.masters[i-1]
	}
	return ""
}

// moved notes what a server has said of one slot.
func (t *topology) moved(slot int, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.masters, to)
	if i < 0 {
		t.masters = append(slices.Clip(t.masters), to)
		i = len(t.masters) - 1
	}
	t.of[slot] = uint16(i + 1)
	t.hint()
}

// nodes are the addresses of all servers that have slots, and how many slots the cluster
// thinks well.
func (t *topology) nodes() (masters []string, served int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	used := make([]bool, len(t.masters))
	for _, i := range t.of {
		if i > 0 {
			used[i-1] = true
		}
	}
	for i, addr := range t.masters {
		if used[i] {
			masters = append(masters, addr)
		}
	}
	return masters, t.served
}

// view is what one node says of its cluster.
type view struct {
	slots         []redis.ClusterSlot
	well          bool
	epoch, served int64
	fault         error
}

// better says whether v is rather to be believed than w.
func (v view) better(w view) int {
	truth := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(truth(v.fault == nil), truth(w.fault == nil)), cmp.Compare(truth(v.well), truth(w.well)),
		cmp.Compare(v.epoch, w.epoch), cmp.Compare(v.served, w.served))
}

// load asks all nodes that are known, and takes the best of what they say.
func (t *topology) load(ctx context.Context) error {
	t.mu.RLock()
	known := slices.Concat(t.masters, t.others, t.target.Addrs)
	t.mu.RUnlock()
	slices.Sort(known)
	known = slices.Compact(known)
	answers := make(chan view, len(known))
	for _, addr := range known {
		c := t.asking[addr]
		if c == nil {
			c = t.target.Node(addr, func(r *redis.UniversalOptions) {
				r.DialTimeout, r.ReadTimeout, r.WriteTimeout = topologyTimeout, topologyTimeout, topologyTimeout
				r.DialerRetries, r.MaxRetries, r.PoolSize = 1, -1, 2
			})
			t.asking[addr] = c
		}
		go func() { answers <- ask(ctx, c, addr) }()
	}
	best := view{fault: errors.New("no node has answered")}
	patience := time.NewTimer(topologyPatience)
	defer patience.Stop()
	for waiting, late := len(known), false; waiting > 0 && !(late && best.fault == nil); {
		select {
		case v := <-answers:
			if waiting--; v.better(best) > 0 || best.fault != nil && v.fault != nil {
				best = v
			}
		case <-patience.C:
			late = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if best.fault != nil {
		return fmt.Errorf("ask the nodes of the cluster: %w", best.fault)
	}
	return t.take(best)
}

// ask asks one node.
func ask(ctx context.Context, c *redis.Client, addr string) (v view) {
	var found *redis.ClusterSlotsCmd
	var info *redis.StringCmd
	if _, v.fault = c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		found, info = pipe.ClusterSlots(ctx), pipe.ClusterInfo(ctx)
		return nil
	}); v.fault != nil {
		return v
	}
	v.slots = found.Val()
	for i := range v.slots {
		for j := range v.slots[i].Nodes {
			v.slots[i].Nodes[j].Addr = reachable(v.slots[i].Nodes[j].Addr, addr)
		}
	}
	words := infoFields(info.Val())
	v.well = words["cluster_state"] == "ok"
	v.epoch, _ = strconv.ParseInt(words["cluster_current_epoch"], 10, 64)
	v.served, _ = strconv.ParseInt(words["cluster_slots_ok"], 10, 64)
	return v
}

// reachable is the address of a node as another one gives it, who may not know the host
// that it is reached at itself, nor a port that is for TLS only: then they are its own.
func reachable(addr, own string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ownHost, ownPort, err := net.SplitHostPort(own)
	if err != nil {
		return addr
	}
	if host == "" || host == "?" {
		host = ownHost
	}
	if port == "0" {
		port = ownPort
	}
	return net.JoinHostPort(host, port)
}

// take makes a view what is known.
func (t *topology) take(v view) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.epoch < t.epoch && !v.well {
		return nil // those who know better do not answer now
	}
	t.epoch, t.served = v.epoch, v.served
	t.of, t.masters, t.others = [slots]uint16{}, nil, nil
	place := map[string]uint16{}
	others := map[string]bool{}
	for _, span := range v.slots {
		if len(span.Nodes) == 0 || span.Start < 0 || span.End >= slots {
			continue
		}
		addr := span.Nodes[0].Addr
		if place[addr] == 0 {
			t.masters = append(t.masters, addr)
			place[addr] = uint16(len(t.masters))
		}
		for slot := span.Start; slot <= span.End; slot++ {
			t.of[slot] = place[addr]
		}
		for _, replica := range span.Nodes[1:] {
			others[replica.Addr] = true
		}
	}
	t.others = slices.Sorted(maps.Keys(others))
	gone := func(addr string) bool {
		return place[addr] == 0 && !others[addr] && !slices.Contains(t.target.Addrs, addr)
	}
	t.hangUp(gone)
	for _, drop := range t.drop {
		drop(gone)
	}
	if len(t.masters) == 0 {
		return errors.New("the cluster has given nobody any slots")
	}
	return nil
}

// hangUp closes the connections over which nodes are asked that are gone.
func (t *topology) hangUp(gone func(addr string) bool) {
	for addr, c := range t.asking {
		if gone(addr) {
			_ = c.Close()
			delete(t.asking, addr)
		}
	}
}
