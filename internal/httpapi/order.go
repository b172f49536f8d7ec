package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/receipts"
)

// ordersBody is a page of orders as JSON, newest first.
type ordersBody struct {
	Orders     []orderBody `json:"orders"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

type orderBody struct {
	Receipt   uuid.UUID `json:"receipt"` // of the reservation, which is what is paid
	Sale      int64     `json:"sale"`
	Quantity  int64     `json:"quantity"` // units
	Amount    int64     `json:"amount"`   // points, all units, less a coupon's
	Status    string    `json:"status"`
	PayBy     time.Time `json:"pay_by"`
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"` // when it became paid, expired or cancelled
}

// listMyOrders is GET /v1/me/orders.
func (a *API) listMyOrders(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter receipts.OrderFilter
	page, err := readPage(c, listOrders, who.Account, param{"status", into(&filter.Status, oneOf("pending", "paid", "expired", "cancelled"))})
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, receipts.OrderCursor{At: page.after.at, ID: page.after.receipt}
	found, more, err := a.receipts.Orders(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	body := ordersBody{Orders: make([]orderBody, len(found))}
	for i, o := range found {
		body.Orders[i] = orderBody{Receipt: o.Receipt, Sale: o.Sale, Quantity: o.Quantity, Amount: o.Amount, Status: o.Status,
			PayBy: o.PayBy.Time(), CreatedAt: o.CreatedAt.Time(), ChangedAt: o.ChangedAt.Time()}
		body.NextCursor = page.next(more, position{at: o.CreatedAt, receipt: o.Receipt})
	}
	return c.JSON(body)
}
