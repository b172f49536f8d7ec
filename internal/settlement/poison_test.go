package settlement

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/audit"
	"sluice/internal/deadletters"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/sale"
)

// refuse plants a trigger: the receipts of these buyers are refused for their data.
func (h *house) refuse(buyers ...int64) {
	h.t.Helper()
	h.sql(`create table if not exists poisonous (buyer bigint primary key)`)
	h.sql(`insert into poisonous select unnest($1::bigint[])`, buyers)
	h.sql(`
		create or replace function refuse() returns trigger language plpgsql as $$
		begin
			if exists (select from poisonous p where p.buyer = new.buyer) then
				raise 'buyer % is poisonous', new.buyer using errcode = 'check_violation';
			end if;
			return new;
		end $$`)
	h.sql(`drop trigger if exists refuse on receipts`)
	h.sql(`create trigger refuse before insert on receipts for each row execute function refuse()`)
}

// work drives an owner as run does, without its pauses, until everything admitted is
// applied or it has gone so many steps. It answers the faults it met.
func (h *house) work(o *owner, steps int) (faults []error) {
	h.t.Helper()
	for range steps {
		projection, err := h.store.Projection(h.ctx, o.partition, nil)
		h.must(err)
		if projection.Settled == projection.Seq {
			break
		}
		if err := o.step(h.ctx); err != nil {
			faults = append(faults, err)
			h.must(o.sync(h.ctx))
		}
	}
	return faults
}

// letters answers the dead letters of a partition.
func (h *house) letters(p int) []partition.DeadLetter {
	h.t.Helper()
	letters, err := h.store.DeadList(h.ctx, p, sale.EntryID{}, 100)
	h.must(err)
	return letters
}

// takeLetters answers them and drops them.
func (h *house) takeLetters(p int) []partition.DeadLetter {
	h.t.Helper()
	letters := h.letters(p)
	for _, l := range letters {
		h.must(h.store.DropDead(h.ctx, p, l.ID))
	}
	return letters
}

// audited fails unless the audit finds both stores in order.
func (h *house) audited() {
	h.t.Helper()
	report, err := audit.New(h.store, h.ledger).Run(h.ctx)
	h.must(err)
	if report.Verdict != audit.OK || report.Unfinished != 0 {
		h.t.Errorf("audit %s, %d unfinished: %+v", report.Verdict, report.Unfinished, report.Broken)
	}
}

