package partition

import (
	"context"
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/sale"
)

func TestForget(t *testing.T) {
	f := started(t)
	f.must(f.Forget(f.ctx, p, 7)) // not there
	s := lamp(func(s *sale.Stand) { s.Buyers = map[int64]int64{1001: 0, 1002: 1} })
	applied, _ := f.applied()
	if err := f.Load(f.ctx, 0, applied, s); !errors.Is(err, ErrStale) {
		t.Errorf("a load from before: %v", err)
	}
	f.must(f.Load(f.ctx, 1, applied, s))
	f.must(f.Forget(f.ctx, p, 7))
	if keys := f.raw.Exists(f.ctx, saleKeys(nil, p, 7)...).Val(); keys != 0 {
		t.Errorf("%d keys are left", keys)
	}
	if n, err := f.Forgotten(f.ctx, p, 7); err != nil || n != 2 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	if n, err := f.Forgotten(f.ctx, p, 8); err != nil || n != 0 {
		t.Errorf("%d forgotten times another sale, %v", n, err)
	}
	if _, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, unlimited); err == nil || err.Error() != "refused: unknown_sale" {
		t.Errorf("admission %v", err)
	}
}

// TestForgetForgetsAll: what would be left of a line would be in the way of the next
// load.
func TestForgetForgetsAll(t *testing.T) {
	f := started(t)
	f.load(stage(func(s *sale.Stand) {
		s.Free, s.Held, s.Holds = 8, 2, queue(2, s.ClosesAt)
		s.Line, s.Waiting, s.Buyers = queue(3, s.OpensAt), 3, map[int64]int64{1001: 1}
	}))
	if n := f.raw.Exists(f.ctx, saleKeys(nil, p, 7)...).Val(); n != 4 {
		t.Fatalf("%d keys", n)
	}
	f.must(f.Forget(f.ctx, p, 7))
	if n := f.raw.Exists(f.ctx, saleKeys(nil, p, 7)...).Val(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// patiently does again what took longer than a command may: so much at once does, on a
// machine that has much else to do.
func (f *fixture) patiently(do func() error) {
	f.t.Helper()
	err := do()
	for end := time.Now().Add(time.Minute); errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end); {
		err = do()
	}
	f.must(err)
}

// TestLoadOfManyPlaces: the longest line there may be is loaded in one step, and comes back
// in order.
func TestLoadOfManyPlaces(t *testing.T) {
	f := started(t)
	const held = 20_001
	s := stage(func(s *sale.Stand) {
		s.Stock, s.Held, s.Free, s.Waiting = held, held, 0, sale.MaxLine
		s.Holds, s.Line, s.Buyers = queue(held, s.ClosesAt), queue(sale.MaxLine, s.OpensAt), map[int64]int64{}
		for i := range int64(held + sale.MaxLine) {
			s.Buyers[i+1] = 1
		}
	})
	applied, _ := f.applied()
	f.patiently(func() error { return f.Load(f.ctx, 0, applied, s) })
	var all *sale.Stand
	f.patiently(func() error {
		seen, err := f.Projection(f.ctx, p, []int64{7})
		if err == nil {
			all = seen.Sales[7]
		}
		return err
	})
	if !slices.Equal(all.Holds, s.Holds) || !slices.Equal(all.Line, s.Line) || all.Waiting != sale.MaxLine || !maps.Equal(all.Buyers, s.Buyers) {
		t.Errorf("%d holds, %d of %d in line and %d buyers came back", len(all.Holds), len(all.Line), all.Waiting, len(all.Buyers))
	}
}

// TestLoadOfHalfALine: a stand that shows only some of those who wait is for a
// decision, not for the projection.
func TestLoadOfHalfALine(t *testing.T) {
	f := started(t)
	applied, _ := f.applied()
	s := stage(func(s *sale.Stand) { s.Line, s.Waiting = queue(2, 1), 3 })
	if err := f.Load(f.ctx, 0, applied, s); !errors.Is(err, ErrBroken) {
		t.Errorf("answer %v", err)
	}
	if n := f.raw.Exists(f.ctx, saleKeys(nil, p, 7)...).Val(); n != 0 {
		t.Errorf("%d keys are there", n)
	}
}

// TestEveryTerm: of every kind, all that can be said of it is there after a load,
// for those who look, decide and audit.
func TestEveryTerm(t *testing.T) {
	now := sale.At(time.Now())
	for name, s := range map[string]*sale.Stand{
		"auction": lamp(nil),
		"reservation": stage(func(s *sale.Stand) {
			s.MaxBypass, s.Free, s.Held, s.Sold, s.Holds, s.Line, s.Waiting = 3, 5, 2, 3, queue(2, now.Add(time.Hour)), queue(4, now), 4
		}),
		"coupon": lamp(func(s *sale.Stand) {
			s.Kind, s.Price, s.Limit = sale.Coupon, sale.Price{Policy: sale.Fixed}, 1
			s.AmountOff, s.ValidFrom, s.ValidUntil = sale.MaxPoints, now, now.Add(time.Hour)
		}),
		"suspended": lamp(func(s *sale.Stand) { s.Suspended = true }),
		"slot": stage(func(s *sale.Stand) {
			s.Kind, s.Limit, s.Store, s.StartsAt, s.Description = sale.Event, 1, 12, s.ClosesAt, "a table"
		}),
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t)
			f.load(s)
			if diff := cmp.Diff(s, f.stands(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("projection:\n%s", diff)
			}
			shown, _, err := f.Sale(f.ctx, p, 7)
			f.must(err)
			want := *s
			want.Buyers, want.Holds, want.Line = nil, nil, nil
			if diff := cmp.Diff(&want, shown, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("shown:\n%s", diff)
			}
		})
	}
}

