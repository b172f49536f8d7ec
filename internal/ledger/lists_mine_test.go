package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// pages reads a list to its end, page by page.
func pages[T any](b *books, limit int, read func(last *T) (page []T, more bool, err error)) (all []T) {
	b.t.Helper()
	var last *T
	for more := true; more; {
		var page []T
		var err error
		page, more, err = read(last)
		b.must(err)
		if len(page) > limit || more && len(page) < limit {
			b.t.Fatalf("%d on a page of %d, more %t", len(page), limit, more)
		}
		if all = append(all, page...); len(page) > 0 {
			last = &page[len(page)-1]
		}
	}
	return all
}

func TestCouponsAgainstAModel(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	var all []Coupon
	for i := range 60 {
		c := Coupon{uuid.New(), sale.CouponStand{
			Sale: int64(i), Buyer: int64(1 + i%2), Seller: 5, Amount: 10,
			ValidFrom: now.Add(-100 * time.Hour), ValidUntil: now.Add(time.Duration(i/4-7)*time.Hour + time.Minute),
		}}
		if i%3 == 0 {
			c.UsedBy = uuid.New()
		}
		all = append(all, c)
		_, err := b.pool.Exec(b.ctx, `
			insert into coupons (id, sale, buyer, seller, amount, valid_from, valid_until, used_by)
			values ($1, $2, $3, $4, $5, $6, $7, nullif($8, '00000000-0000-0000-0000-000000000000'::uuid))`,
			[16]byte(c.ID), c.Sale, c.Buyer, c.Seller, c.Amount, c.ValidFrom.Time(), c.ValidUntil.Time(), [16]byte(c.UsedBy))
		b.must(err)
	}
	is := map[string]func(Coupon) bool{
		"":            func(Coupon) bool { return true },
		CouponUsed:    func(c Coupon) bool { return c.UsedBy != uuid.Nil },
		CouponUsable:  func(c Coupon) bool { return c.UsedBy == uuid.Nil && c.ValidUntil > now },
		CouponExpired: func(c Coupon) bool { return c.UsedBy == uuid.Nil && c.ValidUntil <= now },
	}
	for state, is := range is {
		for _, buyer := range []int64{1, 2, 3} {
			var want []Coupon
			for _, c := range all {
				if c.Buyer == buyer && is(c) {
					want = append(want, c)
				}
			}
			slices.SortFunc(want, func(a, b Coupon) int {
				if state != CouponUsable {
					a, b = b, a
				}
				return cmp.Or(cmp.Compare(a.ValidUntil, b.ValidUntil), bytes.Compare(a.ID[:], b.ID[:]))
			})
			for _, limit := range []int{1, 7, 100} {
				got := pages(b, limit, func(last *Coupon) ([]Coupon, bool, error) {
					f := CouponFilter{Buyer: buyer, State: state, Limit: limit}
					if last != nil {
						f.After = CouponCursor{last.ValidUntil, last.ID}
					}
					return b.Coupons(b.ctx, f)
				})
				if !slices.Equal(got, want) || buyer < 3 && len(want) == 0 {
					t.Errorf("%q of %d: %d coupons, not %d", state, buyer, len(got), len(want))
				}
			}
		}
	}
}

