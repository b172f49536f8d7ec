package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/sale"
)

// integrity is the class of errors by which the schema refuses.
const integrity = "23"

// refused fails for every statement that the schema lets through.
func (b *books) refused(statements map[string]string) {
	b.t.Helper()
	for name, statement := range statements {
		tx, err := b.pool.Begin(b.ctx)
		b.must(err)
		violation := (*pgconn.PgError)(nil)
		if tag, err := tx.Exec(b.ctx, statement); !errors.As(err, &violation) || !strings.HasPrefix(violation.Code, integrity) {
			b.t.Errorf("%s went in: %s, %v", name, tag, err)
		}
		b.must(tx.Rollback(b.ctx))
	}
}

// TestSchemaSaysWhatIsImpossible writes past the code.
func TestSchemaSaysWhatIsImpossible(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	batch := b.batch(s, 100)
	b.must(b.Settle(b.ctx, batch))
	b.refused(map[string]string{
		"oversold":                  `update sales set sold = 11, free = -1`,
		"units that do not add up":  `update sales set sold = 5`,
		"a negative wallet":         `update wallets set balance = -1 where kind = 'user'`,
		"points above 2^53-1":       `update wallets set balance = 9007199254740992 where kind = 'user'`,
		"a source with points":      `update wallets set balance = 1 where kind = 'source'`,
		"an entry to oneself":       `insert into entries (at, debit, credit, amount) values (now(), 1, 1, 5)`,
		"an entry of nothing":       `insert into entries (at, debit, credit, amount) values (now(), 1, 2, 0)`,
		"a fork in the log":         `insert into batches select partition, prev_ms, prev_no, last_ms + 1, last_no, seq, epoch, at, entries, facts, outcomes, effects from batches`,
		"a batch that goes back":    `insert into batches select partition, last_ms, last_no, prev_ms, prev_no, seq, epoch, at, entries, facts, outcomes, effects from batches`,
		"two refunds of one bid":    about2("refund"),
		"a bid without price":       `update receipts set unit_price = 0`,
		"a rejected receipt":        `update receipts set status = 'rejected'`,
		"a reason for nothing":      `update receipts set reason = 'closed'`,
		"another reason":            `update receipts set status = 'rejected', reason = 'sold_out'`,
		"a stock price too big":     `update sales set start_price = 9007199254740991`,
		"a close before the open":   `update sales set closes_at = opens_at`,
		"a payout before the close": `update sales set payout_at = opens_at`,
		"a partition of nowhere":    `update sales set partition = 99`,
		"a second wallet":           `insert into wallets (id, kind) values (0, 'source')`,
		"a role of one's own":       `update accounts set role = 'god'`,
		"a fixed price auction":     `update sales set price_policy = 'fixed'`,
		"an auction with holds":     `update sales set hold_ms = 1000`,
		"an auction with a line":    `update sales set line_most = 1`,
		"an auction of coupons":     `update sales set amount_off = 1`,
		"an auction of seats":       `update sales set starts_at = closes_at`,
		"suspended and never was":   `update sales set suspended = true`,
		"suspended before it opens": `update sales set suspended = true, suspensions = 1, phase = 'scheduled'`,
	})
}

// about2 makes two requests about one purchase.
func about2(verb string) string {
	return `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select gen_random_uuid(), sale, buyer, '` + verb + `', 1, 0, 'confirmed', id, fingerprint, seq, at
		from (select * from receipts where verb in ('bid', 'reserve') limit 1) as bought, generate_series(1, 2)`
}

