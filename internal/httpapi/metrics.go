package httpapi

import (
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what an operator sees of the API.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total",
			Help: "Requests answered, by route (none: no such route, or unreadable), method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time from a request read to its answer made, by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), NativeHistogramBucketFactor: 1.1,
		}, []string{"route"}),
	}
	registry.MustRegister(m.requests, m.seconds)
	return m
}

// request counts one answer.
func (m *metrics) request(pattern, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(pattern, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(pattern).Observe(took.Seconds())
}

// wordOf is a method as one of a closed set: it comes from outside and may be any
// word.
func wordOf(method string) string {
	if i := slices.Index(fiber.DefaultMethods, method); i >= 0 {
		return fiber.DefaultMethods[i]
	}
	return "other"
}
