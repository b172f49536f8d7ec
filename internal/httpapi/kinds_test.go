package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// chair, voucher and evening make a sale one of another kind.
func chair(s *sale.Sale) {
	s.Kind, s.Title, s.Price = sale.Reservation, "Chair", sale.Price{Policy: sale.Fixed, Start: 1000}
	s.Hold, s.LineMost = 10*time.Minute, 20
}

func voucher(s *sale.Sale) {
	s.Kind, s.Title, s.Price, s.Limit, s.RefundWindow = sale.Coupon, "Ten off", sale.Price{Policy: sale.Fixed}, 1, 0
	s.AmountOff, s.ValidFrom, s.ValidUntil = 10, s.OpensAt, s.ClosesAt.Add(time.Hour)
}

func evening(s *sale.Sale) {
	s.Kind, s.Title, s.Price = sale.Event, "Evening", sale.Price{Policy: sale.Fixed, Start: 100}
	s.Hold, s.LineMost, s.StartsAt = 10*time.Minute, 20, s.ClosesAt.Add(time.Hour)
}

// place opens a store of two tables that never sleeps, and answers it with its
// bookable times: those of tomorrow.
func (h *house) place(seller int64, change ...func(*sale.Store)) (sale.Store, []sale.Instant) {
	h.t.Helper()
	always := &sale.Span{Opens: 0, Closes: 23*60 + 30}
	s := sale.Store{
		Seller: seller, Title: "Noodles", TimeZone: "UTC", Tables: 2, UnitPrice: 50, RefundWindow: 24 * time.Hour, Hold: 10 * time.Minute, DaysAhead: 1,
		Hours: sale.Hours{always, always, always, always, always, always, always},
	}
	for _, c := range change {
		c(&s)
	}
	s, _, err := h.api.bookings.Create(h.t.Context(), s, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return s, s.Slots(tomorrow(s))
}

// tomorrow is the day of a store after this one.
func tomorrow(s sale.Store) sale.Day {
	today, err := s.Today(sale.At(time.Now()))
	if err != nil {
		panic(err)
	}
	return today.Add(1)
}

// visited is a confirmed booking of a store for a slot that began an hour ago, as if
// it had been settled then.
func (h *house) visited(store sale.Store, buyer int64) string {
	h.t.Helper()
	at := sale.At(time.Now().Add(-time.Hour).Truncate(30 * time.Minute))
	slot, err := h.ledger.CreateSale(h.t.Context(), store.Slot(at, at.Add(-time.Hour)), partitions)
	if err != nil {
		h.t.Fatal(err)
	}
	id := sale.NewReceiptID(slot.Partition)
	query[int64](h, `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		values ($1, $2, $3, 'reserve', 1, 50, 'confirmed', 0, 1, $4)
		returning sale`, [16]byte(id), slot.ID, buyer, at.Add(-time.Hour).Time())
	return id.String()
}

func (h *house) reserve(s sale.Sale, token string, quantity int64, headers ...string) reply {
	h.t.Helper()
	return h.accepted("POST", fmt.Sprintf("/v1/sales/%d/reservations", s.ID), token, fmt.Sprintf(`{"quantity":%d}`, quantity), headers...)
}

// book reserves a table of a slot.
func (h *house) book(store sale.Store, slot sale.Instant, token string) reply {
	h.t.Helper()
	return h.accepted("POST", fmt.Sprintf("/v1/stores/%d/reservations", store.ID), token, fmt.Sprintf(`{"slot":%s}`, quote(slot.Time())))
}

// accepted asks for what must be queued.
func (h *house) accepted(method, path, token, body string, headers ...string) reply {
	h.t.Helper()
	r := h.ask(method, path, token, body, headers...)
	if r.status != http.StatusAccepted || r.header.Get("Location") != receiptsPath+r.text("receipt") {
		h.t.Fatalf("%s %s: %d %s", method, path, r.status, r.raw)
	}
	return r
}

// becomes polls a receipt until it has that status.
func (h *house) becomes(token, receipt, status string) (r reply) {
	h.t.Helper()
	h.until(receipt+" is "+status, func() bool {
		r = h.ask("GET", receiptsPath+receipt, token, "")
		if r.status != http.StatusOK {
			h.t.Fatalf("poll: %d %s", r.status, r.raw)
		}
		return r.text("status") == status
	})
	return r
}

// done asks for something and waits for what comes of it.
func (h *house) done(method, path, token, body string, headers ...string) reply {
	h.t.Helper()
	return h.settled(token, h.accepted(method, path, token, body, headers...).text("receipt"))
}

// TestOfferKinds: what each kind is made of comes back, may change until it opens, and
// what was left out has its default.
func TestOfferKinds(t *testing.T) {
	t.Parallel()
	h := open(t)
	seller := h.person(accounts.Seller)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	utc := func(hours int) string { return at.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
	common := fmt.Sprintf(`"title":"One","stock":5,"opens_at":"%s","closes_at":"%s"`, utc(0), utc(24*100))
	for _, c := range []struct {
		offer, edit   string
		made, changed map[string]string
	}{
		{`{"kind":"reservation",` + common + `,"limit":2,"unit_price":0}`, `{"unit_price":70,"hold":60,"line":3,"max_bypass":2,"kind":"reservation"}`,
			map[string]string{"kind": "reservation", "unit_price": "0", "price": "0", "hold": "600", "line": "", "max_bypass": "", "refund_window": "86400", "refund_until": utc(24 * 101), "stock": "map[free:5 held:0 sold:0 total:5]"},
			map[string]string{"unit_price": "70", "price": "70", "hold": "60", "line": "3", "max_bypass": "2", "stock": "map[free:5 held:0 sold:0 total:5 waiting:0]"}},
		{`{"kind":"coupon",` + common + `,"amount_off":5,"valid_until":"` + utc(24*200) + `"}`, fmt.Sprintf(`{"amount_off":7,"valid_from":"%s","valid_until":"%s"}`, utc(1), utc(24*300)),
			map[string]string{"kind": "coupon", "limit": "1", "amount_off": "5", "valid_from": utc(0), "valid_until": utc(24 * 200), "refund_window": "0", "unit_price": ""},
			map[string]string{"amount_off": "7", "valid_from": utc(1), "valid_until": utc(24 * 300)}},
		{`{"kind":"event",` + common + `,"limit":1,"unit_price":9,"line":4,"refund_window":60}`, `{"starts_at":"` + utc(24*100) + `","stock":6}`,
			map[string]string{"kind": "event", "unit_price": "9", "line": "4", "starts_at": "", "refund_until": utc(24 * 100), "hold": "600"},
			map[string]string{"starts_at": utc(24 * 100), "stock": "map[free:6 held:0 sold:0 total:6 waiting:0]"}},
	} {
		made := h.ask("POST", "/v1/sales", seller.Access, c.offer)
		path := made.header.Get("Location")
		made.wantFields(t, c.made)
		h.ask("GET", path, "", "").wantFields(t, c.made)
		h.ask("PATCH", path, seller.Access, c.edit).wantFields(t, c.changed)
		h.ask("GET", path, "", "").wantFields(t, c.changed)
		if curve := h.ask("GET", path+"/prices", "", ""); len(curve.body["prices"].([]any)) != 1 {
			t.Errorf("%s", curve.raw)
		}
		h.ask("PATCH", path, seller.Access, `{"show_stock":false}`)
		if r := h.ask("GET", path, "", ""); strings.Contains(r.raw, "free") || strings.Contains(r.raw, "waiting") {
			t.Errorf("%s", r.raw)
		}
		if r := h.ask("DELETE", path, seller.Access, ""); r.status != 204 {
			t.Errorf("%d %s", r.status, r.raw)
		}
	}
}

// TestWrongKind: what a kind does not know is refused at the door, and leaves no
// trace.
func TestWrongKind(t *testing.T) {
	t.Parallel()
	h := open(t)
	buyer, seller := h.rich(accounts.Buyer, 100_000), h.person(accounts.Seller)
	lamp := h.sale(-time.Second, time.Hour, of(seller.Account))
	seat := h.sale(-time.Second, time.Hour, of(seller.Account), evening)
	stool := h.sale(-time.Second, time.Hour, of(seller.Account), chair)
	gift := h.sale(-time.Second, time.Hour, of(seller.Account), voucher)
	store, slots := h.place(seller.Account)
	slot := query[int64](h, `select id from sales where store = $1 and starts_at = $2`, store.ID, slots[0].Time())
	asks := map[string]string{"bids": goodBid, "reservations": `{"quantity":1}`, "claims": "", "joins": `{"quantity":1}`}
	receipts := map[string]string{}
	for name, c := range map[string]struct {
		sale  int64
		knows string
	}{"auction": {lamp.ID, "bids"}, "reservation": {stool.ID, "reservations"}, "coupon": {gift.ID, "claims"}, "event": {seat.ID, "joins"}, "slot": {slot, "reservations"}} {
		for verb, body := range asks {
			r := h.ask("POST", fmt.Sprintf("/v1/sales/%d/%s", c.sale, verb), buyer.Access, body)
			if verb != c.knows {
				r.wantProblem(t, 409, "wrong_kind")
				continue
			}
			if receipts[name] = r.text("receipt"); r.status != 202 {
				t.Errorf("%s of %s: %d %s", verb, name, r.status, r.raw)
			}
		}
	}
	for name, knows := range map[string]string{"auction": "refund", "reservation": "pay cancel", "coupon": "", "event": "pay cancel", "slot": "pay cancel change"} {
		for _, verb := range []string{"pay", "cancel", "refund", "change"} {
			body := ""
			if verb == "change" {
				body = fmt.Sprintf(`{"slot":%s}`, quote(slots[1].Time()))
			}
			r := h.ask("POST", receiptsPath+receipts[name]+"/"+verb, buyer.Access, body)
			if !strings.Contains(knows, verb) {
				r.wantProblem(t, 409, "wrong_kind")
			} else if r.status != 202 {
				t.Errorf("%s of %s: %d %s", verb, name, r.status, r.raw)
			}
		}
	}
	h.ask("PATCH", fmt.Sprintf("/v1/sales/%d", lamp.ID), seller.Access, fmt.Sprintf(`{"extend_to":%s}`, quote(lamp.ClosesAt.Add(time.Hour).Time()))).wantProblem(t, 409, "wrong_kind")
	if n := len(h.queued()); n != 5+1+2+2+3 {
		t.Errorf("%d requests are queued", n)
	}
}

// aCoupon names a coupon that nobody has.
var aCoupon = sale.NewReceiptID(3)

func quoteID(id uuid.UUID) string { return `"` + id.String() + `"` }
