package settlement

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// How a step can break: refused, or done while nobody learns of it.
var (
	errRefused = errors.New("refused")
	errLost    = errors.New("reply lost")
)

// breakage breaks the next so many runs of one Redis script, or commits.
type breakage struct {
	script string // by a text that only its source has
	done   bool   // it happens, and the answer is lost
	left   atomic.Int64
	shas   map[string]bool
}

// ProcessHook breaks scripts on their way.
func (b *breakage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "script" && len(args) == 3 && strings.Contains(args[2].(string), b.script) {
			if err := next(ctx, cmd); err != nil {
				return err
			}
			if b.shas == nil {
				b.shas = map[string]bool{}
			}
			b.shas[cmd.(*redis.StringCmd).Val()] = true
			return nil
		}
		if len(cmd.Args()) < 2 || !b.isMine(cmd.Args()[1]) || b.left.Add(-1) < 0 {
			return next(ctx, cmd)
		}
		err := errRefused
		if b.done {
			if err := next(ctx, cmd); err != nil {
				return err
			}
			err = errLost
		}
		cmd.SetErr(err)
		return err
	}
}

func (b *breakage) isMine(sha any) bool {
	name, ok := sha.(string)
	return ok && b.shas[name]
}

// DialHook changes nothing.
func (b *breakage) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing: an owner's steps are no pipelines.
func (b *breakage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// commits is a transaction whose commit breaks.
type commits struct {
	pgx.Tx
	*breakage
}

func (c commits) Commit(ctx context.Context) error {
	switch {
	case c.left.Add(-1) < 0:
		return c.Tx.Commit(ctx)
	case c.done:
		if err := c.Tx.Commit(ctx); err != nil {
			return err
		}
		return errLost
	}
	return errors.Join(errRefused, c.Tx.Rollback(ctx))
}

// TestBrokenSteps breaks each write of the pipeline, refused and done but lost,
// under an owner that goes on and under one that dies of it. Every bid must end
// once, and both stores must agree.
func TestBrokenSteps(t *testing.T) {
	for _, step := range []string{"view.lua reads", "apply.lua makes", "commit"} {
		for _, done := range []bool{false, true} {
			for _, dies := range []bool{false, true} {
				name := strings.Fields(step)[0] + map[bool]string{false: " refused", true: " done, reply lost"}[done] +
					map[bool]string{false: ", owner goes on", true: ", owner dies"}[dies]
				t.Run(name, func(t *testing.T) {
					b := &breakage{script: step, done: done}
					wrap := func(tx pgx.Tx) pgx.Tx { return tx }
					if step == "commit" {
						b.script = "no script"
						wrap = func(tx pgx.Tx) pgx.Tx { return commits{tx, b} }
					}
					h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), wrap, b)
					s := h.sale(nil)
					o := h.owner(s.Partition)
					h.open(s)
					h.drain(o)
					var ids []uuid.UUID
					for _, buyer := range h.buyers(6, 1000) {
						ids = append(ids, h.bid(s, buyer, 2))
					}
					b.left.Store(1)
					if err := o.step(h.ctx); err == nil {
						t.Fatal("nothing broke")
					}
					if dies {
						o = h.owner(s.Partition)
					} else {
						h.must(o.sync(h.ctx))
					}
					h.drain(o)
					if got := h.count(ids); got["confirmed"] != 5 || got["rejected sold_out"] != 1 {
						t.Errorf("outcomes %v", got)
					}
					if stand := h.agree(s); stand.Sold != 10 || h.points(s.Escrow) != 1000 {
						t.Errorf("stands %+v, escrow %d", stand, h.points(s.Escrow))
					}
				})
			}
		}
	}
}

// TestKilledBetweenCommitAndApply is the gap that most designs lose orders in.
func TestKilledBetweenCommitAndApply(t *testing.T) {
	b := &breakage{script: "apply.lua makes"}
	h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), nil, b)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	id := h.bid(s, h.buyers(1, 1000)[0], 3)
	b.left.Store(1)
	if err := o.step(h.ctx); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	if got := h.receipt(id).Status; got != sale.Queued {
		t.Fatalf("visible before it was applied: %s", got)
	}
	if settled, err := h.ledger.Receipt(h.ctx, id); err != nil || settled.Status != sale.Confirmed {
		t.Fatalf("not committed: %+v, %v", settled, err)
	}
	next := h.owner(s.Partition) // takes over; its sync applies the log
	if got := h.receipt(id).Status; got != sale.Confirmed {
		t.Errorf("the next owner left it %s", got)
	}
	h.agree(s)
	h.bid(s, h.buyers(1, 1000)[0], 1)
	if err := o.step(h.ctx); !errors.Is(err, partition.ErrFenced) {
		t.Errorf("ex-owner was not fenced: %v", err)
	}
	h.drain(next)
	h.agree(s)
}

