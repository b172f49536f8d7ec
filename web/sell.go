package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/client"
	"sluice/internal/sale"
)

// entry is one field of a form, with the rule that holds for it and what was wrong.
type entry struct {
	Name, Type string // number, text, long, moment, policy, span or check
	Value      string
	Unit       string // of a span: seconds
	Min, Max   string
	Step       string
	Wrong      string
}

// spans are the units in which a span is typed.
var spans = []struct{ Seconds, Word string }{{"1", "span.s"}, {"60", "span.min"}, {"3600", "span.h"}, {"86400", "span.d"}}

// draft is a form for a sale: a new one, or one that has not opened.
type draft struct {
	Kind    client.Kind
	Kinds   []client.Kind
	Sale    int64 // 0: a new one
	Entries []entry
	Preview *preview
	Wrong   bool
}

// field finds an entry by the name that the API has for it.
func (d *draft) field(name string) *entry {
	switch name {
	case "closes_at":
		name = "length"
	case "valid_from":
		name = "opens_at"
	}
	for i := range d.Entries {
		if d.Entries[i].Name == name {
			return &d.Entries[i]
		}
	}
	return nil
}

// newDraft is an empty form of a kind, with values that make a sale.
func newDraft(kind client.Kind, now time.Time) *draft {
	d := &draft{Kind: kind, Kinds: kinds}
	number := func(name string, value, most int64) entry {
		return entry{Name: name, Type: "number", Value: strconv.FormatInt(value, 10), Min: "0", Max: strconv.FormatInt(most, 10), Step: "1"}
	}
	opens := now.Add(2 * time.Minute).Truncate(time.Second)
	d.Entries = []entry{{Name: "title", Type: "text"}, {Name: "description", Type: "long"}, number("stock", 100, sale.MaxStock)}
	if kind != client.Coupon {
		d.Entries = append(d.Entries, number("limit", 1, sale.MaxStock))
	}
	d.Entries = append(d.Entries, entry{Name: "opens_at", Type: "moment", Value: stamp(opens)})
	switch kind {
	case client.Auction:
		d.Entries = append(d.Entries, entry{Name: "length", Type: "span", Value: "30", Unit: "60"},
			number("start_price", 10_000, sale.MaxPoints), entry{Name: "policy", Type: "policy", Value: "percentage"},
			entry{Name: "rate", Type: "number", Value: "5", Min: "0.01", Max: "50", Step: "0.01"}, number("drop", 100, sale.MaxPoints),
			entry{Name: "period", Type: "span", Value: "1", Unit: "60"})
	case client.Reservation:
		d.Entries = append(d.Entries, entry{Name: "length", Type: "span", Value: "1", Unit: "86400"}, number("unit_price", 1000, sale.MaxPoints),
			entry{Name: "hold", Type: "span", Value: "10", Unit: "60"}, number("line", 100, sale.MaxLine))
	case client.Coupon:
		d.Entries = append(d.Entries, entry{Name: "length", Type: "span", Value: "1", Unit: "86400"}, number("amount_off", 1000, sale.MaxPoints),
			entry{Name: "valid_until", Type: "moment", Value: stamp(opens.Add(7 * 24 * time.Hour))})
	case client.Event:
		d.Entries = append(d.Entries, entry{Name: "length", Type: "span", Value: "1", Unit: "86400"}, number("unit_price", 0, sale.MaxPoints),
			entry{Name: "starts_at", Type: "moment", Value: stamp(opens.Add(48 * time.Hour))}, number("line", 100, sale.MaxLine))
	}
	if kind != client.Coupon {
		d.Entries = append(d.Entries, entry{Name: "refund_window", Type: "span", Value: "1", Unit: "86400"})
	}
	d.Entries = append(d.Entries, entry{Name: "show_stock", Type: "check", Value: "on"})
	return d
}

