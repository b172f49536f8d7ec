package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestRandomHistories plays random requests of every kind, with time passing, in
// batches of any size, and proves the whole record after each batch.
func TestRandomHistories(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			st := newStage(t)
			st.stageOfAll()
			who := st.buyers(8, 300)
			var known []uuid.UUID
			for range 120 {
				var entries []sale.Entry
				for range 1 + random.IntN(8) {
					e := st.random(random, who, known)
					known = append(known, e.Receipt)
					entries = append(entries, e)
					if random.IntN(8) == 0 {
						st.later(time.Duration(random.IntN(90)) * time.Second)
					}
				}
				if random.IntN(3) == 0 {
					for _, d := range st.due() {
						entries = append(entries, st.tick(d))
					}
				}
				b := st.settle(entries...)
				for i, e := range b.Entries {
					met[e.Verb.String()+" "+b.Outcomes[i].Status.String()]++
				}
				for _, m := range b.Effects.Moves {
					met[m.From.String()+" to "+m.Receipt.Status.String()]++
				}
				if t.Failed() {
					t.Fatalf("after %+v\n%+v", b.Entries, b.Decision)
				}
			}
		})
	}
	for _, what := range []string{
		"bid confirmed", "reserve held", "reserve waiting", "reserve confirmed", "claim confirmed", "join confirmed", "join waiting", "pay confirmed",
		"cancel confirmed", "change confirmed", "expire confirmed", "close confirmed", "payout confirmed",
		"held to confirmed", "held to expired", "held to cancelled", "waiting to held", "waiting to confirmed", "waiting to cancelled",
		"waiting to rejected", "waiting to waiting", "confirmed to cancelled", "confirmed to refunded",
	} {
		if met[what] == 0 {
			t.Errorf("never met: %s", what)
		}
	}
	t.Log(met)
}

// stageOfAll offers something of everything, little of each.
func (st *stage) stageOfAll() {
	st.offer(sale.Sale{Kind: sale.Reservation, Stock: 4, Limit: 3, LineMost: 4, MaxBypass: 2, Price: sale.Price{Start: 20}, Hold: 90 * time.Second, RefundWindow: time.Hour})
	st.offer(sale.Sale{Kind: sale.Reservation, Stock: 2, LineMost: 3, Hold: 60 * time.Second, ClosesAt: st.opens.Add(time.Hour / 4)})
	st.offer(sale.Sale{Kind: sale.Event, Stock: 2, Limit: 2, LineMost: 3, Price: sale.Price{Start: 15}, Hold: 60 * time.Second, RefundWindow: time.Hour})
	for range 2 {
		st.offer(sale.Sale{Kind: sale.Event, Stock: 3, Limit: 3, LineMost: 9})
	}
	st.offer(sale.Sale{Kind: sale.Coupon, Stock: 6, AmountOff: 25, ValidUntil: st.opens.Add(time.Hour * 2 / 3)})
	st.offer(sale.Sale{Kind: sale.Auction, Stock: 20, Limit: 5, RefundWindow: time.Hour, ClosesAt: st.opens.Add(10 * time.Minute),
		Price: sale.Price{Policy: sale.Constant, Start: 30, Drop: 1, Period: 10 * time.Minute}})
	store := st.store()
	for _, after := range []time.Duration{30 * time.Minute, time.Hour} {
		starts := st.opens.Add(after)
		st.offer(sale.Sale{Kind: sale.Event, Stock: 2, LineMost: 100, Store: store, StartsAt: starts, ClosesAt: starts, Price: sale.Price{Start: 5},
			Hold: 60 * time.Second, RefundWindow: time.Minute})
	}
}

// random is a request that may well make sense.
func (st *stage) random(random *rand.Rand, who []int64, known []uuid.UUID) sale.Entry {
	buyer := who[random.IntN(len(who))]
	of := st.sales[random.IntN(len(st.sales))]
	var coupon uuid.UUID
	for id, r := range st.receipts {
		if r.Verb == sale.Claim && r.Buyer == buyer {
			coupon = id
		}
	}
	if len(known) > 0 && random.IntN(5) < 2 { // about a purchase, mostly one's own
		if random.IntN(3) > 0 {
			known = known[max(len(known)-25, 0):]
		}
		target := st.receipts[known[random.IntN(len(known))]]
		if target.Purchase() {
			verb := []sale.Verb{sale.Pay, sale.Cancel}[random.IntN(2)]
			if target.Verb == sale.Bid {
				verb = sale.Refund
			}
			if random.IntN(10) > 0 {
				buyer = target.Buyer
			}
			slots := st.sales[len(st.sales)-2:]
			if i := random.IntN(2); target.Sale == slots[i] {
				return st.ask(sale.Reserve, slots[1-i], buyer, about(target.ID), func(r *sale.Request) { r.From = slots[i] })
			}
			return st.ask(verb, target.Sale, buyer, about(target.ID))
		}
	}
	s, err := st.Sale(st.ctx, of)
	st.must(err)
	switch {
	case s.Kind == sale.Coupon:
		return st.ask(sale.Claim, of, buyer)
	case s.Kind == sale.Event && s.Store == 0:
		return st.ask(sale.Join, of, buyer, units(int64(1+random.IntN(2))))
	case s.Kind == sale.Event:
		return st.ask(sale.Reserve, of, buyer)
	case random.IntN(30) == 0 && s.Kind == sale.Reservation:
		return st.ask(sale.Change, of, st.seller, units(int64(random.IntN(2))))
	}
	verb := sale.Reserve
	if s.Kind == sale.Auction {
		verb = sale.Bid
	}
	e := st.ask(verb, of, buyer, units(int64(1+random.IntN(int(s.Limit)))))
	if random.IntN(3) == 0 {
		e.Coupon = coupon
	}
	return e
}
