package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/catalog"
	"sluice/internal/sale"
)

// What a sale is made of. Only what can be told of one field alone is read here;
// sale.Check knows the rules between them.
var (
	title        = quoted(line(sale.MaxTitle))
	description  = quoted(lines(sale.MaxDescription))
	kind         = quoted(oneOf(sale.Auction, sale.Reservation, sale.Coupon, sale.Event))
	units        = whole(1, sale.MaxStock)
	points       = whole(1, sale.MaxPoints)
	instant      = quoted(moment)
	refundWindow = seconds(0, sale.MaxRefundWindow)
	policy       = quoted(oneOf(sale.Constant, sale.Percentage))
	rate         = whole(1, sale.MaxRate)
	period       = seconds(time.Second, sale.MaxLength)
)

// createSale is POST /v1/sales.
func (a *API) createSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	s := sale.Sale{Kind: sale.Auction, Seller: who.Account, ShowStock: true, RefundWindow: sale.DefaultRefund}
	if err := readObject(c,
		field{name: "title", read: into(&s.Title, title)},
		field{name: "description", read: into(&s.Description, description), optional: true},
		field{name: "kind", read: into(&s.Kind, kind), optional: true},
		field{name: "stock", read: into(&s.Stock, units)},
		field{name: "limit", read: into(&s.Limit, units)},
		field{name: "show_stock", read: into(&s.ShowStock, truth), optional: true},
		field{name: "opens_at", read: into(&s.OpensAt, instant)},
		field{name: "closes_at", read: into(&s.ClosesAt, instant)},
		field{name: "refund_window", read: into(&s.RefundWindow, refundWindow), optional: true},
		field{name: "policy", read: into(&s.Price.Policy, policy)},
		field{name: "start_price", read: into(&s.Price.Start, points)},
		field{name: "drop", read: into(&s.Price.Drop, points), optional: true},
		field{name: "rate", read: into(&s.Price.Rate, rate), optional: true},
		field{name: "period", read: into(&s.Price.Period, period)},
	); err != nil {
		return err
	}
	// An account that is gone has tokens for some minutes more, but must not owe anything.
	if _, err := a.accounts.Profile(ctx, who.Account); err != nil {
		return err
	}
	stand, known, err := a.catalog.Create(ctx, s, key)
	if err != nil {
		return err
	}
	replayed(c, known)
	c.Location(salesPath + strconv.FormatInt(stand.ID, 10))
	return c.Status(fiber.StatusCreated).JSON(saleFor(who, stand, sale.At(time.Now())))
}

// changeSale is PATCH /v1/sales/{id}: other terms before the sale opens, another
// text at any time, or, once it is open, more stock.
func (a *API) changeSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	by, err := asker(c, who)
	if err != nil {
		return err
	}
	var e catalog.Edit
	var growth int64
	if err := readObject(c,
		field{name: "title", read: given(&e.Title, title), optional: true},
		field{name: "description", read: given(&e.Description, description), optional: true},
		field{name: "kind", read: given(&e.Kind, kind), optional: true},
		field{name: "stock", read: given(&e.Stock, units), optional: true},
		field{name: "limit", read: given(&e.Limit, units), optional: true},
		field{name: "show_stock", read: given(&e.ShowStock, truth), optional: true},
		field{name: "opens_at", read: given(&e.OpensAt, instant), optional: true},
		field{name: "closes_at", read: given(&e.ClosesAt, instant), optional: true},
		field{name: "refund_window", read: given(&e.RefundWindow, refundWindow), optional: true},
		field{name: "policy", read: given(&e.Policy, policy), optional: true},
		field{name: "start_price", read: given(&e.StartPrice, points), optional: true},
		field{name: "drop", read: given(&e.Drop, points), optional: true},
		field{name: "rate", read: given(&e.Rate, rate), optional: true},
		field{name: "period", read: given(&e.Period, period), optional: true},
		field{name: "grow_by", read: into(&growth, units), optional: true},
	); err != nil {
		return err
	}
	switch edits := e != (catalog.Edit{}); {
	case growth > 0 && edits:
		return invalid(pointer("grow_by"), "must stand alone: the stock grows in its turn, the rest changes at once")
	case growth > 0:
		return a.growSale(ctx, c, by, id, growth)
	case !edits:
		return invalid(wholeBody, "must have something to change")
	}
	stand, err := a.catalog.Edit(ctx, who.Account, id, e)
	if err != nil {
		return err
	}
	return c.JSON(saleFor(who, stand, sale.At(time.Now())))
}

// growSale queues more stock. A sale that is not open yet has its stock changed
// like everything else of it: both ways at once would not know of each other.
func (a *API) growSale(ctx context.Context, c *fiber.Ctx, by admission.Asker, id, growth int64) error {
	s, now, err := a.catalog.Sale(ctx, id)
	switch {
	case err != nil:
		return err
	case s.Seller != by.Account:
		return sale.ErrNotYours
	case now < s.OpensAt:
		return &problem{code: code(sale.RefusedNotOpen), detail: "change stock itself until then", retryAfter: s.OpensAt.Time().Sub(now.Time())}
	}
	standing, err := a.admission.Change(ctx, by, id, growth, 0)
	return accepted(c, by, standing, err)
}

// deleteSale is DELETE /v1/sales/{id}.
func (a *API) deleteSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	if err := a.catalog.Delete(ctx, who.Account, id); err != nil {
		return err
	}
	return nothing(c)
}
