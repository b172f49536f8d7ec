package partition

import (
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestSuspendAndResume: the door follows the stream; what was never suspended has no word
// of it in Redis, nor has what is resumed.
func TestSuspendAndResume(t *testing.T) {
	f := started(t)
	f.load(stage(func(s *sale.Stand) { s.Stock, s.Free, s.Limit = 1, 1, 1 }))
	says := func(want string) {
		t.Helper()
		if got := f.raw.HGet(f.ctx, saleKey(p, 7), "suspended").Val(); got != want {
			t.Errorf("suspended is %q, not %q", got, want)
		}
	}
	operator := func(v sale.Verb) sale.Request {
		return sale.Request{Receipt: sale.NewReceiptID(p), Verb: v, Sale: 7}
	}
	held, first, second := f.admit(reserve(1001, 1)), f.admit(reserve(1002, 1)), f.admit(reserve(1003, 1))
	f.settle()
	says("")

	f.admit(operator(sale.Suspend))
	f.settle()
	says("1")
	_, err := f.Admit(f.ctx, p, reserve(1004, 1), Selling, unlimited)
	wantRefusal(t, err, sale.RefusedSuspended)

	f.admit(about(sale.Cancel, f.status(held.ID)))
	f.settle()
	says("1")
	statuses := func(want ...sale.Status) {
		t.Helper()
		for i, id := range []uuid.UUID{held.ID, first.ID, second.ID} {
			if got := f.status(id).Status; got != want[i] {
				t.Errorf("number %d is %s, not %s", i, got, want[i])
			}
		}
	}
	statuses(sale.Cancelled, sale.Waiting, sale.Waiting)

	f.admit(operator(sale.Resume))
	f.settle()
	says("")
	statuses(sale.Cancelled, sale.Held, sale.Waiting)
	f.admit(reserve(1004, 1))
}

// TestResumeServesALongLine: what has come free meanwhile may be more than a view shows at
// first; it is looked at deeper then.
func TestResumeServesALongLine(t *testing.T) {
	f := started(t)
	const free, line = 900, 2000
	f.load(stage(func(s *sale.Stand) {
		s.Stock, s.Free, s.Sold, s.Limit, s.Suspended = 10_000, 0, 10_000, 1, false
	}))
	var waits []uuid.UUID
	for i := range int64(line) {
		waits = append(waits, f.admit(reserve(5000+i, 1)).ID)
		if i%500 == 499 {
			f.settle()
		}
	}
	f.must(f.raw.HSet(f.ctx, saleKey(p, 7), "suspended", 1, "free", free, "sold", 10_000-free).Err())
	f.admit(sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Resume, Sale: 7})
	b := f.settle()
	if n := len(b.Effects.Moves); n != free {
		t.Errorf("%d are promoted, not %d", n, free)
	}
	for _, i := range []int{0, free - 1} {
		if got := f.status(waits[i]).Status; got != sale.Held {
			t.Errorf("number %d is %s", i, got)
		}
	}
	if got := f.status(waits[free]).Status; got != sale.Waiting {
		t.Errorf("the next one is %s", got)
	}
}
