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

// NewSale is what a seller wants to offer. Its times are cut to milliseconds; its
// durations must be whole seconds.
type NewSale struct {
	Title        string         `json:"title"`
	Description  string         `json:"description,omitempty"`
	Kind         Kind           `json:"kind,omitempty"`       // [Auction] when ""
	Stock        int64          `json:"stock"`                // units
	Limit        int64          `json:"limit"`                // units one buyer may have
	ShowStock    *bool          `json:"show_stock,omitempty"` // to buyers; true when nil
	OpensAt      time.Time      `json:"opens_at"`
	ClosesAt     time.Time      `json:"closes_at"` // whole minutes after OpensAt, at most 60
	RefundWindow *time.Duration `json:"-"`         // after ClosesAt; 24 hours when nil; 0: no refunds, and the money at once
	Policy       Policy         `json:"policy"`
	StartPrice   int64          `json:"start_price"`    // points per unit
	Drop         int64          `json:"drop,omitempty"` // points, of [Constant]
	Rate         int64          `json:"rate,omitempty"` // basis points, of [Percentage]
	Period       time.Duration  `json:"-"`              // between two drops; divides the length of the sale
}

// MarshalJSON writes n as the API reads it.
func (n NewSale) MarshalJSON() ([]byte, error) {
	n.OpensAt, n.ClosesAt = whole(n.OpensAt), whole(n.ClosesAt)
	window, period, err := seconds(n.RefundWindow, &n.Period)
	if err != nil {
		return nil, err
	}
	type plain NewSale
	return json.Marshal(struct {
		plain
		RefundWindow *int64 `json:"refund_window,omitempty"`
		Period       *int64 `json:"period"`
	}{plain(n), window, period})
}

// SaleEdit changes what is not nil: new("Lamps") is another title.
type SaleEdit struct {
	Title        *string        `json:"title,omitempty"`
	Description  *string        `json:"description,omitempty"`
	Kind         *Kind          `json:"kind,omitempty"`
	Stock        *int64         `json:"stock,omitempty"`
	Limit        *int64         `json:"limit,omitempty"`
	ShowStock    *bool          `json:"show_stock,omitempty"`
	OpensAt      *time.Time     `json:"opens_at,omitempty"`
	ClosesAt     *time.Time     `json:"closes_at,omitempty"`
	RefundWindow *time.Duration `json:"-"`
	Policy       *Policy        `json:"policy,omitempty"`
	StartPrice   *int64         `json:"start_price,omitempty"`
	Drop         *int64         `json:"drop,omitempty"`
	Rate         *int64         `json:"rate,omitempty"`
	Period       *time.Duration `json:"-"`
}

// MarshalJSON writes e as the API reads it.
func (e SaleEdit) MarshalJSON() ([]byte, error) {
	for _, t := range []**time.Time{&e.OpensAt, &e.ClosesAt} {
		if *t != nil {
			*t = new(whole(**t))
		}
	}
	window, period, err := seconds(e.RefundWindow, e.Period)
	if err != nil {
		return nil, err
	}
	type plain SaleEdit
	return json.Marshal(struct {
		plain
		RefundWindow *int64 `json:"refund_window,omitempty"`
		Period       *int64 `json:"period,omitempty"`
	}{plain(e), window, period})
}

// seconds are the durations of a sale as the API takes them.
func seconds(refundWindow, period *time.Duration) (window, every *int64, err error) {
	for _, d := range []*time.Duration{refundWindow, period} {
		if d != nil && *d%time.Second != 0 {
			return nil, nil, fmt.Errorf("%s is not a whole number of seconds", *d)
		}
	}
	if refundWindow != nil {
		window = new(int64(*refundWindow / time.Second))
	}
	if period != nil {
		every = new(int64(*period / time.Second))
	}
	return window, every, nil
}

// CreateSale makes a sale of the seller that c speaks for. [CodeInvalidFields]
// names every field that breaks a rule.
func (c *Client) CreateSale(ctx context.Context, n NewSale, options ...CallOption) (s Sale, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: salesPath, body: n, into: &s}, options...)
	return s, err
}

// EditSale changes a sale of the seller, of which NewSale's rules must hold
// afterwards. From a few seconds before OpensAt on it is [CodeTooLate] for all but
// Title and Description.
func (c *Client) EditSale(ctx context.Context, id int64, e SaleEdit) (s Sale, err error) {
	err = c.do(ctx, &call{method: http.MethodPatch, path: salePath(id), body: e, into: &s})
	return s, err
}

// GrowStock adds units to an open sale of the seller. It goes the way of all
// requests: once its receipt is confirmed, the units are there. [CodeNotOpen] before
// the opening: until then EditSale changes the stock itself.
func (c *Client) GrowStock(ctx context.Context, id, units int64, options ...CallOption) (r Receipt, err error) {
	body := struct {
		GrowBy int64 `json:"grow_by"`
	}{units}
	err = c.do(ctx, &call{method: http.MethodPatch, path: salePath(id), body: body, into: &r, once: true}, options...)
	return r, err
}

// DeleteSale takes a sale of the seller back, until a few seconds before it opens;
// then it is [CodeTooLate].
func (c *Client) DeleteSale(ctx context.Context, id int64) error {
	k := &call{method: http.MethodDelete, path: salePath(id)}
	err := c.do(ctx, k)
	if CodeOf(err) == CodeUnknownSale && k.unsure {
		return nil // an earlier attempt has deleted it
	}
	return err
}

// SaleReceiptFilter chooses receipts of a sale; what is zero chooses all.
type SaleReceiptFilter struct {
	Status Status
	Buyer  int64
	From   time.Time // requested then or later
	To     time.Time // requested before
}

// SaleReceipts are the bids on one sale of the seller that had an effect, newest
// first, with their buyers; a refund shows in its bid, which is refunded. An admin
// may ask after any sale.
func (c *Client) SaleReceipts(ctx context.Context, sale int64, f SaleReceiptFilter) iter.Seq2[Receipt, error] {
	query := filter{}
	query.word("status", string(f.Status))
	query.number("buyer", f.Buyer)
	query.moment("from", f.From)
	query.moment("to", f.To)
	return pages(ctx, c, salePath(sale)+"/receipts", url.Values(query), (*receiptPage).split)
}

// Summary is what a sale has brought its seller so far.
type Summary struct {
	Sale     int64            `json:"sale"`
	State    State            `json:"state"`
	Stock    Stock            `json:"stock"`
	Revenue  int64            `json:"revenue"`  // points, without what was refunded
	Refunded int64            `json:"refunded"` // points
	PaidOut  bool             `json:"paid_out"` // the seller has them
	Receipts map[Status]int64 `json:"receipts"` // how many
}

// Summary sums a sale of the seller up. An admin may ask after any sale.
func (c *Client) Summary(ctx context.Context, sale int64) (s Summary, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: salePath(sale) + "/summary", into: &s})
	return s, err
}