// TestBlockedReadOfAnExOwner: a stopped owner's read, still waiting in Redis,
// must take nothing from the new owner.
func TestBlockedReadOfAnExOwner(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	old := h.owner(s.Partition)
	h.open(s)
	h.drain(old)
	var got []sale.Entry
	read := make(chan error, 1)
	go func() {
		var err error
		got, err = h.store.Read(h.ctx, s.Partition, old.mark.Applied, batchMost)
		read <- err
	}()
	raw := h.raw()
	h.until("the read blocks", func() bool {
		list, err := raw.ClientList(h.ctx).Result()
		h.must(err)
		return strings.Contains(list, "cmd=xread")
	})
	next := h.owner(s.Partition)
	ids := []uuid.UUID{h.bid(s, h.buyers(1, 1000)[0], 1), h.bid(s, h.buyers(1, 1000)[0], 1)}
	h.drain(next)
	h.must(<-read)
	if len(got) == 0 {
		t.Error("the blocked read did not wake: the test shows nothing")
	}
	if counts := h.count(ids); counts["confirmed"] != 2 {
		t.Errorf("outcomes %v", counts)
	}
	stand := h.agree(s)

	// What the ex-owner read it can settle neither through Redis nor past Postgres.
	late := sale.Batch{
		Partition: s.Partition, Epoch: old.mark.Epoch, Prev: old.mark.Applied, Last: got[len(got)-1].ID, Seq: got[len(got)-1].Seq,
		Entries: got, State: sale.State{s.ID: stand}, Facts: sale.Facts{Generation: old.mark.Generation},
	}
	if err := h.ledger.Settle(h.ctx, &late); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("Postgres let the ex-owner in: %v", err)
	}
	late.Decision = sale.Decide(late.State, late.Facts, late.Entries)
	if err := h.store.Apply(h.ctx, late.Epoch, late, 0); !errors.Is(err, partition.ErrFenced) {
		t.Errorf("Redis let the ex-owner in: %v", err)
	}
	h.agree(s)
}

// TestRedisComesBackOlder puts back a data set from before some batches.
func TestRedisComesBackOlder(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.bid(s, h.buyers(1, 1000)[0], 1)
	h.drain(o)
	back := h.dump()
	var ids []uuid.UUID
	for range 3 {
		ids = append(ids, h.bid(s, h.buyers(1, 1000)[0], 2))
		h.drain(o)
	}
	back()
	o = h.owner(s.Partition)
	if got := h.count(ids); got["confirmed"] != 3 {
		t.Errorf("outcomes %v", got)
	}
	if stand := h.agree(s); stand.Sold != 7 {
		t.Errorf("stands %+v", stand)
	}
	after := h.bid(s, h.buyers(1, 1000)[0], 2)
	h.drain(o)
	if got := h.receipt(after).Status; got != sale.Confirmed {
		t.Errorf("after the return: %s", got)
	}
	h.agree(s)
}

// TestRedisComesBackOlderUnderAnOwner is the same while an owner works: it is
// told "behind" and applies the log.
func TestRedisComesBackOlderUnderAnOwner(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	back := h.dump()
	first := h.bid(s, h.buyers(1, 1000)[0], 2)
	h.drain(o)
	back()
	second := h.bid(s, h.buyers(1, 1000)[0], 9)
	if err := o.step(h.ctx); !errors.Is(err, partition.ErrBehind) {
		t.Fatalf("not told: %v", err)
	}
	h.must(o.sync(h.ctx))
	h.must(o.step(h.ctx)) // its number was given out twice: only the entry's ID tells that it is still to come
	if h.receipt(first).Status != sale.Confirmed || h.receipt(second).Reason != sale.SoldOut {
		t.Errorf("first %+v, second %+v", h.receipt(first), h.receipt(second))
	}
	h.agree(s)
}

// TestRedisComesBackEmpty loses what was queued, nothing that was settled.
func TestRedisComesBackEmpty(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	settled := h.bid(s, buyer, 6)
	h.drain(o)
	h.must(h.raw().FlushAll(h.ctx).Err())

	_, err := h.store.Admit(h.ctx, s.Partition, sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Bid, Sale: s.ID, Buyer: buyer, Quantity: 1, Price: 100},
		partition.Selling, partition.Limits{Backlog: 10})
	if refusal := (*sale.Refusal)(nil); !errors.As(err, &refusal) || refusal.Code != sale.RefusedLoading {
		t.Errorf("before the rebuild admission says %v", err)
	}
	o = h.owner(s.Partition)
	if o.mark.Generation != 2 {
		t.Errorf("generation %d", o.mark.Generation)
	}
	h.open(s)
	if got := h.receipt(settled); got.Status != sale.Confirmed {
		t.Errorf("a settled receipt is %s", got.Status)
	}
	over, fits := h.bid(s, buyer, 5), h.bid(s, buyer, 4)
	h.drain(o)
	if h.receipt(over).Reason != sale.OverLimit || h.receipt(fits).Status != sale.Confirmed {
		t.Errorf("over %+v, fits %+v", h.receipt(over), h.receipt(fits))
	}
	if stand := h.agree(s); stand.Sold != 10 {
		t.Errorf("stands %+v", stand)
	}
	last := h.bid(s, h.buyers(1, 1000)[0], 1)
	h.drain(o)
	if h.receipt(last).Reason != sale.SoldOut {
		t.Error("oversold after the rebuild")
	}
}

