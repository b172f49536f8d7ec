package receipts

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

// TestOutlooks: of fifty who queue for ten units the first are told that they are likely
// to get one, and those far back that they are not; and so it comes. When all are gone,
// whoever still queues is told that.
func TestOutlooks(t *testing.T) {
	q := openQueue(t)
	now := sale.At(time.Now())
	lamps := func(stock int64) sale.Sale {
		s, err := q.ledger.CreateSale(t.Context(), sale.Sale{
			Kind: sale.Auction, Seller: q.account("seller"), Title: "lamp", Stock: stock, Limit: 1,
			Price:   sale.Price{Policy: sale.Constant, Start: 100, Drop: 1, Period: time.Hour},
			OpensAt: now - 1, ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour,
		}, 1)
		q.must(err)
		return s
	}
	bid := func(s sale.Sale, buyer int64) sale.Standing {
		t.Helper()
		standing, err := q.admission.Bid(t.Context(), admission.Asker{Account: buyer}, s.ID, 1, 100, false, uuid.Nil)
		q.must(err)
		return standing
	}
	s := lamps(15)
	for range 5 { // so that it is known how fast they go
		buyer := q.account("buyer")
		id := bid(s, buyer).ID
		q.until("it is decided", func() bool { return q.get(buyer, id).Status == sale.Confirmed })
	}
	q.stop()
	var buyers []int64
	var ids []uuid.UUID
	for range 50 {
		buyers = append(buyers, q.account("buyer"))
		ids = append(ids, bid(s, buyers[len(buyers)-1]).ID)
	}
	told := func(i int) sale.Outlook { return q.get(buyers[i-1], ids[i-1]).Outlook }
	// What was known of the sale while it sold is told for a moment longer.
	q.until("it is read again", func() bool { return told(50) == sale.Unlikely })
	for i, want := range map[int]sale.Outlook{1: sale.Likely, 8: sale.Likely, 10: sale.Likely, 11: "", 50: sale.Unlikely} {
		if got := told(i); got != want {
			t.Errorf("%d. is told %q, not %q", i, got, want)
		}
	}
	if got := q.Outlook(t.Context(), sale.Standing{Receipt: sale.Receipt{ID: ids[0], Sale: s.ID, Verb: sale.Pay, Status: sale.Queued}}); got != "" {
		t.Errorf("who buys nothing is told %q", got)
	}
	if got := q.Outlook(t.Context(), sale.Standing{Receipt: sale.Receipt{ID: ids[0], Sale: 404, Verb: sale.Bid, Status: sale.Queued, Quantity: 1}}); got != "" {
		t.Errorf("of a sale that is not there %q is told", got)
	}

	// It is gone: those who queue learn it as soon as what is known is read again.
	hash := fmt.Sprintf("{s0}:sale:%d", s.ID)
	q.must(q.redis.HSet(t.Context(), hash, "free", 0, "exhausted", 1).Err())
	q.until("they are told", func() bool { return told(1) == sale.Gone && told(50) == sale.Gone })
	q.must(q.redis.HSet(t.Context(), hash, "free", 10, "exhausted", 0).Err())
	q.until("it was a mistake", func() bool { return told(1) == sale.Likely && told(50) == sale.Unlikely })

	q.again()
	for i, id := range ids {
		q.until("it is decided", func() bool { return q.get(buyers[i], id).Status != sale.Queued })
		want := sale.Confirmed
		if i >= 10 {
			want = sale.Rejected
		}
		if got := q.get(buyers[i], id); got.Status != want || got.Outlook != "" {
			t.Errorf("%d.: %s, outlook %q", i+1, got.Status, got.Outlook)
		}
	}
}

// TestOneAsksForAll: however many ask what to expect of a sale, it is read a few times a
// second.
func TestOneAsksForAll(t *testing.T) {
	var c chances
	if c.of(7) != nil {
		t.Error("something is known of a sale that nobody has read")
	}
	old := &chance{read: time.Now().Add(-2 * chancesFor), told: true}
	c.keep(7, old)
	if c.of(7) != nil {
		t.Error("the first who asks after a while does not read it again")
	}
	if got := c.of(7); got == nil || !got.told {
		t.Error("the others wait for him")
	}
	for id := range int64(chancesMost + 1) {
		c.keep(id, &chance{read: time.Now()})
	}
	if len(c.known) > chancesMost {
		t.Errorf("%d sales are kept", len(c.known))
	}
}
