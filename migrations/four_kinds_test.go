package migrations_test

import (
	"database/sql"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver's name
	"github.com/pressly/goose/v3"
)

// stairs answers how a database is brought up and down to a version.
func stairs(t testing.TB, url string) (up, down func(version int64)) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	provider, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("."), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ []*goose.MigrationResult, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	up = func(version int64) { t.Helper(); must(provider.UpTo(t.Context(), version)) }
	down = func(version int64) { t.Helper(); must(provider.DownTo(t.Context(), version)) }
	return up, down
}

// TestFourKindsUpAndDown: an auction house of the release before is brought up and
// back down with everything it had; what only the new kinds have goes.
func TestFourKindsUpAndDown(t *testing.T) {
	url := blank(t)
	up, down := stairs(t, url)
	// had is what there was before, by the columns that there were.
	const had = `
		select (
			select string_agg(concat_ws(' ', id, kind, price_policy, start_price, price_drop, price_rate, price_period_ms, free, sold, closes_at), ',' order by id)
			from sales
			where kind = 'auction') || (
			select string_agg(concat_ws(' ', id, sale, verb, status, target), ',' order by id)
			from receipts
			where verb in ('bid', 'refund')) || (
			select string_agg(concat_ws(' ', id, balance), ',' order by id)
			from wallets
			where id <> -2)`
	up(2)
	exec(t, url, `
		insert into partitions (id) values (0);
		insert into accounts (role) values ('seller'), ('buyer');
		insert into wallets (id, kind, balance) values (1, 'user', 5), (2, 'user', 10), (-1, 'escrow', 0);
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, sold)
		values ('auction', 0, 1, 'lamp', 'constant', 10, 1, 0, 60000, 2, now(), now() + interval '10 min', now() + interval '1 h', true, 2, 1, 1);
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		values
			('00000000-0000-8000-8000-000000000001', 1, 2, 'bid', 1, 10, 'refunded', null, 1, 1, now()),
			('00000000-0000-8000-8000-000000000002', 1, 2, 'refund', 0, 10, 'confirmed', '00000000-0000-8000-8000-000000000001', 1, 2, now())`)
	before := ask[string](t, url, had)
	up(3)
	if after := ask[string](t, url, had); after != before {
		t.Errorf("up from %s\nto      %s", before, after)
	}
	exec(t, url, `
		insert into wallets (id, kind) values (-2, 'escrow');
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, held, hold_ms)
		values ('reservation', 0, 1, 'lamp', 'fixed', 0, 0, 0, 0, 1, now(), now() + interval '10 min', now() + interval '1 h', true, 1, 0, 1, 60000);
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, pay_by, fingerprint, seq, at)
		values ('00000000-0000-8000-8000-000000000003', 2, 2, 'reserve', 1, 0, 'held', now(), 1, 3, now());
		insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
		values ('00000000-0000-8000-8000-000000000003', 2, 2, 1, 0, 'pending', now(), now(), now(), now());
		insert into notices (account, at, word, sale, receipt)
		values (2, now(), 'held', 2, '00000000-0000-8000-8000-000000000003')`)
	down(2)
	if after := ask[string](t, url, had); after != before {
		t.Errorf("down from %s\nto        %s", before, after)
	}
	if n := ask[int](t, url, `select (select count(*) from sales) * 100 + (select count(*) from receipts) * 10 + (select count(*) from wallets where id < 0)`); n != 121 {
		t.Errorf("left are %d", n)
	}
	up(3) // and up again
	exec(t, url, `update sales set free = 0, sold = 2`)
}
