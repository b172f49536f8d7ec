package ledger

import (
	"time"

	"sluice/internal/sale"
)

// orderWords is what an order is called by the status of its receipt.
var orderWords = map[sale.Status]string{
	sale.Held: "pending", sale.Confirmed: "paid", sale.Expired: "expired", sale.Cancelled: "cancelled",
}

// ordered says whether there is an order under r: it is or was held, or it is a
// payment that came too late and is the purchase itself.
func ordered(r sale.Receipt) bool { return r.PayBy != 0 || r.Verb == sale.Pay && r.Quantity > 0 }

// orders makes one for every hold, and moves those that there were.
func (w *writes) orders() {
	var moved, fresh orderRows
	for _, r := range w.changed {
		if !ordered(r) {
			continue
		}
		if before, ok := w.settled(r.ID); ok && ordered(before) {
			moved.add(r, w)
		} else {
			fresh.add(r, w)
		}
	}
	w.add(len(moved.receipts), `
		update orders
		set status = m.status,
			changed_at = m.changed_at
		from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as m (receipt, status, changed_at)
		where orders.receipt = m.receipt`,
		moved.receipts, moved.statuses, moved.changed)
	w.add(len(fresh.receipts), `
		insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
		select receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at
		from unnest(
			$1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
			$7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
			as o (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)`,
		fresh.receipts, fresh.sales, fresh.buyers, fresh.quantities, fresh.amounts, fresh.statuses,
		fresh.payBys, fresh.remind, fresh.created, fresh.changed)
}

// orderRows is orders as columns.
type orderRows struct {
	receipts                           [][16]byte
	sales, buyers, quantities, amounts []int64
	statuses                           []string
	payBys, remind, created, changed   []time.Time
}

func (c *orderRows) add(r sale.Receipt, w *writes) {
	s := w.batch.State[r.Sale]
	payBy, created := r.PayBy, r.PayBy.Add(-s.Hold) // when it became held
	if payBy == 0 {
		payBy, created = r.At, r.At // a late payment: due and paid at once
	}
	c.receipts, c.sales, c.buyers = append(c.receipts, r.ID), append(c.sales, r.Sale), append(c.buyers, r.Buyer)
	c.quantities, c.amounts = append(c.quantities, r.Quantity), append(c.amounts, r.Cost())
	c.statuses = append(c.statuses, orderWords[r.Status])
	c.payBys, c.remind = append(c.payBys, payBy.Time()), append(c.remind, s.RemindAt(payBy).Time())
	c.created, c.changed = append(c.created, created.Time()), append(c.changed, w.since(r).Time())
}
