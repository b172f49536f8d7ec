package httpapi

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what an operator sees of the API.
type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	ipLimited prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, pollBudget float64) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total",
			Help: "Requests answered, by route (none: no such route, or unreadable), method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time from a request read to its answer made, by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), NativeHistogramBucketFactor: 1.1,
		}, []string{"route"}),
		ipLimited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_http_ip_limited_total", Help: "Requests refused since too many came from their address.",
		}),
	}
	budget := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_poll_budget", Help: "Receipt polls per second that this process invites at most.",
	})
	budget.Set(pollBudget)
	registry.MustRegister(m.requests, m.seconds, m.ipLimited, budget)
	return m
}

// seen is what is known of a route when it is counted and logged.
type seen struct {
	pattern string                // none: no such route
	hot     bool                  // of its log lines a few are written
	last    atomic.Pointer[tally] // of how it was answered last: mostly as before
}

// tally is where one way to answer a route is counted.
type tally struct {
	method  string
	status  int
	answers prometheus.Counter
	seconds prometheus.Observer
}

// request counts one answer.
func (m *metrics) request(route *seen, method string, status int, took time.Duration) {
	t := route.last.Load()
	if t == nil || t.method != method || t.status != status {
		t = &tally{method, status, m.requests.WithLabelValues(route.pattern, method, strconv.Itoa(status)), m.seconds.WithLabelValues(route.pattern)}
		route.last.Store(t)
	}
	t.answers.Inc()
	t.seconds.Observe(took.Seconds())
}

// wordOf is a method as one of a closed set: it comes from outside and may be any
// word.
func wordOf(method string) string {
	if i := slices.Index(fiber.DefaultMethods, method); i >= 0 {
		return fiber.DefaultMethods[i]
	}
	return "other"
}
