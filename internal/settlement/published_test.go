package settlement

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// The cases that the systems before us publish, over the real pipeline.

func TestTenBuyersOfTwoOnTen(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	var ids []uuid.UUID
	for _, buyer := range h.buyers(10, 1000) {
		ids = append(ids, h.bid(s, buyer, 2))
	}
	h.drain(o)
	if got := h.count(ids); got["confirmed"] != 5 || got["rejected sold_out"] != 5 {
		t.Errorf("outcomes %v", got)
	}
	for i, id := range ids { // first come, first served
		if want := i < 5; (h.receipt(id).Status == sale.Confirmed) != want {
			t.Errorf("bid %d: confirmed is %v", i, !want)
		}
	}
	if stand := h.agree(s); stand.Sold != 10 || stand.Free != 0 {
		t.Errorf("stands %+v", stand)
	}
	if got := h.points(s.Escrow); got != 1000 {
		t.Errorf("escrow has %d", got)
	}
}

func TestElevenBidsOneShortOfPoints(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	var ids []uuid.UUID
	for i, buyer := range h.buyers(11, 100) {
		if i == 3 {
			buyer = h.buyers(1, 99)[0]
		}
		ids = append(ids, h.bid(s, buyer, 1))
	}
	h.drain(o)
	if got := h.count(ids); got["confirmed"] != 10 || got["rejected short_points"] != 1 {
		t.Errorf("outcomes %v", got)
	}
	if h.receipt(ids[3]).Reason != sale.ShortPoints {
		t.Error("the wrong one was short")
	}
	h.agree(s)
}

func TestTenRefundsAtOnce(t *testing.T) {
	h := newHouse(t)
	s := h.sale(func(s *sale.Sale) { s.ClosesAt = sale.At(time.Now()) + 1500 })
	o := h.owner(s.Partition)
	h.open(s)
	buyers := h.buyers(10, 100)
	ids := make([]uuid.UUID, len(buyers))
	for i, buyer := range buyers {
		ids[i] = h.bid(s, buyer, 1)
	}
	h.drain(o)
	if got := h.count(ids); got["confirmed"] != 10 {
		t.Fatalf("outcomes %v", got)
	}
	h.until("the sale closes", func() bool {
		_, now, err := h.store.Sale(h.ctx, s.Partition, s.ID)
		h.must(err)
		return now > s.ClosesAt
	})
	refunds := make([]uuid.UUID, 2*len(ids)) // each asked for twice
	var together sync.WaitGroup
	for i := range refunds {
		together.Go(func() {
			refunds[i] = h.admit(s, sale.Request{Verb: sale.Refund, Buyer: buyers[i%10], Target: ids[i%10]})
		})
	}
	together.Wait()
	h.drain(o)
	if got := h.count(refunds); got["confirmed"] != 10 || got["rejected already_final"] != 10 {
		t.Errorf("refunds %v", got)
	}
	if got := h.count(ids); got["refunded"] != 10 {
		t.Errorf("bids %v", got)
	}
	for _, buyer := range buyers {
		if got := h.points(buyer); got != 100 {
			t.Errorf("buyer has %d points", got)
		}
	}
	if stand := h.agree(s); stand.Sold != 10 || h.points(s.Escrow) != 0 {
		t.Errorf("refunded units are not sold again: %+v", stand)
	}
}

func TestUnknownSaleHarmsNobody(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	stranger := s
	stranger.ID = 1 << 40
	ids := []uuid.UUID{h.bid(s, buyer, 1), h.bid(stranger, buyer, 1), h.bid(s, buyer, 1)}
	h.drain(o)
	if got := h.count(ids); got["confirmed"] != 2 || got["rejected unknown_sale"] != 1 {
		t.Errorf("outcomes %v", got)
	}
	h.agree(s)
}

