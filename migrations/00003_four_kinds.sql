-- Reservations, coupons, events and tables beside the auction: holds and the
-- orders they make, waiting lines, coupons, stores with their slots, notices.
--
-- One lock order for every writer: partition, receipts, wallets by id, coupons by
-- id, sale, the rest.

-- +goose Up

-- A seller's place with tables: its opening hours make the slots, each of which is
-- a sale of its own, all in one partition.
create table stores (
  id              bigint generated always as identity primary key,
  partition       smallint not null references partitions,
  seller          bigint not null references accounts,
  title           text not null check (title <> ''),
  description     text not null default '' check (length(description) <= 4000),
  time_zone       text not null check (time_zone <> ''),
  tables          bigint not null check (tables between 1 and 1000),
  unit_price      bigint not null check (unit_price between 0 and 9007199254740991),
  refund_ms       bigint not null check (refund_ms between 0 and 7776000000),
  hold_ms         bigint not null check (hold_ms between 1000 and 604800000 and hold_ms % 1000 = 0),
  days_ahead      smallint not null check (days_ahead between 1 and 60),
  opens           smallint[] not null check (cardinality(opens) = 7 and 0 <= all (opens)),   -- minute of the day, from Monday on; null: closed that day
  closes          smallint[] not null check (cardinality(closes) = 7 and 1410 >= all (closes)),  -- the same; a slot may begin at it
  published       date,                                                  -- days up to this one have their slots; null: none yet
  publish_at      timestamptz not null default now(),                    -- when there is another day to publish
  created_at      timestamptz not null default now(),
  closed_at       timestamptz,                                           -- no slots from then on
  request         uuid unique,
  fingerprint     bigint,
  check ((request is null) = (fingerprint is null))
);
create index stores_open       on stores (id)         where closed_at is null;
create index stores_of_seller  on stores (seller, id) where closed_at is null;
create index stores_to_publish on stores (publish_at) where closed_at is null;

alter table sales
  drop constraint sales_kind_check,
  drop constraint sales_price_policy_check,
  drop constraint sales_price_period_ms_check,
  drop constraint sales_start_price_check,
  drop constraint sales_check5,
  add column hold_ms    bigint not null default 0 check (hold_ms between 0 and 604800000 and hold_ms % 1000 = 0),
  add column line_most  bigint not null default 0 check (line_most between 0 and 100000),   -- receipts that may wait
  add column max_bypass bigint not null default 0 check (max_bypass between 0 and 1000),
  add column amount_off bigint not null default 0 check (amount_off between 0 and 9007199254740991),
  add column valid_from  timestamptz,
  add column valid_until timestamptz,
  add column store      bigint references stores,
  add column starts_at  timestamptz,
  add column waiting    bigint not null default 0 check (waiting >= 0),                     -- receipts in the line
  add column shown      text not null generated always as (                                 -- as last settled; for indexes: free changes always, this seldom
    case when phase = 'open' and free = 0 then 'sold_out' else phase end) stored,
  add column lined      boolean not null generated always as (waiting > 0) stored,          -- the same
  add column watched    boolean not null default false,                                     -- somebody wants to know of its opening
  add column announced  boolean not null default false,                                     -- and was told
  add column reminded   boolean not null default false,                                     -- of starts_at
  add constraint sales_kind_check check (kind in ('auction', 'reservation', 'coupon', 'event')),
  add constraint sales_price_check check (case price_policy
    when 'fixed'      then kind <> 'auction' and start_price between 0 and 9007199254740991 and price_drop = 0 and price_rate = 0 and price_period_ms = 0
    when 'constant'   then kind = 'auction' and start_price between 1 and 9007199254740991
                           and price_drop between 1 and start_price - 1 and price_rate = 0 and price_period_ms > 0 and price_period_ms % 1000 = 0
    when 'percentage' then kind = 'auction' and start_price between 1 and 9007199254740991
                           and price_drop = 0 and price_rate >= 1 and price_period_ms > 0 and price_period_ms % 1000 = 0
    else false end),
  add constraint sales_hold_check check ((hold_ms > 0) = (kind in ('reservation', 'event'))),
  add constraint sales_line_check check (kind in ('reservation', 'event') or line_most = 0 and max_bypass = 0 and waiting = 0),
  add constraint sales_waiting_check2 check (waiting <= line_most),
  add constraint sales_coupon_check check (case kind
    when 'coupon' then amount_off >= 1 and valid_from is not null and valid_until > valid_from and start_price = 0 and per_buyer_limit = 1
    else amount_off = 0 and valid_from is null and valid_until is null end),
  add constraint sales_event_check check (starts_at is null or kind = 'event' and starts_at >= closes_at),
  add constraint sales_slot_check check (store is null or starts_at is not null and starts_at = closes_at and per_buyer_limit = 1);

