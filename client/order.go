package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// OrderStatus says whether an order is paid.
type OrderStatus string

// The statuses of an order.
const (
	OrderPending   OrderStatus = "pending"
	OrderPaid      OrderStatus = "paid"
	OrderExpired   OrderStatus = "expired"
	OrderCancelled OrderStatus = "cancelled"
)

// Purchase is an order: what is held, and to be paid for.
type Purchase struct {
	Receipt   string      `json:"receipt"` // ID of what is held
	Sale      int64       `json:"sale"`
	Quantity  int64       `json:"quantity"` // units
	Amount    int64       `json:"amount"`   // points, for all of them
	Status    OrderStatus `json:"status"`
	PayBy     time.Time   `json:"pay_by"`
	CreatedAt time.Time   `json:"created_at"`
	ChangedAt time.Time   `json:"changed_at"`
}

type orderPage struct {
	Orders []Purchase `json:"orders"`
	Next   string     `json:"next_cursor"`
}

// Orders are those of the account that c speaks for, newest first, in one status or,
// with "", in all.
func (c *Client) Orders(ctx context.Context, status OrderStatus) iter.Seq2[Purchase, error] {
	query := filter{}
	query.word("status", string(status))
	return pages(ctx, c, mePath+"/orders", url.Values(query), func(p *orderPage) ([]Purchase, string) { return p.Orders, p.Next })
}
