package ledger

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

func (b *books) account(role string, points int64) int64 {
	b.t.Helper()
	ids, err := b.CreateAccounts(b.ctx, role, 1, points)
	b.must(err)
	return ids[0]
}

func (b *books) points(wallet int64) int64 {
	b.t.Helper()
	points, err := b.Points(b.ctx, wallet)
	b.must(err)
	return points
}

// count answers a number that a statement selects.
func (b *books) count(statement string, args ...any) (n int64) {
	b.t.Helper()
	b.must(b.pool.QueryRow(b.ctx, statement, args...).Scan(&n))
	return n
}

func refused(err error) sale.Code {
	var refusal *sale.Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func TestTopUp(t *testing.T) {
	b := open(t)
	me := b.account("buyer", 100)
	one, err := b.TopUp(b.ctx, me, 50, "")
	b.must(err)
	two, err := b.TopUp(b.ctx, me, 50, "")
	b.must(err)
	if one.ID == two.ID || one.Balance != 150 || two.Balance != 200 || one.Replayed || two.Replayed || time.Since(one.At) > time.Minute {
		t.Errorf("without a key %+v, %+v", one, two)
	}
	keyed, err := b.TopUp(b.ctx, me, 7, "k")
	b.must(err)
	b.must(ignore(b.TopUp(b.ctx, me, 1, "")))
	again, err := b.TopUp(b.ctx, me, 7, "k")
	b.must(err)
	if !again.Replayed || again.ID != keyed.ID || again.At != keyed.At || again.Amount != 7 || again.Balance != 208 {
		t.Errorf("%+v, again %+v", keyed, again)
	}
	if _, err := b.TopUp(b.ctx, me, 8, "k"); refused(err) != sale.RefusedMismatch {
		t.Errorf("another amount under the key: %v", err)
	}
	other := b.account("seller", 0)
	if theirs, err := b.TopUp(b.ctx, other, 7, "k"); err != nil || theirs.Replayed || theirs.ID == keyed.ID || theirs.Balance != 7 {
		t.Errorf("somebody else's key: %+v, %v", theirs, err)
	}
	if me, source := b.points(me), b.points(Source); me != 208 || source != -215 {
		t.Errorf("wallet %d, source %d", me, source)
	}
}

func ignore[T any](_ T, err error) error { return err }

func TestTopUpRefuses(t *testing.T) {
	b := open(t)
	me := b.account("buyer", 0)
	gone := b.account("buyer", 0)
	_, err := b.pool.Exec(b.ctx, `update accounts set deleted_at = now() where id = $1`, gone)
	b.must(err)
	for _, amount := range []int64{0, -1, -1 << 63} {
		var faults sale.Faults
		if _, err := b.TopUp(b.ctx, me, amount, ""); !errors.As(err, &faults) || faults[0].Field != "amount" {
			t.Errorf("%d points: %v", amount, err)
		}
	}
	for _, account := range []int64{Source, -1, gone, 404} {
		if _, err := b.TopUp(b.ctx, account, 1, "k"); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("account %d: %v", account, err)
		}
	}
	for _, amount := range []int64{sale.MaxPoints + 1, 1<<63 - 1} {
		if _, err := b.TopUp(b.ctx, me, amount, ""); !errors.Is(err, ErrTooMuch) {
			t.Errorf("%d points: %v", amount, err)
		}
	}
	// All the points there can be, and then one more, for oneself or another.
	if all, err := b.TopUp(b.ctx, me, sale.MaxPoints, "all"); err != nil || all.Balance != sale.MaxPoints {
		t.Errorf("%+v, %v", all, err)
	}
	for _, account := range []int64{me, b.account("buyer", 0)} {
		if _, err := b.TopUp(b.ctx, account, 1, "more"); !errors.Is(err, ErrTooMuch) {
			t.Errorf("one more: %v", err)
		}
	}
	if again, err := b.TopUp(b.ctx, me, sale.MaxPoints, "all"); err != nil || !again.Replayed {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if n := b.count(`select count(*) from entries`); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// TestTopUpsAtOnce: one key makes one entry, however many ask at once; others go
// through one after the other, beside batches that are settled.
func TestTopUpsAtOnce(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	_, err := b.pool.Exec(b.ctx, `update sales set per_buyer_limit = 10`)
	b.must(err)
	buyers, err := b.CreateAccounts(b.ctx, "buyer", 4, 1000)
	b.must(err)
	var all sync.WaitGroup
	var mu sync.Mutex
	fresh, ids := 0, map[uuid.UUID]bool{}
	for range 10 {
		all.Go(func() {
			made, err := b.TopUp(b.ctx, buyers[0], 5, "once")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[made.ID] = true
			if !made.Replayed {
				fresh++
			}
		})
	}
	for _, buyer := range buyers {
		all.Go(func() {
			for range 10 {
				if _, err := b.TopUp(b.ctx, buyer, 1, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range 10 {
			batch := b.batch(s, 100)
			batch.Entries[0].Buyer = buyers[1]
			batch.Last.At = max(batch.Last.At, batch.Prev.At+1)
			batch.Entries[0].ID = batch.Last
			if err := b.Settle(b.ctx, batch); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if fresh != 1 || len(ids) != 1 {
		t.Errorf("%d top-ups under %d names", fresh, len(ids))
	}
	if points := b.points(buyers[0]); points != 1015 {
		t.Errorf("balance %d", points)
	}
	if points := b.points(buyers[1]); points != 1010-10*90 {
		t.Errorf("a buyer's balance %d", points)
	}
	if sum := b.count(`select sum(balance)::bigint from wallets`); sum != 0 {
		t.Errorf("all wallets sum to %d", sum)
	}
	for _, wallet := range append(buyers, Source, s.Escrow) {
		if sum := b.count(`
			select coalesce(sum(case when credit = $1 then amount else -amount end), 0)::bigint
			from entries
			where $1 in (debit, credit)`, wallet); sum != b.points(wallet) {
			t.Errorf("wallet %d has %d, its entries %d", wallet, b.points(wallet), sum)
		}
	}
}

func TestStatement(t *testing.T) {
	b := open(t)
	s := b.sale(-time.Minute, time.Hour)
	batch := b.batch(s, 100)
	me := batch.Entries[0].Buyer
	b.must(b.Settle(b.ctx, batch))
	made, err := b.TopUp(b.ctx, me, 5, "k")
	b.must(err)
	lines, err := b.Statement(b.ctx, me, 0, 10)
	b.must(err)
	if len(lines) != 3 {
		t.Fatalf("statement %+v", lines)
	}
	for i, want := range []Line{
		{Kind: "topup", Amount: 5, At: sale.At(made.At)},
		{Kind: "bid", Amount: -90, Receipt: batch.Entries[0].Receipt, At: batch.Last.At},
		{Kind: "topup", Amount: 100, At: lines[2].At},
	} {
		if want.ID = lines[i].ID; lines[i] != want {
			t.Errorf("line %+v, not %+v", lines[i], want)
		}
	}
	if escrow, err := b.Statement(b.ctx, s.Escrow, 0, 10); err != nil || len(escrow) != 1 || escrow[0].Amount != 90 {
		t.Errorf("escrow's statement %+v, %v", escrow, err)
	}
	if none, err := b.Statement(b.ctx, 404, 0, 10); err != nil || len(none) != 0 {
		t.Errorf("nobody's statement %+v, %v", none, err)
	}
	// Page by page it is the same, and its lines sum to the balance.
	var paged []Line
	for before := int64(0); ; before = paged[len(paged)-1].ID {
		page, err := b.Statement(b.ctx, me, before, 2)
		b.must(err)
		if paged = append(paged, page...); len(page) < 2 {
			break
		}
	}
	sum := int64(0)
	for i, line := range paged {
		if sum += line.Amount; line != lines[i] {
			t.Errorf("paged %+v", paged)
		}
	}
	if len(paged) != 3 || sum != b.points(me) {
		t.Errorf("%d lines sum to %d", len(paged), sum)
	}
}
