package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/sale"
)

// corruption is one way of breaking what is stored, and all the rules that must
// be said to be broken by it.
type corruption struct {
	name string
	do   func(h *house)
	want string
}

// corruptions break each rule at least once; as far as the rules do not say one
// thing twice, that rule alone. What the log would also betray is done after it
// was trimmed to its last batches.
var corruptions = []corruption{
	{"nothing", func(h *house) {}, ""},
	{"the log is trimmed", trim, ""},
	{"a sale is not in Redis", redo("DEL {s1}:sale:3 {s1}:sale:3:buyers"), ""},

	{"units out of nothing in Redis", redo("HINCRBY {s1}:sale:3 free 1"), "projection stock"},
	{"units out of nothing", all(sql(
		`update sales set stock = stock + 1 where id = 3`),
		redo("HINCRBY {s1}:sale:3 stock 1")), "continuity stock"},
	{"oversold", all(trim, sql(
		`update sales set sold = sold + 1, free = free - 1 where id = 4`),
		redo("HINCRBY {s0}:sale:4 sold 1", "HINCRBY {s0}:sale:4 free -1")), "projection stock units"},

	{"phase in Redis", redo("HSET {s1}:sale:3 phase open"), "projection"},
	{"paid out in Redis", redo("HSET {s1}:sale:1 paid_out 0"), "projection"},
	{"exhausted in Redis", redo("HSET {s0}:sale:4 exhausted 0"), "projection"},
	{"not exhausted in Redis", redo("HSET {s1}:sale:7 exhausted 1"), "projection"},
	{"units swapped in Redis", redo("HINCRBY {s1}:sale:7 free 1", "HINCRBY {s1}:sale:7 sold -1"), "projection"},
	{"price in Redis", redo("HSET {s1}:sale:7 start_price 1"), "projection"},
	{"unreadable in Redis", redo("HSET {s1}:sale:7 start_price much"), "projection"},
	{"a buyer more in Redis", redo("HSET {s1}:sale:7:buyers 9 1"), "projection"},
	{"a buyer less in Redis", redo("HDEL {s1}:sale:7:buyers 3"), "projection"},

	{"sold without a bid", all(trim, sql(
		`update sales set sold = sold + 1, free = free - 1 where id = 3`),
		redo("HINCRBY {s1}:sale:3 sold 1", "HINCRBY {s1}:sale:3 free -1")), "units"},
	{"held without a bid", all(trim, sql(
		`update sales set held = held + 1, free = free - 1 where id = 3`),
		redo("HINCRBY {s1}:sale:3 held 1", "HINCRBY {s1}:sale:3 free -1")), "units"},
	{"revenue", sql(`update sales set revenue = revenue + 1 where id = 2`), "revenue"},
	{"over the limit", all(trim, sql(
		`update sales set per_buyer_limit = 1 where id = 7`),
		redo("HSET {s1}:sale:7 limit 1")), "limit"},
	{"refund of another bid", all(trim, sql(
		`update receipts set target = (select id from receipts where sale = 3 and buyer = 4 and verb = 'bid') where sale = 3 and verb = 'refund'`)), "refunds"},
	{"refund by another buyer", all(trim, sql(
		`update receipts set buyer = 4 where sale = 3 and verb = 'refund'`)), "payments refunds"},
	{"two refunds of a bid", all(trim, sql(
		`drop index if exists receipts_0_one_return`,
		`insert into receipts select gen_random_uuid(), sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at
		from receipts where sale = 3 and verb = 'refund'`)), "payments refunds"},
	{"no refund of a refunded bid", all(trim, sql(
		`delete from receipts where sale = 3 and verb = 'refund'`)), "orphans refunds"},

	{"points pass without an entry", sql(
		`update wallets set balance = balance - 1 where id = 3`,
		`update wallets set balance = balance + 1 where id = 4`), "wallets"},
	{"points out of nothing", sql(
		`update wallets set balance = balance + 1 where id = 3`), "conservation wallets"},
	{"a wallet is gone", sql(
		`delete from wallets where id = 12`), "conservation wallets"},
	{"an entry is gone", sql(
		`delete from entries where receipt = (select id from receipts where sale = 3 and buyer = 4)`), "payments wallets"},
	{"too much in escrow", all(entry(0, -3, 1, "null")), "escrow orphans"},
	{"a bid is paid twice", all(entry(4, 1, 1000, `(select id from receipts where sale = 2 and buyer = 4)`)), "payments"},
	{"somebody else pays", all(sql(
		`update entries set debit = 5 where receipt = (select id from receipts where sale = 3 and buyer = 4)`,
		`update wallets set balance = balance + 2 * (select unit_price from receipts where sale = 3 and buyer = 4) where id = 4`,
		`update wallets set balance = balance - 2 * (select unit_price from receipts where sale = 3 and buyer = 4) where id = 5`)), "payments"},
	{"a bid is paid too cheaply", all(sql(
		`update entries set amount = amount - 1 where receipt = (select id from receipts where sale = 2 and buyer = 4)`,
		`update wallets set balance = balance + 1 where id = 4`,
		`update wallets set balance = balance - 1 where id = 1`)), "payments"},
	{"the payout goes to another", all(sql(
		`update wallets set balance = balance - (select amount from entries where debit = -1 and credit = 1) where id = 1`,
		`update wallets set balance = balance + (select amount from entries where debit = -1 and credit = 1) where id = 3`,
		`update entries set credit = 3 where debit = -1 and credit = 1`)), "payouts"},
	{"two payouts", all(
		entry(0, -1, 1, "null"),
		entry(-1, 1, 1, `(select id from receipts where sale = 1 and verb = 'payout')`)), "orphans payouts"},
	{"paid out without a payout", all(trim, sql(
		`update sales set paid_out = true where id = 2`,
		`delete from receipts where sale = 2 and verb = 'payout'`)), "payouts record"},
	{"an entry without a receipt", all(
		entry(3, 4, 5, "gen_random_uuid()")), "orphans"},
	{"an entry on a receipt that moves no points", all(
		entry(3, 4, 5, `(select id from receipts where verb = 'change')`)), "orphans"},
	{"points passed on the quiet", all(
		entry(3, 4, 5, "null")), "orphans"},
	{"a receipt without a sale", sql(
		`insert into receipts select gen_random_uuid(), 99, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at
		from receipts where sale = 7`), "orphans"},

	{"an unreadable batch", sql(
		`update batches set outcomes = '\x00' where (partition, last_ms, last_no) = (` + fourth + `)`), "unreadable"},
	{"a batch without its outcomes", sql(
		`update batches set outcomes = '\x0100' where (partition, last_ms, last_no) = (` + fourth + `)`), "unreadable"},
	{"a batch is gone", sql(
		`delete from batches where (partition, last_ms, last_no) = (` + fourth + `)`), "chain"},
	{"the last batch is gone", sql(
		`delete from batches b using partitions p where p.id = 1 and b.partition = 1 and (b.last_ms, b.last_no) = (p.applied_ms, p.applied_no)`), "chain"},
	{"the log is gone", sql(`delete from batches where partition = 1`), "chain"},
	{"a batch begins too early", sql(
		`update batches set prev_ms = prev_ms - 1 where (partition, last_ms, last_no) = (` + fourth + `)`), "chain"},
	{"a batch of a later owner", sql(
		`update batches set epoch = 7 where (partition, last_ms, last_no) = (` + fourth + `)`), "chain"},
	{"numbers go back", sql(
		`update batches set seq = 999 where (partition, last_ms, last_no) = (` + fourth + `)`), "chain"},
	{"the partition is further than the log", sql(`update partitions set seq = seq + 1 where id = 1`), "chain"},
	// Two of one millisecond: at whichever time they are decided, nothing else comes of them.
	{"entries out of order", tamper(func(b *sale.Batch) bool {
		for i := 1; i < len(b.Entries); i++ {
			if x, y := &b.Entries[i-1].ID, &b.Entries[i].ID; x.At == y.At {
				x.No, y.No = y.No, x.No
				return true
			}
		}
		return false
	}), "chain"},
	{"an entry of another batch", tamper(func(b *sale.Batch) bool {
		b.Entries[len(b.Entries)-1].ID.No++
		return len(b.Entries) == 1 && b.Outcomes[0].Reason == sale.Closed
	}), "chain"},

	{"another reason", tamper(func(b *sale.Batch) bool {
		return swap(b, sale.OverLimit, sale.Outcome{Status: sale.Rejected, Reason: sale.Closed})
	}), "record replay"},
	{"another effect", tamper(func(b *sale.Batch) bool {
		if len(b.Effects.Sales) > 0 {
			b.Effects.Sales[0].Revenue++
		}
		return len(b.Effects.Sales) > 0
	}), "replay"},
	{"a state that cannot be decided on", tamper(func(b *sale.Batch) bool {
		if s := b.State[closed]; s != nil && s.Phase == sale.PhaseOpen {
			s.Price.Period = 0
			return true
		}
		return false
	}), "continuity replay"},

	{"decided on other units", tamper(func(b *sale.Batch) bool {
		if s := b.State[paid]; s != nil && s.Phase == sale.PhaseClosed {
			s.Free, s.Stock = s.Free+1, s.Stock+1
			return true
		}
		return false
	}), "continuity"},
	{"decided on other units of a buyer", tamper(func(b *sale.Batch) bool {
		if s := b.State[paid]; s != nil && b.Outcomes[0].Reason == sale.Closed {
			s.Buyers[b.Entries[0].Buyer] = 1
			return true
		}
		return false
	}), "continuity"},
	{"decided on another receipt", tamper(func(b *sale.Batch) bool {
		for id, fact := range b.Facts.Receipts {
			if b.Outcomes[0].Reason == sale.NotRefundable {
				fact.Seq++
				b.Facts.Receipts[id] = fact
				return true
			}
		}
		return false
	}), "continuity"},
	{"decided without a receipt", tamper(func(b *sale.Batch) bool {
		if b.Outcomes[0].Reason == sale.NotRefundable { // for another reason
			clear(b.Facts.Receipts)
			return true
		}
		return false
	}), "continuity"},
	{"a sale changes behind the log", all(sql(
		`update sales set stock = stock + 1, free = free + 1 where id = 7`),
		redo("HINCRBY {s1}:sale:7 stock 1", "HINCRBY {s1}:sale:7 free 1")), "continuity"},
	{"a sale that nobody asked for opens", sql(`update sales set phase = 'open' where id = 5`), "continuity"},
	{"the curve changes behind the log", all(sql(
		`update sales set price_rate = 600 where id = 2`),
		redo("HSET {s0}:sale:2 rate 600")), "continuity price"},

	{"a receipt is not what was asked", sql(`update receipts set fingerprint = 1 where sale = 7`), "record"},
	{"a receipt is gone", sql(`delete from receipts where verb = 'change'`), "record"},
	{"a receipt goes on by itself", sql(`update receipts set status = 'cancelled' where verb = 'change'`), "record"},
	{"a receipt comes by itself", sql(
		`insert into receipts select gen_random_uuid(), sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at
		from receipts where verb = 'change'`), "record"},
	{"a rejection is not counted", sql(`delete from rejections where reason = 'short_points'`), "record"},
	{"a rejection is counted twice", sql(`update rejections set n = n + 1 where reason = 'short_points'`), "record"},
	{"a rejected receipt has an effect", tamper(func(b *sale.Batch) bool {
		return slices.ContainsFunc(b.Entries, func(e sale.Entry) bool { return e.Verb == sale.Change && e.Buyer == seller }) &&
			swap(b, 0, sale.Outcome{Status: sale.Rejected, Reason: sale.Closed})
	}), "record replay turns"},

	{"sold out while units are free", tamper(func(b *sale.Batch) bool {
		return b.Entries[0].Quantity <= 2 && swap(b, sale.PriceChanged, sale.Outcome{Status: sale.Rejected, Reason: sale.SoldOut})
	}), "inversions record replay"},
	{"a bid pays another price", all(sql(
		`update sales set start_price = 1001 where id = 7`),
		redo("HSET {s1}:sale:7 start_price 1001")), "price"},
	{"a bid is confirmed before the sale opens", all(sql(
		`update sales set opens_at = opens_at + interval '5 minutes' where id = 7`),
		redo("HINCRBY {s1}:sale:7 opens_at 300000")), "turns"},
	{"a refund is confirmed after its time", all(sql(
		`update sales set payout_at = closes_at + interval '1 second' where id = 3`),
		redo("HSET {s1}:sale:3 refund_ms 1000")), "continuity turns"},
}

