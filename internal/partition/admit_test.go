package partition

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

func TestAdmitQueuesOnce(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	r := bid(1001, 2)
	first := f.admit(r)
	if first.Status != sale.Queued || first.Known || first.Seq != 2 || first.Ahead != 1 { // the mark is number 1
		t.Errorf("first %+v", first)
	}
	again := f.admit(r)
	if !again.Known || again.Seq != first.Seq || again.At != first.At {
		t.Errorf("again %+v", again)
	}
	entries, err := f.Read(f.ctx, p, sale.EntryID{}, 10)
	f.must(err)
	if len(entries) != 2 || entries[1].Receipt != r.Receipt || entries[1].ID.At != first.At || entries[1].Generation != 1 {
		t.Errorf("stream holds %+v", entries)
	}
	if got := f.status(r.Receipt); got != first.Receipt {
		t.Errorf("read back %+v, not %+v", got, first.Receipt)
	}
}

func TestAdmitByManyAtOnce(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	r := bid(1001, 1)
	var crowd sync.WaitGroup
	for range 200 {
		crowd.Go(func() { f.admit(r) })
	}
	crowd.Wait()
	if n, err := f.raw.XLen(f.ctx, streamKey(p)).Result(); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
}

func TestSameReceiptOtherRequest(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	r := bid(1001, 1)
	f.admit(r)
	r.Quantity = 2
	_, err := f.Admit(f.ctx, p, r, Selling, unlimited)
	wantRefusal(t, err, sale.RefusedMismatch)
}

func wantRefusal(t *testing.T, err error, code sale.Code) time.Duration {
	t.Helper()
	var refusal *sale.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Fatalf("answer %v, not %s", err, code)
	}
	return refusal.RetryAfter
}

// TestRefusals: each leaves no receipt, no entry, no number and no pace behind. Of an
// overload the partition knows how many turns it has promised.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		stand  *sale.Stand
		gate   Gate
		limits Limits
		code   sale.Code
		wait   bool
	}{
		"unknown sale": {nil, Selling, unlimited, sale.RefusedUnknownSale, false},
		"before opening": {lamp(func(s *sale.Stand) { s.OpensAt = sale.At(time.Now().Add(time.Minute)) }),
			Selling, unlimited, sale.RefusedNotOpen, true},
		"after closing": {lamp(func(s *sale.Stand) { s.ClosesAt = sale.At(time.Now().Add(-time.Millisecond)) }),
			Selling, unlimited, sale.RefusedClosed, false},
		"no coupon left": {lamp(func(s *sale.Stand) {
			s.Kind, s.Price, s.Limit, s.Free, s.Sold = sale.Coupon, sale.Price{Policy: sale.Fixed}, 1, 0, 10
		}), Selling, unlimited, sale.RefusedSoldOut, false},
		"all gone":   {lamp(func(s *sale.Stand) { s.Free, s.Sold = 0, 10 }), Selling, unlimited, sale.RefusedSoldOut, false},
		"early tick": {lamp(nil), From(sale.At(time.Now().Add(time.Minute))), unlimited, sale.RefusedEarly, true},
		"suspended":  {lamp(func(s *sale.Stand) { s.Suspended, s.Free, s.Sold = true, 0, 10 }), Selling, unlimited, sale.RefusedSuspended, false},
		"overload":   {lamp(nil), Selling, Limits{Backlog: 1}, sale.RefusedOverload, true},
		"too fast":   {lamp(nil), Selling, Limits{Backlog: 10, Rate: 0.001, Burst: 1}, sale.RefusedRate, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t)
			if c.stand != nil {
				f.load(c.stand)
			}
			if name == "too fast" {
				_, err := f.Admit(f.ctx, p, bid(1001, 1), c.gate, c.limits)
				f.must(err)
			}
			before := f.contents()
			r := bid(1001, 1)
			_, err := f.Admit(f.ctx, p, r, c.gate, c.limits)
			if wait := wantRefusal(t, err, c.code); (wait > 0) != c.wait {
				t.Errorf("wait %s", wait)
			}
			f.must(f.raw.HDel(f.ctx, slot(p), "promised").Err())
			if after := f.contents(); after != before {
				t.Errorf("left a trace:\n%s\nwas\n%s", after, before)
			}
			if _, err := f.Receipt(f.ctx, p, r.Receipt); !errors.Is(err, sale.ErrUnknown) {
				t.Errorf("receipt: %v", err)
			}
		})
	}
}

// TestAdmitWhereUnitsReturn: of a reservation or an event that has nothing left
// something may still come free, whether there is a line or not.
func TestAdmitWhereUnitsReturn(t *testing.T) {
	for _, c := range []struct {
		kind sale.Kind
		verb sale.Verb
		line int64
		want sale.Reason
	}{
		{sale.Reservation, sale.Reserve, 0, sale.SoldOut},
		{sale.Reservation, sale.Reserve, 1, 0},
		{sale.Event, sale.Join, 0, sale.SoldOut},
		{sale.Event, sale.Join, 1, 0},
	} {
		f := started(t)
		f.load(stage(func(s *sale.Stand) { s.Kind, s.Free, s.Sold, s.LineMost = c.kind, 0, 10, c.line }))
		r := reserve(1001, 1)
		r.Verb = c.verb
		id := f.admit(r).ID
		f.settle()
		if got := f.status(id); got.Reason != c.want || (got.Status == sale.Waiting) != (c.want == 0) {
			t.Errorf("%s with a line of %d: %+v", c.kind, c.line, got)
		}
		id = f.admit(reserve(1002, 1)).ID // Apply has not closed the door either
		f.settle()
		if got := f.status(id); got.Status != sale.Rejected {
			t.Errorf("%s with a line of %d: the next is %+v", c.kind, c.line, got)
		}
	}
}

