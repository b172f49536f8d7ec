package stage

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// given are the ports that this test binary has given away.
var given sync.Map

// freeAddress is a loopback address on which nobody listens. Its port lies below
// those from which the kernel serves outgoing connections, so that a process that is
// started again finds it free.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 22000+rand.IntN(10000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, taken := given.LoadOrStore(address, true); !taken {
			return address
		}
	}
	t.Fatal("find a free port: all that were tried are taken")
	return ""
}