// fourth is a batch in the middle of the log.
const fourth = `select partition, last_ms, last_no from batches where partition = 1 order by last_ms, last_no limit 1 offset 3`

func TestCorruptions(t *testing.T) {
	h, now := begin(t)
	h.history(now)
	h.backup().suffer(t, corruptions, audit.Stock, audit.Projection, audit.Units, audit.Revenue, audit.Limit, audit.Refunds, audit.Wallets,
		audit.Conservation, audit.Escrow, audit.Payments, audit.Payouts, audit.Orphans, audit.Unreadable, audit.Chain, audit.Replay,
		audit.Continuity, audit.Record, audit.Inversions, audit.Turns, audit.Price)
}

// suffer audits what each corruption leaves of a house. Together they must break all
// these rules.
func (b *backup) suffer(t *testing.T, corruptions []corruption, rules ...audit.Rule) {
	covered := map[audit.Rule]bool{}
	for _, c := range corruptions {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := b.restore(t)
			c.do(h)
			report := h.audit()
			var words []string
			for _, rule := range report.Rules() {
				words = append(words, string(rule))
				covered[rule] = true
			}
			if got := strings.Join(words, " "); got != c.want {
				t.Errorf("broken: %q, want %q", got, c.want)
				for _, f := range report.Broken {
					t.Logf("%+v", f)
				}
			}
			if broken := report.Verdict == audit.Broken; broken != (c.want != "") {
				t.Errorf("verdict %s", report.Verdict)
			}
			if c.name == "oversold" && report.Oversold != 1 {
				t.Errorf("%d oversold", report.Oversold)
			}
			if inverted := strings.Contains(c.want, "inversions"); inverted != (report.Inversions == 1) {
				t.Errorf("%d inversions", report.Inversions)
			}
		})
	}
	for _, rule := range rules {
		if !covered[rule] {
			t.Errorf("nothing breaks %s", rule)
		}
	}
}