// TestPoison: of 500 bids some are refused by Postgres. They are rejected, alone;
// all others get what is theirs, in the order of the stream.
func TestPoison(t *testing.T) {
	const bids = 500
	trigger := func(h *house, buyers ...int64) { h.refuse(buyers...) }
	deferred := func(h *house, buyers ...int64) { // refused by COMMIT
		h.refuse(buyers...)
		h.sql(`drop trigger refuse on receipts`)
		h.sql(`create constraint trigger refuse after insert on receipts deferrable initially deferred for each row execute function refuse()`)
	}
	check := func(h *house, buyers ...int64) {
		h.sql(`alter table receipts add constraint no_poison check (buyer <> all ('` + strings.NewReplacer("[", "{", "]", "}", " ", ",").Replace(fmt.Sprint(buyers)) + `'))`)
	}
	for _, test := range []struct {
		name   string
		poison []int
		stock  int64
		plant  func(*house, ...int64)
	}{
		{"none", nil, 450, trigger},
		{"one", []int{211}, 450, trigger},
		{"two side by side", []int{211, 212}, 450, check},
		{"the first", []int{0}, 450, check},
		{"the last", []int{499}, 500, deferred},
		{"the first and the last", []int{0, 499}, 500, trigger},
		{"one for whom nothing is left", []int{470}, 450, trigger}, // no row, so nothing to refuse
		{"many", []int{3, 4, 5, 90, 180, 181, 300, 420}, 450, trigger},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = test.stock, 1 })
			o := h.owner(s.Partition)
			h.open(s)
			h.drain(o)
			buyers := h.buyers(bids, 1000)
			var bad []int64
			for _, i := range test.poison {
				bad = append(bad, buyers[i])
			}
			test.plant(h, bad...)
			var ids []uuid.UUID
			for _, buyer := range buyers {
				ids = append(ids, h.bid(s, buyer, 1))
			}
			began := time.Now()
			faults := h.work(o, 1000)
			t.Logf("%d refusals, %s", len(faults), time.Since(began).Round(time.Millisecond))

			var sold int64
			var dead []uuid.UUID
			for i, id := range ids {
				got, want := h.receipt(id), "confirmed"
				switch {
				case sold == test.stock:
					want = "rejected sold_out"
				case slices.Contains(test.poison, i):
					want = "rejected internal"
					dead = append(dead, id)
				default:
					sold++
				}
				if is := strings.TrimSpace(got.Status.String() + " " + got.Reason.String()); is != want || got.Buyer != buyers[i] || got.Verb != sale.Bid {
					t.Errorf("number %d is %s of buyer %d, must be %s", i, is, got.Buyer, want)
				}
			}
			letters := h.letters(s.Partition)
			if len(letters) != len(dead) {
				t.Fatalf("%d dead letters, not %d", len(letters), len(dead))
			}
			attempts := 0
			for i, l := range letters {
				e := l.Entry
				attempts += l.Attempts
				if e.Receipt != dead[i] || e.Verb != sale.Bid || e.Sale != s.ID || e.Quantity != 1 || e.Price != 100 || !strings.Contains(l.Cause, "SQLSTATE 23514") || l.Attempts < aloneMost {
					t.Errorf("letter %+v", l)
				}
			}
			if attempts != len(faults) {
				t.Errorf("%d attempts are told of %d", attempts, len(faults))
			}
			if n := testutil.ToFloat64(o.metrics.faults.WithLabelValues("poison")); n != float64(len(dead)) {
				t.Errorf("%v poison counted", n)
			}
			if most := len(dead) * (wholeMost + 9 + aloneMost); len(faults) > most {
				t.Errorf("%d refusals to find it, more than %d", len(faults), most)
			}
			if o.suspect != (suspicion{}) {
				t.Errorf("still looking: %+v", o.suspect)
			}
			if stand := h.agree(s); stand.Sold != sold {
				t.Errorf("sold %d, not %d", stand.Sold, sold)
			}
			h.audited()
		})
	}
}

// TestPoisonAskedAgain: whoever repeats a poisonous request under its key is told
// what became of it, and nothing happens.
func TestPoisonAskedAgain(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	h.refuse(buyer)
	r := sale.Request{Receipt: sale.KeyedReceiptID(s.Partition, buyer, s.ID, sale.Bid, "k"), Verb: sale.Bid, Sale: s.ID, Buyer: buyer, Quantity: 2, Price: 100}
	for range 2 {
		h.admit(s, r)
		h.work(o, 100)
	}
	again, err := h.store.Admit(h.ctx, s.Partition, r, partition.Selling, partition.Limits{Backlog: 10})
	if err != nil || !again.Known || again.Reason != sale.Internal || again.Quantity != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	r.Quantity = 3
	var refusal *sale.Refusal
	if _, err := h.store.Admit(h.ctx, s.Partition, r, partition.Selling, partition.Limits{Backlog: 10}); !errors.As(err, &refusal) || refusal.Code != sale.RefusedMismatch {
		t.Errorf("another request under the same key: %v", err)
	}
	if letters := h.letters(s.Partition); len(letters) != 1 {
		t.Errorf("letters %+v", letters)
	}
	h.audited()
}

