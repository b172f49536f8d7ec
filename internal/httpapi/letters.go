package httpapi

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// answerReceipt answers a receipt, with the status set before. It is what this API says
// most, so it is written letter by letter: without reflection, and without any garbage.
func answerReceipt(c *fiber.Ctx, body *receiptBody) error {
	var room [768]byte
	c.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
	c.Response().SetBody(body.appendTo(room[:0]))
	return nil
}

// appendTo appends the JSON of a receipt, as encoding/json would write it. All its texts are
// of closed sets of words, in which nothing needs an escape.
func (r *receiptBody) appendTo(b []byte) []byte {
	b = appendUUID(append(b, `{"receipt":`...), r.Receipt)
	b = appendWord(b, `,"verb":`, r.Verb)
	b = appendNumber(b, `,"sale":`, r.Sale)
	b = appendSome(b, `,"buyer":`, r.Buyer)
	b = appendSomeWord(b, `,"attendance":`, r.Attendance)
	b = appendWord(b, `,"status":`, r.Status)
	b = appendSomeWord(b, `,"reason":`, r.Reason)
	b = appendSome(b, `,"quantity":`, r.Quantity)
	b = appendSome(b, `,"unit_price":`, r.UnitPrice)
	if r.Coupon != uuid.Nil {
		b = appendUUID(append(b, `,"coupon":`...), r.Coupon)
	}
	b = appendSome(b, `,"discount":`, r.Discount)
	if r.Amount != nil {
		b = appendNumber(b, `,"amount":`, *r.Amount)
	}
	if !r.PayBy.IsZero() {
		b = appendTime(b, `,"pay_by":`, r.PayBy)
	}
	if r.Target != uuid.Nil {
		b = appendUUID(append(b, `,"target":`...), r.Target)
	}
	b = appendSome(b, `,"position":`, r.Position)
	b = appendSome(b, `,"eta_ms":`, r.ETAMS)
	b = appendSomeWord(b, `,"outlook":`, r.Outlook)
	b = appendSome(b, `,"poll_after_ms":`, r.PollAfterMS)
	b = appendSomeWord(b, `,"durability":`, r.Durability)
	return append(appendTime(b, `,"requested_at":`, r.RequestedAt), '}')
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	return append(appendID(append(b, '"'), id), '"')
}

// appendID appends an ID as it is spelled.
func appendID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	for _, part := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), part)
	}
	return b
}

func appendWord(b []byte, name, word string) []byte {
	return append(append(append(append(b, name...), '"'), word...), '"')
}

func appendSomeWord(b []byte, name, word string) []byte {
	if word == "" {
		return b
	}
	return appendWord(b, name, word)
}

func appendNumber(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), n, 10)
}

func appendSome(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	return appendNumber(b, name, n)
}

func appendTime(b []byte, name string, t time.Time) []byte {
	return append(t.AppendFormat(append(append(b, name...), '"'), time.RFC3339Nano), '"')
}
