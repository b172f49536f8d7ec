package check

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// wire leads a browser to Sluice, and can forget its connections without a word, as a
// network does while a laptop sleeps: nobody is told, and nothing comes through any more.
type wire struct {
	url string

	mu   sync.Mutex
	ends []net.Conn
	deaf chan struct{} // closed: the connections that there are carry nothing
}

func newWire(t testing.TB) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{url: "http://" + l.Addr().String(), deaf: make(chan struct{})}
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, end := range w.ends {
			end.Close()
		}
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // it is over
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(house.url, "http://"))
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			w.ends = append(w.ends, near, far)
			go carry(near, far, w.deaf)
			go carry(far, near, w.deaf)
			w.mu.Unlock()
		}
	}()
	return w
}

// carry carries one direction until it ends, and not any more when it is deaf.
func carry(to, from net.Conn, deaf chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-deaf:
			_, _ = io.Copy(io.Discard, from) // taken, and lost
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// forget forgets the connections that there are.
func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.deaf)
	w.deaf = make(chan struct{})
}

// cut ends the connections that there are.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ends {
		end.Close()
	}
	w.ends = nil
}
