package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// slotsOf are the slots of a day as the API shows them.
func (h *house) slotsOf(store, day string) (slots []slotBody) {
	h.t.Helper()
	r := h.ask("GET", "/v1/stores/"+store+"/slots?day="+day, "", "")
	var body slotsBody
	if err := json.Unmarshal([]byte(r.raw), &body); r.status != 200 || err != nil || body.Day != day || body.Now.IsZero() {
		h.t.Fatalf("%d %s, %v", r.status, r.raw, err)
	}
	return body.Slots
}

// TestStoreDay: a store opens, its tables are booked, changed and waited for, and it
// closes.
func TestStoreDay(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.work()
	seller, other := h.person(accounts.Seller), h.person(accounts.Seller)
	ann, bob := h.rich(accounts.Buyer, 500), h.rich(accounts.Buyer, 500)
	made := h.ask("POST", "/v1/stores", seller.Access, `{"title":"Noodles","description":"Hot.","time_zone":"Asia/Seoul","tables":1,"unit_price":50,"days_ahead":3,
		"hours":{"mon":"11:00-13:00","tue":"11:00-13:00","wed":"11:00-13:00","thu":"11:00-13:00","fri":"11:00-13:00","sat":"11:00-13:00","sun":"11:00-13:00"}}`)
	path, id := made.header.Get("Location"), made.text("store")
	if made.status != 201 || path != "/v1/stores/"+id || !strings.Contains(made.raw, `"hours":{"mon":"11:00-13:00","tue":"11:00-13:00"`) {
		t.Fatalf("%d %s", made.status, made.raw)
	}
	want := map[string]string{"store": id, "seller": fmt.Sprint(seller.Account), "title": "Noodles", "description": "Hot.", "time_zone": "Asia/Seoul", "tables": "1",
		"unit_price": "50", "refund_window": "86400", "hold": "600", "days_ahead": "3", "closed": ""}
	made.wantFields(t, want)
	h.ask("GET", path, "", "").wantFields(t, want)
	if r := h.ask("GET", "/v1/stores?seller="+want["seller"], "", ""); strings.Contains(r.raw, "Hot") || !strings.Contains(r.raw, `"title":"Noodles"`) {
		t.Errorf("%s", r.raw)
	}
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	day := sale.DayOf(time.Now().In(seoul)).Add(1)
	noon := time.Date(day.Year, day.Month, day.Day, 12, 0, 0, 0, seoul)
	slots := h.slotsOf(id, day.String())
	if len(slots) != 5 || !slots[2].Slot.Equal(noon) || slots[2].Free != 1 || slots[2].State != sale.ShownOpen || slots[2].Waiting != 0 {
		t.Fatalf("%+v", slots)
	}
	if far := h.slotsOf(id, day.Add(30).String()); len(far) != 0 {
		t.Errorf("%+v", far)
	}
	book := func(p person, at time.Time) reply {
		return h.ask("POST", path+"/reservations", p.Access, fmt.Sprintf(`{"slot":%s}`, quote(at)))
	}
	for name, c := range map[string]struct {
		at   time.Time
		code string
	}{
		"a quarter":    {noon.Add(15 * time.Minute), "invalid_slot"},
		"a second":     {noon.Add(time.Second), "invalid_slot"},
		"too early":    {noon.Add(-90 * time.Minute), "invalid_slot"},
		"too late":     {noon.Add(90 * time.Minute), "invalid_slot"},
		"yesterday":    {noon.AddDate(0, 0, -2), "invalid_slot"},
		"in a year":    {noon.AddDate(1, 0, 0), "unknown_slot"},
		"in six days":  {noon.AddDate(0, 0, 6), "unknown_slot"},
		"a day of UTC": {noon.Truncate(24 * time.Hour).Add(24 * time.Hour), "invalid_slot"}, // 9 o'clock in Seoul
	} {
		r := book(ann, c.at)
		if r.text("code") != c.code || c.code == "invalid_slot" && (r.status != 422 || !strings.Contains(r.raw, `"pointer":"#/slot"`)) || c.code == "unknown_slot" && r.status != 404 {
			t.Errorf("%s: %d %s", name, r.status, r.raw)
		}
	}

	a := h.settled(ann.Access, book(ann, noon.UTC()).text("receipt"))
	a.wantFields(t, map[string]string{"status": "confirmed", "verb": "reserve", "amount": "50", "sale": fmt.Sprint(slots[2].Sale)})
	h.settled(ann.Access, book(ann, noon).text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "duplicate"})
	b := h.settled(bob.Access, book(bob, noon).text("receipt"))
	b.wantFields(t, map[string]string{"status": "waiting", "position": "1"})
	if s := h.slotsOf(id, day.String())[2]; s.Free != 0 || s.Waiting != 1 || s.State != sale.ShownSoldOut {
		t.Errorf("%+v", s)
	}
	slot := h.ask("GET", fmt.Sprintf("/v1/sales/%d", slots[2].Sale), "", "")
	slot.wantFields(t, map[string]string{"kind": "event", "store": id, "starts_at": noon.UTC().Format(time.RFC3339), "limit": "1", "title": "Noodles"})
	if r := h.ask("GET", "/v1/sales", "", ""); !strings.HasPrefix(r.raw, `{"sales":[],`) {
		t.Errorf("slots are in the list of sales: %s", r.raw)
	}

	// A change of slot: the old table goes to who waits for it.
	change := func(p person, receipt string, at time.Time) reply {
		return h.ask("POST", receiptsPath+receipt+"/change", p.Access, fmt.Sprintf(`{"slot":%s}`, quote(at)))
	}
	change(ann, a.text("receipt"), noon.Add(time.Minute)).wantProblem(t, 422, "invalid_slot")
	change(ann, a.text("receipt"), noon.AddDate(0, 0, 6)).wantProblem(t, 404, "unknown_slot")
	moved := h.settled(ann.Access, change(ann, a.text("receipt"), noon.Add(30*time.Minute)).text("receipt"))
	moved.wantFields(t, map[string]string{"status": "confirmed", "verb": "reserve", "target": a.text("receipt"), "sale": fmt.Sprint(slots[3].Sale), "amount": "50"})
	h.becomes(ann.Access, a.text("receipt"), "cancelled")
	h.becomes(bob.Access, b.text("receipt"), "held")
	h.done("POST", receiptsPath+b.text("receipt")+"/pay", bob.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	// Into a full slot there is no change, and nothing is lost.
	h.settled(bob.Access, change(bob, b.text("receipt"), noon.Add(30*time.Minute)).text("receipt")).wantFields(t, map[string]string{"status": "rejected", "reason": "sold_out"})
	h.ask("GET", receiptsPath+b.text("receipt"), bob.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	if n, m := h.points(ann.Account), h.points(bob.Account); n != 450 || m != 450 {
		t.Errorf("they have %d and %d", n, m)
	}

	// Who came is noted when the slot has begun, by the store.
	attend := func(p person, receipt, word string) reply {
		return h.ask("PUT", receiptsPath+receipt+"/attendance", p.Access, fmt.Sprintf(`{"attendance":%q}`, word))
	}
	attend(seller, moved.text("receipt"), "completed").wantProblem(t, 409, "too_early")
	attend(other, moved.text("receipt"), "completed").wantProblem(t, 403, "not_yours")
	attend(seller, a.text("receipt"), "completed").wantProblem(t, 404, "unknown_receipt") // it is cancelled
	store, err := h.api.bookings.Store(t.Context(), query[int64](h, `select max(id) from stores`))
	if err != nil {
		t.Fatal(err)
	}
	was := h.visited(store, ann.Account)
	for _, word := range []string{"no_show", "completed"} { // the last word counts
		if r := attend(seller, was, word); r.status != 204 || r.raw != "" {
			t.Errorf("%d %s", r.status, r.raw)
		}
	}
	past := fmt.Sprintf("/v1/sales/%d/receipts", query[int64](h, `select sale from receipts where id = $1`, was))
	if r := h.ask("GET", past, seller.Access, ""); !strings.Contains(r.raw, `"attendance":"completed"`) {
		t.Errorf("%s", r.raw)
	}
	if r := h.ask("GET", past, seller.Access, "", "Accept: text/csv"); !strings.HasSuffix(r.raw, ",completed\r\n") {
		t.Errorf("%q", r.raw)
	}

	// A payment that came too late, and bought, is a booking like any other.
	late := sale.NewReceiptID(store.Partition)
	query[int64](h, `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select $1, sale, $2, 'pay', 1, 50, 'confirmed', gen_random_uuid(), 0, 2, at
		from receipts
		where id = $3
		returning sale`, [16]byte(late), bob.Account, was)
	attend(seller, late.String(), "no_show")
	if r := h.ask("GET", past+fmt.Sprintf("?buyer=%d", bob.Account), seller.Access, ""); !strings.Contains(r.raw, `"attendance":"no_show"`) {
		t.Errorf("%s", r.raw)
	}

	// What is published stays; what comes is as it is then.
	h.ask("PATCH", path, seller.Access, `{"title":"Soup","tables":4,"days_ahead":4}`).wantFields(t, map[string]string{"title": "Soup", "tables": "4", "days_ahead": "4", "description": "Hot."})
	if s := h.slotsOf(id, day.String()); s[0].Free != 1 {
		t.Errorf("%+v", s)
	}
	if s := h.slotsOf(id, day.Add(3).String()); len(s) != 5 || s[0].Free != 4 {
		t.Errorf("%+v", s)
	}
	h.ask("PATCH", path, seller.Access, `{}`).wantProblem(t, 422, "invalid_fields")
	h.ask("PATCH", fmt.Sprintf("/v1/sales/%d", slots[0].Sale), seller.Access, `{"stock":9}`).wantProblem(t, 409, "too_late")

	h.ask("DELETE", path, seller.Access, "").wantProblem(t, 409, "store_booked")
	h.ask("DELETE", "/v1/me", seller.Access, fmt.Sprintf(`{"current_password":%q}`, seller.password)).wantProblem(t, 409, "account_busy")
	for p, receipt := range map[person]string{ann: moved.text("receipt"), bob: b.text("receipt")} {
		h.done("POST", receiptsPath+receipt+"/cancel", p.Access, "").wantFields(t, map[string]string{"status": "confirmed"})
	}
	for range 2 {
		if r := h.ask("DELETE", path, seller.Access, ""); r.status != 204 {
			t.Fatalf("%d %s", r.status, r.raw)
		}
	}
	h.ask("GET", path, "", "").wantFields(t, map[string]string{"closed": "true"})
	book(ann, noon).wantProblem(t, 404, "unknown_slot")
	h.ask("PATCH", path, seller.Access, `{"tables":5}`).wantProblem(t, 409, "closed")
	if s := h.slotsOf(id, day.String()); len(s) != 0 {
		t.Errorf("%+v", s)
	}
	if r := h.ask("GET", "/v1/stores", "", ""); r.raw != `{"stores":[]}` {
		t.Errorf("%s", r.raw)
	}
}

// TestThreeStores: a seller has three open ones at most, and all lists have pages.
func TestThreeStores(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller, other := h.person(accounts.Seller), h.person(accounts.Seller)
	body := `{"title":"Noodles","time_zone":"UTC","tables":1,"hours":{"mon":"12:00-12:00"}}`
	create := func(p person) reply { return h.ask("POST", "/v1/stores", p.Access, body) }
	var ids []string
	for range 3 {
		ids = append(ids, create(seller).text("store"))
	}
	create(seller).wantProblem(t, 409, "store_limit")
	theirs := create(other).text("store")
	h.ask("DELETE", "/v1/stores/"+ids[0], seller.Access, "")
	ids = append(ids, theirs, create(seller).text("store"))
	create(seller).wantProblem(t, 409, "store_limit")
	h.wantWalk("", "/v1/stores", "stores", "store", ids[1:])
	h.wantWalk("", fmt.Sprintf("/v1/stores?seller=%d", other.Account), "stores", "store", []string{theirs})

	// A seller who leaves takes his stores with him, and slots that nobody asked for
	// do not keep him.
	if r := h.ask("DELETE", "/v1/me", seller.Access, fmt.Sprintf(`{"current_password":%q}`, seller.password)); r.status != 204 {
		t.Fatalf("%d %s", r.status, r.raw)
	}
	h.wantWalk("", "/v1/stores", "stores", "store", []string{theirs})
	if n := query[int](h, `select count(*) from sales where seller = $1`, seller.Account); n != 0 {
		t.Errorf("%d slots are left", n)
	}
	h.ask("POST", "/v1/stores", seller.Access, body).wantProblem(t, 401, "token_invalid")
	for _, id := range ids {
		if got, want := h.ask("GET", "/v1/stores/"+id, "", "").text("closed") == "true", !slices.Contains([]string{theirs}, id); got != want {
			t.Errorf("store %s is closed: %t", id, got)
		}
	}
}
