package ledger

import "context"

// Refunds: each refund against its bid, and each refunded bid against its refund.
func (i *Inspection) Refunds(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withReceipts+`
		select
			coalesce(s.partition, -1), r.sale, 'bid of refund ' || r.id,
			coalesce(concat_ws(' ', b.status, b.verb, 'by', b.buyer, 'for', b.sale, 'at', b.unit_price), 'none'),
			concat_ws(' ', 'refunded bid by', r.buyer, 'for', r.sale, 'at', r.unit_price)
		from kept r
		left join kept b on b.id = r.target
		left join sales s on s.id = r.sale
		where r.verb = 'refund'
			and r.status = 'confirmed'
			and (b.verb, b.status, b.buyer, b.sale, b.unit_price)
				is distinct from ('bid', 'refunded', r.buyer, r.sale, r.unit_price)
		union all
		select coalesce(s.partition, -1), b.sale, 'refunds of bid ' || b.id, count(r.id)::text, '1'
		from kept b
		left join kept r on r.target = b.id and r.verb = 'refund' and r.status = 'confirmed'
		left join sales s on s.id = b.sale
		where b.status = 'refunded'
		group by s.partition, b.sale, b.id
		having count(r.id) <> 1`)
}

// Targets: each cancel, payment and change of slot against the purchase it is
// about, and each purchase against what was asked about it: a cancelled one was
// cancelled or changed once, one that was held and is confirmed was paid once, and
// of one that expired at most one late payment bought something.
//
// A cancel tells at what price it paid back: 0 when nothing was paid. Of a purchase
// that was held that is known from its payment, of others from their entries
// (Payments).
func (i *Inspection) Targets(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		`+withEnds+`,
		asked as (
			select
				r.*,
				case
					when r.verb = 'pay' and r.quantity > 0 then 'late payment'
					when r.verb = 'pay' then 'payment'
					when r.verb = 'reserve' then 'change'
					else r.verb
				end as what
			from kept r
			where r.verb in ('pay', 'cancel') or r.verb = 'reserve' and r.target is not null)
		select
			coalesce(s.partition, -1), a.sale, 'target of ' || a.what || ' ' || a.id || ' at ' || a.unit_price,
			coalesce(concat_ws(' ',
				t.status, t.verb, 'by', t.buyer, 'for', t.sale, 'of', t.quantity, 'at', t.unit_price,
				'until ' || (extract(epoch from t.pay_by) * 1000)::bigint), 'none'),
			case a.what
				when 'late payment' then concat_ws(' ', 'expired purchase by', a.buyer, 'for', a.sale, 'of', a.quantity, 'at', a.unit_price)
				when 'payment' then concat_ws(' ', 'purchase by', a.buyer, 'for', a.sale, 'held at', a.unit_price, 'at that time')
				when 'change' then concat_ws(' ', 'cancelled booking by', a.buyer, 'of another slot')
				else concat_ws(' ', 'cancelled purchase by', a.buyer, 'for', a.sale, 'paid as it says')
			end
		from asked a
		left join purchases t on t.id = a.target
		left join ends e on e.target = t.id
		left join sales s on s.id = a.sale
		left join sales o on o.id = t.sale
		where not coalesce(
			t.buyer = a.buyer
			and case a.what
				when 'late payment' then
					a.status in ('confirmed', 'cancelled')
					and t.status = 'expired'
					and t.pay_by <= a.at
					and t.coupon is null
					and (t.sale, t.quantity, t.unit_price) = (a.sale, a.quantity, a.unit_price)
				when 'payment' then
					a.status = 'confirmed'
					and t.status in ('confirmed', 'cancelled')
					and t.pay_by > a.at
					and (t.sale, t.unit_price) = (a.sale, a.unit_price)
				when 'change' then
					a.status in ('confirmed', 'cancelled')
					and t.status = 'cancelled'
					and t.sale <> a.sale
					and o.store = s.store
				else
					a.status = 'confirmed'
					and t.status = 'cancelled'
					and t.sale = a.sale
					and a.unit_price in (t.unit_price, 0)
					and (t.pay_by is null or a.unit_price = case e.pays when 0 then 0 else t.unit_price end)
			end, false)
			and not (t.id is null and a.what = 'change' and `+goneOfStore+`)
		union all
		select
			coalesce(s.partition, -1), p.sale, 'ends of ' || p.status || ' ' || p.verb || ' ' || p.id,
			concat_ws(' ', count.cancels, 'cancels or changes,', count.pays, 'payments,', count.late, 'late ones'),
			concat_ws(' ', want.cancels, 'cancels or changes,', want.least || ' to ' || want.most, 'payments,',
				case p.status when 'expired' then 'at most 1 late one' else '0 late ones' end)
		from purchases p
		left join ends e on e.target = p.id
		left join sales s on s.id = p.sale
		cross join lateral (
			select
				coalesce(e.cancels + e.changes, 0) as cancels,
				coalesce(e.pays, 0) as pays,
				coalesce(e.late, 0) as late) as count
		cross join lateral (
			select
				case p.status when 'cancelled' then 1 else 0 end as cancels,
				case when p.status = 'confirmed' and p.pay_by is not null then 1 else 0 end as least,
				case when p.status in ('confirmed', 'cancelled') and p.pay_by is not null then 1 else 0 end as most) as want
		where count.cancels <> want.cancels and not (count.cancels < want.cancels and `+goneOfStore+`)
			or count.pays not between want.least and want.most
			or count.late > case p.status when 'expired' then 1 else 0 end`)
}

// Orders: each receipt that was ever held, and each late payment that bought
// something, against its one order.
func (i *Inspection) Orders(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		due as (
			select
				p.id, p.sale,
				concat_ws(' ',
					case p.status when 'held' then 'pending' when 'confirmed' then 'paid' else p.status end,
					'order by', p.buyer, 'for', p.sale, 'of', p.quantity, 'for', p.cost,
					'until ' || (extract(epoch from p.pay_by) * 1000)::bigint) as what
			from purchases p
			where p.pay_by is not null or p.verb = 'pay'),
		made as (
			select
				o.receipt, o.sale,
				concat_ws(' ',
					o.status, 'order by', o.buyer, 'for', o.sale, 'of', o.quantity, 'for', o.amount,
					case when p.pay_by is null and p.verb = 'pay' then null
						else 'until ' || (extract(epoch from o.pay_by) * 1000)::bigint end) as what
			from orders o
			left join purchases p on p.id = o.receipt
			where not o.sale <@ `+gone+`)
		select
			coalesce(s.partition, -1), coalesce(d.sale, m.sale), 'order of ' || coalesce(d.id, m.receipt),
			coalesce(m.what, 'none'), coalesce(d.what, 'none')
		from due d
		full join made m on m.receipt = d.id
		left join sales s on s.id = coalesce(d.sale, m.sale)
		where m.what is distinct from d.what`)
}

