package httpapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	preferHeader      = "Prefer"
	preferenceApplied = "Preference-Applied"
	waitMost          = 60 * time.Second // of one request
)

// preferredWait reads how long an answer may be held back, as RFC 7240 has it: the first
// wait counts, and what makes no sense is no preference. 0: not at all.
func preferredWait(c *fiber.Ctx) time.Duration {
	for _, header := range c.Request().Header.PeekAll(preferHeader) {
		for part := range strings.SplitSeq(string(header), ",") {
			name, value, _ := strings.Cut(part, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			value, _, _ = strings.Cut(value, ";") // parameters of the preference
			value = strings.TrimSpace(value)
			if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' { // a word may stand in quotes
				value = value[1 : len(value)-1]
			}
			seconds, err := strconv.ParseUint(value, 10, 31)
			if err != nil && !errors.Is(err, strconv.ErrRange) { // for ever is as long as it can be
				return 0
			}
			return min(time.Duration(seconds)*time.Second, waitMost)
		}
	}
	return 0
}

// waitRoom counts those who wait in this process, and lets in no more than there may be.
type waitRoom struct {
	most  int64
	all   atomic.Int64
	soon  atomic.Int64  // those of them who wait where they are
	brief time.Duration // that they do so at most
	now   *prometheus.GaugeVec
	close chan struct{} // closed when everybody is to be sent away
	once  sync.Once

	mu     sync.Mutex
	parked map[*parked]struct{} // until their connections end
}

// waiting is how somebody waits.
type waiting string

const (
	longPoll    waiting = "long_poll"
	eventStream waiting = "event_stream"
)

func newWaitRoom(most int, registry prometheus.Registerer) *waitRoom {
	w := &waitRoom{most: int64(most), brief: soonTime, close: make(chan struct{}), parked: map[*parked]struct{}{}, now: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sluice_waiters", Help: "Clients that wait at this moment, by how: long_poll or event_stream.",
	}, []string{"how"})}
	for _, how := range []waiting{longPoll, eventStream} {
		w.now.WithLabelValues(string(how))
	}
	bound := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_waiters_max", Help: "Clients that may wait at once, however they do.",
	})
	bound.Set(float64(most))
	registry.MustRegister(w.now, bound)
	return w
}

// enter says whether one more may wait; whoever may must leave.
func (w *waitRoom) enter(how waiting) bool {
	if w.all.Add(1) > w.most || w.closing() {
		w.all.Add(-1)
		return false
	}
	w.now.WithLabelValues(string(how)).Inc()
	return true
}

func (w *waitRoom) leave(how waiting) {
	w.all.Add(-1)
	w.now.WithLabelValues(string(how)).Dec()
}

// send sends everybody away; nobody is let in any more.
func (w *waitRoom) send() {
	w.once.Do(func() { close(w.close) })
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.parked {
		p.wake()
	}
}

// park keeps a long poll in mind for send, until unpark.
func (w *waitRoom) park(p *parked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked[p] = struct{}{}
	if w.closing() {
		p.wake()
	}
}

func (w *waitRoom) unpark(p *parked) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.parked, p)
}

// wait returns when everybody who was sent away has been answered, or ctx ends.
func (w *waitRoom) wait(ctx context.Context) error {
	for {
		w.mu.Lock()
		left := len(w.parked)
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// full says whether enter would let nobody in.
func (w *waitRoom) full() bool { return w.all.Load() >= w.most || w.closing() }

func (w *waitRoom) closing() bool {
	select {
	case <-w.close:
		return true
	default:
		return false
	}
}

// tooMany is what somebody is told who may not wait.
func tooMany() error {
	return &problem{code: tooManyWaiters, retryAfter: 2*time.Second + rand.N(4*time.Second)}
}
