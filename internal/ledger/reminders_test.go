package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// told counts the notices with a word of each account.
func (b *books) told(word sale.NoticeWord) map[int64]int {
	b.t.Helper()
	rows, err := b.pool.Query(b.ctx, `select account from notices where word = $1`, string(word))
	b.must(err)
	defer rows.Close()
	counts := map[int64]int{}
	for rows.Next() {
		var account int64
		b.must(rows.Scan(&account))
		counts[account]++
	}
	b.must(rows.Err())
	return counts
}

// once fails unless these accounts, and nobody else, were told once.
func (b *books) once(word sale.NoticeWord, accounts []int64) {
	b.t.Helper()
	told := b.told(word)
	for _, account := range accounts {
		if told[account] != 1 {
			b.t.Errorf("%d was told %d times that %q", account, told[account], word)
		}
	}
	if len(told) != len(accounts) {
		b.t.Errorf("%d were told that %q, not %d", len(told), word, len(accounts))
	}
}

// together runs a duty of four schedulers at once, until none of them finds more.
func together(t *testing.T, duty func() (int64, error)) (told int64) {
	t.Helper()
	for {
		var mu sync.Mutex
		var all sync.WaitGroup
		var n int64
		for range 4 {
			all.Go(func() {
				one, err := duty()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				n += one
			})
		}
		all.Wait()
		if told += n; n == 0 {
			return told
		}
	}
}

// silent makes accounts that are told nothing: one has switched notices off, one is
// deleted.
func (b *books) silent() []int64 {
	b.t.Helper()
	ids, err := b.CreateAccounts(b.ctx, "buyer", 2, 0)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update accounts set notices = false where id = $1`, ids[0])
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update accounts set deleted_at = now() where id = $1`, ids[1])
	b.must(err)
	return ids
}

func TestHoldsAreRemindedOnce(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	hold := func(account int64, status string, payBy sale.Instant) uuid.UUID {
		id := uuid.New()
		_, err := b.pool.Exec(b.ctx, `
			insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
			values ($1, 5, $2, 1, 10, $3, $4, $4::timestamptz - interval '2 minutes', now(), now())`, id, account, status, payBy.Time())
		b.must(err)
		return id
	}
	buyers, err := b.CreateAccounts(b.ctx, "buyer", 300, 0)
	b.must(err)
	for _, account := range append(buyers, b.silent()...) {
		hold(account, "pending", now.Add(time.Minute))
	}
	strangers, err := b.CreateAccounts(b.ctx, "buyer", 3, 0)
	b.must(err)
	hold(strangers[0], "paid", now.Add(time.Minute))
	hold(strangers[1], "pending", now.Add(3*time.Minute)) // not yet
	hold(strangers[2], "pending", now)                    // no more
	if n := together(t, func() (int64, error) { return b.RemindHolds(b.ctx, now, 70) }); n != 300 {
		t.Errorf("told %d", n)
	}
	b.once(sale.NoticeSoon, buyers)
	if n := b.notices(buyers[0], true, 10); len(n) != 1 || n[0].Sale != 5 || n[0].Receipt == uuid.Nil || n[0].PayBy != now.Add(time.Minute) || n[0].At != now.Add(-time.Minute) {
		t.Errorf("%+v", n)
	}
	// A later scheduler, which does not know that the others were there.
	_, err = b.pool.Exec(b.ctx, `update orders set reminded = false`)
	b.must(err)
	if n, err := b.RemindHolds(b.ctx, now, 1000); err != nil || n != 0 {
		t.Errorf("told %d again, %v", n, err)
	}
}

