package audit_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/sale"
)

// receiptOf is the first receipt of a buyer by this verb for a sale, in SQL.
func receiptOf(verb string, of, buyer int64, more ...string) string {
	where := ""
	for _, condition := range more {
		where += " and " + condition
	}
	return fmt.Sprintf("(select id from receipts where verb = '%s' and sale = %d and buyer = %d%s order by seq limit 1)", verb, of, buyer, where)
}

// kindsCorruptions break each rule in the ways that only other kinds know.
var kindsCorruptions = []corruption{
	{"nothing", func(*house) {}, ""},
	{"the log is trimmed", trim, ""},
	{"a sale is not in Redis", redo("DEL {s0}:sale:8 {s0}:sale:8:buyers {s0}:sale:8:holds {s0}:sale:8:line"), ""},

	// Redis against Postgres.
	{"one more waits in Redis", redo("HINCRBY {s0}:sale:8 waiting 1"), "projection"},
	{"the first in line is missing in Redis", redo("ZPOPMIN {s0}:sale:8:line"), "projection"},
	{"the line is turned round in Redis", rescore("{s0}:sale:8:line", func(score float64) float64 { return -score }), "projection"},
	{"a hold is missing in Redis", redo("ZPOPMIN {s0}:sale:8:holds"), "projection"},
	{"a hold ends later in Redis", rescore("{s0}:sale:8:holds", func(score float64) float64 { return score + 1 }), "projection"},
	{"holds are longer in Redis", redo("HSET {s0}:sale:8 hold_ms 601000"), "projection"},
	{"a coupon is worth more in Redis", redo("HSET {s0}:sale:10 amount_off 31"), "projection"},
	{"more may wait in Redis", redo("HSET {s0}:sale:8 line_most 4"), "projection"},

	// The books.
	{"one more waits", all(trim, sql(
		`update sales set waiting = waiting + 1 where id = 11`),
		redo("HINCRBY {s1}:sale:11 waiting 1")), "units"},
	{"held without a reservation", all(trim, sql(
		`update sales set held = held + 1, free = free - 1 where id = 13`),
		redo("HINCRBY {s1}:sale:13 held 1", "HINCRBY {s1}:sale:13 free -1")), "units"},
	{"over the limit", all(trim, sql(
		`update sales set per_buyer_limit = 1 where id = 9`),
		redo("HSET {s1}:sale:9 limit 1")), "continuity limit"}, // the last batch is of it
	{"a discount is forgotten", all(trim, sql(
		`update receipts set discount = 0 where sale = 14 and verb = 'bid'`)), "coupons payments revenue"},

	{"a cancel by another buyer", all(trim, sql(
		`update receipts set buyer = 4 where sale = 11 and verb = 'cancel'`)), "targets"},
	{"a cancel is gone", all(trim, sql(
		`delete from receipts where sale = 11 and verb = 'cancel'`)), "targets"},
	{"a cancel comes twice", all(trim, sql(
		`drop index if exists receipts_0_one_return`,
		again(`sale = 11 and verb = 'cancel'`))), "targets"},
	{"a cancel of what is bought", all(trim, sql(
		`update receipts set target = `+receiptOf("join", evening, b)+` where sale = 11 and verb = 'cancel'`)), "targets"},
	{"a cancel says it paid back what was never paid", all(trim, sql(
		`update receipts set unit_price = 100 where target = `+receiptOf("reserve", gala, b))), "payments targets"},
	{"a payment of nothing is gone", all(trim, sql(
		`delete from receipts where sale = 9 and verb = 'pay'`)), "targets"},
	{"a payment of another's hold", all(trim, sql(
		`update receipts set buyer = 5 where sale = 9 and verb = 'pay'`)), "targets"},
	{"a payment after the hold had ended", all(trim, sql(
		`delete from notices where receipt = `+receiptOf("reserve", slot, b),
		`update orders set pay_by = pay_by - interval '10 minutes', remind_at = remind_at - interval '10 minutes' where receipt = `+receiptOf("reserve", slot, b),
		`update receipts set pay_by = pay_by - interval '10 minutes' where id = `+receiptOf("reserve", slot, b))), "targets"},
	{"a late payment for what never expired", all(trim, sql(
		`delete from notices where word = 'expired' and receipt = `+receiptOf("reserve", chairs, c),
		`update orders set status = 'cancelled' where receipt = `+receiptOf("reserve", chairs, c),
		`update receipts set status = 'cancelled' where id = `+receiptOf("reserve", chairs, c))), "targets"},
	{"a change of slot replaces nothing", all(trim, sql(
		`delete from notices where word = 'refunded' and sale = 15`,
		`update receipts set target = null where sale = 16 and target is not null`)), "payments targets"},
	{"a change of slot to the same one", all(trim, sql(
		`update sales set store = null where id = 15`),
		redo("HDEL {s1}:sale:15 store")), "orphans targets"}, // then it is no slot, and nobody attends it

	{"an order is gone", sql(`delete from orders where receipt = ` + receiptOf("reserve", chairs, d, "status = 'held'")), "orders"},
	{"an order of nothing", sql(`
		insert into orders
		select gen_random_uuid(), sale, buyer, quantity, amount, status, pay_by, remind_at, reminded, created_at, changed_at
		from orders
		where status = 'paid'
		limit 1`), "orders"},
	{"an order for another amount", sql(`update orders set amount = amount + 1 where receipt = ` + receiptOf("reserve", bulk, a)), "orders"},
	{"an order of another quantity", sql(`update orders set quantity = 3 where receipt = ` + receiptOf("reserve", bulk, a)), "orders"},
	{"an order of somebody else", sql(`update orders set buyer = 4 where receipt = ` + receiptOf("reserve", bulk, a)), "orders"},
	{"an order that ends later", sql(`update orders set pay_by = pay_by + interval '1 second' where status = 'pending'`), "orders"},
	{"an order that is paid before it is paid", sql(`update orders set status = 'paid' where status = 'pending'`), "orders"},
	{"an order of a late payment is pending", sql(`update orders set status = 'pending' where receipt = ` + receiptOf("pay", chairs, c)), "orders"},

	{"a coupon is worth more", all(trim, sql(
		`update coupons set amount = 31 where buyer = 3`)), "coupons"},
	{"a coupon is gone", all(trim, sql(
		`delete from coupons where buyer = 3`)), "coupons"},
	{"a coupon that nobody claimed", sql(
		`insert into coupons select gen_random_uuid(), sale, 99, seller, amount, valid_from, valid_until, null from coupons limit 1`), "coupons"},
	{"a used coupon is free again", all(trim, sql(
		`update coupons set used_by = null where buyer = 3`)), "coupons"},
	{"a coupon is used by what does not name it", all(trim, sql(
		`update coupons set used_by = `+receiptOf("reserve", gala, a)+` where buyer = 3`)), "coupons"},
	{"a coupon is used twice", all(trim, sql(
		`drop index if exists receipts_0_one_use`,
		`update receipts set coupon = (select id from coupons where buyer = 3) where id = `+receiptOf("reserve", gala, a))), "coupons"},
	{"a coupon is used after its time", all(trim, sql(
		`update coupons set valid_until = valid_from + interval '1 second' where buyer = 3`)), "coupons"},
	{"a coupon of another seller", all(trim, sql(
		`update coupons set seller = 3 where buyer = 3`)), "coupons"},
	{"a coupon stays with what has expired", all(trim, sql(
		`update coupons set used_by = (select id from receipts where status = 'expired' and coupon is not null) where buyer = 7`)), "continuity coupons"},

	{"a notice twice", notice(`word = 'confirmed' and sale = 12`, ``), "notices"},
	{"a notice to somebody else", sql(`update notices set account = 12 where word = 'confirmed' and sale = 14`), "notices"},
	{"a notice of nothing", notice(`word = 'confirmed' and sale = 12`, `receipt = gen_random_uuid()`), "notices"},
	{"a notice of another sale", sql(`update notices set sale = 1 where word = 'confirmed' and sale = 14`), "notices"},
	{"held, and promoted, too", notice(`word = 'held' and sale = 13`, `word = 'promoted'`), "notices"},
	{"promoted with the old time to pay", sql(`update notices set at = at - interval '1 second' where word = 'promoted' and sale = 12`), "notices"},
	{"held until another time", sql(`update notices set pay_by = pay_by + interval '1 second' where word = 'held' and sale = 13`), "notices"},
	{"expired, though it is paid", notice(`word = 'confirmed' and sale = 15`, `word = 'expired'`), "notices"},
	{"expired too early", sql(`update notices set at = at - interval '1 second' where word = 'expired' and sale = 12`), "notices"},
	{"confirmed, though it has expired", notice(`word = 'expired' and sale = 12`, `word = 'confirmed'`), "notices"},
	{"refunded, though nothing was paid", notice(`word = 'held' and receipt = `+receiptOf("reserve", gala, b), `word = 'refunded'`), "notices"},
	{"closed, though it is open", notice(`word = 'held' and receipt = `+receiptOf("reserve", chairs, d, "status = 'held'"), `word = 'closed'`), "notices"},
	{"soon at another time", sql(`update notices set pay_by = pay_by - interval '1 second' where word = 'soon' and sale = 8`), "notices"},
	{"a reminder too early", sql(`update notices set at = at - interval '1 hour' where word = 'reminder'`), "notices"},
	{"opens before it opens", sql(`update notices set at = at - interval '1 second' where word = 'opens'`), "notices"},

	{"a payment after the payout goes into escrow", all(sql(
		`update entries set credit = -13 where receipt = `+receiptOf("pay", gala, a),
		`update wallets set balance = balance + 100 where id = -13`,
		`update wallets set balance = balance - 100 where id = 1`)), "escrow payments"},
	{"a cancel pays back twice", entry(-12, a, 50, receiptOf("cancel", concert, a)), "escrow payments"},
	{"a cancel pays back nothing", all(sql(
		`delete from entries where receipt = `+receiptOf("cancel", concert, a),
		`update wallets set balance = balance + 50 where id = -12`,
		`update wallets set balance = balance - 50 where id = 3`)), "escrow payments"},
	{"a change of slot pays back nothing", all(sql(
		`delete from entries where debit = -15 and receipt = `+receiptOf("reserve", later, a),
		`update wallets set balance = balance + 20 where id = -15`,
		`update wallets set balance = balance - 20 where id = 3`)), "escrow payments"},
	{"a booking was never paid", all(trim, sql(
		`delete from entries where receipt = `+receiptOf("reserve", slot, a),
		`update wallets set balance = balance + 20 where id = 3`,
		`update wallets set balance = balance - 20 where id = -15`)), "escrow payments"},
	{"somebody pays for a hold", entry(a, b, 5, receiptOf("reserve", chairs, d, "status = 'held'")), "orphans payments"},

	{"attendance of nobody", sql(`insert into attendance values (gen_random_uuid(), 'completed')`), "orphans"},
	{"attendance on a chair", sql(`insert into attendance values (` + receiptOf("reserve", chairs, d) + `, 'no_show')`), "orphans"},

	// The log.
	{"decided on a line without its first", lines(func(s *sale.Stand) { s.Line = s.Line[1:] }), "continuity replay"},
	{"decided on a line in another order", lines(func(s *sale.Stand) { slices.Reverse(s.Line) }), "continuity replay"},
	{"decided on too little of the line", lines(func(s *sale.Stand) { s.Line = s.Line[:1] }), "replay"},
	{"decided on a hold that there is not", tamper(func(b *sale.Batch) bool {
		s := b.State[chairs]
		if s == nil || b.Entries[0].Verb != sale.Pay {
			return false
		}
		s.Holds = append(s.Holds, sale.Place{Receipt: uuid.New(), Seq: 1, At: b.Last.At + 1})
		return true
	}), "continuity replay"},
	{"decided on a receipt as it was before", tamper(func(b *sale.Batch) bool {
		if b.Outcomes[0].Reason != sale.NotYours || b.Entries[0].Verb != sale.Pay {
			return false
		}
		r := b.Facts.Receipts[b.Entries[0].Target]
		r.Status, r.PayBy = sale.Waiting, 0
		b.Facts.Receipts[r.ID] = r
		return true
	}), "continuity"},
	{"decided on a coupon that was used by another", tamper(func(b *sale.Batch) bool {
		if b.Outcomes[0].Reason != sale.CouponUnusable {
			return false
		}
		c := b.Facts.Coupons[b.Entries[0].Coupon]
		c.UsedBy = sale.NewReceiptID(1)
		b.Facts.Coupons[b.Entries[0].Coupon] = c
		return true
	}), "continuity"},
	{"a line changes behind the log", all(sql(
		`update receipts set status = 'cancelled' where id = `+receiptOf("reserve", chairs, f),
		`update sales set waiting = waiting - 1 where id = 8`),
		redo("ZPOPMAX {s0}:sale:8:line", "HINCRBY {s0}:sale:8 waiting -1", "HDEL {s0}:sale:8:buyers 8")), "continuity record targets"},
	{"a step that the status machine does not know", moving(func(m *sale.Move) bool {
		m.From = sale.Confirmed
		return m.Receipt.Status == sale.Expired
	}), "record replay"},
	{"who waited in vain has no receipt", sql(
		`delete from notices where word = 'closed'`,
		`delete from receipts where status = 'rejected'`), "continuity record"},

	// The turns.
	{"put in line while it is free", outcome(sale.Reserve, bulk, sale.Held, func(b *sale.Batch, o *sale.Outcome) {
		o.Status, o.PayBy = sale.Waiting, 0
	}), "continuity holds inversions replay"},
	{"turned away from a line that is not full", outcome(sale.Reserve, chairs, sale.Waiting, func(b *sale.Batch, o *sale.Outcome) {
		*o = sale.Outcome{Status: sale.Rejected, Reason: sale.LineFull}
	}), "line record replay"},
	{"passes who must not be passed", all(sql(
		`update sales set max_bypass = 0 where id = 9`),
		redo("HSET {s1}:sale:9 max_bypass 0")), "continuity line"},
	{"too many wait", all(sql(
		`update sales set line_most = 2 where id = 8`),
		redo("HSET {s0}:sale:8 line_most 2")), "continuity line"},
	{"the second is promoted first", promotions(func(b *sale.Batch, at []int) {
		m := b.Effects.Moves
		m[at[0]], m[at[1]] = m[at[1]], m[at[0]]
	}), "line replay"},
	{"freed units go to nobody", promotions(func(b *sale.Batch, at []int) {
		b.Effects.Moves = slices.Delete(b.Effects.Moves, at[0], at[1]+1)
	}), "continuity line replay"},
	{"one freed unit goes to two", moving(func(m *sale.Move) bool {
		if m.Receipt.Sale != chairs || m.Receipt.Status != sale.Cancelled || m.From != sale.Confirmed {
			return false
		}
		m.Receipt.Quantity--
		return true
	}), "line record replay"},
	{"promoted with too little time", promotions(func(b *sale.Batch, at []int) {
		b.Effects.Moves[at[0]].Receipt.PayBy--
	}), "continuity holds record replay"},
	{"held for too little time", outcome(sale.Reserve, gala, sale.Held, func(b *sale.Batch, o *sale.Outcome) {
		o.PayBy--
	}), "continuity holds record replay"},
	{"promised other holds", all(sql(
		`delete from notices`,
		`update sales set hold_ms = 599000 where id = 13`),
		redo("HSET {s1}:sale:13 hold_ms 599000")), "continuity holds"},
	{"paid after the hold had ended", outcome(sale.Pay, chairs, sale.Confirmed, func(b *sale.Batch, o *sale.Outcome) {
		o.Quantity = 0
	}, func(o sale.Outcome) bool { return o.Quantity > 0 }), "holds record replay"},
	{"expires before its time", moving(func(m *sale.Move) bool {
		m.At--
		return m.Receipt.Status == sale.Expired && m.Receipt.Sale == chairs
	}), "holds replay"},
	{"is held after its time", tamper(func(b *sale.Batch) bool {
		expired := func(m sale.Move) bool { return m.Receipt.Sale == bulk && m.Receipt.Status == sale.Expired }
		if b.Entries[0].Verb != sale.Reserve || !slices.ContainsFunc(b.Effects.Moves, expired) {
			return false
		}
		b.Effects.Moves = nil
		return true
	}), "coupons holds record replay"},
	{"joined before it opens", all(sql(
		`update sales set opens_at = opens_at + interval '5 minutes' where id = 12`),
		redo("HINCRBY {s0}:sale:12 opens_at 300000")), "continuity line turns"},
	{"given back, though nothing is refunded", all(sql(
		`update sales set payout_at = closes_at where id = 8`),
		redo("HSET {s0}:sale:8 refund_ms 0")), "continuity escrow payments turns"},
	{"a reservation costs more", all(sql(
		`update sales set start_price = 101 where id = 13`),
		redo("HSET {s1}:sale:13 start_price 101")), "continuity price"},
	{"a coupon takes off too much", outcome(sale.Bid, lamp, sale.Confirmed, func(b *sale.Batch, o *sale.Outcome) {
		o.Discount++
	}), "price record replay"},
	{"a coupon is claimed after its time", all(sql(
		`update coupons set valid_until = valid_from + interval '1 second'`,
		`update sales set valid_until = valid_from + interval '1 second' where id = 10`),
		redo("HSET {s0}:sale:10 valid_until 1")), "continuity coupons projection"},
	{"a used coupon is taken again", all(outcome(sale.Reserve, bulk, sale.Rejected, func(b *sale.Batch, o *sale.Outcome) {
		*o = sale.Outcome{Status: sale.Waiting, UnitPrice: 10, Discount: 10}
	}, func(o sale.Outcome) bool { return o.Reason == sale.CouponUnusable })), "continuity coupons inversions line record replay"},
}

