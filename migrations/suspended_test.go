package migrations_test

import (
	"testing"
)

// TestSuspendedSalesUpAndDown: what the release before writes goes in beside it, a
// suspended sale is on sale again when it is taken back, and nothing else changes.
func TestSuspendedSalesUpAndDown(t *testing.T) {
	url := blank(t)
	up, down := stairs(t, url)
	up(3)
	exec(t, url, `
		insert into partitions (id) values (0);
		insert into accounts (role) values ('seller'), ('buyer');
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, sold, phase)
		values ('auction', 0, 1, 'lamp', 'constant', 10, 1, 0, 60000, 2, now(), now() + interval '10 min', now() + interval '1 h', true, 2, 1, 1, 'open');
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		values ('00000000-0000-8000-8000-000000000001', 1, 2, 'bid', 1, 10, 'confirmed', 1, 1, now())`)
	const had = `
		select concat_ws(' ', s.id, s.phase, s.stock, s.free, s.sold, s.paid_out, s.shown, (select count(*) from receipts))
		from sales s`
	before := ask[string](t, url, had)
	up(4)
	if after := ask[string](t, url, had); after != before || ask[bool](t, url, `select suspended from sales`) {
		t.Errorf("up from %s\nto      %s", before, after)
	}
	// The release before knows no such columns.
	exec(t, url, `update sales set free = free - 1, sold = sold + 1, phase = 'open', paid_out = false`)
	exec(t, url, `update sales set free = free + 1, sold = sold - 1`)
	exec(t, url, `
		update sales set suspended = true, suspensions = 1;
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, fingerprint, seq, at)
		values ('00000000-0000-8000-8000-000000000002', 1, 0, 'suspend', 0, 0, 'confirmed', 1, 2, now())`)
	down(3)
	if after := ask[string](t, url, had); after != before {
		t.Errorf("down from %s\nto        %s", before, after)
	}
	up(4)
}
