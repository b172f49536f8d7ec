package process_test

import (
	"testing"
	"time"
)

// BenchmarkOverload is TestOverload at length: for a minute, 50 times as many bids as can
// be settled. Who is told to come back within 45 seconds does, at his turn.
func BenchmarkOverload(b *testing.B) {
	redisURL, postgresURL := lasting(b)
	d := deploy(b, redisURL, postgresURL, 10_000)
	const perSecond = 5000
	for range b.N {
		flood := overload{
			backlog: 2000, warm: 2, latency: time.Second, every: time.Second * flooders / perSecond,
			lasts: time.Minute, horizon: 45 * time.Second,
		}
		if testing.Short() { // does it work at all
			flood.backlog, flood.latency, flood.lasts, flood.horizon = 1200, 100*time.Millisecond, time.Second, 2*time.Second
		}
		o := d.overload(&flood)
		b.Log(o)
		b.ReportMetric(float64(o.turned.Load()+o.accepted.Load())/o.lasts.Seconds()/o.drain, "times-the-drain")
		b.ReportMetric(float64(o.deepest), "queued-most")
		b.ReportMetric(100*o.right(), "right-%")
		b.ReportMetric(o.slowest.Seconds(), "decided-within-s")
		b.ReportMetric(float64(o.redis)/1e6, "Redis-MB")
		b.ReportMetric(float64(o.api)/1e6, "API-MB")
		b.ReportMetric(0, "ns/op")
	}
}
