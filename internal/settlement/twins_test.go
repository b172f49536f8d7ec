package settlement

import (
	"context"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// twin is a process that is wrong on purpose, in one way that somebody once thought
// was good enough, and the cell of the matrix that shows it. Its mistake is made in
// the real thing where it can be: a line of a script, a clause of a statement. A
// line that is not there any more fails the test.
type twin struct {
	name     string
	rewrites []rewrite
	twist    func(*cell)

	story  string
	breaks *breaks // in that story; nil: nothing, it is wrong on the best of days
	caught string  // the checker that must see it; others may
}

var twins = []twin{
	{
		name: "Apply before COMMIT", caught: "durability",
		twist: func(c *cell) { c.work = c.hasty },
		story: "settles", breaks: &breaks{effect: "commit", manner: refused},
	},
	{
		name: "no fence in Postgres", caught: "audit",
		// The log's own rule, one batch after each, would stop it as well.
		twist: func(c *cell) { c.sql(`alter table batches drop constraint batches_partition_prev_ms_prev_no_key`) },
		rewrites: []rewrite{{
			in:   "set applied_ms = $4",
			from: "where id = $1 and epoch = $2 and (applied_ms, applied_no) = ($3, $7)",
			to:   "where id = $1 and $2::bigint is not null and ($3::bigint, $7::bigint) is not null",
		}},
		story: "bids", breaks: &breaks{effect: "begin", manner: stalls}, // of holds and lines Settle would see that they are no more
	},
	{
		name: "no fence in Redis", caught: "progress",
		rewrites: []rewrite{
			{"lead.lua", "if p[1] and tonumber(p[1]) > tonumber(epoch) then", "if false then"},
			{"view.lua", "if p[1] ~= epoch then", "if false then"},
			{"apply.lua", "if p[1] ~= epoch then", "if false then"},
			{"rebuild.lua", "if p[1] ~= epoch then", "if false then"},
		},
		story: "settles", breaks: &breaks{effect: "lead", manner: stalls},
	},
	{
		name: "GET first, DECR later", caught: "audit",
		twist: func(c *cell) { c.work = c.naive },
		story: "settles",
	},
	{
		name: "a stream bounded by MAXLEN", caught: "once",
		rewrites: []rewrite{{"admit.lua", "redis.call('XADD', stream, stream_time", "redis.call('XADD', stream, 'MAXLEN', '16', stream_time"}},
		story:    "settles",
	},
	{
		name: "Apply without the watermark", caught: "agreement",
		rewrites: []rewrite{{"apply.lua", "if applied ~= prev then", "if false then"}},
		story:    "older under its owner",
	},
	{
		name: "the log ignored at takeover", caught: "agreement",
		twist: func(c *cell) { c.p.instead = c.skipping },
		story: "settles", breaks: &breaks{effect: "commit", manner: lost},
	},
	{
		name: "a retry that is not recognised", caught: "repeat",
		rewrites: []rewrite{{"admit.lua", "if known then", "if false then"}},
		story:    "settles", breaks: &breaks{effect: "admit", manner: lost},
	},
	{
		name: "read through a consumer group", caught: "progress",
		twist: func(c *cell) { c.p.instead = c.grouped },
		story: "settles", breaks: &breaks{effect: "xread", manner: lost},
	},
	{
		name: "promoted with the pay_by of his request", caught: "model",
		rewrites: []rewrite{{
			in:   "update receipts",
			from: "pay_by = m.pay_by",
			to: "pay_by = case when m.status = 'held' and receipts.status = 'waiting'" +
				" then receipts.at + (select s.hold_ms * interval '1 ms' from sales s where s.id = receipts.sale) else m.pay_by end",
		}},
		story: "settles",
	},
}

// TestTwins: in the cell that shows a twin every checker is content with the honest
// process, and the named one is not with the twin.
func TestTwins(t *testing.T) {
	honest := newHouse(t)
	for _, w := range twins {
		t.Run(w.name, func(t *testing.T) {
			for _, f := range honest.lent(t, func() []finding { return honest.cell(w.story, w.plan()).live() }) {
				t.Errorf("the honest one: %s", f)
			}
			h := newHouse(t)
			c := h.cell(w.story, w.plan(), w.rewrites...)
			if w.twist != nil {
				w.twist(c)
			}
			found := c.live()
			var by []string
			for _, f := range found {
				if !slices.Contains(by, f.by) {
					by = append(by, f.by)
				}
			}
			t.Logf("caught by %v, first %.300s", by, append(found, finding{})[0])
			if !slices.Contains(by, w.caught) || slices.Contains(by, "matrix") || slices.Contains(by, "beginning") {
				t.Errorf("not caught by %s: %v", w.caught, found)
			}
		})
	}
}

func (w twin) plan() *breaks {
	if w.breaks == nil {
		return nil
	}
	b := *w.breaks
	return &b
}

// hasty makes a batch visible when Postgres has been told of it, but has not
// committed it.
func (c *cell) hasty(o *owner) error {
	b, err := c.next(o)
	if err != nil {
		return err
	}
	c.p.will(&breaks{effect: "insert batches", manner: stalls, aside: func() { _ = o.store.Apply(c.ctx, o.mark.Epoch, b, 0) }})
	if _, err := o.settle(c.ctx, &b, &outlook{entries: b.Entries}); err != nil {
		return err
	}
	o.mark.Applied, o.mark.Seq = b.Last, b.Seq
	return nil
}

// naive reads how things stand once, and decides two batches on it before it takes
// away what they took.
func (c *cell) naive(o *owner) error {
	all, err := c.next(o)
	if err != nil {
		return err
	}
	stood, err := c.all(o)
	if err != nil {
		return err
	}
	half := (len(all.Entries) + 1) / 2
	for _, entries := range [][]sale.Entry{all.Entries[:half], all.Entries[half:]} {
		if len(entries) == 0 {
			break
		}
		b := all
		b.Prev, b.Last, b.Seq, b.Entries, b.State = o.mark.Applied, entries[len(entries)-1].ID, entries[len(entries)-1].Seq, entries, stood
		if err := o.ledger.Settle(c.ctx, &b); err != nil {
			return err
		}
		if err := o.store.Apply(c.ctx, o.mark.Epoch, b, 0); err != nil {
			return err
		}
		o.mark.Applied, o.mark.Seq = b.Last, b.Seq
	}
	return nil
}

// next is the batch that an owner would settle next.
func (c *cell) next(o *owner) (b sale.Batch, err error) {
	entries, err := o.store.Read(c.ctx, 0, o.mark.Applied, batchMost)
	if err != nil {
		return b, err
	}
	last := entries[len(entries)-1]
	b = sale.Batch{Epoch: o.mark.Epoch, Prev: o.mark.Applied, Last: last.ID, Seq: last.Seq, Entries: entries}
	b.Facts.Generation = o.mark.Generation
	return b, nil
}

// all is how every sale stands.
func (c *cell) all(o *owner) (sale.State, error) {
	var ids []int64
	for _, s := range c.sales {
		ids = append(ids, s.ID)
	}
	hot, err := o.store.Projection(c.ctx, 0, ids)
	return hot.Sales, err
}

// skipping believes, when it takes over, that Redis has whatever Postgres has.
func (c *cell) skipping(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) redis.ProcessHook {
	if name, _ := c.p.named(cmd); name == "lead" {
		mark, err := c.ledger.Watermark(ctx, 0)
		if err == nil {
			err = c.plain.HSet(ctx, "{s0}", "applied", mark.Applied.String(), "applied_seq", mark.Seq).Err()
		}
		if err != nil {
			c.j.note(err.Error())
		}
	}
	return next
}

// grouped asks a consumer group what nobody has been given yet, instead of what
// stands behind the watermark.
func (c *cell) grouped(_ context.Context, cmd redis.Cmder, next redis.ProcessHook) redis.ProcessHook {
	if cmd.Name() != "xread" {
		return next
	}
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := c.plain.XGroupCreate(ctx, "{s0}:log", "owners", c.settledAt().String()).Err()
		if err != nil && !redis.HasErrorPrefix(err, "BUSYGROUP") {
			return err
		}
		asked := redis.NewXStreamSliceCmd(ctx, "xreadgroup", "group", "owners", "owner", "count", batchMost, "streams", "{s0}:log", ">")
		err = next(ctx, asked)
		cmd.(*redis.XStreamSliceCmd).SetVal(asked.Val())
		cmd.SetErr(err)
		return err
	}
}

// settledAt is the watermark in Redis.
func (c *cell) settledAt() sale.EntryID {
	hot, err := c.store.Projection(c.ctx, 0, nil)
	if err != nil {
		c.j.note(err.Error())
	}
	return hot.Applied
}
