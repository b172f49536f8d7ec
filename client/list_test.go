package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shelf answers entries last … 1, in pages as long as asked for.
func shelf(last int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from := last
		if cursor := r.URL.Query().Get("cursor"); cursor != "" {
			from, _ = strconv.Atoi(strings.TrimPrefix(cursor, "from-"))
		}
		page := walletPage{Balance: 5, Entries: []Entry{}}
		for ; from > 0 && len(page.Entries) < limit; from-- {
			page.Entries = append(page.Entries, Entry{ID: int64(from)})
		}
		if from > 0 {
			page.Next = fmt.Sprintf("from-%d", from)
		}
		say(w, 200, page)
	}
}

func TestPages(t *testing.T) {
	for _, test := range []struct{ items, pageSize, pages int }{{0, 3, 1}, {1, 3, 1}, {3, 3, 1}, {4, 3, 2}, {7, 3, 3}, {7, 100, 1}} {
		perform(t, shelf(test.items), func(s *stage, c *Client) {
			var ids []int64
			for entry, err := range c.Statement(s.Context()) {
				s.must(err)
				ids = append(ids, entry.ID)
			}
			want := make([]int64, test.items)
			for i := range want {
				want[i] = int64(test.items - i)
			}
			if !slices.Equal(ids, want) || len(s.seen) != test.pages {
				s.Errorf("%+v: got %v by %+v", test, ids, s.seen)
			}
		}, WithPageSize(test.pageSize))
	}
}

// TestPagesAreLazy: what nobody looks at is not fetched, and a list can be walked
// again.
func TestPagesAreLazy(t *testing.T) {
	perform(t, shelf(10), func(s *stage, c *Client) {
		list := c.Statement(s.Context())
		if len(s.seen) > 0 {
			s.Error("fetched before anybody looked")
		}
		for range 2 {
			for entry, err := range list {
				s.must(err)
				if entry.ID == 8 {
					break // the last of the first page
				}
			}
		}
		if len(s.seen) != 2 || s.seen[0].what != s.seen[1].what {
			s.Errorf("fetched %+v", s.seen)
		}
	}, WithPageSize(3))
}

func TestPagesThatEndBadly(t *testing.T) {
	for name, test := range map[string]struct {
		second func(http.ResponseWriter)
		told   func(error) bool
	}{
		"refused": {func(w http.ResponseWriter) { refuse(w, 400, CodeBadCursor) }, func(err error) bool { return CodeOf(err) == CodeBadCursor }},
		"circles": {func(w http.ResponseWriter) { say(w, 200, walletPage{Next: "from-2"}) }, func(err error) bool { return err != nil }},
	} {
		perform(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("cursor") != "" {
				test.second(w)
				return
			}
			shelf(4)(w, r)
		}, func(s *stage, c *Client) {
			var seen int
			var last error
			for _, err := range c.Statement(s.Context()) {
				if seen++; err != nil {
					last = err
				}
			}
			if seen != 3 || !test.told(last) {
				s.Errorf("%s: %d items, then %v", name, seen, last)
			}
		}, WithPageSize(2))
	}
}

// TestFilters: what is set is asked for in the API's words, and nothing else.
func TestFilters(t *testing.T) {
	day := time.Date(2030, 1, 31, 19, 0, 0, 250_999_999, time.FixedZone("CET", 3600))
	perform(t, func(w http.ResponseWriter, _ *http.Request) { say(w, 200, map[string]any{}) }, func(s *stage, c *Client) {
		walk := func(want string, err error) {
			s.Helper()
			s.must(err)
			if got := s.seen[len(s.seen)-1].what; got != "GET "+want {
				s.Errorf("asked %s, not %s", got, want)
			}
		}
		walk("/v1/sales?limit=100", end(c.Sales(s.Context(), SaleFilter{})))
		walk("/v1/sales?kind=auction&limit=100&order=-closes_at&seller=3&state=sold_out",
			end(c.Sales(s.Context(), SaleFilter{Kind: Auction, State: SoldOut, Seller: 3, Order: ByClosingLast})))
		walk("/v1/me/receipts?limit=100&sale=7&status=refunded", end(c.Receipts(s.Context(), ReceiptFilter{Sale: 7, Status: Refunded})))
		walk("/v1/sales/7/receipts?buyer=9&from=2030-01-31T18%3A00%3A00.25Z&limit=100&status=confirmed&to=2030-01-31T19%3A00%3A00.25Z",
			end(c.SaleReceipts(s.Context(), 7, SaleReceiptFilter{Status: Confirmed, Buyer: 9, From: day, To: day.Add(time.Hour)})))
		_, err := c.Balance(s.Context())
		walk("/v1/me/wallet?limit=1", err)
		_, err = c.Receipt(s.Context(), "../me?x=1")
		walk("/v1/receipts/..%2Fme%3Fx=1", err)
		walk("/v1/me/coupons?limit=100&state=used", end(c.Coupons(s.Context(), Used)))
		walk("/v1/me/coupons?limit=100", end(c.Coupons(s.Context(), "")))
		walk("/v1/coupons?limit=100", end(c.ClaimableCoupons(s.Context())))
		walk("/v1/me/orders?limit=100&status=paid", end(c.Orders(s.Context(), OrderPaid)))
		walk("/v1/me/notices?limit=100&unread=true", end(c.Notices(s.Context(), true)))
		walk("/v1/me/notices?limit=100", end(c.Notices(s.Context(), false)))
		walk("/v1/stores?limit=100&seller=3", end(c.Stores(s.Context(), 3)))
		_, err = c.Slots(s.Context(), 7, "2030-01-31")
		walk("/v1/stores/7/slots?day=2030-01-31", err)
	})
}