// TestSchemaSaysWhatIsImpossibleOfHolds does the same with the other kinds.
func TestSchemaSaysWhatIsImpossibleOfHolds(t *testing.T) {
	st := newStage(t)
	c := st.offer(sale.Sale{Kind: sale.Coupon, Stock: 5})
	s := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, LineMost: 2, Price: sale.Price{Start: 20}})
	e := st.offer(sale.Sale{Kind: sale.Event, Stock: 2, StartsAt: st.opens.Add(2 * time.Hour)})
	starts := st.opens.Add(time.Hour)
	st.offer(sale.Sale{Kind: sale.Event, Stock: 2, Store: st.store(), StartsAt: starts, ClosesAt: starts})
	who := st.buyers(4, 100)
	claim, another := st.ask(sale.Claim, c.ID, who[0]), st.ask(sale.Claim, c.ID, who[1])
	st.settle(claim, another,
		st.ask(sale.Reserve, s.ID, who[0], with(claim.Receipt)), st.ask(sale.Reserve, s.ID, who[1], with(another.Receipt)),
		st.ask(sale.Reserve, s.ID, who[2]), st.ask(sale.Join, e.ID, who[0]))
	st.refused(map[string]string{
		"an oversold hold":          `update sales set held = held + 1 where kind = 'reservation'`,
		"less than nothing held":    `update sales set held = -1, free = stock + 1 where kind = 'reservation'`,
		"less than nobody waits":    `update sales set waiting = -1 where kind = 'reservation'`,
		"a line too long":           `update sales set waiting = 3 where kind = 'reservation'`,
		"no hold":                   `update sales set hold_ms = 0 where kind = 'reservation'`,
		"a broken second of hold":   `update sales set hold_ms = 1500 where kind = 'reservation'`,
		"a price that falls":        `update sales set price_policy = 'constant', price_drop = 1, price_period_ms = 1000 where kind = 'reservation'`,
		"a line for coupons":        `update sales set line_most = 1 where kind = 'coupon'`,
		"a coupon for money":        `update sales set start_price = 1 where kind = 'coupon'`,
		"a coupon for nothing":      `update sales set amount_off = 0 where kind = 'coupon'`,
		"a coupon for no time":      `update sales set valid_until = valid_from where kind = 'coupon'`,
		"two coupons each":          `update sales set per_buyer_limit = 2 where kind = 'coupon'`,
		"a kind of its own":         `update sales set kind = 'raffle'`,
		"a start before the close":  `update sales set starts_at = closes_at - interval '1 ms' where kind = 'event'`,
		"a slot that starts later":  `update sales set starts_at = closes_at + interval '1 ms' where store is not null`,
		"a slot twice":              `update sales set store = (select id from stores), starts_at = s.starts_at, closes_at = s.starts_at, payout_at = s.starts_at, per_buyer_limit = 1 from sales s where s.store is not null and sales.kind = 'event'`,
		"two tables each":           `update sales set per_buyer_limit = 2 where store is not null`,
		"a slot of no store":        `update sales set store = 4711 where store is not null`,
		"a hold without end":        `update receipts set pay_by = null where status = 'held'`,
		"nothing reserved":          `update receipts set quantity = 0 where verb = 'reserve'`,
		"reserved by nobody":        `update receipts set buyer = 0 where verb = 'reserve'`,
		"nothing claimed":           `update receipts set quantity = 0 where verb = 'claim'`,
		"nothing joined":            `update receipts set quantity = 0 where verb = 'join'`,
		"more off than it costs":    `update receipts set discount = 21 where coupon is not null`,
		"off for nothing":           `update receipts set discount = 1 where verb = 'reserve' and coupon is null`,
		"a payment for nothing":     `update receipts set verb = 'pay'`,
		"a claim about something":   `update receipts set target = id where verb = 'claim'`,
		"a second payment":          about2("pay"),
		"a second cancel":           about2("cancel"),
		"a second change of slot":   about2("reserve"),
		"a refund of the cancelled": `with first as (` + about1("cancel") + ` returning 1) ` + about1("refund"),
		"a coupon used twice":       `update receipts set coupon = (select id from coupons order by id limit 1) where verb = 'reserve' and coupon is not null`,
		"two coupons for one":       `update coupons set used_by = (select used_by from coupons limit 1)`,
		"two coupons of one buyer":  `update coupons set buyer = (select min(buyer) from coupons)`,
		"a coupon of nothing":       `update coupons set amount = 0`,
		"an order of nothing":       `update orders set quantity = 0`,
		"an order that pays":        `update orders set amount = -1`,
		"an order lost":             `update orders set status = 'lost'`,
		"a reminder after the fact": `update orders set remind_at = pay_by + interval '1 ms'`,
		"a second order":            `insert into orders select * from orders limit 1`,
		"a notice of its own":       `update notices set word = 'hello'`,
		"a notice about nothing":    `update notices set receipt = null`,
		"a second reminder":         `update notices set word = 'reminder', receipt = (select receipt from notices limit 1)`,
		"a second soon":             `update notices set word = 'soon', receipt = (select receipt from notices limit 1)`,
		"a second opening":          `insert into notices (account, at, word, sale) select 1, now(), 'opens', 1 from generate_series(1, 2)`,
		"a store without tables":    `update stores set tables = 0`,
		"a store of six days":       `update stores set opens = opens[1:6]`,
		"attendance of its own":     `insert into attendance (receipt, word) select id, 'late' from receipts`,
		"attendance twice":          `insert into attendance (receipt, word) select id, 'no_show' from receipts, generate_series(1, 2)`,
		"a watch twice":             `insert into watches (sale, account) select 1, 1 from generate_series(1, 2)`,
		"a store after midnight":    `update stores set closes = array_fill(1441::smallint, array[7])`,
	})
}

func about1(verb string) string {
	return `
		insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select gen_random_uuid(), sale, buyer, '` + verb + `', 1, 0, 'confirmed', id, fingerprint, seq, at
		from (select * from receipts where verb = 'reserve' order by id limit 1) as bought`
}
