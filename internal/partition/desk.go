package partition

import (
	"context"
	"slices"
	"sync"
)

// deskMost is how many questions are put together at most: Redis does nothing else
// meanwhile, and takes a few µs for each.
const deskMost = 100

// desk puts the questions about one partition that come at the same time to Redis
// together, in the order in which they came. Whoever finds nobody asking asks at once;
// whoever comes while somebody is asking stands in line, and the first in line asks
// next, for all who stand in it by then. So the more come, the less each of them costs,
// and nobody waits for company.
//
//	alone   ask ──▶ answer
//	crowd   ask ──────▶ answer        the first of the line
//	          wait ─────▶ ask ──────▶ answer
//	            wait ───────────────▶ answer      had his question asked by him
type desk[Q any] struct {
	ask func(ctx context.Context, questions []*Q) // puts them, and notes each answer in its question

	mu   sync.Mutex
	busy bool
	line []*inLine[Q]
}

// inLine is who waits at a desk.
type inLine[Q any] struct {
	question *Q
	called   chan []*inLine[Q] // those to ask for, himself first; none when his question was asked
}

// put has a question asked, and returns when it is answered. It returns ctx's error when
// that ends first; then it is not known whether the question was asked.
func (d *desk[Q]) put(ctx context.Context, question *Q) error {
	d.mu.Lock()
	if !d.busy {
		d.busy = true
		d.mu.Unlock()
		d.lead(ctx, []*Q{question}, nil)
		return nil
	}
	me := &inLine[Q]{question, make(chan []*inLine[Q], 1)}
	d.line = append(d.line, me)
	d.mu.Unlock()
	select {
	case party := <-me.called:
		d.leadAll(ctx, party)
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	if i := slices.Index(d.line, me); i >= 0 {
		d.line = slices.Delete(d.line, i, i+1)
	}
	d.mu.Unlock()
	select {
	case party := <-me.called: // at the very end: somebody must ask for them
		d.leadAll(ctx, party)
		return nil
	default:
		return ctx.Err()
	}
}

// leadAll asks for a party, if there is one to ask for.
func (d *desk[Q]) leadAll(ctx context.Context, party []*inLine[Q]) {
	if len(party) == 0 {
		return
	}
	questions := make([]*Q, len(party))
	for i, one := range party {
		questions[i] = one.question
	}
	d.lead(ctx, questions, party[1:])
}

// lead asks, tells those who wait for it, and calls the first of who has come meanwhile.
// It goes on when ctx ends: it is not only for who leads.
func (d *desk[Q]) lead(ctx context.Context, questions []*Q, waiting []*inLine[Q]) {
	defer func() {
		for _, one := range waiting {
			one.called <- nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.line) == 0 {
			d.busy = false
			return
		}
		party := slices.Clone(d.line[:min(len(d.line), deskMost)])
		d.line = slices.Delete(d.line, 0, len(party))
		party[0].called <- party
	}()
	d.ask(context.WithoutCancel(ctx), questions)
}

// desks are those of one partition.
type desks struct {
	admission desk[admitting]
	reading   desk[reading]
}

// openDesks opens those of all partitions.
func (s *Store) openDesks() {
	s.desks = make([]desks, s.n)
	for p := range s.desks {
		s.desks[p].admission.ask = func(ctx context.Context, all []*admitting) { s.admitAll(ctx, p, all) }
		s.desks[p].reading.ask = func(ctx context.Context, all []*reading) { s.readAll(ctx, p, all) }
	}
}
