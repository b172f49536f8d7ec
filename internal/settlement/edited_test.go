package settlement

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// aside does something else before and after the runs of one Redis script.
type aside struct {
	script        string // by a text that only its source has
	before, after func()
	sha           string
	runs          int
}

// ProcessHook does it. A step's scripts run one after the other.
func (a *aside) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		switch {
		case cmd.Name() == "script" && len(args) == 3 && strings.Contains(args[2].(string), a.script):
			err := next(ctx, cmd)
			a.sha = cmd.(*redis.StringCmd).Val()
			return err
		case len(args) < 2 || a.sha == "" || args[1] != a.sha:
			return next(ctx, cmd)
		}
		a.runs++
		if a.before != nil {
			a.before()
		}
		err := next(ctx, cmd)
		if a.after != nil {
			a.after()
		}
		return err
	}
}

// DialHook changes nothing.
func (a *aside) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing: an owner's steps are no pipelines.
func (a *aside) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *house) forget(s sale.Sale) {
	h.t.Helper()
	h.must(h.store.Forget(h.ctx, s.Partition, s.ID))
}

// TestForgottenAtAnyMoment: whenever a sale is forgotten, the batches come out the
// same, and what is loaded afterwards is right.
func TestForgottenAtAnyMoment(t *testing.T) {
	for _, script := range []string{"view.lua reads", "load.lua puts", "apply.lua makes"} {
		for _, when := range []string{"before", "after", "before and after"} {
			t.Run(strings.Fields(script)[0]+" "+when, func(t *testing.T) {
				a := &aside{script: script}
				h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), nil, a)
				s := h.sale(func(s *sale.Sale) { s.Limit = 4 })
				o := h.owner(s.Partition)
				h.open(s)
				h.drain(o)
				buyers := h.buyers(4, 1000)
				ids := []uuid.UUID{h.bid(s, buyers[0], 2)}
				h.drain(o)
				forget := func() { h.forget(s) }
				if strings.HasPrefix(when, "before") {
					a.before = forget
				}
				if strings.HasSuffix(when, "after") {
					a.after = forget
				}
				for _, b := range []struct{ buyer, quantity int64 }{{buyers[0], 3}, {buyers[0], 2}, {buyers[1], 4}, {buyers[2], 3}, {buyers[3], 2}} {
					if script == "load.lua puts" {
						forget() // so that there is something to load
					}
					ids = append(ids, h.bid(s, b.buyer, b.quantity))
					h.drain(o)
				}
				if a.runs < 5 {
					t.Errorf("%d runs", a.runs)
				}
				a.before, a.after = nil, nil
				if got := h.count(ids); got["confirmed"] != 4 || got["rejected over_limit"] != 1 || got["rejected sold_out"] != 1 {
					t.Errorf("outcomes %v", got)
				}
				h.open(s)
				if stand := h.agree(s); stand.Sold != 10 || len(stand.Buyers) != 3 {
					t.Errorf("stands %+v", stand)
				}
			})
		}
	}
}

// TestForgottenAllTheTime is the same with nobody's turn kept: a consumer, a crowd,
// and two who forget and load all the time.
func TestForgottenAllTheTime(t *testing.T) {
	h := newHouse(t)
	h.start("a")
	s := h.sale(func(s *sale.Sale) { s.Stock = 200 })
	load := func(ctx context.Context) error {
		return h.store.LoadFrom(ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			return h.ledger.Stand(ctx, s.ID)
		})
	}
	h.until("its partition opens", func() bool { return load(h.ctx) == nil })
	ctx, enough := context.WithCancel(h.ctx)
	var meddlers sync.WaitGroup
	meddlers.Go(func() {
		for often := time.Tick(2 * time.Millisecond); ctx.Err() == nil; <-often {
			h.forget(s)
		}
	})
	meddlers.Go(func() {
		for ctx.Err() == nil {
			if err := load(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	buyers := h.buyers(50, 10_000)
	var ids []uuid.UUID
	for i := range 300 {
		ids = append(ids, h.bid(s, buyers[i%len(buyers)], 1))
	}
	h.until("all of it is settled", func() bool { return h.receipt(ids[len(ids)-1]).Status != sale.Queued })
	enough()
	meddlers.Wait()
	if got := h.count(ids); got["confirmed"] != 200 || got["rejected sold_out"] != 100 {
		t.Errorf("outcomes %v", got)
	}
	h.forget(s)
	h.open(s)
	h.agree(s)
}

// TestEditedUnderABatch: a seller who changes a sale, or deletes it, while a batch
// about it is on its way, or whose change Redis was never told of, finds it decided
// on what he has made of it.
func TestEditedUnderABatch(t *testing.T) {
	dearer := func(h *house, s sale.Sale) {
		_, err := h.ledger.EditSale(h.ctx, s.ID, func(s *sale.Stand, _ sale.Instant) error {
			s.Price.Start, s.Stock, s.Limit = 200, 3, 3
			s.Free = s.Stock
			return nil
		})
		h.must(err)
	}
	gone := func(h *house, s sale.Sale) {
		h.must(h.ledger.DeleteSale(h.ctx, s.ID, func(*sale.Stand, sale.Instant) error { return nil }))
	}
	for _, c := range []struct {
		name   string
		change func(*house, sale.Sale)
		told   bool // Redis is told, as catalog does
		within bool // between View and Settle; else before View
		want   map[string]int
	}{
		{"edited", dearer, true, true, map[string]int{"confirmed": 1, "rejected price_changed": 1, "rejected over_limit": 1}},
		{"edited before", dearer, false, false, map[string]int{"confirmed": 1, "rejected price_changed": 1, "rejected over_limit": 1}},
		{"edited, its process dies", dearer, false, true, map[string]int{"confirmed": 1, "rejected price_changed": 1, "rejected over_limit": 1}},
		{"deleted", gone, true, true, map[string]int{"rejected unknown_sale": 3}},
		{"deleted before", gone, false, false, map[string]int{"rejected unknown_sale": 3}},
		{"deleted, its process dies", gone, false, true, map[string]int{"rejected unknown_sale": 3}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			a := &aside{script: "view.lua reads"}
			h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), nil, a)
			s := h.sale(nil)
			o := h.owner(s.Partition)
			h.open(s)
			h.drain(o)
			buyer := h.buyers(1, 10_000)[0]
			var ids []uuid.UUID
			for _, r := range []sale.Request{{Quantity: 1, Price: 100}, {Quantity: 4, Price: 200}, {Quantity: 2, Price: 200}} {
				r.Verb, r.Buyer = sale.Bid, buyer
				ids = append(ids, h.admit(s, r))
			}
			change := func() {
				if c.told {
					h.forget(s)
				}
				c.change(h, s)
				if c.told {
					h.forget(s)
				}
			}
			if c.within {
				a.after = func() {
					a.after = nil
					change()
				}
			} else {
				change()
			}
			var edited *ledger.Edited
			if err := o.step(h.ctx); !errors.As(err, &edited) {
				t.Errorf("a batch on old terms: %v", err)
			}
			h.must(o.sync(h.ctx))
			h.drain(o)
			got := h.count(ids)
			for word, n := range c.want {
				if got[word] != n {
					t.Errorf("outcomes %v, not %v", got, c.want)
				}
			}
			if c.want["confirmed"] > 0 {
				h.open(s)
				if stand := h.agree(s); stand.Stock != 3 || h.points(s.Escrow) != 400 {
					t.Errorf("stands %+v", stand)
				}
			}
		})
	}
}
