package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Kind says which rules a sale follows.
type Kind string

// The kinds.
const (
	Auction     Kind = "auction"     // the price falls until somebody takes it; paid at once
	Reservation Kind = "reservation" // held, then paid
	Coupon      Kind = "coupon"      // points off a purchase from the same seller, one for each buyer
	Event       Kind = "event"       // seats, taken at once; a slot of a store is one, whose seats are its tables
)

// State says how far a sale is.
type State string

// The states.
const (
	Scheduled State = "scheduled" // before OpensAt
	Open      State = "open"
	SoldOut   State = "sold_out"
	Suspended State = "suspended" // stopped: it takes no new requests until an operator has looked at it
	Closed    State = "closed"    // from ClosesAt on
)

// Policy says how a price falls.
type Policy string

// The policies.
const (
	Constant   Policy = "constant"   // by Drop points each Period
	Percentage Policy = "percentage" // by Rate basis points each Period, floored
)

// Sale is a seller's offer of a limited stock. What does not apply is zero.
type Sale struct {
	ID          int64  `json:"sale"`
	Kind        Kind   `json:"kind"`
	Seller      int64  `json:"seller"` // account
	Title       string `json:"title"`
	Description string `json:"description,omitempty"` // not in lists
	State       State  `json:"state"`

	Price      int64     `json:"price"`                 // points per unit, at Now
	NextDropAt time.Time `json:"next_drop_at,omitzero"` // when it falls again
	NextPrice  int64     `json:"next_price,omitempty"`  // and to what

	// Of an auction.
	Policy     Policy        `json:"policy,omitempty"`
	StartPrice int64         `json:"start_price,omitempty"`
	Drop       int64         `json:"drop,omitempty"` // points
	Rate       int64         `json:"rate,omitempty"` // basis points
	Period     time.Duration `json:"-"`              // between two drops

	// Of a reservation or an event.
	UnitPrice int64         `json:"unit_price,omitempty"` // points
	Hold      time.Duration `json:"-"`                    // to pay in
	Line      int64         `json:"line,omitempty"`       // requests that may wait
	MaxBypass int64         `json:"max_bypass,omitempty"` // times that smaller requests may pass one that waits for more units
	StartsAt  time.Time     `json:"starts_at,omitzero"`   // of an event
	Store     int64         `json:"store,omitempty"`      // whose slot it is

	// Of a coupon.
	AmountOff  int64     `json:"amount_off,omitempty"` // points
	ValidFrom  time.Time `json:"valid_from,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`

	Limit        int64         `json:"limit"` // units one buyer may have, over the whole sale
	OpensAt      time.Time     `json:"opens_at"`
	ClosesAt     time.Time     `json:"closes_at"`
	RefundWindow time.Duration `json:"-"`                     // after ClosesAt; 0: no refunds
	RefundUntil  time.Time     `json:"refund_until,omitzero"` // what is paid comes back until here: its end, or the doors of an event
	ShowStock    bool          `json:"show_stock"`            // to buyers; its seller always sees it
	Stock        *Stock        `json:"stock,omitempty"`       // nil: not shown
	Now          time.Time     `json:"now"`                   // when it stood like this
}

// Stock is units of a sale. Total is the sum of the next three.
type Stock struct {
	Total   int64 `json:"total"`
	Free    int64 `json:"free"`
	Held    int64 `json:"held"`
	Sold    int64 `json:"sold"`
	Waiting int64 `json:"waiting,omitempty"` // requests in the line
}

// UnmarshalJSON reads a sale as the API writes it.
func (s *Sale) UnmarshalJSON(text []byte) error {
	type plain Sale
	wire := struct {
		*plain
		Period       int64 `json:"period"`
		Hold         int64 `json:"hold"`
		RefundWindow int64 `json:"refund_window"`
	}{plain: (*plain)(s)}
	err := json.Unmarshal(text, &wire)
	s.Period, s.Hold = time.Duration(wire.Period)*time.Second, time.Duration(wire.Hold)*time.Second
	s.RefundWindow = time.Duration(wire.RefundWindow) * time.Second
	return err
}

// MarshalJSON writes s as the API does.
func (s Sale) MarshalJSON() ([]byte, error) {
	type plain Sale
	return json.Marshal(struct {
		plain
		Period       int64 `json:"period,omitempty"`
		Hold         int64 `json:"hold,omitempty"`
		RefundWindow int64 `json:"refund_window"`
	}{plain(s), int64(s.Period / time.Second), int64(s.Hold / time.Second), int64(s.RefundWindow / time.Second)})
}

const salesPath = "/v1/sales"

func salePath(id int64) string { return fmt.Sprintf("%s/%d", salesPath, id) }

// Sale answers how a sale stands. Anybody may ask; its seller sees its stock also
// when buyers do not.
func (c *Client) Sale(ctx context.Context, id int64) (s Sale, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: salePath(id), into: &s})
	return s, err
}

// Step is a price of a sale, in points per unit, and from when on it holds.
type Step struct {
	At    time.Time `json:"at"`
	Price int64     `json:"price"`
}

// Prices is the whole price curve of a sale, from its opening on. Anybody may ask.
func (c *Client) Prices(ctx context.Context, id int64) ([]Step, error) {
	var answer struct {
		Prices []Step `json:"prices"`
	}
	err := c.do(ctx, &call{method: http.MethodGet, path: salePath(id) + "/prices", into: &answer})
	return answer.Prices, err
}

// Order is the order of a list of sales.
type Order string

// The orders.
const (
	ByOpening     Order = "opens_at" // the first to open first; the default
	ByOpeningLast Order = "-opens_at"
	ByClosing     Order = "closes_at"
	ByClosingLast Order = "-closes_at"
)

// SaleFilter chooses and orders sales; what is zero chooses all.
type SaleFilter struct {
	Kind   Kind
	State  State
	Seller int64
	Order  Order
}

type salePage struct {
	Sales []Sale `json:"sales"`
	Next  string `json:"next_cursor"`
}

// Sales are the sales that there are. Anybody may ask.
func (c *Client) Sales(ctx context.Context, f SaleFilter) iter.Seq2[Sale, error] {
	query := filter{}
	query.word("kind", string(f.Kind))
	query.word("state", string(f.State))
	query.number("seller", f.Seller)
	query.word("order", string(f.Order))
	return pages(ctx, c, salesPath, url.Values(query), func(p *salePage) ([]Sale, string) { return p.Sales, p.Next })
}

// Bid asks for units at a price.
type Bid struct {
	Quantity int64 `json:"quantity"`        // units
	Price    int64 `json:"price"`           // points per unit, at most: a lower price of the moment is what is paid
	Exact    bool  `json:"exact,omitempty"` // reject at any other price

	// The receipt of a coupon's claim; "": none. It can be used where the price does
	// not fall.
	Coupon string `json:"coupon,omitempty"`
}

// Bid makes a bid of the buyer that c speaks for and answers its receipt, queued or
// already decided. It is judged at the price of the moment in which the API took
// it in. [CodeNotOpen], [CodeClosed] and [CodeSoldOut] when it is not even queued.
func (c *Client) Bid(ctx context.Context, sale int64, b Bid, options ...CallOption) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: salePath(sale) + "/bids", body: b, into: &r}, options...)
	return r, err
}
