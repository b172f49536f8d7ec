package settlement

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// cell is one case of the matrix: a story, lived by a process of its own in a house
// that it shares with other cells, in which one effect breaks.
type cell struct {
	*house
	j     *jury
	story string
	p     *process
	b     *breaks // what breaks; nil: nothing
	armed bool

	work  func(*owner) error // a step; twins have others
	owner *owner             // of the process
	rival *owner             // of the house, who took over while the process stalled

	book
	early    map[string]bool // asked before the story's own event
	model    *saletest.Model
	outcomes map[uuid.UUID]sale.Outcome // as the model said them
	from     sale.EntryID               // where the cell begins in the log
	heard    sale.EntryID               // where the model is in the stream
	began    sale.Instant
	venom    int64 // a buyer whose receipts Postgres refuses
	edits    bool  // the seller of "later" changes it
	emptied  bool  // Redis has forgotten what was early
}

// cell prepares one: b is what breaks in it.
func (h *house) cell(story string, b *breaks, twin ...rewrite) *cell {
	h.t.Helper()
	idle := time.Duration(0)
	if b != nil && b.manner == stalls {
		idle = 300 * time.Millisecond // as long as whoever takes over waits for it
	}
	c := &cell{
		house: h, story: story, b: b, p: h.newProcess(idle, twin...), book: newBook(), early: map[string]bool{}, outcomes: map[uuid.UUID]sale.Outcome{},
		work: func(o *owner) error { return o.step(h.ctx) },
	}
	c.owner = newOwner(New("one", c.p.store, c.p.ledger, zerolog.Nop(), prometheus.NewRegistry()), 0)
	return c
}

// live lives it to its end, and answers what the checkers found.
func (c *cell) live() []finding {
	test := c.t
	c.j = &jury{TB: test}
	c.t = c.j
	defer func() { c.t = test }()
	defer c.p.close()
	c.j.part("beginning", c.begin)
	if len(c.j.found) == 0 {
		c.j.part("progress", func() { stories[c.story](c) })
		c.j.part("progress", c.afterwards)
		c.judge()
	}
	if c.b != nil && !c.p.broke(c.b) {
		c.j.add(finding{"matrix", fmt.Sprintf("%s is not met so often", c.b.effect)})
	}
	return c.j.found
}

// cast is who plays, and what there is.
func (c *cell) cast() {
	hot, err := c.store.Projection(c.ctx, 0, nil)
	c.must(err)
	c.from, c.heard = hot.Applied, hot.Applied
	c.began = max(hot.Applied.At+1, sale.At(time.Now()))
	for i, id := range c.buyers(6, 1000) {
		c.people[string(rune('a'+i))] = id
	}
	c.people["poor"] = c.buyers(1, 50)[0]
	c.venom = c.people["f"]
	sellers, err := c.ledger.CreateAccounts(c.ctx, "seller", 1, 0)
	c.must(err)
	c.people["seller"] = sellers[0]

	hour, at := sale.Instant(time.Hour/time.Millisecond), c.began
	lamp := sale.Sale{
		Kind: sale.Auction, Stock: 5, Limit: 3, OpensAt: at, ClosesAt: at + hour,
		Price: sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour}, RefundWindow: sale.DefaultRefund,
	}
	old, later := lamp, lamp
	old.ClosesAt, old.Price.Period = at+30_000, 30*time.Second
	later.OpensAt, later.ClosesAt, later.Limit = at+2*hour, at+3*hour, 1
	chair := sale.Sale{
		Kind: sale.Reservation, Stock: 2, Limit: 1, OpensAt: at, ClosesAt: at + hour,
		Price: sale.Price{Policy: sale.Fixed, Start: 100}, Hold: 10 * time.Minute, LineMost: 10, RefundWindow: sale.DefaultRefund,
	}
	stool, evening := chair, chair
	stool.Stock, stool.Hold = 1, 5*time.Second
	evening.Kind, evening.Stock, evening.Price.Start = sale.Event, 1, 50
	off := sale.Sale{
		Kind: sale.Coupon, Stock: 3, Limit: 1, OpensAt: at, ClosesAt: at + hour, Price: sale.Price{Policy: sale.Fixed},
		AmountOff: 30, ValidFrom: at, ValidUntil: at + hour,
	}
	var all []sale.Sale
	for name, s := range map[string]sale.Sale{"lamp": lamp, "old": old, "later": later, "chair": chair, "stool": stool, "evening": evening, "off": off} {
		s.Seller, s.Title, s.ShowStock = c.people["seller"], name, true
		s, err := c.ledger.CreateSale(c.ctx, s, 1)
		c.must(err)
		c.sales[name] = s
		if name == "later" && c.edits {
			s.Limit = 2
		}
		all = append(all, s)
	}
	points := map[int64]int64{}
	for _, id := range c.people {
		points[id] = c.points(id)
	}
	mark, err := c.ledger.Watermark(c.ctx, 0)
	c.must(err)
	c.model = saletest.NewModel(mark.Generation, all, points)
}

