package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// turn reads every page of a list from its first to its last, and answers the
// names of all things in their order. between is called between two pages.
func (h *house) turn(token, path, list, name string, limit int, between func()) (names []string) {
	h.t.Helper()
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	cursor := ""
	for range 1000 {
		at := fmt.Sprintf("%s%slimit=%d", path, joint, limit)
		if cursor != "" {
			at += "&cursor=" + url.QueryEscape(cursor)
		}
		r := h.ask("GET", at, token, "")
		if r.status != 200 {
			h.t.Fatalf("%s: %d %s", at, r.status, r.raw)
		}
		things, ok := r.body[list].([]any)
		if !ok || len(things) > limit || len(things) < limit && r.body["next_cursor"] != nil {
			h.t.Fatalf("%s: %d things: %s", at, len(things), r.raw)
		}
		for _, thing := range things {
			names = append(names, fmt.Sprint(thing.(map[string]any)[name]))
		}
		if cursor = r.text("next_cursor"); cursor == "" {
			return names
		}
		if between != nil {
			between()
		}
	}
	h.t.Fatalf("%s has no last page", path)
	return nil
}

// wantWalk checks that every page size gives the same list, without a thing twice.
func (h *house) wantWalk(token, path, list, name string, want []string) {
	h.t.Helper()
	for _, limit := range []int{1, 2, 3, 7, 100} {
		got := h.turn(token, path, list, name, limit, nil)
		if !slices.Equal(got, want) {
			h.t.Errorf("%s by %d: %v, want %v", path, limit, got, want)
		}
	}
}

// TestSalesByPage: in every order and under every filter, whole and without a
// thing twice, also where many open at the same moment.
func TestSalesByPage(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, two := h.person(accounts.Seller), h.person(accounts.Seller)
	var all []sale.Sale
	now := time.Now().Truncate(time.Second)
	for i := range 12 {
		all = append(all, h.sale(0, 0, func(s *sale.Sale) {
			s.Seller = []int64{one.Account, two.Account}[i%2]
			s.OpensAt = sale.At(now.Add(time.Duration(i/4-1) * time.Hour)) // four at a time: closed, open, scheduled
			s.ClosesAt = s.OpensAt.Add(time.Duration(50-i%3*10) * time.Minute)
		}))
	}
	list := func(keep func(sale.Sale) bool, key func(sale.Sale) sale.Instant, down bool) (ids []string) {
		kept := slices.DeleteFunc(slices.Clone(all), func(s sale.Sale) bool { return !keep(s) })
		slices.SortFunc(kept, func(a, b sale.Sale) int {
			order := int(key(a) - key(b))
			if order == 0 {
				order = int(a.ID - b.ID)
			}
			if down {
				order = -order
			}
			return order
		})
		for _, s := range kept {
			ids = append(ids, fmt.Sprint(s.ID))
		}
		return ids
	}
	every := func(sale.Sale) bool { return true }
	opens := func(s sale.Sale) sale.Instant { return s.OpensAt }
	closes := func(s sale.Sale) sale.Instant { return s.ClosesAt }
	h.wantWalk("", "/v1/sales", "sales", "sale", list(every, opens, false))
	h.wantWalk("", "/v1/sales?order=opens_at", "sales", "sale", list(every, opens, false))
	h.wantWalk("", "/v1/sales?order=-opens_at", "sales", "sale", list(every, opens, true))
	h.wantWalk("", "/v1/sales?order=closes_at", "sales", "sale", list(every, closes, false))
	h.wantWalk("", "/v1/sales?order=-closes_at&kind=auction", "sales", "sale", list(every, closes, true))
	h.wantWalk("", "/v1/sales?kind=coupon", "sales", "sale", nil)
	mine := func(s sale.Sale) bool { return s.Seller == two.Account }
	h.wantWalk("", fmt.Sprintf("/v1/sales?seller=%d", two.Account), "sales", "sale", list(mine, opens, false))
	for _, state := range []sale.Shown{sale.ShownScheduled, sale.ShownOpen, sale.ShownClosed, sale.ShownSoldOut} {
		is := func(s sale.Sale) bool { return s.ShownAt(sale.At(time.Now()), 1) == state }
		h.wantWalk("", "/v1/sales?state="+string(state), "sales", "sale", list(is, opens, false))
		both := func(s sale.Sale) bool { return is(s) && mine(s) }
		h.wantWalk("", fmt.Sprintf("/v1/sales?order=-closes_at&state=%s&seller=%d", state, two.Account), "sales", "sale", list(both, closes, true))
	}
	// Without a limit there are at most twenty.
	r := h.ask("GET", "/v1/sales", "", "")
	if things := r.body["sales"].([]any); len(things) != 12 || r.body["next_cursor"] != nil || r.text("now") == "" {
		t.Errorf("%d sales: %s", len(things), r.raw)
	}
	for range 9 {
		h.sale(time.Hour, 2*time.Hour, of(one.Account))
	}
	if r := h.ask("GET", "/v1/sales", "", ""); len(r.body["sales"].([]any)) != limitDefault || r.body["next_cursor"] == nil {
		t.Errorf("%s", r.raw)
	}
}

