package ledger

import (
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestSuspendedIsRecorded: what is suspended and resumed stands in the record, in the log
// and in whatever is loaded from it; and how often.
func TestSuspendedIsRecorded(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 1, LineMost: 5})
	who := st.buyers(3, 0)
	st.settle(st.ask(sale.Reserve, s.ID, who[0]), st.ask(sale.Reserve, s.ID, who[1]))
	stands := func(suspended bool, times int) {
		t.Helper()
		st.check()
		loaded, _, err := st.Stand(st.ctx, s.ID)
		st.must(err)
		var n int
		st.must(st.pool.QueryRow(st.ctx, `select suspensions from sales where id = $1`, s.ID).Scan(&n))
		if loaded.Suspended != suspended || n != times {
			t.Errorf("suspended %t, %d times", loaded.Suspended, n)
		}
	}
	stands(false, 0)
	st.later(time.Second)
	st.settle(st.ask(sale.Suspend, s.ID, 0))
	stands(true, 1)
	st.later(time.Second)
	refused := st.ask(sale.Reserve, s.ID, who[2])
	b := st.settle(refused, st.ask(sale.Suspend, s.ID, 0))
	if b.Outcomes[0].Reason != sale.Suspended || !b.State[s.ID].Suspended {
		t.Errorf("stood on %+v: %+v", b.State[s.ID], b.Outcomes[0])
	}
	stands(true, 1)
	logged, err := st.BatchesAfter(st.ctx, 0, b.Prev, 1)
	st.must(err)
	if len(logged) != 1 || !logged[0].State[s.ID].Suspended || !logged[0].Effects.Sales[0].Suspended {
		t.Errorf("the log has %+v", logged)
	}
	st.later(time.Second)
	st.settle(st.ask(sale.Resume, s.ID, 0))
	stands(false, 1)
	st.later(time.Second)
	st.settle(st.ask(sale.Suspend, s.ID, 0))
	stands(true, 2)
}

// TestNoPayoutWhileSuspended: it is not due, and when the sale is resumed it is another
// duty than the one that may have been refused meanwhile.
func TestNoPayoutWhileSuspended(t *testing.T) {
	st := newStage(t)
	s := st.offer(sale.Sale{Kind: sale.Auction, Stock: 1, RefundWindow: time.Minute})
	st.settle(st.ask(sale.Bid, s.ID, st.buyers(1, 100)[0], func(r *sale.Request) { r.Price = 100 }))
	st.clock = s.ClosesAt
	st.settle(st.ask(sale.Close, s.ID, 0))
	st.clock = s.PayoutAt()
	due := st.due()
	if len(due) != 1 || due[0].Verb != sale.Payout {
		t.Fatalf("due are %+v", due)
	}
	st.settle(st.ask(sale.Suspend, s.ID, 0))
	if b := st.settle(st.tick(due[0])); b.Outcomes[0].Reason != sale.Suspended {
		t.Errorf("paid out: %+v", b.Outcomes[0])
	}
	if meanwhile := st.due(); len(meanwhile) != 0 {
		t.Errorf("due are %+v", meanwhile)
	}
	st.settle(st.ask(sale.Resume, s.ID, 0))
	again := st.due()
	if len(again) != 1 || again[0].Receipt() == due[0].Receipt() {
		t.Fatalf("due are %+v", again)
	}
	if b := st.settle(st.tick(again[0])); b.Outcomes[0].Status != sale.Confirmed {
		t.Errorf("not paid out: %+v", b.Outcomes[0])
	}
	st.check()
}
