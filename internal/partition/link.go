package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisurl"
)

// link is the connections that serve one purpose: to the one server, or to every node of a
// cluster. A command goes to the server that has the slot of its key, and follows where that
// has gone:
//
//	do ──▶ node ──▶ answer
//	        │ MOVED: the slot is there for good, and the topology notes it
//	        │ ASK:   this key is there already, while its slot moves
//	        └──────▶ node ──▶ answer
//
// Nothing is asked twice otherwise: who asks has retries of his own. A node that does not
// answer in time is left alone for a moment, so that those who have to do with many
// partitions wait for it once, and not once for each of its own.
type link struct {
	conns *conns
	piped bool // many callers do share round trips
}

// conns are connections for one purpose.
type conns struct {
	topology *topology // nil: there is one server
	one      *node     // it
	connect  func(addr string) *redis.Client
	pipes    bool // many callers may share round trips

	mu     sync.Mutex
	nodes  map[string]*node
	closed bool
}

// node is the connections to one server.
type node struct {
	*redis.Client
	piped *redis.AutoPipeliner
	away  atomic.Int64 // until when it is left alone, in ns
}

const (
	hopsMost = 5                      // redirections of one command
	awayFor  = 500 * time.Millisecond // that a node is left alone which did not answer in time
)

// Why nothing was asked at all.
var (
	errNobody = errors.New("no server of the cluster is known to have the slot")
	errAway   = errors.New("the server did not answer a moment ago")
)

// newLink opens a link to target, over topology where that is a cluster.
func newLink(target *redisurl.Target, topology *topology, hooks []redis.Hook, pipes bool, tune func(*redis.UniversalOptions)) (*link, error) {
	hooked := func(c *redis.Client) *redis.Client {
		for _, hook := range hooks {
			c.AddHook(hook)
		}
		return c
	}
	c := &conns{topology: topology, pipes: pipes, nodes: map[string]*node{}}
	if topology == nil {
		var err error
		c.one, err = c.newNode(hooked(target.Client(tune).(*redis.Client)))
		return &link{conns: c}, err
	}
	c.connect = func(addr string) *redis.Client { return hooked(target.Node(addr, tune)) }
	topology.whenGone(c.drop)
	return &link{conns: c}, nil
}

func (c *conns) newNode(to *redis.Client) (n *node, err error) {
	n = &node{Client: to}
	if c.pipes {
		if n.piped, err = to.AutoPipeline(); err != nil {
			return nil, errors.Join(fmt.Errorf("pipeline to Redis: %w", err), to.Close())
		}
	}
	return n, nil
}

// pipelined is the same connections, over which many callers share round trips.
func (l *link) pipelined() *link { return &link{l.conns, true} }

// do asks cmd, whose first key is key. Its error is cmd's own, too.
func (l *link) do(ctx context.Context, key string, cmd redis.Cmder) error {
	if one := l.conns.one; one != nil {
		return l.ask(ctx, one, cmd)
	}
	slot := keySlot(key)
	addr, asking := l.conns.topology.master(slot), false
	for hop := 0; ; hop++ {
		n, err := l.conns.at(addr)
		if err != nil {
			cmd.SetErr(err)
			return err
		}
		switch {
		case time.Now().UnixNano() < n.away.Load():
			cmd.SetErr(errAway)
			return errAway
		case asking:
			err = n.asking(ctx, cmd)
		default:
			err = l.ask(ctx, n, cmd)
		}
		l.conns.heard(n, err)
		to, moved, ask := redirected(err, addr)
		if !moved && !ask || hop == hopsMost {
			return err
		}
		if moved {
			l.conns.topology.moved(slot, to)
		}
		addr, asking = to, ask
	}
}

func (l *link) ask(ctx context.Context, n *node, cmd redis.Cmder) error {
	if l.piped {
		return n.piped.Process(ctx, cmd)
	}
	return n.Process(ctx, cmd)
}

// asking asks a node for a key whose slot is on its way to it.
func (n *node) asking(ctx context.Context, cmd redis.Cmder) error {
	_, err := n.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Do(ctx, "asking")
		return pipe.Process(ctx, cmd)
	})
	if err != nil && cmd.Err() == nil {
		cmd.SetErr(err)
	}
	return cmd.Err()
}

