package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sluice/client"
)

// sell is GET /sell: all that I sell.
func (f *Front) sell(v *visit) error {
	me, err := v.api.Me(v.ctx)
	if err != nil {
		return err
	}
	type row struct {
		client.Sale
		Revenue int64
	}
	body := struct {
		Groups []struct {
			State client.State
			Sales []row
		}
		Stores []client.Store
		Done   string
		Any    bool
	}{Done: v.r.URL.Query().Get("done")}
	for _, state := range []client.State{client.Open, client.Suspended, client.SoldOut, client.Scheduled, client.Closed} {
		order := client.ByOpening
		if state == client.Closed {
			order = client.ByClosingLast
		}
		sales, _, err := take(v.api.Sales(v.ctx, client.SaleFilter{State: state, Seller: me.Account, Order: order}), pageSize)
		if err != nil {
			return err
		}
		var rows []row
		for _, s := range sales {
			sum, err := v.api.Summary(v.ctx, s.ID)
			if err != nil {
				return err
			}
			s.Stock = &sum.Stock
			rows = append(rows, row{s, sum.Revenue})
		}
		if len(rows) > 0 {
			body.Any = true
			body.Groups = append(body.Groups, struct {
				State client.State
				Sales []row
			}{state, rows})
		}
	}
	if body.Stores, _, err = take(v.api.Stores(v.ctx, me.Account), 3); err != nil {
		return err
	}
	v.render(http.StatusOK, "sell", v.say("nav.sell"), body)
	return nil
}

// counted is one word with how often it came.
type counted struct {
	Word string
	N    int64
}

// count orders the counts of a summary: the most first.
func count[W ~string](all map[W]int64) (list []counted) {
	for w, n := range all {
		if n > 0 {
			list = append(list, counted{string(w), n})
		}
	}
	slices.SortFunc(list, func(a, b counted) int {
		if a.N != b.N {
			return int(b.N - a.N)
		}
		return int(len(a.Word) - len(b.Word))
	})
	return list
}

// running is the page of one's own sale.
type running struct {
	client.Sale
	Sum        client.Summary
	Curve      *curve
	Statuses   []counted
	Rejections []counted
	Receipts   []client.Receipt
	Filter     saleFilter
	All        []client.Status
	More       int
	Done, No   string
}

// saleFilter is how the receipts of a sale are chosen.
type saleFilter struct {
	Status        client.Status
	Buyer         int64
	From, To      string
	fromAt, until time.Time
}

func filterOf(query url.Values) (f saleFilter) {
	f.Status = client.Status(query.Get("status"))
	if !slices.Contains(boughtStates, f.Status) {
		f.Status = ""
	}
	if n, err := strconv.ParseInt(query.Get("buyer"), 10, 64); err == nil && n > 0 {
		f.Buyer = n
	}
	if t, err := time.Parse(time.DateOnly, query.Get("from")); err == nil {
		f.From, f.fromAt = query.Get("from"), t
	}
	if t, err := time.Parse(time.DateOnly, query.Get("to")); err == nil {
		f.To, f.until = query.Get("to"), t.AddDate(0, 0, 1) // that day is meant, too
	}
	return f
}

func (f saleFilter) wire() client.SaleReceiptFilter {
	return client.SaleReceiptFilter{Status: f.Status, Buyer: f.Buyer, From: f.fromAt, To: f.until}
}

// Query is the filter as an address says it.
func (f saleFilter) Query() string {
	q := url.Values{}
	if f.Status != "" {
		q.Set("status", string(f.Status))
	}
	if f.Buyer != 0 {
		q.Set("buyer", strconv.FormatInt(f.Buyer, 10))
	}
	if f.From != "" {
		q.Set("from", f.From)
	}
	if f.To != "" {
		q.Set("to", f.To)
	}
	return q.Encode()
}

// boughtStates are what receipts of a sale can be chosen by.
var boughtStates = []client.Status{client.Confirmed, client.Held, client.Waiting, client.Refunded, client.Cancelled, client.Expired}

// Grows and Extends say what may still be changed, now that it is open.
func (r running) Grows() bool {
	return r.State == client.Open || r.State == client.SoldOut
}
func (r running) Extends() bool { return r.Grows() && r.Kind != client.Auction && r.Store == 0 }

// sellOne is GET /sell/{id}: how my sale goes.
func (f *Front) sellOne(v *visit) error {
	s, err := v.own()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	body := running{Sale: s, Filter: filterOf(query), All: boughtStates, Done: query.Get("done"), No: query.Get("no")}
	if err := v.sumUp(&body); err != nil {
		return err
	}
	v.render(http.StatusOK, "sell-one", s.Title, body)
	return nil
}

// sumUp reads what a sale has brought so far, and the last of its receipts.
func (v *visit) sumUp(r *running) (err error) {
	if r.Sum, err = v.api.Summary(v.ctx, r.ID); err != nil {
		return err
	}
	r.Stock = &r.Sum.Stock
	r.Statuses, r.Rejections = count(r.Sum.Receipts), count(r.Sum.Rejections)
	if r.Kind == client.Auction {
		steps, err := v.api.Prices(v.ctx, r.ID)
		if err != nil {
			return err
		}
		r.Curve = newCurve(steps, r.ClosesAt, r.Now)
	}
	more := false
	if r.Receipts, more, err = take(v.api.SaleReceipts(v.ctx, r.ID, r.Filter.wire()), v.shown()); err != nil {
		return err
	}
	if more {
		r.More = v.shown() + pageSize
	}
	return nil
}

