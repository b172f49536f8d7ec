package httpapi

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestCouponDay: claimed once, used once, freed by a cancel, and used again.
func TestCouponDay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, other := h.person(accounts.Seller), h.person(accounts.Seller)
	ann, bob := h.rich(accounts.Buyer, 5000), h.rich(accounts.Buyer, 5000)
	opens := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	made := h.ask("POST", "/v1/sales", seller.Access, fmt.Sprintf(
		`{"kind":"coupon","title":"Three hundred off","stock":2,"opens_at":%s,"closes_at":%s,"amount_off":300,"valid_until":%s}`,
		quote(opens), quote(opens.Add(time.Hour)), quote(opens.Add(48*time.Hour))))
	made.wantFields(t, map[string]string{"kind": "coupon", "amount_off": "300", "limit": "1", "valid_from": opens.Format(time.RFC3339), "refund_window": "0",
		"unit_price": "", "hold": "", "price": "0", "refund_until": "", "stock": "map[free:2 held:0 sold:0 total:2]"})
	path := made.header.Get("Location")
	id := query[int64](h, `select max(id) from sales`)
	query[int64](h, `update sales set valid_from = valid_from - interval '62 s' where id = $1 returning id`, id)
	h.shift(id, 62*time.Second)
	second := h.sale(-time.Second, 30*time.Minute, of(other.Account), voucher)
	claimable := func(p person, want ...string) {
		t.Helper()
		h.wantWalk(p.Access, "/v1/coupons", "sales", "sale", want)
	}
	mine := func(p person, state string, want ...string) {
		t.Helper()
		h.wantWalk(p.Access, "/v1/me/coupons"+state, "coupons", "coupon", want)
	}
	h.until("both are open in the record, too", func() bool { return len(h.turn(ann.Access, "/v1/coupons", "sales", "sale", 100, nil)) == 2 })
	claimable(ann, fmt.Sprint(second.ID), fmt.Sprint(id)) // the first to close first

	claim := func(p person) reply { return h.done("POST", path+"/claims", p.Access, "") }
	coupon := claim(ann)
	coupon.wantFields(t, map[string]string{"status": "confirmed", "verb": "claim", "quantity": "1", "amount": "0"})
	mark := coupon.text("receipt")
	claim(ann).wantFields(t, map[string]string{"status": "rejected", "reason": "duplicate"})
	claimable(ann, fmt.Sprint(second.ID))
	bobs := claim(bob).text("receipt")
	h.until("none are left at the door", func() bool {
		r := h.ask("POST", path+"/claims", h.person(accounts.Buyer).Access, `{}`)
		return r.text("code") == "sold_out"
	})
	mine(ann, "", mark)
	mine(ann, "?state=usable", mark)
	mine(ann, "?state=used")
	list := h.ask("GET", "/v1/me/coupons", ann.Access, "")
	if want := fmt.Sprintf(`{"coupons":[{"coupon":"%s","sale":%d,"seller":%d,"amount_off":300,"valid_from":%s,"valid_until":%s,"state":"usable"}]}`,
		mark, id, seller.Account, quote(opens.Add(-62*time.Second)), quote(opens.Add(48*time.Hour))); list.raw != want {
		t.Errorf("%s, not %s", list.raw, want)
	}

	// Used for a bid at a fixed price, by its owner, once.
	fixed := h.sale(-time.Second, time.Hour-time.Second, of(seller.Account), func(s *sale.Sale) {
		s.Price = sale.Price{Policy: sale.Constant, Start: 1000, Drop: 1, Period: time.Duration(s.ClosesAt-s.OpensAt) * time.Millisecond}
	})
	stool := h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	using := func(coupon string) string { return fmt.Sprintf(`{"quantity":1,"coupon":"%s"}`, coupon) }
	at := fmt.Sprintf("/v1/sales/%d/reservations", stool.ID)
	for name, c := range map[string]struct {
		by     person
		path   string
		coupon string
	}{
		"another's":    {bob, at, mark},
		"nobody's":     {ann, at, aCoupon.String()},
		"no coupon":    {ann, at, h.done("POST", at, ann.Access, `{"quantity":1}`).text("receipt")},
		"other seller": {ann, fmt.Sprintf("/v1/sales/%d/reservations", h.sale(-time.Second, time.Hour, of(other.Account), chair).ID), mark},
	} {
		r := h.done("POST", c.path, c.by.Access, using(c.coupon))
		if r.text("reason") != "coupon_unusable" {
			t.Errorf("%s: %s", name, r.raw)
		}
	}
	held := h.done("POST", at, ann.Access, using(mark))
	held.wantFields(t, map[string]string{"status": "held", "unit_price": "1000", "discount": "300", "amount": "700", "coupon": mark})
	mine(ann, "?state=usable")
	mine(ann, "?state=used", mark)
	bid := fmt.Sprintf(`{"quantity":1,"price":1000,"coupon":"%s"}`, mark)
	h.done("POST", bids(fixed.ID), ann.Access, bid).wantFields(t, map[string]string{"status": "rejected", "reason": "coupon_unusable"})
	h.done("POST", receiptsPath+held.text("receipt")+"/cancel", ann.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	mine(ann, "?state=usable", mark)
	bought := h.done("POST", bids(fixed.ID), ann.Access, bid)
	bought.wantFields(t, map[string]string{"status": "confirmed", "unit_price": "1000", "discount": "300", "amount": "700", "coupon": mark})
	if r := h.ask("GET", "/v1/me/coupons?state=used", ann.Access, ""); fmt.Sprint(r.body["coupons"].([]any)[0].(map[string]any)["used_by"]) != bought.text("receipt") {
		t.Errorf("%s", r.raw)
	}
	if r := h.ask("GET", "/v1/me/wallet", ann.Access, ""); r.text("balance") != "4300" {
		t.Errorf("%s", r.raw)
	}

	// Two uses at once, wherever they are: one succeeds.
	var wg sync.WaitGroup
	outcomes := make([]string, 8)
	for i := range outcomes {
		to := h.sale(-time.Second, time.Hour, of(seller.Account), chair) // each in a partition of its own
		wg.Go(func() {
			r, err := h.send("POST", fmt.Sprintf("/v1/sales/%d/reservations", to.ID), bob.Access, using(bobs))
			if err != nil || r.status != 202 {
				t.Errorf("%d %s, %v", r.status, r.raw, err)
			}
			outcomes[i] = r.text("receipt")
		})
	}
	wg.Wait()
	used := 0
	for _, receipt := range outcomes {
		switch r := h.settled(bob.Access, receipt); {
		case r.text("status") == "held" && r.text("discount") == "300":
			used++
		case r.text("reason") != "coupon_unusable":
			t.Errorf("%s", r.raw)
		}
	}
	if used != 1 {
		t.Errorf("it was used %d times", used)
	}
}

