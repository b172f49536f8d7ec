package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// saleBody is a sale as JSON. What does not apply is left out.
type saleBody struct {
	Sale   int64      `json:"sale"`
	Kind   sale.Kind  `json:"kind"`
	Seller int64      `json:"seller"`
	Title  string     `json:"title"`
	State  sale.Shown `json:"state"`

	Price      int64     `json:"price"` // points per unit, at now
	NextDropAt time.Time `json:"next_drop_at,omitzero"`
	NextPrice  int64     `json:"next_price,omitempty"`

	Policy     sale.Policy `json:"policy"`
	StartPrice int64       `json:"start_price"`    // points per unit
	Drop       int64       `json:"drop,omitempty"` // points, of constant
	Rate       int64       `json:"rate,omitempty"` // basis points, of percentage
	Period     int64       `json:"period"`         // seconds between two drops

	Limit       int64      `json:"limit"` // units one buyer may have
	OpensAt     time.Time  `json:"opens_at"`
	ClosesAt    time.Time  `json:"closes_at"`
	RefundUntil time.Time  `json:"refund_until,omitzero"` // refunds from closes_at to here; none: no refunds
	Stock       *stockBody `json:"stock,omitempty"`       // units; only when shown
	Now         time.Time  `json:"now"`                   // stream time of this answer
}

type stockBody struct {
	Total int64 `json:"total"`
	Free  int64 `json:"free"`
	Held  int64 `json:"held"`
	Sold  int64 `json:"sold"`
}

// showSale is GET /v1/sales/{id}. Its seller always sees the stock.
func (a *API) showSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	s, now, err := a.catalog.Sale(ctx, id)
	if err != nil {
		return err
	}
	body := saleBody{
		Sale: s.ID, Kind: s.Kind, Seller: s.Seller, Title: s.Title, State: s.ShownAt(now, s.Free),
		Price:  s.PriceAt(now),
		Policy: s.Price.Policy, StartPrice: s.Price.Start, Drop: s.Price.Drop, Rate: s.Price.Rate, Period: int64(s.Price.Period / time.Second),
		Limit: s.Limit, OpensAt: s.OpensAt.Time(), ClosesAt: s.ClosesAt.Time(), Now: now.Time(),
	}
	if next, drops := s.NextDrop(now); drops {
		body.NextDropAt, body.NextPrice = next.Time(), s.PriceAt(next)
	}
	if s.RefundWindow > 0 {
		body.RefundUntil = s.PayoutAt().Time()
	}
	if s.ShowStock || who.Account == s.Seller {
		body.Stock = &stockBody{Total: s.Stock, Free: s.Free, Held: s.Held, Sold: s.Sold}
	}
	return c.JSON(body)
}
