package httpapi

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/news"
	"sluice/internal/receipts"
	"sluice/internal/sale"
)

const (
	placesEvery = time.Second     // at most, a change of position while queued
	linesEvery  = 5 * time.Second // the same in a waiting line, which has to be read
)

// followReceipt is GET /v1/receipts/{id}/events.
func (a *API) followReceipt(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := receiptID(c)
	if err != nil {
		return err
	}
	standing, err := a.receipts.Get(ctx, who.Account, id)
	if err != nil {
		return err
	}
	known := lastEventID(c)
	if t := tagOf(standing); t.final && t.opaque() == known {
		return nothing(c) // an EventSource that is told so comes back no more
	}
	return a.open(c, who, func(call func()) teller {
		p, _ := sale.PartitionOf(id) // it has been read
		f := &follower{api: a, account: who.Account, id: id, partition: p, told: known}
		f.dirty.Store(true)
		f.stop = a.news.Receipt(id, func() {
			f.dirty.Store(true)
			call()
		}, func(r sale.Receipt) {
			f.heard.Store(&r)
			f.dirty.Store(true)
			call()
		})
		return f
	})
}

// follower tells a stream of one receipt.
type follower struct {
	api       *API
	account   int64
	id        uuid.UUID
	partition int
	stop      func()
	dirty     atomic.Bool                  // it may stand otherwise than when it was read
	heard     atomic.Pointer[sale.Receipt] // how it stood when that was heard last

	// Only of who writes to the stream, or asks what is due:
	mu       sync.Mutex
	standing sale.Standing
	told     string // the tag that the client has
	at       time.Time
	settled  int64 // how far the partition was then
}

func (f *follower) leave() { f.stop() }

// due says whether the place of a receipt that still queues or waits may be another one.
func (f *follower) due(now time.Time) bool {
	if f.dirty.Load() {
		return true
	}
	if !f.mu.TryLock() {
		return false // it is being read: who asks has others to pass
	}
	defer f.mu.Unlock()
	every := placesEvery
	switch f.standing.Status {
	case sale.Queued:
	case sale.Waiting:
		every = linesEvery
	default:
		return false
	}
	return now.Sub(f.at) >= every && f.api.news.Pulse(f.partition).Settled != f.settled
}

func (f *follower) next(ctx context.Context) (events []byte, end string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pulse := f.api.news.Pulse(f.partition)
	if f.dirty.Swap(false) || f.standing.Status == sale.Waiting {
		standing, known := decided(f.standing.Status, f.heard.Swap(nil))
		var err error
		if !known {
			standing, err = f.api.receipts.Get(ctx, f.account, f.id)
		}
		switch {
		case errors.Is(err, sale.ErrUnknown):
			return nil, string(unknownReceipt)
		case errors.Is(err, sale.ErrLost), errors.Is(err, sale.ErrNotYours):
			return nil, string(problemOf(err).code)
		case err != nil:
			f.dirty.Store(true) // again, when the wheel passes
			return nil, ""
		}
		f.standing = standing
	} else if f.standing.Status == sale.Queued {
		// Nothing of it has been heard, so only its place is another one.
		f.standing.Ahead, f.standing.Drain, f.standing.Still = max(f.standing.Seq-pulse.Settled-1, 0), pulse.Drain, 0
		f.standing.Outlook = f.api.receipts.Outlook(ctx, f.standing)
	}
	f.at, f.settled = time.Now(), pulse.Settled
	t := tagOf(f.standing)
	if t.opaque() == f.told {
		return nil, ending(t)
	}
	f.told = t.opaque()
	return event(nil, "receipt", f.told, bodyOf(f.standing)), ending(t)
}

// decided is the standing of a receipt that was queued when it was read, and of which it
// has been heard what became of it; false when it has to be read. A place in a line has.
func decided(was sale.Status, heard *sale.Receipt) (sale.Standing, bool) {
	if heard == nil || was != sale.Queued || heard.Status == sale.Queued || heard.Status == sale.Waiting {
		return sale.Standing{}, false
	}
	return sale.Standing{Receipt: *heard, Left: -1, Durability: sale.InRecord}, true
}

func ending(t tag) string {
	if t.final {
		return "final"
	}
	return ""
}

// followMine is GET /v1/me/receipts/events.
func (a *API) followMine(_ context.Context, c *fiber.Ctx, who accounts.Who) error {
	known := lastEventID(c)
	since, err := strconv.ParseInt(known, 10, 64)
	if known != "" && (err != nil || since <= 0) {
		since = 1 // none of our IDs: nobody can tell what has come since then
	}
	return a.open(c, who, func(call func()) teller {
		f := &mine{api: a, account: who.Account, last: a.news.Now(), waiting: map[uuid.UUID]bool{}, greet: true}
		missed, complete, stop := a.news.Account(who.Account, sale.Instant(since), func(e news.Event) {
			f.hear(e)
			call()
		}, func() {
			f.mu.Lock()
			f.reset = true
			f.mu.Unlock()
			call()
		})
		f.stop = stop
		for _, e := range missed {
			f.hear(e)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.reset = f.reset || !complete
		return f
	})
}

// mine tells a stream of all receipts of an account.
type mine struct {
	api     *API
	account int64
	stop    func()

	mu      sync.Mutex
	queue   []uuid.UUID // that have changed, in the order in which that was heard
	waiting map[uuid.UUID]bool
	last    sale.Instant // when the last of them was announced
	greet   bool         // the client has no ID yet
	reset   bool         // something may have been missed
}

// mineMost is how many changes one stream may have before it: then it begins anew.
const mineMost = 1000

func (m *mine) hear(e news.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = max(m.last, e.At)
	switch {
	case m.waiting[e.Receipt]:
	case len(m.queue) >= mineMost:
		m.queue, m.waiting, m.reset = nil, map[uuid.UUID]bool{}, true
	default:
		m.queue, m.waiting[e.Receipt] = append(m.queue, e.Receipt), true
	}
}

func (m *mine) leave() { m.stop() }

func (m *mine) due(time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) > 0
}

func (m *mine) next(ctx context.Context) (events []byte, end string) {
	m.mu.Lock()
	queue, reset, greet, id := m.queue, m.reset, m.greet, strconv.FormatInt(int64(m.last), 10)
	m.queue, m.waiting, m.reset, m.greet = nil, map[uuid.UUID]bool{}, false, false
	m.mu.Unlock()
	var all []receipts.Found
	for len(queue) > 0 {
		some := queue[:min(len(queue), receiptsMost)]
		queue = queue[len(some):]
		all = append(all, m.api.receipts.GetAll(ctx, m.account, some)...)
	}
	for _, found := range all {
		if found.Err != nil && !errors.Is(found.Err, sale.ErrUnknown) && problemOf(found.Err).isFault() {
			m.hear(news.Event{Receipt: found.ID}) // again, when the wheel passes
			id = ""                               // who comes back before that has missed it
		}
	}
	switch {
	case reset:
		events = event(events, "reset", id, struct{}{})
	case greet && id != "":
		events = append(events, "id: "+id+"\n\n"...) // no event, and yet the client has an ID
	}
	for _, found := range all {
		if found.Err == nil {
			events = event(events, "receipt", id, bodyOf(found.Standing))
		}
	}
	return events, ""
}
