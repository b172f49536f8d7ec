package httpapi

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
)

// An event stream (WHATWG, "Server-sent events") is a connection that nobody reads any
// more, and that costs no goroutine while nothing happens:
//
//	request ──hijack──▶ stream ──called──▶ queue ──▶ one of a few writers ──▶ connection
//	                      ▲
//	   news, timers ──────┘      a wheel passes every stream once a second: what is due?
//
// Whoever has something to tell a stream calls it, which never waits; a writer then asks
// its teller what there is to write. So a crowd that waits costs memory for its connections and nothing
// else, and a client that does not read holds up one writer, for a moment, once.

const eventStreamType = "text/event-stream"

const (
	beatUsual   = 15 * time.Second       // between two comments, so that both ends know of each other
	passEvery   = 100 * time.Millisecond // between two slots of the wheel
	wheelSlots  = 10
	writers     = 16
	writeWithin = 500 * time.Millisecond // or the client does not read
	partWithin  = 2 * time.Second        // all streams end, when the API does
)

// teller knows what is to be written to one stream. Its methods are called by one
// goroutine at a time.
type teller interface {
	// due says, of a stream that nobody has called, whether there is something to write.
	due(now time.Time) bool
	// next answers what is to be written now, and why the stream ends after that, "" when
	// it goes on.
	next(ctx context.Context) (events []byte, end string)
	// leave is called when the stream has ended.
	leave()
}

// stream is one client that listens.
type stream struct {
	conn   net.Conn
	teller teller
	until  time.Time // when its token ends; zero: it has none

	called atomic.Bool
	wrote  atomic.Int64 // Unix nanoseconds

	mu   sync.Mutex // held by who writes
	over bool
}

// streams are those of one process.
type streams struct {
	room      *waitRoom
	beatEvery time.Duration

	// Its lock is the innermost of all: who calls may hold those of others.
	calling sync.Mutex
	some    sync.Cond // of calling: somebody is called, or over
	queue   []*stream // who is called, the first first, each at most once
	over    bool

	mu      sync.Mutex
	slots   [wheelSlots]map[*stream]struct{}
	running bool
	stopped bool // nobody serves any more
	stop    chan struct{}
	done    sync.WaitGroup
}

func newStreams(room *waitRoom) *streams {
	s := &streams{room: room, beatEvery: beatUsual, stop: make(chan struct{})}
	s.some.L = &s.calling
	for i := range s.slots {
		s.slots[i] = map[*stream]struct{}{}
	}
	return s
}

// open answers c with an event stream of what teller tells. The answer begins when the
// handler has returned; follow is called then, with what calls the stream.
func (a *API) open(c *fiber.Ctx, who accounts.Who, follow func(call func()) teller) error {
	head := c.Method() == fiber.MethodHead
	if head && a.waiters.full() || !head && !a.waiters.enter(eventStream) {
		return tooMany()
	}
	c.Set(fiber.HeaderContentType, eventStreamType)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no") // nginx would keep events until they fill a page
	c.Response().Header.SetContentLength(-2)
	if head {
		return nil
	}
	// A copy: whoever sets a header after us would write over the original.
	begin := slices.Concat(c.Response().Header.Header(), []byte("retry: "+strconv.Itoa(1500+rand.N(1501))+"\n\n"))
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) {
		conn = taken(conn) // the rest of the hijacked one is buffers
		s := &stream{conn: conn, until: who.Expires}
		s.mu.Lock() // it may be called before it is complete
		s.teller = follow(func() { a.streams.call(s) })
		err := s.write(begin)
		s.mu.Unlock()
		switch {
		case err != nil:
			a.streams.part(s)
		case a.streams.add(s):
			a.streams.call(s)
		default:
			a.streams.answer(s) // that the API stops
		}
	})
	return nil
}

// write sends bytes to the client, who has a moment to take them.
func (s *stream) write(b []byte) error {
	now := time.Now()
	s.wrote.Store(now.UnixNano())
	if err := s.conn.SetWriteDeadline(now.Add(writeWithin)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// add puts s on the wheel, unless that has stopped. The first one sets it in motion.
func (d *streams) add(s *stream) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return false
	}
	d.slots[rand.N(wheelSlots)][s] = struct{}{}
	if d.running {
		return true
	}
	d.running = true
	for range writers {
		d.done.Go(d.serve)
	}
	d.done.Go(d.turn)
	return true
}