// end walks to the end of a list and answers its error.
func end[T any](list func(func(T, error) bool)) (last error) {
	for _, err := range list {
		last = err
	}
	return last
}

func TestWait(t *testing.T) {
	steps := []func(http.ResponseWriter){
		queued(2000),
		func(w http.ResponseWriter) { refuse(w, 503, CodeLoading, "retry_after_ms", "60000") }, // too long for one call
		queued(400),
		queued(0),
		lose,
		func(w http.ResponseWriter) { say(w, 200, Receipt{ID: "r", Status: Rejected, Reason: ReasonSoldOut}) },
	}
	n := 0
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		n++
		steps[n-1](w)
	}, func(s *stage, c *Client) {
		r, err := c.Wait(s.Context(), Receipt{ID: "r", Status: Queued, PollAfter: time.Second})
		s.must(err)
		if !r.Decided() || r.Reason != ReasonSoldOut {
			s.Errorf("got %+v", r)
		}
		at := s.requests("GET /v1/receipts/r")
		if len(at) != len(steps) {
			s.Fatalf("asked %+v", at)
		}
		for i, pause := range []time.Duration{time.Second, 2 * time.Second, 30 * time.Second, 400 * time.Millisecond, pollLeast} {
			before := time.Duration(0)
			if i > 0 {
				before = at[i-1].at
			}
			most := pause
			if pause == pollMost {
				most += pause / 4 // after a fault those who come back are spread
			}
			s.took(at[i].at-before, pause, most)
		}
		again, err := c.Wait(s.Context(), r)
		s.must(err)
		if again != r || len(s.requests("GET /v1/receipts/r")) != len(steps) {
			s.Error("asked after what is decided")
		}
	}, WithPolling())
}

func queued(pollAfter int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		say(w, 200, map[string]any{"receipt": "r", "status": "queued", "position": 3, "poll_after_ms": pollAfter})
	}
}

func TestWaitByID(t *testing.T) {
	perform(t, func(w http.ResponseWriter, _ *http.Request) { say(w, 200, Receipt{ID: "r", Status: Confirmed}) }, func(s *stage, c *Client) {
		r, err := c.Wait(s.Context(), Receipt{ID: "r"})
		s.must(err)
		if r.Status != Confirmed || s.seen[0].at != 0 {
			s.Errorf("got %+v at %s", r, s.seen[0].at)
		}
	})
}

func TestWaitInVain(t *testing.T) {
	const patience = 3 * time.Minute
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		told   func(error) bool
		took   time.Duration
	}{
		"queued for ever": {queued(700), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, patience},
		"down for ever": {func(w http.ResponseWriter) { refuse(w, 503, CodeUnavailable) }, func(err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && CodeOf(err) == CodeUnavailable
		}, patience},
		"forgotten": {func(w http.ResponseWriter) { refuse(w, 404, CodeUnknownReceipt) }, func(err error) bool { return CodeOf(err) == CodeUnknownReceipt }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			perform(t, func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }, func(s *stage, c *Client) {
				ctx, cancel := context.WithTimeout(s.Context(), patience)
				defer cancel()
				began := time.Now()
				r, err := c.Wait(ctx, Receipt{ID: "r"})
				s.took(time.Since(began), test.took, test.took)
				if !test.told(err) || r.ID != "r" || len(s.seen) > 300 {
					s.Errorf("after %d: %+v, %v", len(s.seen), r, err)
				}
			})
		})
	}
}

