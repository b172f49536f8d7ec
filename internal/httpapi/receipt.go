package httpapi

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

const receiptsPath = "/v1/receipts/"

// receiptBody is a receipt as JSON. What does not apply is left out.
type receiptBody struct {
	Receipt     uuid.UUID `json:"receipt"`
	Verb        string    `json:"verb"`
	Sale        int64     `json:"sale"`
	Buyer       int64     `json:"buyer,omitempty"` // account, for the seller
	Status      string    `json:"status"`
	Reason      string    `json:"reason,omitempty"`       // of a rejected one
	Quantity    int64     `json:"quantity,omitempty"`     // units, of a bid
	UnitPrice   int64     `json:"unit_price,omitempty"`   // points per unit, once paid or paid back
	Target      uuid.UUID `json:"target,omitzero"`        // receipt that a refund is about
	Position    int64     `json:"position,omitempty"`     // while queued: 1 is settled next
	PollAfterMS int64     `json:"poll_after_ms,omitzero"` // while queued: when to ask again
	RequestedAt time.Time `json:"requested_at"`           // stream time
}

// bodyOf answers the JSON of a receipt and how long to wait before asking again,
// 0 when there is nothing to wait for.
func bodyOf(s sale.Standing) (body receiptBody, poll time.Duration) {
	body = receiptBody{
		Receipt: s.ID, Verb: s.Verb.String(), Sale: s.Sale, Status: s.Status.String(), Reason: s.Reason.String(),
		Quantity: s.Quantity, UnitPrice: s.UnitPrice, Target: s.Target, RequestedAt: s.At.Time(),
	}
	if s.Status == sale.Queued {
		poll = pollAfter(s.Ahead, s.Drain)
		body.Position, body.PollAfterMS = s.Ahead+1, poll.Milliseconds()
	}
	return body, poll
}

// Bounds of pollAfter, before its jitter makes them 50 ms and 5 s.
const (
	pollLeast   = 67 * time.Millisecond
	pollMost    = 4 * time.Second
	pollUnknown = 250 * time.Millisecond // when nobody knows how fast the partition is
)

// pollAfter is the time until a request with so many ahead of it is settled, at
// drain requests per second. It is spread by ±25 %, also at its bounds, so that
// those who asked together do not come back together.
func pollAfter(ahead int64, drain float64) time.Duration {
	wait := pollUnknown
	if drain > 0 {
		seconds := min(float64(ahead+1)/drain, pollMost.Seconds())
		wait = max(time.Duration(seconds*float64(time.Second)), pollLeast)
	}
	return time.Duration(float64(wait) * (0.75 + rand.Float64()/2))
}

// showReceipt is GET /v1/receipts/{id}.
func (a *API) showReceipt(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := receiptID(c)
	if err != nil {
		return err
	}
	standing, err := a.receipts.Get(ctx, who.Account, id)
	if err != nil {
		return err
	}
	body, _ := bodyOf(standing)
	return c.JSON(body)
}