func all(steps ...func(*house)) func(*house) {
	return func(h *house) {
		for _, step := range steps {
			step(h)
		}
	}
}

// sql runs statements after taking the checks off all tables.
func sql(statements ...string) func(*house) {
	return func(h *house) {
		h.t.Helper()
		_, err := h.pg.Exec(h.t.Context(), `
			do $$
			declare c record;
			begin
				for c in select conrelid::regclass as on_table, conname from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace order by coninhcount loop
					execute format('alter table %s drop constraint if exists %I', c.on_table, c.conname);
				end loop;
			end $$`)
		h.must(err)
		for _, statement := range statements {
			tag, err := h.pg.Exec(h.t.Context(), statement)
			h.must(err)
			if tag.RowsAffected() == 0 && !tag.Insert() && !strings.HasPrefix(statement, "drop") {
				h.t.Fatalf("changed nothing: %s", statement)
			}
		}
	}
}

// entry moves points with an entry, as if by a transaction.
func entry(debit, credit, amount int64, receipt string) func(*house) {
	return sql(
		fmt.Sprintf(`insert into entries (at, receipt, debit, credit, amount) values (now(), %s, %d, %d, %d)`, receipt, debit, credit, amount),
		fmt.Sprintf(`update wallets set balance = balance - %d where id = %d`, amount, debit),
		fmt.Sprintf(`update wallets set balance = balance + %d where id = %d`, amount, credit))
}

