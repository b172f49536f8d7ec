package ledger

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// lane is one partition at work, beside others.
type lane struct {
	*books
	p    int
	mark Watermark
	of   sale.Sale // where its buyers reserve
	at   sale.Instant
}

// settle carries requests through Postgres in one batch.
func (l *lane) settle(requests []sale.Request) *sale.Batch {
	l.t.Helper()
	l.at++
	b := &sale.Batch{Partition: l.p, Epoch: l.mark.Epoch, Prev: l.mark.Applied, Seq: l.mark.Seq}
	stand, _, err := l.Stand(l.ctx, l.of.ID)
	if err != nil {
		l.t.Error(err)
		return b
	}
	b.State = sale.State{l.of.ID: stand}
	for i, r := range requests {
		b.Seq++
		b.Entries = append(b.Entries, sale.Entry{ID: sale.EntryID{At: l.at, No: int64(i)}, Seq: b.Seq, Request: r})
	}
	b.Last = b.Entries[len(b.Entries)-1].ID
	if err := l.Settle(l.ctx, b); err != nil {
		l.t.Error(err)
	}
	l.mark.Applied, l.mark.Seq = b.Last, b.Seq
	return b
}

// late stops a transaction for a moment, so that the other one is in the middle of
// its own.
type late struct{ pgx.Tx }

func (tx late) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	return tx.Tx.SendBatch(ctx, b)
}

// TestACouponIsNeverUsedTwice: two partitions settle batches that use the same
// coupons, in any order, at the same moment, a thousand times: exactly one use of
// each goes through, and nobody waits for somebody who waits for him.
func TestACouponIsNeverUsedTwice(t *testing.T) {
	const coupons, rounds = 20, 50
	b := open(t)
	b.wrapTx = func(tx pgx.Tx) pgx.Tx { return late{tx} }
	now := sale.At(time.Now())
	offer := func(s sale.Sale) sale.Sale {
		s.Seller, s.Title, s.Price.Policy = b.seller, "lamp", sale.Fixed
		s.OpensAt, s.ClosesAt = now-1, now.Add(time.Hour)
		s, err := b.CreateSale(b.ctx, s, 2)
		b.must(err)
		return s
	}
	var lanes [2]*lane
	for len(lanes[0:]) > 0 && (lanes[0] == nil || lanes[1] == nil) {
		s := offer(sale.Sale{Kind: sale.Reservation, Stock: 1_000_000, Limit: 1_000_000, Price: sale.Price{Start: 50}, Hold: time.Minute})
		lanes[s.Partition] = &lane{books: b, p: s.Partition, of: s, at: now}
	}
	for p, l := range lanes {
		var err error
		l.mark, err = b.Lead(b.ctx, p, "test")
		b.must(err)
	}
	buyers, err := b.CreateAccounts(b.ctx, "buyer", coupons, 0)
	b.must(err)
	var claims [coupons]sale.Request
	c := offer(sale.Sale{Kind: sale.Coupon, Stock: coupons, Limit: 1, AmountOff: 30, ValidFrom: now - 1, ValidUntil: now.Add(time.Hour)})
	claimer := &lane{books: b, p: c.Partition, mark: lanes[c.Partition].mark, of: c, at: now}
	for i, buyer := range buyers {
		claims[i] = sale.Request{Receipt: sale.NewReceiptID(c.Partition), Verb: sale.Claim, Sale: c.ID, Buyer: buyer, Quantity: 1}
	}
	claimer.settle(claims[:])
	lanes[c.Partition].mark, lanes[c.Partition].at = claimer.mark, claimer.at

	for round := range rounds {
		var batches [2]*sale.Batch
		both := func(requests [2][]sale.Request) {
			var all sync.WaitGroup
			for p, l := range lanes {
				if len(requests[p]) > 0 {
					all.Go(func() { batches[p] = l.settle(requests[p]) })
				}
			}
			all.Wait()
		}
		var uses, returns [2][]sale.Request
		for p, l := range lanes {
			for _, i := range rand.Perm(coupons) {
				uses[p] = append(uses[p], sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Reserve, Sale: l.of.ID, Buyer: buyers[i], Quantity: 1, Coupon: claims[i].Receipt})
			}
		}
		both(uses)
		won := map[uuid.UUID]int{}
		for p, batch := range batches {
			for i, e := range batch.Entries {
				switch o := batch.Outcomes[i]; {
				case o.Status == sale.Held && o.Discount == 30:
					won[e.Coupon]++
					returns[p] = append(returns[p], sale.Request{Receipt: sale.NewReceiptID(p), Verb: sale.Cancel, Sale: e.Sale, Buyer: e.Buyer, Target: e.Receipt})
				case o.Reason != sale.CouponUnusable:
					t.Errorf("outcome %+v", o)
				}
			}
		}
		for _, claim := range claims {
			if won[claim.Receipt] != 1 {
				t.Errorf("round %d: a coupon was used %d times", round, won[claim.Receipt])
			}
		}
		if n := b.count(`
			select count(*)
			from coupons c
			join receipts r on r.id = c.used_by
			where r.status = 'held' and r.coupon = c.id and r.discount = 30`); n != coupons {
			t.Errorf("round %d: %d coupons are used", round, n)
		}
		if t.Failed() {
			return
		}
		both(returns)
	}
}
