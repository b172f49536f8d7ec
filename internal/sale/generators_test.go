package sale_test

import (
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
	"sluice/internal/sale/saletest"
)

// Generators of everything the wire forms can hold.
var (
	ids = rapid.Custom(func(t *rapid.T) uuid.UUID { return name(rapid.StringN(0, 3, -1).Draw(t, "name")) })
	// perhaps is an ID that may be missing.
	perhaps = rapid.OneOf(rapid.Just(uuid.Nil), ids)
	numbers = rapid.Int64()
	moments = rapid.Map(numbers, func(n int64) sale.Instant { return sale.Instant(n) })
	counts  = rapid.MapOfN(numbers, rapid.Int64Min(1), 0, 4)
	phases  = rapid.SampledFrom([]sale.Phase{sale.Scheduled, sale.PhaseOpen, sale.PhaseClosed})

	requests = rapid.Custom(func(t *rapid.T) sale.Request {
		r := sale.Request{
			Receipt: ids.Draw(t, "receipt"), Verb: sale.Verb(rapid.IntRange(int(sale.Bid), int(sale.Resume)).Draw(t, "verb")),
			Sale: numbers.Draw(t, "sale"), Buyer: numbers.Draw(t, "buyer"), Quantity: rapid.Int64Min(0).Draw(t, "quantity"),
			Trace: rapid.StringN(0, -1, sale.MaxTrace).Draw(t, "trace"),
		}
		switch r.Verb { // each verb with what belongs to it
		case sale.Bid:
			r.Price, r.Exact, r.Coupon = numbers.Draw(t, "price"), rapid.Bool().Draw(t, "exact"), perhaps.Draw(t, "coupon")
		case sale.Refund, sale.Pay, sale.Cancel:
			r.Target = perhaps.Draw(t, "target")
		case sale.Reserve:
			r.Target, r.From, r.Coupon = perhaps.Draw(t, "target"), numbers.Draw(t, "from"), perhaps.Draw(t, "coupon")
		case sale.Change:
			r.ClosesAt = moments.Draw(t, "closes_at")
		case sale.Rebuilt:
			r.Receipt = uuid.Nil
		}
		return r
	})

	receipts = rapid.Custom(func(t *rapid.T) sale.Receipt {
		return sale.Receipt{
			ID: ids.Draw(t, "id"), Verb: rapid.SampledFrom([]sale.Verb{0, sale.Bid, sale.Payout, sale.Expire, sale.Suspend}).Draw(t, "verb"),
			Sale: numbers.Draw(t, "sale"), Buyer: numbers.Draw(t, "buyer"), Quantity: numbers.Draw(t, "quantity"), UnitPrice: numbers.Draw(t, "price"),
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), Reason: sale.Reason(rapid.IntRange(0, int(sale.Internal)).Draw(t, "reason")),
			Target: perhaps.Draw(t, "target"), Fingerprint: rapid.Uint64().Draw(t, "fingerprint"), Seq: numbers.Draw(t, "seq"), At: moments.Draw(t, "at"),
			Coupon: perhaps.Draw(t, "coupon"), Discount: numbers.Draw(t, "discount"), PayBy: moments.Draw(t, "pay_by"), Passed: numbers.Draw(t, "passed"),
		}
	})

	places = rapid.Custom(func(t *rapid.T) sale.Place {
		return sale.Place{Receipt: ids.Draw(t, "id"), Seq: numbers.Draw(t, "seq"), At: moments.Draw(t, "at")}
	})

	placeEffects = rapid.Custom(func(t *rapid.T) sale.PlaceEffect {
		return sale.PlaceEffect{Place: places.Draw(t, "place"), Left: rapid.Bool().Draw(t, "left")}
	})

	coupons = rapid.Custom(func(t *rapid.T) sale.CouponStand {
		return sale.CouponStand{
			Sale: numbers.Draw(t, "sale"), Buyer: numbers.Draw(t, "buyer"), Seller: numbers.Draw(t, "seller"), Amount: numbers.Draw(t, "amount"),
			ValidFrom: moments.Draw(t, "from"), ValidUntil: moments.Draw(t, "until"), UsedBy: perhaps.Draw(t, "used by"),
		}
	})

	batches = rapid.Custom(func(t *rapid.T) (b sale.Batch) {
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			e := sale.Entry{ID: sale.EntryID{At: moments.Draw(t, "at"), No: numbers.Draw(t, "no")}, Seq: numbers.Draw(t, "seq"), Generation: numbers.Draw(t, "generation")}
			if rapid.Bool().Draw(t, "legible") {
				e.Request = requests.Draw(t, "request")
			}
			b.Entries = append(b.Entries, e)
			b.Outcomes = append(b.Outcomes, sale.Outcome{Status: rapid.SampledFrom(statuses).Draw(t, "status"),
				Reason: sale.Reason(rapid.IntRange(0, int(sale.Internal)).Draw(t, "reason")), UnitPrice: numbers.Draw(t, "price"), Stands: rapid.Bool().Draw(t, "stands"),
				Quantity: numbers.Draw(t, "quantity"), Discount: numbers.Draw(t, "discount"), PayBy: moments.Draw(t, "pay_by")})
			b.Effects.Moves = append(b.Effects.Moves, sale.Move{
				Receipt: receipts.Draw(t, "move"), From: rapid.SampledFrom(statuses).Draw(t, "from"), At: moments.Draw(t, "at")})
			b.Effects.Transfers = append(b.Effects.Transfers, sale.Transfer{Receipt: ids.Draw(t, "receipt"),
				Debit: numbers.Draw(t, "debit"), Credit: numbers.Draw(t, "credit"), Amount: numbers.Draw(t, "amount")})
			b.Effects.Coupons = append(b.Effects.Coupons, sale.CouponEffect{Coupon: ids.Draw(t, "coupon"), UsedBy: perhaps.Draw(t, "used by")})
		}
		b.State = sale.State{}
		for range rapid.IntRange(0, 3).Draw(t, "sales") {
			s := drawStand(t)
			b.State[s.ID] = s
			b.Effects.Sales = append(b.Effects.Sales, drawEffect(t, s.ID))
		}
		b.Facts = sale.Facts{
			Generation: numbers.Draw(t, "generation"), Balances: counts.Draw(t, "balances"), Receipts: map[uuid.UUID]sale.Receipt{},
			Coupons: rapid.MapOfN(ids, coupons, 0, 3).Draw(t, "coupons"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "receipts") {
			r := receipts.Draw(t, "receipt")
			b.Facts.Receipts[r.ID] = r
		}
		return b
	})
)

