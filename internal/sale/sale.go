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
// time alone.
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

// The kinds of sale. Only those with rules in this package pass Sale.Check.
const (
	Auction     Kind = "auction"
	Reservation Kind = "reservation"
	Coupon      Kind = "coupon"
	Event       Kind = "event"
)

// Bounds of a sale, from the auction rules of the domain.
const (
	MaxLength       = 60 * time.Minute    // of an auction, opens_at to closes_at
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
}

// PayoutAt is the end of the refund window, when escrow goes to the seller.
func (s Sale) PayoutAt() Instant { return s.ClosesAt.Add(s.RefundWindow) }

// PriceAt is the unit price at t: the first price before opening, the last one
// from the close on.
func (s Sale) PriceAt(t Instant) int64 { return s.Price.After(s.dropsAt(t)) }

// dropsAt is k = floor((t − opens_at) / period), kept within the sale.
func (s Sale) dropsAt(t Instant) int64 {
	t = min(max(t, s.OpensAt), s.ClosesAt-1)
	return int64(t-s.OpensAt) / s.Price.Period.Milliseconds()
}

// NextDrop is the moment of the next lower price after t. It answers false when
// the price does not drop any more.
func (s Sale) NextDrop(t Instant) (Instant, bool) {
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
	sum := sha256.Sum256(fmt.Appendf(text, "%d %d %d %d %d %d %d %d %d %d %t",
		s.Seller, s.Price.Start, s.Price.Drop, s.Price.Rate, s.Price.Period.Milliseconds(),
		s.Stock, s.Limit, s.OpensAt, s.ClosesAt, s.RefundWindow.Milliseconds(), s.ShowStock))
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
)

// ShownAt is the state shown at t with free units left and held units kept. It
// depends on time alone, so a late tick never shows a wrong state.
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
	ErrNotYours    = errors.New("not yours")
	ErrUnavailable = errors.New("a store cannot answer now")
)

// isText says whether s is text that Postgres keeps, of at most so many characters.
func isText(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsRune(s, 0)
}

// Check tells which creation rules (domain, "Auction") s breaks, seen at now:
// nil, or Faults.
func (s Sale) Check(now Instant) error {
	var faults Faults
	must := func(ok bool, field, rule string, args ...any) {
		if !ok {
			faults = append(faults, Fault{field, fmt.Sprintf(rule, args...)})
		}
	}
	must(s.Kind == Auction, "kind", "must be auction")
	must(strings.TrimSpace(s.Title) != "", "title", "must not be blank")
	must(isText(s.Title, MaxTitle), "title", "must be UTF-8 of at most %d characters, none of them NUL", MaxTitle)
	must(isText(s.Description, MaxDescription), "description", "must be UTF-8 of at most %d characters, none of them NUL", MaxDescription)
	must(s.Limit >= 1, "limit", "must be at least 1")
	must(s.Stock >= s.Limit, "stock", "must be at least the limit per buyer")
	must(s.Stock <= MaxStock, "stock", "must be at most %d", MaxStock)
	must(s.OpensAt >= now, "opens_at", "must not be in the past")
	must(s.RefundWindow >= 0 && s.RefundWindow <= MaxRefundWindow, "refund_window", "must be between 0 and %s", MaxRefundWindow)
	must(s.RefundWindow%time.Millisecond == 0, "refund_window", "must be whole milliseconds")

	span := s.ClosesAt - s.OpensAt
	var length time.Duration // stays 0 while the span breaks a rule of its own
	switch {
	case s.ClosesAt <= s.OpensAt:
		must(false, "closes_at", "must be after opens_at")
	case span > Instant(MaxLength.Milliseconds()):
		must(false, "closes_at", "must be at most %d minutes after opens_at", int(MaxLength.Minutes()))
	case span%Instant(time.Minute.Milliseconds()) != 0:
		must(false, "closes_at", "must be a whole number of minutes after opens_at")
	default:
		length = time.Duration(span) * time.Millisecond
	}
	faults = append(faults, s.Price.check(length)...)
	if s.Price.Start > 0 && s.Stock > 0 {
		must(s.Stock <= MaxPoints/s.Price.Start, "stock", "times start_price must be at most %d", int64(MaxPoints))
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}
