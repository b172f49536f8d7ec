package ledger

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/sale"
)

// TestLive: what an auditor goes round is what sells, waits, or is not paid for; found by
// an index of its own.
func TestLive(t *testing.T) {
	b := open(t)
	states := map[string]string{
		"scheduled": ``,
		"open":      `phase = 'open'`,
		"unpaid":    `phase = 'closed'`,
		"over":      `phase = 'closed', paid_out = true`,
		"suspended": `phase = 'closed', paid_out = true, suspended = true, suspensions = 1`,
	}
	named := map[int64]string{}
	for name, set := range states {
		s := b.sale(time.Minute, time.Hour)
		named[s.ID] = name
		if set != "" {
			_, err := b.pool.Exec(b.ctx, `update sales set partition = 1, `+set+` where id = $1`, s.ID)
			b.must(err)
		}
	}
	names := func(of []*sale.Stand) string {
		var all []string
		for _, name := range []string{"scheduled", "open", "unpaid", "over", "suspended"} {
			for _, s := range of {
				if named[s.ID] == name {
					all = append(all, name)
				}
			}
		}
		return strings.Join(all, " ")
	}
	b.must(b.Glance(b.ctx, func(i *Inspection) error {
		live, err := i.Live(b.ctx, 1)
		var all []*sale.Stand
		for _, s := range live {
			all = append(all, s)
		}
		if got := names(all); got != "open unpaid" {
			t.Errorf("live are %s", got)
		}
		return err
	}))
	for suspended, want := range map[bool]string{false: "open unpaid suspended", true: "suspended"} {
		listed, err := b.LiveSales(b.ctx, suspended, 0, 10)
		b.must(err)
		if got := names(listed); got != want {
			t.Errorf("listed are %s, not %s", got, want)
		}
		page, err := b.LiveSales(b.ctx, suspended, listed[0].ID, 1)
		b.must(err)
		if len(listed) > 1 && (len(page) != 1 || page[0].ID != listed[1].ID) {
			t.Errorf("the next page is %+v", page)
		}
	}
	_, err := b.pool.Exec(b.ctx, `
		insert into sales (
			kind, partition, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, free, phase, paid_out)
		select
			kind, 1, seller, title, price_policy, start_price, price_drop, price_rate, price_period_ms, per_buyer_limit,
			opens_at, closes_at, payout_at, show_stock, stock, stock, 'closed', true
		from sales, generate_series(1, 5000)
		where id = (select min(id) from sales)`)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `analyze sales`)
	b.must(err)
	plan := b.explain("force_custom_plan", `select s.id from sales s where s.partition = $1 and `+isLive, []any{1})
	if !strings.Contains(plan.text, "sales_live") {
		t.Errorf("found by\n%s", plan.text)
	}
}
