package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// A patrol must not be felt. A round rests for so many times as long as it took, so that
// it has at most a twentieth of the time of one core; what is too much for one round is
// left out, and it begins again where the log ends.
const (
	restsFor    = 19
	walksMost   = 10_000           // requests of a partition, in one round
	glimpseMost = 256              // sales read in one step of Redis
	roundMost   = 30 * time.Second // nobody waits for ever for a server that hangs
	sumsEvery   = time.Minute      // between two sums over all wallets
	remembers   = time.Hour        // how long a breach of the log is told: it is met once
	storiesMost = 1000             // of these
	calmFor     = 3                // times longer than else a patrol rests that found nothing new, and nothing broken
)

// Patrol audits live sales round after round, in one process at a time. Of each partition
// it keeps how the log has left every live sale, and follows the log from there:
//
//	Redis ──glimpse──▶ at watermark a        log  prev ──▶ … ──▶ a ──▶ … ──▶ b
//	Postgres ──glance──▶ at watermark b                          ╰ Redis must say this
//	                                                                       ╰ Postgres must say this
//
// Redis is looked at first, so that a is never behind what the log is followed to: the
// stores need not hold still to be compared. Each batch is judged as an Audit does it
// (chain, replay, continuity, record, turns); the books are not added up, but for points
// (conservation) and the escrows of live sales.
//
// A sale that is found broken at two watermarks is suspended, through its own stream.
// Where Redis alone is wrong, its copy is forgotten as well: it is loaded again from
// Postgres. What is found of no sale is told, and that is all.
type Patrol struct {
	store   *partition.Store
	ledger  *ledger.Ledger
	every   time.Duration
	leads   func() bool
	log     zerolog.Logger
	metrics *patrolMetrics

	beats    []*beat
	evidence map[int64]*evidence
	stories  []story // of the log, which is met once
	rounds   int
	sumsAt   time.Time
	points   int64 // that all wallets together have too many, at the last sum
}

// NewPatrol answers one that goes its round every so often, at most, while leads says so;
// 0: never.
func NewPatrol(store *partition.Store, ledger *ledger.Ledger, every time.Duration, leads func() bool, log zerolog.Logger, registry prometheus.Registerer) *Patrol {
	p := &Patrol{store: store, ledger: ledger, every: every, leads: leads, log: log, metrics: newPatrolMetrics(registry)}
	p.forget()
	return p
}

// forget begins anew: another process may have led meanwhile.
func (p *Patrol) forget() {
	p.beats = make([]*beat, p.store.Partitions())
	for at := range p.beats {
		p.beats[at] = &beat{p: at}
	}
	p.evidence, p.stories, p.sumsAt, p.points = map[int64]*evidence{}, nil, time.Time{}, 0
}