// TestPoisonReplayed: replayed too early it dies again; when its cause is gone it is
// settled like any other.
func TestPoisonReplayed(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	buyer := h.buyers(1, 1000)[0]
	h.refuse(buyer)
	first := h.bid(s, buyer, 2)
	h.work(o, 100)
	dead := deadletters.New(h.store, 10)
	receipts := []uuid.UUID{first}
	for _, want := range []string{"rejected internal", "confirmed"} {
		letters, err := dead.List(h.ctx, deadletters.All)
		h.must(err)
		if len(letters) != 1 || letters[0].Receipt != receipts[len(receipts)-1] {
			t.Fatalf("letters %+v", letters)
		}
		if want == "confirmed" {
			h.sql(`truncate poisonous`)
		}
		again, err := dead.Replay(h.ctx, deadletters.All, letters[0].ID)
		h.must(err)
		h.work(o, 100)
		if got := h.count([]uuid.UUID{again}); got[want] != 1 {
			t.Errorf("replayed it is %v, must be %s", got, want)
		}
		receipts = append(receipts, again)
	}
	if stand := h.agree(s); stand.Sold != 2 || h.points(buyer) != 800 || len(h.letters(s.Partition)) != 0 {
		t.Errorf("sold %d, %d points left, letters %+v", stand.Sold, h.points(buyer), h.letters(s.Partition))
	}
	if got := h.receipt(first); got.Reason != sale.Internal {
		t.Errorf("the first receipt is %+v", got)
	}
	h.audited()
}

// TestPoisonUnderAConsumer is the same with the loop and its pauses, while buyers
// keep coming.
func TestPoisonUnderAConsumer(t *testing.T) {
	h := newHouse(t)
	s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = 1000, 2 })
	buyers := h.buyers(500, 1000)
	h.refuse(buyers[0], buyers[250], buyers[499])
	c := h.start("a")
	h.until("it has all", func() bool { return len(c.Owned()) == partitions })
	h.until("it opens", func() bool {
		return h.store.LoadFrom(h.ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) { return h.ledger.Stand(ctx, s.ID) }) == nil
	})
	began := time.Now()
	var ids []uuid.UUID
	for range 2 {
		for _, buyer := range buyers {
			ids = append(ids, h.bid(s, buyer, 1))
		}
	}
	h.until("all of it is settled", func() bool { return h.receipt(ids[len(ids)-1]).Status != sale.Queued })
	t.Logf("1000 bids with 6 poisonous ones took %s", time.Since(began).Round(time.Millisecond))
	if got := h.count(ids); got["confirmed"] != 994 || got["rejected internal"] != 6 {
		t.Errorf("outcomes %v", got)
	}
	c.stop()
	h.agree(s)
	h.audited()
}

// TestTakeoverAmidTheSearch: the owner dies after each step of it, or between the
// commit and the Apply of the poison, or the reply of that is lost.
func TestTakeoverAmidTheSearch(t *testing.T) {
	for _, last := range []string{"nothing", "apply refused", "apply done, reply lost", "commit done, reply lost"} {
		t.Run(last+" breaks", func(t *testing.T) {
			b := &breakage{script: "apply.lua makes", done: strings.Contains(last, "done")}
			wrap := func(tx pgx.Tx) pgx.Tx { return tx }
			if strings.HasPrefix(last, "commit") {
				b.script = "no script"
				wrap = func(tx pgx.Tx) pgx.Tx { return commits{tx, b} }
			}
			h := houseOver(t, embeddedtest.Redis(t), embeddedtest.Postgres(t), wrap, b)
			defer h.audited()
			for steps := 1; ; steps++ {
				s := h.sale(func(s *sale.Sale) { s.Stock, s.Limit = 6, 1 })
				o := h.owner(s.Partition)
				h.open(s)
				h.drain(o)
				buyers := h.buyers(9, 1000)
				h.refuse(buyers[3], buyers[4])
				var ids []uuid.UUID
				for _, buyer := range buyers {
					ids = append(ids, h.bid(s, buyer, 1))
				}
				if last == "nothing" {
					h.work(o, steps)
				} else {
					for !o.suspect.condemned() {
						h.work(o, 1)
					}
					b.left.Store(1)
					if err := o.step(h.ctx); err == nil {
						t.Fatal("nothing broke")
					}
					b.left.Store(0)
				}
				done := h.receipt(ids[len(ids)-1]).Status != sale.Queued
				if steps%2 == 0 && last != "nothing" { // it lives, and finds out
					h.must(o.sync(h.ctx))
				} else {
					o = h.owner(s.Partition)
				}
				h.work(o, 100)
				want := []string{"confirmed", "confirmed", "confirmed", "internal", "internal", "confirmed", "confirmed", "confirmed", "sold_out"}
				for i, id := range ids {
					r := h.receipt(id)
					if is := r.Reason.String(); r.Status == sale.Confirmed && want[i] != "confirmed" || r.Status != sale.Confirmed && is != want[i] {
						t.Errorf("after %d steps number %d is %s %s, must be %s", steps, i, r.Status, is, want[i])
					}
				}
				letters := h.takeLetters(s.Partition)
				if len(letters) != 2 || letters[0].Entry.Receipt != ids[3] || letters[1].Entry.Receipt != ids[4] {
					t.Errorf("after %d steps the letters are %+v", steps, letters)
				}
				if steps == 2 && last != "nothing" && (len(letters) == 0 || letters[0].Cause == "") {
					t.Errorf("the owner that lives has forgotten why: %+v", letters)
				}
				h.agree(s)
				if done || last != "nothing" && steps == 2 {
					t.Logf("%d ways", steps)
					return
				}
			}
		})
	}
}

