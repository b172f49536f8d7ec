package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Order is what a list of sales is ordered by.
type Order string

// The orders.
const (
	ByOpening Order = "opens_at" // also that of ""
	ByClosing Order = "closes_at"
)

// SaleCursor is a place in a list of sales: behind the sale ID, whose opening (or
// closing, as the order says) is At. The zero cursor is the beginning.
type SaleCursor struct {
	At sale.Instant
	ID int64
}

// SaleFilter says which sales are listed, and how. What is zero does not filter.
type SaleFilter struct {
	Kind       sale.Kind
	State      sale.Shown // by time, as sale.Sale.ShownAt has it
	Seller     int64
	Order      Order
	Descending bool
	After      SaleCursor
	Limit      int
}

// Sales lists sales as they stand in Postgres, without their buyers, and says
// whether there are more. Now is the moment that the states are of, by the clock
// of Postgres: the stream's own may be some milliseconds apart.
func (l *Ledger) Sales(ctx context.Context, f SaleFilter) (stands []*sale.Stand, more bool, now sale.Instant, err error) {
	query, args := f.query()
	questions := &pgx.Batch{} // one transaction, so now() is the same in both
	questions.Queue(`select now()`)
	questions.Queue(query, args...)
	answers := l.pool.SendBatch(ctx, questions)
	defer answers.Close()
	var at time.Time
	if err := answers.QueryRow().Scan(&at); err != nil {
		return nil, false, 0, fmt.Errorf("list sales: %w", err)
	}
	rows, err := answers.Query()
	if err != nil {
		return nil, false, 0, fmt.Errorf("list sales: %w", err)
	}
	stands, err = pgx.CollectRows(rows, scanStand)
	if err != nil {
		return nil, false, 0, fmt.Errorf("list sales: %w", err)
	}
	stands, more = page(stands, f.Limit)
	return stands, more, sale.At(at), nil
}

// query puts the list into SQL. Every list walks one index in its order, from the
// cursor or the present on, and what it passes over is bounded by what is for sale
// at one time, never by history:
//
//	all              sales_by_opening, sales_by_closing
//	of a kind        sales_of_kind_by_opening, …_by_closing
//	of a seller      sales_of_seller_by_opening, …_by_closing; a kind is looked for among his sales
//
// That an open sale opened, and closes, less than sale.MaxLength from now is what
// keeps the open ones together in both orders.
func (f SaleFilter) query() (string, []any) {
	q := &conditions{}
	switch f.State {
	case sale.ShownScheduled:
		q.add(`s.opens_at > now()`)
		q.add(`s.closes_at > now()`) // says nothing new, but where to begin by closing
	case sale.ShownOpen, sale.ShownSoldOut:
		q.add(`s.opens_at <= now()`)
		q.add(`s.opens_at > now() - %s * interval '1 millisecond'`, sale.MaxLength.Milliseconds())
		q.add(`s.closes_at > now()`)
		q.add(`s.closes_at <= now() + %s * interval '1 millisecond'`, sale.MaxLength.Milliseconds())
		if f.State == sale.ShownOpen {
			q.add(`s.free > 0`)
		} else {
			q.add(`s.free = 0`)
		}
	case sale.ShownClosed:
		q.add(`s.closes_at <= now()`)
		q.add(`s.opens_at < now()`) // the same by opening
	}
	if f.Kind != "" {
		// In the text, since there are few kinds and some are rare: a plan for any
		// kind may walk all sales in search of one.
		q.add(`s.kind = '` + strings.ReplaceAll(string(f.Kind), `'`, `''`) + `'`)
	}
	if f.Seller != 0 {
		q.add(`s.seller = %s`, f.Seller)
	}
	column := `s.opens_at`
	if f.Order == ByClosing {
		column = `s.closes_at`
	}
	further, direction := `>`, ``
	if f.Descending {
		further, direction = `<`, ` desc`
	}
	if f.After != (SaleCursor{}) {
		q.add(`(`+column+`, s.id) `+further+` (%s, %s)`, f.After.At.Time(), f.After.ID)
	}
	return `
		select ` + saleColumns + `
		from sales s` + q.where() + `
		order by ` + column + direction + `, s.id` + direction + `
		limit ` + q.value(f.Limit+1), q.args
}

// ReceiptCursor is a place in a list of receipts. The zero cursor is the
// beginning, which is the newest receipt.
type ReceiptCursor struct {
	At sale.Instant
	ID uuid.UUID
}

// ReceiptFilter says which receipts are listed. One of Sale and Buyer must be
// set; what else is zero does not filter.
type ReceiptFilter struct {
	Sale, Buyer int64
	Verb        sale.Verb
	Status      sale.Status
	From, To    sale.Instant // From ≤ at < To
	After       ReceiptCursor
	Limit       int
}

// Receipts lists receipts that have an effect, the newest first, and says whether
// there are more. Of one buyer it walks receipts_by_buyer, of one sale
// receipts_of_sale; a status is looked for among those. What one buyer has of one
// sale is little, and sorted.
func (l *Ledger) Receipts(ctx context.Context, f ReceiptFilter) (receipts []sale.Receipt, more bool, err error) {
	query, args := f.query()
	rows, err := l.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, false, fmt.Errorf("list receipts: %w", err)
	}
	receipts, err = pgx.CollectRows(rows, scanReceipt)
	if err != nil {
		return nil, false, fmt.Errorf("list receipts: %w", err)
	}
	receipts, more = page(receipts, f.Limit)
	return receipts, more, nil
}

func (f ReceiptFilter) query() (string, []any) {
	q := &conditions{}
	if f.Sale != 0 {
		q.add(`sale = %s`, f.Sale)
	}
	if f.Buyer != 0 {
		q.add(`buyer = %s`, f.Buyer)
	}
	if f.Verb != 0 {
		q.add(`verb = %s`, f.Verb.String())
	}
	if f.Status != 0 {
		q.add(`status = %s`, f.Status.String())
	}
	if f.From != 0 {
		q.add(`at >= %s`, f.From.Time())
	}
	if f.To != 0 {
		q.add(`at < %s`, f.To.Time())
	}
	if f.After != (ReceiptCursor{}) {
		q.add(`(at, id) < (%s, %s)`, f.After.At.Time(), [16]byte(f.After.ID))
	}
	return `
		select ` + receiptColumns + `
		from receipts` + q.where() + `
		order by at desc, id desc
		limit ` + q.value(f.Limit+1), q.args
}

// conditions collects the clauses of a where and their values.
type conditions struct {
	clauses []string
	args    []any
}

// value names a value in the statement: $1, $2, …
func (c *conditions) value(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

// add adds a clause; each %s in it stands for a value.
func (c *conditions) add(clause string, values ...any) {
	names := make([]any, len(values))
	for i, v := range values {
		names[i] = c.value(v)
	}
	c.clauses = append(c.clauses, fmt.Sprintf(clause, names...))
}

func (c *conditions) where() string {
	if len(c.clauses) == 0 {
		return ""
	}
	return `
		where ` + strings.Join(c.clauses, `
			and `)
}

// page cuts off what was read beyond limit, only to know that it is there.
func page[T any](rows []T, limit int) ([]T, bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
