package partition

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisurl"
)

// errElsewhere is told once to who reads a partition, when another server has it by now: it
// may hold older data than the one that was read from before.
var errElsewhere = errors.New("another server has the partition by now")

// blocking are the connections that wait for entries. The driver does not interrupt a
// blocked read when its context ends, only when its client closes: so each read has a
// client of its own, of one connection, and who does not want the answer any more
// closes that. Those whose reads came to their end wait for the next one from that server.
type blocking struct {
	where servers

	mu     sync.Mutex
	idle   map[string][]*redis.Client // by address
	last   map[int]string             // where a partition was read last
	busy   int
	closed bool
	close  context.CancelFunc // ends the reads in hand
	open   context.Context
}

// servers say where partitions can be read.
type servers interface {
	of(ctx context.Context, p int) (addr string, err error)
	connect(addr string) *redis.Client
	fault(p int, addr string, err error) // what a read has come to
}

func newBlocking(where servers) *blocking {
	b := &blocking{where: where, idle: map[string][]*redis.Client{}, last: map[int]string{}}
	b.open, b.close = context.WithCancel(context.Background())
	return b
}

// read is one blocked read of partition p, until ctx ends or the store closes.
func (b *blocking) read(ctx context.Context, p int, a *redis.XReadArgs) ([]redis.XStream, error) {
	addr, err := b.where.of(ctx, p)
	if err != nil {
		return nil, err
	}
	if b.elsewhere(p, addr) {
		return nil, errElsewhere
	}
	c := b.take(addr)
	if c == nil {
		return nil, redis.ErrClosed
	}
	hangUp := func() { _ = c.Close() } // all that it can say is that it was closed before
	asked, ended := context.AfterFunc(ctx, hangUp), context.AfterFunc(b.open, hangUp)
	streams, err := c.XRead(ctx, a).Result()
	whole := asked()
	whole = ended() && whole
	b.give(addr, c, whole)
	if err != nil && !errors.Is(err, redis.Nil) && whole {
		b.forget(p)
		b.where.fault(p, addr, err)
	}
	return streams, err
}

// elsewhere notes where p is read, and says whether that is not where it was before.
func (b *blocking) elsewhere(p int, addr string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, known := b.last[p]
	b.last[p] = addr
	return known && before != addr
}

// forget is for whoever is told of a fault, and will look for himself what has become of
// the partition.
func (b *blocking) forget(p int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.last, p)
}

// take answers a client that nobody uses; nil when the store is closed.
func (b *blocking) take(addr string) *redis.Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.busy++
	if last := len(b.idle[addr]) - 1; last >= 0 {
		c := b.idle[addr][last]
		b.idle[addr] = b.idle[addr][:last]
		return c
	}
	return b.where.connect(addr)
}

// give takes a client back, if it is still whole.
func (b *blocking) give(addr string, c *redis.Client, whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy--
	if whole && !b.closed {
		b.idle[addr] = append(b.idle[addr], c)
		return
	}
	_ = c.Close()
}

// count answers how many connections wait for entries, and for a read.
func (b *blocking) count() (busy, idle int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, clients := range b.idle {
		idle += int64(len(clients))
	}
	return int64(b.busy), idle
}

// drop closes idle connections to servers that are gone.
func (b *blocking) drop(gone func(addr string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for addr, clients := range b.idle {
		if !gone(addr) {
			continue
		}
		for _, c := range clients {
			_ = c.Close()
		}
		delete(b.idle, addr)
	}
}

// end closes all of them; reads in hand return.
func (b *blocking) end() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.close()
	b.drop(func(string) bool { return true })
}

// The three kinds of servers. connected makes their clients.

type connected struct {
	client func(addr string) *redis.Client
}

func (c connected) connect(addr string) *redis.Client { return c.client(addr) }

// oneServer has all partitions.
type oneServer struct{ connected }

func (oneServer) of(context.Context, int) (string, error) { return "", nil }
func (oneServer) fault(int, string, error)                {}

// behindSentinels is the master that the Sentinels know: they are asked for it again when a
// read from it has failed.
type behindSentinels struct {
	connected
	ask func(ctx context.Context) (string, error)

	mu   sync.Mutex
	addr string
}

func (s *behindSentinels) of(ctx context.Context, _ int) (string, error) {
	s.mu.Lock()
	addr := s.addr
	s.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	addr, err := s.ask(ctx)
	if err == nil {
		s.mu.Lock()
		s.addr = addr
		s.mu.Unlock()
	}
	return addr, err
}

func (s *behindSentinels) fault(_ int, addr string, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == addr {
		s.addr = ""
	}
}

// slotServers are those of a cluster.
type slotServers struct {
	connected
	topology *topology
}

func (s slotServers) of(_ context.Context, p int) (string, error) {
	addr := s.topology.master(keySlot(slot(p)))
	if addr == "" {
		s.topology.hint()
		return "", errNobody
	}
	return addr, nil
}

func (s slotServers) fault(p int, addr string, err error) {
	if to, moved, _ := redirected(err, addr); moved {
		s.topology.moved(keySlot(slot(p)), to)
		return
	}
	s.topology.hint()
}

// serversOf says where the partitions of target can be read.
func serversOf(target *redisurl.Target, topology *topology, hooks []redis.Hook, tune func(*redis.UniversalOptions)) servers {
	hooked := func(c *redis.Client) *redis.Client {
		for _, hook := range hooks {
			c.AddHook(hook)
		}
		return c
	}
	to := connected{func(addr string) *redis.Client { return hooked(target.Node(addr, tune)) }}
	switch target.Mode {
	case redisurl.Cluster:
		return slotServers{to, topology}
	case redisurl.Sentinel:
		return &behindSentinels{connected: to, ask: func(ctx context.Context) (string, error) { return target.MasterNow(ctx, tune) }}
	}
	return oneServer{connected{func(string) *redis.Client { return hooked(target.Client(tune).(*redis.Client)) }}}
}
