package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Discrepancy is a row for which the record says one thing here and another there.
type Discrepancy struct {
	Partition  int // -1: of none
	Sale       int64
	Subject    string // what it is about
	Have, Want string
}

// Discrepancies is a question to the record that is answered by what is wrong.
// Sums are compared as numeric and told as text: nothing overflows.
type Discrepancies func(i *Inspection, ctx context.Context, wrong func(Discrepancy)) error

func (i *Inspection) discrepancies(ctx context.Context, wrong func(Discrepancy), query string, args ...any) error {
	rows, err := i.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	var d Discrepancy
	_, err = pgx.ForEachRow(rows, []any{&d.Partition, &d.Sale, &d.Subject, &d.Have, &d.Want}, func() error {
		wrong(d)
		return nil
	})
	return err
}

// gone is the ranges of sale IDs whose receipts are dropped, or about to be. That is said
// long before, and so to every inspection that might see them go (LeaveNotice).
const gone = `(
			select coalesce(range_agg(int8range(first, past)), '{}')
			from eras
			where leaves_at is not null)`

// withReceipts is those that are kept.
const withReceipts = `
		kept as not materialized (
			select *
			from receipts
			where not sale <@ ` + gone + `)`

// goneOfStore says that the receipts of some slots of the store of sale s are not kept;
// goneOfSeller that those of some of a seller's sales are not.
const goneOfStore = `exists (
			select
			from sales g
			where g.store = s.store and g.id <@ ` + gone + `)`

func goneOfSeller(seller string) string {
	return `exists (
			select
			from sales g
			where g.seller = ` + seller + ` and g.id <@ ` + gone + `)`
}

// withPurchases is every receipt that has, had or waits for units of a sale, with what
// they cost. A payment is one only if it came too late and bought a unit that was
// free.
const withPurchases = withReceipts + `,
		purchases as (
			select r.*, r.quantity::numeric * r.unit_price - r.discount as cost
			from kept r
			where r.verb in ('bid', 'reserve', 'claim', 'join') or r.verb = 'pay' and r.quantity > 0)`

// withEnds is what was asked about a receipt later, by others that name it.
const withEnds = `
		ends as (
			select
				target,
				count(*) filter (where verb = 'refund') as refunds,
				count(*) filter (where verb = 'cancel') as cancels,
				count(*) filter (where verb = 'reserve') as changes,
				count(*) filter (where verb = 'pay' and quantity = 0) as pays,
				count(*) filter (where verb = 'pay' and quantity > 0) as late,
				max(unit_price) filter (where verb = 'cancel') as back,
				max(at) filter (where verb <> 'pay') as at
			from kept
			where target is not null and status <> 'rejected'
			group by target)`

// Units: what a sale has sold and held, and who waits for it, against what its
// purchases say. A refunded one's units stay sold.
func (i *Inspection) Units(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		taken as (
			select
				sale,
				sum(quantity) filter (where status in ('confirmed', 'refunded')) as sold,
				sum(quantity) filter (where status = 'held') as held,
				count(*) filter (where status = 'waiting') as waiting
			from purchases
			group by sale)
		select s.partition, s.id, side.name, side.have::text, side.want::text
		from sales s
		left join taken t on t.sale = s.id
		cross join lateral (values
			('units sold', s.sold::numeric, coalesce(t.sold, 0)),
			('units held', s.held::numeric, coalesce(t.held, 0)),
			('receipts in line', s.waiting::numeric, coalesce(t.waiting, 0))) as side (name, have, want)
		where side.have <> side.want and not s.id <@ `+gone)
}

// Revenue: a sale's revenue against what its confirmed purchases cost.
func (i *Inspection) Revenue(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		paid as (
			select sale, sum(cost) as points
			from purchases
			where status = 'confirmed'
			group by sale)
		select s.partition, s.id, 'revenue', s.revenue::text, coalesce(p.points, 0)::text
		from sales s
		left join paid p on p.sale = s.id
		where s.revenue <> coalesce(p.points, 0) and not s.id <@ `+gone)
}

// Limits: the units of each buyer against the most that the sale allows him.
func (i *Inspection) Limits(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`
		select s.partition, s.id, 'units of buyer ' || p.buyer, sum(p.quantity)::text, 'at most ' || s.per_buyer_limit
		from purchases p
		join sales s on s.id = p.sale
		where p.status in ('confirmed', 'held', 'waiting')
		group by s.id, p.buyer
		having sum(p.quantity) > s.per_buyer_limit`)
}

