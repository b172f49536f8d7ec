-- Receipts by era: the table of today becomes the first one, as it is, and empty ones
-- are ready for the next two. All that takes long is done (00005); this takes the
-- table for itself alone, for some milliseconds, once nobody has it.

-- +goose Up

select briefly('lock table receipts in access exclusive mode');

alter table receipts rename to receipts_0;
alter index receipts_by_buyer    rename to receipts_0_by_buyer;
alter index receipts_of_sale     rename to receipts_0_of_sale;
alter index receipts_of_status   rename to receipts_0_of_status;
alter index receipts_pkey        rename to receipts_0_pkey;
alter index receipts_one_payment rename to receipts_0_one_payment;
alter index receipts_one_return  rename to receipts_0_one_return;
alter index receipts_one_use     rename to receipts_0_one_use;

create table receipts (like receipts_0 including defaults including constraints including storage) partition by range (sale);
alter table receipts drop constraint receipts_era;

-- Column by column as they are there: then they are the same index, and none is built.
create index receipts_by_buyer  on receipts (buyer, at, id);
create index receipts_of_sale   on receipts (sale, at, id);
create index receipts_of_status on receipts (sale, status, at, id) where status <> 'confirmed';

-- The unique ones are each era's own: one of all eras would have to name the sale, would
-- be wider, and would say less. So within an era everything is as impossible as it was:
-- an ID twice, a purchase paid or given back twice, a coupon used twice. Of two eras, a
-- booking and the one that replaces it, or two purchases with one coupon, the ledger
-- proves it before it commits, and the audit afterwards.

-- +goose StatementBegin
do $$
declare
  bound bigint := (select past from eras where first = 0);
  may record;
begin
  execute format('alter table receipts attach partition receipts_0 for values from (minvalue) to (%s)', bound);
  alter table receipts_0 drop constraint receipts_era;
  for ahead in 0 .. 1 loop
    insert into eras (first, past) values (bound, bound + 10000000);
    execute format('create table receipts_%s (like receipts_0 including defaults including constraints including indexes including storage)', bound);
    execute format('alter table receipts attach partition receipts_%s for values from (%s) to (%s)', bound, bound, bound + 10000000);
    bound := bound + 10000000;
  end loop;
  -- A sale whose receipts would have no place cannot be made.
  execute format('alter sequence sales_id_seq maxvalue %s', bound - 1);
  -- Whoever may read receipts may go on reading them.
  for may in
    select a.privilege_type, a.grantee, a.is_grantable
    from pg_class c, aclexplode(c.relacl) a
    where c.oid = 'receipts_0'::regclass and a.grantee <> c.relowner
  loop
    execute format('grant %s on receipts to %s%s', may.privilege_type,
      case may.grantee when 0 then 'public' else may.grantee::regrole::text end,
      case when may.is_grantable then ' with grant option' else '' end);
  end loop;
end $$;
-- +goose StatementEnd

drop function briefly;

-- +goose Down

-- All in one table again, which takes as long as copying what is not in the first.
lock table receipts in access exclusive mode;
alter sequence sales_id_seq no maxvalue;
-- +goose StatementBegin
do $$
declare
  era record;
begin
  for era in
    select inhrelid::regclass::text as part
    from pg_inherits
    where inhparent = 'receipts'::regclass
    order by inhrelid::regclass::text <> 'receipts_0'
  loop
    execute format('alter table receipts detach partition %s', era.part);
    if era.part <> 'receipts_0' then
      execute format('insert into receipts_0 select * from %s', era.part);
      execute format('drop table %s', era.part);
    end if;
  end loop;
  delete from eras;
  insert into eras (first, past) values (0, ((select greatest(last_value, (select max(sale) from receipts_0)) from sales_id_seq) / 10000000 + 2) * 10000000);
  execute format('alter table receipts_0 add constraint receipts_era check (sale < %s) not valid', (select past from eras));
end $$;
-- +goose StatementEnd
drop table receipts;
alter table receipts_0 rename to receipts;
alter index receipts_0_by_buyer    rename to receipts_by_buyer;
alter index receipts_0_of_sale     rename to receipts_of_sale;
alter index receipts_0_of_status   rename to receipts_of_status;
alter index receipts_0_pkey        rename to receipts_pkey;
alter index receipts_0_one_payment rename to receipts_one_payment;
alter index receipts_0_one_return  rename to receipts_one_return;
alter index receipts_0_one_use     rename to receipts_one_use;
-- +goose StatementBegin
create function briefly(statement text) returns void
language plpgsql as $$
begin
  execute statement;
end $$;
-- +goose StatementEnd