// Payments: the entries of each receipt against those that it must have: of a
// purchase that was paid at once, of a payment, of what pays back, and of a change
// of slot, which does both. Who buys from himself, and is paid at once, has none,
// and nothing that is free has any.
//
// A purchase is paid into escrow; when nothing can be refunded any more, to the
// seller. Whether a receipt that was cancelled without ever having been held was
// paid, its cancel says; where a change of slot has replaced it, its own entry does:
// so then it is that entry and the way back that must agree.
func (i *Inspection) Payments(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		`+withEnds+`,
		made as (
			select
				receipt,
				string_agg(debit || ' to ' || credit || ': ' || amount, ', ' order by id) as what
			from entries
			where receipt is not null
			group by receipt),
		spent as (
			select distinct receipt, debit
			from entries),
		payouts as (
			select distinct on (sale) sale, at, seq
			from kept
			where verb = 'payout' and status = 'confirmed'
			order by sale, at, seq),
		paid as (
			select
				p.*,
				case
					when p.pay_by is not null then coalesce(e.pays, 0) > 0
					when p.status in ('confirmed', 'refunded') or p.verb = 'pay' then true
					when p.status <> 'cancelled' then false
					when e.cancels > 0 then e.back > 0
					else b.receipt is not null
				end as paid
			from purchases p
			left join ends e on e.target = p.id
			left join spent b on b.receipt = p.id and b.debit = p.buyer),
		due as (
			select p.id, 2 as step, p.buyer as debit, null::bigint as credit, p.cost as amount
			from paid p
			where p.paid and p.pay_by is null
			union all
			select r.id, 2, r.buyer, null, t.cost
			from kept r
			join purchases t on t.id = r.target
			where r.verb = 'pay' and r.quantity = 0
			union all
			select r.id, 1, -t.sale, r.buyer, t.cost
			from kept r
			join paid t on t.id = r.target
			where r.verb = 'refund'
				or r.verb = 'cancel' and r.unit_price > 0
				or r.verb = 'reserve' and t.paid),
		want as (
			select
				d.id,
				string_agg(d.debit || ' to ' || wallet.credit || ': ' || d.amount, ', ' order by d.step) as what
			from due d
			join kept r on r.id = d.id
			join sales s on s.id = r.sale
			left join payouts o on o.sale = r.sale
			cross join lateral (
				select coalesce(d.credit, case
					when s.payout_at = s.closes_at or (o.at, o.seq) < (r.at, r.seq) then s.seller
					else -s.id
				end) as credit) as wallet
			where d.amount > 0 and d.debit <> wallet.credit
			group by d.id)
		select
			s.partition, s.id, 'entries of ' || r.status || ' ' || r.verb || ' ' || r.id,
			coalesce(m.what, 'none'), coalesce(w.what, 'none')
		from kept r
		join sales s on s.id = r.sale
		left join want w on w.id = r.id
		left join made m on m.receipt = r.id
		where r.verb in ('bid', 'reserve', 'claim', 'join', 'pay', 'cancel', 'refund')
			and m.what is distinct from w.what
			and not (r.verb = 'reserve' and r.target is not null and `+goneOfStore+` and not exists (
				select
				from purchases t
				where t.id = r.target))`)
}
