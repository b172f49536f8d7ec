package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// patrolMetrics tell how the rounds went. A process that does not lead shows no breaches:
// whoever leads does.
type patrolMetrics struct {
	rounds      *prometheus.CounterVec
	took        prometheus.Histogram
	at          prometheus.Gauge
	breaches    *prometheus.GaugeVec
	oversold    prometheus.Gauge
	inversions  prometheus.Gauge
	imbalance   prometheus.Gauge
	suspensions prometheus.Counter
	walked      prometheus.Counter
	skipped     prometheus.Counter
}

func newPatrolMetrics(registry prometheus.Registerer) *patrolMetrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_audit_requests_total",
		Help: "Settled requests that the continuous audit has judged again, or has left out since they were too many for its share of the time.",
	}, []string{"how"})
	m := &patrolMetrics{
		rounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_audit_rounds_total",
			Help: "Rounds of the continuous audit, by verdict: ok, broken, busy (some partition could not be compared), failed (not finished).",
		}, []string{"verdict"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_audit_round_seconds", Help: "How long a round took.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 13),
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_audit_finished_timestamp_seconds", Help: "Unix time of the last round that compared every partition; 0: none yet.",
		}),
		breaches: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_audit_breaches", Help: "Breaches that stand after the last round, by rule; those of the log for an hour, or until their sale is resumed.",
		}, []string{"rule"}),
		oversold: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_audit_oversold_units", Help: "Units sold or held beyond the stock, in the last round.",
		}),
		inversions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_audit_inversions", Help: "Requests rejected as sold_out, or put in line, while enough units were free at their turn; told for an hour.",
		}),
		imbalance: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_audit_points_imbalance", Help: "Points that all wallets together, the source included, have more or less than none.",
		}),
		suspensions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_suspensions_total", Help: "Sales that the continuous audit has suspended.",
		}),
		walked: requests.WithLabelValues("judged"), skipped: requests.WithLabelValues("left_out"),
	}
	for _, verdict := range []Verdict{OK, Broken, Busy, "failed"} {
		m.rounds.WithLabelValues(string(verdict))
	}
	m.rest()
	registry.MustRegister(m.rounds, m.took, m.at, m.breaches, m.oversold, m.inversions, m.imbalance, m.suspensions, requests)
	return m
}

// rest says that somebody else leads: nothing is known here.
func (m *patrolMetrics) rest() {
	for _, rule := range Rules {
		m.breaches.WithLabelValues(string(rule)).Set(0)
	}
	m.oversold.Set(0)
	m.inversions.Set(0)
	m.imbalance.Set(0)
}

func (m *patrolMetrics) finished(n *notes, points int64, took time.Duration) {
	m.rounds.WithLabelValues(string(n.Verdict)).Inc()
	m.took.Observe(took.Seconds())
	if len(n.Report.Busy) == 0 {
		m.at.SetToCurrentTime()
	}
	for _, rule := range Rules { // each once: a scrape in between must not see it mended
		m.breaches.WithLabelValues(string(rule)).Set(float64(n.breaches[rule]))
	}
	m.oversold.Set(float64(n.Oversold))
	m.inversions.Set(float64(n.Inversions))
	m.imbalance.Set(float64(points))
}
