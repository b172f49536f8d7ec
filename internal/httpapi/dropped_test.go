package httpapi

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/ledger"
	"sluice/internal/sale"
)

// TestReceiptsDropped: the seller of a sale that has been over for long is told that its
// receipts are not kept, in every form in which they were to be had; the sale is still there.
func TestReceiptsDropped(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller := h.person(accounts.Seller)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	if r := h.ask("GET", path+"/receipts", seller.Access, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.raw)
	}
	query[int](h, `
		with over as (
			update sales set phase = 'closed', paid_out = true where id = $1
			returning 1)
		select count(*) from over`, s.ID)
	now := sale.At(time.Now()).Add(400 * 24 * time.Hour)
	if _, err := h.ledger.AdvanceEras(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	h.sale(-time.Second, time.Hour, of(seller.Account)) // in the next era
	if leaving, err := h.ledger.SayLeaving(t.Context(), now, 31*24*time.Hour); err != nil || len(leaving) != 1 {
		t.Fatalf("leaving %v, %v", leaving, err)
	}
	if gone, err := h.ledger.DropEra(t.Context(), now.Add(ledger.LeaveNotice)); err != nil || gone == nil {
		t.Fatalf("gone %v, %v", gone, err)
	}
	h.ask("GET", path+"/receipts", seller.Access, "").wantProblem(t, 410, string(receiptsDropped))
	h.ask("GET", path+"/receipts", seller.Access, "", "Accept: text/csv").wantProblem(t, 410, string(receiptsDropped))
	h.ask("GET", path+"/summary", seller.Access, "").wantProblem(t, 410, string(receiptsDropped))
	if r := h.ask("GET", path, seller.Access, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.raw)
	}
}
