package receipts

import (
	"context"
	"sync"
	"time"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// What is known of the chances of sales.
const (
	chancesFor  = 200 * time.Millisecond // how old they may be: a crowd asks for one sale again and again
	chancesMost = 10_000                 // sales
)

// chances keeps those of the sales that are asked for.
type chances struct {
	mu    sync.Mutex
	known map[int64]*chance
}

type chance struct {
	partition.Chances
	read time.Time // the beginning; of what could not be read, too: nobody can tell then
	told bool      // whether there is anything to tell
}

// Outlook answers what to expect of a standing that is queued; "" for every other, and
// when nobody can tell.
func (r *Receipts) Outlook(ctx context.Context, s sale.Standing) sale.Outlook {
	if s.Status != sale.Queued || !s.Verb.Buys() {
		return ""
	}
	c := r.chances.of(s.Sale)
	if c == nil {
		p, _ := sale.PartitionOf(s.ID)
		read := chance{read: time.Now()}
		var err error
		if read.Chances, err = r.store.Chances(ctx, p, s.Sale); err == nil {
			read.told = true
		}
		r.chances.keep(s.Sale, &read)
		c = &read
	}
	if !c.told {
		return ""
	}
	return c.Outlook(s.Ahead, s.Quantity)
}

// of answers what is known of a sale, nil when it is to be read: then the next who ask
// get what was known before, until it has been.
func (c *chances) of(id int64) *chance {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.known[id]
	if known == nil {
		return nil
	}
	if now := time.Now(); now.Sub(known.read) > chancesFor {
		again := *known
		again.read = now
		c.known[id] = &again
		return nil
	}
	return known
}

func (c *chances) keep(id int64, known *chance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= chancesMost {
		c.known = map[int64]*chance{}
	}
	c.known[id] = known
}