// TestPostgresOlderThanRedis: to go on would settle twice. The owner refuses.
func TestPostgresOlderThanRedis(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.bid(s, h.buyers(1, 1000)[0], 1)
	h.drain(o)
	h.sql(`update partitions set applied_ms = applied_ms - 1 where id = $1`, s.Partition)
	if err := newOwner(h.consumer("late"), s.Partition).take(h.ctx); !errors.Is(err, partition.ErrAhead) {
		t.Errorf("took it: %v", err)
	}
}

// TestGap: an entry that Redis lost is waited for, then given up; its neighbours
// are settled.
func TestGap(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	buyer := h.buyers(1, 1000)[0]
	first, gone, third := h.bid(s, buyer, 1), h.bid(s, buyer, 1), h.bid(s, buyer, 1)
	raw := h.raw()
	entries, err := raw.XRevRangeN(h.ctx, "{s"+string(rune('0'+s.Partition))+"}:log", "+", "-", 2).Result()
	h.must(err)
	h.must(raw.XDel(h.ctx, "{s"+string(rune('0'+s.Partition))+"}:log", entries[1].ID).Err())
	h.must(o.step(h.ctx))
	if h.receipt(first).Status != sale.Confirmed || h.receipt(third).Status != sale.Queued {
		t.Error("decided across a gap")
	}
	for range gapPatience {
		if err := o.step(h.ctx); !errors.Is(err, errGap) {
			t.Fatalf("not seen: %v", err)
		}
	}
	h.must(o.step(h.ctx))
	if h.receipt(third).Status != sale.Confirmed || h.receipt(gone).Status != sale.Queued {
		t.Errorf("third %s, gone %s", h.receipt(third).Status, h.receipt(gone).Status)
	}
	h.agree(s)
}

// TestUnreadableEntry: it goes to the dead letters, its receipt is rejected as
// far as it is legible, and its neighbours are settled.
func TestUnreadableEntry(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	before := h.bid(s, buyer, 1)
	raw, key := h.raw(), "{s"+string(rune('0'+s.Partition))+"}"
	named := h.bid(s, buyer, 1)
	torn, err := raw.XRevRangeN(h.ctx, key+":log", "+", "-", 1).Result()
	h.must(err)
	h.must(raw.XDel(h.ctx, key+":log", torn[0].ID).Err())
	for _, values := range [][]any{
		{"nonsense", "1"},
		{"q", "x", "g", "y", "e", ""},
		{"q", torn[0].Values["q"], "g", "1", "e", "\x63" + string(named[:]) + "rest of a later version"},
	} {
		h.must(raw.XAdd(h.ctx, &redis.XAddArgs{Stream: key + ":log", Values: values}).Err())
	}
	after := h.bid(s, buyer, 1)
	h.drain(o)
	if got := h.count([]uuid.UUID{before, after}); got["confirmed"] != 2 {
		t.Errorf("neighbours %v", got)
	}
	if got := h.receipt(named); got.Status != sale.Rejected || got.Reason != sale.Internal || got.Buyer != buyer {
		t.Errorf("the legible receipt is %+v", got)
	}
	dead, err := raw.XLen(h.ctx, key+":dead").Result()
	h.must(err)
	if dead != 3 {
		t.Errorf("%d dead letters", dead)
	}
	h.agree(s)
	if o = h.owner(s.Partition); o.mark.Applied.At == 0 {
		t.Error("no watermark")
	}
}

// TestPostgresAway: the batch is tried again until it is through; nobody sees a
// half of it.
func TestPostgresAway(t *testing.T) {
	b := &breakage{script: "no script"}
	h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), func(tx pgx.Tx) pgx.Tx { return commits{tx, b} })
	s := h.sale(nil)
	o := newOwner(h.consumer("test"), s.Partition)
	ended := make(chan error, 1)
	go func() { ended <- o.run(h.ctx) }()
	h.until("the partition opens", func() bool {
		err := h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return h.ledger.Stand(ctx, s.ID) })
		return err == nil
	})
	b.left.Store(4)
	id := h.bid(s, h.buyers(1, 1000)[0], 1)
	h.until("it gets through", func() bool { return h.receipt(id).Status == sale.Confirmed })
	if b.left.Load() >= 0 {
		t.Error("nothing broke")
	}
	o.stop()
	select {
	case err := <-ended:
		h.must(err)
	case <-time.After(patience):
		t.Fatal("the owner does not stop")
	}
	h.agree(s)
}
