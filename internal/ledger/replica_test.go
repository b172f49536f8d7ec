package ledger

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// onlyReads is a tracer that knows what may be asked at a replica.
type onlyReads struct {
	mu     sync.Mutex
	asked  int
	others []string
	late   bool
}

// slow lets all that is asked come to its time-out.
func (o *onlyReads) slow(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.late = on
}

func (o *onlyReads) within(ctx context.Context) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.late {
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, 0)
	cancel()
	return ctx
}

// mayBeAsked are the beginnings of all there is: the looks, and what Cold reads, each
// after the question whether the replica has come far enough.
var mayBeAsked = []string{
	"begin isolation level repeatable read read only", "commit", "rollback",
	"select coalesce(pg_is_in_recovery() and pg_last_wal_replay_lsn()", "select pg_is_in_recovery() and $2 =",
	"select now(), set_config('plan_cache_mode',", // a list's, for its own transaction
	"select s.id,", "select id, sale, buyer, verb,", "select id, partition", // sales, receipts, stores
	"select e.id, e.at,",    // a statement of a wallet
	"select now(), revenue", // what a summary is made of, from here on
	"select status, reason, count(*)", "select coalesce(sum(amount), 0)",
}

func (o *onlyReads) note(sql string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	text := strings.Join(strings.Fields(sql), " ")
	for _, may := range mayBeAsked {
		if strings.HasPrefix(text, may) && !strings.Contains(text, " for no key update") {
			return
		}
	}
	o.others = append(o.others, text)
}

func (o *onlyReads) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	o.note(q.SQL)
	return o.within(ctx)
}
func (o *onlyReads) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (o *onlyReads) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	for _, q := range b.Batch.QueuedQueries {
		o.note(q.SQL)
	}
	return o.within(ctx)
}
func (o *onlyReads) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (o *onlyReads) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// besides is a stage with a replica that may be so far behind.
type besides struct {
	*stage
	replica *embeddedtest.Replica
	tracer  *onlyReads
	of      sale.Sale
	buyer   int64
	bought  uuid.UUID
}

