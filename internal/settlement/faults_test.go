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
