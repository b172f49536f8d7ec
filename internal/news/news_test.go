package news_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/housetest"
	"sluice/internal/news"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// office is a house with news, and a Redis that can be tampered with.
type office struct {
	*housetest.House
	news    *news.News
	redis   redis.UniversalClient
	masters []*redis.Client // of the same
}

func open(t *testing.T) *office {
	t.Helper()
	url := embeddedtest.Redis(t)
	o := &office{House: housetest.Over(t, url)}
	o.redis, o.masters = embeddedtest.Client(t, url), embeddedtest.Masters(t, url)
	o.news = news.New(o.Partitions, zerolog.Nop(), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = o.news.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	o.Until("it listens", func() bool { return o.listeners() > 0 })
	return o
}

// listeners counts the subscriptions to the changes of partition 0.
func (o *office) listeners() (count int64) {
	const channel = "{s0}:changed"
	for _, c := range o.masters {
		n, err := c.PubSubNumSub(o.Ctx, channel).Result()
		o.Must(err)
		sharded, err := c.PubSubShardNumSub(o.Ctx, channel).Result()
		o.Must(err)
		count += n[channel] + sharded[channel]
	}
	return count
}

// cut breaks the connections of all who listen.
func (o *office) cut() {
	for _, c := range o.masters {
		o.Must(c.Do(o.Ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err())
	}
}

func (o *office) reservation() sale.Sale {
	return o.Offer(sale.Sale{Kind: sale.Reservation, Hold: time.Hour, Price: sale.Price{Start: 10}})
}

// TestTold: who follows a receipt, its account or its sale is told when it is settled,
// who follows another one is not, and after stop nobody is.
func TestTold(t *testing.T) {
	o := open(t)
	s, other := o.reservation(), o.reservation()
	me, you := o.Buyers[0], o.Buyers[1]
	var receipt, twice, sales, others, stopped atomic.Int64
	heard := make(chan news.Event, 10)
	count := func(n *atomic.Int64) func() { return func() { n.Add(1) } }

	id := sale.KeyedReceiptID(s.Partition, me, s.ID, sale.Reserve, "key")
	told := make(chan sale.Receipt, 1)
	defer o.news.Receipt(id, count(&receipt), func(r sale.Receipt) { receipt.Add(1); told <- r })()
	o.news.Receipt(id, count(&stopped), func(sale.Receipt) { stopped.Add(1) })()
	defer o.news.Receipt(id, count(&twice), func(sale.Receipt) { twice.Add(1) })()
	o.news.Sale(s.ID, count(&stopped))()
	defer o.news.Sale(s.ID, count(&sales))()
	defer o.news.Sale(other.ID, count(&others))()
	_, complete, stop := o.news.Account(me, 0, func(e news.Event) { heard <- e }, func() {})
	defer stop()
	_, _, stop = o.news.Account(you, 0, func(news.Event) { others.Add(1) }, func() {})
	defer stop()
	if !complete {
		t.Error("who is new has missed something")
	}

	r := o.Outcome(o.Admission.Reserve(o.Ctx, admission.Asker{Account: me, Key: "key"}, s.ID, 1, uuid.Nil))
	if r.ID != id {
		t.Fatalf("receipt %s, not %s", r.ID, id)
	}
	if got := <-told; got != r {
		t.Errorf("told %+v, and it is %+v", got, r)
	}
	event := <-heard
	if event.Receipt != id || time.Since(event.At.Time()).Abs() > time.Minute {
		t.Errorf("heard %+v of %s", event, id)
	}
	o.Until("all are told", func() bool { return receipt.Load() > 0 && twice.Load() > 0 && sales.Load() > 0 })
	if others.Load() != 0 || stopped.Load() != 0 {
		t.Errorf("%d were told of what they do not follow, %d after they had stopped", others.Load(), stopped.Load())
	}
	if got := o.news.Pulse(s.Partition); got.Settled < r.Seq {
		t.Errorf("settled up to %d, and %d is", got.Settled, r.Seq)
	}
	if off := time.Since(o.news.Now().Time()); off.Abs() > time.Minute {
		t.Errorf("Redis' clock is off by %s", off)
	}
}

// TestWokenWithoutMessage: a message is lost, the connection breaks, data of Redis goes:
// who waits is woken all the same.
func TestWokenWithoutMessage(t *testing.T) {
	for name, happens := range map[string]func(*office, int){
		"a lost message": func(o *office, p int) {
			o.Must(o.redis.HIncrBy(o.Ctx, slot(p), "seq", 1).Err())
			o.Must(o.redis.HIncrBy(o.Ctx, slot(p), "applied_seq", 1).Err())
		},
		"a broken connection": func(o *office, _ int) { o.cut() },
		"another release's message": func(o *office, p int) {
			message := string(make([]byte, 16))
			o.Must(o.redis.Publish(o.Ctx, slot(p)+":changed", message).Err())
			o.Must(o.redis.SPublish(o.Ctx, slot(p)+":changed", message).Err())
			o.Must(o.redis.HIncrBy(o.Ctx, slot(p), "seq", 1).Err())
			o.Must(o.redis.HIncrBy(o.Ctx, slot(p), "applied_seq", 1).Err())
		},
		"lost data": func(o *office, p int) { o.Must(o.redis.HSet(o.Ctx, slot(p), "lost", 1).Err()) },
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t)
			s := o.reservation()
			o.Outcome(o.Admission.Reserve(o.Ctx, admission.Asker{Account: o.Buyers[0]}, s.ID, 1, uuid.Nil))
			o.Until("it knows how far the partition is", func() bool { return o.news.Pulse(s.Partition).Data != "" && o.news.Pulse(s.Partition).Settled > 0 })
			var receipt, sales, account atomic.Int64
			defer o.news.Receipt(sale.NewReceiptID(s.Partition), func() { receipt.Add(1) }, func(sale.Receipt) {})()
			defer o.news.Sale(s.ID, func() { sales.Add(1) })()
			_, _, stop := o.news.Account(o.Buyers[1], 0, func(news.Event) {}, func() { account.Add(1) })
			defer stop()
			happens(o, s.Partition)
			o.Until("all are woken", func() bool { return receipt.Load() > 0 && sales.Load() > 0 && account.Load() > 0 })
		})
	}
}