func drawEffect(t *rapid.T, id int64) sale.SaleEffect {
	effect := sale.SaleEffect{
		Sale: id, Free: numbers.Draw(t, "free"), Held: numbers.Draw(t, "held"), Sold: numbers.Draw(t, "sold"), Stock: numbers.Draw(t, "stock"),
		Waiting: numbers.Draw(t, "waiting"), Revenue: numbers.Draw(t, "revenue"), Phase: phases.Draw(t, "phase"), ClosesAt: moments.Draw(t, "closes_at"),
		PaidOut: rapid.Bool().Draw(t, "paid out"), Exhausted: rapid.Bool().Draw(t, "exhausted"), Changed: rapid.Bool().Draw(t, "changed"), Suspended: rapid.Bool().Draw(t, "suspended"),
		Holds: drawList(t, placeEffects), Line: drawList(t, placeEffects),
	}
	for range rapid.IntRange(0, 3).Draw(t, "buyers") {
		effect.Buyers = append(effect.Buyers, sale.BuyerEffect{Buyer: numbers.Draw(t, "buyer"), Units: numbers.Draw(t, "units")})
	}
	return effect
}

func drawStand(t *rapid.T) *sale.Stand {
	s := &sale.Stand{
		Sale: saletest.Sales.Draw(t, "sale"), Phase: phases.Draw(t, "phase"),
		Free: numbers.Draw(t, "free"), Held: numbers.Draw(t, "held"), Sold: numbers.Draw(t, "sold"), Waiting: numbers.Draw(t, "waiting"),
		PaidOut: rapid.Bool().Draw(t, "paid out"), Suspended: rapid.Bool().Draw(t, "suspended"), Buyers: counts.Draw(t, "buyers"), Holds: drawList(t, places), Line: drawList(t, places),
	}
	s.ID, s.Title = numbers.Draw(t, "id"), "" // the log has no title
	s.RefundWindow = time.Duration(numbers.Draw(t, "window"))
	s.ShowStock = rapid.Bool().Draw(t, "show")
	s.LineMost, s.MaxBypass, s.StartsAt, s.Store = numbers.Draw(t, "line"), numbers.Draw(t, "bypass"), moments.Draw(t, "starts"), numbers.Draw(t, "store")
	return s
}

// drawList draws a short list; an empty one is nil, as the forms are read.
func drawList[V any](t *rapid.T, of *rapid.Generator[V]) (list []V) {
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		list = append(list, of.Draw(t, "element"))
	}
	return list
}
