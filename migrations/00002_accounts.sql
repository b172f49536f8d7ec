-- Accounts that sign in, top-ups and sales that are made once per key, and the
-- lists: each by an index, none of which costs more as history grows.

-- +goose Up

-- An account of the demo or of a test may have neither e-mail nor password; it
-- cannot sign in. A deleted one has neither any more; its wallet stays, since the
-- ledger names it.
alter table accounts
  add column email      text check (length(email) between 3 and 254),
  add column password   text,                                     -- argon2id, PHC string
  add column deleted_at timestamptz,
  add check ((email is null) = (password is null)),
  add check (deleted_at is null or email is null);

create unique index accounts_by_email on accounts (lower(email));

-- The POST that made it; a second one under the same key finds it here.
alter table entries
  add column request     uuid unique,
  add column fingerprint bigint,
  add check ((request is null) = (fingerprint is null)),
  add check (request is null or receipt is null);

alter table sales
  add column request     uuid unique,
  add column fingerprint bigint,
  add column description text not null default '' check (length(description) <= 4000),
  add check ((request is null) = (fingerprint is null));

-- Statements: an account's entries, newest first.
create index entries_by_debit  on entries (debit, id);
create index entries_by_credit on entries (credit, id);

-- Receipts of a buyer, and of a sale, newest first.
create index receipts_by_buyer on receipts (buyer, at, id);
create index receipts_of_sale  on receipts (sale, at, id);
drop index receipts_by_sale; -- the one above serves as well, and each index costs every settlement

-- Sales by opening and by closing: all, of one kind, of one seller. No counter and
-- no text stands in an index, so that settling a batch rewrites none of them.
create index sales_by_opening           on sales (opens_at, id);
create index sales_by_closing           on sales (closes_at, id);
create index sales_of_kind_by_opening   on sales (kind, opens_at, id);
create index sales_of_kind_by_closing   on sales (kind, closes_at, id);
create index sales_of_seller_by_opening on sales (seller, opens_at, id);
create index sales_of_seller_by_closing on sales (seller, closes_at, id);

-- +goose Down
create index receipts_by_sale on receipts (sale, buyer);
drop index sales_of_seller_by_closing, sales_of_seller_by_opening, sales_of_kind_by_closing, sales_of_kind_by_opening, sales_by_closing, sales_by_opening, receipts_of_sale, receipts_by_buyer, entries_by_credit, entries_by_debit;
alter table sales drop column request, drop column fingerprint, drop column description;
alter table entries drop column request, drop column fingerprint;
alter table accounts drop column email, drop column password, drop column deleted_at;