func slot(p int) string { return map[int]string{0: "{s0}", 1: "{s1}"}[p] }

// TestMissed: who comes back is told what he has missed, and when nobody can tell that it
// is all, he is told so.
func TestMissed(t *testing.T) {
	o := open(t)
	s := o.reservation()
	me := o.Buyers[0]
	ask := func(since sale.Instant) (map[uuid.UUID]bool, bool) {
		events, complete, stop := o.news.Account(me, since, func(news.Event) {}, func() {})
		stop()
		ids := map[uuid.UUID]bool{}
		for _, e := range events {
			ids[e.Receipt] = true
		}
		return ids, complete
	}
	if _, complete := ask(1); complete {
		t.Error("it knows all since 1970")
	}
	o.Until("it can tell what has been for a while", func() bool {
		_, complete := ask(o.news.Now())
		return complete
	})
	began := o.news.Now()
	mine := o.Outcome(o.Admission.Reserve(o.Ctx, admission.Asker{Account: me}, s.ID, 1, uuid.Nil))
	o.Outcome(o.Admission.Reserve(o.Ctx, admission.Asker{Account: o.Buyers[1]}, s.ID, 1, uuid.Nil))
	o.Until("it is remembered", func() bool { ids, _ := ask(began); return ids[mine.ID] })
	if ids, complete := ask(began); !complete || len(ids) != 1 {
		t.Errorf("missed %v, complete %t", ids, complete)
	}
	o.cut()
	o.Until("nobody knows what was missed meanwhile", func() bool { _, complete := ask(began); return !complete })
}
