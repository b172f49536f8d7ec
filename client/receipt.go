package client

import (
	"context"
	"encoding/json"
	"fmt"
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
	Confirmed Status = "confirmed" // granted; of a bid: bought and paid
	Held      Status = "held"
	Waiting   Status = "waiting"
	Rejected  Status = "rejected" // for a Reason
	Expired   Status = "expired"
	Cancelled Status = "cancelled"
	Refunded  Status = "refunded" // was confirmed; the points are back
)

// Reason says why a request was rejected.
type Reason string

// The reasons that a bid, a refund or a growth can meet.
const (
	ReasonUnknownSale   Reason = "unknown_sale"
	ReasonNotOpen       Reason = "not_open"
	ReasonClosed        Reason = "closed"
	ReasonSoldOut       Reason = "sold_out"
	ReasonPriceChanged  Reason = "price_changed" // it is above the price named, or other than the exact one
	ReasonOverLimit     Reason = "over_limit"    // more than one buyer may have
	ReasonShortPoints   Reason = "short_points"  // not enough in the wallet
	ReasonNotYours      Reason = "not_yours"
	ReasonNotRefundable Reason = "not_refundable" // before the close, after the window, or nothing was bought
	ReasonAlreadyFinal  Reason = "already_final"  // refunded before
	ReasonLost          Reason = "lost"           // it was queued when Redis lost its data: ask again under a new key
	ReasonInternal      Reason = "internal"
)

// Verb says what a request asks.
type Verb string

// The verbs.
const (
	VerbBid    Verb = "bid"
	VerbRefund Verb = "refund"
	VerbChange Verb = "change" // of a sale's stock
)

// Receipt is a request and what became of it. What does not apply is zero.
type Receipt struct {
	ID          string        `json:"receipt"` // a UUID
	Verb        Verb          `json:"verb"`
	Sale        int64         `json:"sale"`
	Buyer       int64         `json:"buyer,omitempty"` // account that asked; only its seller is told
	Status      Status        `json:"status"`
	Reason      Reason        `json:"reason,omitempty"`     // of a rejected one
	Quantity    int64         `json:"quantity,omitempty"`   // units
	UnitPrice   int64         `json:"unit_price,omitempty"` // points per unit, once paid or paid back
	Target      string        `json:"target,omitempty"`     // ID of the receipt that a refund is about
	Position    int64         `json:"position,omitempty"`   // while queued: 1 is decided next
	PollAfter   time.Duration `json:"-"`                    // while queued: when to ask again
	RequestedAt time.Time     `json:"requested_at"`         // by the clock of the stream, which judges it
}

// Decided says that there is nothing to wait for.
func (r Receipt) Decided() bool { return r.Status != Queued && r.Status != "" }

// UnmarshalJSON reads a receipt as the API writes it.
func (r *Receipt) UnmarshalJSON(text []byte) error {
	type plain Receipt
	wire := struct {
		*plain
		PollAfterMS int64 `json:"poll_after_ms"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(text, &wire)
	r.PollAfter = time.Duration(wire.PollAfterMS) * time.Millisecond
	return err
}

// MarshalJSON writes r as the API does.
func (r Receipt) MarshalJSON() ([]byte, error) {
	type plain Receipt
	return json.Marshal(struct {
		plain
		PollAfterMS int64 `json:"poll_after_ms,omitempty"`
	}{plain(r), r.PollAfter.Milliseconds()})
}

const receiptsPath = "/v1/receipts/"

// Receipt answers where a request stands.
func (c *Client) Receipt(ctx context.Context, id string) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: receiptsPath + url.PathEscape(id), into: &r})
	return r, err
}

// Refund asks for the points of a confirmed bid, all of them, after its sale has
// closed and while its refund window lasts. The answer is a receipt of the refund;
// once that is confirmed, the bid's is refunded.
func (c *Client) Refund(ctx context.Context, receipt string, options ...CallOption) (r Receipt, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: receiptsPath + url.PathEscape(receipt) + "/refund", into: &r}, options...)
	return r, err
}

// Bounds of what Wait does between two questions.
const (
	pollLeast = 10 * time.Millisecond
	pollMost  = longestPause
	pollFault = time.Second
)

// Wait asks after a queued receipt until it is decided, and answers what came of
// it. A receipt of which only the ID is set is asked after at once. Wait lasts as
// long as ctx does, through every fault that passes: with ctx's error come the
// receipt as it was last seen and the last fault.
func (c *Client) Wait(ctx context.Context, r Receipt) (Receipt, error) {
	pause := min(max(r.PollAfter, pollLeast), pollMost)
	if r.Status == "" {
		pause = 0
	}
	var fault error
	for !r.Decided() {
		if err := sleep(ctx, pause); err != nil {
			if fault != nil {
				err = fmt.Errorf("%w; %w", err, fault)
			}
			return r, fmt.Errorf("receipt %s: %w", r.ID, err)
		}
		next, err := c.Receipt(ctx, r.ID)
		switch {
		case err == nil:
			r, fault = next, nil
			pause = min(max(r.PollAfter, pollLeast), pollMost)
		case ctx.Err() == nil && passes(err):
			fault = err
			pause = min(max(retryAfterOf(err), pollFault), pollMost)
		default:
			return r, err
		}
	}
	return r, nil
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
// newest first. Those that are queued or were rejected are found by their ID only.
func (c *Client) Receipts(ctx context.Context, f ReceiptFilter) iter.Seq2[Receipt, error] {
	query := filter{}
	query.number("sale", f.Sale)
	query.word("status", string(f.Status))
	return pages(ctx, c, mePath+"/receipts", url.Values(query), (*receiptPage).split)
}