// Wallets: the balance of each wallet against what entered it less what left it.
func (i *Inspection) Wallets(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with moved as (
			select wallet, sum(points) as points
			from (
				select credit as wallet, amount as points
				from entries
				union all
				select debit, -amount
				from entries) as moves
			group by wallet)
		select
			-1, greatest(-coalesce(w.id, m.wallet), 0), 'wallet ' || coalesce(w.id, m.wallet),
			coalesce(w.balance::text, 'none'), coalesce(m.points, 0)::text
		from wallets w
		full join moved m on m.wallet = w.id
		where w.id is null or w.balance <> coalesce(m.points, 0)`)
}

// Conservation: all points there are against none, since the source owes them.
func (i *Inspection) Conservation(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		select -1, 0, 'all balances together', sum(balance)::text, '0'
		from wallets
		having sum(balance) <> 0`)
}

// Escrows: what a sale's escrow holds against what it owes. A sale without a
// refund window pays its seller at once, and so does whoever pays after the payout.
func (i *Inspection) Escrows(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, escrows)
}

const escrows = `
		select s.partition, s.id, 'escrow', coalesce(w.balance::text, 'none'), owed.points::text
		from sales s
		left join wallets w on w.id = -s.id
		cross join lateral (
			select case
				when s.paid_out or s.payout_at = s.closes_at then 0
				else s.revenue
			end as points) as owed
		where w.balance is distinct from owed.points`

// Payouts: sales that are paid out against confirmed payouts, and the entries of
// a payout against one from escrow to seller (none when escrow was empty).
func (i *Inspection) Payouts(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withReceipts+`,
		payouts as (
			select id, sale
			from kept
			where verb = 'payout' and status = 'confirmed'),
		made as (
			select p.id, count(*) as times, min(e.debit) as debit, min(e.credit) as credit
			from payouts p
			join entries e on e.receipt = p.id
			group by p.id)
		select s.partition, s.id, 'payouts', count(p.id)::text, case when s.paid_out then 'at least 1' else '0' end
		from sales s
		left join payouts p on p.sale = s.id
		where not s.id <@ `+gone+`
		group by s.id
		having s.paid_out <> (count(p.id) > 0)
		union all
		select
			s.partition, s.id, 'entries of payout ' || p.id,
			concat_ws(' ', m.times, 'from', m.debit, 'to', m.credit), concat_ws(' ', '1 from', -s.id, 'to', s.seller)
		from payouts p
		join sales s on s.id = p.sale
		join made m on m.id = p.id
		where (m.times, m.debit, m.credit) <> (1, -s.id, s.seller)`)
}

// Orphans: entries whose receipt does not exist or moves no points, points that
// were bought from anybody but the source or for anything but an account, receipts
// of no sale, and attendance of nobody's booking. A sale may be deleted before it
// opens; of those only a stock that had grown leaves a receipt. And receipts under one ID
// at two sales.
//
// Of what is not kept any more, an entry tells its sale by the escrow (or that of the slot
// that it replaced), or its seller when he was paid at once; an attendance nothing but
// when it was noted.
func (i *Inspection) Orphans(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withReceipts+`
		select
			-1, coalesce(r.sale, 0), 'receipt of entry ' || e.id,
			coalesce(concat_ws(' ', r.status, r.verb, r.id), 'no receipt ' || e.receipt), 'one that moves points'
		from entries e
		left join kept r on r.id = e.receipt
		where e.receipt is not null
			and (r.id is null
				or r.verb not in ('bid', 'reserve', 'join', 'pay', 'cancel', 'refund', 'payout')
				or r.status not in ('confirmed', 'refunded', 'cancelled'))
			and not (r.id is null and (-least(e.debit, e.credit) <@ `+gone+` or e.debit > 0 and `+goneOfSeller(`e.credit`)+` or exists (
				select
				from sales s
				where s.id = -least(e.debit, e.credit) and `+goneOfStore+`)))
		union all
		select -1, 0, 'entry ' || id || ', which has no receipt', debit || ' to ' || credit, 'from 0, the source, to an account'
		from entries
		where receipt is null and (debit <> 0 or credit < 0)
		union all
		select -1, r.sale, 'sale of receipt ' || r.id, 'none', r.sale::text
		from kept r
		left join sales s on s.id = r.sale
		where s.id is null and r.verb <> 'change'
		union all
		select
			coalesce(s.partition, -1), coalesce(r.sale, 0), 'receipt of attendance ' || a.receipt,
			coalesce(concat_ws(' ', r.verb, 'for', case when s.store is null then 'no slot' else 'a slot' end), 'none'), 'a booking'
		from attendance a
		left join kept r on r.id = a.receipt
		left join sales s on s.id = r.sale
		where (s.store is null or r.verb not in ('reserve', 'pay'))
			and not (r.id is null and exists (
				select
				from sales g
				where g.store is not null and g.starts_at <= a.at and g.id <@ `+gone+`))
		union all
		select -1, min(sale), 'sales of receipt ' || id, string_agg(sale::text, ', ' order by sale), 'one'
		from kept
		group by id
		having count(*) > 1`)
}
