package httpapi

import (
	"slices"
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestWhenToAsk: soon after it is expected, and a guess when nobody knows.
func TestWhenToAsk(t *testing.T) {
	t.Parallel()
	queued := func(ahead int64, drain float64, still time.Duration) sale.Standing {
		return sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}, Ahead: ahead, Drain: drain, Still: still}
	}
	waiting := func(line int64, leave float64) sale.Standing {
		return sale.Standing{Receipt: sale.Receipt{Status: sale.Waiting}, Line: line, LeaveLine: leave}
	}
	for name, c := range map[string]struct {
		s    sale.Standing
		want time.Duration
	}{
		"next":                     {queued(0, 10_000, 0), pollLeast},
		"ten seconds":              {queued(9999, 1000, 0), 10*time.Second + 500*time.Millisecond},
		"never":                    {queued(sale.MaxPoints, 0.001, 0), pollMost},
		"unknown":                  {queued(5, 0, 0), pollUnknown},
		"a short rest":             {queued(999, 1000, 400*time.Millisecond), 1050 * time.Millisecond},
		"Postgres is away for 10s": {queued(999, 1000, 10*time.Second), 11*time.Second + 550*time.Millisecond},
		"head of the line":         {waiting(1, 0), pollUnknown},
		"second":                   {waiting(2, 0), 2 * pollUnknown},
		"far back":                 {waiting(1000, 0), pollInLine},
		"a line that moves":        {waiting(4, 1), 2 * time.Second},
		"a line that flies":        {waiting(4, 1000), pollUnknown},
		"held":                     {sale.Standing{Receipt: sale.Receipt{Status: sale.Held}}, 0},
		"final":                    {sale.Standing{Receipt: sale.Receipt{Status: sale.Rejected}, Drain: 5}, 0},
	} {
		if got := whenToAsk(c.s); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestPollsStayUnderTheBudget: of any crowd, no second sees more polls than the budget
// allows; nobody is told sooner than he wanted by more than the spread; and what fits is
// not put off.
func TestPollsStayUnderTheBudget(t *testing.T) {
	t.Parallel()
	const budget, crowd = 1000, 20_000
	p := newPolls(budget)
	if p.book(0) != 0 {
		t.Error("who has nothing to ask for is told to ask")
	}
	began := time.Now()
	seconds := map[int]int{}
	var all []time.Duration
	for range crowd {
		in := p.bookAt(began, 2*time.Second)
		if in < 1900*time.Millisecond {
			t.Fatalf("told to come in %s already", in)
		}
		seconds[int(in/time.Second)]++
		all = append(all, in)
	}
	for second, n := range seconds {
		if n > budget*11/10 { // a second of the clock begins within a slot
			t.Errorf("in second %d %d polls are invited", second, n)
		}
	}
	slices.Sort(all)
	if last, least := all[len(all)-1], crowd/budget*time.Second; last > least+4*time.Second {
		t.Errorf("the last is told to come in %s; all would fit in %s", last, least)
	}
	if same := len(slices.Compact(all)); same < crowd*9/10 {
		t.Errorf("only %d different moments", same)
	}

	// More than the book has room for are asked to be patient.
	p = newPolls(50)
	for range 50 * int(bookLength/time.Second) {
		p.bookAt(began, time.Second)
	}
	if in := p.bookAt(began, time.Second); in < bookLength {
		t.Errorf("a full book has room in %s", in)
	}
	// When their time is over, there is room again.
	if in := p.bookAt(began.Add(bookLength), time.Second); in > 1100*time.Millisecond {
		t.Errorf("an empty book has room in %s", in)
	}
}