// contents is every key and its value, as text.
func (f *fixture) contents() string {
	f.t.Helper()
	keys, err := f.raw.Keys(f.ctx, "*").Result()
	f.must(err)
	all := map[string]string{}
	for _, key := range keys {
		all[key], err = f.raw.Dump(f.ctx, key).Result()
		f.must(err)
	}
	var b strings.Builder
	for _, key := range sorted(all) {
		b.WriteString(key + " " + all[key] + "\n")
	}
	return b.String()
}

func TestLoadingBeforeTheFirstOwner(t *testing.T) {
	f := open(t)
	_, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, unlimited)
	wantRefusal(t, err, sale.RefusedLoading)
	if err := f.Load(f.ctx, 0, sale.EntryID{}, lamp(nil)); !errors.Is(err, ErrLoading) {
		t.Errorf("load: %v", err)
	}
}

func TestPace(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	limits := Limits{Backlog: 1000, Rate: 10, Burst: 5}
	admitted := 0
	var wait time.Duration
	for range 50 {
		_, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, limits)
		if err != nil {
			wait = wantRefusal(t, err, sale.RefusedRate)
			break
		}
		admitted++
	}
	if admitted < 5 || admitted > 10 || wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("%d admitted, then wait %s", admitted, wait)
	}
	if _, err := f.Admit(f.ctx, p, bid(1002, 1), Selling, limits); err != nil {
		t.Errorf("another buyer: %v", err)
	}
	time.Sleep(wait) // the promise under test
	if _, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, limits); err != nil {
		t.Errorf("after the wait it asked for: %v", err)
	}
}

// TestStreamTimeNeverGoesBack: the wall clock steps back an hour (that is, the
// stream is an hour ahead of it), and a sale that has closed stays closed.
func TestStreamTimeNeverGoesBack(t *testing.T) {
	f := started(t)
	f.load(lamp(func(s *sale.Stand) { s.ClosesAt = sale.At(time.Now().Add(30 * time.Minute)) }))
	ahead := sale.At(time.Now().Add(20 * time.Minute))
	f.must(f.raw.HSet(f.ctx, slot(p), "clock", int64(ahead)).Err())
	var ids []sale.Instant
	for range 3 {
		ids = append(ids, f.admit(bid(1001, 1)).At)
	}
	if ids[0] != ahead || ids[2] < ids[1] || ids[1] < ids[0] {
		t.Errorf("times %v", ids)
	}
	f.must(f.raw.HSet(f.ctx, slot(p), "clock", int64(ahead.Add(time.Hour))).Err())
	_, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, unlimited)
	wantRefusal(t, err, sale.RefusedClosed)
	if _, now, err := f.Sale(f.ctx, p, 7); err != nil || now != ahead.Add(time.Hour) {
		t.Errorf("shown at %v, %v", now, err)
	}
}

// lostReply lets admissions run and loses the answers: done, but nobody knows.
type lostReply struct{ times int }

func (h *lostReply) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *lostReply) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil || cmd.Name() != "evalsha" || h.times == 0 {
			return err
		}
		h.times--
		cmd.SetErr(errors.New("reply lost"))
		return cmd.Err()
	}
}

func (h *lostReply) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if err == nil && cmd.Name() == "evalsha" && h.times > 0 {
				h.times--
				cmd.SetErr(errors.New("reply lost"))
			}
		}
		return err
	}
}

func TestAdmitAfterALostReply(t *testing.T) {
	broken := &lostReply{}
	f := started(t, broken)
	f.load(lamp(nil))
	r := bid(1001, 1)
	broken.times = 1
	if _, err := f.Admit(f.ctx, p, r, Selling, unlimited); err == nil {
		t.Fatal("nothing was lost: the test shows nothing")
	}
	if again := f.admit(r); !again.Known || again.Status != sale.Queued {
		t.Errorf("again %+v", again)
	}
	if n, _ := f.raw.XLen(f.ctx, streamKey(p)).Result(); n != 2 {
		t.Errorf("%d entries", n)
	}
}

func TestForgottenScripts(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	f.must(f.raw.ScriptFlush(f.ctx).Err())
	f.admit(bid(1001, 1))
	b := f.batch()
	f.must(f.raw.ScriptFlush(f.ctx).Err())
	f.must(f.Apply(f.ctx, 1, b, 0))
}

// TestMemoryFull: admission is refused, what owners do goes on, so the backlog
// drains.
func TestMemoryFull(t *testing.T) {
	f := started(t)
	f.load(lamp(nil))
	r := f.admit(bid(1001, 1))
	f.must(f.raw.ConfigSet(f.ctx, "maxmemory", "1").Err())
	t.Cleanup(func() { f.raw.ConfigSet(context.Background(), "maxmemory", "0") })
	if _, err := f.Admit(f.ctx, p, bid(1002, 1), Selling, unlimited); err == nil {
		t.Error("admitted into a full Redis")
	}
	if held, err := f.Hold(f.ctx, p, "somebody"); err != nil || !held {
		t.Errorf("lease: %v, %v", held, err)
	}
	f.must(f.Apply(f.ctx, 1, f.batch(), 0))
	if got := f.status(r.ID).Status; got != sale.Confirmed {
		t.Errorf("receipt %s", got)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add("1700000000000-0", "1", "1", string(bid(1, 1).Encode()))
	f.Add("1-1", "x", "", "")
	f.Fuzz(func(t *testing.T, id, q, g, e string) {
		entry, err := parseEntry(id, map[string]any{"q": q, "g": g, "e": e})
		if err != nil {
			return
		}
		if _, refused := sale.DecodeRequest([]byte(e)); refused != nil && entry.Verb != 0 {
			t.Errorf("an unreadable request became %+v", entry)
		}
	})
}
