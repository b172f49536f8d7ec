-- Sales that are suspended: they sell nothing until an operator resumes them. The
-- release before knows nothing of it and goes on working on this schema; a sale that
-- it settles is not suspended to it.

-- +goose Up

alter table sales
  add column suspended   boolean not null default false,
  add column suspensions integer not null default 0 check (suspensions >= 0), -- times it has been; a payout that was due meanwhile is asked for anew
  add constraint sales_suspended_check check (not suspended or suspensions > 0 and phase <> 'scheduled');
create index sales_suspended on sales (id) where suspended;

-- What the audit goes round. No counter stands in it, so that settling a batch
-- rewrites none of it.
create index sales_live on sales (partition, id) where phase = 'open' or phase = 'closed' and (not paid_out or lined);

-- Every row there is passed a stricter rule: so no table is read, and nobody waits.
alter table receipts
  drop constraint receipts_verb_check,
  add constraint receipts_verb_check check (verb in (
    'bid', 'refund', 'change', 'open', 'close', 'payout', 'reserve', 'claim', 'join', 'pay', 'cancel', 'expire',
    'suspend', 'resume')) not valid;

-- +goose Down
delete from receipts where verb in ('suspend', 'resume');
alter table receipts
  drop constraint receipts_verb_check,
  add constraint receipts_verb_check check (verb in (
    'bid', 'refund', 'change', 'open', 'close', 'payout', 'reserve', 'claim', 'join', 'pay', 'cancel', 'expire'));
drop index sales_live, sales_suspended;
alter table sales drop constraint sales_suspended_check, drop column suspended, drop column suspensions;
