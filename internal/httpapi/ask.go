package httpapi

import (
	"context"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/sale"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	keyMost        = 255 // characters
)

// bid is POST /v1/sales/{id}/bids.
func (a *API) bid(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	by, err := asker(c, who)
	if err != nil {
		return err
	}
	var quantity, price int64
	var exact bool
	if err := readObject(c,
		field{name: "quantity", read: into(&quantity, whole(1, sale.MaxStock))},
		field{name: "price", read: into(&price, whole(1, sale.MaxPoints))},
		field{name: "exact", read: into(&exact, truth), optional: true},
	); err != nil {
		return err
	}
	if quantity > sale.MaxPoints/price {
		return invalid(pointer("quantity"), fmt.Sprintf("times price must be at most %d", int64(sale.MaxPoints)))
	}
	standing, err := a.admission.Bid(ctx, by, id, quantity, price, exact)
	return accepted(c, by, standing, err)
}

// refund is POST /v1/receipts/{id}/refund. It asks nothing but its address.
func (a *API) refund(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	target, err := receiptID(c)
	if err != nil {
		return err
	}
	by, err := asker(c, who)
	if err != nil {
		return err
	}
	if len(c.BodyRaw()) > 0 {
		if err := readObject(c); err != nil {
			return err
		}
	}
	standing, err := a.admission.Refund(ctx, by, target)
	return accepted(c, by, standing, err)
}

// asker is who asks, under which key and trace.
func asker(c *fiber.Ctx, who accounts.Who) (admission.Asker, error) {
	key, err := idempotencyKey(c)
	return admission.Asker{Account: who.Account, Key: key, Trace: requestID(c)}, err
}

// idempotencyKey answers a copy of the key that the request came under, or "".
func idempotencyKey(c *fiber.Ctx) (string, error) {
	keys := c.Request().Header.PeekAll(keyHeader)
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1 || !visible(string(keys[0]), keyMost):
		return "", &problem{code: badKey}
	}
	return string(keys[0]), nil
}

// replayed says that the answer is about what an earlier request made.
func replayed(c *fiber.Ctx, is bool) {
	if is {
		c.Set(replayedHeader, "true")
	}
}

// accepted answers 202 with the receipt of a request, now or before queued.
func accepted(c *fiber.Ctx, by admission.Asker, standing sale.Standing, err error) error {
	if err != nil {
		return err
	}
	body, poll := bodyOf(standing)
	c.Location(receiptsPath + standing.ID.String())
	if poll > 0 {
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(poll))
	}
	replayed(c, standing.Known && by.Key != "")
	return c.Status(fiber.StatusAccepted).JSON(body)
}
