package receipts

import (
	"context"

	"sluice/internal/ledger"
)

// Order is what a hold is to be paid for.
type Order = ledger.Order

// OrderFilter says which orders are listed. What is zero does not filter.
type OrderFilter struct {
	Status string // pending, paid, expired or cancelled
	After  OrderCursor
	Limit  int
}

// OrderCursor is a place in a list of orders; the zero cursor is the beginning.
type OrderCursor = ledger.OrderCursor

// Orders answers a page of an account's orders, the newest first, and whether
// there are more.
func (r *Receipts) Orders(ctx context.Context, account int64, f OrderFilter) ([]Order, bool, error) {
	return r.ledger.Orders(ctx, ledger.OrderFilter{Buyer: account, Status: f.Status, After: f.After, Limit: f.Limit})
}
