// Package survey looks over the whole of Sluice every two seconds, every five while
// nothing moves, for its operators:
// how deep each partition's queue is and how old, whether anybody owns it, what of the
// busiest sales goes how fast, how both servers are.
//
//	Redis ───▶ partition.Survey ──┐
//	                              ├──▶ picture ──▶ metrics
//	Postgres ─▶ ledger ───────────┘
//
// A scrape only reads the last picture, so that it costs the servers nothing however
// many scrape. What could not be asked is not in the picture, and its series are not
// there until it can be asked again: an old figure would be a lie, and a zero a worse
// one. sluice_redis_up and sluice_postgres_up say which server did not answer.
//
// Every scheduler surveys, whether it leads or not, and all of them see the same: take
// the greatest of what they say. Glances are the same for an operator who asks the API.
package survey

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

const (
	every = 2 * time.Second // from the beginning of one survey to that of the next
	calm  = 5 * time.Second // the same, while nothing moves
)

// Survey looks, and keeps what it saw last.
type Survey struct {
	looker // only of the goroutine that runs
	log    zerolog.Logger

	seen     atomic.Pointer[Picture]
	failures prometheus.Counter
	finished prometheus.Gauge

	complete bool // the last survey was; only of the goroutine that runs
}

// New answers a survey of a deployment that lets so many requests queue in a partition.
func New(store *partition.Store, ledger *ledger.Ledger, backlog int64, log zerolog.Logger, registry prometheus.Registerer) *Survey {
	s := &Survey{
		looker: looker{store: store, ledger: ledger}, log: log, complete: true,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_survey_failures_total", Help: "Surveys in which Redis or Postgres did not answer.",
		}),
		finished: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_survey_timestamp_seconds", Help: "Unix time of the last survey in which both answered; 0: there was none yet.",
		}),
	}
	most := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_backlog_max", Help: "Requests that may be queued in one partition; more are refused.",
	})
	most.Set(float64(backlog))
	registry.MustRegister(s.failures, s.finished, most, collector{s})
	return s
}

// Run looks until ctx ends. A server that does not answer ends nothing.
func (s *Survey) Run(ctx context.Context) error {
	for {
		began, before := time.Now(), s.seen.Load()
		if err := s.look(ctx); ctx.Err() == nil {
			s.tell(err)
		}
		pause := every
		if !s.seen.Load().moves(before) {
			pause = calm
		}
		select {
		case <-time.After(time.Until(began.Add(pause))):
		case <-ctx.Done():
			return nil
		}
	}
}

// moves says whether there is something to look at closely: something is queued, is
// otherwise than in the picture before, or is not as it should be.
func (p *Picture) moves(before *Picture) bool {
	if p == nil || before == nil || p.Redis == nil || p.Postgres == nil || before.Redis == nil {
		return true
	}
	for i, now := range p.Redis.Partitions {
		if !now.Known || now.Depth > 0 || now.Loading || !now.Held || now != before.Redis.Partitions[i] {
			return true
		}
	}
	return false
}

// tell says when the picture begins and ceases to be whole.
func (s *Survey) tell(err error) {
	switch {
	case err != nil && s.complete:
		s.log.Warn().Err(err).Msg("survey incomplete")
	case err == nil && !s.complete:
		s.log.Info().Msg("survey complete again")
	}
	s.complete = err == nil
}

// look makes the next picture.
func (s *Survey) look(ctx context.Context) error {
	next, err := s.see(ctx)
	if ctx.Err() != nil { // whoever did not answer was not given the time
		return err
	}
	s.seen.Store(next)
	if err != nil {
		s.failures.Inc()
		return err
	}
	s.finished.SetToCurrentTime()
	return nil
}