// stamp is a moment as a form says it, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// split is a duration as a number of the largest unit that it is whole in.
func split(d time.Duration) (value, unit string) {
	for i := len(spans) - 1; i >= 0; i-- {
		per, _ := strconv.ParseInt(spans[i].Seconds, 10, 64) // ours
		if n := int64(d / time.Second); n%per == 0 && (n > 0 || per == 1) {
			return strconv.FormatInt(n/per, 10), spans[i].Seconds
		}
	}
	return "0", "1"
}

// of fills the form with a sale.
func (d *draft) of(s client.Sale) *draft {
	d.Sale = s.ID
	set := func(name, value string) {
		if e := d.field(name); e != nil {
			e.Value = value
		}
	}
	span := func(name string, length time.Duration) {
		if e := d.field(name); e != nil {
			e.Value, e.Unit = split(length)
		}
	}
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	set("title", s.Title)
	set("description", s.Description)
	if s.Stock != nil {
		set("stock", whole(s.Stock.Total))
	}
	set("limit", whole(s.Limit))
	set("opens_at", stamp(s.OpensAt))
	span("length", s.ClosesAt.Sub(s.OpensAt))
	set("start_price", whole(s.StartPrice))
	set("policy", string(s.Policy))
	set("drop", whole(s.Drop))
	set("rate", strconv.FormatFloat(float64(s.Rate)/100, 'f', -1, 64))
	span("period", s.Period)
	set("unit_price", whole(s.UnitPrice))
	span("hold", s.Hold)
	set("line", whole(s.Line))
	set("amount_off", whole(s.AmountOff))
	set("valid_until", stamp(s.ValidUntil))
	set("starts_at", stamp(s.StartsAt))
	span("refund_window", s.RefundWindow)
	if !s.ShowStock {
		set("show_stock", "")
	}
	return d
}

// read takes over what somebody has typed.
func (d *draft) read(value func(string) string) {
	for i := range d.Entries {
		e := &d.Entries[i]
		e.Value = strings.TrimSpace(value(e.Name))
		if e.Type == "span" {
			e.Unit = value(e.Name + "_unit")
		}
	}
}

// The values of a form. What is no number is 0, and the API says what is wrong with that.
func (d *draft) text(name string) string {
	if e := d.field(name); e != nil {
		return e.Value
	}
	return ""
}