// sellCSV is GET /sell/{id}/receipts.csv: all of them, as they are read.
func (f *Front) sellCSV(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	rows, err := v.api.ReceiptsCSV(v.ctx, id, filterOf(v.r.URL.Query()).wire())
	if err != nil {
		return err
	}
	defer rows.Close()
	v.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	v.w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="receipts-%d.csv"`, id))
	if flusher, ok := v.w.(http.Flusher); ok {
		flusher.Flush()
	}
	if _, err := io.Copy(v.w, rows); err != nil {
		panic(http.ErrAbortHandler) // half of it must not look like all of it
	}
	return nil
}

// attend is POST /sell/{id}/attendance: who came.
func (f *Front) attend(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	if err := v.api.Attend(v.ctx, v.r.PostFormValue("receipt"), client.Attendance(v.r.PostFormValue("attendance"))); err != nil {
		return err
	}
	return v.go303(fmt.Sprintf("/sell/%d?done=attendance", id))
}

// placeDraft is the form of a store.
type placeDraft struct {
	Store       int64
	Title, Text string
	Zone        string
	Tables      string
	Price       string
	DaysAhead   string
	Week        []weekday
	Wrong       string
	Done        string
	Days        []day
	Slots       []slot
	Closed      bool
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// hours reads the days of the form: "" is closed.
func (v *visit) hours() client.Hours {
	h := client.Hours{}
	for _, d := range weekdays {
		from, to := v.r.PostFormValue(d+"_from"), v.r.PostFormValue(d+"_to")
		if from != "" && to != "" {
			h[d] = from + "-" + to
		}
	}
	return h
}

// storeNew is GET /tables/new.
func (f *Front) storeNew(v *visit) error {
	d := placeDraft{Zone: "Asia/Seoul", Tables: "10", Price: "0", DaysAhead: "14"}
	for _, name := range weekdays {
		d.Week = append(d.Week, weekday{name, "11:00-21:00"})
	}
	v.render(http.StatusOK, "sell-store", v.say("store.new"), d)
	return nil
}

// storeOpen is POST /tables.
func (f *Front) storeOpen(v *visit) error {
	form := v.r.PostFormValue
	made, err := v.api.CreateStore(v.ctx, client.NewStore{
		Title: form("title"), Description: form("description"), TimeZone: form("time_zone"), Tables: v.amount("tables"),
		Hours: v.hours(), UnitPrice: v.amount("unit_price"), DaysAhead: int(v.amount("days_ahead")),
	}, v.keyed()...)
	if err == nil {
		return v.go303(fmt.Sprintf("/tables/%d", made.ID))
	}
	return v.storeWrong(err, 0)
}

// storeWrong shows the form again with what was wrong.
func (v *visit) storeWrong(err error, id int64) error {
	p := problemOf(err)
	if p == nil || p.Code != client.CodeInvalidFields && p.Code != client.CodeStoreLimit && p.Code != client.CodeStoreBooked {
		return err
	}
	form := v.r.PostFormValue
	d := placeDraft{Store: id, Title: form("title"), Text: form("description"), Zone: form("time_zone"), Tables: form("tables"),
		Price: form("unit_price"), DaysAhead: form("days_ahead"), Wrong: v.say("code." + string(p.Code))}
	for _, f := range p.Fields {
		d.Wrong += " " + f.Pointer[min(2, len(f.Pointer)):] + " " + f.Detail + "."
	}
	hours := v.hours()
	for _, name := range weekdays {
		d.Week = append(d.Week, weekday{name, hours[name]})
	}
	v.render(p.Status, "sell-store", v.say("store.new"), d)
	return nil
}

// storeShow is GET /tables/{id}: its terms, and a day's bookings.
func (f *Front) storeShow(v *visit) error {
	s, zone, err := v.ownStore()
	if err != nil {
		return err
	}
	d := placeDraft{Store: s.ID, Title: s.Title, Text: s.Description, Zone: s.TimeZone, Tables: strconv.FormatInt(s.Tables, 10),
		Price: strconv.FormatInt(s.UnitPrice, 10), DaysAhead: strconv.Itoa(s.DaysAhead), Done: v.r.URL.Query().Get("done"), Closed: s.Closed}
	for _, name := range weekdays {
		d.Week = append(d.Week, weekday{name, s.Hours[name]})
	}
	if !s.Closed {
		if d.Days, d.Slots, err = v.dayOf(s, zone); err != nil {
			return err
		}
	}
	v.render(http.StatusOK, "sell-store", s.Title, d)
	return nil
}

// ownStore is the store of the path, if it is the visitor's.
func (v *visit) ownStore() (s client.Store, zone *time.Location, err error) {
	id, err := v.number()
	if err != nil {
		return s, nil, err
	}
	if s, err = v.api.Store(v.ctx, id); err != nil {
		return s, nil, err
	}
	return s, zoneOf(s), v.mine(s.Seller)
}

// storeChange is POST /tables/{id}/{verb}.
func (f *Front) storeChange(v *visit) error {
	s, _, err := v.ownStore()
	if err != nil {
		return err
	}
	switch v.r.PathValue("verb") {
	case "edit":
		_, err = v.api.EditStore(v.ctx, s.ID, client.StoreEdit{
			Title: new(v.r.PostFormValue("title")), Description: new(v.r.PostFormValue("description")),
			Tables: new(v.amount("tables")), Hours: v.hours(), DaysAhead: new(int(v.amount("days_ahead"))),
		})
	case "close":
		err = v.api.CloseStore(v.ctx, s.ID)
	default:
		err = &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	if err != nil {
		return v.storeWrong(err, s.ID)
	}
	return v.go303(fmt.Sprintf("/tables/%d?done=%s", s.ID, v.r.PathValue("verb")))
}
