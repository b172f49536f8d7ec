-- What the books say of sale $1. Points are right when every wallet has what it began
-- with and what was moved since, and every confirmed receipt, and nothing else, moved
-- its cost from its buyer to the escrow of its sale, once.
with mine as (
  select status, quantity
  from rivals.receipts
  where sale = $1
),
moved as (
  select wallet, sum(amount) as amount
  from (
    select debit as wallet, -amount as amount from rivals.entries
    union all
    select credit, amount from rivals.entries
  ) as sides
  group by wallet
),
wrong_wallets as (
  select 1
  from rivals.wallets as w
  full join moved as m on m.wallet = w.id
  where w.id is null or w.balance <> w.opening + coalesce(m.amount, 0)
),
paid as (
  select receipt, count(*) as times, min(debit) as debit, min(credit) as credit, min(amount) as amount
  from rivals.entries
  group by receipt
),
wrong_receipts as (
  select 1
  from (select * from rivals.receipts where status = 'confirmed') as r
  full join paid as p on p.receipt = r.id
  where r.id is null or p.receipt is null or p.times <> 1
     or p.debit <> r.buyer or p.credit <> -r.sale or p.amount <> r.quantity * r.unit_price
)
select
  (select coalesce(sum(quantity), 0) from mine where status = 'confirmed'),
  s.stock,
  s.sold,
  (select count(*) from rivals.entries where credit = -$1::bigint),
  (select count(*) from mine where status = 'confirmed'),
  (select count(*) from mine where status = 'rejected'),
  not exists (select from wrong_wallets) and not exists (select from wrong_receipts)
from rivals.sales as s
where s.id = $1