-- Every slot of a store once. Also how the slots of a day are found.
create unique index sales_of_store on sales (store, starts_at) where store is not null;

-- What keeps a seller from leaving.
create index sales_unpaid on sales (seller) where not paid_out;

-- What the scheduler looks for. A slot opens by itself when somebody asks for it.
drop index sales_to_open;
create index sales_to_open     on sales (opens_at)  where phase = 'scheduled' and store is null;
create index sales_to_sweep    on sales (closes_at) where phase = 'closed' and lined;
create index sales_to_announce on sales (opens_at)  where watched and not announced;
create index sales_to_remind   on sales (starts_at) where starts_at is not null and not reminded;

-- Lists show sales that are not slots. A state is found by what was shown when the
-- sale was last settled: with kinds that may last a year, time alone does not keep
-- the open ones together. No counter stands in an index, so that settling a batch
-- rewrites none of them.
drop index sales_by_opening, sales_by_closing, sales_of_kind_by_opening, sales_of_kind_by_closing,
           sales_of_seller_by_opening, sales_of_seller_by_closing;
create index sales_by_opening           on sales (opens_at, id)          where store is null;
create index sales_by_closing           on sales (closes_at, id)         where store is null;
create index sales_of_kind_by_opening   on sales (kind, opens_at, id)    where store is null;
create index sales_of_kind_by_closing   on sales (kind, closes_at, id)   where store is null;
create index sales_of_seller_by_opening on sales (seller, kind, opens_at, id)  where store is null;
create index sales_of_seller_by_closing on sales (seller, kind, closes_at, id) where store is null;
create index shown_by_opening           on sales (shown, opens_at, id)          where store is null;
create index shown_by_closing           on sales (shown, closes_at, id)         where store is null;
create index shown_of_kind_by_opening   on sales (kind, shown, opens_at, id)    where store is null;
create index shown_of_kind_by_closing   on sales (kind, shown, closes_at, id)   where store is null;
create index shown_of_seller_by_opening on sales (seller, kind, shown, opens_at, id)  where store is null;
create index shown_of_seller_by_closing on sales (seller, kind, shown, closes_at, id) where store is null;

-- Receipts. A rejected one has a row only if it waited before.
alter table receipts
  drop constraint receipts_verb_check,
  drop constraint receipts_status_check,
  drop constraint receipts_check,
  add column reason   text not null default '' check (reason in ('', 'closed')),
  add column pay_by   timestamptz,                                        -- set once it is held, for ever
  add column coupon   uuid,                                               -- claim receipt of the coupon it uses
  add column discount bigint not null default 0 check (discount >= 0),    -- points off quantity × unit_price
  add column passed   bigint not null default 0 check (passed between 0 and 1000), -- times that others went before it in the line
  add constraint receipts_verb_check check (verb in (
    'bid', 'refund', 'change', 'open', 'close', 'payout', 'reserve', 'claim', 'join', 'pay', 'cancel', 'expire')),
  add constraint receipts_status_check check (status in (
    'confirmed', 'held', 'waiting', 'rejected', 'expired', 'cancelled', 'refunded')),
  add constraint receipts_reason_check2 check ((status = 'rejected') = (reason <> '')),
  add constraint receipts_target_check check (case
    when verb in ('refund', 'pay', 'cancel') then target is not null
    when verb = 'reserve' then true                                        -- of a change of slot: the booking it replaces
    else target is null end),
  add constraint receipts_units_check check (verb not in ('reserve', 'claim', 'join') or quantity >= 1 and buyer > 0),
  add constraint receipts_hold_check check (pay_by is not null or status not in ('held', 'expired')),
  add constraint receipts_discount_most check (discount = 0 or discount <= quantity::numeric * unit_price),
  add constraint receipts_coupon_check check (coupon is not null or discount = 0);

