package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// told are the words of somebody's notices, oldest first.
func (h *house) told(p person, query string) string {
	h.t.Helper()
	words := ""
	for _, word := range h.turn(p.Access, "/v1/me/notices"+query, "notices", "word", 2, nil) {
		words = word + " " + words
	}
	return strings.TrimSpace(words)
}

// orders are somebody's, newest first: status and amount.
func (h *house) orders(p person, query string) (all string) {
	h.t.Helper()
	list, _ := h.ask("GET", "/v1/me/orders"+query, p.Access, "").body["orders"].([]any)
	for _, o := range list {
		order := o.(map[string]any)
		all += fmt.Sprintf("%v %v ", order["status"], order["amount"])
	}
	return strings.TrimSpace(all)
}

// TestReservationDay: held and paid, cancelled and let go, in line and promoted, by
// nothing but the API.
func TestReservationDay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	h.schedule()
	seller := h.person(accounts.Seller)
	ann, bob, cid, dot := h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000)
	opens := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	made := h.ask("POST", "/v1/sales", seller.Access, fmt.Sprintf(
		`{"kind":"reservation","title":"Chair","stock":2,"limit":1,"opens_at":%s,"closes_at":%s,"unit_price":1000,"hold":6,"line":5}`, quote(opens), quote(opens.Add(time.Hour))))
	made.wantFields(t, map[string]string{"kind": "reservation", "unit_price": "1000", "price": "1000", "hold": "6", "line": "5", "max_bypass": "", "policy": "", "period": "",
		"refund_window": "86400", "stock": "map[free:2 held:0 sold:0 total:2 waiting:0]"})
	path := made.header.Get("Location")
	id := query[int64](h, `select max(id) from sales`)
	h.shift(id, 62*time.Second)
	reserve := func(p person) string {
		return h.accepted("POST", path+"/reservations", p.Access, `{"quantity":1}`).text("receipt")
	}
	stock := func(want string) {
		t.Helper()
		h.ask("GET", path, "", "").wantFields(t, map[string]string{"stock": want})
	}

	a, b := reserve(ann), reserve(bob)
	first := h.becomes(ann.Access, a, "held")
	first.wantFields(t, map[string]string{"amount": "1000", "unit_price": "1000", "discount": "", "position": "", "poll_after_ms": ""})
	asked, _ := time.Parse(time.RFC3339Nano, first.text("requested_at"))
	if payBy, err := time.Parse(time.RFC3339Nano, first.text("pay_by")); err != nil || payBy.Sub(asked) != 6*time.Second {
		t.Errorf("%s", first.raw)
	}
	h.becomes(bob.Access, b, "held")
	c := reserve(cid)
	h.becomes(cid.Access, c, "waiting").wantFields(t, map[string]string{"position": "1", "amount": "1000", "pay_by": ""})
	d := reserve(dot)
	if r := h.becomes(dot.Access, d, "waiting"); r.text("position") != "2" || r.text("poll_after_ms") == "" {
		t.Errorf("%s", r.raw)
	}
	again := h.done("POST", path+"/reservations", ann.Access, `{"quantity":1}`)
	again.wantFields(t, map[string]string{"status": "rejected", "reason": "duplicate", "amount": ""})
	stock("map[free:0 held:2 sold:0 total:2 waiting:2]")
	if got := h.orders(bob, ""); got != "pending 1000" {
		t.Errorf("bob's orders: %s", got)
	}

	paid := h.done("POST", receiptsPath+a+"/pay", ann.Access, "")
	paid.wantFields(t, map[string]string{"status": "confirmed", "verb": "pay", "target": a, "amount": ""})
	h.becomes(ann.Access, a, "confirmed").wantFields(t, map[string]string{"amount": "1000", "pay_by": ""})
	h.done("POST", receiptsPath+b+"/cancel", bob.Access, "").wantFields(t, map[string]string{"status": "confirmed", "target": b})
	h.becomes(bob.Access, b, "cancelled")
	// One cancel promotes one, the first, and his clock starts then.
	promoted := h.becomes(cid.Access, c, "held")
	until, _ := time.Parse(time.RFC3339Nano, promoted.text("pay_by"))
	since, _ := time.Parse(time.RFC3339Nano, promoted.text("requested_at"))
	if until.Sub(since) <= 6*time.Second {
		t.Errorf("%s", promoted.raw)
	}
	if r := h.ask("GET", receiptsPath+d, dot.Access, ""); r.text("status") == "waiting" {
		r.wantFields(t, map[string]string{"position": "1"})
	} else if time.Now().Before(until) {
		t.Errorf("promoted twice: %s", r.raw)
	}
	e := reserve(bob) // who has cancelled may try again
	h.becomes(bob.Access, e, "waiting")

	h.becomes(cid.Access, c, "expired") // and his unit goes on
	h.becomes(dot.Access, d, "held")
	h.done("POST", receiptsPath+d+"/pay", dot.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	late := h.done("POST", receiptsPath+c+"/pay", cid.Access, "")
	late.wantFields(t, map[string]string{"status": "rejected", "reason": "expired"})
	h.done("POST", receiptsPath+e+"/cancel", bob.Access, "").wantFields(t, map[string]string{"status": "confirmed"}) // out of the line
	h.done("POST", receiptsPath+d+"/cancel", dot.Access, "").wantFields(t, map[string]string{"status": "confirmed", "unit_price": "1000"})
	h.becomes(dot.Access, d, "cancelled")
	stock("map[free:1 held:0 sold:1 total:2 waiting:0]")
	// A payment that comes too late buys what is free, under its own receipt.
	h.done("POST", receiptsPath+c+"/pay", cid.Access, "").wantFields(t, map[string]string{"status": "confirmed", "quantity": "1", "amount": "1000", "target": c})
	h.ask("GET", receiptsPath+c, cid.Access, "").wantFields(t, map[string]string{"status": "expired"})

	for p, want := range map[person]string{ann: "4000", bob: "5000", cid: "4000", dot: "5000"} {
		if r := h.ask("GET", "/v1/me/wallet", p.Access, ""); r.text("balance") != want {
			t.Errorf("%s has %s, not %s", p.email, r.text("balance"), want)
		}
	}
	for p, want := range map[person]string{ann: "paid 1000", bob: "cancelled 1000", cid: "paid 1000 expired 1000", dot: "cancelled 1000"} {
		if got := h.orders(p, ""); got != want {
			t.Errorf("%s has the orders %s, not %s", p.email, got, want)
		}
	}
	if got := h.orders(cid, "?status=expired"); got != "expired 1000" {
		t.Errorf("cid's expired orders: %s", got)
	}
	for p, want := range map[person]string{ann: "held confirmed", bob: "held", dot: "promoted confirmed refunded"} {
		if got := strings.ReplaceAll(h.told(p, ""), " soon", ""); got != want { // whether the end of 6 s was announced depends on the machine
			t.Errorf("%s was told %s, not %s", p.email, got, want)
		}
	}
	if got := h.told(cid, ""); strings.ReplaceAll(got, " soon", "") != "promoted expired confirmed" || strings.Count(got, "soon") > 1 {
		t.Errorf("cid was told %s", got)
	}

	// The seller: what he sold, why not more, and more of it.
	h.ask("GET", path+"/summary", seller.Access, "").wantFields(t, map[string]string{
		"stock": "map[free:0 held:0 sold:2 total:2 waiting:0]", "revenue": "2000", "refunded": "1000",
		"receipts": "map[cancelled:3 confirmed:2 expired:1 rejected:1]", "rejections": "map[duplicate:1]",
	})
	if got := h.turn(seller.Access, path+"/receipts?status=cancelled", "receipts", "receipt", 1, nil); fmt.Sprint(got) != fmt.Sprint([]string{e, d, b}) {
		t.Errorf("cancelled: %v", got)
	}
	later := opens.Add(3 * time.Hour)
	h.done("PATCH", path, seller.Access, fmt.Sprintf(`{"grow_by":3,"extend_to":%s}`, quote(later))).wantFields(t, map[string]string{"status": "confirmed", "verb": "change"})
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"closes_at": later.Format(time.RFC3339), "stock": "map[free:3 held:0 sold:2 total:5 waiting:0]"})
	h.done("PATCH", path, seller.Access, fmt.Sprintf(`{"extend_to":%s}`, quote(opens.Add(2*time.Hour)))).wantFields(t, map[string]string{"status": "rejected", "reason": "over_limit"})
	late2 := h.ask("PATCH", path, seller.Access, fmt.Sprintf(`{"closes_at":%s}`, quote(later.Add(time.Hour))))
	late2.wantProblem(t, 409, "too_late")
	soon := h.sale(time.Hour, 2*time.Hour, of(seller.Account), chair)
	h.ask("PATCH", fmt.Sprintf("/v1/sales/%d", soon.ID), seller.Access, fmt.Sprintf(`{"extend_to":%s}`, quote(later))).wantProblem(t, 409, "not_open")
}