func (d *draft) whole(name string) int64 {
	n, err := strconv.ParseInt(d.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// basisPoints reads a percentage with at most two decimals, without floating point.
func (d *draft) basisPoints(name string) int64 {
	units, cents, _ := strings.Cut(d.text(name), ".")
	n, err := strconv.ParseInt(units+(cents + "00")[:2], 10, 64)
	if err != nil || len(cents) > 2 {
		return 0
	}
	return n
}

func (d *draft) moment(name string) time.Time {
	t, err := time.Parse(time.RFC3339, d.text(name))
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", d.text(name)) // of a browser without scripts: UTC
	}
	if err != nil {
		return time.Time{}
	}
	return t
}

func (d *draft) span(name string) time.Duration {
	e := d.field(name)
	if e == nil {
		return 0
	}
	n, err := strconv.ParseInt(e.Value, 10, 64)
	unit, wrong := strconv.ParseInt(e.Unit, 10, 64)
	if err != nil || wrong != nil || n < 0 || unit < 0 || unit > 86_400 || n > 1<<31 {
		return 0
	}
	return time.Duration(n*unit) * time.Second
}

// sale is what the form asks for.
func (d *draft) sale() client.NewSale {
	n := client.NewSale{
		Kind: d.Kind, Title: d.text("title"), Description: d.text("description"), Stock: d.whole("stock"), Limit: d.whole("limit"),
		OpensAt: d.moment("opens_at"), ShowStock: new(d.text("show_stock") != ""), Line: d.whole("line"), Hold: d.span("hold"),
		UnitPrice: d.whole("unit_price"), AmountOff: d.whole("amount_off"), ValidUntil: d.moment("valid_until"), StartsAt: d.moment("starts_at"),
	}
	n.ClosesAt = n.OpensAt.Add(d.span("length"))
	if d.Kind != client.Coupon {
		n.RefundWindow = new(d.span("refund_window"))
	}
	if d.Kind == client.Auction {
		n.Policy, n.StartPrice, n.Period = client.Policy(d.text("policy")), d.whole("start_price"), d.span("period")
		if n.Policy == client.Constant {
			n.Drop = d.whole("drop")
		} else {
			n.Rate = d.basisPoints("rate")
		}
	}
	return n
}

// blame writes what the API found wrong beside the fields that it is about.
func (d *draft) blame(fields []client.Field) {
	d.Wrong = true
	for _, f := range fields {
		e := d.field(strings.TrimPrefix(f.Pointer, "#/"))
		if e == nil {
			e = &d.Entries[0]
		}
		e.Wrong = strings.TrimPrefix(e.Wrong+"; "+f.Detail, "; ")
	}
}

// preview is a price curve to come, or what keeps it from being one.
type preview struct {
	*curve
	Wrong []string
}

// look draws what the form says, by the rules that the API will hold it to.
func (d *draft) look(now time.Time) *preview {
	n := d.sale()
	s := sale.Sale{
		Kind: sale.Auction, Title: "x", Stock: 1, Limit: 1, OpensAt: sale.At(now), ClosesAt: sale.At(now.Add(d.span("length"))),
		Price: sale.Price{Policy: sale.Policy(n.Policy), Start: n.StartPrice, Drop: n.Drop, Rate: n.Rate, Period: n.Period},
	}
	p := &preview{}
	var faults sale.Faults
	if err := s.Check(s.OpensAt); errors.As(err, &faults) {
		for _, f := range faults {
			name := f.Field
			if name == "closes_at" {
				name = "length"
			}
			p.Wrong = append(p.Wrong, name)
		}
		return p
	}
	var steps []client.Step
	for k := int64(0); k < int64(d.span("length")/n.Period); k++ {
		steps = append(steps, client.Step{At: now.Add(time.Duration(k) * n.Period), Price: s.Price.After(k)})
	}
	p.curve = newCurve(steps, now.Add(d.span("length")), now.Add(-time.Second))
	return p
}

// sellNew is GET /sell/new: an empty form.
func (f *Front) sellNew(v *visit) error {
	kind := client.Kind(v.r.URL.Query().Get("kind"))
	if !slices.Contains(kinds, kind) {
		kind = client.Auction
	}
	return v.showDraft(http.StatusOK, newDraft(kind, time.Now()))
}

func (v *visit) showDraft(status int, d *draft) error {
	if d.Kind == client.Auction {
		d.Preview = d.look(time.Now())
	}
	title := v.say("sell.new")
	if d.Sale != 0 {
		title = v.say("sell.edit")
	}
	v.render(status, "sell-form", title, d)
	return nil
}

// sellPreview is GET /sell/preview: the curve alone, for a form that is being filled in.
func (f *Front) sellPreview(v *visit) error {
	d := newDraft(client.Auction, time.Now())
	d.read(v.r.URL.Query().Get)
	v.renderPart("sell-form", "preview", d.look(time.Now()))
	return nil
}

// sellCreate is POST /sell.
func (f *Front) sellCreate(v *visit) error {
	kind := client.Kind(v.r.PostFormValue("kind"))
	if !slices.Contains(kinds, kind) {
		kind = client.Auction
	}
	d := newDraft(kind, time.Now())
	d.read(v.r.PostFormValue)
	made, err := v.api.CreateSale(v.ctx, d.sale(), v.keyed()...)
	if no := problemOf(err); no != nil && no.Code == client.CodeInvalidFields {
		d.blame(no.Fields)
		return v.showDraft(no.Status, d)
	}
	if err != nil {
		return err
	}
	return v.go303(fmt.Sprintf("/sell/%d", made.ID))
}

// sellEdit is GET /sell/{id}/edit: the form of a sale that has not opened.
func (f *Front) sellEdit(v *visit) error {
	s, err := v.own()
	if err != nil {
		return err
	}
	return v.showDraft(http.StatusOK, newDraft(s.Kind, s.OpensAt).of(s))
}

// own is the sale of the path, if it is the visitor's.
func (v *visit) own() (s client.Sale, err error) {
	id, err := v.number()
	if err != nil {
		return s, err
	}
	if s, err = v.api.Sale(v.ctx, id); err != nil {
		return s, err
	}
	return s, v.mine(s.Seller)
}

// mine refuses what is another seller's.
func (v *visit) mine(seller int64) error {
	me, err := v.api.Me(v.ctx)
	if err == nil && me.Account != seller {
		err = &client.Problem{Status: http.StatusForbidden, Code: client.CodeForbidden}
	}
	return err
}

// sellChange is POST /sell/{id}/change/{verb}: what a seller may do with a sale.
func (f *Front) sellChange(v *visit) error {
	s, err := v.own()
	if err != nil {
		return err
	}
	here := fmt.Sprintf("/sell/%d", s.ID)
	verb := v.r.PathValue("verb")
	switch verb {
	case "edit":
		d := newDraft(s.Kind, s.OpensAt).of(s)
		d.read(v.r.PostFormValue)
		_, err = v.api.EditSale(v.ctx, s.ID, d.edit())
		if no := problemOf(err); no != nil && no.Code == client.CodeInvalidFields {
			d.blame(no.Fields)
			return v.showDraft(no.Status, d)
		}
	case "text":
		_, err = v.api.EditSale(v.ctx, s.ID, client.SaleEdit{Title: new(v.r.PostFormValue("title")), Description: new(v.r.PostFormValue("description"))})
	case "grow":
		_, err = v.api.GrowStock(v.ctx, s.ID, v.amount("units"), v.keyed()...)
	case "extend":
		minutes := v.amount("minutes")
		_, err = v.api.ExtendSale(v.ctx, s.ID, s.ClosesAt.Add(time.Duration(min(max(minutes, 0), 1<<20))*time.Minute), v.keyed()...)
	case "delete":
		if err = v.api.DeleteSale(v.ctx, s.ID); err == nil {
			return v.go303("/sell?done=delete")
		}
	default:
		err = &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	if no := problemOf(err); no != nil && (no.Status == http.StatusConflict || no.Code == client.CodeInvalidFields) {
		return v.go303(here + "?no=" + string(no.Code))
	}
	if err != nil {
		return err
	}
	return v.go303(here + "?done=" + verb)
}

// edit is the form as a change of all that it says.
func (d *draft) edit() client.SaleEdit {
	n := d.sale()
	e := client.SaleEdit{
		Title: &n.Title, Description: &n.Description, Stock: &n.Stock, ShowStock: n.ShowStock, OpensAt: &n.OpensAt, ClosesAt: &n.ClosesAt,
	}
	if d.Kind != client.Coupon {
		e.Limit, e.RefundWindow = &n.Limit, n.RefundWindow
	}
	switch d.Kind {
	case client.Auction:
		e.Policy, e.StartPrice, e.Period = &n.Policy, &n.StartPrice, &n.Period
		if n.Policy == client.Constant { // the other one goes with its policy
			e.Drop = &n.Drop
		} else {
			e.Rate = &n.Rate
		}
	case client.Reservation:
		e.UnitPrice, e.Hold, e.Line = &n.UnitPrice, &n.Hold, &n.Line
	case client.Event:
		e.UnitPrice, e.StartsAt, e.Line = &n.UnitPrice, &n.StartsAt, &n.Line
	case client.Coupon:
		e.AmountOff, e.ValidFrom, e.ValidUntil = &n.AmountOff, &n.OpensAt, &n.ValidUntil
	}
	return e
}
