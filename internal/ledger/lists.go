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

// SaleOrder is what a list of sales is ordered by.
type SaleOrder string

// The orders.
const (
	ByOpening SaleOrder = "opens_at" // also that of ""
	ByClosing SaleOrder = "closes_at"
)

// SaleCursor is a place in a list of sales: behind the sale ID, whose opening (or
// closing, as the order says) is At. The zero cursor is the beginning.
type SaleCursor struct {
	At sale.Instant
	ID int64
}

// SaleFilter says which sales are listed, and how. What is zero does not filter.
// Slots of a store are in no such list: Slots has them.
type SaleFilter struct {
	Kind       sale.Kind
	State      sale.Shown // by time, as sale.Stand.Shown has it
	Seller     int64
	Order      SaleOrder
	Descending bool
	After      SaleCursor
	Limit      int
}

// Sales lists sales as they stand in Postgres, without their buyers, and says
// whether there are more. Now is the moment that the states are of, by the clock
// of Postgres: the stream's own may be some milliseconds apart.
func (l *Ledger) Sales(ctx context.Context, f SaleFilter) (stands []*sale.Stand, more bool, now sale.Instant, err error) {
	query, args := f.query()
	stands, now, err = list(ctx, l, query, args, scanStand)
	if err != nil {
		return nil, false, 0, fmt.Errorf("list sales: %w", err)
	}
	stands, more = page(stands, f.Limit)
	return stands, more, now, nil
}

// onePlan answers now(), and keeps the planner, in this transaction, from planning
// anew what it has planned before: to plan a list takes longer than to read it. There
// is only one way to, and a table that is still small must not hide it.
const onePlan = `
	select
		now(),
		set_config('plan_cache_mode', 'force_generic_plan', true),
		set_config('enable_seqscan', 'off', true),
		set_config('enable_bitmapscan', 'off', true)`

// list runs the query of a list, and answers the now() that it has seen.
func list[T any](ctx context.Context, l *Ledger, query string, args []any, scan pgx.RowToFunc[T]) (found []T, now sale.Instant, err error) {
	questions := &pgx.Batch{} // one transaction, so now() is the same in both
	if l.past != "" {
		questions.Queue(hasCome, l.past)
	}
	questions.Queue(onePlan)
	questions.Queue(query, args...)
	answers := l.pool.SendBatch(ctx, questions)
	defer answers.Close()
	if l.past != "" {
		if err := come(answers.QueryRow()); err != nil {
			return nil, 0, err
		}
	}
	var at time.Time
	if err := answers.QueryRow().Scan(&at, nil, nil, nil); err != nil {
		return nil, 0, err
	}
	rows, err := answers.Query()
	if err != nil {
		return nil, 0, err
	}
	found, err = pgx.CollectRows(rows, scan)
	return found, sale.At(at), err
}

