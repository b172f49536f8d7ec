package client

import (
	"context"
	"net/http"
	"net/url"
)

// Reserve asks for units of a reservation.
type Reserve struct {
	Quantity int64  `json:"quantity"`         // units
	Coupon   string `json:"coupon,omitempty"` // the receipt of its claim; "": none
}

// Reserve reserves for the buyer that c speaks for and answers the receipt, queued
// or already decided. Decided it is held, to be paid before PayBy; or it waits in the
// line; or it is rejected. Of a slot of a store ([Client.ReserveSlot]) it is
// confirmed at once.
func (c *Client) Reserve(ctx context.Context, sale int64, r Reserve, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, salePath(sale)+"/reservations", r, options)
}

// Claim asks for a coupon. The ID of a confirmed claim is that of the coupon.
func (c *Client) Claim(ctx context.Context, sale int64, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, salePath(sale)+"/claims", nil, options)
}

// Join asks for seats of an event: confirmed and paid at once, or waiting in the
// line where there is one.
func (c *Client) Join(ctx context.Context, sale, quantity int64, options ...CallOption) (Receipt, error) {
	body := struct {
		Quantity int64 `json:"quantity"`
	}{quantity}
	return c.ask(ctx, salePath(sale)+"/joins", body, options)
}

// Pay pays for what is held, under a receipt of its own; once that is confirmed, so
// is what was held. A payment after PayBy is charged only if it is confirmed: then
// it is the purchase itself, and has its Quantity.
func (c *Client) Pay(ctx context.Context, receipt string, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, receiptPath(receipt)+"/pay", nil, options)
}

// Cancel gives back what is held, a place in the line, or what was bought of a
// reservation or an event; what was paid comes back, all of it. It has a receipt of
// its own.
func (c *Client) Cancel(ctx context.Context, receipt string, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, receiptPath(receipt)+"/cancel", nil, options)
}

// Refund asks for the points of a confirmed bid, all of them, after its sale has
// closed and while its refund window lasts. The answer is a receipt of the refund;
// once that is confirmed, the bid's is refunded.
func (c *Client) Refund(ctx context.Context, receipt string, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, receiptPath(receipt)+"/refund", nil, options)
}

func receiptPath(id string) string { return receiptsPath + url.PathEscape(id) }

// ask posts a request that gets a receipt.
func (c *Client) ask(ctx context.Context, path string, body any, options []CallOption) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: path, body: body, into: &r}, options...)
	return r, err
}
