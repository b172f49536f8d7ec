package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// missing answers what is said of a receipt that nobody has.
func (f *fixture) missing(id uuid.UUID) string {
	f.t.Helper()
	err := f.Missing(f.ctx, p, id)
	var refusal *sale.Refusal
	switch {
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.Is(err, sale.ErrLost):
		return "lost"
	case errors.Is(err, sale.ErrUnknown):
		return "unknown"
	}
	f.t.Fatalf("said %v", err)
	return ""
}

// laterID is a receipt ID that was made so much later than now.
func laterID(later time.Duration) uuid.UUID {
	id := sale.NewReceiptID(p)
	at := uint64(time.Now().Add(later).UnixMilli())
	for i := range 6 {
		id[i] = byte(at >> (40 - 8*i))
	}
	return id
}

// TestMissingReceipts: whoever has a receipt that nobody knows is told that it never
// was, that it may be lost, or that this cannot be said yet.
func TestMissingReceipts(t *testing.T) {
	f := started(t)
	made, keyed := sale.NewReceiptID(p), sale.KeyedReceiptID(p, 1001, 7, sale.Bid, "k")
	says := func(when, of, key, later string) {
		t.Helper()
		for id, want := range map[uuid.UUID]string{made: of, keyed: key, laterID(time.Hour): later} {
			if got := f.missing(id); got != want {
				t.Errorf("%s: receipt %s is %s, not %s", when, id, got, want)
			}
		}
	}
	lead := func(generation int64) Lead {
		t.Helper()
		lead, err := f.Lead(f.ctx, p, 1, generation)
		f.must(err)
		return lead
	}
	applied := sale.EntryID{At: 1000}
	trust := func() {
		t.Helper()
		f.must(f.Trust(f.ctx, p, 1, applied))
	}
	says("when nothing was ever lost", "unknown", "unknown", "unknown")

	f.must(f.raw.FlushAll(f.ctx).Err())
	says("when Redis is empty", "loading", "loading", "loading")
	if !lead(2).Empty {
		t.Fatal("not empty")
	}
	says("before the rebuild", "loading", "loading", "loading")
	f.must(f.Rebuild(f.ctx, p, 1, 2, applied, 7))
	says("after it", "lost", "lost", "unknown")
	trust()
	lead(2)
	says("to the next owner", "lost", "lost", "unknown")

	f.must(f.raw.HDel(f.ctx, slot(p), "lost", "rebuilt").Err())
	says("as if that had not been", "unknown", "unknown", "unknown")
	f.must(f.raw.HSet(f.ctx, slot(p), "run", "another", "mark", "1").Err()) // as after a restart, or in a replica
	says("when the server is another", "loading", "loading", "loading")
	lead(2)
	says("when the owner is at it", "loading", "loading", "loading")
	if err := f.Trust(f.ctx, p, 1, sale.EntryID{At: 2000}); !errors.Is(err, ErrStale) {
		t.Errorf("trusted at another watermark: %v", err)
	}
	if err := f.Trust(f.ctx, p, 2, applied); !errors.Is(err, ErrFenced) {
		t.Errorf("trusted by a stranger: %v", err)
	}
	says("when it is older still", "loading", "loading", "loading")
	trust()
	says("when the owner trusts it", "lost", "lost", "unknown")

	f.must(f.raw.HDel(f.ctx, slot(p), "lost").Err())
	lead(3)
	says("when data from before a rebuild came back", "lost", "lost", "unknown")
}

// TestQueuedBehindTheWatermark: nobody will ever read its entry, so it is lost, and
// says so.
func TestQueuedBehindTheWatermark(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	r := bid(1001, 1)
	queued := f.admit(r)
	for _, c := range []struct {
		applied sale.Instant
		seq     int64
		want    sale.Status
	}{
		{queued.At - 1, queued.Seq - 1, sale.Queued}, {queued.At, queued.Seq - 1, sale.Queued},
		{queued.At, queued.Seq, sale.Rejected}, {queued.At + 1, queued.Seq - 1, sale.Rejected},
		{queued.At - 1, queued.Seq, sale.Queued}, // numbers may be given out twice by a Redis that came back older
	} {
		f.must(f.raw.HSet(f.ctx, slot(p), "applied", sale.EntryID{At: c.applied}.String(), "applied_seq", c.seq).Err())
		for name, got := range map[string]sale.Standing{"read": f.standingOf(r.Receipt), "asked again": f.admit(r)} {
			lost := got.Reason == sale.Lost && got.Durability == sale.InRecord
			if got.Status != c.want || lost != (c.want == sale.Rejected) {
				t.Errorf("%s, at %d past it: %s %s, %s", name, c.applied-queued.At, got.Status, got.Reason, got.Durability)
			}
		}
	}
}

func (f *fixture) standingOf(id uuid.UUID) sale.Standing {
	f.t.Helper()
	standing, err := f.Receipt(f.ctx, p, id)
	f.must(err)
	return standing
}

