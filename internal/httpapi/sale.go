package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/catalog"
	"sluice/internal/sale"
)

const salesPath = "/v1/sales/"

// saleBody is a sale as JSON. What does not apply is left out.
type saleBody struct {
	Sale        int64      `json:"sale"`
	Kind        sale.Kind  `json:"kind"`
	Seller      int64      `json:"seller"`
	Title       string     `json:"title"`
	Description string     `json:"description,omitempty"` // not in lists
	State       sale.Shown `json:"state"`

	Price      int64     `json:"price"` // points per unit, at now
	NextDropAt time.Time `json:"next_drop_at,omitzero"`
	NextPrice  int64     `json:"next_price,omitempty"`

	// Of an auction.
	Policy     sale.Policy `json:"policy,omitempty"`
	StartPrice int64       `json:"start_price,omitempty"` // points per unit
	Drop       int64       `json:"drop,omitempty"`        // points, of constant
	Rate       int64       `json:"rate,omitempty"`        // basis points, of percentage
	Period     int64       `json:"period,omitempty"`      // seconds between two drops

	// Of a reservation or event.
	UnitPrice *int64    `json:"unit_price,omitempty"` // points
	Hold      int64     `json:"hold,omitempty"`       // seconds to pay in
	Line      int64     `json:"line,omitempty"`       // receipts that may wait
	MaxBypass int64     `json:"max_bypass,omitempty"` // times that a smaller request may pass a larger one
	StartsAt  time.Time `json:"starts_at,omitzero"`
	Store     int64     `json:"store,omitempty"` // whose slot it is

	// Of a coupon.
	AmountOff  int64     `json:"amount_off,omitempty"` // points off a purchase
	ValidFrom  time.Time `json:"valid_from,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`

	Limit        int64      `json:"limit"` // units one buyer may have
	OpensAt      time.Time  `json:"opens_at"`
	ClosesAt     time.Time  `json:"closes_at"`
	RefundWindow int64      `json:"refund_window"`         // seconds from closes_at
	RefundUntil  time.Time  `json:"refund_until,omitzero"` // what is paid comes back until here, an auction's from closes_at on; none: never
	ShowStock    bool       `json:"show_stock"`            // whether buyers see the stock
	Stock        *stockBody `json:"stock,omitempty"`       // units; only when shown
	Now          time.Time  `json:"now"`                   // moment that state and price are of
}

type stockBody struct {
	Total   int64  `json:"total"`
	Free    int64  `json:"free"`
	Held    int64  `json:"held"`
	Sold    int64  `json:"sold"`
	Waiting *int64 `json:"waiting,omitempty"` // receipts in the line, where there is one
}

func stockOf(s *sale.Stand) *stockBody {
	stock := &stockBody{Total: s.Stock, Free: s.Free, Held: s.Held, Sold: s.Sold}
	if s.LineMost > 0 {
		stock.Waiting = &s.Waiting
	}
	return stock
}

// saleFor is s as who may see it at now: its seller always sees the stock.
func saleFor(who accounts.Who, s *sale.Stand, now sale.Instant) saleBody {
	body := saleBody{
		Sale: s.ID, Kind: s.Kind, Seller: s.Seller, Title: s.Title, Description: s.Description, State: s.Shown(now),
		Price: s.PriceAt(now),
		Limit: s.Limit, OpensAt: s.OpensAt.Time(), ClosesAt: s.ClosesAt.Time(), RefundWindow: int64(s.RefundWindow / time.Second),
		ShowStock: s.ShowStock, Now: now.Time(),
	}
	if s.RefundWindow > 0 {
		body.RefundUntil = s.PayoutAt().Time()
	}
	switch s.Kind {
	case sale.Auction:
		body.Policy, body.StartPrice, body.Drop, body.Rate = s.Price.Policy, s.Price.Start, s.Price.Drop, s.Price.Rate
		body.Period = int64(s.Price.Period / time.Second)
		if next, drops := s.NextDrop(now); drops {
			body.NextDropAt, body.NextPrice = next.Time(), s.PriceAt(next)
		}
	case sale.Coupon:
		body.AmountOff, body.ValidFrom, body.ValidUntil = s.AmountOff, s.ValidFrom.Time(), s.ValidUntil.Time()
		body.RefundUntil = time.Time{} // there is nothing to pay back
	case sale.Event:
		body.Store = s.Store
		if s.StartsAt != 0 {
			body.StartsAt = s.StartsAt.Time()
		}
		if s.RefundWindow > 0 {
			body.RefundUntil = s.ClosesAt.Time() // seats come back until the doors close
		}
		fallthrough
	case sale.Reservation:
		body.UnitPrice, body.Hold, body.Line, body.MaxBypass = &s.Price.Start, int64(s.Hold/time.Second), s.LineMost, s.MaxBypass
	}
	if s.ShowStock || who.Account == s.Seller {
		body.Stock = stockOf(s)
	}
	return body
}

