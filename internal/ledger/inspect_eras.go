package ledger

import "context"

// Eras: each era against the table of its receipts, and against the one before, since
// sale IDs have no gaps; and each sale of one that leaves, or has left, against what it
// must be then: over.
func (i *Inspection) Eras(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		select s.partition, s.id, 'sale of an era that leaves', concat_ws(' ', s.phase, 'with', s.held, 'held,', s.waiting, 'waiting, paid out:', s.paid_out), 'over'
		from eras e
		join sales s on s.id >= e.first and s.id < e.past
		where e.leaves_at is not null and not `+isOverBy(`e.leaves_at`)+`
		union all
		select -1, 0, 'table of the era from ' || e.first, case when t.kept then 'there' else 'none' end, case when e.dropped_at is null then 'there' else 'none' end
		from eras e
		cross join lateral (
			select exists (
				select
				from pg_inherits i
				join pg_class part on part.oid = i.inhrelid
				join pg_class receipts on receipts.oid = i.inhparent
				where part.relname = 'receipts_' || e.first
					and receipts.relname = 'receipts'
					and receipts.relnamespace = current_schema()::regnamespace) as kept) as t
		where t.kept <> (e.dropped_at is null)
		union all
		select -1, 0, 'first sale of an era', e.first::text, coalesce(e.before, 0)::text
		from (
			select first, lag(past) over (order by first) as before
			from eras) as e
		where e.first <> coalesce(e.before, 0)`)
}