// TestLineAtTheClose: who waits when the sale closes is told why.
func TestLineAtTheClose(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	h.schedule()
	seller, ann, bob := h.person(accounts.Seller), h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000)
	eve := h.person(accounts.Buyer)
	s := h.sale(-time.Second, 5*time.Second, of(seller.Account), chair, func(s *sale.Sale) { s.Stock, s.Limit, s.LineMost = 1, 1, 1 })
	a := h.reserve(s, ann.Access, 1).text("receipt")
	h.becomes(ann.Access, a, "held")
	b := h.reserve(s, bob.Access, 1).text("receipt")
	h.becomes(bob.Access, b, "waiting")
	h.settled(eve.Access, h.reserve(s, eve.Access, 1).text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "line_full"})
	h.becomes(bob.Access, b, "rejected").wantFields(t, map[string]string{"reason": "closed", "amount": "", "position": ""})
	h.ask("GET", receiptsPath+a, ann.Access, "").wantFields(t, map[string]string{"status": "held"}) // holds live on
	h.wantWalk(bob.Access, "/v1/me/receipts?status=rejected", "receipts", "receipt", []string{b})
	h.ask("GET", fmt.Sprintf("/v1/sales/%d/summary", s.ID), seller.Access, "").wantFields(t, map[string]string{"rejections": "map[closed:1 line_full:1]"})
	if got := h.told(bob, ""); got != "closed" {
		t.Errorf("bob was told %s", got)
	}
}
