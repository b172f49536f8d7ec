package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// NewSale is what a seller wants to offer. Its times are cut to milliseconds; its
// durations must be whole seconds. What its Kind does not have must be zero.
type NewSale struct {
	Title        string         `json:"title"`
	Description  string         `json:"description,omitempty"`
	Kind         Kind           `json:"kind,omitempty"`       // [Auction] when ""
	Stock        int64          `json:"stock"`                // units
	Limit        int64          `json:"limit"`                // units one buyer may have; of a coupon 1, also when 0
	ShowStock    *bool          `json:"show_stock,omitempty"` // to buyers; true when nil
	OpensAt      time.Time      `json:"opens_at"`
	ClosesAt     time.Time      `json:"closes_at"` // of an auction whole minutes after OpensAt, at most 60
	RefundWindow *time.Duration `json:"-"`         // after ClosesAt; 24 hours when nil; 0: no refunds, and the money at once

	// Of an auction.
	Policy     Policy        `json:"policy,omitempty"`
	StartPrice int64         `json:"start_price,omitempty"` // points per unit
	Drop       int64         `json:"drop,omitempty"`        // points, of [Constant]
	Rate       int64         `json:"rate,omitempty"`        // basis points, of [Percentage]
	Period     time.Duration `json:"-"`                     // between two drops; divides the length of the sale

	// Of a reservation or an event.
	UnitPrice int64         `json:"-"`                    // points; 0 is free
	Hold      time.Duration `json:"-"`                    // to pay in; 10 minutes when 0
	Line      int64         `json:"line,omitempty"`       // requests that may wait; 0: there is no line
	MaxBypass int64         `json:"max_bypass,omitempty"` // times that smaller requests may pass one that waits for more units
	StartsAt  time.Time     `json:"starts_at,omitzero"`   // of an event, not before ClosesAt: when people are reminded

	// Of a coupon.
	AmountOff  int64     `json:"amount_off,omitempty"` // points
	ValidFrom  time.Time `json:"valid_from,omitzero"`  // OpensAt when zero
	ValidUntil time.Time `json:"valid_until,omitzero"`
}

// MarshalJSON writes n as the API reads it.
func (n NewSale) MarshalJSON() ([]byte, error) {
	for _, t := range []*time.Time{&n.OpensAt, &n.ClosesAt, &n.StartsAt, &n.ValidFrom, &n.ValidUntil} {
		*t = whole(*t)
	}
	type plain NewSale
	wire := struct {
		plain
		Limit        *int64 `json:"limit,omitempty"`
		StartPrice   *int64 `json:"start_price,omitempty"`
		UnitPrice    *int64 `json:"unit_price,omitempty"`
		RefundWindow *int64 `json:"refund_window,omitempty"`
		Hold         *int64 `json:"hold,omitempty"`
		Period       *int64 `json:"period,omitempty"`
	}{plain: plain(n)}
	// What its kind must have is written in any case, so that the API says what is
	// wrong with it; the rest only if it is set.
	auctioned, booked := n.Kind == Auction || n.Kind == "", n.Kind == Reservation || n.Kind == Event
	if auctioned || n.StartPrice != 0 {
		wire.StartPrice = &n.StartPrice
	}
	if booked || n.UnitPrice != 0 {
		wire.UnitPrice = &n.UnitPrice
	}
	if n.Kind != Coupon || n.Limit != 0 {
		wire.Limit = &n.Limit
	}
	var period, hold *time.Duration
	if auctioned || n.Period != 0 {
		period = &n.Period
	}
	if n.Hold != 0 {
		hold = &n.Hold
	}
	err := errors.Join(seconds(&wire.RefundWindow, n.RefundWindow), seconds(&wire.Period, period), seconds(&wire.Hold, hold))
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire)
}

// SaleEdit changes what is not nil: new("Lamps") is another title. The kind of a
// sale cannot change, nor can it have what its kind does not have.
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
	UnitPrice    *int64         `json:"unit_price,omitempty"`
	Hold         *time.Duration `json:"-"`
	Line         *int64         `json:"line,omitempty"`
	MaxBypass    *int64         `json:"max_bypass,omitempty"`
	StartsAt     *time.Time     `json:"starts_at,omitempty"`
	AmountOff    *int64         `json:"amount_off,omitempty"`
	ValidFrom    *time.Time     `json:"valid_from,omitempty"`
	ValidUntil   *time.Time     `json:"valid_until,omitempty"`
}

