package web

import (
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sluice/client"
)

// pageSize is how many things a list shows at first, and how many more each time.
const (
	pageSize = 24
	mostOf   = 240
)

// take answers the first n of a list of the API, and whether there are more.
func take[T any](all iter.Seq2[T, error], n int) (some []T, more bool, err error) {
	for item, err := range all {
		if err != nil {
			return nil, false, err
		}
		if len(some) == n {
			return some, true, nil
		}
		some = append(some, item)
	}
	return some, false, nil
}

// firstOf are the first n of a list, for what may as well not be shown: it ends at an error.
func firstOf[T any](all iter.Seq2[T, error], n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for item, err := range all {
			if err != nil || n == 0 || !yield(item) {
				return
			}
			n--
		}
	}
}

// shown is how many things of a list the browser wants to see.
func (v *visit) shown() int {
	n, err := strconv.Atoi(v.r.URL.Query().Get("show"))
	if err != nil {
		return pageSize
	}
	return min(max(n, pageSize), mostOf)
}

// number is the id of a path.
func (v *visit) number() (int64, error) {
	n, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	return n, nil
}

// amount is a whole number of a form, 0 when it is none: the API says what is wrong with it.
func (v *visit) amount(name string) int64 {
	n, err := strconv.ParseInt(v.r.PostFormValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// keyed are the options of a request that a form makes: the key that the page was made
// with, and the turn that the browser was given.
func (v *visit) keyed() (options []client.CallOption) {
	if key := v.r.PostFormValue("key"); key != "" {
		options = append(options, client.WithKey(key))
	}
	if turn := v.r.PostFormValue("turn"); turn != "" {
		options = append(options, client.WithTurn(turn))
	}
	return options
}

// The filters of the list of sales.
var (
	kinds  = []client.Kind{client.Auction, client.Reservation, client.Coupon, client.Event}
	states = []client.State{client.Open, client.Scheduled, client.SoldOut, client.Closed}
)

type section struct {
	Name  string // its key in the words
	Sales []client.Sale
	More  string // address of a longer list; "": that is all
}

// list is GET /: what is open, and what opens soon; or what the filters say.
func (f *Front) list(v *visit) error {
	query := v.r.URL.Query()
	kind, state := client.Kind(query.Get("kind")), client.State(query.Get("state"))
	if !slices.Contains(kinds, kind) {
		kind = ""
	}
	body := struct {
		Kinds    []client.Kind
		States   []client.State
		Kind     client.Kind
		State    client.State
		Sections []section
	}{Kinds: kinds, States: states, Kind: kind}
	wanted := []client.State{client.Open, client.Scheduled, client.SoldOut, client.Closed}
	most := 12
	if slices.Contains(states, state) {
		body.State, wanted, most = state, []client.State{state}, v.shown()
	}
	for _, state := range wanted {
		order := client.ByClosing
		switch state {
		case client.Scheduled:
			order = client.ByOpening
		case client.SoldOut, client.Closed:
			order = client.ByClosingLast
		}
		n := most
		if body.State == "" && (state == client.SoldOut || state == client.Closed) {
			n = 4
		}
		sales, more, err := take(f.api.Sales(v.ctx, client.SaleFilter{Kind: kind, State: state, Order: order}), n)
		if err != nil {
			return err
		}
		s := section{Name: "list." + string(state), Sales: sales}
		if more && n < mostOf {
			s.More = "/?state=" + string(state) + "&kind=" + string(kind)
			if body.State != "" {
				s.More += "&show=" + strconv.Itoa(n+pageSize)
			}
		}
		if len(sales) > 0 {
			body.Sections = append(body.Sections, s)
		}
	}
	v.render(http.StatusOK, "list", v.say("list.title"), body)
	return nil
}

// offer is a sale as its page shows it.
type offer struct {
	client.Sale
	Curve   *curve           // of an auction
	Mine    []client.Receipt // what the buyer has of it, or had
	Coupons []client.OwnCoupon
	No      string // why the last request was not even taken
	Watched bool
}

// Fixed says that its price does not fall.
func (o offer) Fixed() bool { return o.Kind != client.Auction || o.Period >= o.ClosesAt.Sub(o.OpensAt) }

// sale is GET /sales/{id}.
func (f *Front) sale(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	o := offer{No: v.r.URL.Query().Get("no"), Watched: v.r.URL.Query().Get("watch") == "on"}
	if o.Sale, err = v.api.Sale(v.ctx, id); err != nil {
		return err
	}
	if o.Kind == client.Auction {
		steps, err := v.api.Prices(v.ctx, id)
		if err != nil {
			return err
		}
		o.Curve = newCurve(steps, o.ClosesAt, o.Now)
	}
	if v.tokens.Role == client.Buyer {
		if o.Mine, _, err = take(v.api.Receipts(v.ctx, client.ReceiptFilter{Sale: id}), 8); err != nil {
			return err
		}
		o.Mine = slices.DeleteFunc(o.Mine, onlyAbout)
		if o.Kind == client.Reservation || o.Kind == client.Auction && o.Fixed() {
			for c := range firstOf(v.api.Coupons(v.ctx, client.Usable), mostOf) {
				if c.Seller == o.Seller {
					o.Coupons = append(o.Coupons, c)
				}
			}
		}
	}
	v.render(http.StatusOK, "sale", o.Title, o)
	return nil
}

// atTheDoor are refusals that the page of the sale itself explains.
var atTheDoor = []client.Code{client.CodeSoldOut, client.CodeClosed, client.CodeNotOpen, client.CodeSuspended, client.CodeOpened}

// ask is POST /sales/{id}/{verb}: a request, and then its receipt.
func (f *Front) ask(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	var r client.Receipt
	here := "/sales/" + strconv.FormatInt(id, 10)
	switch verb := v.r.PathValue("verb"); verb {
	case "bid":
		r, err = v.api.Bid(v.ctx, id, client.Bid{
			Quantity: v.amount("quantity"), Price: v.amount("price"), Exact: v.r.PostFormValue("exact") != "", Coupon: v.r.PostFormValue("coupon"),
		}, v.keyed()...)
	case "reserve":
		r, err = v.api.Reserve(v.ctx, id, client.Reserve{Quantity: v.amount("quantity"), Coupon: v.r.PostFormValue("coupon")}, v.keyed()...)
	case "claim":
		r, err = v.api.Claim(v.ctx, id, v.keyed()...)
	case "join":
		r, err = v.api.Join(v.ctx, id, v.amount("quantity"), v.keyed()...)
	case "watch":
		if err = v.api.Watch(v.ctx, id); err == nil {
			return v.go303(here + "?watch=on")
		}
	case "unwatch":
		if err = v.api.Unwatch(v.ctx, id); err == nil {
			return v.go303(here)
		}
	default:
		err = &client.Problem{Status: http.StatusNotFound, Code: client.CodeNotFound}
	}
	if no := problemOf(err); no != nil && slices.Contains(atTheDoor, no.Code) {
		return v.go303(here + "?no=" + string(no.Code))
	}
	if err != nil {
		return err
	}
	return v.go303("/receipts/" + r.ID)
}

// OpensIn and ClosesIn are for whoever reads the page as it was made.
func (o offer) OpensIn() time.Duration  { return max(o.OpensAt.Sub(o.Now), 0) }
func (o offer) ClosesIn() time.Duration { return max(o.ClosesAt.Sub(o.Now), 0) }
