package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// mtu is the longest packet on the network.
const mtu = 9000

// network is what connects hosts: a router of ours, to which each host has one cable.
//
//	host ──TUN──▶ router ──what the weather lets through──▶ TUN ──▶ host
//
// A host is a network namespace whose only interface but loopback is the near end of its
// cable, so the kernel's own TCP is at both ends of every connection, and what is lost
// in between is sent again, or not, as between machines. The kernel needs neither a bridge
// nor netem for it, and everything ends with this process.
//
// The weather can be another one for each pair of hosts and each direction.
type network struct {
	mu      sync.Mutex
	dice    *rand.Rand
	cables  map[netip.Addr]*cable
	weather map[route]weather
	dropped int64 // packets
	carried int64
	leaky   bool // the known-bad twin: what is cut is carried all the same
}

// route is from one host to another.
type route struct{ from, to netip.Addr }

// weather is what befalls the packets on a route. The zero weather is fine.
type weather struct {
	cut           bool // none arrives
	delay, jitter time.Duration
	lost          float64 // of 1
}

// cable is the far end of a host's only way out. Each read and write is a packet.
type cable struct {
	address netip.Addr
	far     io.ReadWriteCloser
	quiet   chan struct{} // closed: nobody reads it any more
}

func newNetwork(seed uint64) *network {
	return &network{dice: rand.New(rand.NewPCG(seed, 6)), cables: map[netip.Addr]*cable{}, weather: map[route]weather{}}
}

// plug connects the cable of the host that has this address.
func (n *network) plug(address netip.Addr, far io.ReadWriteCloser) {
	c := &cable{address: address, far: far, quiet: make(chan struct{})}
	n.mu.Lock()
	n.cables[address] = c
	n.mu.Unlock()
	go n.carry(c)
}

// carry takes what comes out of a cable to where it wants to, until the cable is gone.
func (n *network) carry(c *cable) {
	defer close(c.quiet)
	packet := make([]byte, mtu)
	for {
		size, err := c.far.Read(packet)
		if err != nil {
			return
		}
		if to, ok := destination(packet[:size]); ok {
			n.forward(route{c.address, to}, packet[:size])
		}
	}
}

// destination is where an IPv4 packet goes; false: it is none.
func destination(packet []byte) (netip.Addr, bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(packet[16:20])), true
}

func (n *network) forward(r route, packet []byte) {
	n.mu.Lock()
	w, to := n.weather[r], n.cables[r.to]
	gone := to == nil || w.cut && !n.leaky || w.lost > 0 && n.dice.Float64() < w.lost
	late := w.delay
	if w.jitter > 0 {
		late += time.Duration(n.dice.Int64N(int64(w.jitter)))
	}
	if gone {
		n.dropped++
	} else {
		n.carried++
	}
	n.mu.Unlock()
	switch {
	case gone:
	case late == 0:
		_, _ = to.far.Write(packet) // a host that is gone hears nothing
	default:
		copied := append([]byte(nil), packet...)
		time.AfterFunc(late, func() { _, _ = to.far.Write(copied) })
	}
}

// change makes the weather of some routes.
func (n *network) change(w weather, routes ...route) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range routes {
		n.weather[r] = w
	}
}

// counts are the packets that arrived, and that did not.
func (n *network) counts() (carried, dropped int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.carried, n.dropped
}

// close pulls all cables out.
func (n *network) close() (err error) {
	n.mu.Lock()
	cables := n.cables
	n.cables = map[netip.Addr]*cable{}
	n.mu.Unlock()
	for _, c := range cables {
		err = errors.Join(err, c.far.Close())
		<-c.quiet
	}
	return err
}

// host is a machine of its own, as far as the network is concerned.
type host struct {
	name    string
	address netip.Addr
	space   *space
	workers []*worker // that work there
}

// newHost makes a host and connects it.
func (n *network) newHost(name string, address netip.Addr) (*host, error) {
	s, far, err := newSpace(address)
	if err != nil {
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}
	n.plug(address, far)
	return &host{name: name, address: address, space: s}, nil
}

// dial connects to somewhere.
type dial func(ctx context.Context, network, address string) (net.Conn, error)

// transport is for HTTP by way of dial; nil is as usual.
func (d dial) transport() *http.Transport {
	return &http.Transport{DialContext: d, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
}

// dial connects from the host.
func (h *host) dial(ctx context.Context, transport, address string) (conn net.Conn, err error) {
	err = h.space.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, transport, address)
		return err
	})
	return conn, err
}

// listen listens on the host. Nobody asks whether who has connected is still there, as
// servers do not, at first.
func (h *host) listen(port uint16) (l net.Listener, err error) {
	err = h.space.do(func() error {
		config := net.ListenConfig{KeepAlive: -1}
		l, err = config.Listen(context.Background(), "tcp", netip.AddrPortFrom(h.address, port).String())
		return err
	})
	return l, err
}

// between are the routes between a host and others, both ways.
func (h *host) between(others ...*host) []route {
	return append(h.towards(others...), h.from(others...)...)
}

// towards are the routes from a host to others.
func (h *host) towards(others ...*host) (routes []route) {
	for _, other := range others {
		routes = append(routes, route{h.address, other.address})
	}
	return routes
}

// from are the routes from others to a host.
func (h *host) from(others ...*host) (routes []route) {
	for _, other := range others {
		routes = append(routes, route{other.address, h.address})
	}
	return routes
}
