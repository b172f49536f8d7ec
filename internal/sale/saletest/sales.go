package saletest

import (
	"time"

	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// The sales of histories, each drawn so small that its buyers soon meet. Those of
// one seller can use the same coupons.

// Auctions draws auctions whose price falls, Sales any sale; each numbered 1.
var (
	Auctions = rapid.Custom(func(t *rapid.T) sale.Sale { return numbered(auction(t), 1) })
	Sales    = rapid.Custom(func(t *rapid.T) sale.Sale {
		return numbered(evenly(t, "kind", auction, bulb, chair, coupon, seat, table)(t), 1)
	})
)

// numbered gives a sale its number, and its escrow.
func numbered(s sale.Sale, id int64) sale.Sale {
	s.ID, s.Escrow = id, -id
	return s
}

// small is what all kinds have.
func small(t *rapid.T, kind sale.Kind, title string, seller int64) sale.Sale {
	s := sale.Sale{
		Kind: kind, Seller: Sellers + seller, Title: title, Price: sale.Price{Policy: sale.Fixed},
		Limit:        evenly[int64](t, "limit", 1, 2, 3, 3),
		OpensAt:      Start.Add(seconds(t, "opens", 0, 0, 1, 2)),
		RefundWindow: seconds(t, "window", 60, 300, 0),
		ShowStock:    true,
	}
	s.Stock = s.Limit + evenly[int64](t, "stock over limit", 0, 0, 1, 2)
	s.ClosesAt = s.OpensAt.Add(seconds(t, "length", 60, 20, 120))
	return s
}

// auction is one whose price falls.
func auction(t *rapid.T) sale.Sale {
	s := small(t, sale.Auction, "lamp", 0)
	period := seconds(t, "period", 30, 60, 120)
	s.ClosesAt = s.OpensAt.Add(time.Duration(evenly(t, "periods", 2, 4)) * period)
	start := rapid.OneOf(rapid.SampledFrom([]int64{90, 100, 150, 2150}), rapid.Int64Range(16, 3000)).Draw(t, "start")
	s.Price = sale.Price{Policy: sale.Constant, Start: start, Period: period}
	if rapid.Bool().Draw(t, "constant") {
		s.Price.Drop = rapid.Int64Range(1, start/4).Draw(t, "drop")
		return s
	}
	s.Price.Policy = sale.Percentage
	s.Price.Rate = rapid.OneOf(rapid.SampledFrom([]int64{600, 1800, 3000, 3100, 4200, 4300}), rapid.Int64Range(1, sale.MaxRate)).Draw(t, "rate")
	return s
}

// bulb is an auction whose price does not fall, so that coupons may be used.
func bulb(t *rapid.T) sale.Sale {
	s := small(t, sale.Auction, "bulb", 0)
	s.ClosesAt = s.OpensAt.Add(time.Minute)
	s.Price = sale.Price{Policy: sale.Constant, Start: evenly[int64](t, "price", 100, 30), Drop: 1, Period: time.Minute}
	return s
}

// lined adds what only kinds have whose units return.
func lined(t *rapid.T, s sale.Sale) sale.Sale {
	s.Price.Start = evenly[int64](t, "price", 100, 1000, 0, 30)
	s.Hold = seconds(t, "hold", 5, 1, 20, 40, 90)
	s.LineMost = evenly[int64](t, "line", 10, 10, 10, 2, 0)
	if s.LineMost > 0 {
		s.MaxBypass = evenly[int64](t, "bypass", 0, 1, 2, 1000)
	}
	return s
}

func chair(t *rapid.T) sale.Sale {
	return lined(t, small(t, sale.Reservation, "chair", 0))
}

func seat(t *rapid.T) sale.Sale {
	return lined(t, small(t, sale.Event, "evening", 1))
}

// table is a slot of store 1, elsewhere one of another store.
func table(t *rapid.T) sale.Sale     { return slot(t, 1) }
func elsewhere(t *rapid.T) sale.Sale { return slot(t, 2) }

func slot(t *rapid.T, store int64) sale.Sale {
	s := lined(t, small(t, sale.Event, "table", 1))
	s.Store, s.Limit, s.StartsAt = store, 1, s.ClosesAt
	s.Stock = evenly[int64](t, "tables", 1, 2)
	return s
}

func coupon(t *rapid.T) sale.Sale {
	s := small(t, sale.Coupon, "off", 0)
	s.Limit = 1
	s.Stock = evenly[int64](t, "coupons", 1, 3, 5)
	s.AmountOff = evenly[int64](t, "off", 30, 500, 1)
	s.ValidFrom = s.OpensAt.Add(seconds(t, "from", 0, 0, 3))
	s.ValidUntil = s.ValidFrom.Add(seconds(t, "until", 120, 15, 40))
	return s
}
