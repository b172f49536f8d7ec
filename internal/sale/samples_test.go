package sale_test

import (
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// sampleV1 is one batch with something of everything there was when version 1 was
// the only one, the same for ever. It is read with what later versions added filled
// in: what moved had been confirmed.
func sampleV1() sale.Batch {
	stand := &sale.Stand{Sale: auction(), Phase: sale.PhaseOpen, Free: 7, Held: 1, Sold: 2, PaidOut: true, Buyers: map[int64]int64{1: 2, 300: 1}}
	stand.Title, stand.Partition = "", 0 // the log has neither
	second := &sale.Stand{Sale: falling(time.Hour, percentage(sale.MaxPoints, 4300, time.Minute)), Phase: sale.Scheduled, Free: 1, Buyers: map[int64]int64{}}
	second.ID, second.Title, second.Partition, second.RefundWindow, second.ShowStock = 8, "", 0, 0, false
	bought, asked := bid(opens, "a", alice, 2, 1000), refund(closes, "r", alice, "a")
	bought.Trace, asked.ID.No, asked.Seq = "req-1", 5, 2
	known := sale.Receipt{
		ID: name("k"), Verb: sale.Bid, Sale: lamp, Buyer: bob, Quantity: 1, UnitPrice: 900, Status: sale.Confirmed,
		Fingerprint: 1<<64 - 1, Seq: 9, At: opens,
	}
	gone := known
	gone.ID, gone.Status, gone.Target = name("g"), sale.Refunded, name("k")
	return sale.Batch{
		Entries: []sale.Entry{bought, asked, {ID: sale.EntryID{At: closes, No: 6}, Seq: 3, Generation: 1}},
		State:   sale.State{7: stand, 8: second},
		Facts: sale.Facts{Generation: 2, Balances: map[int64]int64{1: sale.MaxPoints, 2: 5},
			Receipts: map[uuid.UUID]sale.Receipt{known.ID: known, gone.ID: gone}, Coupons: map[uuid.UUID]sale.CouponStand{}},
		Decision: sale.Decision{
			Outcomes: []sale.Outcome{{Status: sale.Confirmed, UnitPrice: 900}, {Status: sale.Rejected, Reason: sale.Internal, Stands: true}},
			Effects: sale.Effects{
				Sales: []sale.SaleEffect{{Sale: 7, Free: -3, Held: 1, Sold: 2, Stock: 4, Revenue: -1800, ClosesAt: closes, Phase: sale.PhaseClosed,
					PaidOut: true, Exhausted: true, Changed: true, Buyers: []sale.BuyerEffect{{Buyer: 1, Units: -2}, {Buyer: 300, Units: 2}}}},
				Moves:     []sale.Move{{Receipt: gone, From: sale.Confirmed}},
				Transfers: []sale.Transfer{{Receipt: name("r"), Debit: escrow, Credit: alice, Amount: 1800}},
			},
		},
	}
}

// sample is one batch with something in every field there is now.
func sample() sale.Batch {
	b := sampleV1()
	slot := &sale.Stand{Sale: evening(bypass(3), number(9)), Phase: sale.PhaseOpen, Free: 1, Held: 2, Sold: 3, Waiting: 5, Buyers: map[int64]int64{2: 1}}
	slot.Store, slot.StartsAt, slot.Title, slot.Partition = 500, slot.ClosesAt, "", 0
	slot.Holds = []sale.Place{{Receipt: name("h"), Seq: 4, At: after("10:00")}, {Receipt: name("i"), Seq: 5, At: after("10:01")}}
	slot.Line = []sale.Place{{Receipt: name("w"), Seq: 6, At: after("0:30")}}
	off := &sale.Stand{Sale: voucher(), Phase: sale.PhaseOpen, Free: 10, Buyers: map[int64]int64{}}
	off.Title, off.Partition = "", 0
	b.State[9], b.State[8] = slot, off

	held := sale.Receipt{
		ID: name("h"), Verb: sale.Reserve, Sale: 9, Buyer: carol, Quantity: 2, UnitPrice: 100, Discount: 30, Coupon: name("c"), Status: sale.Held,
		PayBy: after("10:00"), Passed: 7, Target: name("t"), Fingerprint: 1, Seq: 4, At: opens,
	}
	b.Facts.Receipts[held.ID] = held
	b.Facts.Coupons = map[uuid.UUID]sale.CouponStand{
		name("c"): {Sale: 8, Buyer: carol, Seller: seller, Amount: 30, ValidFrom: opens, ValidUntil: after("120:00"), UsedBy: name("h")},
		name("d"): {Sale: 8, Buyer: dave, Seller: seller, Amount: 30, ValidFrom: opens, ValidUntil: after("120:00")},
	}
	b.Entries = append(b.Entries,
		with("d", bid(opens, "v", dave, 1, 1000)),
		change(with("d", reserve("0:01", "u", dave, 1)), func(e *sale.Entry) { e.Target, e.From, e.Trace = name("h"), 9, "req-2" }),
		pay("0:02", carol, "h"), cancel("0:03", carol, "h"), claim("0:04", "c2", alice), join("0:05", "j", bob, 2), expire("0:06"))
	b.Outcomes = append(b.Outcomes,
		sale.Outcome{Status: sale.Held, UnitPrice: 100, Discount: 30, PayBy: after("10:00")},
		sale.Outcome{Status: sale.Confirmed, UnitPrice: 100, Quantity: 2})
	held.Status = sale.Expired
	b.Effects.Moves = append(b.Effects.Moves, sale.Move{Receipt: held, From: sale.Held, At: after("10:00")})
	b.Effects.Sales = append(b.Effects.Sales, sale.SaleEffect{Sale: 9, Waiting: -2, Phase: sale.PhaseOpen, Changed: true,
		Holds: []sale.PlaceEffect{{Place: slot.Holds[0], Left: true}, {Place: slot.Holds[1]}},
		Line:  []sale.PlaceEffect{{Place: slot.Line[0], Left: true}}})
	b.Effects.Coupons = []sale.CouponEffect{{Coupon: name("c")}, {Coupon: name("d"), UsedBy: name("v")}}
	return b
}

// sampleSuspended is a batch about one sale that was suspended before and one that is
// from now on.
func sampleSuspended() sale.Batch {
	b := sample()
	b.State[9].Suspended = true
	b.Entries = append(b.Entries, suspend("0:07", "s"), resume("0:08", "r"))
	b.Effects.Sales[0].Suspended = true
	return b
}

// samples is one value of each form, by the form's name and the file's. Those of
// version 1 are read only; a request is written in the oldest version that can say
// it, so that its first ones stay as they are.
func samples() (now, v1 map[string]map[string]any) {
	b, old, stopped := sample(), sampleV1(), sampleSuspended()
	requests := map[string]any{
		"request_bid": b.Entries[0].Request, "request_refund": b.Entries[1].Request,
		"request_change": change(grow(opens, "g", seller, 5), func(e *sale.Entry) { e.ClosesAt = closes }).Request,
		"request_payout": tick(payout, "p", sale.Payout).Request,

		"request_bid_coupon": b.Entries[3].Request, "request_change_slot": b.Entries[4].Request,
		"request_reserve": reserve("0:00", "a", alice, 2).Request, "request_reserve_coupon": with("c", reserve("0:00", "a", alice, 2)).Request,
		"request_pay": b.Entries[5].Request, "request_cancel": b.Entries[6].Request, "request_claim": b.Entries[7].Request,
		"request_join": b.Entries[8].Request, "request_expire": b.Entries[9].Request,
		"request_suspend": suspend("0:07", "s").Request, "request_resume": resume("0:08", "r").Request,
	}
	now = map[string]map[string]any{
		"request":  requests,
		"entries":  {"entries": b.Entries, "entries_suspended": stopped.Entries},
		"facts":    {"facts": stateAndFacts{b.State, b.Facts}, "facts_suspended": stateAndFacts{stopped.State, stopped.Facts}},
		"outcomes": {"outcomes": b.Outcomes, "outcomes_suspended": stopped.Outcomes},
		"effects":  {"effects": b.Effects, "effects_suspended": stopped.Effects},
	}
	v1 = map[string]map[string]any{
		"entries": {"entries_v1": old.Entries}, "facts": {"facts_v1": stateAndFacts{old.State, old.Facts}},
		"outcomes": {"outcomes_v1": old.Outcomes}, "effects": {"effects_v1": old.Effects},
	}
	return now, v1
}
