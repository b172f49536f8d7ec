package upkeep

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/sale"
)

// inn is a store that is open for an hour a day, every day.
func (h *house) inn(zone string) sale.Store {
	h.t.Helper()
	sellers, err := h.ledger.CreateAccounts(h.ctx, "seller", 1, 0)
	h.must(err)
	s := sale.Store{Seller: sellers[0], Title: "Inn", TimeZone: zone, Tables: 2, Hold: time.Minute, DaysAhead: 14}
	for i := range s.Hours {
		s.Hours[i] = &sale.Span{Opens: 12 * 60, Closes: 13 * 60}
	}
	s, _, err = h.ledger.CreateStoreOnce(h.ctx, s, 2, uuid.Nil)
	h.must(err)
	return s
}

func (h *house) slots(s sale.Store) int {
	h.t.Helper()
	slots, _, err := h.ledger.Slots(h.ctx, s.ID, 0, sale.At(time.Now().AddDate(9, 0, 0)))
	h.must(err)
	return len(slots)
}

// four are schedulers that all think they lead; what they did together is asked of
// their metrics.
func (h *house) four() (four []*Scheduler) {
	for _, name := range []string{"a", "b", "c", "d"} {
		four = append(four, h.scheduler(name))
	}
	return four
}

func (h *house) together(four []*Scheduler, do func(*Scheduler) error) {
	h.t.Helper()
	var all sync.WaitGroup
	for _, s := range four {
		all.Go(func() {
			if err := do(s); err != nil {
				h.t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestDaysRollOver: a store has the slots of fourteen days ahead, and as days go by
// those of the next ones, once, by four schedulers at once, each day new ones.
func TestDaysRollOver(t *testing.T) {
	h := open(t)
	s := h.inn("Pacific/Auckland") // midnight is at 11:00 UTC in their summer
	start := time.Date(time.Now().Year()+1, 12, 1, 10, 59, 0, 0, time.UTC)
	for _, test := range []struct {
		at   time.Time
		want int
	}{
		{start, 3 * 14}, // today is over
		{start.Add(30 * time.Second), 3 * 14},
		{start.Add(time.Minute), 3 * 15}, // midnight
		{start.Add(2 * time.Minute), 3 * 15},
		{start.Add(24*time.Hour - time.Second), 3 * 15},
		{start.Add(24*time.Hour + time.Minute), 3 * 16},
		{start.AddDate(0, 0, 20), 3 * (16 + 14)}, // nobody was there for nineteen days: days that are over get none
	} {
		four := h.four()
		for range 3 { // a week at a time
			h.together(four, func(one *Scheduler) error { return one.publish(h.ctx, sale.At(test.at)) })
		}
		if n := h.slots(s); n != test.want {
			t.Errorf("at %s there are %d slots, not %d", test.at, n, test.want)
		}
	}
}

// TestPublishIsBounded: a beat makes so many slots, the next ones the others; one that
// cannot be published keeps nobody from it.
func TestPublishIsBounded(t *testing.T) {
	h := open(t)
	odd := h.inn("Mars/Base") // past the check, as when a scheduler has older zones than an API
	var stores []sale.Store
	for range 30 {
		stores = append(stores, h.inn("UTC"))
	}
	s := h.scheduler("a")
	now := sale.At(time.Now().Add(time.Minute))
	if err := s.publish(h.ctx, now); err == nil || !strings.Contains(err.Error(), "Mars/Base") {
		t.Errorf("a zone that is not known: %v", err)
	}
	made := testutil.ToFloat64(s.slots)
	if made < slotsMost || made > slotsMost+7*48 {
		t.Errorf("made %v slots in one beat", made)
	}
	h.must(s.publish(h.ctx, now))
	sum := h.slots(odd)
	for _, store := range stores {
		if n := h.slots(store); n < 3*14 {
			t.Errorf("store %d has %d slots", store.ID, n)
		} else {
			sum += n
		}
	}
	if made := testutil.ToFloat64(s.slots); made != float64(sum) {
		t.Errorf("counted %v slots, there are %d", made, sum)
	}
	due, err := h.ledger.ToPublish(h.ctx, now.Add(publishAgain), 10)
	if err != nil || len(due) != 1 || due[0].ID != odd.ID {
		t.Errorf("%d are to be tried again, %v", len(due), err)
	}
}
