package audit

import (
	"context"
	"slices"
	"time"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// evidence is what a patrol has against a sale.
type evidence struct {
	p         int
	at        []sale.EntryID // watermarks, each another
	redis     bool           // Redis is found wrong
	postgres  bool           // Postgres is
	findings  []Finding      // the first
	suspended bool           // already, at the last round
}

const (
	watermarksMost = 2 // enough to suspend a sale
	tellsMost      = 5 // findings of a sale that are logged
)

// story is a breach of the log, which is remembered for a while.
type story struct {
	Finding
	round int // in which it was met
	until time.Time
}

// hear takes a finding down: what is found of a live sale is evidence against it.
func (p *Patrol) hear(b *beat, f Finding) {
	if b.logged && len(p.stories) < storiesMost {
		p.stories = append(p.stories, story{f, p.rounds, time.Now().Add(remembers)})
	}
	if f.Sale == 0 {
		p.tell(f)
		return
	}
	e := p.evidence[f.Sale]
	if e == nil {
		e = &evidence{p: b.p}
		p.evidence[f.Sale] = e
	}
	if e.suspended {
		return
	}
	e.redis = e.redis || b.redis
	e.postgres = e.postgres || !b.redis && !b.logged
	if len(e.findings) < tellsMost {
		e.findings = append(e.findings, f)
		p.tell(f)
	}
	if !slices.Contains(e.at, b.at) {
		e.at = append(e.at, b.at)
	}
}

// tell logs a finding.
func (p *Patrol) tell(f Finding) {
	p.log.Error().Str("rule", string(f.Rule)).Int("partition", f.Partition).Int64("sale", f.Sale).Str("detail", f.Detail).Msg("audit found something broken")
}

// judge suspends each sale that was found broken at two watermarks. The request is the
// same for everybody who has the same evidence, and one that was refused, by an owner of
// the release before, is not repeated: it takes new evidence, which comes at once.
func (p *Patrol) judge(ctx context.Context) {
	for id, e := range p.evidence {
		if e.suspended || len(e.at) < watermarksMost {
			continue
		}
		last := e.at[len(e.at)-1]
		r := sale.Request{Receipt: sale.TickReceiptID(e.p, id, sale.Suspend, last.At, last.No), Verb: sale.Suspend, Sale: id}
		standing, err := p.store.Admit(ctx, e.p, r, partition.Anytime, partition.Limits{Backlog: sale.MaxPoints})
		if err == nil && e.redis && !e.postgres {
			err = p.store.Forget(ctx, e.p, id)
		}
		if err != nil { // the evidence stays
			p.log.Warn().Err(err).Int64("sale", id).Int("partition", e.p).Msg("sale not suspended, trying again")
			continue
		}
		delete(p.evidence, id)
		if !standing.Known {
			p.metrics.suspensions.Inc()
		}
		p.log.Error().Int64("sale", id).Int("partition", e.p).Stringer("receipt", r.Receipt).Bool("reloaded", e.redis && !e.postgres).
			Stringer("first", e.at[0]).Stringer("last", last).Str("rule", string(e.findings[0].Rule)).Str("detail", e.findings[0].Detail).
			Msg("sale suspended: it was found broken twice")
	}
}

// pardon forgets what was held against sales that have been resumed since, and marks those
// that are suspended: there is nothing more to be done about them.
func (p *Patrol) pardon(live sale.State) {
	for id, s := range live {
		switch e := p.evidence[id]; {
		case s.Suspended && (e == nil || !e.suspended):
			p.evidence[id] = &evidence{p: s.Partition, suspended: true}
		case !s.Suspended && e != nil && e.suspended:
			delete(p.evidence, id)
			p.stories = slices.DeleteFunc(p.stories, func(told story) bool { return told.Sale == id })
		}
	}
}

// recall adds the breaches of the log that rounds before have met.
func (p *Patrol) recall(n *notes) {
	now, kept := time.Now(), p.stories[:0]
	for _, told := range p.stories {
		if now.After(told.until) {
			continue
		}
		kept = append(kept, told)
		if told.round != p.rounds {
			if told.Rule == Inversions {
				n.Inversions++
			}
			n.found(told.Rule, told.Partition, told.Sale, "%s", told.Detail)
		}
	}
	p.stories = kept
}
