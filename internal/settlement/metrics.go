package settlement

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/sale"
)

// metrics is what an operator sees of a consumer.
type metrics struct {
	outcomes  *prometheus.CounterVec
	moves     *prometheus.CounterVec
	batchSize prometheus.Histogram
	seconds   *prometheus.HistogramVec
	faults    *prometheus.CounterVec
	takeovers prometheus.Counter
	redone    prometheus.Counter
	deeper    prometheus.Counter
	owned     prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_settled_total", Help: "Requests settled, by verb, status and reason.",
		}, []string{"verb", "status", "reason"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_moves_total", Help: "Steps of receipts after their outcome, by status before and after: expired holds, promotions, payments, cancels.",
		}, []string{"from", "to"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_batch_entries", Help: "Requests settled in one batch.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_batch_seconds", Help: "Time of one batch in each phase: view, settle, apply.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}, []string{"phase"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_settlement_faults_total",
			Help: "What went wrong: retried batches, batches refused for their data, poison found by that, fenced owners, gaps read again, entries lost in Redis or unreadable, leases not renewed.",
		}, []string{"fault"}),
		takeovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_takeovers_total", Help: "Partitions taken.",
		}),
		redone: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_batches_redone_total", Help: "Batches applied from the log, since an owner before did not.",
		}),
		deeper: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_batches_deeper_total", Help: "Batches decided again, since more of a waiting line was needed than expected.",
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_partitions_owned", Help: "Partitions that this consumer owns.",
		}),
	}
	registry.MustRegister(m.outcomes, m.moves, m.batchSize, m.seconds, m.faults, m.takeovers, m.redone, m.deeper, m.owned)
	return m
}

func (m *metrics) batch(b sale.Batch, view, settle, apply time.Duration) {
	m.batchSize.Observe(float64(len(b.Entries)))
	m.seconds.WithLabelValues("view").Observe(view.Seconds())
	m.seconds.WithLabelValues("settle").Observe(settle.Seconds())
	m.seconds.WithLabelValues("apply").Observe(apply.Seconds())
	type kind struct {
		verb   sale.Verb
		status sale.Status
		reason sale.Reason
	}
	counts := map[kind]int{}
	for i, e := range b.Entries {
		counts[kind{e.Verb, b.Outcomes[i].Status, b.Outcomes[i].Reason}]++
	}
	for k, n := range counts {
		m.outcomes.WithLabelValues(k.verb.String(), k.status.String(), k.reason.String()).Add(float64(n))
	}
	type step struct{ from, to sale.Status }
	steps := map[step]int{}
	for _, m := range b.Effects.Moves {
		steps[step{m.From, m.Receipt.Status}]++
	}
	for s, n := range steps {
		m.moves.WithLabelValues(s.from.String(), s.to.String()).Add(float64(n))
	}
}