// call has s written to, soon. It never waits: who hears the news calls all who listen.
func (d *streams) call(s *stream) {
	if !s.called.CompareAndSwap(false, true) {
		return
	}
	d.calling.Lock()
	d.queue = append(d.queue, s)
	d.calling.Unlock()
	d.some.Signal()
}

// take waits for the next who is called; nil: there will be none.
func (d *streams) take() *stream {
	d.calling.Lock()
	defer d.calling.Unlock()
	for len(d.queue) == 0 && !d.over {
		d.some.Wait()
	}
	if d.over {
		return nil
	}
	s := d.queue[0]
	d.queue[0] = nil // or the array would keep it
	d.queue = d.queue[1:]
	return s
}

// part ends s: nobody writes to it any more.
func (d *streams) part(s *stream) {
	s.mu.Lock()
	was := s.over
	s.over = true
	s.mu.Unlock()
	if was {
		return
	}
	d.mu.Lock()
	for _, slot := range d.slots {
		delete(slot, s)
	}
	d.mu.Unlock()
	s.teller.leave()
	_ = s.conn.Close()
	d.room.leave(eventStream)
}

// serve writes to those who are called.
func (d *streams) serve() {
	for s := d.take(); s != nil; s = d.take() {
		d.answer(s)
	}
}

// answer writes what there is to one stream.
func (d *streams) answer(s *stream) {
	s.mu.Lock()
	s.called.Store(false) // what comes from here on calls again
	if s.over {
		s.mu.Unlock()
		return
	}
	var events []byte
	end := "shutdown"
	if !d.room.closing() { // else there is no time to read; who comes back is told
		ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
		events, end = s.teller.next(ctx)
		cancel()
	}
	now := time.Now()
	if end == "" && !s.until.IsZero() && !now.Before(s.until) {
		end = "token_expired"
	}
	if end != "" {
		events = append(events, "event: end\ndata: {\"reason\":\""+end+"\"}\n\n"...)
	}
	if len(events) == 0 && now.UnixNano()-s.wrote.Load() >= int64(d.beatEvery) {
		events = []byte(": beat\n\n")
	}
	var err error
	if len(events) > 0 {
		err = s.write(events)
	}
	s.mu.Unlock()
	if err != nil || end != "" {
		d.part(s)
	}
}

// turn passes every stream once a second.
func (d *streams) turn() {
	ticker := time.NewTicker(passEvery)
	defer ticker.Stop()
	for slot := 0; ; slot = (slot + 1) % wheelSlots {
		select {
		case <-ticker.C:
		case <-d.stop:
			return
		}
		now := time.Now()
		d.mu.Lock()
		for s := range d.slots[slot] {
			if now.UnixNano()-s.wrote.Load() >= int64(d.beatEvery) || !s.until.IsZero() && !now.Before(s.until) || s.teller.due(now) {
				d.call(s)
			}
		}
		d.mu.Unlock()
	}
}

// all answers every stream there is.
func (d *streams) all() (every []*stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, slot := range d.slots {
		for s := range slot {
			every = append(every, s)
		}
	}
	return every
}

// end tells every stream that the API stops, and stops: those who cannot be told in time
// are cut off. Room is closing already, so nobody comes any more.
func (d *streams) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, partWithin)
	defer cancel()
	for every := d.all(); len(every) > 0 && ctx.Err() == nil; every = d.all() {
		for _, s := range every {
			d.call(s)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	again := d.stopped
	d.stopped = true
	d.mu.Unlock()
	if again {
		return
	}
	d.calling.Lock()
	d.over = true
	d.calling.Unlock()
	d.some.Broadcast()
	close(d.stop)
	d.done.Wait()
	for _, s := range d.all() {
		d.part(s)
	}
}

// event is one of a stream, with the JSON of data. id is what a client that comes back
// names as the last that he has; "" for none.
func event(b []byte, name, id string, data any) []byte {
	raw, err := json.Marshal(data) // of our own types: it cannot fail
	if err != nil {
		panic(err)
	}
	b = append(append(b, "event: "...), name...)
	if id != "" {
		b = append(append(b, "\nid: "...), id...)
	}
	b = append(append(b, "\ndata: "...), raw...)
	return append(b, "\n\n"...)
}

// lastEventID is what a client that comes back has already, "" when he is new.
func lastEventID(c *fiber.Ctx) string {
	id := c.Get("Last-Event-ID")
	if !visible(id, 100) {
		return ""
	}
	return string(append([]byte(nil), id...))
}
