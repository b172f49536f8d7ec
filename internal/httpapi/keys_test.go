package httpapi

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// TestSameKeyEverywhere: whatever takes a key, twenty of the same at the same
// moment have one effect, a later one finds it, and another request under the key
// is refused. Every route that makes something must be here.
func TestSameKeyEverywhere(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, buyer, other := h.rich(accounts.Seller, 1), h.rich(accounts.Buyer, 1_000_000), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	done := h.sale(-time.Minute, time.Second, of(seller.Account))
	bought := h.bid(done, buyer.Access, 1, 1000).text("receipt")
	h.settled(buyer.Access, bought)
	h.until("the sale is closed", func() bool { return sale.At(time.Now()) > done.ClosesAt })
	body := offer(time.Hour)
	chairs, spare := h.sale(-time.Second, time.Hour, of(seller.Account), chair), h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	gifts, seats := h.sale(-time.Second, time.Hour, of(seller.Account), voucher), h.sale(-time.Second, time.Hour, of(seller.Account), evening)
	held := func(s sale.Sale) string {
		id := h.reserve(s, buyer.Access, 1).text("receipt")
		h.becomes(buyer.Access, id, "held")
		return id
	}
	toPay, toCancel := held(spare), held(spare)
	store, slots := h.place(seller.Account)
	second, _ := h.place(seller.Account)
	booked := h.book(store, slots[0], buyer.Access).text("receipt")
	h.becomes(buyer.Access, booked, "confirmed")
	slot := func(i int) string { return fmt.Sprintf(`{"slot":%s}`, quote(slots[i].Time())) }
	owner := h.person(accounts.Seller)
	noodles := `{"title":"Noodles","time_zone":"UTC","tables":1,"hours":{"mon":"12:00-12:00"}}`

	cases := map[string]struct {
		method, path, token string
		body, another       string // another: asks for something else, "" if there is nothing else to ask
		status              int
		name                string // of what is made
		count               string // how many of it there are
		id                  int64
	}{
		"POST /v1/me/wallet/topups": {"POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":7}`, `{"amount":8}`, 201, "topup",
			`select count(*) from entries where credit = $1 and amount = 7`, buyer.Account},
		"POST /v1/sales": {"POST", "/v1/sales", seller.Access, body, strings.Replace(body, "Lamp", "Lamb", 1), 201, "sale",
			`select count(*) from sales where seller = $1 and description <> ''`, seller.Account},
		"POST /v1/sales/:id/bids": {"POST", bids(s.ID), buyer.Access, goodBid, `{"quantity":2,"price":1000}`, 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'bid'`, s.ID},
		"PATCH /v1/sales/:id": {"PATCH", fmt.Sprintf("/v1/sales/%d", s.ID), seller.Access, `{"grow_by":5}`, `{"grow_by":6}`, 202, "receipt",
			`select (stock - 10) / 5 from sales where id = $1`, s.ID},
		"POST /v1/receipts/:id/refund": {"POST", receiptsPath + bought + "/refund", buyer.Access, "", "", 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'refund'`, done.ID},
		"POST /v1/sales/:id/reservations": {"POST", fmt.Sprintf("/v1/sales/%d/reservations", chairs.ID), buyer.Access, `{"quantity":1}`, `{"quantity":2}`, 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'reserve'`, chairs.ID},
		"POST /v1/sales/:id/claims": {"POST", fmt.Sprintf("/v1/sales/%d/claims", gifts.ID), buyer.Access, "", "", 202, "receipt",
			`select count(*) from coupons where sale = $1`, gifts.ID},
		"POST /v1/sales/:id/joins": {"POST", fmt.Sprintf("/v1/sales/%d/joins", seats.ID), buyer.Access, `{"quantity":1}`, `{"quantity":2}`, 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'join'`, seats.ID},
		"POST /v1/receipts/:id/pay": {"POST", receiptsPath + toPay + "/pay", buyer.Access, "", "", 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'pay'`, spare.ID},
		"POST /v1/receipts/:id/cancel": {"POST", receiptsPath + toCancel + "/cancel", buyer.Access, "", "", 202, "receipt",
			`select count(*) from receipts where sale = $1 and verb = 'cancel'`, spare.ID},
		// Another slot is another sale, and yet the same address.
		"POST /v1/receipts/:id/change": {"POST", receiptsPath + booked + "/change", buyer.Access, slot(1), slot(2), 202, "receipt",
			`select count(*) from receipts r join sales s on s.id = r.sale where s.store = $1 and r.target is not null`, store.ID},
		"POST /v1/stores/:id/reservations": {"POST", fmt.Sprintf("/v1/stores/%d/reservations", second.ID), buyer.Access, slot(1), slot(2), 202, "receipt",
			`select count(*) from receipts r join sales s on s.id = r.sale where s.store = $1`, second.ID},
		"POST /v1/stores": {"POST", "/v1/stores", owner.Access, noodles, strings.Replace(noodles, "Noodles", "Soup", 1), 201, "store",
			`select count(*) from stores where seller = $1`, owner.Account},
	}
	keyed := map[string]bool{}
	for name, in := range inputs(h) {
		if in.keyed {
			keyed[routeOf(name)] = true
		}
	}
	for _, name := range append(missing(keyed, cases), missing(cases, keyed)...) {
		t.Errorf("%s takes a key and is not tried, or the other way round", name)
	}
	keyless := map[string]bool{ // and why the same request twice is no more than once
		"POST /v1/me/notices/read":                    true, // what is read stays read
		"POST /v1/operations/audits":                  true, // it makes nothing
		"POST /v1/operations/sales/:id/suspend":       true, // what is stopped is stopped
		"POST /v1/operations/sales/:id/resume":        true, // the same, the other way round
		"POST /v1/operations/dead-letters/:id/replay": true, // the receipt comes from the letter, which goes with it
	}
	for route := range routesOf(t, h.api) {
		if strings.HasPrefix(route, "POST ") && !strings.HasPrefix(route, "POST /v1/auth/") && !keyless[route] && !keyed[route] {
			t.Errorf("%s makes something and takes no key", route)
		}
	}

	for name, c := range cases {
		ask := func(body string, key string) reply {
			r, err := h.send(c.method, c.path, c.token, body, keyHeader+": "+key)
			if err != nil {
				t.Error(err)
			}
			return r
		}
		var wg sync.WaitGroup
		replies := make([]reply, 20)
		for i := range replies {
			wg.Go(func() { replies[i] = ask(c.body, "together") })
		}
		wg.Wait()
		first := 0
		for _, r := range replies {
			if r.status != c.status || r.text(c.name) == "" || r.text(c.name) != replies[0].text(c.name) || r.header.Get("Location") != replies[0].header.Get("Location") {
				t.Errorf("%s: %d %s", name, r.status, r.raw)
			}
			if r.header.Get(replayedHeader) == "" {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%s: %d of them are said to be the first", name, first)
		}
		if c.status == 202 {
			h.settled(c.token, replies[0].text("receipt"))
		}
		later := ask(c.body, "together")
		if later.status != c.status || later.text(c.name) != replies[0].text(c.name) || later.header.Get(replayedHeader) != "true" {
			t.Errorf("%s, later: %d %s", name, later.status, later.raw)
		}
		if c.another != "" {
			ask(c.another, "together").wantProblem(t, 422, "idempotency_mismatch")
		}
		if n := query[int64](h, c.count, c.id); n != 1 {
			t.Errorf("%s: there are %d", name, n)
		}
		// Another key is another request.
		if again := ask(c.body, "another"); c.another != "" && (again.status != c.status || again.text(c.name) == later.text(c.name) || again.header.Get(replayedHeader) != "") {
			t.Errorf("%s under another key: %d %s", name, again.status, again.raw)
		}
	}
	// A key is its account's own.
	for _, p := range []person{buyer, other} {
		r := h.ask("POST", "/v1/me/wallet/topups", p.Access, `{"amount":3}`, keyHeader+": mine")
		if r.status != 201 || r.header.Get(replayedHeader) != "" {
			t.Errorf("%d %s", r.status, r.raw)
		}
	}
	if n := query[int64](h, `select count(*) from receipts where target = $1 and verb = 'refund'`, bought); n != 1 {
		t.Errorf("%d refunds", n)
	}
}

// TestKeyOutlivesItsMoment: a repeated creation finds its sale when by now it would
// be too late to create it.
func TestKeyOutlivesItsMoment(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller := h.person(accounts.Seller)
	body := offer(2 * time.Second)
	made := h.ask("POST", "/v1/sales", seller.Access, body, keyHeader+": k")
	if made.status != 201 || made.header.Get("Location") != "/v1/sales/"+made.text("sale") {
		t.Fatalf("%d %v %s", made.status, made.header, made.raw)
	}
	h.until("it is open", func() bool { return h.ask("GET", made.header.Get("Location"), "", "").text("state") == "open" })
	h.ask("POST", "/v1/sales", seller.Access, body).wantProblem(t, 422, "invalid_fields")
	again := h.ask("POST", "/v1/sales", seller.Access, body, keyHeader+": k")
	if again.status != 201 || again.text("sale") != made.text("sale") || again.text("state") != "open" || again.header.Get(replayedHeader) != "true" {
		t.Errorf("%d %s", again.status, again.raw)
	}
	h.ask("POST", "/v1/sales", seller.Access, offer(2*time.Hour), keyHeader+": k").wantProblem(t, 422, "idempotency_mismatch")
}
