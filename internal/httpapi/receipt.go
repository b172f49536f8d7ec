package httpapi

import (
	"context"
	"errors"
	"strconv"
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
	ETAMS       int64     `json:"eta_ms,omitempty"`       // ms until it is decided, or promoted, at the rate seen last; absent when nobody can tell
	Outlook     string    `json:"outlook,omitempty"`      // of a queued purchase: likely, unlikely or sold_out; absent when nobody can tell
	PollAfterMS int64     `json:"poll_after_ms,omitzero"` // while queued or waiting: when to ask again
	Durability  string    `json:"durability,omitempty"`   // what it survives: memory, fsynced or settled
	RequestedAt time.Time `json:"requested_at"`           // stream time
}

// bodyOf answers the JSON of a receipt.
func bodyOf(s sale.Standing) receiptBody {
	body := receiptBody{
		Receipt: s.ID, Verb: s.Verb.String(), Sale: s.Sale, Status: s.Status.String(), Reason: s.Reason.String(),
		Quantity: s.Quantity, UnitPrice: s.UnitPrice, Coupon: s.Coupon, Discount: s.Discount, Target: s.Target, RequestedAt: s.At.Time(),
		Outlook: string(s.Outlook), Durability: string(s.Durability), ETAMS: roundUp(s.ETA()).Milliseconds(),
	}
	if s.Purchase() && s.Status != sale.Queued && s.Status != sale.Rejected {
		body.Amount = new(s.Cost())
	}
	switch s.Status {
	case sale.Queued:
		body.Position = s.Ahead + 1
	case sale.Waiting:
		body.Position = s.Line
	case sale.Held:
		body.PayBy = s.PayBy.Time()
	}
	return body
}

// roundUp makes whole milliseconds, so that what is more than nothing stays it.
func roundUp(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// invited is bodyOf with an appointment for the next poll, which is answered, too.
func (a *API) invited(s sale.Standing) (body receiptBody, poll time.Duration) {
	body, poll = bodyOf(s), a.polls.book(a.askAfter(s))
	body.PollAfterMS = poll.Milliseconds()
	return body, poll
}

// showReceipt is GET /v1/receipts/{id}. A wait that is preferred ends when the receipt
// stands otherwise.
func (a *API) showReceipt(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := receiptID(c)
	if err != nil {
		return err
	}
	known := knownTags(c)
	var spot *parked
	wait := preferredWait(c)
	if wait > 0 {
		spot = a.spot(c, id, wait) // from where it is heard of: register first, read second
	}
	read := a.receipts.Get
	if spot != nil {
		read = spot.standing
	}
	standing, err := read(ctx, who.Account, id)
	for tried := false; spot != nil && err == nil && spot.waits(standing, known); {
		if spot.stop != nil {
			spot.queued = standing.Status == sale.Queued
			if !tried && spot.soon(standing) {
				tried = true
				standing, err = spot.standing(ctx, who.Account, id)
				continue
			}
			return spot.park(c)
		}
		if !spot.listen(id) { // it was woken for nothing
			break
		}
		standing, err = a.receipts.Get(ctx, who.Account, id)
	}
	if spot != nil {
		spot.leave()
		if a.waiters.closing() { // who is sent away had better ask another process
			c.Context().SetConnectionClose()
		}
	}
	if err != nil {
		return err
	}
	if spot != nil {
		c.Set(preferenceApplied, "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	tag := tagOf(standing)
	c.Set(fiber.HeaderETag, tag.String())
	c.Set(fiber.HeaderCacheControl, "private, no-cache")
	if tag.final {
		c.Set(fiber.HeaderCacheControl, "private, max-age=31536000, immutable")
	}
	c.Append(fiber.HeaderVary, fiber.HeaderAuthorization)
	body, poll := a.invited(standing)
	if poll > 0 {
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(poll))
	}
	if known.has(tag) {
		c.Status(fiber.StatusNotModified)
		return nil
	}
	return answerReceipt(c, &body)
}

// receiptsMost is how many receipts can be asked for at once.
const receiptsMost = 100

// pollBody is many receipts as JSON.
type pollBody struct {
	Receipts    []receiptBody    `json:"receipts"` // in the order in which they were asked for
	Problems    []receiptProblem `json:"problems"` // of those that are not among them
	PollAfterMS int64            `json:"poll_after_ms,omitempty"`
}

// receiptProblem is why a receipt is not answered.
type receiptProblem struct {
	Receipt uuid.UUID `json:"receipt"`
	Status  int       `json:"status"`
	Code    code      `json:"code"`
	Title   string    `json:"title"`
}

// pollReceipts is GET /v1/receipts?id=…&id=…
func (a *API) pollReceipts(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	ids, err := readNames(c, "id", receiptsMost)
	if err != nil {
		return err
	}
	body := pollBody{Receipts: make([]receiptBody, 0, len(ids)), Problems: []receiptProblem{}}
	var next time.Duration
	for _, found := range a.receipts.GetAll(ctx, who.Account, ids) {
		if err := found.Err; err != nil {
			if errors.Is(err, sale.ErrUnknown) {
				err = &problem{code: unknownReceipt}
			}
			p := problemOf(err)
			if p.isFault() {
				return err // of all of them: the client asks again
			}
			answer := answers[p.code]
			body.Problems = append(body.Problems, receiptProblem{found.ID, answer.status, p.code, answer.title})
			continue
		}
		body.Receipts = append(body.Receipts, bodyOf(found.Standing))
		if ask := a.askAfter(found.Standing); ask > 0 && (next == 0 || ask < next) {
			next = ask
		}
	}
	if next > 0 { // one poll, for all of them
		next = a.polls.book(next)
		body.PollAfterMS = next.Milliseconds()
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(next))
	}
	return c.JSON(body)
}
