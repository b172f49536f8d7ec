package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/client"
)

// found is a receipt with the sale that it is of.
type found struct {
	client.Receipt
	Of client.Sale
}

// Pays, Cancels, Refunds and Changes say what its buyer may still ask. The API has the
// last word.
func (f found) Pays() bool { return f.Status == client.Held }

func (f found) Cancels() bool {
	switch f.Status {
	case client.Waiting, client.Held:
		return true
	case client.Confirmed:
		return (f.Verb == client.VerbReserve || f.Verb == client.VerbJoin) && (f.Of.RefundUntil.IsZero() || f.Of.Now.Before(f.Of.RefundUntil))
	}
	return false
}

func (f found) Refunds() bool {
	return f.Status == client.Confirmed && f.Verb == client.VerbBid && !f.Of.Now.Before(f.Of.ClosesAt) && f.Of.Now.Before(f.Of.RefundUntil)
}

// RefundsLater says that a refund can be asked for after the close.
func (f found) RefundsLater() bool {
	return f.Status == client.Confirmed && f.Verb == client.VerbBid && f.Of.Now.Before(f.Of.ClosesAt) && f.Of.RefundWindow > 0
}

func (f found) Changes() bool {
	return f.Status == client.Confirmed && f.Of.Store != 0 && f.Of.Now.Before(f.Of.StartsAt)
}

// with reads the sales of receipts, each once.
func (v *visit) with(all []client.Receipt) (list []found, err error) {
	sales := map[int64]client.Sale{}
	for _, r := range all {
		s, ok := sales[r.Sale]
		if !ok {
			if s, err = v.api.Sale(v.ctx, r.Sale); err != nil {
				return nil, err
			}
			sales[r.Sale] = s
		}
		list = append(list, found{r, s})
	}
	return list, nil
}

// onlyAbout says that a receipt is of a payment, a cancellation or a refund, which shows in
// what it is about. A late payment that bought anew is a purchase.
func onlyAbout(r client.Receipt) bool {
	return r.Target != "" && r.Verb != client.VerbReserve && r.Quantity == 0
}

// mineStates are the filters of the list of receipts.
var mineStates = []client.Status{client.Held, client.Waiting, client.Confirmed, client.Refunded, client.Cancelled, client.Expired}

// receipts is GET /receipts: what I asked for, and what came of it.
func (f *Front) receipts(v *visit) error {
	status := client.Status(v.r.URL.Query().Get("status"))
	if !slices.Contains(mineStates, status) {
		status = ""
	}
	some, more, err := take(v.api.Receipts(v.ctx, client.ReceiptFilter{Status: status}), v.shown())
	if err != nil {
		return err
	}
	some = slices.DeleteFunc(some, onlyAbout)
	list, err := v.with(some)
	if err != nil {
		return err
	}
	body := struct {
		Status   client.Status
		Statuses []client.Status
		Receipts []found
		More     int
	}{status, mineStates, list, 0}
	if more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "receipts", v.say("receipts.title"), body)
	return nil
}

// standing is the page of one receipt: where it stands, or what became of it.
type standing struct {
	found
	By     *client.Receipt // the request about it that the buyer has just made
	Follow string          // the receipt whose events the page listens to; "": nothing will happen
}

// Undone says that By was not granted.
func (s standing) Undone() bool { return s.By != nil && s.By.Status == client.Rejected }

// Busy says that By is not decided.
func (s standing) Busy() bool { return s.By != nil && s.By.Status == client.Queued }