// TestPagesWhileThingsCome: who turns the pages while others write misses nothing
// that was there when he began, and sees nothing twice.
func TestPagesWhileThingsCome(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), func(s *sale.Sale) { s.Stock, s.Limit = 1000, 1000 })
	bid := func() string {
		id := h.bid(s, buyer.Access, 1, 1000).text("receipt")
		h.settled(buyer.Access, id)
		return id
	}
	var there []string
	for range 7 {
		there = append(there, bid())
		h.ask("POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":1}`)
	}
	for name, c := range map[string]struct {
		token, path, list, name string
		come                    func()
		want                    func() []string
	}{
		"my receipts":  {buyer.Access, "/v1/me/receipts", "receipts", "receipt", func() { bid() }, func() []string { return there }},
		"its receipts": {seller.Access, fmt.Sprintf("/v1/sales/%d/receipts", s.ID), "receipts", "receipt", func() { bid() }, func() []string { return there }},
		"statement": {buyer.Access, "/v1/me/wallet", "entries", "id", func() { h.ask("POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":1}`) },
			func() []string {
				return query[[]string](h, `select array_agg(id::text) from entries where debit = $1 or credit = $1`, buyer.Account)
			}},
		"sales": {"", "/v1/sales?order=-opens_at", "sales", "sale", func() { h.sale(2*time.Hour, 3*time.Hour, of(seller.Account)) },
			func() []string { return query[[]string](h, `select array_agg(id::text) from sales`) }},
	} {
		want := c.want()
		seen := h.turn(c.token, c.path, c.list, c.name, 2, c.come)
		counts := map[string]int{}
		for _, name := range seen {
			counts[name]++
		}
		for _, thing := range want {
			if counts[thing] != 1 {
				t.Errorf("%s: %s was seen %d times", name, thing, counts[thing])
			}
		}
		for thing, n := range counts {
			if n != 1 {
				t.Errorf("%s: %s was seen %d times", name, thing, n)
			}
		}
	}
}

