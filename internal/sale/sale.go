// Package sale holds the words of Sluice and its rules.
//
// A sale is a seller's offer of a limited stock between opens_at and closes_at.
// A request asks something of it (bid, refund, …), a receipt says what became of
// the request. Everything here is pure: no clock, no I/O, no randomness but for
// new receipt IDs. The rules exist once, in Decide; the consumer, the audit and
// the property tests run the same function.
//
// The life of a receipt:
//
//	queued ──▶ confirmed ──▶ refunded
//	  │            ├───────▶ cancelled
//	  ├──▶ held ───┤
//	  │     │      ▲
//	  │     ├──────┼───────▶ expired, cancelled
//	  ├──▶ waiting ┘
//	  │     └──────────────▶ held, cancelled, rejected
//	  └───────────────────▶ rejected (with a reason)
//
// The life of a sale is its phase: scheduled ──▶ open ──▶ closed, moved by stream
// time alone. Beside that it may be suspended, from its opening on and until it is
// resumed: then it sells nothing (suspend.go).
package sale

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxPoints bounds every amount, balance and price × quantity: 2^53 − 1, the
// largest integer that a double (Lua, JavaScript) still counts exactly.
const MaxPoints = 1<<53 - 1

// Instant is a moment of stream time: milliseconds since 1970-01-01 UTC.
type Instant int64