func TestWatch(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	coming, err := b.CreateSale(b.ctx, b.of(sale.Event, now.Add(time.Hour), now.Add(2*time.Hour)), parts)
	b.must(err)
	running, err := b.CreateSale(b.ctx, b.of(sale.Event, now.Add(-time.Second), now.Add(2*time.Hour)), parts)
	b.must(err)
	buyer := b.account("buyer", 0)
	b.must(b.Watch(b.ctx, buyer, coming.ID))
	b.must(b.Watch(b.ctx, buyer, coming.ID))
	b.must(b.Watch(b.ctx, buyer+1, coming.ID))
	b.must(b.Unwatch(b.ctx, buyer+1, coming.ID))
	b.must(b.Unwatch(b.ctx, buyer+1, coming.ID))
	if err := b.Watch(b.ctx, buyer, running.ID); !errors.Is(err, ErrOpened) {
		t.Errorf("a sale that is open: %v", err)
	}
	if err := b.Watch(b.ctx, buyer, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
	for at, want := range map[sale.Instant]int64{coming.OpensAt - 1: 0, coming.OpensAt: 1} {
		if at == coming.OpensAt {
			continue
		}
		if n, err := b.Announce(b.ctx, at, 10); err != nil || n != want {
			t.Errorf("at %d told %d, %v", at, n, err)
		}
	}
	if n, err := b.Announce(b.ctx, coming.OpensAt, 10); err != nil || n != 1 {
		t.Errorf("told %d, %v", n, err)
	}
	b.once(sale.NoticeOpens, []int64{buyer})
	if n := b.notices(buyer, true, 10); len(n) != 1 || n[0].Sale != coming.ID || n[0].Receipt != uuid.Nil || n[0].At != coming.OpensAt {
		t.Errorf("%+v", n)
	}
	// A sale that is deleted is watched by nobody.
	gone, err := b.CreateSale(b.ctx, b.of(sale.Event, now.Add(time.Hour), now.Add(2*time.Hour)), parts)
	b.must(err)
	b.must(b.Watch(b.ctx, buyer, gone.ID))
	b.must(b.DeleteSale(b.ctx, gone.ID, func(*sale.Stand, sale.Instant) error { return nil }))
	if n, err := b.Announce(b.ctx, now.Add(time.Hour), 10); err != nil || n != 0 {
		t.Errorf("told %d of a deleted sale, %v", n, err)
	}
}

// TestOpeningsAreAnnouncedOnce: to many, in pages, by four at once, cut off in between.
func TestOpeningsAreAnnouncedOnce(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	var watched []sale.Sale
	for range 2 {
		s, err := b.CreateSale(b.ctx, b.of(sale.Event, now.Add(time.Hour), now.Add(2*time.Hour)), parts)
		b.must(err)
		watched = append(watched, s)
	}
	buyers, err := b.CreateAccounts(b.ctx, "buyer", 2*tellMost+300, 0)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `insert into watches select $1, id from unnest($2::bigint[]) id`, watched[0].ID, append(buyers, b.silent()...))
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update sales set watched = true`)
	b.must(err)
	// The first scheduler is cut off after one page.
	cut, cancel := context.WithCancel(b.ctx)
	go func() {
		for {
			var n int
			if b.pool.QueryRow(b.ctx, `select count(*) from notices`).Scan(&n) != nil || n > 0 {
				cancel()
				return
			}
		}
	}()
	first, err := b.Announce(cut, watched[0].OpensAt, 10)
	cancel()
	t.Logf("cut off after %d: %v", first, err)
	if n := together(t, func() (int64, error) { return b.Announce(b.ctx, watched[0].OpensAt, 10) }); n > int64(len(buyers)) {
		t.Errorf("told %d", n)
	}
	b.once(sale.NoticeOpens, buyers)
	var announced, left int
	b.must(b.pool.QueryRow(b.ctx, `select (select count(*) from sales where announced), (select count(*) from watches)`).Scan(&announced, &left))
	if announced != 2 || left != 0 {
		t.Errorf("%d sales are announced, %d watches left", announced, left)
	}
}

// TestNobodyWatchesInVain: who watches at the last moment is told, or refused.
func TestNobodyWatchesInVain(t *testing.T) {
	b := open(t)
	opens := sale.At(time.Now()).Add(500 * time.Millisecond)
	s, err := b.CreateSale(b.ctx, b.of(sale.Event, opens, opens.Add(time.Hour)), parts)
	b.must(err)
	buyers, err := b.CreateAccounts(b.ctx, "buyer", 400, 0)
	b.must(err)
	var mu sync.Mutex
	var promised []int64
	var all sync.WaitGroup
	next := make(chan int64)
	for range 4 {
		all.Go(func() {
			for buyer := range next {
				switch err := b.Watch(b.ctx, buyer, s.ID); {
				case err == nil:
					mu.Lock()
					promised = append(promised, buyer)
					mu.Unlock()
				case !errors.Is(err, ErrOpened):
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for sale.At(time.Now()) < opens.Add(200*time.Millisecond) {
			if now := sale.At(time.Now()); now >= opens {
				if _, err := b.Announce(b.ctx, now, 10); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for _, buyer := range buyers {
		next <- buyer
		time.Sleep(2 * time.Millisecond)
	}
	close(next)
	all.Wait()
	_, err = b.Announce(b.ctx, sale.At(time.Now()), 10)
	b.must(err)
	if len(promised) == 0 || len(promised) == len(buyers) {
		t.Fatalf("%d of %d came in time", len(promised), len(buyers))
	}
	b.once(sale.NoticeOpens, promised)
}

// TestStartsAreRemindedOnce: 24 hours before, whoever has something by then.
func TestStartsAreRemindedOnce(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	event := func(startsIn time.Duration) sale.Sale {
		s := b.of(sale.Event, now.Add(-48*time.Hour), now.Add(startsIn))
		s.StartsAt, s.Stock, s.LineMost = s.ClosesAt, 1_000_000, 0
		s, err := b.CreateSale(b.ctx, s, parts)
		b.must(err)
		return s
	}
	row := func(of sale.Sale, accounts []int64, verb, status string, quantity int, at sale.Instant) {
		_, err := b.pool.Exec(b.ctx, `
			insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, pay_by, target, fingerprint, seq, at)
			select gen_random_uuid(), $1, id, $2, $3, 0, $4, $5, case $2 when 'pay' then gen_random_uuid() end, 0, id, $5
			from unnest($6::bigint[]) id`, of.ID, verb, quantity, status, at.Time(), accounts)
		b.must(err)
	}
	due, later, past := event(24*time.Hour), event(24*time.Hour+time.Minute), event(-time.Minute)
	buyers, err := b.CreateAccounts(b.ctx, "buyer", tellMost+200, 0)
	b.must(err)
	strangers, err := b.CreateAccounts(b.ctx, "buyer", 8, 0)
	b.must(err)
	row(due, buyers[:600], "join", "confirmed", 1, now.Add(-time.Hour)) // many at one moment
	row(due, buyers[600:tellMost], "join", "confirmed", 1, now.Add(-time.Minute))
	row(due, buyers[tellMost:tellMost+100], "join", "held", 1, now.Add(-time.Second))
	row(due, buyers[tellMost+100:], "pay", "confirmed", 1, now-1)
	row(due, b.silent(), "join", "confirmed", 1, now-1)
	row(due, strangers[:1], "join", "confirmed", 1, now) // since then
	row(due, strangers[1:2], "join", "cancelled", 1, now-1)
	row(due, strangers[2:3], "join", "waiting", 1, now-1)
	row(due, strangers[3:4], "pay", "confirmed", 0, now-1) // of a hold, which has a receipt of its own
	row(later, strangers[4:5], "join", "confirmed", 1, now-1)
	row(past, strangers[5:6], "join", "confirmed", 1, now.Add(-36*time.Hour))
	if n := together(t, func() (int64, error) { return b.RemindStarts(b.ctx, now, 10) }); n != int64(len(buyers)) {
		t.Errorf("told %d", n)
	}
	b.once(sale.NoticeReminder, buyers)
	if n := b.notices(buyers[0], true, 10); len(n) != 1 || n[0].Sale != due.ID || n[0].Receipt == uuid.Nil || n[0].At != now {
		t.Errorf("%+v", n)
	}
	var left int64
	b.must(b.pool.QueryRow(b.ctx, `select id from sales where not reminded`).Scan(&left))
	if left != later.ID {
		t.Errorf("sale %d is left", left)
	}
	// A later scheduler, which does not know that the others were there.
	_, err = b.pool.Exec(b.ctx, `update sales set reminded = false`)
	b.must(err)
	if n, err := b.RemindStarts(b.ctx, now, 10); err != nil || n != 0 {
		t.Errorf("told %d again, %v", n, err)
	}
	if n, err := b.RemindStarts(b.ctx, now.Add(time.Minute), 10); err != nil || n != 1 {
		t.Errorf("a minute later told %d, %v", n, err)
	}
}

// TestNoReminderOfWhatIsNotOpen: it may still be moved.
func TestNoReminderOfWhatIsNotOpen(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	s := b.of(sale.Event, now.Add(time.Minute), now.Add(time.Hour))
	s.StartsAt = s.ClosesAt
	s, err := b.CreateSale(b.ctx, s, parts)
	b.must(err)
	for _, test := range []struct {
		at   sale.Instant
		done bool
	}{{now, false}, {now.Add(time.Minute), true}} {
		_, err := b.RemindStarts(b.ctx, test.at, 10)
		b.must(err)
		var done bool
		b.must(b.pool.QueryRow(b.ctx, `select reminded from sales where id = $1`, s.ID).Scan(&done))
		if done != test.done {
			t.Error(fmt.Sprint("at ", test.at-now, " it is done: ", done))
		}
	}
}