// redo runs commands in Redis.
func redo(commands ...string) func(*house) {
	return func(h *house) {
		h.t.Helper()
		for _, command := range commands {
			var args []any
			for word := range strings.FieldsSeq(command) {
				args = append(args, word)
			}
			h.must(h.redis.Do(h.t.Context(), args...).Err())
		}
	}
}

// trim forgets all but the last batch of each partition, as the scheduler may.
var trim = sql(`delete from batches b using partitions p where p.id = b.partition and (b.last_ms, b.last_no) < (p.applied_ms, p.applied_no)`)

// tamper edits the first batch for which edit answers true.
func tamper(edit func(*sale.Batch) bool) func(*house) {
	return func(h *house) {
		h.t.Helper()
		for p := range partitions {
			batches, err := h.ledger.BatchesAfter(h.t.Context(), p, sale.EntryID{}, 1000)
			h.must(err)
			for _, b := range batches {
				if !edit(&b) {
					continue
				}
				_, err := h.pg.Exec(h.t.Context(), `
					update batches
					set entries = $4, facts = $5, outcomes = $6, effects = $7
					where (partition, last_ms, last_no) = ($1, $2, $3)`,
					b.Partition, b.Last.At, b.Last.No, b.EncodeEntries(), b.EncodeFacts(), b.EncodeOutcomes(), b.Effects.Encode())
				h.must(err)
				return
			}
		}
		h.t.Fatal("no such batch")
	}
}

// swap gives another outcome to the first entry that has this reason.
func swap(b *sale.Batch, why sale.Reason, o sale.Outcome) bool {
	for i := range b.Outcomes {
		if b.Outcomes[i].Reason == why && b.Entries[i].Receipt != uuid.Nil {
			b.Outcomes[i] = o
			return true
		}
	}
	return false
}