func TestKindsCorruptions(t *testing.T) {
	h, now := begin(t)
	h.kinds(now)
	h.backup().suffer(t, kindsCorruptions, audit.Projection, audit.Units, audit.Limit, audit.Targets, audit.Orders, audit.Coupons, audit.Notices,
		audit.Escrow, audit.Payments, audit.Orphans, audit.Replay, audit.Continuity, audit.Record, audit.Inversions, audit.Turns, audit.Line,
		audit.Holds, audit.Price)
}

// again is a statement that repeats receipts under other numbers.
func again(where string) string {
	return `insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
		select gen_random_uuid(), sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at
		from receipts
		where ` + where
}

// notice tells one of these once more, with a change.
func notice(where, change string) func(*house) {
	statements := []string{`insert into notices (account, at, word, sale, receipt, pay_by, read)
		select account, at, word, sale, receipt, pay_by, true
		from notices
		where ` + where + `
		order by id
		limit 1`}
	if change != "" {
		statements = append(statements, `update notices set `+change+` where id = (select max(id) from notices)`)
	}
	return sql(statements...)
}

// rescore gives the members of a sorted set other scores.
func rescore(key string, to func(float64) float64) func(*house) {
	return func(h *house) {
		h.t.Helper()
		members, err := h.redis.ZRangeWithScores(h.t.Context(), key, 0, -1).Result()
		h.must(err)
		if len(members) == 0 {
			h.t.Fatalf("%s has no members", key)
		}
		for i := range members {
			members[i].Score = to(members[i].Score)
		}
		h.must(h.redis.ZAdd(h.t.Context(), key, members...).Err())
	}
}