func beside(t *testing.T, lag time.Duration) *besides {
	t.Helper()
	b := &besides{replica: embeddedtest.Replicated(t), tracer: &onlyReads{}}
	l, err := Open(t.Context(), Options{URL: b.replica.Primary, ReplicaURL: b.replica.URL, ReplicaLag: lag, TuneReplica: func(c *pgxpool.Config) {
		c.ConnConfig.Tracer = b.tracer
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	b.stage = newStageOver(furnished(t, l))
	b.buyer = b.buyers(1, 1000)[0]
	b.of = b.offer(sale.Sale{Kind: sale.Auction, Stock: 10, Limit: 5, RefundWindow: time.Hour})
	e := b.ask(sale.Bid, b.of.ID, b.buyer)
	b.bought = e.Receipt
	b.settle(e)
	return b
}

// everyCold reads all that Cold reads, and says what each answered.
func (b *besides) everyCold() map[string]int {
	b.t.Helper()
	found := map[string]int{}
	cold := b.Cold()
	sales, _, _, err := cold.Sales(b.ctx, SaleFilter{Limit: 100})
	b.must(err)
	found["sales"] = len(sales)
	_, _, err = cold.Stores(b.ctx, StoreFilter{Limit: 100})
	b.must(err)
	receipts, _, err := cold.Receipts(b.ctx, ReceiptFilter{Sale: b.of.ID, Purchases: true, Limit: 100})
	b.must(err)
	found["receipts"] = len(receipts)
	sum, err := cold.Summary(b.ctx, b.of.ID)
	b.must(err)
	found["sold"] = int(sum.Sold)
	newest, err := cold.Statement(b.ctx, b.buyer, 0, 1)
	b.must(err)
	older, err := cold.Statement(b.ctx, b.buyer, newest[0].ID, 10)
	b.must(err)
	found["older lines"] = len(older)
	r, err := cold.Receipt(b.ctx, b.bought)
	b.must(err)
	found[r.Status.String()]++
	return found
}

// by answers who has answered the reads of do.
func (b *besides) by(do func()) (replica, primary int64) {
	before := b.ColdReads()
	do()
	after := b.ColdReads()
	return after.Replica - before.Replica, after.Primary - before.Primary
}

// until waits for a condition, looking often.
func (b *besides) until(what string, met func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("in vain: %s", what)
		}
	}
}

func (b *besides) fit() bool { return b.Ledger.replica.past() != "" }

// caughtUp waits until the replica has what there is now.
func (b *besides) caughtUp() {
	b.t.Helper()
	var end string
	b.must(b.pool.QueryRow(b.ctx, `select pg_current_wal_flush_lsn()::text`).Scan(&end))
	b.until("the replica catches up", func() bool {
		var has bool
		return b.Ledger.replica.pool.QueryRow(b.ctx, `select pg_is_in_recovery() and pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, end).Scan(&has) == nil && has && b.fit()
	})
}

// only fails when something else was asked at the replica than may be, or nothing.
func (b *besides) only() {
	b.t.Helper()
	b.tracer.mu.Lock()
	defer b.tracer.mu.Unlock()
	for _, sql := range b.tracer.others {
		if !strings.HasPrefix(sql, "select pg_is_in_recovery() and pg_last_wal_replay_lsn() >= $1") { // the test's own
			b.t.Errorf("asked at the replica: %s", sql)
		}
	}
	if b.tracer.asked == 0 {
		b.t.Error("nothing was ever asked at the replica")
	}
}

// TestColdReadsOfReplica: what may be old is read there, and the same; what may still
// change is the primary's, and so is whatever the replica does not know.
func TestColdReadsOfReplica(t *testing.T) {
	b := beside(t, time.Minute)
	b.caughtUp()
	var found map[string]int
	replica, primary := b.by(func() { found = b.everyCold() })
	if found["sales"] != 1 || found["receipts"] != 1 || found["sold"] != 1 || found["older lines"] != 1 || found["confirmed"] != 1 {
		t.Errorf("found %v", found)
	}
	if replica != 5 || primary != 1 { // the receipt, which may be refunded yet
		t.Errorf("the replica answered %d, the primary %d", replica, primary)
	}
	// Once nothing can follow, the receipt is the replica's too.
	b.must(b.exec(`update sales set paid_out = true`))
	b.caughtUp()
	if replica, primary := b.by(func() { b.everyCold() }); replica != 6 || primary != 0 {
		t.Errorf("paid out: the replica answered %d, the primary %d", replica, primary)
	}
	if _, primary := b.by(func() {
		if _, err := b.Cold().Receipt(b.ctx, uuid.New()); err != sale.ErrUnknown {
			t.Error(err)
		}
	}); primary != 1 {
		t.Error("the primary was not asked for what nobody knows")
	}
	b.only()
}

func (b *besides) exec(sql string) error {
	_, err := b.pool.Exec(b.ctx, sql)
	return err
}

// TestReplicaBehind: one that replays nothing for longer than the bound is not asked any
// more, and again once it has caught up. What it answers meanwhile is never older.
func TestReplicaBehind(t *testing.T) {
	const bound = 400 * time.Millisecond
	b := beside(t, bound)
	b.caughtUp()
	b.replica.Do(`select pg_wal_replay_pause()`)
	type sold struct {
		at time.Time
		n  int
	}
	var truth []sold
	for n := 2; n <= 10; n++ {
		b.settle(b.ask(sale.Bid, b.of.ID, b.buyers(1, 1000)[0]))
		truth = append(truth, sold{time.Now(), n})
		asked := time.Now()
		sum, err := b.Cold().Summary(b.ctx, b.of.ID)
		b.must(err)
		for _, then := range truth {
			if asked.Sub(then.at) > bound && sum.Sold < int64(then.n) {
				t.Errorf("%d are sold, and %s ago it were %d", sum.Sold, asked.Sub(then.at), then.n)
			}
		}
	}
	b.until("it is too far behind", func() bool { return !b.fit() })
	if replica, primary := b.by(func() {
		if found := b.everyCold(); found["sold"] != 10 {
			t.Errorf("found %v", found)
		}
	}); replica != 0 || primary != 6 {
		t.Errorf("the replica answered %d, the primary %d", replica, primary)
	}
	b.until("its lag is told", func() bool { lag, known := b.ReplicaLag(); return known && lag > bound })
	b.replica.Do(`select pg_wal_replay_resume()`)
	b.caughtUp()
	if replica, _ := b.by(func() { b.everyCold() }); replica == 0 {
		t.Error("it is not asked again")
	}
	b.only()
}

// TestReplicaAway: it is killed, and nobody sees an error; it comes back, and is asked
// again.
func TestReplicaAway(t *testing.T) {
	b := beside(t, time.Minute)
	b.caughtUp()
	b.replica.Kill()
	if found := b.everyCold(); found["sold"] != 1 {
		t.Errorf("found %v", found)
	}
	b.until("it is known to be away", func() bool { return !b.fit() })
	if replica, primary := b.by(func() { b.everyCold() }); replica != 0 || primary != 6 {
		t.Errorf("the replica answered %d, the primary %d", replica, primary)
	}
	b.replica.Restart()
	b.caughtUp()
	if replica, _ := b.by(func() { b.everyCold() }); replica == 0 {
		t.Error("it is not asked again")
	}
	b.only()
}

// TestReplicaPromoted: it goes a way of its own, and what is written there is nobody's
// answer.
func TestReplicaPromoted(t *testing.T) {
	b := beside(t, time.Minute)
	b.caughtUp()
	b.replica.Do(`select pg_promote()`)
	other, err := pgx.Connect(b.ctx, b.replica.URL)
	b.must(err)
	defer other.Close(b.ctx)
	_, err = other.Exec(b.ctx, `update sales set free = free - 1, sold = sold + 1`)
	b.must(err)
	if replica, primary := b.by(func() {
		if found := b.everyCold(); found["sold"] != 1 {
			t.Errorf("found %v", found)
		}
	}); replica != 0 || primary != 6 {
		t.Errorf("the replica answered %d, the primary %d", replica, primary)
	}
	b.only()
}

// TestReplicaOfAnother: a standby of another primary is never asked, however far it is.
func TestReplicaOfAnother(t *testing.T) {
	r := embeddedtest.Replicated(t)
	l, err := Open(t.Context(), Options{URL: embeddedtest.Postgres(t), ReplicaURL: r.URL, ReplicaLag: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	for range 5 {
		l.replica.look(t.Context(), l.pool)
		if l.replica.past() != "" {
			t.Fatal("it is asked")
		}
	}
}

// TestReplicaTooSlow: what it does not answer in time, the primary answers, and it is not
// asked again before it has been looked at.
func TestReplicaTooSlow(t *testing.T) {
	b := beside(t, time.Minute)
	b.caughtUp()
	b.tracer.slow(true)
	if replica, primary := b.by(func() {
		if found := b.everyCold(); found["sold"] != 1 {
			t.Errorf("found %v", found)
		}
	}); replica != 0 || primary != 6 {
		t.Errorf("the replica answered %d, the primary %d", replica, primary)
	}
	b.tracer.slow(false)
	b.until("it is asked again", func() bool {
		replica, _ := b.by(func() { b.everyCold() })
		return replica > 0
	})
	b.only()
}