// showSale is GET /v1/sales/{id}.
func (a *API) showSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	s, now, err := a.catalog.Sale(ctx, id)
	if err != nil {
		return err
	}
	return c.JSON(saleFor(who, s, now))
}

// salesBody is a page of sales as JSON.
type salesBody struct {
	Sales      []saleBody `json:"sales"`
	NextCursor string     `json:"next_cursor,omitempty"`
	Now        time.Time  `json:"now"`
}

// The orders of sales.
const (
	byOpening     = "opens_at"
	byOpeningDown = "-opens_at"
	byClosing     = "closes_at"
	byClosingDown = "-closes_at"
)

// listSales is GET /v1/sales.
func (a *API) listSales(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter catalog.Filter
	order := byOpening
	page, err := readPage(c, listSales, 0,
		param{"kind", into(&filter.Kind, oneOf(sale.Kinds...))},
		param{"state", into(&filter.State, oneOf(sale.ShownScheduled, sale.ShownOpen, sale.ShownSoldOut, sale.ShownSuspended, sale.ShownClosed))},
		param{"seller", into(&filter.Seller, whole(1, sale.MaxPoints))},
		param{"order", into(&order, oneOf(byOpening, byOpeningDown, byClosing, byClosingDown))},
	)
	if err != nil {
		return err
	}
	filter.Order, filter.Descending = catalog.Order(strings.TrimPrefix(order, "-")), strings.HasPrefix(order, "-")
	filter.Limit, filter.After = page.limit, catalog.Cursor{At: page.after.at, ID: page.after.id}
	stands, more, now, err := a.catalog.List(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	return c.JSON(pageOfSales(who, page, stands, more, now, filter.Order))
}

// pageOfSales makes a page of what was found in this order.
func pageOfSales(who accounts.Who, page page, stands []*sale.Stand, more bool, now sale.Instant, order catalog.Order) salesBody {
	body := salesBody{Sales: make([]saleBody, len(stands)), Now: now.Time()}
	for i, s := range stands {
		body.Sales[i] = saleFor(who, s, now)
		body.Sales[i].Description = ""
		last := position{at: s.OpensAt, id: s.ID}
		if order == catalog.ByClosing {
			last.at = s.ClosesAt
		}
		body.NextCursor = page.next(more, last)
	}
	return body
}

// pricesBody is a sale's price curve as JSON.
type pricesBody struct {
	Sale   int64      `json:"sale"`
	Now    time.Time  `json:"now"`
	Prices []stepBody `json:"prices"` // from opens_at on, each until the next one
}

type stepBody struct {
	At    time.Time `json:"at"`
	Price int64     `json:"price"` // points per unit
}

// showPrices is GET /v1/sales/{id}/prices.
func (a *API) showPrices(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	s, now, err := a.catalog.Sale(ctx, id)
	if err != nil {
		return err
	}
	steps := s.Prices()
	body := pricesBody{Sale: id, Now: now.Time(), Prices: make([]stepBody, len(steps))}
	for i, step := range steps {
		body.Prices[i] = stepBody{At: step.At.Time(), Price: step.Price}
	}
	return c.JSON(body)
}