// TestClaimable: what is open, valid, left and not his; the phase of one is behind.
func TestClaimable(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	make := func(change func(*sale.Sale), phase sale.Phase, gone int64) int64 {
		s := b.of(sale.Coupon, now.Add(-time.Hour), now.Add(time.Hour))
		if change != nil {
			change(&s)
		}
		s, err := b.CreateSale(b.ctx, s, parts)
		b.must(err)
		_, err = b.pool.Exec(b.ctx, `update sales set phase = $2, free = stock - $3, sold = $3 where id = $1`, s.ID, phase, gone)
		b.must(err)
		return s.ID
	}
	last := make(func(s *sale.Sale) { s.ClosesAt, s.ValidUntil = now.Add(3*time.Hour), now.Add(9*time.Hour) }, sale.PhaseOpen, 9)
	plain := make(nil, sale.PhaseOpen, 0)
	late := make(func(s *sale.Sale) { s.ClosesAt = now.Add(2 * time.Hour) }, sale.Scheduled, 0)
	mine := make(nil, sale.PhaseOpen, 1)
	make(nil, sale.PhaseOpen, 10)
	make(func(s *sale.Sale) { s.OpensAt, s.ValidFrom = now.Add(time.Minute), now.Add(time.Minute) }, sale.Scheduled, 0)
	make(func(s *sale.Sale) { s.ClosesAt = now.Add(-time.Minute) }, sale.PhaseOpen, 0)
	make(func(s *sale.Sale) { s.ValidFrom = now.Add(time.Minute) }, sale.PhaseOpen, 0)
	make(func(s *sale.Sale) { s.ValidUntil = now.Add(-time.Minute) }, sale.PhaseOpen, 0)
	reservation, err := b.CreateSale(b.ctx, b.of(sale.Reservation, now.Add(-time.Hour), now.Add(time.Hour)), parts)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `update sales set phase = 'open' where id = $1`, reservation.ID)
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `
		insert into coupons (id, sale, buyer, seller, amount, valid_from, valid_until)
		values ($1, $2, 7, 5, 10, now(), now() + interval '1 hour')`, uuid.New(), mine)
	b.must(err)
	for buyer, want := range map[int64][]int64{7: {plain, late, last}, 8: {plain, mine, late, last}} {
		for _, limit := range []int{1, 2, 10} {
			var got []int64
			for _, s := range pages(b, limit, func(last **sale.Stand) ([]*sale.Stand, bool, error) {
				var after SaleCursor
				if last != nil {
					after = SaleCursor{(*last).ClosesAt, (*last).ID}
				}
				page, more, at, err := b.Claimable(b.ctx, buyer, after, limit)
				if at < now {
					t.Errorf("as of %s", at.Time())
				}
				return page, more, err
			}) {
				got = append(got, s.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("buyer %d could claim %d, not %d", buyer, got, want)
			}
		}
	}
}

func TestOrdersAgainstAModel(t *testing.T) {
	b := open(t)
	now := sale.At(time.Now())
	words := []string{"pending", "paid", "expired", "cancelled"}
	var all []Order
	for i := range 60 {
		o := Order{uuid.New(), int64(i), int64(1 + i%2), 2, 20, words[i/2%4], now.Add(time.Hour), now.Add(time.Duration(i/3) * time.Second), now}
		all = append(all, o)
		_, err := b.pool.Exec(b.ctx, `
			insert into orders (receipt, sale, buyer, quantity, amount, status, pay_by, remind_at, created_at, changed_at)
			values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)`,
			[16]byte(o.Receipt), o.Sale, o.Buyer, o.Quantity, o.Amount, o.Status, o.PayBy.Time(), o.CreatedAt.Time(), o.ChangedAt.Time())
		b.must(err)
	}
	for _, status := range append(words, "", "nothing") {
		for _, buyer := range []int64{1, 2, 3} {
			var want []Order
			for _, o := range all {
				if o.Buyer == buyer && (status == "" || o.Status == status) {
					want = append(want, o)
				}
			}
			slices.SortFunc(want, func(a, b Order) int {
				return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), bytes.Compare(b.Receipt[:], a.Receipt[:]))
			})
			for _, limit := range []int{1, 4, 100} {
				got := pages(b, limit, func(last *Order) ([]Order, bool, error) {
					f := OrderFilter{Buyer: buyer, Status: status, Limit: limit}
					if last != nil {
						f.After = OrderCursor{last.CreatedAt, last.Receipt}
					}
					return b.Orders(b.ctx, f)
				})
				if !slices.Equal(got, want) || buyer < 3 && status != "nothing" && len(want) == 0 {
					t.Errorf("%q of %d: %d orders, not %d", status, buyer, len(got), len(want))
				}
			}
		}
	}
}

// list reads all notices of an account.
func (b *books) notices(account int64, unread bool, limit int) []Notice {
	b.t.Helper()
	return pages(b, limit, func(last *Notice) ([]Notice, bool, error) {
		f := NoticeFilter{Account: account, Unread: unread, Limit: limit}
		if last != nil {
			f.After = last.ID
		}
		return b.Notices(b.ctx, f)
	})
}

