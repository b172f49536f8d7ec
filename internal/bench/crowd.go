package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// comingRate is how many of a crowd come in a second.
const comingRate = 2000

// waiter is one of a crowd: a bare connection and a small buffer.
type waiter struct {
	request []byte
	word    []byte    // he waits for
	told    time.Time // when he had it

	counts bool         // he follows a sale: nothing ends it but the API
	events atomic.Int64 // that he has read
	last   atomic.Int64 // when, in µs
}

// gathering is a crowd that waits.
type gathering struct {
	all   sync.WaitGroup
	conns []net.Conn // of each; nil: he had none
	errs  chan error
}

// gather has everybody ask, and returns when the API has them all wait. The caller
// disperses them.
func gather(ctx context.Context, api *Program, crowd []*waiter) (*gathering, error) {
	g := &gathering{errs: make(chan error, len(crowd)), conns: make([]net.Conn, len(crowd))}
	came := time.NewTicker(time.Second / comingRate)
	defer came.Stop()
	for i, w := range crowd {
		<-came.C
		conn, err := net.Dial("tcp", api.Address)
		if err != nil {
			return g, err
		}
		g.conns[i] = conn
		g.all.Go(func() {
			_, err := conn.Write(w.request)
			if err == nil {
				err = w.read(conn)
			}
			if err != nil {
				g.errs <- err
			}
		})
	}
	return g, until(ctx, openBy, "everybody waits", func() (bool, error) {
		if len(g.errs) > 0 {
			return false, <-g.errs
		}
		waiting, err := api.metric(ctx, "sluice_waiters")
		return waiting == float64(len(crowd)), err
	})
}

// wait waits until everybody has what he waits for.
func (g *gathering) wait() error {
	g.all.Wait()
	select {
	case err := <-g.errs:
		return err
	default:
		return nil
	}
}

// disperse ends all connections.
func (g *gathering) disperse() {
	for _, conn := range g.conns {
		if conn != nil {
			conn.Close()
		}
	}
	g.all.Wait()
}

// metric asks a process of Sluice for one of its metrics; those with labels are summed up.
func (p *Program) metric(ctx context.Context, name string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line, at := lines.Text(), strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 {
			continue
		}
		if of, _, _ := strings.Cut(line[:at], "{"); of != name {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, lines.Err()
}

var (
	success = []byte("HTTP/1.1 200 ")
	shut    = []byte("event: end\n")
	length  = []byte("Content-Length: ")
)

// read reads until the client has what he waits for. A long poll whose time is up asks
// again.
func (c *waiter) read(conn net.Conn) error {
	buffer, n, head := make([]byte, 2048), 0, true
	for {
		if n == len(buffer) {
			return fmt.Errorf("too much at once: %q", buffer)
		}
		m, err := conn.Read(buffer[n:])
		now := time.Now()
		if err != nil {
			return err
		}
		n += m
		got := buffer[:n]
		if head && n > len(success) && !bytes.HasPrefix(got, success) {
			return fmt.Errorf("answered %q", got)
		}
		switch {
		case c.word != nil && bytes.Contains(got, c.word):
			c.told = now
			return nil
		case bytes.Contains(got, shut):
			if c.counts {
				return nil
			}
			return errors.New("the stream has ended")
		case bytes.Contains(got, length):
			head = true
			if whole, err := complete(got); err != nil || whole {
				if _, more := conn.Write(c.request); more != nil || err != nil {
					return errors.Join(err, more)
				}
				n = 0
			}
			continue
		}
		if end := bytes.LastIndex(got, []byte("\n\n")); end >= 0 { // whole events
			if bytes.Contains(got[:end], []byte("event: ")) {
				c.last.Store(now.UnixMicro())
				c.events.Add(1)
			}
			head = false
			n = copy(buffer, got[end+2:])
		}
	}
}

// complete says whether an answer with a length is there as a whole.
func complete(got []byte) (bool, error) {
	head, body, ok := bytes.Cut(got, []byte("\r\n\r\n"))
	if !ok {
		return false, nil
	}
	_, rest, _ := bytes.Cut(head, length)
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(digits))
	return len(body) >= n, err
}
