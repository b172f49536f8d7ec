package settlement

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/sale"
)

// metrics is what an operator sees of a consumer.
type metrics struct {
	outcomes  *prometheus.CounterVec
	moves     *prometheus.CounterVec
	batchSize prometheus.Histogram
	seconds   phases
	verdicts  []prometheus.Observer // by verb; nil of those that nobody asks
	faults    *prometheus.CounterVec
	takeovers prometheus.Counter
	redone    prometheus.Counter
	deeper    prometheus.Counter
	owned     prometheus.Gauge
	epochs    *prometheus.GaugeVec
}

// phases is how long each phase of a batch takes.
type phases struct{ view, settle, decide, apply prometheus.Observer }

// faults is what may go wrong. Each is counted from the start, so that the first one
// is seen to come.
var faults = []string{"retried", "refused", "poison", "fenced", "gap", "lost", "elsewhere", "unreadable", "lease"}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_settled_total", Help: "Requests settled, by verb, status and reason; counted by the consumer that made them true in Redis, once.",
		}, []string{"verb", "status", "reason"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_moves_total", Help: "Steps of receipts after their outcome, by status before and after: expired holds, promotions, payments, cancels.",
		}, []string{"from", "to"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_batch_entries", Help: "Requests settled in one batch.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_settlement_faults_total",
			Help: "What went wrong: retried batches, batches refused for their data, poison found by that, fenced owners, gaps read again, entries lost in Redis (of those that this consumer had seen), partitions found at another server, entries unreadable, leases not renewed.",
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
		epochs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_partition_epoch", Help: "Epoch under which this consumer owns a partition, of each that it owns now.",
		}, []string{"partition"}),
	}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_batch_seconds", Help: "Time of one batch in each phase: view (none, if it was viewed while the one before was settled), settle (of it decide), apply.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13), NativeHistogramBucketFactor: 1.1,
	}, []string{"phase"})
	m.seconds = phases{seconds.WithLabelValues("view"), seconds.WithLabelValues("settle"), seconds.WithLabelValues("decide"), seconds.WithLabelValues("apply")}
	verdicts := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "sluice_verdict_seconds",
		Help:    "Time from a request's place in the stream to the moment its outcome could be read, both by Redis' clock, of what buyers and sellers ask. A batch whose consumer dies, or loses the answer, right after applying it is not counted.",
		Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}, NativeHistogramBucketFactor: 1.1,
	}, []string{"verb"})
	for _, verb := range sale.Verbs() {
		for len(m.verdicts) <= int(verb) {
			m.verdicts = append(m.verdicts, nil)
		}
		if verb.Asked() {
			m.verdicts[verb] = verdicts.WithLabelValues(verb.String())
		}
	}
	for _, fault := range faults {
		m.faults.WithLabelValues(fault)
	}
	registry.MustRegister(m.outcomes, m.moves, m.batchSize, seconds, verdicts, m.faults, m.takeovers, m.redone, m.deeper, m.owned, m.epochs)
	return m
}

// owns and gaveUp say what is owned. Only one goroutine has to do with a partition at a
// time.
func (m *metrics) owns(p int, epoch int64) {
	m.epochs.WithLabelValues(strconv.Itoa(p)).Set(float64(epoch))
}

func (m *metrics) gaveUp(p int) { m.epochs.DeleteLabelValues(strconv.Itoa(p)) }

// batch notes what a batch has cost its owner.
func (m *metrics) batch(b sale.Batch, view, settle, apply time.Duration) {
	m.batchSize.Observe(float64(len(b.Entries)))
	m.seconds.view.Observe(view.Seconds())
	m.seconds.settle.Observe(settle.Seconds())
	m.seconds.decide.Observe(b.Deciding.Seconds())
	m.seconds.apply.Observe(apply.Seconds())
}

// applied counts what came of a batch that became true at that moment: whoever applied
// it counts it, its owner or the one after.
func (m *metrics) applied(b sale.Batch, at sale.Instant) {
	type kind struct {
		verb   sale.Verb
		status sale.Status
		reason sale.Reason
	}
	counts := map[kind]int{}
	for i, e := range b.Entries {
		counts[kind{e.Verb, b.Outcomes[i].Status, b.Outcomes[i].Reason}]++
		if verdict := m.verdicts[e.Verb]; verdict != nil {
			verdict.Observe(float64(max(at-e.ID.At, 0)) / 1000)
		}
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