func TestNoticesAreListedAndRead(t *testing.T) {
	b := open(t)
	_, err := b.pool.Exec(b.ctx, `
		insert into notices (account, at, word, sale, receipt, pay_by)
		select 1 + n % 2, now(), 'held', n, gen_random_uuid(), now() + interval '1 hour'
		from generate_series(1, 40) n
		union all
		select 1, now(), 'opens', 99, null, null`)
	b.must(err)
	all := b.notices(1, false, 100)
	if len(all) != 21 || all[0].Word != sale.NoticeOpens || all[0].Receipt != uuid.Nil || all[0].PayBy != 0 || all[0].Read ||
		all[1].Word != sale.NoticeHeld || all[1].Receipt == uuid.Nil || all[1].PayBy <= all[1].At || all[1].Account != 1 || all[1].Sale != 40 {
		t.Fatalf("%+v", all)
	}
	if !slices.IsSortedFunc(all, func(a, b Notice) int { return cmp.Compare(b.ID, a.ID) }) {
		t.Error("not the newest first")
	}
	for _, limit := range []int{1, 5, 21, 22} {
		if got := b.notices(1, true, limit); !slices.Equal(got, all) {
			t.Errorf("pages of %d: %d notices", limit, len(got))
		}
	}
	others := b.notices(2, false, 100)
	if n, err := b.MarkRead(b.ctx, 1, []int64{all[0].ID, all[3].ID, others[0].ID, 404}); err != nil || n != 2 {
		t.Errorf("marked %d, %v", n, err)
	}
	if n, err := b.MarkRead(b.ctx, 1, []int64{all[0].ID}); err != nil || n != 0 {
		t.Errorf("marked %d again, %v", n, err)
	}
	if n, err := b.MarkRead(b.ctx, 1, []int64{}); err != nil || n != 0 {
		t.Errorf("of none marked %d, %v", n, err)
	}
	if got := b.notices(1, true, 4); len(got) != 19 || got[0].ID != all[1].ID || got[2].ID != all[4].ID {
		t.Errorf("%d are unread", len(got))
	}
	if got := b.notices(1, false, 4); len(got) != 21 || !got[0].Read || got[1].Read || !got[3].Read {
		t.Errorf("%+v", got)
	}
	if n, err := b.MarkRead(b.ctx, 1, nil); err != nil || n != 19 {
		t.Errorf("marked all %d, %v", n, err)
	}
	if got := b.notices(2, true, 4); len(got) != 20 {
		t.Errorf("another one has %d unread", len(got))
	}
}

func TestMarkReadManyAtOnce(t *testing.T) {
	b := open(t)
	_, err := b.pool.Exec(b.ctx, `
		insert into notices (account, at, word, sale, receipt)
		select 1, now(), 'confirmed', n, gen_random_uuid()
		from generate_series(1, $1::int) n`, 2*readMost)
	b.must(err)
	if n, err := b.MarkRead(b.ctx, 1, nil); err != nil || n != 2*readMost {
		t.Errorf("marked %d, %v", n, err)
	}
}

func TestBookingAndAttendance(t *testing.T) {
	b := open(t)
	s := b.store(tavern(b.seller))
	b.publish(s, time.Now())
	slots, _, err := b.Slots(b.ctx, s.ID, 0, sale.At(time.Now().AddDate(0, 1, 0)))
	b.must(err)
	seats, err := b.CreateSale(b.ctx, b.of(sale.Event, sale.At(time.Now()), sale.At(time.Now())+1000), parts)
	b.must(err)
	row := func(of int64, verb, status string, quantity int) uuid.UUID {
		id := uuid.New()
		var target *uuid.UUID
		if verb == "pay" {
			target = &id
		}
		_, err := b.pool.Exec(b.ctx, `
			insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, pay_by, target, fingerprint, seq, at)
			values ($1, $2, 7, $3, $4, 10, $5, now(), $6, 0, 0, now())`, id, of, verb, quantity, status, target)
		b.must(err)
		return id
	}
	booked, late := row(slots[0].ID, "reserve", "confirmed", 1), row(slots[0].ID, "pay", "confirmed", 1)
	for _, id := range []uuid.UUID{booked, late} {
		if got, err := b.Booking(b.ctx, id); err != nil || got.Store != s.ID || got.Seller != b.seller || got.StartsAt != slots[0].StartsAt || got.Now > sale.At(time.Now()) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, id := range []uuid.UUID{
		uuid.New(), row(slots[0].ID, "reserve", "cancelled", 1), row(slots[0].ID, "reserve", "held", 1),
		row(slots[0].ID, "pay", "confirmed", 0), row(seats.ID, "join", "confirmed", 1),
	} {
		if _, err := b.Booking(b.ctx, id); !errors.Is(err, sale.ErrUnknown) {
			t.Errorf("what is no booking: %v", err)
		}
	}
	b.must(b.Attend(b.ctx, booked, "no_show"))
	b.must(b.Attend(b.ctx, booked, "completed"))
	words, err := b.Attendance(b.ctx, []uuid.UUID{booked, late})
	if err != nil || len(words) != 1 || words[booked] != "completed" {
		t.Errorf("%v, %v", words, err)
	}
	if err := b.Attend(b.ctx, booked, "asleep"); err == nil {
		t.Error("another word went in")
	}
}