// begin casts, and has somebody else's owner settle what comes before: whatever
// breaks later has something to lose.
func (c *cell) begin() {
	o := c.house.owner(0)
	c.drain(o)
	c.edits = c.story == "edited"
	c.cast()
	c.must(c.plain.HSet(c.ctx, "{s0}", "clock", int64(c.began)).Err())
	c.ask(`
		A: claim a off
		B: claim b off
		old.a: bid a old
		old.b: bid b old
		chair.a: reserve a chair
		chair.b: reserve b chair using B
		chair.c: reserve c chair
		chair.d: reserve d chair
		stool.a: reserve a stool
		stool.b: reserve b stool
		stool.c: reserve c stool
		evening.d: join d evening
		evening.e: join e evening
		lamp.poor: bid poor lamp
		lamp.a: bid a lamp 2
		soon: bid a later`)
	c.drain(o)
	// A minute later: a sale is over, and holds have ended that nobody has looked at.
	c.must(c.plain.HSet(c.ctx, "{s0}", "clock", int64(c.began.Add(time.Minute))).Err())
}

// everything is a batch that touches whatever a batch can touch.
const everything = `
	pay.a: pay a chair.a
	cancel.b: cancel b chair.b
	refund.a: refund a old.a
	lamp.b: bid b lamp using B
	C: claim c off
	lamp.c: bid c lamp using A
	late.a: pay a stool.a
	cancel.d: cancel d evening.d
	none: bid e lamp 3
	exact: bid e lamp price 90 exact
	much: bid a lamp 2
	more: change seller lamp 2
	lamp.e: bid e lamp 3
	early: bid e later
	chair.e: reserve e chair
	tick: expire stool
	payout: payout old`

// afterwards goes on with whoever is the owner now, and ends with one who finds
// everything as the others left it.
func (c *cell) afterwards() {
	c.ask(`
		pay.c: pay c chair.c
		pay.e: pay e evening.e
		chair.b2: reserve b chair
		cancel.a: cancel a chair.a
		rest: bid d lamp
		close: close old`)
	c.works()
	c.drain(c.newest())
}

// newest is one who takes over from whoever was there.
func (c *cell) newest() *owner { return c.house.owner(0) }

// ask admits what the lines say, through the process as long as it lives, and again
// when it is not known whether it was admitted. The model hears it from the stream.
func (c *cell) ask(text string) {
	c.t.Helper()
	for _, line := range lines(text) {
		name, r, err := c.read(line)
		c.must(err)
		for tries := 0; ; tries++ {
			_, err := c.repeat(r)
			if err == nil {
				break
			}
			if tries == 5 {
				c.t.Fatalf("%s is not admitted: %v", name, err)
			}
		}
	}
	c.hear()
}

// repeat asks once more.
func (c *cell) repeat(r sale.Request) (sale.Standing, error) {
	store := c.p.store
	if c.p.isDead() {
		store = c.store
	}
	return store.Admit(c.ctx, 0, r, partition.Anytime, partition.Limits{Backlog: 1 << 30})
}

