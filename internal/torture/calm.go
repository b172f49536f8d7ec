package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// While nothing breaks.
const (
	calmAnswerBy = 30 * time.Second // for one request: long polls are held for 20 s
	readyBy      = time.Minute      // for a process that is exchanged: gone, and its successor ready
	toldBy       = time.Minute      // for who waits, after all is over
)

// calm is a deployment in which nothing breaks; its processes are exchanged, one by one, as
// by somebody who follows docs/reliability.md. Everybody comes through one balancer, which
// is told before an API has to stop. So nobody may notice anything: no request stays without
// an answer, none is answered with a fault, no waiter is sent away without a word.
type calm struct {
	front *balancer
	next  *http.Transport

	mu        sync.Mutex
	answered  int
	later     int            // answered with 503 and a time to come back
	ends      map[string]int // of streams, by the reason that was told
	exchanges []Exchange
	broken    []Violation
}

// Exchange is a process that made room for another one.
type Exchange struct {
	Role   string  `json:"role"`
	StopS  float64 `json:"stop_s"`  // from SIGTERM until it was gone
	ReadyS float64 `json:"ready_s"` // from then until the next one was ready
}

// lineUp puts a balancer before the APIs, and no links anywhere.
func (h *house) lineUp() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.calm = &calm{
		front: balance(l, new(net.Dialer).DialContext), ends: map[string]int{},
		next: &http.Transport{MaxIdleConnsPerHost: 4 * connections},
	}
	for _, w := range h.fleet.workers {
		if w.ops, err = freeAddress(); err != nil {
			return err
		}
		w.env = []string{"SLUICE_REDIS_URL=" + h.config.RedisURL, "SLUICE_POSTGRES_URL=" + h.config.PostgresURL, "SLUICE_OPS_LISTEN=" + w.ops}
		if w.role == process.RoleAPI {
			h.calm.front.take(w.listen)
		}
	}
	return nil
}

// exchange has a process make room for one that is run by program, and waits until that
// is ready.
func (h *house) exchange(ctx context.Context, w *worker, program []string) error {
	ctx, cancel := context.WithTimeout(ctx, readyBy)
	defer cancel()
	before := w.up()
	if w.role == process.RoleAPI && !h.rude {
		h.calm.front.spare(w.listen)
		if err := w.reached(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	if h.rude {
		w.follow(program)
		w.kill(time.Millisecond)
	} else {
		w.renew(program)
	}
	for before != nil && w.up() == before {
		if err := wait(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("%s does not stop: %w", w.name, err)
		}
	}
	gone := time.Now()
	for !w.ready(ctx) {
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not ready: %w; see %s", w.name, err, w.log)
		}
	}
	if w.role == process.RoleAPI && !h.rude {
		h.calm.front.take(w.listen)
	}
	h.calm.mu.Lock()
	defer h.calm.mu.Unlock()
	h.calm.exchanges = append(h.calm.exchanges, Exchange{w.role, seconds(gone.Sub(began)), seconds(time.Since(gone))})
	return nil
}

// reached waits until an API has taken every connection that had been made to it before:
// what still stands in the kernel's queue, the first first, ends with the listener. Others
// simply wait for some seconds between the two.
func (w *worker) reached(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.listen+"/v1/sales/1", nil)
	if err != nil {
		return err
	}
	asker := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := asker.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s once more before it stops: %w", w.name, err)
	}
	return answer.Body.Close()
}

// up is the process that works there now; nil: none.
func (w *worker) up() *os.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}

// ready asks its operations port.
func (w *worker) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.ops+"/readyz", nil)
	if err != nil {
		return false
	}
	asker := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := asker.Do(request)
	if err != nil {
		return false
	}
	return answer.StatusCode == http.StatusOK && answer.Body.Close() == nil
}

