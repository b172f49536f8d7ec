-- The books of the rivals: what a sale by bid needs in ours (migrations), and nothing
-- else. No notices, no list is served from here, so there is no index but the keys;
-- whoever is measured against Sluice writes less than it.

drop schema if exists rivals cascade;
create schema rivals;

-- One row: what these books are called. Whatever lives beside them in Redis is named
-- after them, so that nothing of an earlier sale is taken for this one's.
create table rivals.books (
  name uuid not null default gen_random_uuid()
);

insert into rivals.books default values;

create table rivals.sales (
  id      bigint primary key,
  stock   bigint not null check (stock >= 0),
  sold    bigint not null default 0 constraint sold_out check (sold between 0 and stock),
  version bigint not null default 0                                -- raised by each change, for who locks by it
) with (fillfactor = 50);

-- A buyer's wallet has his number, the escrow of a sale the negative number of it.
create table rivals.wallets (
  id      bigint primary key,
  opening bigint not null,
  balance bigint not null constraint short_points check (balance >= 0)
) with (fillfactor = 70);

create table rivals.receipts (
  id         uuid primary key,
  sale       bigint not null,
  buyer      bigint not null,
  quantity   bigint not null check (quantity >= 1),
  unit_price bigint not null check (unit_price >= 1),
  status     text not null check (status in ('confirmed', 'rejected')),
  reason     text not null default '',
  at         timestamptz not null default now()
);

-- Double entry in one row: what leaves one wallet enters another.
create table rivals.entries (
  id      bigint generated always as identity primary key,
  receipt uuid not null,
  debit   bigint not null,
  credit  bigint not null,
  amount  bigint not null check (amount >= 1),
  at      timestamptz not null default now(),
  check (debit <> credit)
);
