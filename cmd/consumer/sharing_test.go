package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// The promises about processes. Tests allow ten times as much.
const (
	pauseBound    = time.Second     // of a partition that is handed over
	takeoverBound = 5 * time.Second // of a partition whose owner dies
	stopBound     = 5 * time.Second // of a process, whatever hangs
)

// TestTermHandsOver: SIGTERM, under traffic. Whoever waits for an answer hardly
// notices, and the process ends well and soon.
func TestTermHandsOver(t *testing.T) {
	y := newYard(t)
	y.starts("consumer", "stays", y.redis.URL, y.postgres)
	goes := y.starts("consumer", "goes", y.redis.URL, y.postgres)
	y.share(yardPartitions/2, "stays", "goes")
	y.flows()
	end := y.busy()
	since := time.Now()
	y.signal(goes, syscall.SIGTERM)
	took, status := y.ends(goes)
	y.share(yardPartitions, "stays")
	y.flows()
	end()
	_, worst := y.worst(since)
	t.Logf("ended after %s; the longest wait for an answer %s", took, worst)
	if status != 0 || took > 10*stopBound || worst > 10*pauseBound {
		t.Errorf("status %d after %s, an answer took %s", status, took, worst)
	}
	y.proves()
}

// TestDeathIsOutlived: a consumer is killed, or stopped and continued when others
// have its partitions.
func TestDeathIsOutlived(t *testing.T) {
	for name, death := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			y.starts("consumer", "heir", y.redis.URL, y.postgres)
			doomed := y.starts("consumer", "doomed", y.redis.URL, y.postgres)
			y.share(yardPartitions/2, "heir", "doomed")
			y.flows()
			end := y.busy()
			since := time.Now()
			y.signal(doomed, death)
			y.share(yardPartitions, "heir")
			y.flows()
			_, worst := y.worst(since)
			t.Logf("%s: the longest wait for an answer %s", name, worst)
			if worst > 10*takeoverBound {
				t.Error("that is too long")
			}
			if death == syscall.SIGSTOP {
				y.signal(doomed, syscall.SIGCONT)
				y.share(yardPartitions/2, "heir", "doomed")
				y.flows()
			}
			end()
			y.proves()
		})
	}
}

// TestTermWhileServersHang: SIGTERM in the middle of batches while Redis is stopped,
// or nothing comes through from Postgres, or both.
func TestTermWhileServersHang(t *testing.T) {
	for name, hangs := range map[string]struct{ redis, postgres bool }{
		"Redis": {redis: true}, "Postgres": {postgres: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			took, status := y.termWhile(hangs.redis, hangs.postgres)
			t.Logf("ended after %s with status %d", took, status)
			if took > 10*stopBound {
				t.Error("that is too long")
			}
			y.proves()
		})
	}
}

// termWhile starts a consumer, lets servers hang, asks it to end, and answers how
// long the process took. Then the servers go on, and another one does its work.
func (y *yard) termWhile(redisHangs, postgresHangs bool) (took time.Duration, status int) {
	y.Helper()
	link, through := y.link(y.postgres)
	c := y.starts("consumer", "hangs", y.redis.URL, through)
	y.share(yardPartitions, "hangs")
	y.flows()
	end := y.busy()
	server := y.redisProcess()
	if redisHangs {
		y.must(syscall.Kill(server, syscall.SIGSTOP))
		y.Cleanup(func() { _ = syscall.Kill(server, syscall.SIGCONT) })
	}
	if postgresHangs {
		for _, way := range []string{"upstream", "downstream"} {
			_, err := link.Toxics.AddToxicJson(strings.NewReader(`{"type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`))
			y.must(err)
		}
	}
	if redisHangs || postgresHangs {
		y.until("everybody waits", func() bool { return y.waits(0) > 5*yardPartitions })
	}
	y.signal(c, syscall.SIGTERM)
	took, status = y.ends(c)
	if redisHangs {
		y.must(syscall.Kill(server, syscall.SIGCONT))
	}
	link.Toxics.ResetToxics(context.Background())
	y.starts("consumer", "next", y.redis.URL, y.postgres)
	y.share(yardPartitions, "next")
	y.flows()
	end()
	return took, status
}

// redisProcess is the number of the server's process.
func (y *yard) redisProcess() int {
	y.Helper()
	info, err := y.raw().Info(y.ctx, "server").Result()
	y.must(err)
	for line := range strings.Lines(info) {
		if pid, found := strings.CutPrefix(strings.TrimSpace(line), "process_id:"); found {
			n, err := strconv.Atoi(pid)
			y.must(err)
			return n
		}
	}
	y.Fatal("the server does not tell its number")
	return 0
}

// link is a proxy to a server, and the server's address through it.
func (y *yard) link(to string) (proxy *toxiproxy.Proxy, through string) {
	y.Helper()
	server, err := url.Parse(to)
	y.must(err)
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy = toxiproxy.NewProxy(api, "link", "127.0.0.1:0", server.Host)
	y.must(proxy.Start())
	y.Cleanup(proxy.Stop)
	server.Host = proxy.Listen
	return proxy, server.String()
}

// BenchmarkTakeover: one of two processes is killed, or stopped, under traffic. It
// reports the longest wait for an answer in each of its partitions, which is how long
// that partition had no owner.
//
//	go test -run '^$' -bench Takeover -benchtime 5x ./cmd/consumer
func BenchmarkTakeover(b *testing.B) {
	for name, death := range map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP} {
		b.Run(name, func(b *testing.B) {
			y := newYard(b)
			y.starts("consumer", "heir", y.redis.URL, y.postgres)
			var waits []time.Duration
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				doomed := y.starts("consumer", fmt.Sprint("doomed-", i), y.redis.URL, y.postgres)
				y.share(yardPartitions/2, "heir", fmt.Sprint("doomed-", i))
				y.flows()
				end := y.busy()
				since := time.Now()
				b.StartTimer()
				y.signal(doomed, death)
				y.share(yardPartitions, "heir")
				y.flows()
				b.StopTimer()
				end()
				all, _ := y.worst(since)
				for _, wait := range all {
					if wait > takeoverBound/5 { // one of the dead one's
						waits = append(waits, wait)
					}
				}
				y.must(doomed.Process.Kill())
				b.StartTimer()
			}
			y.proves()
			spread(b, waits, "wait")
		})
	}
}

// BenchmarkTerm: SIGTERM, while both servers are well, or hang. It reports how long
// the process took to end.
//
//	go test -run '^$' -bench Term -benchtime 5x ./cmd/consumer
func BenchmarkTerm(b *testing.B) {
	for _, hangs := range []struct {
		name            string
		redis, postgres bool
	}{{"well", false, false}, {"Redis", true, false}, {"Postgres", false, true}, {"both", true, true}} {
		b.Run(hangs.name, func(b *testing.B) {
			var all []time.Duration
			for b.Loop() {
				took, _ := newYard(b).termWhile(hangs.redis, hangs.postgres)
				all = append(all, took)
			}
			spread(b, all, "stop")
		})
	}
}

// spread reports the median, the 99th of a hundred and the worst of some times.
func spread(b *testing.B, of []time.Duration, what string) {
	b.Helper()
	if len(of) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(of)
	n := len(of)
	for name, d := range map[string]time.Duration{"p50": of[n/2], "p99": of[(99*n-1)/100], "max": of[n-1]} {
		b.ReportMetric(float64(d.Microseconds())/1000, what+"-"+name+"-ms")
	}
}
