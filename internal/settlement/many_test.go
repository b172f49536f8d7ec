package settlement

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestManyHoldsEndAtOnce: nobody has ended the holds of a large sale in time, so the
// next request does. Deciding that takes longer than a transaction may be idle, which
// here is much shorter than it is; the batch must get through nevertheless.
func TestManyHoldsEndAtOnce(t *testing.T) {
	const many = 25_000
	h := newHouse(t)
	strict, err := url.Parse(h.pg)
	h.must(err)
	query := strict.Query()
	query.Set("idle_in_transaction_session_timeout", "40ms")
	strict.RawQuery = query.Encode()
	s := h.reservation(func(s *sale.Sale) { s.Stock, s.Hold = many, 30*time.Second })
	o := houseOver(t, h.redis, strict.String(), nil).owner(s.Partition)
	h.open(s)
	buyers := h.buyers(many, 1000)
	var crowd sync.WaitGroup
	for worker := range 64 {
		crowd.Go(func() {
			for i := worker; i < many; i += 64 {
				h.admit(s, sale.Request{Verb: sale.Reserve, Buyer: buyers[i], Quantity: 1})
			}
		})
	}
	crowd.Wait()
	settle := func() {
		t.Helper()
		h.until("all is settled", func() bool {
			lead, err := h.store.Lead(h.ctx, o.partition, o.mark.Epoch, o.mark.Generation)
			h.must(err)
			if lead.AppliedSeq == lead.Seq {
				return true
			}
			if err := o.step(h.ctx); err != nil {
				h.must(o.sync(h.ctx))
			}
			return false
		})
	}
	settle()
	if held := h.agree(s).Held; held != many {
		t.Fatalf("%d are held", held)
	}
	later := sale.At(time.Now().Add(time.Minute))
	h.must(h.raw().HSet(h.ctx, fmt.Sprintf("{s%d}", s.Partition), "clock", int64(later)).Err())
	last := h.admit(s, sale.Request{Verb: sale.Reserve, Buyer: h.buyers(1, 1000)[0], Quantity: 1})
	settle()
	if stand := h.agree(s); stand.Held != 1 || h.receipt(last).Status != sale.Held {
		t.Errorf("%d are held, the last is %s", stand.Held, h.receipt(last).Status)
	}
}