// TestEventDay: seats are paid at once; who waits for one is not charged until he
// pays.
func TestEventDay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, ann, bob, poor := h.person(accounts.Seller), h.rich(accounts.Buyer, 500), h.rich(accounts.Buyer, 500), h.rich(accounts.Buyer, 99)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), evening, func(s *sale.Sale) { s.Stock, s.Limit = 2, 2 })
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	h.ask("GET", path, "", "").wantFields(t, map[string]string{
		"kind": "event", "unit_price": "100", "starts_at": s.StartsAt.Time().Format(time.RFC3339Nano), "refund_until": s.ClosesAt.Time().Format(time.RFC3339Nano), "store": ""})
	join := func(p person, quantity int) reply {
		return h.done("POST", path+"/joins", p.Access, fmt.Sprintf(`{"quantity":%d}`, quantity))
	}
	join(poor, 1).wantFields(t, map[string]string{"status": "rejected", "reason": "short_points"})
	a := join(ann, 2)
	a.wantFields(t, map[string]string{"status": "confirmed", "quantity": "2", "amount": "200", "pay_by": ""})
	join(ann, 1).wantFields(t, map[string]string{"status": "rejected", "reason": "over_limit"})
	b := join(bob, 1)
	b.wantFields(t, map[string]string{"status": "waiting", "position": "1", "amount": "100"})
	if n := h.points(bob.Account); n != 500 {
		t.Errorf("bob has %d", n)
	}
	h.done("POST", receiptsPath+a.text("receipt")+"/cancel", ann.Access, `{}`).wantFields(t, map[string]string{"status": "confirmed"})
	h.becomes(bob.Access, b.text("receipt"), "held")
	h.done("POST", receiptsPath+b.text("receipt")+"/pay", bob.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	if n, m := h.points(ann.Account), h.points(bob.Account); n != 500 || m != 400 {
		t.Errorf("they have %d and %d", n, m)
	}
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"stock": "map[free:1 held:0 sold:1 total:2 waiting:0]"})

	// Without a price and without a line: as many as there are seats, and no more.
	free := h.sale(-time.Second, time.Hour, of(seller.Account), evening, func(s *sale.Sale) {
		s.Stock, s.Limit, s.LineMost, s.Price.Start = 3, 1, 0, 0
	})
	var wg sync.WaitGroup
	people, receipts := make([]person, 10), make([]string, 10)
	for i := range people {
		people[i] = h.person(accounts.Buyer)
		wg.Go(func() {
			r, err := h.send("POST", fmt.Sprintf("/v1/sales/%d/joins", free.ID), people[i].Access, `{"quantity":1}`)
			if err != nil || r.status != 202 {
				t.Errorf("%d %s, %v", r.status, r.raw, err)
			}
			receipts[i] = r.text("receipt")
		})
	}
	wg.Wait()
	outcomes := map[string]int{}
	for i, receipt := range receipts {
		r := h.settled(people[i].Access, receipt)
		outcomes[r.text("status")+r.text("reason")]++
	}
	if outcomes["confirmed"] != 3 || outcomes["rejectedsold_out"] != 7 {
		t.Errorf("%v", outcomes)
	}
}
