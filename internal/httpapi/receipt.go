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
	Buyer       int64     `json:"buyer,omitempty"`      // account, for the seller
	Attendance  string    `json:"attendance,omitempty"` // completed or no_show, for the seller: of a booking, once it is noted
	Status      string    `json:"status"`
	Reason      string    `json:"reason,omitempty"`       // of a rejected one
	Quantity    int64     `json:"quantity,omitempty"`     // units
	UnitPrice   int64     `json:"unit_price,omitempty"`   // points per unit: paid, to be paid, or paid back
	Coupon      uuid.UUID `json:"coupon,omitzero"`        // that it uses
	Discount    int64     `json:"discount,omitempty"`     // points off all units, by the coupon
	Amount      *int64    `json:"amount,omitempty"`       // points for all units, of a purchase: to pay, or paid
	PayBy       time.Time `json:"pay_by,omitzero"`        // while held
	Target      uuid.UUID `json:"target,omitzero"`        // receipt that a pay, cancel, refund or change of slot is about
	Position    int64     `json:"position,omitempty"`     // while queued: 1 is settled next; while waiting: 1 is next in the line
	PollAfterMS int64     `json:"poll_after_ms,omitzero"` // while queued or waiting: when to ask again
	RequestedAt time.Time `json:"requested_at"`           // stream time
}

// bodyOf answers the JSON of a receipt and how long to wait before asking again,
// 0 when nothing comes of waiting.
func bodyOf(s sale.Standing) (body receiptBody, poll time.Duration) {
	body = receiptBody{
		Receipt: s.ID, Verb: s.Verb.String(), Sale: s.Sale, Status: s.Status.String(), Reason: s.Reason.String(),
		Quantity: s.Quantity, UnitPrice: s.UnitPrice, Coupon: s.Coupon, Discount: s.Discount, Target: s.Target, RequestedAt: s.At.Time(),
	}
	if s.Purchase() && s.Status != sale.Queued && s.Status != sale.Rejected {
		body.Amount = new(s.Cost())
	}
	switch s.Status {
	case sale.Queued:
		poll = pollAfter(s.Ahead, s.Drain)
		body.Position = s.Ahead + 1
	case sale.Waiting:
		poll = pollInLine(s.Line)
		body.Position = s.Line
	case sale.Held:
		body.PayBy = s.PayBy.Time()
	}
	body.PollAfterMS = poll.Milliseconds()
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
	return spread(wait)
}

// pollInLine is the time after which to ask again from a place in a waiting line:
// the head soon, since his hold begins to run as soon as he has it, who is further
// back less often.
func pollInLine(place int64) time.Duration {
	return spread(min(time.Duration(max(place, 1))*pollUnknown, pollMost))
}

func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2))
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
