package partition

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/sale"
)

func TestAsks(t *testing.T) {
	tick := func(v sale.Verb) sale.Entry { return sale.Entry{Request: sale.Request{Verb: v, Sale: 7}} }
	ask := func(v sale.Verb, id, buyer, quantity, from int64) sale.Entry {
		return sale.Entry{Request: sale.Request{Verb: v, Sale: id, Buyer: buyer, Quantity: quantity, From: from}}
	}
	got := Asks([]sale.Entry{
		{Request: sale.Request{Verb: sale.Rebuilt}},
		ask(sale.Reserve, 7, 1001, 2, 0), ask(sale.Reserve, 7, 1002, 1, 0), ask(sale.Cancel, 7, 1001, 0, 0), ask(sale.Pay, 7, 1002, 0, 0),
		tick(sale.Expire), tick(sale.Close), tick(sale.Open), tick(sale.Payout),
		ask(sale.Change, 8, 1, 40, 0), ask(sale.Change, 8, 1, 1<<62, 0), ask(sale.Change, 8, 1, 1<<62, 0),
		ask(sale.Suspend, 11, 0, 0, 0), ask(sale.Resume, 11, 0, 0, 0),
		ask(sale.Reserve, 9, 1001, 1, 10), // the table of slot 10 against one of slot 9
	})
	want := map[int64]*Ask{
		7:  {Buyers: []int64{1001, 1002, 0}, Ticks: 4, Requests: 4, Frees: 1},
		8:  {Buyers: []int64{1}, Requests: 3, Frees: 40 + 2*sale.MaxStock},
		9:  {Buyers: []int64{1001}, Requests: 1},
		10: {Buyers: []int64{1001}, Requests: 1, Frees: 1},
		11: {Buyers: []int64{0}, Requests: 2, Frees: sale.BypassReach},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestViewShows what a batch may have to see of a sale, and not more: 3,000 holds,
// 1,200 of which end by the batch's last entry, and 5,000 in line.
func TestViewShows(t *testing.T) {
	const due, line = 1200, 5000
	plain := func(s *sale.Stand) { s.Limit = 1 }
	closed := func(s *sale.Stand) { s.Limit, s.Phase = 1, sale.PhaseClosed }
	bypass := func(s *sale.Stand) { s.Limit, s.MaxBypass = 1, 3 }
	for _, c := range []struct {
		name   string
		change func(*sale.Stand)
		none   bool // nothing is due
		ask    Ask
		holds  int
		line   int
	}{
		{"nothing can come free", plain, true, Ask{Requests: 3}, 0, 0},
		{"a tick, and nothing is due", plain, true, Ask{Ticks: 1}, 0, 0},
		{"all that is due, for a request", plain, false, Ask{Requests: 1}, due, due + 1},
		{"beside ticks, too", plain, false, Ask{Requests: 1, Ticks: 1}, due, due + 1},
		{"a tick ends so many", plain, false, Ask{Ticks: 1}, sale.TickMost + 1, sale.TickMost + 2},
		{"two ticks", plain, false, Ask{Ticks: 2}, 2*sale.TickMost + 1, 2*sale.TickMost + 2},
		{"cancels", plain, true, Ask{Requests: 4, Frees: 4}, 0, 5},
		{"cancels where a buyer may have two", nil, true, Ask{Requests: 4, Frees: 4}, 0, 9},
		{"smaller ones may pass", bypass, true, Ask{Requests: 1}, 0, sale.BypassReach},
		{"and units come free", bypass, true, Ask{Requests: 1, Frees: 2}, 0, sale.BypassReach + 3},
		{"closing", func(s *sale.Stand) { s.Limit, s.ClosesAt = 1, s.OpensAt+1 }, true, Ask{Ticks: 2}, 0, 2 * sale.TickMost},
		{"closed, a tick", closed, false, Ask{Ticks: 1, Requests: 1, Frees: 1}, sale.TickMost + 1, sale.TickMost},
		{"closed, no tick", closed, false, Ask{Requests: 1, Frees: 1}, 0, 0},
		{"deeper", plain, true, Ask{Requests: 1, Deeper: 1}, 0, 8 * sale.BypassReach},
		{"deeper by what comes free", plain, true, Ask{Requests: 1, Frees: 199, Deeper: 1}, 0, 8 * 200},
		{"deepest", plain, true, Ask{Requests: 1, Deeper: DeepMost}, 0, line},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := started(t)
			last := sale.EntryID{At: sale.At(time.Now())}
			s := stage(func(s *sale.Stand) {
				s.Stock, s.Held, s.Free, s.Limit = 3000, 3000, 0, 2
				s.Holds, s.Line, s.Waiting = queue(3000, last.At-due+1), queue(line, last.At-line), line
				if c.none {
					s.Holds = queue(3000, last.At+1)
				}
				if c.change != nil {
					c.change(s)
				}
			})
			f.load(s)
			applied, _ := f.applied()
			state, err := f.View(f.ctx, p, 1, applied, last, map[int64]*Ask{7: &c.ask})
			f.must(err)
			if got := state[7]; len(got.Holds) != c.holds || len(got.Line) != c.line {
				t.Errorf("%d holds and %d in line, not %d and %d", len(got.Holds), len(got.Line), c.holds, c.line)
			}
			s.Buyers = nil
			c.ask.Cut(s, last)
			if diff := cmp.Diff(s, state[7], cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("cut from a complete stand it is another:\n%s", diff)
			}
		})
	}
}