func TestBacklogIsExecutedOnceEach(t *testing.T) {
	const backlog, stock = 20_000, 7_000
	h := newHouse(t)
	s := h.sale(func(s *sale.Sale) { s.Stock = stock })
	o := h.owner(s.Partition)
	h.open(s)
	buyers := h.buyers(2_000, 1000)
	ids := make([]uuid.UUID, backlog)
	var crowd sync.WaitGroup
	for worker := range 64 {
		crowd.Go(func() {
			for i := worker; i < backlog; i += 64 {
				ids[i] = h.bid(s, buyers[i%len(buyers)], 1)
			}
		})
	}
	crowd.Wait()
	h.drain(o)
	if got := h.count(ids); got["confirmed"] != stock || got["rejected sold_out"] != backlog-stock {
		t.Errorf("outcomes %v", got)
	}
	var units int64
	stand := h.agree(s)
	for n := range maps.Values(stand.Buyers) {
		units += n
	}
	if units != stock || stand.Sold != stock || h.points(s.Escrow) != stock*100 {
		t.Errorf("%d units with buyers, %d sold, escrow %d", units, stand.Sold, h.points(s.Escrow))
	}
}

func TestPercentagePrices(t *testing.T) {
	for _, c := range []struct{ rate, start, second int64 }{
		{600, 2150, 2021}, {1800, 150, 123}, {3000, 90, 63}, {3100, 100, 69}, {4200, 100, 58}, {4300, 100, 57},
	} {
		h := newHouse(t)
		now := sale.At(time.Now())
		s := h.sale(func(s *sale.Sale) { // one drop since it opened, the next far away
			s.Price = sale.Price{Policy: sale.Percentage, Start: c.start, Rate: c.rate, Period: 30 * time.Minute}
			s.OpensAt, s.ClosesAt = now.Add(-45*time.Minute), now.Add(15*time.Minute)
		})
		o := h.owner(s.Partition)
		h.open(s)
		buyer := h.buyers(1, 10_000)[0]
		bid := h.admit(s, sale.Request{Verb: sale.Bid, Buyer: buyer, Quantity: 3, Price: c.start})
		exact := h.admit(s, sale.Request{Verb: sale.Bid, Buyer: buyer, Quantity: 1, Price: c.start, Exact: true})
		h.drain(o)
		if r := h.receipt(bid); r.Status != sale.Confirmed || r.UnitPrice != c.second {
			t.Errorf("%d basis points: %s at %d, not %d", c.rate, r.Status, r.UnitPrice, c.second)
		}
		if r := h.receipt(exact); r.Reason != sale.PriceChanged {
			t.Errorf("%d basis points: exact bid %s %s", c.rate, r.Status, r.Reason)
		}
		if got := h.points(buyer); got != 10_000-3*c.second {
			t.Errorf("%d basis points: buyer has %d", c.rate, got)
		}
	}
}

func TestPayoutOnceByAnyNumberOfSchedulers(t *testing.T) {
	h := newHouse(t)
	now := sale.At(time.Now())
	s := h.sale(func(s *sale.Sale) { s.ClosesAt, s.RefundWindow = now+1000, 500*time.Millisecond })
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	h.bid(s, buyer, 4)
	h.drain(o)
	if h.points(s.Escrow) != 400 || h.points(h.seller) != 0 {
		t.Fatal("the bid is not in escrow")
	}
	for _, duty := range []struct {
		verb sale.Verb
		due  sale.Instant
	}{{sale.Close, s.ClosesAt}, {sale.Payout, s.PayoutAt()}} {
		tick := sale.Request{Receipt: sale.TickReceiptID(s.Partition, s.ID, duty.verb, duty.due), Verb: duty.verb, Sale: s.ID}
		h.until("the tick is due", func() bool {
			_, err := h.store.Admit(h.ctx, s.Partition, tick, partition.From(duty.due), partition.Limits{Backlog: 100})
			return err == nil
		})
		again, err := h.store.Admit(h.ctx, s.Partition, tick, partition.From(duty.due), partition.Limits{Backlog: 100})
		if err != nil || !again.Known {
			t.Errorf("a second scheduler's tick: %+v, %v", again, err)
		}
	}
	h.drain(o)
	if h.points(s.Escrow) != 0 || h.points(h.seller) != 400 {
		t.Errorf("escrow %d, seller %d", h.points(s.Escrow), h.points(h.seller))
	}
	if stand := h.agree(s); !stand.PaidOut || stand.Phase != sale.PhaseClosed {
		t.Errorf("stands %+v", stand)
	}
}