// TestReceiptLists: what of whom is in which list, and how it is filtered.
func TestReceiptLists(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, one, two := h.person(accounts.Seller), h.rich(accounts.Buyer, 100_000), h.rich(accounts.Buyer, 100_000)
	s := h.sale(-time.Second, 3*time.Second, of(seller.Account))
	other := h.sale(-time.Second, time.Hour, of(seller.Account))
	bid := func(s sale.Sale, by person) string {
		id := h.bid(s, by.Access, 1, 1000).text("receipt")
		h.settled(by.Access, id)
		return id
	}
	a, b, c, d := bid(s, one), bid(s, two), bid(s, one), bid(other, one)
	h.settled(one.Access, h.ask("POST", bids(s.ID), one.Access, `{"quantity":5,"price":1000}`).text("receipt")) // rejected: in no list
	h.until("the sale is closed", func() bool { return sale.At(time.Now()) > s.ClosesAt })
	refund := h.ask("POST", receiptsPath+a+"/refund", one.Access, "").text("receipt")
	h.settled(one.Access, refund)

	mine := func(by person, query string, want ...string) {
		t.Helper()
		h.wantWalk(by.Access, "/v1/me/receipts?"+query, "receipts", "receipt", want)
	}
	mine(one, "", refund, d, c, a)
	mine(one, "status=refunded", a)
	mine(one, "status=confirmed", refund, d, c)
	mine(one, "status=held")
	mine(one, fmt.Sprintf("sale=%d", s.ID), refund, c, a)
	mine(one, fmt.Sprintf("sale=%d&status=refunded", other.ID))
	mine(one, "sale=9007199254740991")
	mine(two, "", b)

	path := fmt.Sprintf("/v1/sales/%d/receipts?", s.ID)
	its := func(query string, want ...string) {
		t.Helper()
		h.wantWalk(seller.Access, path+query, "receipts", "receipt", want)
	}
	its("", c, b, a)
	its("status=confirmed", c, b)
	its("status=refunded", a)
	its(fmt.Sprintf("buyer=%d", two.Account), b)
	its(fmt.Sprintf("buyer=%d", seller.Account))
	at := func(receipt string) string {
		return url.QueryEscape(h.ask("GET", receiptsPath+receipt, one.Access, "").text("requested_at"))
	}
	its("from="+at(c), c)
	its("to="+at(c), b, a)
	its("from="+at(a)+"&to="+at(c), b, a)
	its("from=1971-01-01T00:00:00Z&to=1971-01-01T00:00:00Z")

	r := h.ask("GET", path, seller.Access, "")
	first := r.body["receipts"].([]any)[0].(map[string]any)
	for field, want := range map[string]any{"receipt": c, "buyer": fmt.Sprint(one.Account), "sale": fmt.Sprint(s.ID), "verb": "bid", "status": "confirmed", "quantity": "1", "unit_price": "1000"} {
		if fmt.Sprint(first[field]) != want {
			t.Errorf("%s is %v, want %v", field, first[field], want)
		}
	}
	if r := h.ask("GET", "/v1/me/receipts", one.Access, ""); strings.Contains(r.raw, `"buyer"`) || strings.Contains(r.raw, "position") {
		t.Errorf("%s", r.raw)
	}
	sum := h.ask("GET", fmt.Sprintf("/v1/sales/%d/summary", s.ID), seller.Access, "")
	want := `{"sale":` + fmt.Sprint(s.ID) + `,"state":"closed","stock":{"total":10,"free":7,"held":0,"sold":3},"revenue":2000,"refunded":1000,"paid_out":false,"receipts":{"confirmed":2,"refunded":1,"rejected":1},"rejections":{"over_limit":1}}`
	if sum.raw != want {
		t.Errorf("summary\n%s, want\n%s", sum.raw, want)
	}
	if r := h.ask("GET", fmt.Sprintf("/v1/sales/%d/summary", other.ID), seller.Access, ""); !strings.Contains(r.raw, `"receipts":{"confirmed":1,"refunded":0}`) {
		t.Errorf("%s", r.raw)
	}
}

