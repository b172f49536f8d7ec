package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// Duty is a tick that a sale is due for.
type Duty struct {
	Sale      int64
	Partition int
	Verb      sale.Verb
	Due       sale.Instant // since when: of holds the earliest one that is over

	// What tells it from the tick before. A tick moves so many receipts and no more;
	// if something is still due, the sale holds fewer units by then, or fewer wait.
	// What was queued under an older generation is lost, and is due again.
	Generation int64
	// A payout of a sale that was suspended when it was due is refused, and due again
	// when that is over: Held is how often it was suspended.
	Held, Waiting int64

	More bool // more is due than one tick moves
}

// Receipt is the ID of its tick: the same for every scheduler that sees the same.
func (d Duty) Receipt() uuid.UUID {
	return sale.TickReceiptID(d.Partition, d.Sale, d.Verb, d.Due, d.Generation, d.Held, d.Waiting)
}

// walkMost is how many holds that are over are looked at for one answer of Duties.
// A sale with more of them than that, all over before any other sale's, is alone
// in it until some of them are settled.
const walkMost = 20 * sale.TickMost

// duties walks one index for each reason to tick: sales_to_open, sales_to_close,
// sales_to_sweep, sales_to_pay, orders_due. What it reads is bounded by what is
// due, and that by the limits.
const duties = `
	(select s.id, s.partition, 'open', s.opens_at, p.generation, 0::bigint, 0::bigint, false
	from sales s
	join partitions p on p.id = s.partition
	where s.phase = 'scheduled' and s.store is null and s.opens_at <= $1
	order by s.opens_at
	limit $2)
	union all
	(select s.id, s.partition, 'close', s.closes_at, p.generation, s.held, s.waiting, s.waiting > $4
	from sales s
	join partitions p on p.id = s.partition
	where s.phase = 'open' and s.closes_at <= $1
	order by s.closes_at
	limit $2)
	union all
	(select s.id, s.partition, 'close', s.closes_at, p.generation, s.held, s.waiting, s.waiting > $4
	from sales s
	join partitions p on p.id = s.partition
	where s.phase = 'closed' and s.lined
	order by s.closes_at
	limit $2)
	union all
	(select s.id, s.partition, 'expire', o.due, p.generation, s.held, s.waiting, o.holds > $4
	from (
		select sale, min(pay_by) as due, count(*) as holds
		from (
			select sale, pay_by
			from orders
			where status = 'pending' and pay_by <= $1
			order by pay_by, receipt
			limit $3) as walk
		group by sale
		order by due
		limit $2) as o
	join sales s on s.id = o.sale
	join partitions p on p.id = s.partition)
	union all
	(select s.id, s.partition, 'payout', s.payout_at, p.generation, s.suspensions::bigint, 0::bigint, false
	from sales s
	join partitions p on p.id = s.partition
	where s.phase = 'closed' and not s.paid_out and not s.suspended and s.payout_at <= $1
	order by s.payout_at
	limit $2)`

// Duties answers up to limit ticks that are due at now, for each reason, the most
// overdue first: sales to open and to close, lines of closed sales to send away,
// holds that are over (one tick for each sale), sellers to pay. A slot opens by
// itself when somebody asks for it.
func (l *Ledger) Duties(ctx context.Context, now sale.Instant, limit int) ([]Duty, error) {
	questions := &pgx.Batch{} // one transaction
	questions.Queue(byIndex)
	questions.Queue(duties, now.Time(), limit, walkMost, sale.TickMost)
	answers := l.pool.SendBatch(ctx, questions)
	defer answers.Close()
	if _, err := answers.Exec(); err != nil {
		return nil, fmt.Errorf("read duties: choose plans: %w", err)
	}
	rows, err := answers.Query()
	if err != nil {
		return nil, fmt.Errorf("read duties: %w", err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Duty, err error) {
		var verb string
		var due time.Time
		if err := row.Scan(&d.Sale, &d.Partition, &verb, &due, &d.Generation, &d.Held, &d.Waiting, &d.More); err != nil {
			return d, err
		}
		d.Verb, _ = sale.ParseVerb(verb)
		d.Due = sale.At(due)
		return d, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read duties: %w", err)
	}
	return due, nil
}