func TestForms(t *testing.T) {
	opens := time.Date(2030, 1, 31, 19, 0, 0, 250_999_999, time.FixedZone("CET", 3600))
	for want, value := range map[string]any{
		`{"title":"Lamp","stock":10,"opens_at":"2030-01-31T18:00:00.25Z","closes_at":"2030-01-31T18:10:00.25Z","policy":"constant","drop":5,"limit":2,"start_price":100,"period":60}`: NewSale{
			Title: "Lamp", Stock: 10, Limit: 2, OpensAt: opens, ClosesAt: opens.Add(10 * time.Minute), Policy: Constant, StartPrice: 100, Drop: 5, Period: time.Minute},
		// What a kind must have is there in any case.
		`{"title":"","stock":0,"show_stock":false,"opens_at":"0001-01-01T00:00:00Z","closes_at":"0001-01-01T00:00:00Z","limit":0,"start_price":0,"refund_window":0,"period":0}`: NewSale{
			ShowStock: new(false), RefundWindow: new(time.Duration(0))},
		`{"title":"Chair","kind":"reservation","stock":1,"opens_at":"2030-01-31T18:00:00.25Z","closes_at":"2030-01-31T19:00:00.25Z","line":5,"limit":1,"unit_price":0,"hold":60}`: NewSale{
			Kind: Reservation, Title: "Chair", Stock: 1, Limit: 1, OpensAt: opens, ClosesAt: opens.Add(time.Hour), Hold: time.Minute, Line: 5},
		`{"title":"Off","kind":"coupon","stock":1,"opens_at":"2030-01-31T18:00:00.25Z","closes_at":"2030-01-31T19:00:00.25Z","amount_off":9,"valid_until":"2030-01-31T18:00:00.25Z"}`: NewSale{
			Kind: Coupon, Title: "Off", Stock: 1, OpensAt: opens, ClosesAt: opens.Add(time.Hour), AmountOff: 9, ValidUntil: opens},
		`{"title":"Show","kind":"event","stock":1,"opens_at":"2030-01-31T18:00:00.25Z","closes_at":"2030-01-31T19:00:00.25Z","max_bypass":2,"starts_at":"2030-01-31T18:00:00.25Z","limit":1,"unit_price":7}`: NewSale{
			Kind: Event, Title: "Show", Stock: 1, Limit: 1, OpensAt: opens, ClosesAt: opens.Add(time.Hour), UnitPrice: 7, MaxBypass: 2, StartsAt: opens},
		`{"title":"Noodles","time_zone":"UTC","tables":2,"hours":{"mon":"11:00-21:00"},"refund_window":0,"hold":60}`: NewStore{
			Title: "Noodles", TimeZone: "UTC", Tables: 2, Hours: Hours{"mon": "11:00-21:00"}, RefundWindow: new(time.Duration(0)), Hold: new(time.Minute)},
		`{"tables":3}`: StoreEdit{Tables: new(int64(3))},
		`{"unit_price":0,"starts_at":"2030-01-31T18:00:00.25Z","valid_until":"2030-01-31T18:00:00.25Z","hold":1}`: SaleEdit{
			UnitPrice: new(int64(0)), Hold: new(time.Second), StartsAt: &opens, ValidUntil: &opens},
		`{"grow_by":5}`: extension{GrowBy: 5},
		`{"extend_to":"2030-01-31T18:00:00.25Z"}`: extension{ExtendTo: whole(opens)},
		`{"quantity":2}`:                        Reserve{Quantity: 2},
		`{"quantity":1,"price":2,"coupon":"c"}`: Bid{Quantity: 1, Price: 2, Coupon: "c"},
		`{}`:                                    SaleEdit{},
		`{"title":"","stock":0,"opens_at":"2030-01-31T18:00:00.25Z","refund_window":3600,"period":1}`: SaleEdit{
			Title: new(""), Stock: new(int64(0)), OpensAt: &opens, RefundWindow: new(time.Hour), Period: new(time.Second)},
		`{"quantity":1,"price":2}`: Bid{Quantity: 1, Price: 2},
	} {
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	if opens.Nanosecond() != 250_999_999 {
		t.Error("writing an edit changed the caller's time")
	}
	for _, crooked := range []any{NewSale{Period: 1500 * time.Millisecond}, SaleEdit{RefundWindow: new(time.Nanosecond)},
		NewSale{Hold: time.Millisecond}, NewStore{Hold: new(time.Millisecond)}} {
		if text, err := json.Marshal(crooked); err == nil || !strings.Contains(err.Error(), "whole number of seconds") {
			t.Errorf("%s, %v", text, err)
		}
	}
	var s Sale
	if err := json.Unmarshal([]byte(`{"sale":7,"period":60,"refund_window":3600,"stock":{"total":2,"free":1,"sold":1},"new":1}`), &s); err != nil ||
		s.ID != 7 || s.Period != time.Minute || s.RefundWindow != time.Hour || *s.Stock != (Stock{Total: 2, Free: 1, Sold: 1}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestProblemsRead(t *testing.T) {
	p := &Problem{
		Status: 422, Code: CodeInvalidFields, Title: "Some fields break a rule", Detail: "two of them", RequestID: "r-1",
		Fields: []Field{{Pointer: "#/stock", Detail: "must be at least 1"}, {Parameter: "order", Detail: "is not known here"}},
	}
	const want = "422 invalid_fields: Some fields break a rule: two of them: #/stock must be at least 1; order is not known here (request r-1)"
	if p.Error() != want || CodeOf(fmt.Errorf("x: %w", p)) != CodeInvalidFields || CodeOf(nil) != "" || CodeOf(context.Canceled) != "" {
		t.Errorf("got %s", p)
	}
}

// TestKept: what a program keeps as JSON it reads back whole.
func TestKept(t *testing.T) {
	at := time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)
	sale := Sale{ID: 7, Title: "Lamps", Period: time.Minute, RefundWindow: time.Hour, OpensAt: at, Stock: &Stock{Total: 1, Free: 1}}
	chair := Sale{ID: 8, Kind: Reservation, UnitPrice: 5, Hold: time.Minute, Line: 3, MaxBypass: 1, OpensAt: at, ClosesAt: at, Stock: &Stock{Total: 1, Held: 1, Waiting: 2}}
	receipt := Receipt{ID: "r", Status: Queued, Position: 2, ETA: 1500 * time.Millisecond, Outlook: OutlookUnlikely, PollAfter: 60 * time.Millisecond, RequestedAt: at}
	held := Receipt{ID: "r", Status: Held, UnitPrice: 5, Discount: 2, Amount: 3, Coupon: "c", PayBy: at, RequestedAt: at}
	store := Store{ID: 9, Hours: Hours{"mon": "11:00-21:00"}, RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 3, CreatedAt: at}
	for _, kept := range []struct{ value, again any }{{&sale, new(Sale)}, {&chair, new(Sale)}, {&receipt, new(Receipt)}, {&held, new(Receipt)}, {&store, new(Store)}, {new(pair(1)), new(Tokens)}} {
		text, err := json.Marshal(kept.value)
		if err != nil || json.Unmarshal(text, kept.again) != nil || !reflect.DeepEqual(kept.value, kept.again) {
			t.Errorf("%s, %v", text, err)
		}
	}
}

// FuzzAnswers: whatever answers, the client understands it or says so.
func FuzzAnswers(f *testing.F) {
	f.Add(409, "", `{"code":"sold_out","errors":[{"pointer":"#/stock"}],"retry_after_ms":50}`)
	f.Add(503, "7", `{"code":"","retry_after_ms":-9223372036854775808}`)
	f.Add(502, "Fri, 31 Dec 9999 23:59:59 GMT", `null`)
	f.Add(200, "-1", `{"sale":7,"period":9223372036854775807,"stock":null,"poll_after_ms":9e99}`)
	f.Fuzz(func(t *testing.T, status int, retryAfter, text string) {
		r := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}}
		p := problemOf(r, []byte(text))
		if p.Code == "" || p.Status != status || p.RetryAfter < 0 || p.Error() == "" {
			t.Errorf("problem %+v", p)
		}
		for tried := range 100 {
			if pause := pauseAfter(p, tried+1); pause <= 0 || pause > 3*longestTurn {
				t.Errorf("a pause of %s", pause)
			}
		}
		_ = json.Unmarshal([]byte(text), new(Sale))
		_ = json.Unmarshal([]byte(text), new(Receipt))
		_ = json.Unmarshal([]byte(text), new(Store))
	})
}

// TestNothingButTheStandardLibrary: whoever imports the client imports it alone.
func TestNothingButTheStandardLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil || strings.TrimSpace(string(out)) != "sluice/client" {
		t.Errorf("it needs %s (%v)", out, err)
	}
}
