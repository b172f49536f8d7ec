package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// wantFields checks fields of an answer as they were written.
func (r reply) wantFields(t *testing.T, fields map[string]string) {
	t.Helper()
	for name, want := range fields {
		if got := r.text(name); got != want {
			t.Errorf("%s is %q, want %q: %s", name, got, want, r.raw)
		}
	}
}

// TestOffer: what a sale is made of comes back, and what was left out has its
// default.
func TestOffer(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller := h.person(accounts.Seller)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	berlin := at.In(time.FixedZone("", 2*60*60))
	made := h.ask("POST", "/v1/sales", seller.Access, `{"title":"Lämp \ud83c\udfee","stock":5,"limit":2,"opens_at":`+quote(berlin)+`,"closes_at":`+quote(at.UTC().Add(time.Minute))+
		`,"policy":"percentage","start_price":1000,"rate":1000,"period":20}`)
	if made.status != 201 || made.header.Get("Location") != "/v1/sales/"+made.text("sale") || made.header.Get("Idempotency-Replayed") != "" {
		t.Fatalf("%d %v %s", made.status, made.header, made.raw)
	}
	utc := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	want := map[string]string{
		"kind": "auction", "seller": fmt.Sprint(seller.Account), "title": "Lämp 🏮", "description": "", "state": "scheduled", "price": "1000",
		"next_price": "900", "next_drop_at": utc(at.Add(20 * time.Second)), "policy": "percentage", "start_price": "1000", "drop": "", "rate": "1000", "period": "20",
		"limit": "2", "opens_at": utc(at), "closes_at": utc(at.Add(time.Minute)), "refund_window": "86400", "refund_until": utc(at.Add(time.Minute + 24*time.Hour)),
		"show_stock": "true", "stock": "map[free:5 held:0 sold:0 total:5]",
	}
	made.wantFields(t, want)
	shown := h.ask("GET", made.header.Get("Location"), "", "")
	shown.wantFields(t, want)
	if len(shown.body) != len(made.body) {
		t.Errorf("made as %s, shown as %s", made.raw, shown.raw)
	}

	curve := h.ask("GET", made.header.Get("Location")+"/prices", "", "")
	steps := fmt.Sprintf(`"prices":[{"at":%s,"price":1000},{"at":%s,"price":900},{"at":%s,"price":810}]}`,
		quote(at.UTC()), quote(at.UTC().Add(20*time.Second)), quote(at.UTC().Add(40*time.Second)))
	if curve.status != 200 || curve.text("sale") != made.text("sale") || curve.text("now") == "" || !strings.HasSuffix(curve.raw, steps) {
		t.Errorf("%d %s, want %s", curve.status, curve.raw, steps)
	}
	// The longest curve is answered whole.
	long := h.ask("POST", "/v1/sales", seller.Access, offer(time.Hour, [2]string{"closes_at", quote(at.UTC().Add(time.Hour))}, [2]string{"opens_at", quote(at.UTC())},
		[2]string{"start_price", "9000"}, [2]string{"drop", "2"}, [2]string{"period", "1"}))
	if r := h.ask("GET", long.header.Get("Location")+"/prices", "", ""); len(r.body["prices"].([]any)) != 3600 {
		t.Errorf("%d %.200s", r.status, r.raw)
	}
	// Text goes in and out as it is, but for lists.
	text := h.ask("POST", "/v1/sales", seller.Access, offer(time.Hour, [2]string{"description", `"<b>\"\\\n\t</b>"`}, [2]string{"title", `" <i>'Lamp' "`}))
	text.wantFields(t, map[string]string{"description": "<b>\"\\\n\t</b>", "title": " <i>'Lamp' "})
	if r := h.ask("GET", "/v1/sales", "", ""); strings.Contains(r.raw, "description") || len(r.body["sales"].([]any)) != 3 {
		t.Errorf("%s", r.raw)
	}
}

