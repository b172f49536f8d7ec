package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/client"
)

// The stores.
const (
	tablesMost  = 3 // of a store
	tablePrice  = 100
	slotsOpen   = 5   // of a store that people know of, tomorrow from noon on
	keepShare   = 0.2 // of who has a table: he keeps it
	changeShare = 0.5 // of the rest: he wants it at another time; else not at all
	lineMost    = 2 * time.Second
)

// table is a time at which a store can be booked.
type table struct {
	store, sale int64
	at          time.Time
}

// table answers one that can be booked; false when there is none yet.
func (m *market) table(dice *rand.Rand) (table, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.tables) == 0 {
		return table{}, false
	}
	return m.tables[dice.IntN(len(m.tables))], true
}

// other answers another time of the same store.
func (m *market) other(dice *rand.Rand, than table) (table, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []table
	for _, t := range m.tables {
		if t.store == than.store && t.sale != than.sale {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return table{}, false
	}
	return found[dice.IntN(len(found))], true
}

// openStore opens a store with few tables, and says at which times it can be booked.
func (c *crowd) openStore(ctx context.Context, which int) {
	seller, tables := c.sellers[which], int64(1+which%tablesMost)
	hours := client.Hours{}
	for _, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		hours[day] = "12:00-20:00"
	}
	key := fmt.Sprintf("store-%d", which)
	made, err := seller.api.CreateStore(ctx, client.NewStore{
		Title: "torture", TimeZone: "UTC", Tables: tables, Hours: hours, UnitPrice: tablePrice * int64(which), Hold: new(2 * time.Second), DaysAhead: 2,
	}, client.WithKey(key))
	var slots []client.Slot
	for began := time.Now(); err == nil && len(slots) < slotsOpen && time.Since(began) < healBy; { // the scheduler publishes them, once one leads
		slots, err = seller.api.Slots(ctx, made.ID, time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly))
		_ = wait(ctx, lookEvery) // the switch asks ctx
	}
	switch {
	case ctx.Err() != nil:
		return
	case err == nil && len(slots) < slotsOpen:
		err = fmt.Errorf("store %d has %d slots tomorrow", made.ID, len(slots))
		fallthrough
	case err != nil:
		r := c.record.begin(Request{Key: key, Account: seller.account, Kind: client.Event})
		r.Refused = err.Error()
		return
	}
	for _, s := range slots[:slotsOpen] {
		c.record.offered(s.Sale, tables)
		c.market.mu.Lock()
		c.market.tables = append(c.market.tables, table{made.ID, s.Sale, s.At})
		c.market.mu.Unlock()
	}
}

// book: he books a table, and mostly thinks better of it: another time, or none.
func (c *crowd) book(ctx context.Context, who *person, key string, t table) {
	e := errand{c, who, offer{Sale: client.Sale{ID: t.sale, Kind: client.Event}}, key}
	a, ok := e.ask(ctx, client.VerbReserve, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return who.api.ReserveSlot(ctx, t.store, t.at, key)
	})
	if !ok {
		return
	}
	if a.receipt.Status == client.Waiting {
		e.queue(ctx, a)
	}
	if a.receipt.Status == client.Held { // he waited, and it is to be paid
		e.end(ctx, a)
	}
	if a.receipt.Status != client.Confirmed || e.likely(keepShare) {
		return
	}
	if another, ok := c.market.other(who.dice, t); ok && e.likely(changeShare) {
		e.change(ctx, a, another)
		return
	}
	e.key += "-free"
	e.undo(ctx, a, client.VerbCancel, who.api.Cancel)
}

// change: both, or neither.
func (e errand) change(ctx context.Context, a *asked, to table) {
	e.key, e.ID = e.key+"-change", to.sale
	moved, ok := e.ask(ctx, client.VerbReserve, func(ctx context.Context, key client.CallOption) (client.Receipt, error) {
		return e.who.api.ChangeSlot(ctx, a.Answers[0], to.at, key)
	})
	switch {
	case !ok || moved.receipt.Status != client.Confirmed:
		e.ID = a.Sale
		e.undo(ctx, a, client.VerbCancel, e.who.api.Cancel)
	case e.until(ctx, a, func(r client.Receipt) bool { return r.Status != client.Confirmed }) && !e.likely(keepShare):
		e.undo(ctx, moved, client.VerbCancel, e.who.api.Cancel)
	}
}

// queue waits in the line of a slot for a while, and leaves it: it lasts until
// tomorrow. He leaves as often as it takes, since he may be promoted meanwhile.
func (e errand) queue(ctx context.Context, a *asked) {
	patience, cancel := context.WithTimeout(ctx, between(e.who.dice, 0, lineMost))
	defer cancel()
	e.until(patience, a, func(r client.Receipt) bool { return r.Status != client.Waiting })
	for n := 0; a.receipt.Status == client.Waiting && ctx.Err() == nil; n++ {
		leaving := e
		leaving.key = fmt.Sprintf("%s-leave%d", e.key, n)
		leaving.undo(ctx, a, client.VerbCancel, e.who.api.Cancel)
		seen := 0
		e.until(ctx, a, func(client.Receipt) bool { seen++; return seen > 1 }) // the first is what he knew
	}
}