// outcome edits the first outcome of such a request that has that status.
func outcome(verb sale.Verb, of int64, status sale.Status, edit func(*sale.Batch, *sale.Outcome), also ...func(sale.Outcome) bool) func(*house) {
	return tamper(func(b *sale.Batch) bool {
		for i, e := range b.Entries {
			if o := &b.Outcomes[i]; e.Verb == verb && e.Sale == of && o.Status == status && (len(also) == 0 || also[0](*o)) {
				edit(b, o)
				return true
			}
		}
		return false
	})
}

// moving edits the first move for which edit answers true.
func moving(edit func(*sale.Move) bool) func(*house) {
	return tamper(func(b *sale.Batch) bool {
		for i := range b.Effects.Moves {
			m := b.Effects.Moves[i]
			if edit(&m) {
				b.Effects.Moves[i] = m
				return true
			}
		}
		return false
	})
}

// promotions edits the first batch that promotes two to chairs, whose moves they are.
func promotions(edit func(b *sale.Batch, at []int)) func(*house) {
	return tamper(func(b *sale.Batch) bool {
		var at []int
		for i, m := range b.Effects.Moves {
			if m.Receipt.Sale == chairs && m.Receipt.Status == sale.Held {
				at = append(at, i)
			}
		}
		if len(at) != 2 {
			return false
		}
		edit(b, at)
		return true
	})
}

// lines edits what the first batch that promotes two to chairs was told of the line.
func lines(edit func(*sale.Stand)) func(*house) {
	return tamper(func(b *sale.Batch) bool {
		s := b.State[chairs]
		if s == nil || b.Entries[0].Verb != sale.Cancel || len(s.Line) < 2 {
			return false
		}
		edit(s)
		return true
	})
}