// TestEdit: everything may change before the opening, only text afterwards.
func TestEdit(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller := h.person(accounts.Seller)
	path := h.ask("POST", "/v1/sales", seller.Access, offer(time.Hour)).header.Get("Location")
	patch := func(path, body string) reply { return h.ask("PATCH", path, seller.Access, body) }
	at := time.Now().Add(3 * time.Hour).UTC().Truncate(time.Second)
	h.ask("GET", path, "", "") // Redis has it
	for body, want := range map[string]map[string]string{
		`{"title":"Lantern"}`:       {"title": "Lantern"},
		`{"description":"New"}`:     {"description": "New"},
		`{"description":""}`:        {"description": ""},
		`{"stock":7,"limit":7}`:     {"stock": "map[free:7 held:0 sold:0 total:7]", "limit": "7"},
		`{"show_stock":false}`:      {"show_stock": "false"},
		`{"refund_window":0}`:       {"refund_window": "0", "refund_until": ""},
		`{"kind":"auction"}`:        {"kind": "auction"},
		`{"start_price":2000}`:      {"start_price": "2000", "price": "2000"},
		`{"policy":"percentage"}`:   nil, // without a rate
		`{"rate":1000}`:             nil, // of the other policy
		`{"closes_at":` + quote(at): nil, // no JSON
		`{"opens_at":` + quote(at) + `,"closes_at":` + quote(at.Add(time.Minute)) + `,"period":30}`: {"opens_at": at.Format(time.RFC3339), "period": "30"},
	} {
		r := patch(path, body)
		if want == nil {
			if r.status != 422 && r.status != 400 {
				t.Errorf("%s: %d %s", body, r.status, r.raw)
			}
			continue
		}
		if r.status != 200 {
			t.Errorf("%s: %d %s", body, r.status, r.raw)
		}
		r.wantFields(t, want)
		h.ask("GET", path, seller.Access, "").wantFields(t, want)
	}
	patch(path, `{}`).wantProblem(t, 422, "invalid_fields")
	patch(path, `{"policy":"percentage","rate":1000}`).wantFields(t, map[string]string{"policy": "percentage", "rate": "1000", "drop": ""})
	patch(path, `{"policy":"constant","drop":5}`).wantFields(t, map[string]string{"policy": "constant", "rate": "", "drop": "5"})
	early := patch(path, `{"grow_by":5}`)
	if early.wantProblem(t, 409, "not_open"); early.header.Get("Retry-After") == "" || early.text("detail") == "" {
		t.Errorf("%v %s", early.header, early.raw)
	}

	open := h.sale(-time.Second, time.Hour, of(seller.Account))
	soon := h.sale(4*time.Second, time.Hour, of(seller.Account))
	closed := h.sale(-time.Hour, -time.Second, of(seller.Account))
	for name, s := range map[string]sale.Sale{"open": open, "about to open": soon, "closed": closed} {
		path := fmt.Sprintf("/v1/sales/%d", s.ID)
		late := patch(path, `{"stock":20,"limit":1,"title":"Late"}`)
		late.wantProblem(t, 409, "too_late")
		if !strings.Contains(late.raw, `"pointer":"#/stock"`) || !strings.Contains(late.raw, `"pointer":"#/limit"`) || strings.Contains(late.raw, "#/title") {
			t.Errorf("%s: %s", name, late.raw)
		}
		if r := patch(path, `{"title":"Late","description":"But not too late"}`); r.status != 200 || r.text("title") != "Late" {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
		h.ask("GET", path, "", "").wantFields(t, map[string]string{"title": "Late", "description": "But not too late", "limit": "3"})
		patch(path, `{"title":" "}`).wantProblem(t, 422, "invalid_fields")
		h.ask("DELETE", path, seller.Access, "").wantProblem(t, 409, "too_late")
	}
}

// TestGrow: more stock comes in its turn, and then it can be bought.
func TestGrow(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 1_000_000)
	s := h.sale(-time.Second, time.Hour, of(seller.Account), func(s *sale.Sale) { s.Stock, s.Limit = 1, 1 })
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	h.settled(buyer.Access, h.bid(s, buyer.Access, 1, 1000).text("receipt"))
	h.until("it is sold out", func() bool { return h.ask("GET", path, "", "").text("state") == "sold_out" })
	grow := h.ask("PATCH", path, seller.Access, `{"grow_by":4}`)
	if grow.status != 202 || grow.text("verb") != "change" || grow.text("quantity") != "4" || grow.header.Get("Location") != receiptsPath+grow.text("receipt") {
		t.Fatalf("%d %v %s", grow.status, grow.header, grow.raw)
	}
	if r := h.settled(seller.Access, grow.text("receipt")); r.text("status") != "confirmed" {
		t.Errorf("%s", r.raw)
	}
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"state": "open", "stock": "map[free:4 held:0 sold:1 total:5]"})
	if r := h.settled(seller.Access, h.ask("PATCH", path, seller.Access, `{"grow_by":1000000000}`).text("receipt")); r.text("reason") != "over_limit" {
		t.Errorf("%s", r.raw)
	}
	closed := h.sale(-time.Hour, -time.Second, of(seller.Account))
	r := h.ask("PATCH", fmt.Sprintf("/v1/sales/%d", closed.ID), seller.Access, `{"grow_by":1}`)
	if r := h.settled(seller.Access, r.text("receipt")); r.text("reason") != "closed" {
		t.Errorf("%s", r.raw)
	}
	// The seller's own list has his changes.
	h.wantWalk(seller.Access, "/v1/me/receipts", "receipts", "receipt", []string{grow.text("receipt")})
}

// TestDeleteSale: a sale that is taken back is nowhere any more.
func TestDeleteSale(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller, buyer := h.person(accounts.Seller), h.rich(accounts.Buyer, 10_000)
	s := h.sale(time.Hour, 2*time.Hour, of(seller.Account))
	path := fmt.Sprintf("/v1/sales/%d", s.ID)
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"state": "scheduled"})
	if r := h.ask("DELETE", path, seller.Access, ""); r.status != 204 || r.raw != "" || r.header.Get("Content-Type") != "" {
		t.Fatalf("%d %v %q", r.status, r.header, r.raw)
	}
	for _, c := range [][4]string{
		{"GET", path}, {"GET", path + "/prices"}, {"GET", path + "/summary", seller.Access}, {"GET", path + "/receipts", seller.Access},
		{"PATCH", path, seller.Access, `{"title":"x"}`}, {"PATCH", path, seller.Access, `{"grow_by":1}`}, {"DELETE", path, seller.Access},
		{"POST", path + "/bids", buyer.Access, goodBid},
	} {
		h.ask(c[0], c[1], c[2], c[3]).wantProblem(t, 404, "unknown_sale")
	}
	if r := h.ask("GET", "/v1/sales", "", ""); !strings.HasPrefix(r.raw, `{"sales":[],"now":`) {
		t.Errorf("%s", r.raw)
	}
}