// MarshalJSON writes e as the API reads it.
func (e SaleEdit) MarshalJSON() ([]byte, error) {
	for _, t := range []**time.Time{&e.OpensAt, &e.ClosesAt, &e.StartsAt, &e.ValidFrom, &e.ValidUntil} {
		if *t != nil {
			*t = new(whole(**t))
		}
	}
	type plain SaleEdit
	wire := struct {
		plain
		RefundWindow *int64 `json:"refund_window,omitempty"`
		Period       *int64 `json:"period,omitempty"`
		Hold         *int64 `json:"hold,omitempty"`
	}{plain: plain(e)}
	err := errors.Join(seconds(&wire.RefundWindow, e.RefundWindow), seconds(&wire.Period, e.Period), seconds(&wire.Hold, e.Hold))
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire)
}

// seconds writes a duration, if there is one, as the API takes it.
func seconds(wire **int64, d *time.Duration) error {
	switch {
	case d == nil:
	case *d%time.Second != 0:
		return fmt.Errorf("%s is not a whole number of seconds", *d)
	default:
		*wire = new(int64(*d / time.Second))
	}
	return nil
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
func (c *Client) GrowStock(ctx context.Context, id, units int64, options ...CallOption) (Receipt, error) {
	return c.extend(ctx, id, extension{GrowBy: units}, options)
}

// ExtendSale lets an open sale of the seller, which is no auction, close later. It
// goes the way of GrowStock.
func (c *Client) ExtendSale(ctx context.Context, id int64, closesAt time.Time, options ...CallOption) (Receipt, error) {
	return c.extend(ctx, id, extension{ExtendTo: whole(closesAt)}, options)
}

type extension struct {
	GrowBy   int64     `json:"grow_by,omitempty"`
	ExtendTo time.Time `json:"extend_to,omitzero"`
}

func (c *Client) extend(ctx context.Context, id int64, e extension, options []CallOption) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodPatch, path: salePath(id), body: e, into: &r, once: true}, options...)
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

func (f SaleReceiptFilter) query() url.Values {
	query := filter{}
	query.word("status", string(f.Status))
	query.number("buyer", f.Buyer)
	query.moment("from", f.From)
	query.moment("to", f.To)
	return url.Values(query)
}

// SaleReceipts are the purchases of one sale of the seller (what was bought, is held,
// or waited), newest first, with their buyers; what was asked about one shows in it: a
// refunded bid is refunded. An admin may ask after any sale.
func (c *Client) SaleReceipts(ctx context.Context, sale int64, f SaleReceiptFilter) iter.Seq2[Receipt, error] {
	return pages(ctx, c, salePath(sale)+"/receipts", f.query(), (*receiptPage).split)
}

// ReceiptsCSV is SaleReceipts as CSV (RFC 4180) with a header, as long as it may be:
// it is read while the API writes it, and must be closed. An error of its Read says
// that it is not whole. No time limit but ctx's holds for it.
func (c *Client) ReceiptsCSV(ctx context.Context, sale int64, f SaleReceiptFilter) (io.ReadCloser, error) {
	k := &call{method: http.MethodGet, path: salePath(sale) + "/receipts", query: f.query(), accept: "text/csv"}
	if err := c.do(ctx, k); err != nil {
		return nil, err
	}
	return k.stream, nil
}

// Summary is what a sale has brought its seller so far.
type Summary struct {
	Sale       int64            `json:"sale"`
	State      State            `json:"state"`
	Stock      Stock            `json:"stock"`
	Revenue    int64            `json:"revenue"`    // points, without what came back
	Refunded   int64            `json:"refunded"`   // points that came back
	PaidOut    bool             `json:"paid_out"`   // the seller has them
	Receipts   map[Status]int64 `json:"receipts"`   // how many
	Rejections map[Reason]int64 `json:"rejections"` // how many were rejected for what
}

// Summary sums a sale of the seller up. An admin may ask after any sale.
func (c *Client) Summary(ctx context.Context, sale int64) (s Summary, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: salePath(sale) + "/summary", into: &s})
	return s, err
}