// RoundTrip sends a request, and notes it when the answer is none that it should be.
func (c *calm) RoundTrip(r *http.Request) (*http.Response, error) {
	by := sender(r)
	answer, err := c.next.RoundTrip(r)
	what := r.Method + " " + r.URL.Path
	switch {
	case err != nil:
		c.note(by, "%s: %v", what, err)
		return nil, err
	case answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "":
		c.count(&c.later)
	case answer.StatusCode >= http.StatusInternalServerError:
		c.note(by, "%s is answered with %s", what, answer.Status)
	default:
		c.count(&c.answered)
	}
	answer.Body = &read{answer.Body, c, by, what, strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream"), nil}
	return answer, nil
}

// CloseIdleConnections is what Client.Close asks for.
func (c *calm) CloseIdleConnections() { c.next.CloseIdleConnections() }

func (c *calm) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// leaver is who sent a request. He may leave before he has his answer.
type leaver struct {
	ctx       context.Context
	impatient bool // he gives it less time than it may take
}

func sender(r *http.Request) leaver {
	by := leaver{ctx: r.Context()}
	if until, ok := by.ctx.Deadline(); ok {
		by.impatient = time.Until(until) < calmAnswerBy-time.Second
	}
	return by
}

func (l leaver) left() bool {
	err := l.ctx.Err()
	return errors.Is(err, context.Canceled) || err != nil && l.impatient
}

// note keeps what nobody should notice, unless it was the client that wanted no more.
func (c *calm) note(by leaver, detail string, args ...any) {
	if by.left() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, Violation{Rule: Served, Detail: fmt.Sprintf(detail, args...)})
}

// read is the body of an answer while it is read.
type read struct {
	io.ReadCloser
	calm   *calm
	by     leaver
	what   string
	stream bool
	tail   []byte // what was read last
}

// endMost is how long the last event of a stream is at most.
const endMost = 200

func (b *read) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.stream {
		b.tail = append(b.tail, p[:n]...)
		b.tail = b.tail[max(0, len(b.tail)-endMost):]
	}
	switch {
	case err == nil:
	case b.stream:
		b.over(err)
	case !errors.Is(err, io.EOF):
		b.calm.note(b.by, "%s is cut off: %v", b.what, err)
	}
	return n, err
}

// over is called when a stream has ended. Its last event must say why.
func (b *read) over(err error) {
	_, reason, told := bytes.Cut(b.tail, []byte("event: end\ndata: {\"reason\":\""))
	if !told {
		b.calm.note(b.by, "the stream %s ends without a word: %v", b.what, err)
		return
	}
	word, _, _ := strings.Cut(string(reason), `"`)
	b.calm.mu.Lock()
	defer b.calm.mu.Unlock()
	b.calm.ends[word]++
}

// lookAtClosed reads how the sales that somebody waits for stand in the end, if they are
// closed for good.
func (c *crowd) lookAtClosed(ctx context.Context) error {
	for _, o := range c.market.offers {
		s, err := c.api.Sale(ctx, o.ID)
		if err != nil {
			return fmt.Errorf("read sale %d: %w", o.ID, err)
		}
		if s.State == client.Closed {
			c.record.Closed = append(c.record.Closed, s)
		}
	}
	return nil
}

// close takes the balancer away.
func (c *calm) close() error {
	c.next.CloseIdleConnections()
	return c.front.close()
}

// Calm is what came of a rolling update while nothing broke.
type Calm struct {
	Answered  int            `json:"answered"` // HTTP requests
	Later     int            `json:"later"`    // of these with 503 and Retry-After
	Waiters   map[string]int `json:"waiters"`  // by how they waited
	Told      int            `json:"told"`     // changes of receipts that they were told
	Ends      map[string]int `json:"ends"`     // of streams, by the reason that was told
	Exchanges []Exchange     `json:"exchanges"`
}

// sum sums up.
func (c *calm) sum(waiters []*Waiter) *Calm {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Calm{Answered: c.answered + c.later, Later: c.later, Waiters: map[string]int{}, Ends: c.ends, Exchanges: c.exchanges}
	for _, w := range waiters {
		s.Waiters[w.How]++
		for _, told := range w.Told {
			s.Told += len(told)
		}
	}
	return s
}

// lines say it to a person.
func (c *Calm) lines() (lines []string) {
	if c == nil {
		return nil
	}
	lines = append(lines,
		fmt.Sprintf("http         %d answered, %d of them with a time to come back", c.Answered, c.Later),
		fmt.Sprintf("waiters      %s; told %d changes; streams that ended: %s", counts(c.Waiters), c.Told, counts(c.Ends)))
	for _, role := range rollOrder {
		var stops, starts []float64
		for _, e := range c.Exchanges {
			if e.Role == role {
				stops, starts = append(stops, e.StopS), append(starts, e.ReadyS)
			}
		}
		if n := len(stops); n > 0 {
			slices.Sort(stops)
			slices.Sort(starts)
			lines = append(lines, fmt.Sprintf("%-12s %d exchanged; gone after p50 %.2f, at most %.2f s; the next one ready after p50 %.2f, at most %.2f s",
				role, n, stops[n/2], stops[n-1], starts[n/2], starts[n-1]))
		}
	}
	return lines
}
