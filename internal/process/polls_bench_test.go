package process_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const stubborn = 500 * time.Millisecond // between two polls of who does not listen

// pollers is how many poll, how long each answer of Postgres takes longer (with 400 ms a
// batch of 500 takes about two seconds), and how often it is measured. With -short it is
// only seen whether that works.
func pollers() (n int, slowAnswer time.Duration, rounds int) {
	if testing.Short() {
		return 100, 50 * time.Millisecond, 1
	}
	return 5000, 400 * time.Millisecond, 2
}

// BenchmarkPolls has 5,000 buyers bid at once. Postgres is far away, so that it takes
// about 20 seconds until the last one is decided. They poll until they know: in one round
// when they are told to, in the next every 500 ms, by turns on the same servers. It tells
// how many polls each way needs, and how long it takes from sending a bid to its verdict.
func BenchmarkPolls(b *testing.B) {
	redisURL, postgresURL := lasting(b)
	n, slowAnswer, rounds := pollers()
	d := deploy(b, redisURL, postgresURL, n)
	api := d.run("api")
	d.run("consumer", "SLUICE_POSTGRES_URL="+d.throttled(slowAnswer))
	s := d.auction()
	asTold, stubbornly := func(r reply) time.Duration { return r.wait }, func(reply) time.Duration { return stubborn }
	var told, always polling
	for n := range b.N {
		b.Logf("before anybody knows how fast it goes, as told: %s", d.polling(api, s, fmt.Sprint(n, "-cold"), asTold))
		for round := range rounds {
			one := d.polling(api, s, fmt.Sprint(n, "-told-", round), asTold)
			other := d.polling(api, s, fmt.Sprint(n, "-stubborn-", round), stubbornly)
			b.Logf("round %d, as told:     %s", round+1, one)
			b.Logf("round %d, every %s: %s", round+1, stubborn, other)
			told.add(one)
			always.add(other)
		}
	}
	b.ReportMetric(float64(told.polls)/float64(always.polls), "polls-ratio")
	b.ReportMetric(float64(told.mean())/float64(always.mean()), "verdict-ratio")
	b.ReportMetric(float64(told.polls)/float64(len(told.verdicts)), "told-polls/buyer")
	b.ReportMetric(float64(always.polls)/float64(len(always.verdicts)), "stubborn-polls/buyer")
	b.ReportMetric(ms(told.mean()), "told-mean-ms")
	b.ReportMetric(ms(always.mean()), "stubborn-mean-ms")
	b.ReportMetric(0, "ns/op")
}

// polling is how a crowd fared.
type polling struct {
	polls    int64
	verdicts []time.Duration // from sending a bid, sorted
}

func (p *polling) add(more polling) {
	p.polls += more.polls
	p.verdicts = append(p.verdicts, more.verdicts...)
	slices.Sort(p.verdicts)
}

func (p polling) mean() (mean time.Duration) {
	for _, v := range p.verdicts {
		mean += v / time.Duration(len(p.verdicts))
	}
	return mean
}

func (p polling) String() string {
	return fmt.Sprintf("%6d polls, verdict after %s (mean), %s (p50), %s (p99), %s (last)", p.polls,
		p.mean().Round(time.Millisecond), of(p.verdicts, 0.5).Round(time.Millisecond), of(p.verdicts, 0.99).Round(time.Millisecond), of(p.verdicts, 1).Round(time.Millisecond))
}

// polling has everybody bid once, and poll until he knows; after says when again.
func (d *deployment) polling(api *program, s int64, key string, after func(reply) time.Duration) polling {
	d.Helper()
	o := api.door(s, 256)
	defer o.client.CloseIdleConnections()
	p := polling{verdicts: make([]time.Duration, len(d.tokens))}
	var polls atomic.Int64
	var crowd sync.WaitGroup
	for i, token := range d.tokens {
		crowd.Go(func() {
			began := time.Now()
			r, err := o.bid(token, key, "")
			for receipt := r.receipt; err == nil && (r.status == http.StatusAccepted || r.verdict == "queued"); {
				time.Sleep(after(r))
				polls.Add(1)
				r, err = o.poll(token, receipt)
			}
			p.verdicts[i] = time.Since(began)
			if err != nil || r.verdict != "confirmed" {
				d.Errorf("buyer %d ends with %d %q, %v", i, r.status, r.verdict, err)
			}
		})
	}
	crowd.Wait()
	p.polls = polls.Load()
	slices.Sort(p.verdicts)
	return p
}
