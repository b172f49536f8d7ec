package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Order is what a hold is to be paid for.
type Order struct {
	Receipt              uuid.UUID // of the reservation; of a payment that came too late and bought: its own
	Sale, Buyer          int64
	Quantity             int64  // units
	Amount               int64  // points
	Status               string // pending, paid, expired or cancelled
	PayBy                sale.Instant
	CreatedAt, ChangedAt sale.Instant
}

// OrderCursor is a place in a list of orders, made at At. The zero cursor is the
// beginning, which is the newest order.
type OrderCursor struct {
	At sale.Instant
	ID uuid.UUID
}

// OrderFilter says which orders of a buyer are listed.
type OrderFilter struct {
	Buyer  int64
	Status string // "": any
	After  OrderCursor
	Limit  int
}

// Orders lists the orders of a buyer, the newest first, and says whether there are
// more. It walks orders_of_buyer in each status.
func (l *Ledger) Orders(ctx context.Context, f OrderFilter) (orders []Order, more bool, err error) {
	query, args := f.query()
	orders, _, err = list(ctx, l, query, args, func(row pgx.CollectableRow) (o Order, err error) {
		var payBy, created, changed time.Time
		err = row.Scan((*[16]byte)(&o.Receipt), &o.Sale, &o.Buyer, &o.Quantity, &o.Amount, &o.Status, &payBy, &created, &changed)
		o.PayBy, o.CreatedAt, o.ChangedAt = sale.At(payBy), sale.At(created), sale.At(changed)
		return o, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	orders, more = page(orders, f.Limit)
	return orders, more, nil
}

func (f OrderFilter) query() (string, []any) {
	q := &conditions{}
	q.add(`buyer = %s`, f.Buyer)
	if f.After != (OrderCursor{}) {
		q.add(`(created_at, receipt) < (%s, %s)`, f.After.At.Time(), [16]byte(f.After.ID))
	}
	var statuses []string
	for _, word := range orderWords {
		if f.Status == "" || f.Status == word {
			statuses = append(statuses, `status = '`+word+`'`)
		}
	}
	if statuses == nil {
		statuses = []string{`false`}
	}
	slices.Sort(statuses)
	return q.merged(`orders`, `
		receipt, sale, buyer, quantity, amount, status, pay_by, created_at, changed_at`,
		statuses, `created_at desc, receipt desc`, f.Limit)
}
