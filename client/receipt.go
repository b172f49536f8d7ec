package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Status says where a request stands. It only ever moves forward.
type Status string

// The statuses.
const (
	Queued    Status = "queued"    // not decided yet
	Confirmed Status = "confirmed" // granted; of what buys: bought and paid
	Held      Status = "held"      // to be paid before PayBy
	Waiting   Status = "waiting"   // in the line
	Rejected  Status = "rejected"  // for a Reason
	Expired   Status = "expired"   // was held, and not paid in time
	Cancelled Status = "cancelled" // given back; what was paid came back
	Refunded  Status = "refunded"  // was confirmed; the points are back
)

// Reason says why a request was rejected.
type Reason string

// The reasons.
const (
	ReasonUnknownSale    Reason = "unknown_sale"
	ReasonNotOpen        Reason = "not_open"
	ReasonClosed         Reason = "closed" // also of what waited in vain
	ReasonSoldOut        Reason = "sold_out"
	ReasonLineFull       Reason = "line_full"
	ReasonPriceChanged   Reason = "price_changed" // it is above the price named, or other than the exact one
	ReasonOverLimit      Reason = "over_limit"    // more than one buyer may have, or a sale can grow by
	ReasonDuplicate      Reason = "duplicate"     // one is what one buyer may have, and he has it
	ReasonShortPoints    Reason = "short_points"  // not enough in the wallet
	ReasonCouponUnusable Reason = "coupon_unusable"
	ReasonExpired        Reason = "expired"     // the payment came too late, and nothing was left
	ReasonNotPayable     Reason = "not_payable" // it waits, is paid, or has no price
	ReasonNotYours       Reason = "not_yours"
	ReasonNotRefundable  Reason = "not_refundable" // before the close, after the window, or nothing was bought
	ReasonAlreadyFinal   Reason = "already_final"  // refunded, cancelled or expired before
	ReasonLost           Reason = "lost"           // it was queued when Redis lost its data: ask again under a new key
	ReasonInternal       Reason = "internal"
)

// Durability says what a receipt survives.
type Durability string

// The levels, the weakest first.
const (
	InMemory Durability = "memory"  // queued in Redis, which has not written it down yet
	Fsynced  Durability = "fsynced" // queued in Redis, and on disk
	InRecord Durability = "settled" // decided, and committed by Postgres
)

// Verb says what a request asks.
type Verb string

// The verbs.
const (
	VerbBid     Verb = "bid"
	VerbReserve Verb = "reserve" // with a Target: a change of slot
	VerbClaim   Verb = "claim"
	VerbJoin    Verb = "join"
	VerbPay     Verb = "pay"
	VerbCancel  Verb = "cancel"
	VerbRefund  Verb = "refund"
	VerbChange  Verb = "change" // of a sale's stock or close
)

// Outlook says what is to be expected of a queued request, by what is ahead of it.
type Outlook string

// The outlooks. "" is unknown.
const (
	OutlookLikely   Outlook = "likely"
	OutlookUnlikely Outlook = "unlikely"
	OutlookSoldOut  Outlook = "sold_out" // certain
)

// Receipt is a request and what became of it. What does not apply is zero.
type Receipt struct {
	ID          string        `json:"receipt"` // a UUID
	Verb        Verb          `json:"verb"`
	Sale        int64         `json:"sale"`
	Buyer       int64         `json:"buyer,omitempty"`      // account that asked; only its seller and admins are told
	Attendance  Attendance    `json:"attendance,omitempty"` // of a booking, once it is noted; only its seller is told
	Status      Status        `json:"status"`
	Reason      Reason        `json:"reason,omitempty"`     // of a rejected one
	Quantity    int64         `json:"quantity,omitempty"`   // units
	UnitPrice   int64         `json:"unit_price,omitempty"` // points per unit: paid, to be paid, or paid back
	Coupon      string        `json:"coupon,omitempty"`     // ID of the coupon that it uses
	Discount    int64         `json:"discount,omitempty"`   // points off all units, by the coupon
	Amount      int64         `json:"amount,omitempty"`     // points for all units, of a purchase: to pay, or paid
	PayBy       time.Time     `json:"pay_by,omitzero"`      // while held
	Target      string        `json:"target,omitempty"`     // ID of the receipt that a pay, cancel, refund or change of slot is about
	Position    int64         `json:"position,omitempty"`   // while queued: 1 is decided next; while waiting: 1 is next in the line; 0: not known at the moment
	ETA         time.Duration `json:"-"`                    // while queued or waiting: until it is its turn, as things go; 0: not known
	Outlook     Outlook       `json:"outlook,omitempty"`    // while queued
	PollAfter   time.Duration `json:"-"`                    // while queued or waiting: when to ask again
	Durability  Durability    `json:"durability,omitempty"` // what it survives
	RequestedAt time.Time     `json:"requested_at"`         // by the clock of the stream, which judges it
}

// Decided says that the request is not queued any more. What is held or waiting goes
// on: [Client.WaitUntil] sees where to.
func (r Receipt) Decided() bool { return r.Status != Queued && r.Status != "" }

// Settled says that nothing happens to the receipt any more unless somebody asks for
// it: it is neither queued, nor waiting, nor held.
func (r Receipt) Settled() bool { return r.Decided() && r.Status != Waiting && r.Status != Held }

// UnmarshalJSON reads a receipt as the API writes it.
func (r *Receipt) UnmarshalJSON(text []byte) error {
	type plain Receipt
	wire := struct {
		*plain
		ETAMS       int64 `json:"eta_ms"`
		PollAfterMS int64 `json:"poll_after_ms"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(text, &wire)
	r.ETA, r.PollAfter = milliseconds(wire.ETAMS), milliseconds(wire.PollAfterMS)
	return err
}

// MarshalJSON writes r as the API does.
func (r Receipt) MarshalJSON() ([]byte, error) {
	type plain Receipt
	return json.Marshal(struct {
		plain
		ETAMS       int64 `json:"eta_ms,omitempty"`
		PollAfterMS int64 `json:"poll_after_ms,omitempty"`
	}{plain(r), r.ETA.Milliseconds(), r.PollAfter.Milliseconds()})
}

const receiptsPath = "/v1/receipts/"

// Receipt answers where a request stands. [CodeLost] when Redis has lost data since it
// may have been queued: nothing was done, and it may be asked again, also under its
// own key.
func (c *Client) Receipt(ctx context.Context, id string) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: receiptPath(id), into: &r})
	return r, err
}

// ReceiptFilter chooses receipts; what is zero chooses all.
type ReceiptFilter struct {
	Sale   int64
	Status Status
}

type receiptPage struct {
	Receipts []Receipt `json:"receipts"`
	Next     string    `json:"next_cursor"`
}

func (p *receiptPage) split() ([]Receipt, string) { return p.Receipts, p.Next }

// Receipts are the requests of the account that c speaks for which had an effect,
// newest first. Those that are queued, or were rejected without having waited, are
// found by their ID only.
func (c *Client) Receipts(ctx context.Context, f ReceiptFilter) iter.Seq2[Receipt, error] {
	query := filter{}
	query.number("sale", f.Sale)
	query.word("status", string(f.Status))
	return pages(ctx, c, mePath+"/receipts", url.Values(query), (*receiptPage).split)
}