// TestKeyedAfterARebuild: a keyed request for a sale that lived through it is put to
// Postgres first, whatever else there is against it; no other is.
func TestKeyedAfterARebuild(t *testing.T) {
	f := started(t)
	f.must(f.raw.FlushAll(f.ctx).Err())
	_, err := f.Lead(f.ctx, p, 1, 2)
	f.must(err)
	f.must(f.Rebuild(f.ctx, p, 1, 2, sale.EntryID{}, 7))
	keyed := func(of int64) sale.Request {
		r := bid(1001, 1)
		r.Sale, r.Receipt = of, sale.KeyedReceiptID(p, 1001, of, sale.Bid, "k")
		return r
	}
	forgotten := func(what string, r sale.Request, gate Gate) {
		t.Helper()
		if _, err := f.Admit(f.ctx, p, r, gate, unlimited); !errors.Is(err, ErrForgotten) {
			t.Errorf("%s: %v", what, err)
		}
	}
	forgotten("a sale that is not loaded", keyed(7), Selling)
	forgotten("at any time", keyed(7), Anytime)
	f.load(lamp(func(s *sale.Stand) { s.Free, s.Sold = 0, 10 }))
	f.must(f.raw.HSet(f.ctx, saleKey(p, 7), "exhausted", 1).Err())
	forgotten("a sale that is sold out", keyed(7), Selling)
	if _, err := f.AdmitFresh(f.ctx, p, keyed(7), Selling, unlimited); wantRefusal(t, err, sale.RefusedSoldOut) != 0 {
		t.Error("sold out for a while?")
	}
	f.load(lamp(func(s *sale.Stand) { s.ID, s.OpensAt = 8, s.OpensAt.Add(time.Hour) }))
	if got, err := f.Admit(f.ctx, p, keyed(8), Anytime, unlimited); err != nil || got.Status != sale.Queued {
		t.Errorf("a sale that opens later: %+v, %v", got, err)
	}
	forgotten("known by then", keyed(7), Anytime)
	if _, err := f.AdmitFresh(f.ctx, p, keyed(7), Anytime, unlimited); err != nil {
		t.Error(err)
	}
	if got := f.standingOf(keyed(7).Receipt); got.Status != sale.Queued {
		t.Errorf("stands %+v", got)
	}
	again, err := f.Admit(f.ctx, p, keyed(7), Anytime, unlimited)
	if err != nil || !again.Known {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	tick := sale.Request{Receipt: sale.TickReceiptID(p, 7, sale.Expire, 1), Verb: sale.Expire, Sale: 7}
	for what, r := range map[string]sale.Request{"without a key": bid(1001, 1), "a tick": tick} {
		if _, err := f.Admit(f.ctx, p, r, Anytime, unlimited); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRestore: rejections come back while the partition is closed, the first of each
// receipt, and from its owner only.
func TestRestore(t *testing.T) {
	f := started(t)
	f.must(f.raw.FlushAll(f.ctx).Err())
	_, err := f.Lead(f.ctx, p, 2, 2)
	f.must(err)
	r := sale.Receipt{
		ID: sale.NewReceiptID(p), Verb: sale.Bid, Sale: 7, Buyer: 1001, Quantity: 1, Status: sale.Rejected, Reason: sale.SoldOut, Seq: 3, At: 1000, Fingerprint: 5,
	}
	older := r
	older.Reason = sale.ShortPoints
	if err := f.Restore(f.ctx, p, 1, []sale.Receipt{older}); !errors.Is(err, ErrFenced) {
		t.Errorf("an ex-owner: %v", err)
	}
	f.must(f.Restore(f.ctx, p, 2, []sale.Receipt{r, older}))
	f.must(f.Restore(f.ctx, p, 2, []sale.Receipt{older}))
	f.must(f.Restore(f.ctx, p, 2, nil))
	f.must(f.Rebuild(f.ctx, p, 2, 2, sale.EntryID{At: 1000}, 3))
	if got := f.standingOf(r.ID); got.Receipt != r || got.Durability != sale.InRecord {
		t.Errorf("came back as %+v", got)
	}
}

// TestDurability: what is queued is as safe as the server says at that moment.
func TestDurability(t *testing.T) {
	f := over(t, embeddedtest.RedisServer(t).URL)
	f.start()
	f.load(lamp(nil))
	for _, c := range []struct {
		appendonly, appendfsync string
		want                    sale.Durability
	}{{"no", "always", sale.InMemory}, {"yes", "everysec", sale.InMemory}, {"yes", "always", sale.Fsynced}, {"yes", "no", sale.InMemory}} {
		f.must(f.raw.ConfigSet(f.ctx, "appendfsync", c.appendfsync).Err())
		f.must(f.raw.ConfigSet(f.ctx, "appendonly", c.appendonly).Err())
		f.durability.ask(f.ctx, f.owners.conns.one.Client)
		r := bid(1001, 1)
		if got := f.admit(r).Durability; got != c.want {
			t.Errorf("appendonly %s, appendfsync %s: accepted as %s", c.appendonly, c.appendfsync, got)
		}
		if got := f.standingOf(r.Receipt).Durability; got != c.want {
			t.Errorf("appendonly %s, appendfsync %s: stands as %s", c.appendonly, c.appendfsync, got)
		}
	}
	f.must(f.raw.ConfigSet(f.ctx, "appendfsync", "always").Err())
	f.durability.ask(f.ctx, f.owners.conns.one.Client)
	f.must(f.raw.Do(f.ctx, "ACL", "SETUSER", "default", "-config").Err()) // a server that does not tell
	f.durability.ask(f.ctx, f.owners.conns.one.Client)
	if got := f.admit(bid(1001, 1)).Durability; got != sale.InMemory {
		t.Errorf("a server that does not tell: %s", got)
	}
}

// TestOverloadedFor: who is refused is told when the backlog will have shrunk; while
// nothing moves, as long again as that has lasted, up to a bound.
func TestOverloadedFor(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	wait := func(still time.Duration) time.Duration {
		t.Helper()
		at := int64(sale.At(time.Now().Add(-still)))
		f.must(f.raw.HSet(f.ctx, slot(p), "drain", 100, "seq", 1000, "applied_seq", 0, "applied_at", at-5000, "since", at).Err())
		f.must(f.raw.HDel(f.ctx, slot(p), "promised").Err())
		_, err := f.Admit(f.ctx, p, bid(1002, 1), Anytime, Limits{Backlog: 1000})
		return wantRefusal(t, err, sale.RefusedOverload)
	}
	// A thousand at a hundred a second, which is the batch in hand and the next one.
	for still, want := range map[time.Duration]time.Duration{
		0: 10 * time.Second, 900 * time.Millisecond: 10 * time.Second, 6 * time.Second: 10 * time.Second, 20 * time.Second: 20 * time.Second, time.Hour: 30 * time.Second,
	} {
		if got := wait(still); got < want || got > want+time.Second { // the clock goes on
			t.Errorf("standing still for %s: %s, not %s", still, got, want)
		}
	}
}

// TestTurns: those who are refused are promised turns one behind the other, at the rate
// of the drain. Who comes at his turn goes before newcomers, and before his turn he is one.
func TestTurns(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	const drain = 10
	full := Limits{Backlog: 1000}
	backlog := func(n int64) {
		f.must(f.raw.HSet(f.ctx, slot(p), "drain", drain, "seq", 5000+n, "applied_seq", 5000, "applied_at", int64(sale.At(time.Now()))).Err())
	}
	refused := func(buyer int64, turn sale.Instant) *sale.Refusal {
		t.Helper()
		limits := full
		limits.Turn = turn
		_, err := f.Admit(f.ctx, p, bid(buyer, 1), Selling, limits)
		var refusal *sale.Refusal
		if !errors.As(err, &refusal) || refusal.Code != sale.RefusedOverload {
			t.Fatalf("%v", err)
		}
		return refusal
	}
	let := func(buyer int64, turn sale.Instant) {
		t.Helper()
		limits := full
		limits.Turn = turn
		_, err := f.Admit(f.ctx, p, bid(buyer, 1), Selling, limits)
		f.must(err)
	}
	backlog(1000)
	first := refused(1001, 0)
	if in := time.Until(first.Turn.Time()); in < 98*time.Second || in > 101*time.Second { // two batches at ten a second, and one more
		t.Errorf("the first is told to come in %s", in)
	}
	last := first.Turn
	for buyer := range int64(100) {
		next := refused(1002+buyer, 0).Turn
		if step := next - last; step < 109 || step > 111 {
			t.Fatalf("the next turn is %d ms later", step)
		}
		last = next
	}

	// There is room, and others are before who comes now.
	backlog(900)
	if r := refused(2001, 0); r.Turn <= last {
		t.Errorf("a newcomer is told %d, and the last turn is %d", r.Turn, last)
	}
	if r := refused(1001, first.Turn); r.Turn <= last {
		t.Errorf("who comes before his turn is told %d, and the last turn is %d", r.Turn, last)
	}
	now := sale.At(time.Now())
	let(1001, now-1)
	backlog(1000)
	if r := refused(1002, now-1); r.Turn != now-1 || r.RetryAfter > 51*time.Second {
		t.Errorf("who finds it full at his turn %d keeps it: %+v", now-1, r)
	}
	backlog(900)
	refused(1003, now-sale.Instant(2*time.Minute/time.Millisecond)) // too late
	if _, err := f.Admit(f.ctx, p, bid(1004, 1), Anytime, full); err != nil {
		t.Errorf("what is no purchase has to wait: %v", err)
	}

	// Nobody comes back: half of the queue is free, and whoever comes is let in.
	backlog(499)
	let(2002, 0)
}
