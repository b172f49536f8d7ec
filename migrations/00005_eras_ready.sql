-- Receipts fall into eras: ranges of sale IDs, each a table of its own, so that those
-- of old sales are dropped and not deleted (00006). Here the table of today is made
-- ready to be the first of them while the release before goes on settling. Nothing
-- here is held for long; every statement may die, and be run again.

-- +goose NO TRANSACTION
-- +goose Up

-- Ranges of sale IDs, without gaps: the receipts of the sales of one are in the table
-- receipts_<first>. Sale IDs come from a sequence, which never goes back; upkeep moves
-- it on to the next era at the first of a month.
create table if not exists eras (
  first      bigint primary key check (first >= 0),
  past       bigint not null unique check (past > first and past <= 9007199254740991), -- the first ID beyond
  month      date check (extract(day from month) = 1),  -- (UTC) in which the first sale was made, as far as upkeep knows; null: none was
  leaves_at  timestamptz,                               -- when its receipts go; all its sales had been over for long when that was said
  dropped_at timestamptz check (dropped_at >= leaves_at)
);

-- The first one has room for whatever is sold until all this is done.
insert into eras (first, past, month)
select
  0,
  ((greatest(last_value, (select max(sale) from receipts)) + 5000000) / 10000000 + 1) * 10000000,
  date_trunc('month', now() at time zone 'utc')
from sales_id_seq
where not exists (select from eras);

-- briefly runs a statement that wants a table for itself alone. Whoever comes after a
-- statement that waits for its lock waits, too; so it waits a fifth of a second at
-- most, lets everybody go on, and tries again, for some ten minutes.
-- +goose StatementBegin
create or replace function briefly(statement text) returns void
language plpgsql as $$
begin
  for attempt in 1 .. 1000 loop
    perform set_config('lock_timeout', '200ms', true);
    begin
      execute statement;
      perform set_config('lock_timeout', '10s', true);
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.2 + 0.6 * random());
    end;
  end loop;
  raise lock_not_available using message = 'somebody has been using it all the time: ' || statement;
end $$;
-- +goose StatementEnd

-- What says that no receipt is beyond the era.
-- +goose StatementBegin
do $$
begin
  if not exists (select from pg_constraint where conrelid = 'receipts'::regclass and conname = 'receipts_era') then
    perform briefly(format('alter table receipts add constraint receipts_era check (sale < %s) not valid', (select min(past) from eras)));
  end if;
end $$;
-- +goose StatementEnd
alter table receipts validate constraint receipts_era;
alter table receipts validate constraint receipts_verb_check; -- not yet, since 00004

-- +goose Down
alter table receipts drop constraint if exists receipts_era;
drop function if exists briefly;
drop table if exists eras;
