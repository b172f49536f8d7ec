package settlement

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// link is a way to a server that can be cut: what goes in does not come out, and
// nobody is told.
type link struct {
	t     testing.TB
	url   string
	proxy *toxiproxy.Proxy
}

func newLink(t testing.TB, to string) *link {
	t.Helper()
	server, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{t: t, proxy: toxiproxy.NewProxy(api, "link", "127.0.0.1:0", server.Host)}
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	server.Host = l.proxy.Listen
	l.url = server.String()
	return l
}

func (l *link) cut() {
	l.t.Helper()
	for _, way := range []string{"upstream", "downstream"} {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(`{"type": "timeout", "stream": "` + way + `", "attributes": {"timeout": 0}}`)); err != nil {
			l.t.Fatal(err)
		}
	}
}

// mend lets new connections through; the old ones break.
func (l *link) mend() { l.proxy.Toxics.ResetToxics(context.Background()) }

// TestStopWhileServersHang: a consumer that is told to go while Redis, Postgres or
// both do not answer ends in time. What it had in hand is settled by the next one,
// once. What it leaves behind ends with its stores.
func TestStopWhileServersHang(t *testing.T) {
	for name, hangs := range map[string]struct{ redis, postgres bool }{
		"Redis": {redis: true}, "Postgres": {postgres: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrewOn(t, embeddedtest.RedisServer(t).URL) // a link is to one server
			before := goleak.IgnoreCurrent()
			end := c.busy()
			redis, postgres := newLink(t, c.redis), newLink(t, c.pg)
			m := c.comes("hangs", redis.url, postgres.url, nil)
			m.patience = time.Hour // that a step gives up by itself must not help
			c.starts(m)
			c.even()
			if hangs.redis {
				redis.cut()
			}
			if hangs.postgres {
				postgres.cut()
			}
			c.stuck(m)
			began := time.Now()
			m.ask()
			var took time.Duration
			select {
			case m.err = <-m.ended:
				took = time.Since(began)
			case <-time.After(10 * stopBound):
				t.Fatal("it does not end")
			}
			t.Logf("ended after %s: %v", took, m.err)
			redis.mend()
			postgres.mend()
			c.must(m.store.Close())
			m.ledger.Close()
			m.ended <- nil // for whoever stops it again
			redis.proxy.Stop()
			postgres.proxy.Stop()
			c.members = c.members[:1]
			c.even()
			end()
			c.proves()
			c.leave(c.members[0])
			goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
		})
	}
}

// stuck waits until some partition of m has entries that nobody settles.
func (c *crew) stuck(m *member) {
	c.Helper()
	since := time.Now()
	c.until("its partitions stand still", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, p := range m.Owned() {
			at := c.applied[p]
			if len(at) == 0 || time.Since(at[len(at)-1]) < 10*everySoOften || time.Since(since) < 10*everySoOften {
				return false
			}
		}
		return true
	})
}

// TestSilentPostgresIsLeft: an owner does not wait for ever for a Postgres that is gone
// without a word; it tries again.
func TestSilentPostgresIsLeft(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	link := newLink(t, h.pg)
	far := houseOver(t, h.redis, link.url, nil)
	c := far.consumer("far")
	o := newOwner(c, s.Partition)
	o.patience = 2 * time.Second
	ctx, stop := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() { ended <- o.run(ctx) }()
	h.until("it is open", func() bool {
		return h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			return h.ledger.Stand(ctx, s.ID)
		}) == nil
	})
	first := h.bid(s, h.buyers(1, 1000)[0], 1)
	h.until("it works", func() bool { return h.receipt(first).Status == sale.Confirmed })
	link.cut()
	second := h.bid(s, h.buyers(1, 1000)[0], 1)
	h.until("it gives up a step", func() bool { return testutil.ToFloat64(c.metrics.faults.WithLabelValues("retried")) > 0 })
	link.mend()
	h.until("it goes on", func() bool { return h.receipt(second).Status == sale.Confirmed })
	stop()
	<-ended
	h.agree(s)
}

// TestStopBetweenCommitAndApply: Redis goes away right after a commit, and the
// consumer is told to go. The outcome was never visible, and is not lost: the next
// owner makes it so.
func TestStopBetweenCommitAndApply(t *testing.T) {
	c := newCrewOn(t, embeddedtest.RedisServer(t).URL) // the line to one server is cut
	c.leave(c.members[0])
	redis := newLink(t, c.redis)
	var armed atomic.Bool
	committed := make(chan struct{})
	m := c.comes("committed", redis.url, c.pg, func(tx pgx.Tx) pgx.Tx {
		return afterCommit{tx, func() {
			if armed.Swap(false) {
				redis.cut()
				close(committed)
			}
		}}
	})
	c.starts(m)
	c.even()
	s := c.sales[3]
	r := sale.Request{Verb: sale.Bid, Sale: s.ID, Buyer: c.buyers[0], Quantity: 1, Price: 100, Receipt: sale.NewReceiptID(3)}
	c.until("its first batches are done", func() bool {
		found, err := c.store.Projection(c.ctx, 3, nil)
		c.must(err)
		_, applied, err := c.ledger.Stand(c.ctx, s.ID)
		c.must(err)
		return found.Applied == applied && applied != sale.EntryID{} // the mark that opened it
	})
	armed.Store(true)
	c.admit(3, r)
	<-committed
	began := time.Now()
	c.leave(m)
	t.Logf("ended after %s: %v", time.Since(began), m.err)
	if m.err == nil {
		t.Error("it says that all went well")
	}
	if settled, err := c.ledger.Receipt(c.ctx, r.Receipt); err != nil || settled.Status != sale.Confirmed {
		t.Fatalf("it was not committed: %+v, %v", settled, err)
	}
	if hot, err := c.store.Receipt(c.ctx, 3, r.Receipt); err != nil || hot.Status != sale.Queued {
		t.Fatalf("it was visible before: %+v, %v", hot, err)
	}
	c.join("next")
	c.until("the next owner makes it visible", func() bool {
		hot, err := c.store.Receipt(c.ctx, 3, r.Receipt)
		c.must(err)
		return hot.Status == sale.Confirmed
	})
	if stand, _, err := c.ledger.Stand(c.ctx, s.ID); err != nil || stand.Sold != 1 {
		t.Errorf("sold %+v, %v", stand, err)
	}
}

// afterCommit is a transaction after whose commit something happens.
type afterCommit struct {
	pgx.Tx
	happens func()
}

func (a afterCommit) Commit(ctx context.Context) error {
	err := a.Tx.Commit(ctx)
	a.happens()
	return err
}