-- What is held and what waits, for whoever loads a sale; and what became of those
-- that are not simply confirmed, newest first, for their seller.
create index receipts_of_status on receipts (sale, status, at, id) where status <> 'confirmed';

-- One purchase is paid once, and given back once: refunded, cancelled, or replaced
-- by another slot. One coupon has one purchase. Whatever happens above.
drop index receipts_one_refund;
create unique index receipts_one_payment on receipts (target) where verb = 'pay';
create unique index receipts_one_return  on receipts (target) where verb in ('refund', 'cancel', 'reserve') and target is not null;
create unique index receipts_one_use     on receipts (coupon) where coupon is not null and status in ('confirmed', 'held', 'waiting');

-- A coupon: the confirmed claim of that number.
create table coupons (
  id          uuid primary key,
  sale        bigint not null,
  buyer       bigint not null,
  seller      bigint not null,
  amount      bigint not null check (amount between 1 and 9007199254740991),
  valid_from  timestamptz not null,
  valid_until timestamptz not null check (valid_until > valid_from),
  used_by     uuid unique,                                                -- receipt of the purchase; null: not used
  unique (buyer, sale)
);
create index coupons_unused on coupons (buyer, valid_until, id) where used_by is null;
create index coupons_used   on coupons (buyer, valid_until, id) where used_by is not null;

-- An order: what a hold is to be paid for, under the receipt of the reservation (of
-- a payment that came too late and bought a free unit: under its own).
create table orders (
  receipt    uuid primary key,
  sale       bigint not null,
  buyer      bigint not null,
  quantity   bigint not null check (quantity >= 1),
  amount     bigint not null check (amount between 0 and 9007199254740991), -- points, all units, less the discount
  status     text not null check (status in ('pending', 'paid', 'expired', 'cancelled')),
  pay_by     timestamptz not null,
  remind_at  timestamptz not null check (remind_at <= pay_by),
  reminded   boolean not null default false,
  created_at timestamptz not null,
  changed_at timestamptz not null
);
create index orders_due      on orders (pay_by, receipt)    where status = 'pending';
create index orders_to_remind on orders (remind_at)         where status = 'pending' and not reminded;
create index orders_of_buyer on orders (buyer, status, created_at, receipt);

-- What people are told. The words of a receipt are written by the settlement that
-- makes them true; soon, opens and reminder by the scheduler. Every purchase pays
-- for each index here, so there is one: it lists an account's, the read and the
-- unread. One that begins with id would also be walked in search of an account.
create table notices (
  id      bigint generated always as identity,
  account bigint not null,
  at      timestamptz not null,
  word    text not null check (word in (
    'held', 'promoted', 'soon', 'expired', 'confirmed', 'refunded', 'closed', 'opens', 'reminder')),
  sale    bigint not null,
  receipt uuid check ((receipt is null) = (word = 'opens')),
  pay_by  timestamptz,                                                    -- of held, promoted and soon
  read    boolean not null default false
);
create index notices_of_account on notices (account, read, id);
create unique index notices_once on notices (receipt, word) where word in ('soon', 'reminder');
create unique index notices_opens_once on notices (sale, account) where word = 'opens';

alter table accounts add column notices boolean not null default true;
-- Who is not to be told: next to nobody, so it costs next to nothing to ask.
create index accounts_silent on accounts (id) where not notices or deleted_at is not null;

