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
	"sync/atomic"
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
	stepMost   = 30 * time.Second       // for all of one beat: nobody waits for ever for a server that hangs
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

	receiptsKeep time.Duration

	leads    prometheus.Gauge
	stepped  prometheus.Gauge
	ticks    *prometheus.CounterVec
	lateness prometheus.Histogram
	swept    prometheus.Counter
	slots    prometheus.Counter
	told     *prometheus.CounterVec
	dropped  prometheus.Counter

	led     atomic.Bool // at the last step
	sweepAt time.Time
	erasAt  sale.Instant
	leaveAt sale.Instant
	pause   time.Duration // until the next step
	owed    sale.Instant  // of the duties of this step that were not queued, the earliest; 0: there is none

	overdue atomic.Int64 // owed of the last step that had duties to show, which a scrape reads
}

// New answers a scheduler with a name that no other has. It keeps batches for
// keep, at least 24 hours unless a test says otherwise, and receipts for receiptsKeep
// after all sales of their era are over; 0 is for ever.
func New(name string, store *partition.Store, ledger *ledger.Ledger, keep, receiptsKeep time.Duration, log zerolog.Logger, registry prometheus.Registerer) *Scheduler {
	s := &Scheduler{
		name: name, store: store, ledger: ledger, keep: keep, receiptsKeep: receiptsKeep, log: log.With().Str("scheduler", name).Logger(),
		leads: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_scheduler_leads", Help: "1 while this scheduler leads.",
		}),
		stepped: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_scheduler_step_timestamp_seconds", Help: "Unix time of the last step that ended well, of a scheduler that leads or looks whether it may; 0: there was none yet.",
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
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_eras_dropped_total", Help: "Eras of sales whose receipts were dropped, because all of them had been over for long enough.",
		}),
	}
	for _, verb := range sale.Verbs() {
		if verb.Tick() {
			s.ticks.WithLabelValues(verb.String())
		}
	}
	registry.MustRegister(s.leads, s.stepped, s.ticks, s.lateness, s.swept, s.slots, s.told, s.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sluice_duties_overdue_seconds", Help: "How long ago the oldest duty was due that this scheduler, leading, could not queue; 0: there is none, or it does not lead.",
	}, s.late))
	return s
}

// late is how long the oldest duty is overdue by now, also while a step hangs.
func (s *Scheduler) late() float64 {
	due := sale.Instant(s.overdue.Load())
	if due == 0 {
		return 0
	}
	return max(time.Since(due.Time()), 0).Seconds()
}

// owe notes that what was due at that moment is not queued.
func (s *Scheduler) owe(due sale.Instant) {
	if s.owed == 0 || due < s.owed {
		s.owed = due
	}
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
			if s.led.Load() {
				s.log.Info().Msg("lead given back")
			}
			return s.store.DropLead(late, s.name)
		}
	}
}

// step takes or keeps the lead and, if it leads, does what is due.
func (s *Scheduler) step(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stepMost)
	defer cancel()
	defer func() {
		if err == nil {
			s.stepped.SetToCurrentTime()
		}
	}()
	s.pause = beat
	hold := s.store.HoldLead
	if s.led.Load() {
		hold = s.store.KeepLead
	}
	leads, err := hold(ctx, s.name)
	s.lead(leads && err == nil)
	if err != nil || !leads {
		if err == nil {
			s.overdue.Store(0) // somebody else's now
		}
		return err
	}
	now := time.Now()
	duties, err := s.ledger.Duties(ctx, sale.At(now), dutiesMost)
	if err != nil {
		return err
	}
	var faults []error
	s.owed = 0
	of := map[sale.Verb]int{}
	for _, d := range duties {
		faults = append(faults, s.tick(ctx, d))
		if d.More {
			s.pause = hurry
		}
		if of[d.Verb]++; of[d.Verb] == dutiesMost { // there may be more, which were due after this one
			s.owe(d.Due)
		}
	}
	s.overdue.Store(int64(s.owed))
	if now.After(s.sweepAt) {
		n, err := s.ledger.TrimBatches(ctx, now.Add(-s.keep), sweepMost)
		faults = append(faults, err)
		s.swept.Add(float64(n))
		if n < sweepMost { // else there is more: go on at the next beat
			s.sweepAt = now.Add(sweepEvery)
		}
	}
	faults = append(faults, s.publish(ctx, sale.At(now)), s.remind(ctx, sale.At(now)), s.eras(ctx, sale.At(now)))
	return errors.Join(faults...)
}

// lead notes whether it leads; who began or ceased to is told.
func (s *Scheduler) lead(leads bool) {
	switch {
	case leads && !s.led.Load():
		s.log.Info().Msg("lead taken")
	case !leads && s.led.Load():
		s.log.Warn().Msg("lead lost")
	}
	s.led.Store(leads)
	value := 0.0
	if leads {
		value = 1
	}
	s.leads.Set(value) // once: a scrape in between must not see it let go
}

// Leads says whether it led at its last step, for loops beside it that one process is
// enough for. For a moment two may believe so.
func (s *Scheduler) Leads() bool { return s.led.Load() }

// tick queues one duty, once as long as it is the same. It is refused before its time
// by the stream's own clock, which may be behind ours; then it is due again at the
// next beat.
func (s *Scheduler) tick(ctx context.Context, d ledger.Duty) error {
	standing, err := s.store.Admit(ctx, d.Partition, sale.Request{
		Receipt: d.Receipt(), Verb: d.Verb, Sale: d.Sale,
	}, partition.From(d.Due), partition.Limits{Backlog: sale.MaxPoints})
	if err != nil {
		s.owe(d.Due)
	}
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
