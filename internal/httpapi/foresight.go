package httpapi

import (
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/news"
	"sluice/internal/sale"
)

// foresight measures how right eta_ms is: of some requests it keeps what was told and
// compares it with when they were settled. How wrong a forecast is belongs beside it.
type foresight struct {
	news  *news.News
	error prometheus.Histogram
	late  prometheus.Counter
	early prometheus.Counter

	mu   sync.Mutex
	kept map[uuid.UUID]*forecast
	next time.Time // when the next one is kept
}

type forecast struct {
	told      time.Duration
	partition int
	seq       int64
	at        time.Time
	stop      func()
}

const (
	forecastsMost  = 100                   // kept at once
	forecastsEvery = 20 * time.Millisecond // at most
	forecastsFor   = 10 * time.Minute      // of what is heard no more
)

func newForesight(n *news.News, registry prometheus.Registerer) *foresight {
	f := &foresight{news: n, kept: map[uuid.UUID]*forecast{}, error: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sluice_eta_error_seconds",
		Help:    "By how much eta_ms of an accepted request was wrong, either way, of a sample.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 10), NativeHistogramBucketFactor: 1.1,
	}), late: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sluice_eta_late_total", Help: "Forecasts of that sample that were too early: the request was settled later.",
	}), early: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sluice_eta_early_total", Help: "Forecasts of that sample that were too late: the request was settled earlier.",
	})}
	registry.MustRegister(f.error, f.late, f.early)
	return f
}

// note keeps what is told of a request that has just been accepted, now and then.
func (f *foresight) note(s sale.Standing) {
	eta := s.ETA()
	if s.Status != sale.Queued || s.Known || eta == 0 {
		return
	}
	now := time.Now()
	f.mu.Lock()
	if now.Before(f.next) {
		f.mu.Unlock()
		return
	}
	f.next = now.Add(forecastsEvery)
	for id, old := range f.kept {
		if now.Sub(old.at) > forecastsFor && old.stop != nil {
			delete(f.kept, id)
			defer old.stop()
		}
	}
	if len(f.kept) >= forecastsMost {
		f.mu.Unlock()
		return
	}
	p, _ := sale.PartitionOf(s.ID)
	kept := &forecast{told: eta, partition: p, seq: s.Seq, at: now}
	f.kept[s.ID] = kept
	f.mu.Unlock()
	// Not under the lock, which who hears the news wants.
	look := func() { go f.settled(s.ID) }
	stop := f.news.Receipt(s.ID, look, func(sale.Receipt) { look() })
	f.mu.Lock()
	kept.stop = stop
	f.mu.Unlock()
	f.settled(s.ID) // it may have come true before anybody listened
}

// settled compares, if the request is: who waits is also woken because something may have
// been missed.
func (f *foresight) settled(id uuid.UUID) {
	now := time.Now()
	f.mu.Lock()
	kept := f.kept[id]
	if kept == nil || kept.stop == nil || f.news.Pulse(kept.partition).Settled < kept.seq {
		f.mu.Unlock()
		return
	}
	delete(f.kept, id)
	f.mu.Unlock()
	kept.stop()
	wrong := now.Sub(kept.at) - kept.told
	f.error.Observe(wrong.Abs().Seconds())
	if wrong > 0 {
		f.late.Inc()
	} else {
		f.early.Inc()
	}
}
