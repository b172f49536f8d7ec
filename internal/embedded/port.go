package embedded

import (
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Ports are taken below the range from which the kernel serves outgoing
// connections (32768 and up on Linux), so that a server that restarts on its
// port does not find a client's socket there.
const lowestPort, highestPort = 20000, 32000

// freePort finds a loopback port on which nobody listens. Somebody else may take
// it before the server does: the caller tries again (portTaken).
func freePort() (int, error) {
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp", address(port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("find a free port: all that were tried are taken")
}

// freePorts finds so many that are all different.
func freePorts(count int) ([]int, error) {
	var ports []int
	for len(ports) < count {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// portTaken recognises a child that lost the race for its port. Redis and
// Postgres say it with the same words.
func portTaken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Address already in use")
}
