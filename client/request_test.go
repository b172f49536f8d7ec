package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRequests: each call asks what it says, and what makes something carries a key.
func TestRequests(t *testing.T) {
	var body string
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
		if r.Method == http.MethodDelete || r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		say(w, http.StatusAccepted, map[string]any{"receipt": "r", "status": "queued", "read": 3})
	}, func(s *stage, c *Client) {
		ctx := s.Context()
		at := time.Date(2030, 1, 31, 19, 0, 0, 999, time.FixedZone("CET", 3600))
		asked := func(r Receipt, err error) error {
			if err == nil && (r.ID != "r" || r.Status != Queued) {
				s.Errorf("got %+v", r)
			}
			return err
		}
		read := func(n int64, err error) error {
			if err == nil && n != 3 {
				s.Errorf("read %d", n)
			}
			return err
		}
		for _, test := range []struct {
			ask        func() error
			what, body string
			keyed      bool
		}{
			{func() error { return asked(c.Reserve(ctx, 7, Reserve{Quantity: 2, Coupon: "c"})) }, "POST /v1/sales/7/reservations", `{"quantity":2,"coupon":"c"}`, true},
			{func() error { return asked(c.Claim(ctx, 7)) }, "POST /v1/sales/7/claims", ``, true},
			{func() error { return asked(c.Join(ctx, 7, 2)) }, "POST /v1/sales/7/joins", `{"quantity":2}`, true},
			{func() error { return asked(c.Pay(ctx, "a/b")) }, "POST /v1/receipts/a%2Fb/pay", ``, true},
			{func() error { return asked(c.Cancel(ctx, "a")) }, "POST /v1/receipts/a/cancel", ``, true},
			{func() error { return asked(c.Refund(ctx, "a")) }, "POST /v1/receipts/a/refund", ``, true},
			{func() error { return asked(c.ChangeSlot(ctx, "a", at)) }, "POST /v1/receipts/a/change", `{"slot":"2030-01-31T18:00:00Z"}`, true},
			{func() error { return asked(c.ReserveSlot(ctx, 9, at)) }, "POST /v1/stores/9/reservations", `{"slot":"2030-01-31T18:00:00Z"}`, true},
			{func() error { return asked(c.GrowStock(ctx, 7, 5)) }, "PATCH /v1/sales/7", `{"grow_by":5}`, true},
			{func() error { return asked(c.ExtendSale(ctx, 7, at)) }, "PATCH /v1/sales/7", `{"extend_to":"2030-01-31T18:00:00Z"}`, true},
			{func() error { _, err := c.CreateStore(ctx, NewStore{}); return err }, "POST /v1/stores", `{"title":"","time_zone":"","tables":0,"hours":null}`, true},
			{func() error { _, err := c.EditStore(ctx, 9, StoreEdit{Title: new("x")}); return err }, "PATCH /v1/stores/9", `{"title":"x"}`, false},
			{func() error { return c.CloseStore(ctx, 9) }, "DELETE /v1/stores/9", ``, false},
			{func() error { return c.Attend(ctx, "a", NoShow) }, "PUT /v1/receipts/a/attendance", `{"attendance":"no_show"}`, false},
			{func() error { return c.Watch(ctx, 7) }, "PUT /v1/sales/7/watch", ``, false},
			{func() error { return c.Unwatch(ctx, 7) }, "DELETE /v1/sales/7/watch", ``, false},
			{func() error { return read(c.MarkRead(ctx, 1, 2)) }, "POST /v1/me/notices/read", `{"ids":[1,2]}`, true},
			{func() error { return read(c.MarkAllRead(ctx)) }, "POST /v1/me/notices/read", `{"all":true}`, true},
			{func() error { _, err := c.SwitchNotices(ctx, false); return err }, "PATCH /v1/me", `{"notices":false}`, false},
		} {
			s.must(test.ask())
			last := s.seen[len(s.seen)-1]
			if last.what != test.what || body != test.body || (last.key != "") != test.keyed {
				s.Errorf("asked %s %s under %q, not %s %s", last.what, body, last.key, test.what, test.body)
			}
		}
	})
}