// TestRefusedWithoutItsData: what is refused even so is nobody's poison.
func TestRefusedWithoutItsData(t *testing.T) {
	h := newHouse(t)
	s := h.sale(nil)
	o := h.owner(s.Partition)
	h.open(s)
	h.drain(o)
	var ids []uuid.UUID
	for _, buyer := range h.buyers(5, 1000) {
		ids = append(ids, h.bid(s, buyer, 1))
	}
	h.sql(`alter table batches add constraint nothing check (false) not valid`)
	if faults := h.work(o, 40); len(faults) != 40 {
		t.Fatalf("%d faults", len(faults))
	}
	if got := h.count(ids); got["queued"] != 5 || len(h.letters(s.Partition)) != 0 {
		t.Fatalf("outcomes %v, letters %+v", got, h.letters(s.Partition))
	}
	h.sql(`alter table batches drop constraint nothing`)
	h.work(o, 40)
	if got := h.count(ids); got["confirmed"] != 5 || len(h.letters(s.Partition)) != 0 {
		t.Errorf("outcomes %v", got)
	}
	h.audited()
}

// infrastructure is faults that have nothing to do with what is written. Each begins
// to bite one buyer, or everybody, and answers how it ends.
var infrastructure = func() map[string]func(h *house, buyer int64) (end func()) {
	faults := map[string]func(h *house, buyer int64) func(){
		"commit refused": func(h *house, _ int64) func() {
			h.broken.left.Store(1 << 30)
			return func() { h.broken.left.Store(0) }
		},
		"connection killed": func(h *house, _ int64) func() {
			h.kills.Store(true)
			return func() { h.kills.Store(false) }
		},
		"lock timeout": func(h *house, buyer int64) func() {
			c, err := pgx.Connect(h.ctx, h.pg)
			h.must(err)
			tx, err := c.Begin(h.ctx)
			h.must(err)
			_, err = tx.Exec(h.ctx, `select from wallets where id = $1 for update`, buyer)
			h.must(err)
			return func() {
				h.must(tx.Rollback(h.ctx))
				h.must(c.Close(h.ctx))
			}
		},
		"statement timeout": func(h *house, buyer int64) func() { return h.bite(buyer, `perform pg_sleep(10)`) },
		"column missing": func(h *house, _ int64) func() {
			h.sql(`alter table receipts rename column fingerprint to finger`)
			return func() { h.sql(`alter table receipts rename column finger to fingerprint`) }
		},
	}
	for _, code := range []string{
		"08006", "25006", "40001", "53100", "57P03", "58030", "0A000", "42501", "XX000", "ZZZZZ", // 55 and the rest of 57 come of themselves above
	} {
		faults["SQLSTATE "+code] = func(h *house, buyer int64) func() {
			return h.bite(buyer, `raise 'not about data' using errcode = '`+code+`'`)
		}
	}
	return faults
}()

