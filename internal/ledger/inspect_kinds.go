package ledger

import "context"

// Coupons: each confirmed claim against its coupon, on the terms of its sale; and
// each receipt that names a coupon against that: its buyer's, from its seller, valid
// when it was named, worth the discount, and used by him as long as his purchase
// lives, or for ever when that ended after the coupon had. Since a coupon is used by
// one receipt, it is used once.
func (i *Inspection) Coupons(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		`+withEnds+`,
		due as (
			select
				r.id, r.sale,
				concat_ws(' ', s.amount_off, 'off for', r.buyer, 'from', s.seller, 'by sale', s.id, 'valid', s.valid_from, 'to', s.valid_until) as what
			from kept r
			join sales s on s.id = r.sale
			where r.verb = 'claim' and r.status = 'confirmed'),
		made as (
			select
				id, sale,
				concat_ws(' ', amount, 'off for', buyer, 'from', seller, 'by sale', sale, 'valid', valid_from, 'to', valid_until) as what
			from coupons
			where not sale <@ `+gone+`),
		named as (
			select
				p.*, s.seller,
				p.status in ('held', 'waiting', 'confirmed') as lives,
				case p.status
					when 'expired' then p.pay_by
					when 'rejected' then s.closes_at
					else e.at
				end as ended
			from purchases p
			join sales s on s.id = p.sale
			left join ends e on e.target = p.id
			where p.coupon is not null)
		select coalesce(s.partition, -1), coalesce(d.sale, m.sale), 'coupon of claim ' || coalesce(d.id, m.id), coalesce(m.what, 'none'), coalesce(d.what, 'none')
		from due d
		full join made m on m.id = d.id
		left join sales s on s.id = coalesce(d.sale, m.sale)
		where m.what is distinct from d.what
		union all
		select
			coalesce(s.partition, -1), n.sale, 'coupon of ' || n.status || ' ' || n.verb || ' ' || n.id,
			coalesce(concat_ws(' ', 'of', c.buyer, 'from', c.seller, 'valid', c.valid_from, 'to', c.valid_until, 'worth', c.amount, 'used by', coalesce(c.used_by::text, 'nobody')), 'none'),
			concat_ws(' ', 'of', n.buyer, 'from', n.seller, 'valid at', n.at, 'worth', n.discount,
				case when n.lives or n.ended >= c.valid_until then 'used by it' else 'not used by it' end)
		from named n
		left join coupons c on c.id = n.coupon
		left join sales s on s.id = n.sale
		where not coalesce(
			(c.buyer, c.seller) = (n.buyer, n.seller)
			and n.at >= c.valid_from
			and n.at < c.valid_until
			and n.discount = least(c.amount, n.quantity::numeric * n.unit_price)
			and (c.used_by is not distinct from n.id) = (n.lives or n.ended >= c.valid_until), false)
		union all
		select
			coalesce(s.partition, -1), c.sale, 'coupon ' || c.id || ' is used by ' || c.used_by,
			coalesce('a ' || p.verb || ' that names ' || coalesce(p.coupon::text, 'none'), 'none'), 'a purchase that names it'
		from coupons c
		left join purchases p on p.id = c.used_by
		left join sales s on s.id = c.sale
		where c.used_by is not null and p.coupon is distinct from c.id
			and not (p.id is null and `+goneOfSeller(`c.seller`)+`)`)
}

// Notices: what was told against what became true. Whoever does not want notices
// gets none, so a missing one proves nothing; but of one receipt a word is told once,
// to its buyer, and none that its receipt gives the lie to.
func (i *Inspection) Notices(ctx context.Context, wrong func(Discrepancy)) error {
	return i.discrepancies(ctx, wrong, `
		with `+withPurchases+`,
		`+withEnds+`,
		told as (
			select
				n.*, p.status, p.verb, s.partition,
				n.account = p.buyer
				and n.sale = p.sale
				and case n.word
					when 'held' then p.verb = 'reserve' and n.at = p.at and n.pay_by = p.pay_by
					when 'promoted' then
						p.verb in ('reserve', 'join')
						and p.status <> 'waiting'
						and n.at >= p.at
						and n.pay_by is not distinct from p.pay_by
						and (p.pay_by is null or p.pay_by = n.at + s.hold_ms * interval '1 millisecond')
					when 'soon' then n.pay_by = p.pay_by
					when 'expired' then p.status = 'expired' and n.at = p.pay_by
					when 'confirmed' then p.status in ('confirmed', 'refunded', 'cancelled')
					when 'refunded' then
						p.cost > 0
						and (p.status = 'refunded' or p.status = 'cancelled' and (e.back > 0 or e.changes > 0 or `+goneOfStore+`))
					when 'closed' then p.status = 'rejected'
					when 'reminder' then n.at = s.starts_at - interval '24 hours' and p.at < n.at
					else false
				end as so
			from notices n
			left join purchases p on p.id = n.receipt
			left join sales s on s.id = n.sale
			left join ends e on e.target = p.id
			where n.word <> 'opens' and not n.sale <@ `+gone+`)
		select
			coalesce(t.partition, -1), t.sale, 'notice ' || t.id || ' to ' || t.account || ': ' || t.word || ' ' || coalesce(t.receipt::text, 'nothing'),
			coalesce(t.status || ' ' || t.verb, 'none'), 'of him, and so'
		from told t
		where t.so is not true
		union all
		select coalesce(t.partition, -1), t.sale, 'notices to ' || t.account || ': ' || t.word || ' ' || t.receipt, count(*)::text, '1'
		from told t
		group by t.partition, t.sale, t.account, t.word, t.receipt
		having count(*) > 1
		union all
		select coalesce(t.partition, -1), t.sale, 'notices to ' || t.account || ' of ' || t.receipt, 'held, promoted', 'one of them'
		from told t
		where t.word in ('held', 'promoted')
		group by t.partition, t.sale, t.account, t.receipt
		having count(distinct t.word) > 1
		union all
		select
			coalesce(s.partition, -1), n.sale, 'notice ' || n.id || ' to ' || n.account || ': opens',
			coalesce('opens at ' || s.opens_at, 'none'), 'open at ' || n.at
		from notices n
		left join sales s on s.id = n.sale
		where n.word = 'opens' and (s.opens_at <= n.at) is not true`)
}
