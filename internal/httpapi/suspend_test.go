package httpapi

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// operator asks for what has no address: to suspend a sale, or to resume it.
func (h *house) operator(v sale.Verb, s sale.Sale) {
	h.t.Helper()
	r := sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: v, Sale: s.ID}
	if _, err := h.store.Admit(h.t.Context(), s.Partition, r, partition.Anytime, partition.Limits{Backlog: 10}); err != nil {
		h.t.Fatal(err)
	}
	h.until("the operator is heard", func() bool {
		standing, err := h.store.Receipt(h.t.Context(), s.Partition, r.Receipt)
		return err == nil && standing.Status == sale.Confirmed
	})
}

// TestSuspendedSale: it says so, refuses whoever is at the door, and lets go on what there
// is.
func TestSuspendedSale(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), func(s *sale.Sale) {
		s.Kind, s.Price, s.Hold, s.LineMost = sale.Reservation, sale.Price{Policy: sale.Fixed, Start: 100}, time.Minute, 10
	})
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	reserve := func() reply {
		return h.ask("POST", path+"/reservations", buyer.Access, `{"quantity":1}`)
	}
	held := h.settled(buyer.Access, reserve().text("receipt"))
	held.wantFields(t, map[string]string{"status": "held"})

	h.operator(sale.Suspend, s)
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"state": "suspended"})
	reserve().wantProblem(t, 409, "suspended")
	list := h.ask("GET", "/v1/sales?state=suspended", "", "")
	if found, ok := list.body["sales"].([]any); !ok || len(found) != 1 {
		t.Errorf("listed as suspended: %s", list.raw)
	}
	grow := h.ask("PATCH", path, seller.Access, `{"grow_by":1}`)
	h.settled(seller.Access, grow.text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "suspended"})
	paid := h.ask("POST", receiptsPath+held.text("receipt")+"/pay", buyer.Access, "")
	h.settled(buyer.Access, paid.text("receipt")).wantFields(t, map[string]string{"status": "confirmed"})

	h.operator(sale.Resume, s)
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"state": "open"})
	h.settled(buyer.Access, reserve().text("receipt")).wantFields(t, map[string]string{"status": "held"})
}