// redirected reads where the server at addr sends who has asked it.
func redirected(err error, addr string) (to string, moved, ask bool) {
	if err == nil {
		return "", false, false
	}
	if to, moved = redis.IsMovedError(err); !moved {
		to, ask = redis.IsAskError(err)
	}
	return reachable(to, addr), moved, ask
}

// at is the node at addr.
func (c *conns) at(addr string) (*node, error) {
	if addr == "" {
		c.topology.hint()
		return nil, errNobody
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, redis.ErrClosed
	}
	n := c.nodes[addr]
	if n == nil {
		var err error
		if n, err = c.newNode(c.connect(addr)); err != nil {
			return nil, err
		}
		c.nodes[addr] = n
	}
	return n, nil
}

// heard notes how a node has answered.
func (c *conns) heard(n *node, err error) {
	refused := redis.Error(nil)
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
	case errors.As(err, &refused):
		if passes(err) { // somebody else may have the slot by now
			c.topology.hint()
		}
	default:
		c.topology.hint()
		if late := (interface{ Timeout() bool })(nil); errors.As(err, &late) && late.Timeout() {
			n.away.Store(time.Now().Add(awayFor).UnixNano())
		}
	}
}

// drop closes the connections to nodes that are gone.
func (c *conns) drop(gone func(addr string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for addr, n := range c.nodes {
		if gone(addr) {
			_ = n.Close()
			delete(c.nodes, addr)
		}
	}
}

// all are the nodes that there are connections to.
func (c *conns) all() []*node {
	if c.one != nil {
		return []*node{c.one}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*node, 0, len(c.nodes))
	for _, n := range c.nodes {
		all = append(all, n)
	}
	return all
}

// close ends them.
func (c *conns) close() (err error) {
	for _, n := range c.all() {
		err = errors.Join(err, n.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.nodes = true, nil
	return err
}

// answer is what the server of some partitions has said of them.
type answer[T any] struct {
	addr       string // "" of the one server
	partitions []int
	value      T
	err        error
}

// byNode asks for all these partitions at once: each server for those it has, side by side,
// and waits for nobody longer than patience. Nobody is redirected: whose slot is on its way
// gives no answer. The one server of a store that is no cluster is waited for as long as its
// connections have time.
func byNode[T any](ctx context.Context, l *link, partitions []int, patience time.Duration, ask func(context.Context, *redis.Client, []int) (T, error)) []answer[T] {
	if one := l.conns.one; one != nil {
		value, err := ask(ctx, one.Client, partitions)
		return []answer[T]{{"", partitions, value, err}}
	}
	of := map[string][]int{}
	for _, p := range partitions {
		addr := l.conns.topology.master(keySlot(slot(p)))
		of[addr] = append(of[addr], p)
	}
	return eachOf(ctx, l, of, patience, ask)
}

// eachOf asks the servers at these addresses, each for its partitions. Who is late keeps his
// connection until he gives up by himself.
func eachOf[T any](ctx context.Context, l *link, of map[string][]int, patience time.Duration, ask func(context.Context, *redis.Client, []int) (T, error)) []answer[T] {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel() // not when all have been asked: their answers would look late
	answers := make(chan answer[T], len(of))
	for addr, partitions := range of {
		go func() {
			a := answer[T]{addr: addr, partitions: partitions}
			var n *node
			if n, a.err = l.conns.at(addr); a.err == nil {
				a.value, a.err = ask(ctx, n.Client, partitions)
				l.conns.heard(n, a.err)
			}
			answers <- a
		}()
	}
	all := make([]answer[T], 0, len(of))
	heard := map[string]bool{}
	for late := false; len(all) < len(of) && !late; {
		select {
		case a := <-answers:
			all, heard[a.addr] = append(all, a), true
		case <-ctx.Done():
			late = true
		}
	}
	for addr, partitions := range of {
		if !heard[addr] {
			all = append(all, answer[T]{addr: addr, partitions: partitions, err: errAway})
		}
	}
	return all
}

// eachServer asks the one server, or all of a cluster that have slots, side by side.
func eachServer[T any](ctx context.Context, l *link, patience time.Duration, ask func(context.Context, *redis.Client, []int) (T, error)) []answer[T] {
	if l.conns.topology == nil {
		return byNode(ctx, l, nil, patience, ask)
	}
	of := map[string][]int{}
	masters, _ := l.conns.topology.nodes()
	for _, addr := range masters {
		of[addr] = nil
	}
	return eachOf(ctx, l, of, patience, ask)
}
