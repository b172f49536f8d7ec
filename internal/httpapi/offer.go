package httpapi

import (
	"cmp"
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
	kind         = quoted(oneOf(sale.Kinds...))
	units        = whole(1, sale.MaxStock)
	points       = whole(1, sale.MaxPoints)
	unitPrice    = whole(0, sale.MaxPoints) // what is not auctioned may be free
	instant      = quoted(moment)
	refundWindow = seconds(0, sale.MaxRefundWindow)
	policy       = quoted(oneOf(sale.Constant, sale.Percentage))
	rate         = whole(1, sale.MaxRate)
	period       = seconds(time.Second, sale.MaxLength)
	hold         = seconds(time.Second, sale.MaxHold)
	waiters      = whole(0, sale.MaxLine)
	bypasses     = whole(0, sale.MaxBypass)
)

// createSale is POST /v1/sales.
func (a *API) createSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	s := sale.Sale{Kind: sale.Auction, Seller: who.Account, ShowStock: true}
	var window *time.Duration
	of := func(name string) func() string { return func() string { return catalog.Belongs(name, s.Kind) } }
	if err := readObject(c,
		field{name: "title", read: into(&s.Title, title)},
		field{name: "description", read: into(&s.Description, description), optional: true},
		field{name: "kind", read: into(&s.Kind, kind), optional: true},
		field{name: "stock", read: into(&s.Stock, units)},
		field{name: "limit", read: into(&s.Limit, units), optional: true, needed: func() bool { return s.Kind != sale.Coupon }},
		field{name: "show_stock", read: into(&s.ShowStock, truth), optional: true},
		field{name: "opens_at", read: into(&s.OpensAt, instant)},
		field{name: "closes_at", read: into(&s.ClosesAt, instant)},
		field{name: "refund_window", read: given(&window, refundWindow), optional: true},
		field{name: "policy", read: into(&s.Price.Policy, policy), barred: of("policy")},
		field{name: "start_price", read: into(&s.Price.Start, points), barred: of("start_price")},
		field{name: "drop", read: into(&s.Price.Drop, points), barred: of("drop"), optional: true},
		field{name: "rate", read: into(&s.Price.Rate, rate), barred: of("rate"), optional: true},
		field{name: "period", read: into(&s.Price.Period, period), barred: of("period")},
		field{name: "unit_price", read: into(&s.Price.Start, unitPrice), barred: of("unit_price")},
		field{name: "hold", read: into(&s.Hold, hold), barred: of("hold"), optional: true},
		field{name: "line", read: into(&s.LineMost, waiters), barred: of("line"), optional: true},
		field{name: "max_bypass", read: into(&s.MaxBypass, bypasses), barred: of("max_bypass"), optional: true},
		field{name: "amount_off", read: into(&s.AmountOff, points), barred: of("amount_off")},
		field{name: "valid_from", read: into(&s.ValidFrom, instant), barred: of("valid_from"), optional: true},
		field{name: "valid_until", read: into(&s.ValidUntil, instant), barred: of("valid_until")},
		field{name: "starts_at", read: into(&s.StartsAt, instant), barred: of("starts_at"), optional: true},
	); err != nil {
		return err
	}
	complete(&s, window)
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

// complete gives a sale what its kind has unless the seller says otherwise.
func complete(s *sale.Sale, window *time.Duration) {
	if s.Kind != sale.Auction {
		s.Price.Policy = sale.Fixed
	}
	if s.Returns() {
		s.Hold = cmp.Or(s.Hold, sale.DefaultHold)
	}
	s.RefundWindow = sale.DefaultRefund
	if s.Kind == sale.Coupon {
		s.RefundWindow = 0
		s.Limit = cmp.Or(s.Limit, 1)
		s.ValidFrom = cmp.Or(s.ValidFrom, s.OpensAt)
	}
	if window != nil {
		s.RefundWindow = *window
	}
}

// changeSale is PATCH /v1/sales/{id}: other terms before the sale opens, another
// text at any time, or, once it is open, more stock and a later close.
func (a *API) changeSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	var e catalog.Edit
	var growth int64
	var until sale.Instant
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
		field{name: "unit_price", read: given(&e.UnitPrice, unitPrice), optional: true},
		field{name: "hold", read: given(&e.Hold, hold), optional: true},
		field{name: "line", read: given(&e.Line, waiters), optional: true},
		field{name: "max_bypass", read: given(&e.MaxBypass, bypasses), optional: true},
		field{name: "amount_off", read: given(&e.AmountOff, points), optional: true},
		field{name: "valid_from", read: given(&e.ValidFrom, instant), optional: true},
		field{name: "valid_until", read: given(&e.ValidUntil, instant), optional: true},
		field{name: "starts_at", read: given(&e.StartsAt, instant), optional: true},
		field{name: "grow_by", read: into(&growth, units), optional: true},
		field{name: "extend_to", read: into(&until, instant), optional: true},
	); err != nil {
		return err
	}
	switch edits := e != (catalog.Edit{}); {
	case growth > 0 && edits:
		return invalid(pointer("grow_by"), together)
	case until > 0 && edits:
		return invalid(pointer("extend_to"), together)
	case growth > 0, until > 0:
		return a.extendSale(ctx, c, by, id, growth, until)
	case !edits:
		return invalid(wholeBody, "must have something to change")
	}
	stand, err := a.catalog.Edit(ctx, who.Account, id, e)
	if err != nil {
		return err
	}
	return c.JSON(saleFor(who, stand, sale.At(time.Now())))
}

const together = "must stand alone, or with its like: the sale grows and extends in its turn, the rest changes at once"

// extendSale queues more stock, a later close, or both. A sale that is not open yet
// has its terms changed instead: both ways at once would not know of each other.
// The close of an auction is fixed then, since it has made the price curve.
func (a *API) extendSale(ctx context.Context, c *fiber.Ctx, by admission.Asker, id, growth int64, until sale.Instant) error {
	s, now, err := a.catalog.Sale(ctx, id)
	switch {
	case err != nil:
		return err
	case s.Seller != by.Account:
		return sale.ErrNotYours
	case s.Kind == sale.Auction && until > 0:
		return &problem{code: wrongKind, detail: "the close of an auction is fixed once it is open"}
	case now < s.OpensAt:
		return &problem{code: code(sale.RefusedNotOpen), detail: "change stock and closes_at themselves until then", retryAfter: s.OpensAt.Time().Sub(now.Time())}
	}
	standing, err := a.admission.Change(ctx, by, id, growth, until)
	return a.accepted(ctx, c, by, standing, err)
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
