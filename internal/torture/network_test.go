package torture

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"time"
)

// wireTap is the cable of a host that is only a test.
type wireTap struct {
	out, in chan []byte // what the host sends; what it is given
}

func tap() *wireTap { return &wireTap{make(chan []byte), make(chan []byte, 1000)} }

func (w *wireTap) Read(p []byte) (int, error) {
	packet, ok := <-w.out
	if !ok {
		return 0, io.EOF
	}
	return copy(p, packet), nil
}

func (w *wireTap) Write(p []byte) (int, error) {
	w.in <- append([]byte(nil), p...)
	return len(p), nil
}

func (w *wireTap) Close() error { close(w.out); return nil }

// packet is an IPv4 packet with a number in it.
func packet(to netip.Addr, n uint32) []byte {
	p := make([]byte, 24)
	p[0] = 4<<4 | 5
	four := to.As4()
	copy(p[16:], four[:])
	binary.BigEndian.PutUint32(p[20:], n)
	return p
}

// TestNetwork: each kind of weather does to a route what its name says, and nothing to
// others. The last case is the known-bad twin of a cut.
func TestNetwork(t *testing.T) {
	one, two, three := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	const sent = 200
	for name, test := range map[string]struct {
		weather weather
		leaky   bool
		fits    func(arrived int, took time.Duration) bool
	}{
		"fine":   {weather{}, false, func(n int, _ time.Duration) bool { return n == sent }},
		"cut":    {weather{cut: true}, false, func(n int, _ time.Duration) bool { return n == 0 }},
		"lossy":  {weather{lost: 0.5}, false, func(n int, _ time.Duration) bool { return n > sent/4 && n < sent*3/4 }},
		"slow":   {weather{delay: 30 * time.Millisecond, jitter: 10 * time.Millisecond}, false, func(n int, d time.Duration) bool { return n == sent && d >= 30*time.Millisecond }},
		"a leak": {weather{cut: true}, true, func(n int, _ time.Duration) bool { return n == sent }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(1)
			n.leaky = test.leaky
			taps := map[netip.Addr]*wireTap{one: tap(), two: tap(), three: tap()}
			for address, w := range taps {
				n.plug(address, w)
			}
			n.change(test.weather, route{one, two})
			began := time.Now()
			for i := range uint32(sent) {
				taps[one].out <- packet(two, i)
				taps[one].out <- packet(three, i)
				taps[two].out <- packet(one, i)
			}
			taps[one].out <- []byte{6 << 4} // no IPv4: nobody's
			for _, other := range []netip.Addr{three, one} {
				for i := range uint32(sent) {
					if got := binary.BigEndian.Uint32((<-taps[other].in)[20:]); got != i {
						t.Fatalf("%s is given %d, not %d", other, got, i)
					}
				}
			}
			until(t, "all is carried or dropped", func() bool {
				carried, dropped := n.counts()
				return carried+dropped == 3*sent
			})
			carried, _ := n.counts()
			arrived := int(carried) - 2*sent
			for range arrived {
				<-taps[two].in
			}
			if !test.fits(arrived, time.Since(began)) {
				t.Errorf("%d arrived within %s", arrived, time.Since(began))
			}
			n.change(weather{}, route{one, two})
			taps[one].out <- packet(two, 7)
			if got := binary.BigEndian.Uint32((<-taps[two].in)[20:]); got != 7 {
				t.Errorf("after healing it is given %d", got)
			}
			if err := n.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
