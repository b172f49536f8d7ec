package settlement

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/sale"
)

// jury stands in for a test while a cell is lived: it notes what is found, and who
// found it, instead of failing. So the same checkers can be asked whether they are
// content, and whether they see that something is wrong.
type jury struct {
	testing.TB
	mu    sync.Mutex
	asked string // the checker
	found []finding
}

// finding is what one of the checkers has to say.
type finding struct{ by, what string }

func (f finding) String() string { return f.by + ": " + f.what }

// stop ends a part that cannot go on.
type stop struct{}

func (j *jury) note(what string) { j.add(finding{j.asked, what}) }

func (j *jury) add(f finding) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.found = append(j.found, f)
}

// Error, Errorf, Fatal and Fatalf are a test's.
func (j *jury) Error(args ...any)                 { j.note(fmt.Sprint(args...)) }
func (j *jury) Errorf(format string, args ...any) { j.note(fmt.Sprintf(format, args...)) }
func (j *jury) Fatal(args ...any)                 { j.note(fmt.Sprint(args...)); panic(stop{}) }
func (j *jury) Fatalf(format string, args ...any) {
	j.note(fmt.Sprintf(format, args...))
	panic(stop{})
}

// part runs one part of a cell in the name of a checker.
func (j *jury) part(by string, do func()) {
	defer func() {
		if r := recover(); r != nil && r != any(stop{}) {
			panic(r)
		}
	}()
	j.asked = by
	do()
}

// judge asks every checker, when all is done and nobody works any more. This is the
// one that all cells, all stories and all twins share.
func (c *cell) judge() {
	c.j.part("model", c.likeTheModel)
	c.j.part("agreement", func() {
		for _, s := range c.sales {
			c.open(s)
			c.agree(s)
		}
	})
	c.j.part("once", c.endedOnce)
	c.j.part("repeat", c.repeatsTheSame)
	c.j.part("audit", func() {
		report, err := audit.New(c.store, c.ledger).Run(c.ctx)
		c.must(err)
		if report.Verdict != audit.OK || report.Unfinished != 0 {
			c.t.Errorf("%s, %d unfinished, rules %v: %+v", report.Verdict, report.Unfinished, report.Rules(), report.Broken)
		}
	})
}

// likeTheModel holds both stores against the naive telling of the rules.
func (c *cell) likeTheModel() {
	var ids []int64
	for _, s := range c.sales {
		ids = append(ids, s.ID)
	}
	c.alike(c.model, ids, !c.emptied)
}

// endedOnce reads the log: every request has ended in one outcome, once, the one
// that the model gave it in its turn; and whoever holds the receipt of a rejection
// is told so.
func (c *cell) endedOnce() {
	ended := map[uuid.UUID]int{}
	for from := c.from; ; {
		batches, err := c.ledger.BatchesAfter(c.ctx, 0, from, 100)
		c.must(err)
		if len(batches) == 0 {
			break
		}
		for _, b := range batches {
			for i, e := range b.Entries {
				o, want := b.Outcomes[i], c.outcomes[e.Receipt]
				if o.Stands {
					continue
				}
				ended[e.Receipt]++
				if o != want {
					c.t.Errorf("%s is %s %s, by the model %s %s", c.name(e.Receipt), o.Status, o.Reason, want.Status, want.Reason)
				}
			}
			from = b.Last
		}
	}
	for _, name := range c.asked {
		id := c.receipts[name].Receipt
		if n := ended[id]; n != 1 {
			c.t.Errorf("%s has ended %d times", name, n)
		}
		if o := c.outcomes[id]; o.Status == sale.Rejected {
			if r := c.receipt(id); r.Status != o.Status || r.Reason != o.Reason {
				c.t.Errorf("%s is shown as %s %s, by the model %s %s", name, r.Status, r.Reason, o.Status, o.Reason)
			}
		}
	}
}

// repeatsTheSame asks everything again: the same receipt, standing as it stands, and
// nothing new in the stream.
func (c *cell) repeatsTheSame() {
	before, err := c.store.Projection(c.ctx, 0, nil)
	c.must(err)
	for _, name := range c.asked {
		r := c.receipts[name]
		if c.emptied && c.early[name] && c.outcomes[r.Receipt].Status != sale.Rejected {
			continue // that is in Postgres, and who asks Redis has asked there first
		}
		stood := c.receipt(r.Receipt)
		again, err := c.repeat(r)
		c.must(err)
		if !again.Known || again.Status != stood.Status || again.Reason != stood.Reason {
			c.t.Errorf("%s asked again is %s %s, known %t; it stood %s %s", name, again.Status, again.Reason, again.Known, stood.Status, stood.Reason)
		}
	}
	after, err := c.store.Projection(c.ctx, 0, nil)
	c.must(err)
	if after.Seq != before.Seq {
		c.t.Errorf("%d requests were admitted again", after.Seq-before.Seq)
		c.drain(c.newest())
	}
}

// durable notes when Redis shows what Postgres does not have.
func (c *cell) durable() {
	hot, err := c.store.Projection(c.ctx, 0, nil)
	if err != nil {
		return // it is empty
	}
	cold, err := c.ledger.Watermark(c.ctx, 0)
	if err == nil && hot.Applied.Compare(cold.Applied) > 0 {
		c.j.add(finding{"durability", fmt.Sprintf("Redis shows outcomes up to %s, Postgres has them up to %s", hot.Applied, cold.Applied)})
	}
}
