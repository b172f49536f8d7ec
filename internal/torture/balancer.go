package torture

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Patience of a balancer.
const (
	connectBy  = 5 * time.Second
	retryAfter = 50 * time.Millisecond
)

// balancer is what stands before the APIs of a deployment: each connection goes to the
// next of its targets, or the one after it when that refuses. It knows nothing of HTTP.
type balancer struct {
	listener net.Listener
	dial     dial
	all      sync.WaitGroup
	dialing  sync.RWMutex // read while a target is chosen and connected to

	mu      sync.Mutex
	targets []string
	next    int
	open    map[net.Conn]bool
	closed  bool
}

// balance serves l, which it closes in the end.
func balance(l net.Listener, dial dial, targets ...string) *balancer {
	b := &balancer{listener: l, dial: dial, targets: targets, open: map[net.Conn]bool{}}
	b.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			b.all.Go(func() { b.serve(client) })
		}
	})
	return b
}

// address is where clients connect.
func (b *balancer) address() string { return b.listener.Addr().String() }

// take puts a target in; it gets connections from now on.
func (b *balancer) take(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = append(b.targets, target)
}

// spare takes a target out: it gets no more connections, and keeps those that it has.
func (b *balancer) spare(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = slices.DeleteFunc(b.targets, func(one string) bool { return one == target })
}

// turns are the targets in the order in which the next connection tries them.
func (b *balancer) turns() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.targets) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.targets)
	return slices.Concat(b.targets[b.next:], b.targets[:b.next])
}

// serve carries what goes to and fro until both ends have said all, or one is gone.
func (b *balancer) serve(client net.Conn) {
	defer b.forget(client)
	if !b.keep(client) {
		return
	}
	server := b.connect()
	if server == nil {
		return
	}
	defer b.forget(server)
	if !b.keep(server) {
		return
	}
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		ways.Go(func() {
			if _, err := io.Copy(way[1], way[0]); err != nil {
				_ = way[0].Close() // it has been cut off, or cannot pass on what it says
				_ = way[1].Close()
				return
			}
			if half, ok := way[1].(*net.TCPConn); ok {
				_ = half.CloseWrite() // an error says that it is gone
			}
		})
	}
	ways.Wait()
}

// connect tries every target until one answers; nil: none did in time.
func (b *balancer) connect() net.Conn {
	ctx, cancel := context.WithTimeout(context.Background(), connectBy)
	defer cancel()
	for {
		if server := b.try(ctx); server != nil {
			return server
		}
		if wait(ctx, retryAfter) != nil {
			return nil
		}
	}
}

// try tries every target once.
func (b *balancer) try(ctx context.Context) net.Conn {
	b.dialing.RLock()
	defer b.dialing.RUnlock()
	for _, target := range b.turns() {
		if server, err := b.dial(ctx, "tcp", target); err == nil {
			return server
		}
	}
	return nil
}

// keep notes a connection; false: there will be no more.
func (b *balancer) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[c] = true
	return !b.closed
}

func (b *balancer) forget(c net.Conn) {
	_ = c.Close() // it may be closed already
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

// close cuts off everybody.
func (b *balancer) close() error {
	b.mu.Lock()
	b.closed = true
	err := b.listener.Close()
	for c := range b.open {
		_ = c.Close() // it may be closed already
	}
	b.mu.Unlock()
	b.all.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
