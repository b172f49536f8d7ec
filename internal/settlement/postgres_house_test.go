package settlement

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// ordeal is a house in which a consumer works while Postgres fails.
type ordeal struct {
	*house   // reaches Postgres past whatever slows the consumer down
	consumer *Consumer
	log      *logbook // of the consumer
	gate     *gate    // of its transactions
	stop     func()   // ends it, as its process' end would
	buyers   []int64
	sales    []sale.Sale
	asked    map[int64][]uuid.UUID // by sale, in the order of the stream
}

// The sales of an ordeal: what becomes of the n-th request of each is known.
const (
	ordealStock = 60
	ordealLine  = 20
)

// endure opens an ordeal over the Postgres at pg, which the consumer reaches by
// another address: pg itself, or a proxy before it. Every partition has an auction
// and a reservation.
func endure(t *testing.T, pg, through string) *ordeal {
	t.Helper()
	return endureBy(t, pg, ledger.Options{URL: through})
}

// endureBy is endure of a consumer that reaches Postgres by whatever is between.
func endureBy(t *testing.T, pg string, way ledger.Options) *ordeal {
	t.Helper()
	redis := embeddedtest.Redis(t)
	o := &ordeal{house: houseOver(t, redis, pg, nil), log: &logbook{}, gate: &gate{}, asked: map[int64][]uuid.UUID{}}
	o.buyers = o.house.buyers(50, 1_000_000)
	for range 2 * partitions { // a sale goes to the partition of its number
		o.sales = append(o.sales, o.sale(func(s *sale.Sale) {
			s.Stock, s.Limit = ordealStock, ordealStock
			if len(o.sales) >= partitions {
				s.Kind, s.Price = sale.Reservation, sale.Price{Policy: sale.Fixed, Start: 100}
				s.Hold, s.LineMost = time.Hour, ordealLine
			}
		}))
	}
	way.URL, way.WrapTx = way.URL+"&application_name=consumer", o.gate.wrap
	own := furnished(&house{t: t, ctx: t.Context(), redis: redis, pg: pg}, func(its *ledger.Options) { *its = way })
	o.consumer = New("consumer", own.store, own.ledger, zerolog.New(o.log), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.WithoutCancel(o.ctx))
	ended := make(chan error, 1)
	go func() { ended <- o.consumer.Run(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the consumer does not stop")
		}
	})
	t.Cleanup(o.stop)
	t.Cleanup(o.gate.open)
	o.until("it has all partitions", o.owned)
	for _, s := range o.sales {
		o.until("it opens", func() bool {
			return o.store.LoadFrom(o.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
				return o.ledger.Stand(ctx, s.ID)
			}) == nil
		})
	}
	return o
}

// owned says whether the consumer has every partition, by its own account and by the
// leases in Redis: nobody else can get one.
func (o *ordeal) owned() bool {
	for p := range partitions {
		if held, err := o.store.Hold(o.ctx, p, "somebody else"); err != nil || held {
			if held {
				o.must(o.store.Drop(o.ctx, p, "somebody else"))
			}
			return false
		}
	}
	return len(o.consumer.Owned()) == partitions
}

// crowd admits n more requests to each of the sales.
func (o *ordeal) crowd(n int, sales ...sale.Sale) {
	o.t.Helper()
	for range n {
		for _, s := range sales {
			asked := o.asked[s.ID]
			r := sale.Request{Verb: sale.Bid, Buyer: o.buyers[len(asked)%len(o.buyers)], Quantity: 1, Price: 100}
			if s.Kind == sale.Reservation {
				r.Verb, r.Price = sale.Reserve, 0
			}
			o.asked[s.ID] = append(asked, o.admit(s, r))
		}
	}
}

// hot answers a receipt as Redis has it, which knows all of them here: Postgres need
// not be there.
func (o *ordeal) hot(s sale.Sale, id uuid.UUID) sale.Receipt {
	o.t.Helper()
	standing, err := o.store.Receipt(o.ctx, s.Partition, id)
	o.must(err)
	return standing.Receipt
}

// settled says whether everything asked of these sales is decided.
func (o *ordeal) settled(sales ...sale.Sale) bool {
	for _, s := range sales {
		if asked := o.asked[s.ID]; len(asked) > 0 && o.hot(s, asked[len(asked)-1]).Status == sale.Queued {
			return false
		}
	}
	return true
}

// retried answers how often the consumer has tried again.
func (o *ordeal) retried() int {
	return int(testutil.ToFloat64(o.consumer.metrics.faults.WithLabelValues("retried")))
}

// fail begins a fault while a batch is under way: in the middle of its transaction.
func (o *ordeal) fail(begin func()) {
	o.t.Helper()
	within := o.gate.close()
	o.crowd(10, o.sales...)
	select {
	case <-within:
	case <-time.After(patience):
		o.t.Fatal("no batch is under way")
	}
	begin()
	o.gate.open()
}

// blocked waits until each partition has been tried again so often, and checks what
// must be true until the fault ends: whatever is asked stays queued, every partition
// has its owner, and the tries come ever more slowly. since is the length of the log
// when the fault began, says what Postgres, or the way to it, must have answered.
func (o *ordeal) blocked(since, tries int, says ...string) {
	o.t.Helper()
	o.crowd(10, o.sales...)
	for p := range partitions {
		o.until("the owner tries again", func() bool { return len(o.log.pauses(since, p)) >= tries })
		for i, pause := range o.log.pauses(since, p) {
			if want := min(backoffMin<<min(i, 10), backoffMax); pause != want {
				o.t.Errorf("partition %d waited %s before try %d, not %s: %v", p, pause, i+1, want, o.log.pauses(since, p))
				break
			}
		}
	}
	for _, s := range o.sales {
		for _, id := range o.asked[s.ID][len(o.asked[s.ID])-10:] {
			if got := o.hot(s, id); got.Status != sale.Queued {
				o.t.Errorf("a receipt of sale %d is %s %s", s.ID, got.Status, got.Reason)
			}
		}
	}
	if !o.owned() {
		o.t.Errorf("owned are %v", o.consumer.Owned())
	}
	o.said(since, says...)
}