// TestForgetOpensNoPartition: a Redis that lost its data stays empty for its owner.
func TestForgetOpensNoPartition(t *testing.T) {
	f := open(t)
	f.must(f.Forget(f.ctx, p, 7))
	if lead, err := f.Lead(f.ctx, p, 1, 1); err != nil || !lead.Empty {
		t.Errorf("the owner finds %+v, %v", lead, err)
	}
	f.must(f.Rebuild(f.ctx, p, 1, 1, sale.EntryID{}, 0))
	f.must(f.Load(f.ctx, 1, sale.EntryID{}, lamp(nil)))
}

// TestLoadFromReadsAgain: what was read before a sale was forgotten is not loaded.
func TestLoadFromReadsAgain(t *testing.T) {
	f := started(t)
	applied, _ := f.applied()
	reads := 0
	f.must(f.LoadFrom(f.ctx, p, 7, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		s := lamp(func(s *sale.Stand) { s.Title = "old" })
		if reads++; reads < 3 {
			f.must(f.Forget(ctx, p, 7))
		} else {
			s.Title, s.Description = "new", "of “brass”,\nwith a shade"
		}
		return s, applied, nil
	}))
	s, _, err := f.Sale(f.ctx, p, 7)
	f.must(err)
	if reads != 3 || s.Title != "new" || s.Description != "of “brass”,\nwith a shade" {
		t.Errorf("after %d reads %+v", reads, s)
	}
}

// TestLoadInVain: about a sale that is forgotten whenever somebody reads it, as about one
// whose partition is loading, it is said that it is loading, not that time is up.
func TestLoadInVain(t *testing.T) {
	f := started(t)
	applied, _ := f.applied()
	var both sync.WaitGroup
	both.Go(func() {
		reads := 0
		err := f.LoadFrom(f.ctx, p, 7, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			reads++
			return lamp(nil), applied, errors.Join(f.Forget(f.ctx, p, 7), ctx.Err())
		})
		if !errors.Is(err, ErrLoading) || reads < 2 {
			t.Errorf("after %d reads: %v", reads, err)
		}
	})
	both.Go(func() {
		hangs := errors.New("Postgres does not answer")
		err := f.LoadFrom(f.ctx, p, 8, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
			<-ctx.Done()
			return nil, sale.EntryID{}, hangs
		})
		if !errors.Is(err, hangs) {
			t.Errorf("of a sale that was not forgotten: %v", err)
		}
	})
	both.Wait()
}

// TestLoadsAreShared: a crowd in front of a sale that was forgotten reads it once,
// also when the first of it goes away.
func TestLoadsAreShared(t *testing.T) {
	f := started(t)
	applied, _ := f.applied()
	var reads atomic.Int64
	begun, answer := make(chan struct{}), make(chan struct{})
	read := func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		if reads.Add(1) == 1 {
			close(begun)
		}
		<-answer
		return lamp(nil), applied, ctx.Err()
	}
	first, away := context.WithCancel(f.ctx)
	var crowd sync.WaitGroup
	crowd.Go(func() {
		if err := f.LoadFrom(first, p, 7, read); err != nil {
			t.Error(err)
		}
	})
	<-begun
	for range 50 {
		crowd.Go(func() {
			if err := f.LoadFrom(f.ctx, p, 7, read); err != nil {
				t.Error(err)
			}
		})
	}
	for asking := 0; asking <= 50; { // until all of them wait
		stacks := make([]byte, 1<<20)
		asking = strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "singleflight.(*Group).Do(")
	}
	away()
	close(answer)
	crowd.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("read %d times", n)
	}
	if _, _, err := f.Sale(f.ctx, p, 7); err != nil {
		t.Error(err)
	}
}

// TestSaleOfAnOlderProcess: a sale that was loaded by a release that knew auctions
// only, or no descriptions, is read and sells on.
func TestSaleOfAnOlderProcess(t *testing.T) {
	f := started(t)
	f.must(f.raw.HSet(f.ctx, saleKey(p, 7), // word for word what that release wrote
		"kind", "auction", "seller", 1, "escrow", -7, "title", "lamp", "policy", "constant", "start_price", 100, "drop", 1, "rate", 0,
		"period_ms", 60000, "limit", 2, "opens_at", int64(sale.At(time.Now()))-1000, "closes_at", int64(sale.At(time.Now()))+3_599_000,
		"refund_ms", 3600000, "show_stock", 1, "stock", 10, "phase", "open", "free", 10, "held", 0, "sold", 0, "paid_out", 0, "exhausted", 0).Err())
	s, _, err := f.Sale(f.ctx, p, 7)
	f.must(err)
	if s.Title != "lamp" || s.Waiting != 0 || s.LineMost != 0 || s.Hold != 0 || s.Store != 0 {
		t.Errorf("read as %+v", s)
	}
	won := f.admit(bid(1001, 2))
	f.settle()
	if got := f.status(won.ID); got.Status != sale.Confirmed || f.stands().Sold != 2 {
		t.Errorf("a bid is %+v", got)
	}
}

// TestUnreadableSale: what is missing or no number is an error, never a zero.
func TestUnreadableSale(t *testing.T) {
	for field, value := range map[string]any{"free": nil, "closes_at": "soon", "waiting": "many", "hold_ms": "", "period_ms": 0} {
		t.Run(field, func(t *testing.T) {
			f := started(t)
			f.load(lamp(nil))
			if value == nil {
				f.must(f.raw.HDel(f.ctx, saleKey(p, 7), field).Err())
			} else {
				f.must(f.raw.HSet(f.ctx, saleKey(p, 7), field, value).Err())
			}
			if _, _, err := f.Sale(f.ctx, p, 7); !errors.Is(err, ErrBroken) {
				t.Errorf("answer %v", err)
			}
		})
	}
}
