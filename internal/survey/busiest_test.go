package survey

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// market is open sales in which something moves.
type market struct {
	busiest
	moved map[int64]int64
	now   time.Time
}

func newMarket(sales int) *market {
	m := &market{moved: map[int64]int64{}, now: time.Unix(1_700_000_000, 0)}
	for id := range int64(sales) {
		m.moved[id+1] = 0
	}
	return m
}

// look surveys, and answers which are shown, sorted.
func (m *market) look() []int64 {
	m.now = m.now.Add(every)
	m.choose(maps.Clone(m.moved), m.now)
	return slices.Sorted(slices.Values(m.shown))
}

func TestFewSalesAreAllShown(t *testing.T) {
	m := newMarket(3)
	if got := m.look(); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("of three are shown %v", got)
	}
	delete(m.moved, 2)
	m.moved[4] = 0
	if got := m.look(); !slices.Equal(got, []int64{1, 3, 4}) {
		t.Errorf("after one has closed and one has opened are shown %v", got)
	}
}

// TestShownFollowsTheTrade: first what has moved most, then what moves most.
func TestShownFollowsTheTrade(t *testing.T) {
	m := newMarket(1000)
	want := make([]int64, shownMost)
	for i := range want {
		want[i] = int64(10 + 7*i)
		m.moved[want[i]] = int64(1000 + i)
	}
	if got := m.look(); !slices.Equal(got, want) {
		t.Errorf("the greatest are %v, shown are %v", want, got)
	}
	m.moved[500] += 10_000
	got := m.look()
	if !slices.Contains(got, 500) || len(got) != shownMost || slices.Contains(got, want[0]) {
		t.Errorf("one is busier by far than the last, and shown are %v", got)
	}
	for range 600 { // twenty minutes in which only others trade
		for id := int64(601); id <= 600+shownMost; id++ {
			m.moved[id] += 5
		}
		got = m.look()
	}
	if got[0] != 601 || got[shownMost-1] != 600+shownMost {
		t.Errorf("long after the trade has moved on are shown %v", got)
	}
}

// TestQuietSalesDoNotTakeTurns: every sale that was ever shown is a series that
// Prometheus keeps, so a little trade everywhere must not show them one after another.
func TestQuietSalesDoNotTakeTurns(t *testing.T) {
	ever := shownEver(t, (*busiest).choose)
	if ever > 2*shownMost {
		t.Errorf("%d sales were shown", ever)
	}
	// The twin that always shows the hottest is caught by the same.
	twin := shownEver(t, func(b *busiest, moved map[int64]int64, now time.Time) {
		b.shown = nil
		b.choose(moved, now)
	})
	if twin <= 2*shownMost {
		t.Errorf("the twin has shown %d", twin)
	}
}

// shownEver answers how many of ten thousand quiet sales were ever shown in ten minutes.
func shownEver(t *testing.T, choose func(*busiest, map[int64]int64, time.Time)) int {
	t.Helper()
	m := newMarket(10_000)
	dice, ever := rand.New(rand.NewPCG(1, 2)), map[int64]bool{}
	for range 300 {
		for range 100 {
			m.moved[dice.Int64N(10_000)+1]++
		}
		m.now = m.now.Add(every)
		choose(&m.busiest, maps.Clone(m.moved), m.now)
		if len(m.shown) != shownMost {
			t.Fatalf("%d are shown", len(m.shown))
		}
		for _, id := range m.shown {
			ever[id] = true
		}
	}
	return len(ever)
}