// said checks that the consumer was answered one of these, and that it writes no more
// than a line for each try.
func (o *ordeal) said(since int, says ...string) {
	o.t.Helper()
	var warnings []line
	for _, l := range o.log.lines()[since:] {
		if l.Level != "info" {
			warnings = append(warnings, l)
		}
	}
	if !slices.ContainsFunc(warnings, func(l line) bool {
		return slices.ContainsFunc(says, func(word string) bool { return strings.Contains(l.Error, word) })
	}) {
		o.t.Errorf("nobody said any of %q: %+v", says, warnings)
	}
	if n := o.retried(); len(warnings) > n {
		o.t.Errorf("%d lines for %d tries: %+v", len(warnings), n, warnings)
	}
}

// recovered waits until everything is decided, also what is asked after the fault, and
// checks that it is decided as if nothing had been.
func (o *ordeal) recovered() {
	o.t.Helper()
	for _, s := range o.sales {
		o.crowd(ordealStock+ordealLine+10-len(o.asked[s.ID]), s)
	}
	o.until("everything is decided", func() bool { return o.settled(o.sales...) })
	for _, s := range o.sales {
		for i, id := range o.asked[s.ID] {
			want := "confirmed"
			switch {
			case i >= ordealStock && s.Kind == sale.Auction:
				want = "rejected sold_out"
			case i >= ordealStock+ordealLine:
				want = "rejected line_full"
			case i >= ordealStock:
				want = "waiting"
			case s.Kind == sale.Reservation:
				want = "held"
			}
			r := o.hot(s, id)
			if got := strings.TrimSpace(r.Status.String() + " " + r.Reason.String()); got != want {
				o.t.Errorf("request %d of sale %d is %s, must be %s", i, s.ID, got, want)
			}
		}
	}
	for _, fault := range []string{"refused", "poison", "fenced", "lost", "unreadable"} {
		if n := testutil.ToFloat64(o.consumer.metrics.faults.WithLabelValues(fault)); n != 0 {
			o.t.Errorf("%v faults are said to be %s", n, fault)
		}
	}
	o.stop()
	for _, s := range o.sales {
		o.agree(s)
		if letters := o.letters(s.Partition); len(letters) > 0 {
			o.t.Errorf("dead letters %+v", letters)
		}
	}
	o.audited()
	o.t.Logf("%d tries", o.retried())
}

// cut ends the sessions of the consumer, and answers how many there were.
const cut = `
	select count(pg_terminate_backend(pid))
	from pg_stat_activity
	where datname = current_database() and application_name = 'consumer'`

// session is one of somebody else, who is in our way.
func (o *ordeal) session() *pgx.Conn {
	o.t.Helper()
	return embeddedtest.Blocker(o.t, o.pg)
}

func (o *ordeal) exec(c *pgx.Conn, statement string, args ...any) {
	o.t.Helper()
	_, err := c.Exec(o.ctx, statement, args...)
	o.must(err)
}

// waits says whether a session of somebody waits for a lock that c has.
func (o *ordeal) waits(c *pgx.Conn) (waits bool) {
	o.t.Helper()
	watch, err := pgx.Connect(o.ctx, o.pg)
	o.must(err)
	defer watch.Close(o.ctx)
	o.must(watch.QueryRow(o.ctx, `
		select exists (
			select
			from pg_stat_activity
			where datname = current_database() and $1 = any(pg_blocking_pids(pid)))`, c.PgConn().PID()).Scan(&waits))
	return waits
}

// gate holds transactions up that have just begun.
type gate struct{ now atomic.Pointer[barrier] }

type barrier struct {
	within, opened chan struct{}
	enter, open    sync.Once
}

// close holds up those that begin from now on, and answers what the first one closes.
func (g *gate) close() (within <-chan struct{}) {
	b := &barrier{within: make(chan struct{}), opened: make(chan struct{})}
	g.now.Store(b)
	return b.within
}

// open lets them go on.
func (g *gate) open() {
	if b := g.now.Swap(nil); b != nil {
		b.open.Do(func() { close(b.opened) })
	}
}

func (g *gate) wrap(tx pgx.Tx) pgx.Tx {
	if b := g.now.Load(); b != nil {
		b.enter.Do(func() { close(b.within) })
		<-b.opened
	}
	return tx
}

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// line is what these tests look for in one line.
type line struct {
	Level     string  `json:"level"`
	Message   string  `json:"message"`
	Error     string  `json:"error"`
	Partition int     `json:"partition"`
	AgainIn   float64 `json:"again_in"` // ms
}

func (l *logbook) lines() (all []line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for text := range bytes.Lines(l.text.Bytes()) {
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			panic(err) // zerolog wrote it
		}
		all = append(all, one)
	}
	return all
}

// pauses answers how long the owner of p waited before each further try.
func (l *logbook) pauses(since, p int) (all []time.Duration) {
	for _, one := range l.lines()[since:] {
		if one.Partition == p && one.Message == "batch not through" {
			all = append(all, time.Duration(math.Round(one.AgainIn*1e6)))
		}
	}
	return all
}
