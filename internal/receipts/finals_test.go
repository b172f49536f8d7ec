package receipts

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/admission"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestFinals: what can follow something is never remembered, what nothing can follow is for
// ever, and a rejection under a keyed ID for a moment.
func TestFinals(t *testing.T) {
	keyed := sale.KeyedReceiptID(0, 7, 9, sale.Bid, "a key")
	for name, c := range map[string]struct {
		s    sale.Standing
		want time.Duration // 0: not at all; -1: for ever
	}{
		"queued":                    {sale.Standing{Receipt: sale.Receipt{Status: sale.Queued}}, 0},
		"held":                      {sale.Standing{Receipt: sale.Receipt{Status: sale.Held}}, 0},
		"waiting":                   {sale.Standing{Receipt: sale.Receipt{Status: sale.Waiting}}, 0},
		"confirmed":                 {sale.Standing{Receipt: sale.Receipt{Status: sale.Confirmed}}, 0},
		"lost":                      {sale.Standing{Receipt: sale.Receipt{Status: sale.Rejected, Reason: sale.Lost}}, 0},
		"expired":                   {sale.Standing{Receipt: sale.Receipt{ID: keyed, Status: sale.Expired}}, -1},
		"cancelled":                 {sale.Standing{Receipt: sale.Receipt{ID: keyed, Status: sale.Cancelled}}, -1},
		"refunded":                  {sale.Standing{Receipt: sale.Receipt{ID: keyed, Status: sale.Refunded}}, -1},
		"rejected":                  {sale.Standing{Receipt: sale.Receipt{Status: sale.Rejected, Reason: sale.SoldOut}, Behind: 1 << 40}, -1},
		"rejected under a key":      {sale.Standing{Receipt: sale.Receipt{ID: keyed, Status: sale.Rejected, Reason: sale.SoldOut}}, finalsTrust},
		"rejected under a key, old": {sale.Standing{Receipt: sale.Receipt{ID: keyed, Status: sale.Rejected, Reason: sale.SoldOut}, Behind: partition.RejectedMost / 2}, 0},
	} {
		if c.s.ID == uuid.Nil {
			c.s.ID = sale.NewReceiptID(0)
		}
		for age, want := range map[time.Duration]bool{0: c.want != 0, finalsTrust - time.Second: c.want != 0, finalsTrust + time.Second: c.want < 0} {
			var f finals
			f.keep(c.s, time.Now().Add(-age))
			if got, ok := f.get(c.s.ID); ok != want || ok && got != c.s {
				t.Errorf("%s, read %s ago: %+v, %t", name, age, got, ok)
			}
		}
	}
}

// TestFinalsAreBounded: no more are remembered than there may be, and who is asked for
// again and again is among them.
func TestFinalsAreBounded(t *testing.T) {
	var f finals
	last := sale.Standing{Receipt: sale.Receipt{ID: sale.NewReceiptID(0), Status: sale.Expired}}
	f.keep(last, time.Now())
	first := uuid.Nil
	for n := range 5 * finalsMost {
		s := sale.Standing{Receipt: sale.Receipt{ID: sale.NewReceiptID(0), Status: sale.Expired}}
		if n == 0 {
			first = s.ID
		}
		f.keep(s, time.Now())
		if _, ok := f.get(last.ID); !ok {
			t.Fatalf("forgotten after %d others, although it is asked for", n)
		}
		if len(f.young) > finalsMost || len(f.older) > finalsMost {
			t.Fatalf("%d and %d are remembered", len(f.young), len(f.older))
		}
	}
	if _, ok := f.get(first); ok {
		t.Error("nothing is forgotten")
	}
}

// TestFinalReceiptsAreNotReadTwice: one that is cancelled is answered out of memory, to its
// buyer alone; one that may still change is read each time.
func TestFinalReceiptsAreNotReadTwice(t *testing.T) {
	q := openQueue(t)
	s := q.chairs(q.account("seller"))
	me, other := q.account("buyer"), q.account("buyer")
	id := q.reserve(s, me)
	asked, err := q.admission.Cancel(t.Context(), admission.Asker{Account: me}, id)
	q.must(err)
	q.until("it is cancelled", func() bool {
		return q.get(me, asked.ID).Status == sale.Confirmed && q.get(me, id).Status == sale.Cancelled
	})
	q.stop()
	forget := func(id uuid.UUID) {
		t.Helper()
		n, err := q.redis.Del(t.Context(), "{s0}:r:"+base64.RawURLEncoding.EncodeToString(id[:])).Result()
		if err != nil || n != 1 {
			t.Fatalf("Redis forgets %d receipts, %v", n, err)
		}
	}
	reads := func() float64 { return testutil.ToFloat64(q.hot.found) + testutil.ToFloat64(q.hot.missing) }
	q.get(me, id)
	forget(id)
	before, remembered := reads(), testutil.ToFloat64(q.memory.found)
	if got := q.get(me, id); got.Status != sale.Cancelled || got.Buyer != me {
		t.Errorf("%+v", got)
	}
	if _, err := q.Get(t.Context(), other, id); !errors.Is(err, sale.ErrNotYours) {
		t.Errorf("another's: %v", err)
	}
	if reads() != before || testutil.ToFloat64(q.memory.found) != remembered+2 {
		t.Errorf("Redis was asked %v times, memory had it %v times", reads()-before, testutil.ToFloat64(q.memory.found)-remembered)
	}
	q.get(me, asked.ID) // confirmed
	if reads() != before+1 {
		t.Error("a confirmed receipt is not read")
	}
}