// TestDeepest: the deepest look at a line is the whole of the longest there may be.
func TestDeepest(t *testing.T) {
	deepest := Ask{Deeper: DeepMost}
	if shown := deepest.more() * sale.BypassReach; shown < sale.MaxLine {
		t.Errorf("%d shown of %d", shown, sale.MaxLine)
	}
	s := stage(func(s *sale.Stand) { s.Line = queue(sale.MaxLine, 1) })
	deepest.Cut(s, sale.EntryID{})
	if len(s.Line) != sale.MaxLine {
		t.Errorf("%d cut from it", len(s.Line))
	}
}

// TestCutIsAView: what is cut from a stand that Postgres has is what Redis would
// have shown, whatever is asked of whatever sale.
func TestCutIsAView(t *testing.T) {
	f := started(t)
	asks, stands := map[int64]*Ask{}, sale.State{}
	last := sale.EntryID{At: sale.At(time.Now())}
	any := func(of ...int64) int64 { return of[rand.IntN(len(of))] }
	for id := range int64(200) {
		s := stage(func(s *sale.Stand) {
			s.ID, s.Limit, s.MaxBypass = id+1, any(1, 1, 2, 50), any(0, 0, 3)
			s.Phase = []sale.Phase{sale.PhaseOpen, sale.PhaseOpen, sale.PhaseClosed}[rand.IntN(3)]
			s.ClosesAt = last.At + sale.Instant(any(-5, 0, 1, 5000))
			s.Holds = queue(rand.IntN(1500), last.At-sale.Instant(rand.IntN(1500)))
			s.Line = queue(rand.IntN(900), last.At-sale.Instant(rand.IntN(900)))
			s.Held, s.Waiting = int64(len(s.Holds)), int64(len(s.Line))
			s.Stock = s.Held + s.Free
			s.Buyers = map[int64]int64{1001: 1, 1002: 2}
		})
		f.load(s)
		stands[s.ID] = s
		asks[s.ID] = &Ask{
			Buyers: []int64{1002, 1003}, Ticks: int(any(0, 0, 1, 3)), Requests: int(any(0, 1, 5)),
			Frees: any(0, 0, 2, 60, 1e9), Deeper: int(any(0, 0, 0, 1, DeepMost)),
		}
	}
	applied, _ := f.applied()
	for id, s := range stands {
		neighbour := id%int64(len(stands)) + 1 // so that no answer is all there is
		state, err := f.View(f.ctx, p, 1, applied, last, map[int64]*Ask{id: asks[id], neighbour: asks[neighbour]})
		f.must(err)
		asks[id].Cut(s, last)
		got := state[id]
		if !slices.Equal(got.Holds, s.Holds) || !slices.Equal(got.Line, s.Line) || !maps.Equal(got.Buyers, s.Buyers) {
			t.Errorf("asked for %+v: cut are %d holds and %d in line, viewed %d and %d", asks[id], len(s.Holds), len(s.Line), len(got.Holds), len(got.Line))
		}
	}
}

// BenchmarkView looks at the sales of a batch of 500 entries: one auction, or as
// many as there are entries.
func BenchmarkView(b *testing.B) {
	for _, sales := range []int64{1, 500} {
		b.Run(fmt.Sprintf("sales=%d", sales), func(b *testing.B) {
			f := started(b)
			var entries []sale.Entry
			for i := range int64(500) {
				e := sale.Entry{Request: bid(1000+i, 1)}
				e.Sale = 1 + i%sales
				entries = append(entries, e)
			}
			for id := range sales {
				f.load(lamp(func(s *sale.Stand) { s.ID = id + 1 }))
			}
			applied, _ := f.applied()
			for b.Loop() {
				if _, err := f.View(f.ctx, p, 1, applied, applied, Asks(entries)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