// TestCursorOfAnotherList: a cursor works in its own list under its own filters,
// for its own account, and there only.
func TestCursorOfAnotherList(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller := h.person(accounts.Seller)
	one, two := h.rich(accounts.Buyer, 10_000), h.rich(accounts.Buyer, 10_000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account))
	h.sale(-time.Second, time.Hour, of(seller.Account))
	chairs := h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	for _, by := range []person{one, two} {
		for range 2 {
			h.settled(by.Access, h.bid(s, by.Access, 1, 1000).text("receipt"))
			h.settled(by.Access, h.reserve(chairs, by.Access, 1).text("receipt"))
			gift := h.sale(-time.Second, time.Hour, of(seller.Account), voucher)
			h.done("POST", fmt.Sprintf("/v1/sales/%d/claims", gift.ID), by.Access, "")
		}
		h.place(seller.Account)
	}
	lists := []struct{ token, path string }{
		{"", "/v1/sales?limit=1"},
		{"", "/v1/sales?limit=1&order=-opens_at"},
		{"", fmt.Sprintf("/v1/sales?limit=1&seller=%d", seller.Account)},
		{one.Access, "/v1/me/receipts?limit=1"},
		{two.Access, "/v1/me/receipts?limit=1"},
		{one.Access, "/v1/me/receipts?limit=1&status=confirmed"},
		{one.Access, "/v1/me/wallet?limit=1"},
		{two.Access, "/v1/me/wallet?limit=1"},
		{one.Access, "/v1/me/orders?limit=1"},
		{two.Access, "/v1/me/orders?limit=1"},
		{one.Access, "/v1/me/orders?limit=1&status=pending"},
		{one.Access, "/v1/me/coupons?limit=1"},
		{two.Access, "/v1/me/coupons?limit=1&state=usable"},
		{one.Access, "/v1/me/notices?limit=1"},
		{two.Access, "/v1/me/notices?limit=1"},
		{one.Access, "/v1/me/notices?limit=1&unread=true"},
		{one.Access, "/v1/coupons?limit=1"}, // of the other one's two
		{two.Access, "/v1/coupons?limit=1"},
		{"", "/v1/stores?limit=1"},
		{"", fmt.Sprintf("/v1/stores?limit=1&seller=%d", seller.Account)},
		{seller.Access, fmt.Sprintf("/v1/sales/%d/receipts?limit=1", s.ID)},
		{seller.Access, fmt.Sprintf("/v1/sales/%d/receipts?limit=1&buyer=%d", s.ID, one.Account)},
	}
	cursors := make([]string, len(lists))
	for i, l := range lists {
		if cursors[i] = h.ask("GET", l.path, l.token, "").text("next_cursor"); len(cursors[i]) != cursorLength || url.QueryEscape(cursors[i]) != cursors[i] {
			t.Fatalf("%s has the cursor %q", l.path, cursors[i])
		}
	}
	for i, l := range lists {
		for k, cursor := range cursors {
			r := h.ask("GET", l.path+"&cursor="+cursor, l.token, "")
			if i == k {
				if r.status != 200 {
					t.Errorf("%s: %d %s", l.path, r.status, r.raw)
				}
				continue
			}
			r.wantProblem(t, 400, "bad_cursor")
		}
		// Another limit is the same list.
		if r := h.ask("GET", strings.Replace(l.path, "limit=1", "limit=50", 1)+"&cursor="+cursors[i], l.token, ""); r.status != 200 {
			t.Errorf("%s: %d %s", l.path, r.status, r.raw)
		}
	}
}

// TestStatement: what a wallet was moved by, as its owner sees it.
func TestStatement(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	buyer := h.person(accounts.Buyer)
	if r := h.ask("GET", "/v1/me/wallet", buyer.Access, ""); r.raw != `{"balance":0,"entries":[]}` {
		t.Errorf("at first: %s", r.raw)
	}
	top := h.ask("POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":5000}`)
	if top.status != 201 || top.text("amount") != "5000" || top.text("balance") != "5000" || top.text("sandbox") != "true" || len(top.body) != 5 {
		t.Errorf("%d %s", top.status, top.raw)
	}
	s := h.sale(-time.Second, time.Hour)
	receipt := h.bid(s, buyer.Access, 2, 1000).text("receipt")
	h.settled(buyer.Access, receipt)
	r := h.ask("GET", "/v1/me/wallet", buyer.Access, "")
	var got struct {
		Balance int64
		Entries []struct {
			ID, Amount    int64
			At            time.Time
			Kind, Receipt string
		}
	}
	if err := json.Unmarshal([]byte(r.raw), &got); err != nil {
		t.Fatal(err)
	}
	if e := got.Entries; got.Balance != 3000 || len(e) != 2 || e[0].Kind != "bid" || e[0].Amount != -2000 || e[0].Receipt != receipt ||
		e[1].Kind != "topup" || e[1].Amount != 5000 || e[1].Receipt != "" || e[1].ID >= e[0].ID || time.Since(e[0].At).Abs() > time.Minute {
		t.Errorf("%s", r.raw)
	}
	// There is an end to what a wallet, and all wallets together, can hold.
	h.ask("POST", "/v1/me/wallet/topups", buyer.Access, fmt.Sprintf(`{"amount":%d}`, int64(sale.MaxPoints))).wantProblem(t, 409, "too_much")
	if r := h.ask("GET", "/v1/me/wallet", buyer.Access, ""); r.text("balance") != "3000" {
		t.Errorf("%s", r.raw)
	}
	var wg sync.WaitGroup // many at once, and none is lost
	for range 20 {
		wg.Go(func() {
			if r, err := h.send("POST", "/v1/me/wallet/topups", buyer.Access, `{"amount":7}`); err != nil || r.status != 201 {
				t.Errorf("%v %d %s", err, r.status, r.raw)
			}
		})
	}
	wg.Wait()
	if r := h.ask("GET", "/v1/me/wallet?limit=1", buyer.Access, ""); r.text("balance") != "3140" {
		t.Errorf("%s", r.raw)
	}
}
