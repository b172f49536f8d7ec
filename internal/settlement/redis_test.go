package settlement_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
)

// These lose Redis under a crowd. Nothing that anybody was told may change, whatever
// was only queued is lost in so many words, and everything goes on by itself.

// again breaks Redis until something was lost by it, and three times at least.
func (c *crowd) again(fault func()) {
	c.T.Helper()
	for n := 0; n < 3 || c.lost.Load() == 0; n++ {
		c.goesOn(40)
		fault()
		if c.T.Failed() || n == 100 {
			break
		}
	}
	c.goesOn(40)
	if c.lost.Load() == 0 {
		c.T.Error("nothing was ever lost: the test shows nothing")
	}
}

func TestRedisIsFlushedUnderACrowd(t *testing.T) {
	at := embeddedtest.Redis(t)
	raw := embeddedtest.Client(t, at)
	c, disperse := gather(t, at)
	c.again(func() { c.Must(raw.FlushAll(c.Ctx).Err()) })
	disperse()
	c.proves()
}

func TestRedisStartsEmptyUnderACrowd(t *testing.T) {
	server := embeddedtest.RedisServer(t)
	c, disperse := gather(t, server.URL)
	c.again(server.Restart)
	disperse()
	c.proves()
}

// TestRedisComesBackOlderUnderACrowd has it start from a copy made some time before.
func TestRedisComesBackOlderUnderACrowd(t *testing.T) {
	server := embeddedtest.RedisServer(t)
	raw := embeddedtest.Client(t, server.URL)
	c, disperse := gather(t, server.URL)
	c.again(func() {
		c.Must(raw.Save(c.Ctx).Err())
		c.goesOn(20)
		server.Restart()
	})
	disperse()
	c.proves()
}

// TestFailoverToALaggingReplica: what the replica had not received is gone.
func TestFailoverToALaggingReplica(t *testing.T) {
	servers := []*embeddedtest.Server{embeddedtest.RedisServer(t), embeddedtest.RedisServer(t)}
	link := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), "redis", "127.0.0.1:0", servers[0].Addr)
	if err := link.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Stop)
	c, disperse := gather(t, "redis://"+link.Listen)
	c.again(func() {
		master, replica := servers[0], servers[1]
		host, port, _ := strings.Cut(master.Addr, ":")
		follower := embeddedtest.Client(t, replica.URL)
		c.Must(follower.ReplicaOf(c.Ctx, host, port).Err())
		c.Until("the replica follows", func() bool {
			info, err := follower.Info(c.Ctx, "replication").Result()
			c.Must(err)
			return strings.Contains(info, "master_link_status:up") && strings.Contains(info, "master_sync_in_progress:0")
		})
		c.goesOn(20)
		c.Must(follower.ReplicaOf(c.Ctx, "NO", "ONE").Err()) // from here on it lags
		c.goesOn(20)
		master.Kill()
		c.Must(link.Update(&toxiproxy.Proxy{Listen: link.Listen, Upstream: replica.Addr, Enabled: true}))
		servers[0], servers[1] = replica, master
		master.Restart()
	})
	disperse()
	c.proves()
}

// TestRedisIsFullUnderACrowd: who asks is refused, what is queued is settled, and when
// there is room again it goes on. Nothing is lost.
func TestRedisIsFullUnderACrowd(t *testing.T) {
	at := embeddedtest.RedisServer(t).URL
	raw := embeddedtest.Client(t, at)
	c, disperse := gather(t, at)
	for range 3 {
		c.goesOn(40)
		used := raw.InfoMap(c.Ctx, "memory").Item("Memory", "used_memory")
		bytes, err := strconv.ParseInt(used, 10, 64)
		c.Must(err)
		full := c.full.Load()
		c.Must(raw.ConfigSet(c.Ctx, "maxmemory", fmt.Sprint(bytes-1<<20)).Err())
		c.Until("they are refused", func() bool { return c.full.Load() > full+20 })
		c.Until("the backlog drains", func() bool {
			for p := range 2 {
				seen, err := c.Partitions.Projection(c.Ctx, p, nil)
				c.Must(err)
				if seen.Seq != seen.Settled {
					return false
				}
			}
			return true
		})
		c.Must(raw.ConfigSet(c.Ctx, "maxmemory", "0").Err())
	}
	c.goesOn(40)
	disperse()
	if c.lost.Load() != 0 {
		t.Errorf("%d were lost", c.lost.Load())
	}
	c.proves()
}