// At answers t as an Instant; what is below the millisecond is cut off.
func At(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time answers i as a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Add answers the moment d later; what is below the millisecond is cut off.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Kind says which of the four presets a sale follows.
type Kind string

// The kinds of sale.
const (
	Auction     Kind = "auction"     // the price falls until somebody takes it; paid at once
	Reservation Kind = "reservation" // held, then paid
	Coupon      Kind = "coupon"      // claimed; an amount off a purchase from the same seller
	Event       Kind = "event"       // seats, confirmed at once; a slot of a store is one, its tables the seats
)

// Kinds is all of them.
var Kinds = []Kind{Auction, Reservation, Coupon, Event}

// Bounds of a sale. Those of an auction are the domain's, the others our own.
const (
	MaxLength       = 60 * time.Minute     // of an auction, opens_at to closes_at
	MaxSpan         = 366 * 24 * time.Hour // of every other kind
	MaxHold         = 7 * 24 * time.Hour
	DefaultHold     = 10 * time.Minute // unless the sale says otherwise
	MaxLine         = 100_000          // receipts in a waiting line
	MaxBypass       = 1000
	BypassReach     = 100                 // receipts: a freed unit looks no further down the line for somebody it is enough for
	MaxRefundWindow = 90 * 24 * time.Hour // our own bound: escrow must end some day
	MaxTitle        = 200                 // characters
	MaxDescription  = 4000                // characters
	MaxStock        = 1_000_000_000       // units; our own bound, far above any real sale
	DefaultRefund   = 24 * time.Hour      // refund window unless the sale says otherwise
)

// Sale is what a seller offers. Until it opens its seller may change all of it;
// once it is open only its text, and its stock by a decided change request.
type Sale struct {
	ID           int64
	Kind         Kind
	Partition    int   // 0 ≤ Partition < number of partitions; chosen at creation, for ever
	Seller       int64 // account, and the wallet of the same number
	Escrow       int64 // wallet that keeps the buyers' points until the payout
	Title        string
	Description  string // like Title, text for people: no decision stands on it, and no log keeps it
	Price        Price
	Stock        int64 // units
	Limit        int64 // units one buyer may have, cumulative over the sale
	OpensAt      Instant
	ClosesAt     Instant
	RefundWindow time.Duration // whole milliseconds; 0: the seller is paid at once and nothing is refunded
	ShowStock    bool          // whether buyers may see the units left

	// Of a reservation or event.
	Hold      time.Duration // from being held to pay_by: 1 s to MaxHold, whole seconds
	LineMost  int64         // receipts that may wait, 0 to MaxLine; 0: there is no line
	MaxBypass int64         // times that a smaller request may pass one that waits for more units, 0 to MaxBypass

	// Of a coupon.
	AmountOff  int64   // points off a purchase, ≥ 1
	ValidFrom  Instant // from then on it can be claimed and used
	ValidUntil Instant // until before then

	// Of an event.
	StartsAt Instant // ≥ ClosesAt; 0: it does not say
	Store    int64   // whose slot it is; 0: none
}

// Returns says whether units of s may come back: an auction's and a coupon's never
// do.
func (s Sale) Returns() bool { return s.Kind == Reservation || s.Kind == Event }

// FixedPrice says whether one unit costs the same as long as s sells.
func (s Sale) FixedPrice() bool {
	return s.Price.Policy == Fixed || s.Price.Period.Milliseconds() == int64(s.ClosesAt-s.OpensAt)
}

// RemindAt is when the buyer of a hold that ends at payBy is told that it ends
// soon: two minutes before, of a short hold a fifth of it.
func (s Sale) RemindAt(payBy Instant) Instant { return payBy.Add(-min(2*time.Minute, s.Hold/5)) }

// PayoutAt is the end of the refund window, when escrow goes to the seller.
func (s Sale) PayoutAt() Instant { return s.ClosesAt.Add(s.RefundWindow) }

// PriceAt is the unit price at t: the first price before opening, the last one
// from the close on.
func (s Sale) PriceAt(t Instant) int64 { return s.Price.After(s.dropsAt(t)) }

// dropsAt is k = floor((t − opens_at) / period), kept within the sale.
func (s Sale) dropsAt(t Instant) int64 {
	if s.Price.Policy == Fixed {
		return 0
	}
	t = min(max(t, s.OpensAt), s.ClosesAt-1)
	return int64(t-s.OpensAt) / s.Price.Period.Milliseconds()
}

// NextDrop is the moment of the next lower price after t. It answers false when
// the price does not drop any more.
func (s Sale) NextDrop(t Instant) (Instant, bool) {
	if s.Price.Policy == Fixed {
		return 0, false
	}
	if t < s.OpensAt {
		t = s.OpensAt
	}
	next := s.OpensAt.Add(time.Duration(int64(t-s.OpensAt)/s.Price.Period.Milliseconds()+1) * s.Price.Period)
	return next, next < s.ClosesAt
}

// Sum is the fingerprint of what its seller asks for: 8 bytes of SHA-256 over its
// canonical text. Two creations under one Idempotency-Key must have the same.
func (s Sale) Sum() uint64 {
	var text []byte
	for _, word := range []string{string(s.Kind), s.Title, s.Description, string(s.Price.Policy)} {
		text = fmt.Appendf(text, "%d:%s ", len(word), word)
	}
	text = fmt.Appendf(text, "%d %d %d %d %d %d %d %d %d %d %t",
		s.Seller, s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period.Milliseconds(),
		s.Stock, s.Limit, s.OpensAt, s.ClosesAt, s.RefundWindow.Milliseconds(), s.ShowStock)
	if s.Kind != Auction { // an auction's is as it was before there were others
		text = fmt.Appendf(text, " %d %d %d %d %d %d %d %d", s.Hold.Milliseconds(), s.LineMost, s.MaxBypass,
			s.AmountOff, s.ValidFrom, s.ValidUntil, s.StartsAt, s.Store)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}

// Step is one price of a sale, from a moment on.
type Step struct {
	At    Instant
	Price int64 // points per unit
}

// Prices is the whole price curve, the first price first. A sale of MaxLength
// has at most 3600 of them.
func (s Sale) Prices() []Step {
	if s.Price.Policy == Fixed {
		return []Step{{s.OpensAt, s.Price.Start}}
	}
	steps := make([]Step, 0, s.dropsAt(s.ClosesAt)+1)
	price := s.Price.Start
	for at := s.OpensAt; at < s.ClosesAt; at = at.Add(s.Price.Period) {
		steps = append(steps, Step{at, price})
		price = s.Price.next(price)
	}
	return steps
}

// Shown is the state of a sale as people see it.
type Shown string

// The states shown.
const (
	ShownScheduled Shown = "scheduled"
	ShownOpen      Shown = "open"
	ShownSoldOut   Shown = "sold_out"
	ShownClosed    Shown = "closed"
	ShownSuspended Shown = "suspended" // between opening and closing
)

// ShownAt is the state shown at t with free units left, of a sale that is not
// suspended. It depends on time alone, so a late tick never shows a wrong state.
func (s Sale) ShownAt(t Instant, free int64) Shown {
	switch {
	case t < s.OpensAt:
		return ShownScheduled
	case t >= s.ClosesAt:
		return ShownClosed
	case free == 0:
		return ShownSoldOut
	}
	return ShownOpen
}

// Fault is one field of a sale that breaks a rule.
type Fault struct {
	Field string // the field's JSON name
	Rule  string // the rule, in words for its seller
}

// Faults is every fault of a sale at once; an error.
type Faults []Fault

func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, fault := range f {
		parts[i] = fault.Field + " " + fault.Rule
	}
	return strings.Join(parts, "; ")
}

// What a question about a sale or a receipt may be answered.
var (
	ErrUnknown     = errors.New("unknown: there is no such thing")
	ErrDropped     = errors.New("dropped: the receipts of this sale are not kept any more")
	ErrLost        = errors.New("lost: Redis has lost data since it may have been queued")
	ErrNotYours    = errors.New("not yours")
	ErrUnavailable = errors.New("a store cannot answer now")
)

// isText says whether s is text that Postgres keeps, of at most so many characters.
func isText(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsRune(s, 0)
}
