package admission

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestBidWhileItsSaleIsForgotten: a sale whose seller is changing its text is
// loading at worst, never unknown.
func TestBidWhileItsSaleIsForgotten(t *testing.T) {
	h := open(t)
	s := h.sale(time.Hour)
	h.bid(Asker{Account: h.buyers[0]}, s, 1)
	ctx, enough := context.WithCancel(h.ctx)
	var meddler sync.WaitGroup
	meddler.Go(func() {
		for often := time.Tick(5 * time.Millisecond); ctx.Err() == nil; <-often {
			if err := h.store.Forget(h.ctx, s.Partition, s.ID); err != nil {
				t.Error(err)
			}
		}
	})
	admitted := 0
	for i := range 300 {
		_, err := h.Bid(h.ctx, Asker{Account: h.buyers[1], Key: strconv.Itoa(i)}, s.ID, 1, 100, false, uuid.Nil)
		var refusal *sale.Refusal
		switch {
		case err == nil:
			admitted++
		case !errors.As(err, &refusal) || refusal.Code != sale.RefusedLoading && refusal.Code != sale.RefusedSoldOut:
			t.Errorf("bid %d: %v", i, err)
		}
	}
	enough()
	meddler.Wait()
	if admitted == 0 {
		t.Error("nothing was admitted")
	}
}

// TestKeyWhenRedisForgotReceiptAndSale: long after the close Redis has neither. The
// sale is loaded first then, and a repeated request answered all the same.
func TestKeyWhenRedisForgotReceiptAndSale(t *testing.T) {
	h := open(t)
	s := h.offer(func(s *sale.Sale) { s.ClosesAt = s.OpensAt.Add(1500 * time.Millisecond) })
	by := Asker{Account: h.buyers[0], Key: "k"}
	reserve := func(by Asker) (sale.Standing, error) { return h.Reserve(h.ctx, by, s.ID, 1, uuid.Nil) }
	standing, err := reserve(by)
	first := h.wants(sale.Held, standing, err)
	h.until("it closes", func() bool {
		_, err := reserve(Asker{Account: h.buyers[1]})
		return refused(err, sale.RefusedClosed)
	})
	keys, err := h.redis.Keys(h.ctx, "*:r:*").Result()
	h.must(err)
	h.must(h.redis.Del(h.ctx, keys...).Err())
	h.must(h.store.Forget(h.ctx, s.Partition, s.ID))
	again, err := reserve(by)
	if err != nil || again.ID != first.ID || again.Status != sale.Held || !again.Known {
		t.Errorf("again %+v, %v", again, err)
	}
	h.must(h.store.Forget(h.ctx, s.Partition, s.ID))
	_, err = reserve(Asker{Account: by.Account, Key: "another"})
	wantRefusal(t, err, sale.RefusedClosed)
}