-- Who wants to know of an opening, and was not told yet.
create table watches (
  sale    bigint not null references sales on delete cascade,
  account bigint not null,
  primary key (sale, account)
);

-- What became of a booking whose slot has begun, says the store.
create table attendance (
  receipt uuid primary key,
  word    text not null check (word in ('completed', 'no_show')),
  at      timestamptz not null default now()
);

-- How many requests to buy were rejected at once, and why: they have no rows of
-- their own. Those that waited until the close have one, and are not counted here.
create table rejections (
  sale   bigint not null,
  reason text not null check (reason <> ''),
  n      bigint not null check (n >= 1),
  primary key (sale, reason)
) with (fillfactor = 50);

-- +goose Down
drop table rejections, attendance, watches, notices, orders, coupons;
drop index accounts_silent;
alter table accounts drop column notices;
drop index receipts_one_payment, receipts_one_return, receipts_one_use, receipts_of_status;
delete from receipts where verb not in ('bid', 'refund', 'change', 'open', 'close', 'payout');
create unique index receipts_one_refund on receipts (target) where verb = 'refund';
alter table receipts
  drop constraint receipts_verb_check, drop constraint receipts_status_check, drop constraint receipts_target_check,
  drop constraint receipts_units_check,
  drop column reason, drop column pay_by, drop column coupon, drop column discount, drop column passed,
  add constraint receipts_verb_check check (verb in ('bid', 'refund', 'change', 'open', 'close', 'payout')),
  add constraint receipts_status_check check (status in ('confirmed', 'held', 'waiting', 'expired', 'cancelled', 'refunded')),
  add constraint receipts_check check ((verb = 'refund') = (target is not null));
drop index shown_of_seller_by_closing, shown_of_seller_by_opening, shown_of_kind_by_closing, shown_of_kind_by_opening, shown_by_closing, shown_by_opening,
           sales_of_seller_by_closing, sales_of_seller_by_opening, sales_of_kind_by_closing, sales_of_kind_by_opening, sales_by_closing, sales_by_opening,
           sales_to_open, sales_to_sweep, sales_to_announce, sales_to_remind, sales_of_store, sales_unpaid;
delete from wallets w using sales s where w.id = -s.id and s.kind <> 'auction';
delete from sales where kind <> 'auction';
alter table sales
  drop constraint sales_kind_check, drop constraint sales_price_check, drop constraint sales_hold_check, drop constraint sales_line_check,
  drop constraint sales_waiting_check2, drop constraint sales_coupon_check, drop constraint sales_event_check, drop constraint sales_slot_check,
  drop column hold_ms, drop column line_most, drop column max_bypass, drop column amount_off, drop column valid_from, drop column valid_until,
  drop column store, drop column starts_at, drop column shown, drop column lined, drop column waiting,
  drop column watched, drop column announced, drop column reminded,
  add constraint sales_kind_check check (kind in ('auction')),
  add constraint sales_price_policy_check check (price_policy in ('constant', 'percentage')),
  add constraint sales_price_period_ms_check check (price_period_ms > 0 and price_period_ms % 1000 = 0),
  add constraint sales_start_price_check check (start_price between 1 and 9007199254740991),
  add constraint sales_check5 check (price_policy = 'constant' and price_drop between 1 and start_price - 1 and price_rate = 0
      or price_policy = 'percentage' and price_drop = 0 and price_rate >= 1);
drop table stores;
create index sales_to_open              on sales (opens_at) where phase = 'scheduled';
create index sales_by_opening           on sales (opens_at, id);
create index sales_by_closing           on sales (closes_at, id);
create index sales_of_kind_by_opening   on sales (kind, opens_at, id);
create index sales_of_kind_by_closing   on sales (kind, closes_at, id);
create index sales_of_seller_by_opening on sales (seller, opens_at, id);
create index sales_of_seller_by_closing on sales (seller, closes_at, id);
