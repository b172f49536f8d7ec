package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

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
	id, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	var quantity, price int64
	var exact bool
	var coupon uuid.UUID
	if err := readObject(c,
		field{name: "quantity", read: into(&quantity, units)},
		field{name: "price", read: into(&price, points)},
		field{name: "exact", read: into(&exact, truth), optional: true},
		field{name: "coupon", read: into(&coupon, quoted(receiptName)), optional: true},
	); err != nil {
		return err
	}
	if quantity > sale.MaxPoints/price {
		return invalid(pointer("quantity"), fmt.Sprintf("times price must be at most %d", int64(sale.MaxPoints)))
	}
	standing, err := a.admission.Bid(ctx, by, id, quantity, price, exact, coupon)
	return a.accepted(ctx, c, by, standing, err)
}

// claim is POST /v1/sales/{id}/claims. It asks nothing but its address.
func (a *API) claim(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	standing, err := a.admission.Claim(ctx, by, id)
	return a.accepted(ctx, c, by, standing, err)
}

// reserve is POST /v1/sales/{id}/reservations.
func (a *API) reserve(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	var quantity int64
	var coupon uuid.UUID
	if err := readObject(c,
		field{name: "quantity", read: into(&quantity, units)},
		field{name: "coupon", read: into(&coupon, quoted(receiptName)), optional: true},
	); err != nil {
		return err
	}
	standing, err := a.admission.Reserve(ctx, by, id, quantity, coupon)
	return a.accepted(ctx, c, by, standing, err)
}

// join is POST /v1/sales/{id}/joins.
func (a *API) join(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	var quantity int64
	if err := readObject(c, field{name: "quantity", read: into(&quantity, units)}); err != nil {
		return err
	}
	standing, err := a.admission.Join(ctx, by, id, quantity)
	return a.accepted(ctx, c, by, standing, err)
}

// about is POST /v1/receipts/{id}/… of what asks nothing but its address: pay,
// cancel, refund.
func (a *API) about(ask func(context.Context, admission.Asker, uuid.UUID) (sale.Standing, error)) func(context.Context, *fiber.Ctx, accounts.Who) error {
	return func(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
		target, err := receiptID(c)
		if err != nil {
			return err
		}
		by, err := a.asker(c, who)
		if err != nil {
			return err
		}
		if err := readNothing(c); err != nil {
			return err
		}
		standing, err := ask(ctx, by, target)
		return a.accepted(ctx, c, by, standing, err)
	}
}

// readNothing reads a body that has no fields, and may as well not be there.
func readNothing(c *fiber.Ctx) error {
	if len(c.BodyRaw()) == 0 {
		return nil
	}
	return readObject(c)
}

// receiptName reads the name of a receipt.
func receiptName(text string) (uuid.UUID, string) {
	id, err := parseReceiptID(text)
	if err != nil {
		return id, "must be a receipt, a UUID in small letters"
	}
	return id, ""
}

// asked is what the path names, a sale or a store, and who asks something of it.
func (a *API) asked(c *fiber.Ctx, who accounts.Who) (id int64, by admission.Asker, err error) {
	if id, err = saleID(c); err != nil {
		return 0, by, err
	}
	by, err = a.asker(c, who)
	return id, by, err
}

// asker is who asks, under which key and trace.
func (a *API) asker(c *fiber.Ctx, who accounts.Who) (admission.Asker, error) {
	key, err := idempotencyKey(c)
	return admission.Asker{Account: who.Account, Key: key, Trace: requestID(c), Turn: a.turnOf(c, who)}, err
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
func (a *API) accepted(ctx context.Context, c *fiber.Ctx, by admission.Asker, standing sale.Standing, err error) error {
	var refusal *sale.Refusal
	limits := a.admission.Limits()
	if err != nil {
		if errors.As(err, &refusal) {
			if refusal.Code == sale.RefusedRate {
				rateLimit(c, limits, 0, refusal.RetryAfter)
			}
			if refusal.Turn != 0 {
				c.Set(turnHeader, a.accounts.Turn(by.Account, refusal.Turn))
			}
		}
		return err
	}
	if standing.Left >= 0 {
		rateLimit(c, limits, standing.Left, 0)
	}
	standing.Outlook = a.receipts.Outlook(ctx, standing)
	a.foresight.note(standing)
	body, poll := a.invited(standing)
	c.Location(receiptsPath + standing.ID.String())
	if poll > 0 {
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(poll))
	}
	replayed(c, standing.Known && by.Key != "")
	c.Status(fiber.StatusAccepted)
	return answerReceipt(c, &body)
}

// The headers of a limit, as draft-ietf-httpapi-ratelimit-headers-10 has them.
const (
	rateLimitHeader  = "RateLimit"
	ratePolicyHeader = "RateLimit-Policy"
)

// … in their canonical form.
var (
	rateLimitName  = []byte("Ratelimit")
	ratePolicyName = []byte("Ratelimit-Policy")
)

// rateLimit says how many requests a buyer may still send at once, and in how many seconds
// there is one more.
func rateLimit(c *fiber.Ctx, limits admission.Limits, left int64, next time.Duration) {
	burst := max(limits.Burst, 1)
	if next == 0 && left < int64(burst) {
		next = time.Duration(float64(time.Second) / limits.Rate)
	}
	var room [64]byte // for one after the other
	policy := strconv.AppendInt(append(room[:0], `"buyer";q=`...), int64(burst), 10)
	policy = strconv.AppendInt(append(policy, `;w=`...), int64(math.Ceil(float64(burst)/limits.Rate)), 10)
	header := &c.Response().Header
	header.SetCanonical(ratePolicyName, policy)
	value := strconv.AppendInt(append(room[:0], `"buyer";r=`...), left, 10)
	value = strconv.AppendInt(append(value, `;t=`...), int64(math.Ceil(next.Seconds())), 10)
	header.SetCanonical(rateLimitName, value)
}

// turnHeader carries the turn that who was refused as overloaded has been promised.
const turnHeader = "Sluice-Turn"

// turnOf reads the turn that the client has, 0 when he has none that is good.
func (a *API) turnOf(c *fiber.Ctx, who accounts.Who) sale.Instant {
	word := c.Get(turnHeader)
	if word == "" {
		return 0
	}
	return a.accounts.ReadTurn(who.Account, word)
}