// TestWaitUntil: who is held or waits is followed as far as he wants, and asked after
// as often as the API says.
func TestWaitUntil(t *testing.T) {
	var at int
	states := []map[string]any{
		{"receipt": "r", "status": "queued", "poll_after_ms": 50},
		{"receipt": "r", "status": "waiting", "position": 3, "poll_after_ms": 700},
		{"receipt": "r", "status": "waiting", "position": 1, "poll_after_ms": 300},
		{"receipt": "r", "status": "held", "pay_by": "2030-01-31T18:00:00Z"},
		{"receipt": "r", "status": "held", "pay_by": "2030-01-31T18:00:00Z"},
		{"receipt": "r", "status": "expired"},
	}
	perform(t, func(w http.ResponseWriter, _ *http.Request) {
		say(w, 200, states[min(at, len(states)-1)])
		at++
	}, func(s *stage, c *Client) {
		r, err := c.Wait(s.Context(), Receipt{ID: "r"})
		s.must(err)
		if r.Status != Waiting || !r.Decided() || r.Settled() || r.Position != 3 {
			s.Errorf("got %+v", r)
		}
		r, err = c.WaitUntil(s.Context(), r, func(r Receipt) bool { return r.Status != Waiting })
		s.must(err)
		if r.Status != Held || r.Settled() || !r.PayBy.Equal(time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)) {
			s.Errorf("got %+v", r)
		}
		r, err = c.WaitUntil(s.Context(), r, Receipt.Settled)
		s.must(err)
		if r.Status != Expired || !r.Settled() {
			s.Errorf("got %+v", r)
		}
		asked := s.requests("GET /v1/receipts/r")
		for i, pause := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond, 300 * time.Millisecond, pollSlow, pollSlow} {
			s.took(asked[i+1].at-asked[i].at, pause, pause)
		}
		again, err := c.WaitUntil(s.Context(), r, Receipt.Settled)
		if err != nil || again != r || len(s.seen) != len(states) {
			s.Errorf("%+v, %v after %d questions", again, err, len(s.seen))
		}
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		defer cancel()
		if r, err := c.WaitUntil(ctx, r, func(Receipt) bool { return false }); !errors.Is(err, context.DeadlineExceeded) || r.Status != Expired {
			s.Errorf("%+v, %v", r, err)
		}
	}, WithPolling())
}

// TestReceiptsCSV: it is read as it comes, without a time limit of ours, and an end
// too early is seen.
func TestReceiptsCSV(t *testing.T) {
	const rows = "receipt,verb\r\na,bid\r\n"
	down := true
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/sales/8/receipts":
			refuse(w, 403, CodeNotYours)
			return
		case down:
			down = false
			refuse(w, 503, CodeUnavailable)
			return
		case r.Header.Get("Accept") != "text/csv":
			refuse(w, 400, CodeBadQuery)
			return
		}
		for range 3 {
			_, _ = io.WriteString(w, rows)
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Second)
		}
		if r.URL.Query().Get("status") == "held" {
			panic(http.ErrAbortHandler)
		}
	}, func(s *stage, c *Client) {
		began := time.Now()
		csv, err := c.ReceiptsCSV(s.Context(), 7, SaleReceiptFilter{Buyer: 3})
		s.must(err)
		s.took(time.Since(began), 0, time.Second) // the first rows are there
		text, err := io.ReadAll(csv)
		s.must(err)
		s.must(csv.Close())
		if string(text) != strings.Repeat(rows, 3) || len(s.requests("GET /v1/sales/7/receipts?buyer=3")) != 2 {
			s.Errorf("%q by %+v", text, s.seen)
		}
		s.took(time.Since(began), time.Minute, time.Minute+time.Second)

		csv, err = c.ReceiptsCSV(s.Context(), 7, SaleReceiptFilter{Status: Held})
		s.must(err)
		if text, err := io.ReadAll(csv); err == nil {
			s.Errorf("%q looks whole", text)
		}
		s.must(csv.Close())
		if _, err := c.ReceiptsCSV(s.Context(), 8, SaleReceiptFilter{}); CodeOf(err) != CodeNotYours {
			s.Errorf("%v", err)
		}
	})
}

// TestSellerIsToldWhoCame: the receipts of a slot say it.
func TestSellerIsToldWhoCame(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		say(w, 200, map[string]any{"receipts": []map[string]any{{"receipt": "r", "buyer": 9, "attendance": "no_show"}}})
	}, func(s *stage, c *Client) {
		var told []Attendance
		for r, err := range c.SaleReceipts(s.Context(), 7, SaleReceiptFilter{}) {
			s.must(err)
			told = append(told, r.Attendance)
		}
		if len(told) != 1 || told[0] != NoShow {
			s.Errorf("%q", told)
		}
	})
}