// hear tells the model what is new in the stream.
func (c *cell) hear() {
	c.t.Helper()
	last, err := c.plain.XRevRangeN(c.ctx, "{s0}:log", "+", "-", 1).Result()
	c.must(err)
	if len(last) == 0 || last[0].ID == c.heard.String() {
		return
	}
	entries, err := c.store.Read(c.ctx, 0, c.heard, 500)
	c.must(err)
	for _, e := range entries {
		c.heard = e.ID
		if e.Buyer == c.venom && strings.Contains(c.story, "poison") {
			e = bare(e)
		}
		if o := c.model.Hear(e); !o.Stands {
			c.outcomes[e.Receipt] = o
		}
	}
}

// settled says whether everything admitted is applied.
func (c *cell) settled() bool {
	hot, err := c.store.Projection(c.ctx, 0, nil)
	return err == nil && hot.Settled == hot.Seq
}

// works has whoever is the owner do what there is to do. One that cannot go on is
// followed by the next.
func (c *cell) works() {
	c.t.Helper()
	c.arm()
	if c.owner != nil {
		err := c.goOn(c.owner)
		switch {
		case err == nil:
			return
		case c.p.isDead(), fenced(err):
		default:
			c.t.Errorf("the owner does not get through: %v", err)
		}
		c.owner = nil
	}
	err := c.takeOver()
	if fenced(err) && c.story == "a consumer" && c.p.isDead() {
		// Its lease runs beside its work: it may have died while Postgres had its
		// raising of the epoch in hand, which then is later than that of whoever
		// took over. It has no second one.
		c.rival = nil
		err = c.takeOver()
	}
	if err != nil {
		c.t.Errorf("who took over does not get through: %v", err)
	}
}

// takeOver has the rival do what there is to do; one is found where there is none.
func (c *cell) takeOver() error {
	if c.rival == nil {
		c.rival = newOwner(c.consumer("next"), 0)
	}
	return c.goOn(c.rival)
}

// fenced says whether another owner came later.
func fenced(err error) bool {
	return errors.Is(err, ledger.ErrFenced) || errors.Is(err, partition.ErrFenced)
}

// arm has the process break from now on.
func (c *cell) arm() {
	if c.b == nil || c.armed {
		return
	}
	c.armed = true
	if c.b.manner == stalls {
		c.b.aside = c.overtake
	}
	c.p.will(c.b)
}

// overtake is what happens while the process stalls: it is taken for dead, the world
// goes on, and another owner does its work.
func (c *cell) overtake() {
	c.j.part("progress", func() {
		c.rival = newOwner(c.consumer("rival"), 0)
		err := c.rival.take(c.ctx)
		if err == nil {
			c.ask("meanwhile: claim d off")
			err = c.goOn(c.rival)
		}
		if c.story == "a consumer" && fenced(err) {
			return // only one beat of it stalls: the rest may take the partition back
		}
		if err != nil {
			c.t.Errorf("nobody can take over: %v", err)
		}
	})
}

// goOn drives an owner as run does, without its pauses, until all is settled. It
// answers what ends an owner, or what it cannot get over.
func (c *cell) goOn(o *owner) error {
	synced := o.mark.Epoch != 0
	var faults []error
	for steps := 0; len(faults) < 60; steps++ {
		if steps == 200 {
			return errors.New("it works and works, and some are never settled")
		}
		var err error
		switch {
		case o.mark.Epoch == 0:
			err = o.take(c.ctx)
		case !synced:
			err = o.sync(c.ctx)
		case c.settled():
			return o.land()
		default:
			err = c.work(o)
		}
		if synced = err == nil; synced {
			continue
		}
		c.durable()
		if fenced(err) || o.store == c.p.store && c.p.isDead() {
			return err
		}
		faults = append(faults, err)
	}
	return fmt.Errorf("after %d faults, the last: %w", len(faults), faults[len(faults)-1])
}
