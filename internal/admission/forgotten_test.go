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
