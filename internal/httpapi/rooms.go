package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// Everybody who follows one sale is told the same, so it is read and written down once,
// in a room, however many stand in it. There is another one for its seller, who sees what
// others may not.

const (
	roomEvery = 200 * time.Millisecond // at most, a change
	roomAgain = time.Second            // after a fault
)

// rooms are those of one process.
type rooms struct {
	api  *API
	mu   sync.Mutex
	open map[roomKey]*room
}

type roomKey struct{ sale, seller int64 } // seller is 0 in the room of everybody

type room struct {
	rooms *rooms
	key   roomKey
	who   accounts.Who // for whom it is written down
	stop  func()       // hearing of the sale

	looking sync.Mutex // one look after the other

	mu      sync.Mutex
	members map[*visitor]struct{}
	events  []byte // the sale as it is, as an event
	id      string // of that
	closed  bool   // nothing will change any more
	left    bool   // by the last one: nobody looks any more
	timer   *time.Timer
	next    time.Time // when it goes off
	read    time.Time
}

// visitor tells one stream what is written down in a room.
type visitor struct {
	room *room
	call func()
	told string // the ID that the client has
}

func newRooms(a *API) *rooms { return &rooms{api: a, open: map[roomKey]*room{}} }

// followSale is GET /v1/sales/{id}/events.
func (a *API) followSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	s, now, err := a.catalog.Sale(ctx, id)
	if err != nil {
		return err
	}
	body, known := saleFor(who, s, now), lastEventID(c)
	if body.State == sale.ShownClosed && stateOf(body) == known {
		return nothing(c)
	}
	key := roomKey{sale: id}
	if who.Account == s.Seller {
		key.seller = s.Seller
	}
	return a.open(c, who, func(call func()) teller { return a.rooms.enter(key, known, call) })
}

// enter answers the teller of one who comes into a room.
func (r *rooms) enter(key roomKey, known string, call func()) teller {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.open[key]
	if at == nil {
		at = &room{rooms: r, key: key, who: accounts.Who{Account: key.seller}, members: map[*visitor]struct{}{}}
		at.timer = time.AfterFunc(time.Hour, at.look)
		at.stop = r.api.news.Sale(key.sale, func() { at.soon(0) })
		r.open[key] = at
		at.soon(0)
	}
	v := &visitor{at, call, known}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.members[v] = struct{}{}
	return v
}

// leave shuts the room behind the last one.
func (v *visitor) leave() {
	r := v.room.rooms
	r.mu.Lock()
	defer r.mu.Unlock()
	v.room.mu.Lock()
	delete(v.room.members, v)
	empty := len(v.room.members) == 0 && !v.room.left
	v.room.left = v.room.left || empty
	v.room.mu.Unlock()
	if empty {
		v.room.stop() // not under its lock, which who hears the news wants
		v.room.timer.Stop()
		delete(r.open, v.room.key)
	}
}

// due is never: who is in a room is called.
func (v *visitor) due(time.Time) bool { return false }

func (v *visitor) next(context.Context) (events []byte, end string) {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.room.closed {
		end = "closed"
	}
	if v.told == v.room.id {
		return nil, end
	}
	v.told = v.room.id
	return v.room.events[:len(v.room.events):len(v.room.events)], end
}

// soon has the sale looked at after d, and not too often.
func (at *room) soon(d time.Duration) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.left {
		return
	}
	now := time.Now()
	when := now.Add(d)
	if earliest := at.read.Add(roomEvery); when.Before(earliest) {
		when = earliest
	}
	if at.next.After(now) && !when.Before(at.next) {
		return
	}
	at.next = when
	at.timer.Reset(when.Sub(now))
}

// look reads the sale, writes it down if it is another one, and calls everybody.
func (at *room) look() {
	at.looking.Lock()
	defer at.looking.Unlock()
	at.mu.Lock()
	at.read, at.next = time.Now(), time.Time{}
	at.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), at.rooms.api.workTimeout)
	defer cancel()
	s, now, err := at.rooms.api.catalog.Sale(ctx, at.key.sale)
	switch {
	case errors.Is(err, sale.ErrUnknown):
		at.show(nil, "gone", true)
		return
	case err != nil:
		at.soon(roomAgain)
		return
	}
	body := saleFor(at.who, s, now)
	id := stateOf(body)
	at.show(event(nil, "sale", id, body), id, body.State == sale.ShownClosed)
	if next := nextMoment(s, now); next > now {
		at.soon(next.Time().Sub(now.Time()))
	}
}

// show writes down how the sale stands.
func (at *room) show(events []byte, id string, closed bool) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if id == at.id && closed == at.closed {
		return
	}
	at.events, at.id, at.closed = events, id, closed
	for v := range at.members {
		v.call()
	}
}

// nextMoment is when a sale changes by time alone: it opens, its price drops, it closes; 0
// when it does not any more.
func nextMoment(s *sale.Stand, now sale.Instant) sale.Instant {
	switch drop, drops := s.NextDrop(now); {
	case now < s.OpensAt:
		return s.OpensAt
	case drops:
		return min(drop, s.ClosesAt)
	case now < s.ClosesAt:
		return s.ClosesAt
	}
	return 0
}

// stateOf is a sale as it is shown, in a word that is the same in every process.
func stateOf(body saleBody) string {
	body.Now = time.Time{}
	raw, err := json.Marshal(body)
	if err != nil { // of our own types: it cannot fail
		panic(err)
	}
	h := fnv.New64a()
	_, _ = h.Write(raw)
	return strconv.FormatUint(h.Sum64(), 36)
}
