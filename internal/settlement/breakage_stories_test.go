package settlement

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/sale"
)

// stories are the ways in which a batch is met. What breaks, breaks in one of them.
var stories = map[string]func(*cell){
	// An owner comes, and settles.
	"settles": func(c *cell) {
		c.arm()
		c.ask(everything)
		c.works()
	},
	// He has several batches to settle, so he looks ahead and lets them come into view
	// behind him: mostly bids, for whose sake that is done, then whatever there is.
	"ahead": func(c *cell) {
		c.owner.most = 3
		c.arm()
		c.ask(`
			lamp.d: bid d lamp
			lamp.e: bid e lamp 9
			lamp.c1: bid c lamp
			lamp.c2: bid c lamp 3
			lamp.e2: bid e lamp
			off.d: claim d off
			off.e: claim e off
			off.d2: claim d off
			lamp.e3: bid e lamp 3` + everything)
		c.works()
	},
	// He settles nothing but bids.
	"bids": func(c *cell) {
		c.ask(`
			lamp.d: bid d lamp
			lamp.e: bid e lamp 9
			lamp.c: bid c lamp 2`)
		c.works()
	},
	// He finds a Redis that is back from an older backup: the log has what it lacks.
	"older": func(c *cell) {
		back := c.dump()
		c.ask(`
			cancel.c: cancel c chair.c
			lamp.d: bid d lamp`)
		c.drain(c.newest())
		back()
		c.works()
		c.ask(everything)
		c.works()
	},
	// That happens to him between his View and his Apply.
	"older under its owner": func(c *cell) {
		c.ask(`
			cancel.c: cancel c chair.c
			lamp.d: bid d lamp`)
		c.must(c.owner.take(c.ctx))
		back := c.dump()
		c.must(c.goOn(c.owner))
		c.ask(everything)
		c.p.will(&breaks{effect: "apply", nth: 1, manner: stalls, aside: back})
		c.works()
	},
	// He finds an empty Redis: Postgres has the sales.
	"empty": func(c *cell) {
		c.must(c.plain.FlushAll(c.ctx).Err())
		for _, name := range c.asked {
			c.early[name] = true
		}
		c.emptied = true
		c.works()
		c.ask(everything)
		c.works()
	},
	// A seller has changed a sale, and died before he could make Redis forget it.
	"edited": func(c *cell) {
		_, err := c.ledger.EditSale(c.ctx, c.sales["later"].ID, func(s *sale.Stand, _ sale.Instant) error {
			s.Limit = 2
			return nil
		})
		c.must(err)
		c.ask(everything)
		c.works()
	},
	// Somebody else has taken over in Postgres, and Redis has not heard of it yet.
	"outrun": func(c *cell) {
		c.ask(everything)
		c.p.will(&breaks{effect: "begin", nth: 1, manner: stalls, aside: c.overtake})
		c.works()
	},
	// One entry cannot be read.
	"unreadable": func(c *cell) {
		c.ask(everything)
		c.tear("torn: bid f lamp")
		c.ask(`next: bid poor evening`)
		c.works()
	},
	// Postgres refuses the data of one.
	"poison": func(c *cell) {
		c.refuse(c.venom)
		c.ask(everything + `
			poison: bid f lamp
			neighbour: claim d off`)
		c.works()
	},
	// All of it by a consumer, whose lease runs beside its work.
	"a consumer": func(c *cell) {
		c.ask(everything)
		c.consume()
	},
}

// tear has a request admitted, and its entry written by a version that we cannot
// read.
func (c *cell) tear(line string) {
	_, r, err := c.read(line)
	c.must(err)
	_, err = c.repeat(r)
	c.must(err)
	raw := c.plain
	was, err := raw.XRevRangeN(c.ctx, "{s0}:log", "+", "-", 1).Result()
	c.must(err)
	c.must(raw.XDel(c.ctx, "{s0}:log", was[0].ID).Err())
	form := "\x63" + string(r.Receipt[:]) + "rest of a later version"
	c.must(raw.XAdd(c.ctx, &redis.XAddArgs{Stream: "{s0}:log", Values: []any{"q", was[0].Values["q"], "g", was[0].Values["g"], "e", form}}).Err())
	c.hear()
}

// consume runs a consumer until everything is settled and it has renewed its lease,
// or it dies. Then it hands over.
func (c *cell) consume() {
	consumer := New("consumer", c.p.store, c.p.ledger, zerolog.Nop(), prometheus.NewRegistry())
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	c.arm()
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
	c.until("the consumer gets through", func() bool {
		return c.p.isDead() || c.settled() && c.p.count("keep") > 0 && len(consumer.Owned()) == 1
	})
	stop()
	<-ended                                        // an error when it was dead
	c.owner, c.rival = nil, nil                    // a lease taken again goes with a later epoch
	c.must(c.plain.Del(c.ctx, "{s0}:owner").Err()) // the time of a lease that was not given back is over
	c.works()
}
