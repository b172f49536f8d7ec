package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestOperations: an admin sees both servers, the partitions and who owns them, the
// busiest sales and how many letters are dead; of a server that is gone, nothing.
func TestOperations(t *testing.T) {
	t.Parallel()
	server := embeddedtest.RedisServer(t)
	h := openOn(t, server.URL)
	admin := h.person(accounts.Admin)
	h.letter(3)
	s := h.sale(-time.Second, time.Hour, func(s *sale.Sale) { s.ShowStock = false })
	buyer := h.rich(accounts.Buyer, 1_000_000)
	receipt := h.bid(s, buyer.Access, 2, 1000).text("receipt")
	h.work()
	h.settled(buyer.Access, receipt)
	r := h.ask("GET", operationsPath, admin.Access, "")
	redis, _ := r.body["redis"].(map[string]any)
	books, _ := r.body["postgres"].(map[string]any)
	sales, _ := r.body["sales"].(map[string]any)
	all, _ := r.body["partitions"].([]any)
	if r.status != http.StatusOK || redis["mode"] != "server" || r.text("version") != "v1.2.0" || r.text("dead_letters") != "1" || len(all) != partitions ||
		fmt.Sprint(sales["open"]) != "1" || fmt.Sprint(books["size"]) == "0" {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	third, _ := all[3].(map[string]any)
	if fmt.Sprint(third["partition"]) != "3" || !strings.HasPrefix(fmt.Sprint(third["owner"]), "test") || fmt.Sprint(third["dead_letters"]) != "1" {
		t.Errorf("partition 3 is %v", third)
	}
	busiest, _ := sales["busiest"].([]any)
	if len(busiest) != 1 || !strings.Contains(r.raw, fmt.Sprintf(`"sale":%d,`, s.ID)) || !strings.Contains(r.raw, `"free":8,"held":0,"sold":2`) {
		t.Errorf("the busiest are %v", busiest)
	}

	h.rest()
	server.Kill()
	h.until("Redis is seen to be gone", func() bool {
		r = h.ask("GET", operationsPath, admin.Access, "")
		return r.status == http.StatusOK && r.body["redis"] == nil
	})
	if r.body["partitions"] != nil || r.body["dead_letters"] != nil || r.body["sales"] == nil || r.body["postgres"] == nil {
		t.Errorf("without Redis: %s", r.raw)
	}
}

// TestWhoseReceipt: an admin finds out whose a receipt is, queued or decided, and the log
// says that he looked, and no e-mail.
func TestWhoseReceipt(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin, buyer := h.person(accounts.Admin), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour)
	receipt := h.bid(s, buyer.Access, 2, 1000).text("receipt")
	whose := func(status string) reply {
		t.Helper()
		r := h.ask("GET", seenReceiptsPath+receipt, admin.Access, "")
		found, _ := r.body["receipt"].(map[string]any)
		if r.status != http.StatusOK || found["receipt"] != receipt || found["status"] != status || fmt.Sprint(found["buyer"]) != fmt.Sprint(buyer.Account) {
			t.Fatalf("%s: %d %s", status, r.status, r.raw)
		}
		return r
	}
	r := whose("queued")
	if owner, _ := r.body["account"].(map[string]any); owner["email"] != buyer.email || owner["role"] != "buyer" {
		t.Errorf("the owner is %v", owner)
	}
	h.work()
	h.settled(buyer.Access, receipt)
	whose("confirmed")
	whose("confirmed") // out of memory, since it is final
	if log := h.log.String(); strings.Count(log, "an admin looked at whose receipt this is") != 3 || strings.Contains(log, buyer.email) ||
		!strings.Contains(log, fmt.Sprintf(`"admin":%d,"account":%d,"receipt":"%s"`, admin.Account, buyer.Account, receipt)) {
		t.Errorf("the log says %s", log)
	}
	if r := h.ask("DELETE", mePath, buyer.Access, fmt.Sprintf(`{"current_password":%q}`, buyer.password)); r.status != http.StatusNoContent {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	if r := whose("confirmed"); r.body["account"] != nil {
		t.Errorf("of somebody who has gone: %s", r.raw)
	}
	h.ask("GET", seenReceiptsPath+sale.NewReceiptID(1).String(), admin.Access, "").wantProblem(t, 404, "unknown_receipt")

	// What nobody asked is nobody's.
	h.sale(-time.Second, time.Hour)
	tick := sale.Request{Receipt: sale.NewReceiptID(s.Partition), Verb: sale.Suspend, Sale: s.ID}
	if _, err := h.store.Admit(t.Context(), s.Partition, tick, partition.Anytime, h.api.admission.Limits()); err != nil {
		t.Fatal(err)
	}
	h.ask("GET", seenReceiptsPath+tick.Receipt.String(), admin.Access, "").wantProblem(t, 404, "unknown_receipt")
}