// bite plants a trigger that does something when a receipt of the buyer comes.
func (h *house) bite(buyer int64, what string) (end func()) {
	h.t.Helper()
	h.sql(fmt.Sprintf(`
		create function bite() returns trigger language plpgsql as $$
		begin
			if new.buyer = %d then
				%s;
			end if;
			return new;
		end $$`, buyer, what))
	h.sql(`create trigger bite before insert on receipts for each row execute function bite()`)
	return func() { h.sql(`drop function bite() cascade`) }
}

// killed is a transaction whose connection dies before it can commit.
type killed struct {
	pgx.Tx
	h *house
}

func (k killed) Commit(ctx context.Context) error {
	if k.h.kills.Load() {
		k.h.sql(`select pg_terminate_backend($1)`, int32(k.Tx.Conn().PgConn().PID()))
	}
	return k.Tx.Commit(ctx)
}

// underFault lets a fault bite five bids, one of them or all, for a dozen attempts,
// and ends it. It answers what is wrong then: nobody may be poison.
func (h *house) underFault(begin func(*house, int64) func(), refuses func(error) bool) (wrong []string) {
	s := h.sale(nil)
	o := h.owner(s.Partition)
	o.refuses = refuses
	h.open(s)
	h.drain(o)
	buyers := h.buyers(5, 1000)
	end := begin(h, buyers[2])
	var ids []uuid.UUID
	for _, buyer := range buyers {
		ids = append(ids, h.bid(s, buyer, 1))
	}
	if faults := h.work(o, 12); len(faults) == 0 {
		wrong = append(wrong, "nothing broke")
	} else {
		h.t.Logf("%d faults, %v", len(faults), faults[0])
	}
	end()
	h.work(o, 100)
	if got := h.count(ids); !maps.Equal(got, map[string]int{"confirmed": 5}) {
		wrong = append(wrong, fmt.Sprintf("outcomes %v", got))
	}
	if letters := h.takeLetters(s.Partition); len(letters) > 0 {
		wrong = append(wrong, fmt.Sprintf("%d dead letters", len(letters)))
	}
	h.agree(s)
	return wrong
}

// faulty is a house where the infrastructure can be broken.
func faulty(t *testing.T) (h *house) {
	t.Helper()
	pg := embeddedtest.Postgres(t)
	hasty(t, pg)
	b := &breakage{script: "no script"}
	h = houseOver(t, embeddedtest.Redis(t), pg, func(tx pgx.Tx) pgx.Tx { return killed{commits{tx, b}, h} })
	h.broken = b
	return h
}

// hasty makes Postgres give up early on locks and statements, so that a test of it
// is short.
func hasty(t *testing.T, pg string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), pg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, limit := range []string{"lock_timeout = '50ms'", "statement_timeout = '200ms'"} {
		if _, err := c.Exec(t.Context(), `do $$ begin execute format('alter role %I in database %I set `+
			strings.ReplaceAll(limit, "'", "''")+`', current_user, current_database()); end $$`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInfrastructureIsNoPoison(t *testing.T) {
	h := faulty(t)
	for _, name := range slices.Sorted(maps.Keys(infrastructure)) {
		for _, wrong := range h.underFault(infrastructure[name], ledger.RefusesData) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	h.audited()
}

// TestInfrastructureTwin is an owner that takes every fault for one of the data.
// Each fault that bites one buyer, and not the batches, must show it.
func TestInfrastructureTwin(t *testing.T) {
	h := faulty(t)
	for _, name := range []string{"SQLSTATE 40001", "SQLSTATE 42501", "lock timeout", "statement timeout"} {
		wrong := h.underFault(infrastructure[name], func(error) bool { return true })
		if len(wrong) == 0 {
			t.Errorf("%s: the twin went through", name)
		}
		t.Log(name, wrong)
	}
	h.audited()
}