// receipt is GET /receipts/{id}: the waiting page, and then the verdict.
func (f *Front) receipt(v *visit) error {
	// What it is about is read after it: once that is decided, its target shows it.
	var by *client.Receipt
	if id := v.r.URL.Query().Get("by"); id != "" {
		if found, err := v.api.Receipt(v.ctx, id); err == nil {
			by = &found
		}
	}
	r, err := v.api.Receipt(v.ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if onlyAbout(r) {
		return v.go303("/receipts/" + r.Target + "?by=" + r.ID) // what it is about tells more
	}
	list, err := v.with([]client.Receipt{r})
	if err != nil {
		return err
	}
	body := standing{found: list[0]}
	if by != nil && by.Target == r.ID {
		body.By = by
	}
	switch {
	case body.Busy():
		body.Follow = body.By.ID
	case !r.Settled():
		body.Follow = r.ID
	}
	v.render(http.StatusOK, "receipt", list[0].Of.Title, body)
	return nil
}

// about is POST /receipts/{id}/{verb}: pay for it, give it back, or change it.
func (f *Front) about(v *visit) error {
	id := v.r.PathValue("id")
	var r client.Receipt
	var err error
	switch v.r.PathValue("verb") {
	case "pay":
		r, err = v.api.Pay(v.ctx, id, v.keyed()...)
	case "cancel":
		r, err = v.api.Cancel(v.ctx, id, v.keyed()...)
	case "refund":
		r, err = v.api.Refund(v.ctx, id, v.keyed()...)
	case "change":
		var at time.Time
		if at, err = time.Parse(time.RFC3339, v.r.PostFormValue("slot")); err == nil {
			if r, err = v.api.ChangeSlot(v.ctx, id, at, v.keyed()...); err == nil {
				return v.go303("/receipts/" + r.ID)
			}
		}
	default:
		err = &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	if err != nil {
		return err
	}
	return v.go303("/receipts/" + id + "?by=" + r.ID)
}

// wallet is GET /wallet.
func (f *Front) wallet(v *visit) error {
	balance, err := v.api.Balance(v.ctx)
	if err != nil {
		return err
	}
	entries, more, err := take(v.api.Statement(v.ctx), v.shown())
	if err != nil {
		return err
	}
	body := struct {
		Balance int64
		Entries []client.Entry
		Amounts []int64
		More    int
	}{balance, entries, []int64{1_000, 10_000, 100_000}, 0}
	if more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "wallet", v.say("wallet.title"), body)
	return nil
}

// topUp is POST /wallet.
func (f *Front) topUp(v *visit) error {
	if _, err := v.api.TopUp(v.ctx, v.amount("amount"), v.keyed()...); err != nil {
		return err
	}
	return v.go303(local(v.r.PostFormValue("next"), "/wallet"))
}

// local is where a form wants to lead, if that is one of our pages.
func local(to, otherwise string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return otherwise
	}
	return to
}

// coupons is GET /coupons: what I can claim, and what I have.
func (f *Front) coupons(v *visit) error {
	claimable, _, err := take(v.api.ClaimableCoupons(v.ctx), pageSize)
	if err != nil {
		return err
	}
	type own struct {
		client.OwnCoupon
		Of client.Sale
	}
	body := struct {
		Claimable []client.Sale
		Mine      []own
	}{Claimable: claimable}
	mine, _, err := take(v.api.Coupons(v.ctx, ""), v.shown())
	if err != nil {
		return err
	}
	for _, c := range mine {
		s, err := v.api.Sale(v.ctx, c.Sale)
		if err != nil {
			return err
		}
		body.Mine = append(body.Mine, own{c, s})
	}
	v.render(http.StatusOK, "coupons", v.say("coupons.title"), body)
	return nil
}

// notices is GET /notices: what I was told.
func (f *Front) notices(v *visit) error {
	some, more, err := take(v.api.Notices(v.ctx, false), v.shown())
	if err != nil {
		return err
	}
	type told struct {
		client.Notice
		Of client.Sale
	}
	body := struct {
		Notices []told
		Unread  bool
		More    int
	}{}
	titles := map[int64]client.Sale{}
	for _, n := range some {
		s, ok := titles[n.Sale]
		if !ok {
			if s, err = v.api.Sale(v.ctx, n.Sale); err != nil {
				return err
			}
			titles[n.Sale] = s
		}
		body.Notices = append(body.Notices, told{n, s})
		body.Unread = body.Unread || !n.Read
	}
	if more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "notices", v.say("notices.title"), body)
	return nil
}

// readNotices is POST /notices: I have read them.
func (f *Front) readNotices(v *visit) error {
	if _, err := v.api.MarkAllRead(v.ctx); err != nil {
		return err
	}
	return v.go303("/notices")
}
