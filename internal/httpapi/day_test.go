package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"sluice/internal/upkeep"
)

// schedule runs a scheduler until the test ends.
func (h *house) schedule() {
	scheduler := upkeep.New("test", h.store, h.ledger, 24*time.Hour, 0, zerolog.Nop(), prometheus.NewRegistry())
	rested := make(chan struct{})
	go func() {
		defer close(rested)
		_ = scheduler.Run(h.t.Context()) // what it does not do shows in what the test waits for
	}()
	h.t.Cleanup(func() { <-rested })
}

// TestDay is everything that a seller and a buyer do with each other, from sign-up
// to sign-out, by nothing but the API. Only time is helped along.
func TestDay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	h.schedule()
	say := func(status int, method, path, token, body string, headers ...string) reply {
		t.Helper()
		r := h.ask(method, path, token, body, headers...)
		if r.status != status {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, status, r.raw)
		}
		return r
	}

	seller := say(201, "POST", "/v1/auth/signup", "", newcomer("sue@example.org", "sells lamps", "seller"))
	buyer := say(201, "POST", "/v1/auth/signup", "", newcomer("bob@example.org", "buys lamps", "buyer"))
	selling, buying := seller.text("access_token"), buyer.text("access_token")

	made := say(201, "POST", "/v1/sales", selling, offer(time.Minute), keyHeader+": lamp")
	path := made.header.Get("Location")
	id := query[int64](h, `select max(id) from sales`)
	if path != fmt.Sprintf("/v1/sales/%d", id) {
		t.Fatalf("Location %s of sale %d", path, id)
	}
	say(200, "PATCH", path, selling, `{"title":"Lantern","limit":2}`)
	say(201, "POST", "/v1/me/wallet/topups", buying, `{"amount":5000}`, keyHeader+": gift")
	say(409, "POST", path+"/bids", buying, goodBid) // not open yet

	h.shift(id, 62*time.Second) // two seconds after the opening
	h.until("it is open", func() bool { return h.ask("GET", path, "", "").text("state") == "open" })
	listed := say(200, "GET", "/v1/sales?state=open&seller="+seller.text("account"), "", "")
	if !strings.Contains(listed.raw, `"title":"Lantern"`) {
		t.Errorf("%s", listed.raw)
	}
	bid := say(202, "POST", path+"/bids", buying, `{"quantity":2,"price":1000}`, keyHeader+": mine")
	receipt := bid.text("receipt")
	h.settled(buying, receipt).wantFields(t, map[string]string{"status": "confirmed", "quantity": "2", "unit_price": "1000", "buyer": ""})
	grow := say(202, "PATCH", path, selling, `{"grow_by":5}`)
	h.settled(selling, grow.text("receipt")).wantFields(t, map[string]string{"status": "confirmed"})
	say(200, "GET", path, "", "").wantFields(t, map[string]string{"state": "open", "stock": "map[free:13 held:0 sold:2 total:15]", "limit": "2"})
	wallet := say(200, "GET", "/v1/me/wallet", buying, "")
	if wallet.text("balance") != "3000" || !strings.Contains(wallet.raw, `"kind":"bid","amount":-2000,"receipt":"`+receipt+`"`) {
		t.Errorf("%s", wallet.raw)
	}
	say(409, "DELETE", "/v1/me", selling, `{"current_password":"sells lamps"}`)

	h.shift(id, 10*time.Minute)
	h.until("it is closed", func() bool { return h.ask("GET", path, "", "").text("state") == "closed" })
	say(409, "POST", path+"/bids", buying, goodBid)
	refund := say(202, "POST", receiptsPath+receipt+"/refund", buying, "", keyHeader+": back")
	h.settled(buying, refund.text("receipt")).wantFields(t, map[string]string{"status": "confirmed", "target": receipt})
	say(200, "GET", receiptsPath+receipt, buying, "").wantFields(t, map[string]string{"status": "refunded"})
	h.wantWalk(buying, "/v1/me/receipts", "receipts", "receipt", []string{refund.text("receipt"), receipt})
	h.wantWalk(selling, path+"/receipts", "receipts", "receipt", []string{receipt})
	say(200, "GET", "/v1/me/wallet", buying, "").wantFields(t, map[string]string{"balance": "5000"})

	summary := func() string { return say(200, "GET", path+"/summary", selling, "").raw }
	want := fmt.Sprintf(`{"sale":%d,"state":"closed","stock":{"total":15,"free":13,"held":0,"sold":2},"revenue":0,"refunded":2000,"paid_out":false,"receipts":{"confirmed":0,"refunded":1}}`, id)
	if got := summary(); got != want {
		t.Errorf("summary %s, want %s", got, want)
	}
	h.shift(id, time.Hour)
	h.until("it is paid out", func() bool { return strings.Contains(summary(), `"paid_out":true`) })
	late := say(202, "POST", receiptsPath+receipt+"/refund", buying, "")
	h.settled(buying, late.text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "already_final"})

	for _, who := range []reply{seller, buyer} {
		say(204, "POST", "/v1/auth/signout", "", fmt.Sprintf(`{"refresh_token":%q}`, who.text("refresh_token")))
		say(401, "POST", "/v1/auth/refresh", "", fmt.Sprintf(`{"refresh_token":%q}`, who.text("refresh_token")))
	}
	say(204, "DELETE", "/v1/me", selling, `{"current_password":"sells lamps"}`) // nothing is owed any more
	say(401, "POST", "/v1/auth/signin", "", credentials("sue@example.org", "sells lamps"))
	if r := say(200, "GET", path, "", ""); r.text("seller") != seller.text("account") {
		t.Errorf("its history stays: %s", r.raw)
	}
}

// TestLogLines: a line for every request, with what is needed to find it again, and
// of a crowd's a few.
func TestLogLines(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.sale(-time.Second, time.Hour)
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	for range 200 {
		h.ask("GET", path, "", "")
	}
	h.ask("GET", path+"/prices", "", "", "X-Request-ID: find-me")
	h.ask("PATCH", path, "", `{"title":"x"}`, "X-Request-ID: and-me")
	log := h.log.String()
	for _, want := range []string{
		fmt.Sprintf(`"level":"info","request_id":"find-me","method":"GET","route":"/v1/sales/:id/prices","sale":%d,"status":200,"took":`, s.ID),
		fmt.Sprintf(`"request_id":"and-me","method":"PATCH","route":"/v1/sales/:id","sale":%d,"status":401,"took":`, s.ID),
		`"code":"unauthorized","message":"request"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	if n := strings.Count(log, `"method":"GET","route":"/v1/sales/:id","sale"`); n < 10 || n > 150 {
		t.Errorf("%d lines of 200", n)
	}
}
