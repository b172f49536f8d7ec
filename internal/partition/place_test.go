package partition

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// queue is n places one after the other, from a moment on.
func queue(n int, from sale.Instant) []sale.Place {
	places := make([]sale.Place, n)
	for i := range places {
		places[i] = sale.Place{Receipt: sale.NewReceiptID(p), Seq: int64(i + 1), At: from + sale.Instant(i)}
	}
	return places
}

// TestPlacesKeepTheirOrder: many at one moment, some of one number, as after a
// Redis that came back older. The moment is one that some servers write as
// 1.7e+12.
func TestPlacesKeepTheirOrder(t *testing.T) {
	test := func(t *testing.T, f *fixture) {
		var line []sale.Place
		for range 300 {
			line = append(line, sale.Place{
				Receipt: uuid.New(), Seq: rand.Int64N(20) << (8 * rand.IntN(7)), At: 1700000000000 + sale.Instant(rand.IntN(3)),
			})
		}
		slices.SortFunc(line, sale.Place.Compare)
		f.load(stage(func(s *sale.Stand) { s.Free, s.Held, s.Line, s.Waiting, s.Holds = 9, 1, line, 300, line[:1] }))
		all, err := f.Projection(f.ctx, p, []int64{7})
		f.must(err)
		if diff := cmp.Diff(line, all.Sales[7].Line); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(line[:1], all.Sales[7].Holds); diff != "" {
			t.Error(diff)
		}
		for i, place := range line {
			if n, _, err := f.LinePlace(f.ctx, p, 7, place); err != nil || n != int64(i+1) {
				t.Errorf("place %d is number %d, %v", i+1, n, err)
			}
		}
	}
	t.Run("Redis", func(t *testing.T) { test(t, started(t)) })
	t.Run("miniredis", func(t *testing.T) {
		f := over(t, "redis://"+miniredis.RunT(t).Addr())
		f.start()
		test(t, f)
	})
}

func TestLinePlace(t *testing.T) {
	f := started(t)
	stranger := sale.Place{Receipt: sale.NewReceiptID(p), Seq: 1, At: 1}
	if _, _, err := f.LinePlace(f.ctx, p, 7, stranger); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("of a sale that is not there: %v", err)
	}
	f.load(stage(nil))
	held := f.admit(reserve(1001, 2))
	var waiting []sale.Standing
	f.admit(reserve(1002, 2))
	f.admit(reserve(1003, 2))
	f.admit(reserve(1004, 2))
	f.admit(reserve(1005, 2))
	for buyer := range int64(3) {
		waiting = append(waiting, f.admit(reserve(2001+buyer, 1)))
	}
	f.settle()
	place := func(r sale.Receipt) int64 {
		t.Helper()
		n, _, err := f.LinePlace(f.ctx, p, 7, r.LinePlace())
		f.must(err)
		return n
	}
	for i, w := range waiting {
		if n := place(f.status(w.ID)); n != int64(i+1) {
			t.Errorf("number %d in line is told %d", i+1, n)
		}
	}
	if n := place(f.status(held.ID)); n != 0 {
		t.Errorf("who holds is told %d", n)
	}
	f.admit(about(sale.Cancel, waiting[0].Receipt))
	f.settle()
	if n := place(f.status(waiting[2].ID)); n != 2 {
		t.Errorf("after one has left the third is told %d", n)
	}
	f.must(f.Forget(f.ctx, p, 7))
	if _, _, err := f.LinePlace(f.ctx, p, 7, f.status(waiting[2].ID).LinePlace()); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("of a sale that was forgotten: %v", err)
	}
}

// TestBrokenPlaces: a member or a score that cannot be ours, and a line that is
// longer than its sale says, are errors, never a wrong order.
func TestBrokenPlaces(t *testing.T) {
	for name, spoil := range map[string]redis.Z{
		"short member":   {Score: 1, Member: "short"},
		"broken score":   {Score: 1.5, Member: string(make([]byte, memberSize))},
		"one more place": {Score: 1, Member: string(make([]byte, memberSize))},
	} {
		t.Run(name, func(t *testing.T) {
			f := started(t)
			f.load(stage(func(s *sale.Stand) { s.MaxBypass, s.Line, s.Waiting = 1, queue(2, 5), 2 }))
			if name != "one more place" {
				f.must(f.raw.ZRemRangeByRank(f.ctx, lineKey(p, 7), 0, 0).Err())
			}
			f.must(f.raw.ZAdd(f.ctx, lineKey(p, 7), spoil).Err())
			applied, _ := f.applied()
			if _, err := f.View(f.ctx, p, 1, applied, applied, map[int64]*Ask{7: {Requests: 1}}); !errors.Is(err, ErrBroken) {
				t.Errorf("view: %v", err)
			}
		})
	}
}

func FuzzPlaces(f *testing.F) {
	f.Add(string(member(sale.Place{Receipt: sale.NewReceiptID(p), Seq: 12, At: 5})), "1700000000000")
	f.Add(string(make([]byte, memberSize)), "1.7e+12")
	f.Add("", "-inf")
	f.Fuzz(func(t *testing.T, who, score string) {
		all, err := places([]any{who, score})
		if err != nil {
			if !errors.Is(err, ErrBroken) {
				t.Error(err)
			}
			return
		}
		if len(all) != 1 || string(member(all[0])) != who {
			t.Errorf("%q came back as %+v", who, all)
		}
	})
}

// BenchmarkLinePlace asks for a place in the middle of a long line, as everybody
// who waits does all the time.
func BenchmarkLinePlace(b *testing.B) {
	f := started(b)
	line := queue(sale.MaxLine, sale.At(time.Now()))
	f.load(stage(func(s *sale.Stand) { s.Line, s.Waiting = line, sale.MaxLine }))
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if n, _, err := f.LinePlace(f.ctx, p, 7, line[sale.MaxLine/2]); err != nil || n != sale.MaxLine/2+1 {
				b.Fatal(n, err)
			}
		}
	})
}
