package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/sale"
)

// TestGlimpse: it sees what a projection sees, in numbers; what cannot be read is one
// sale's trouble.
func TestGlimpse(t *testing.T) {
	f := open(t)
	if _, err := f.Glimpse(f.ctx, p, []int64{7}); !errors.Is(err, ErrLoading) {
		t.Errorf("before there is anything: %v", err)
	}
	f.start()
	now := sale.At(time.Now())
	s := f.load(stage(func(s *sale.Stand) {
		s.Free, s.Held, s.Sold, s.Waiting = 5, 2, 3, 4
		s.Holds, s.Line, s.Buyers = queue(2, now.Add(time.Hour)), queue(4, now), map[int64]int64{1001: 2}
	}))
	gone := lamp(func(s *sale.Stand) { s.ID, s.Free, s.Sold = 8, 0, 10 })
	f.load(gone)
	f.must(f.raw.HSet(f.ctx, saleKey(p, 9), "kind", "auction").Err())
	applied, _ := f.applied()
	seen, err := f.Glimpse(f.ctx, p, []int64{7, 8, 9, 10})
	f.must(err)
	if seen.Applied != applied || len(seen.Sales) != 3 {
		t.Errorf("at %s, %d sales", seen.Applied, len(seen.Sales))
	}
	want := *s
	want.Buyers, want.Holds, want.Line = nil, nil, nil
	if diff := cmp.Diff(Glimpsed{Stand: &want, Holds: 2, Line: 4}, seen.Sales[7], cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if !seen.Sales[8].Exhausted || !errors.Is(seen.Sales[9].Unreadable, ErrBroken) {
		t.Errorf("seen %+v, %+v", seen.Sales[8], seen.Sales[9])
	}
}
