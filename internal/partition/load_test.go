package partition

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

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
	if keys := f.raw.Exists(f.ctx, saleKey(p, 7), buyersKey(p, 7)).Val(); keys != 0 {
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

// TestSaleOfAnOlderProcess: a sale that was loaded before there were descriptions
// can be read.
func TestSaleOfAnOlderProcess(t *testing.T) {
	f := started(t)
	f.load(lamp(func(s *sale.Stand) { s.Description = "x" }))
	f.must(f.raw.HDel(f.ctx, saleKey(p, 7), "description").Err())
	if s, _, err := f.Sale(f.ctx, p, 7); err != nil || s.Description != "" || s.Title == "" {
		t.Errorf("%+v, %v", s, err)
	}
}
