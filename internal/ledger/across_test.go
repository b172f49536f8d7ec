package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/sale"
)

// nextEra has the sales after this one in another era.
func (b *books) nextEra() {
	b.t.Helper()
	_, err := b.pool.Exec(b.ctx, `
		select setval('sales_id_seq', (
			select min(first)
			from eras, sales_id_seq
			where first > last_value), false)`)
	b.must(err)
}

// TestNothingHappensTwiceAcrossEras: a Decide that is wrong about a booking or a coupon
// of another era is refused, where no index can say so any more; what is right is not.
func TestNothingHappensTwiceAcrossEras(t *testing.T) {
	st := newStage(t)
	store := st.store()
	slot := func(hours time.Duration) sale.Sale {
		at := st.opens.Add(hours * time.Hour)
		return st.offer(sale.Sale{Kind: sale.Event, Stock: 2, Store: store, StartsAt: at, ClosesAt: at})
	}
	coupon, gown, noon := st.offer(sale.Sale{Kind: sale.Coupon, Stock: 5}), st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, Price: sale.Price{Start: 50}}), slot(1)
	st.nextEra()
	hat, one := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, Price: sale.Price{Start: 50}}), slot(2)
	st.nextEra()
	two := slot(3)
	who := st.buyers(1, 100)[0]
	if gown.ID >= EraOf || hat.ID < EraOf {
		t.Fatalf("sales %d and %d are not of two eras", gown.ID, hat.ID)
	}
	claim, booking := st.ask(sale.Claim, coupon.ID, who), st.ask(sale.Reserve, noon.ID, who)
	st.settle(claim, booking)
	bought := st.ask(sale.Reserve, gown.ID, who, with(claim.Receipt))
	st.settle(bought)
	moves := func(to sale.Sale) sale.Entry {
		return st.ask(sale.Reserve, to.ID, who, about(booking.Receipt), func(r *sale.Request) { r.From = noon.ID })
	}
	right := st.settle(moves(one))
	if r := st.outcome(right.Entries[0]); r.Status != sale.Confirmed {
		t.Fatalf("the change of slot is %+v", r)
	}

	// What Decide says of these is no; the twins say yes.
	again, used := moves(two), st.ask(sale.Reserve, hat.ID, who, with(claim.Receipt))
	held := func(b *sale.Batch, o sale.Outcome) { b.Outcomes[0] = o }
	for name, twin := range map[string]struct {
		entry sale.Entry
		wrong func(b *sale.Batch)
	}{
		"a booking changed twice": {again, func(b *sale.Batch) { held(b, sale.Outcome{Status: sale.Confirmed}) }},
		"a booking changed twice, with its move": {again, func(b *sale.Batch) {
			held(b, sale.Outcome{Status: sale.Confirmed})
			r := b.Facts.Receipts[booking.Receipt]
			b.Effects.Moves = append(b.Effects.Moves, sale.Move{Receipt: r, From: sale.Confirmed, At: b.Last.At})
		}},
		"a coupon used twice": {used, func(b *sale.Batch) {
			held(b, sale.Outcome{Status: sale.Held, UnitPrice: 50, Discount: 30, PayBy: b.Last.At.Add(time.Minute)})
		}},
		"a coupon taken away": {used, func(b *sale.Batch) {
			held(b, sale.Outcome{Status: sale.Held, UnitPrice: 50, Discount: 30, PayBy: b.Last.At.Add(time.Minute)})
			b.Effects.Coupons = []sale.CouponEffect{{Coupon: claim.Receipt, UsedBy: b.Entries[0].Receipt}}
		}},
		"a coupon taken and given to nobody": {used, func(b *sale.Batch) {
			b.Effects.Coupons = []sale.CouponEffect{{Coupon: claim.Receipt, UsedBy: uuid.Nil}}
		}},
		"a receipt of another partition": {used, func(b *sale.Batch) {
			b.Entries[0].Receipt, b.Entries[0].Coupon = sale.NewReceiptID(1), uuid.Nil
			held(b, sale.Outcome{Status: sale.Held, UnitPrice: 50, PayBy: b.Last.At.Add(time.Minute)})
		}},
		"a receipt that is settled": {used, func(b *sale.Batch) {
			b.Entries[0].Receipt, b.Entries[0].Coupon = claim.Receipt, uuid.Nil
			b.Facts.Receipts[claim.Receipt] = st.receipts[claim.Receipt]
			held(b, sale.Outcome{Status: sale.Held, UnitPrice: 50, PayBy: b.Last.At.Add(time.Minute)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := st.pool.Begin(st.ctx)
			st.must(err)
			defer func() { st.must(tx.Rollback(st.ctx)) }()
			b := st.batch(twin.entry)
			st.must(st.facts(st.ctx, tx, b))
			b.Decision = sale.Decide(b.State, b.Facts, b.Entries)
			if b.Outcomes[0].Status != sale.Rejected {
				t.Fatalf("it is right: %+v", b.Outcomes[0])
			}
			if err := newWrites(b, &st.eras).acrossSales(); err != nil {
				t.Errorf("what is right is refused: %v", err)
			}
			twin.wrong(b)
			err = write(st.ctx, tx, b, &st.eras)
			if impossible := (*Impossible)(nil); !errors.As(err, &impossible) || !RefusesData(err) {
				t.Errorf("it goes in: %v", err)
			}
			// The known-bad twin of this checker: without it, the schema has nothing to say.
			if name == "a booking changed twice" {
				_, err := tx.Exec(st.ctx, `
					insert into receipts (id, sale, buyer, verb, quantity, unit_price, status, target, fingerprint, seq, at)
					values ($1, $2, $3, 'reserve', 1, 0, 'confirmed', $4, 1, 1, now())`, [16]byte(again.Receipt), two.ID, who, [16]byte(booking.Receipt))
				st.must(err)
			}
		})
	}
}

// TestABatchOfTwoEras: one batch settles sales of both, and reads of each era only what
// is its own.
func TestABatchOfTwoEras(t *testing.T) {
	st := newStage(t)
	sent := map[string][]any{}
	old := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, Price: sale.Price{Start: 50}})
	st.nextEra()
	young := st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, Price: sale.Price{Start: 50}})
	who := st.buyers(2, 100)
	a, b := st.ask(sale.Reserve, old.ID, who[0]), st.ask(sale.Reserve, young.ID, who[1])
	st.settle(a, b)
	st.wrapTx = func(tx pgx.Tx) pgx.Tx { return overhears{tx, sent} }
	st.settle(st.ask(sale.Pay, old.ID, who[0], about(a.Receipt)), st.ask(sale.Pay, young.ID, who[1], about(b.Receipt)))
	st.wrapTx = func(tx pgx.Tx) pgx.Tx { return tx }
	for _, e := range []sale.Entry{a, b} {
		if r := st.outcome(e); r.Status != sale.Confirmed {
			t.Errorf("%+v", r)
		}
	}
	for _, first := range []int64{0, EraOf} {
		query, _ := (&share{era: era{first: first}, paid: [][16]byte{{}}}).lock()
		if args := sent[query]; len(args) != 2 || len(args[0].([][16]byte)) != 3 || len(args[1].([][16]byte)) != 1 {
			t.Errorf("of the era from %d it asked %v", first, args)
		}
		if n := st.count(`select count(*) from ` + era{first: first}.table()); n != 2 {
			t.Errorf("the era from %d has %d receipts", first, n)
		}
	}
}