// Run goes round until ctx ends.
func (p *Patrol) Run(ctx context.Context) error {
	if p.every <= 0 { // it is switched off
		<-ctx.Done()
		return ctx.Err()
	}
	for led := false; ; {
		pause := p.every
		switch leads := p.leads(); {
		case !leads && led:
			p.forget()
			p.metrics.rest()
			led = false
		case leads:
			led = true
			began := time.Now()
			if p.round(ctx) {
				pause *= calmFor
			}
			pause = max(pause, restsFor*time.Since(began))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// round is one round; that it is not finished is no reason to end. It answers whether the
// next one has time.
func (p *Patrol) round(ctx context.Context) (calm bool) {
	report, err := p.Round(ctx)
	if err != nil && ctx.Err() == nil {
		p.metrics.rounds.WithLabelValues("failed").Inc()
		p.log.Warn().Err(err).Msg("audit round not finished, trying again")
	}
	return err == nil && p.calm(report)
}

// calm says that all is well, nothing is suspected, and nothing was settled since the
// round before: so whatever is wrong was done by hand, and nobody sells on it.
func (p *Patrol) calm(r Report) bool {
	return r.Verdict == OK && r.Requests == 0 && len(p.evidence) == 0
}

// Round audits once what is new since the round before, in every partition, and suspends
// what has to be. Its report tells of the sales and requests that it looked at; of the
// breaches those of the log that are remembered, too. An error says that it could not be
// finished: the next one goes on where it was.
func (p *Patrol) Round(ctx context.Context) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, roundMost)
	defer cancel()
	began := time.Now()
	p.rounds++
	n := &notes{breaches: map[Rule]int64{}}
	n.Broken, n.Partitions = []Finding{}, len(p.beats)
	for _, b := range p.beats {
		n.heard = func(f Finding) { p.hear(b, f) }
		compared, err := p.walk(ctx, n, b)
		if err != nil {
			return n.Report, fmt.Errorf("audit partition %d: %w", b.p, err)
		}
		if !compared {
			n.Report.Busy = append(n.Report.Busy, b.p)
		}
	}
	n.heard = p.tell
	if err := p.sums(ctx, n); err != nil {
		return n.Report, fmt.Errorf("audit the points: %w", err)
	}
	p.judge(ctx)
	n.heard = nil
	p.recall(n)
	took := time.Since(began)
	n.sumUp(took)
	p.metrics.finished(n, p.points, took)
	return n.Report, nil
}

// Redis may be a moment behind what was read of Postgres: its owner has committed and not
// yet applied.
const (
	looksMost = 8
	looksWait = 2 * time.Millisecond
)

// walk follows the log of a partition to its end, and compares both stores with it. It
// answers false when they could not be.
func (p *Patrol) walk(ctx context.Context, n *notes, b *beat) (compared bool, err error) {
	for looks := 1; ; looks++ {
		if b.walk == nil {
			if err := p.begin(ctx, b); err != nil {
				return false, err
			}
		}
		glimpses, behind, err := p.look(ctx, b)
		if err != nil {
			return false, err
		}
		if behind && looks < looksMost {
			select {
			case <-ctx.Done():
				return false, context.Cause(ctx)
			case <-time.After(looksWait << looks):
			}
			continue
		}
		compared, err = p.follow(ctx, n, b, glimpses)
		if !errors.Is(err, errTooMuch) {
			return compared && !behind, err
		}
		if b.walk = nil; looks >= looksMost {
			return false, nil
		}
	}
}

// begin looks up how the live sales of a partition stand in Postgres. From there on the
// log is followed.
func (p *Patrol) begin(ctx context.Context, b *beat) error {
	return p.ledger.Glance(ctx, func(record *ledger.Inspection) error {
		mark, err := record.Watermark(ctx, b.p)
		if err != nil {
			return err
		}
		live, err := record.Live(ctx, b.p)
		if err != nil {
			return err
		}
		receipts, err := record.Places(ctx, live)
		if err != nil {
			return err
		}
		b.begin(mark, live, receipts)
		return nil
	})
}

// look glimpses at Redis. behind says that it is not yet where the log was followed to.
func (p *Patrol) look(ctx context.Context, b *beat) (glimpses []partition.Glimpse, behind bool, err error) {
	for ids := b.live; ; {
		chunk := ids[:min(len(ids), glimpseMost)]
		ids = ids[len(chunk):]
		seen, err := p.store.Glimpse(ctx, b.p, chunk)
		switch {
		case errors.Is(err, partition.ErrLoading):
			return nil, b.walk.last != sale.EntryID{}, nil
		case err != nil:
			return nil, false, err
		}
		glimpses = append(glimpses, seen)
		behind = behind || seen.Applied.Compare(b.walk.last) < 0
		if len(ids) == 0 {
			return glimpses, behind, nil
		}
	}
}

// errTooMuch says that more is new than one round can follow.
var errTooMuch = errors.New("too much is new")

// follow reads the log from where it was left, and judges it.
func (p *Patrol) follow(ctx context.Context, n *notes, b *beat, glimpses []partition.Glimpse) (compared bool, err error) {
	err = p.ledger.Glance(ctx, func(record *ledger.Inspection) error {
		mark, err := record.Watermark(ctx, b.p)
		if err != nil {
			return err
		}
		if mark.Seq-b.walk.seq > walksMost {
			p.metrics.skipped.Add(float64(mark.Seq - b.walk.seq))
			return errTooMuch
		}
		live, err := record.Live(ctx, b.p)
		if err != nil {
			return err
		}
		w := b.window(n, record, mark, live)
		compared = b.compare(n, glimpses)
		if w.last != mark.Applied {
			err = record.LogAfter(ctx, b.p, w.last, func(page []ledger.Logged) error {
				if err := b.mention(ctx, record, page); err != nil {
					return err
				}
				settled, err := record.Receipts(ctx, mentioned(page))
				if err != nil {
					return err
				}
				for _, logged := range page {
					b.judges(logged, settled)
					compared = b.compare(n, glimpses) || compared
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		p.metrics.walked.Add(float64(n.Requests - b.requests))
		b.requests = n.Requests
		if err := b.finish(ctx, n, live); err != nil {
			return err
		}
		p.pardon(live)
		return nil
	})
	return compared, err
}

// sums adds up all wallets, seldom: that reads each of them.
func (p *Patrol) sums(ctx context.Context, n *notes) error {
	if time.Now().Before(p.sumsAt) {
		if p.points != 0 {
			n.found(Conservation, Nowhere, 0, "all balances together: %d, must be 0", p.points)
		}
		return nil
	}
	return p.ledger.Glance(ctx, func(record *ledger.Inspection) error {
		p.points = 0
		err := record.Conservation(ctx, func(d ledger.Discrepancy) {
			n.found(Conservation, d.Partition, d.Sale, "%s: %s, must be %s", d.Subject, d.Have, d.Want)
			_, _ = fmt.Sscan(d.Have, &p.points) // a number, as Postgres tells it
		})
		p.sumsAt = time.Now().Add(sumsEvery)
		return err
	})
}