// query puts the list into SQL. Every list walks one index in its order, from the
// cursor on:
//
//	all              sales_by_opening, sales_by_closing
//	in a state       shown_by_opening, …_by_closing
//	suspended        sales_suspended, of which there are few
//	of a kind        sales_of_kind_by_opening, …, shown_of_kind_by_opening, …
//	of a seller      sales_of_seller_by_opening, …, shown_of_seller_by_opening, …, in each kind
func (f SaleFilter) query() (string, []any) {
	q := &conditions{}
	q.add(`s.store is null`)
	kinds := []sale.Kind{f.Kind}
	if f.Seller != 0 {
		q.add(`s.seller = %s`, f.Seller)
		if f.Kind == "" {
			kinds = sale.Kinds
		}
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
	return q.sales(kinds, f.State, `
		order by `+column+direction+`, s.id`+direction+`
		limit `+q.value(f.Limit+1))
}

// sales answers the statement that lists sales, in that order, which meet the
// conditions, are of one of these kinds ("": any), and are in that state, if it is
// not "".
//
// The state is that of the moment, as sale.Stand.Shown has it; the index knows the
// one of the last settlement, and of a suspended sale the one that it would have. So beside those that the index has in the state there
// are strays: sales that time has moved on, and no tick yet. They are few, unless
// the scheduler is dead. Then a list has of the strays the ones it looks at first.
func (c *conditions) sales(kinds []sale.Kind, state sale.Shown, order string) (string, []any) {
	if state != "" {
		c.add(shownNow(state))
	}
	var branches []string
	var of []string
	for _, kind := range kinds {
		where := c.where()
		if kind != "" {
			// In the text, since there are few kinds and some are rare: a plan for any
			// kind may walk all sales in search of one.
			of = append(of, literal(kind))
			where += `
			and s.kind = ` + literal(kind)
		}
		switch state {
		case "":
		case sale.ShownSuspended:
			where += `
			and s.suspended`
		default:
			where += `
			and s.shown = ` + literal(state)
		}
		branches = append(branches, `
			(select s.*
			from sales s`+where+order+`)`)
	}
	for _, stray := range straysOf[state] {
		where := c.where()
		if of != nil {
			where += `
			and s.kind in (` + strings.Join(of, `, `) + `)`
		}
		branches = append(branches, `
			(select s.*
			from (
				select *
				from sales
				where store is null and shown = `+literal(stray.shown)+` and `+stray.since+`
				order by `+stray.order+`
				limit 500) as s`+where+`)`)
	}
	return `
		select ` + saleColumns + `
		from (` + strings.Join(branches, `
			union all`) + `) as s` + order, c.args
}

// shownNow is sale.Stand.Shown in SQL. A case, because the planner takes a chance of
// one in two for it whatever its statistics say: they do not know that a sale which is
// shown as open most likely is, and it would rather read all and sort.
func shownNow(state sale.Shown) string {
	is := func(s sale.Shown) string { return fmt.Sprint(s == state) }
	return `case
				when s.opens_at > now() then ` + is(sale.ShownScheduled) + `
				when s.closes_at <= now() then ` + is(sale.ShownClosed) + `
				when s.suspended then ` + is(sale.ShownSuspended) + `
				when s.free = 0 then ` + is(sale.ShownSoldOut) + `
				else ` + is(sale.ShownOpen) + ` end`
}

// stray is how sales may be shown that are in another state by now.
type stray struct {
	shown        sale.Shown
	since, order string
}

// straysOf is, for each state, what sales in it may still be shown as: behind because
// no tick has come, or ahead because the stream's clock is.
var straysOf = map[sale.Shown][]stray{
	sale.ShownScheduled: {
		{sale.ShownOpen, `opens_at > now()`, `opens_at`},
		{sale.ShownSoldOut, `opens_at > now()`, `opens_at`}},
	sale.ShownOpen: {
		{sale.ShownScheduled, `opens_at <= now()`, `opens_at`},
		{sale.ShownClosed, `closes_at > now()`, `closes_at`}},
	sale.ShownSoldOut: {
		{sale.ShownClosed, `closes_at > now()`, `closes_at`}},
	sale.ShownClosed: {
		{sale.ShownScheduled, `closes_at <= now()`, `closes_at`},
		{sale.ShownOpen, `closes_at <= now()`, `closes_at`},
		{sale.ShownSoldOut, `closes_at <= now()`, `closes_at`}},
}

// literal is a word in the text of a statement.
func literal[T ~string](word T) string {
	return `'` + strings.ReplaceAll(string(word), `'`, `''`) + `'`
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
	Purchases   bool // only those that have, had or wait for units: sale.Receipt.Purchase
	Verb        sale.Verb
	Status      sale.Status
	From, To    sale.Instant // From ≤ at < To
	After       ReceiptCursor
	Limit       int
}

// Receipts lists receipts that have an effect, the newest first, and says whether
// there are more. Of one buyer it walks receipts_by_buyer, and looks for a status
// or a sale among those; of one sale receipts_of_sale, or receipts_of_status.
func (l *Ledger) Receipts(ctx context.Context, f ReceiptFilter) (receipts []sale.Receipt, more bool, err error) {
	query, args := f.query()
	receipts, _, err = list(ctx, l, query, args, scanReceipt)
	if err != nil {
		return nil, false, fmt.Errorf("list receipts: %w", err)
	}
	receipts, more = page(receipts, f.Limit)
	return receipts, more, nil
}

// isPurchase is sale.Receipt.Purchase in SQL.
const isPurchase = `(verb in ('bid', 'reserve', 'claim', 'join') or verb = 'pay' and quantity > 0)`

func (f ReceiptFilter) query() (string, []any) {
	q := &conditions{}
	switch {
	case f.Sale != 0 && f.Buyer != 0:
		q.add(`(sale = %s) is true`, f.Sale) // no index has that: the buyer's is to be walked, not the sale's
	case f.Sale != 0:
		q.add(`sale = %s`, f.Sale)
	}
	if f.Buyer != 0 {
		q.add(`buyer = %s`, f.Buyer)
	}
	if f.Purchases {
		q.add(isPurchase)
	}
	if f.Verb != 0 {
		q.add(`verb = %s`, f.Verb.String())
	}
	if f.Status != 0 {
		q.add(`status = ` + literal(f.Status.String())) // in the text, for the index of all but the confirmed
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

// merged answers the statement that lists the rows of a table which meet the
// conditions, and one of several others that exclude each other: each walks an index
// of its own in the order of the list, and of what they answer the first are taken.
func (c *conditions) merged(table, columns string, parts []string, order string, limit int) (string, []any) {
	first := `
			order by ` + order + `
			limit ` + c.value(limit+1)
	var branches []string
	for _, part := range parts {
		branches = append(branches, `
			(select *
			from `+table+c.where()+`
			and `+part+first+`)`)
	}
	return `
		select ` + columns + `
		from (` + strings.Join(branches, `
			union all`) + `) as all_of_them` + first, c.args
}

// page cuts off what was read beyond limit, only to know that it is there.
func page[T any](rows []T, limit int) ([]T, bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
