// Package upkeep is the scheduler: it queues the ticks that open, close and pay
// out sales at their time, publishes the slots of the days to come, tells people what
// only time brings about, and sweeps what the log need not keep.
//
// Nothing depends on its being on time: every sale is judged by stream time, and
// a tick only makes happen, without traffic, what the next request would have
// made happen. Any number of schedulers may run; one leads, and even if two did,
// a tick's receipt ID is the same for both, so it is queued once.
package upkeep

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

const (
	beat       = 500 * time.Millisecond // how often duties are looked for
	hurry      = 50 * time.Millisecond  // and while more is due than one tick of a sale moves
	dutiesMost = 500                    // of each verb, in one beat
	sweepEvery = time.Minute
	sweepMost  = 1000 // batches forgotten in one sweep
)

// Scheduler does the duties while it leads.
type Scheduler struct {
	name   string
	store  *partition.Store
	ledger *ledger.Ledger
	keep   time.Duration
	log    zerolog.Logger

	leads    prometheus.Gauge
	ticks    *prometheus.CounterVec
	lateness prometheus.Histogram
	swept    prometheus.Counter
	slots    prometheus.Counter
	told     *prometheus.CounterVec

	sweepAt time.Time
	pause   time.Duration // until the next step
}

// New answers a scheduler with a name that no other has. It keeps batches for
// keep, at least 24 hours unless a test says otherwise.
func New(name string, store *partition.Store, ledger *ledger.Ledger, keep time.Duration, log zerolog.Logger, registry prometheus.Registerer) *Scheduler {
	s := &Scheduler{
		name: name, store: store, ledger: ledger, keep: keep, log: log.With().Str("scheduler", name).Logger(),
		leads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_scheduler_leads", Help: "1 while this scheduler leads.",
		}),
		ticks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_ticks_total", Help: "Ticks queued, by verb.",
		}, []string{"verb"}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_tick_lateness_seconds", Help: "How long after its time a tick was queued.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
		}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_batches_swept_total", Help: "Batches that the log has forgotten after their time.",
		}),
		slots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_slots_published_total", Help: "Slots of stores published.",
		}),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_reminders_total", Help: "Notices that only time brings about, by word.",
		}, []string{"word"}),
	}
	registry.MustRegister(s.leads, s.ticks, s.lateness, s.swept, s.slots, s.told)
	return s
}

// Run does the duties until ctx ends, then gives the lead away.
func (s *Scheduler) Run(ctx context.Context) error {
	for {
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn().Err(err).Msg("duties not done, trying again")
		}
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			return s.store.DropLead(late, s.name)
		}
	}
}

// step takes or keeps the lead and, if it leads, does what is due.
func (s *Scheduler) step(ctx context.Context) error {
	s.pause = beat
	leads, err := s.store.HoldLead(ctx, s.name)
	if err != nil || !leads {
		s.leads.Set(0)
		return err
	}
	s.leads.Set(1)
	now := time.Now()
	duties, err := s.ledger.Duties(ctx, sale.At(now), dutiesMost)
	if err != nil {
		return err
	}
	var faults []error
	for _, d := range duties {
		faults = append(faults, s.tick(ctx, d))
		if d.More {
			s.pause = hurry
		}
	}
	if now.After(s.sweepAt) {
		n, err := s.ledger.TrimBatches(ctx, now.Add(-s.keep), sweepMost)
		faults = append(faults, err)
		s.swept.Add(float64(n))
		if n < sweepMost { // else there is more: go on at the next beat
			s.sweepAt = now.Add(sweepEvery)
		}
	}
	faults = append(faults, s.publish(ctx, sale.At(now)), s.remind(ctx, sale.At(now)))
	return errors.Join(faults...)
}

// tick queues one duty, once as long as it is the same. It is refused before its time
// by the stream's own clock, which may be behind ours; then it is due again at the
// next beat.
func (s *Scheduler) tick(ctx context.Context, d ledger.Duty) error {
	standing, err := s.store.Admit(ctx, d.Partition, sale.Request{
		Receipt: d.Receipt(), Verb: d.Verb, Sale: d.Sale,
	}, partition.From(d.Due), partition.Limits{Backlog: sale.MaxPoints})
	var refusal *sale.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil
	case err != nil:
		return err
	case !standing.Known:
		s.ticks.WithLabelValues(d.Verb.String()).Inc()
		s.lateness.Observe((time.Duration(standing.At-d.Due) * time.Millisecond).Seconds())
	}
	return nil
}
