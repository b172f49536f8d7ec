package sale

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Status says where a request stands. It only ever moves forward, along the
// arrows of the package comment.
type Status uint8

// The statuses. Their numbers are part of the log's wire form: never reorder.
const (
	Queued Status = iota + 1
	Confirmed
	Held
	Waiting
	Rejected
	Expired
	Cancelled
	Refunded
)

var statusWords = []string{Queued: "queued", Confirmed: "confirmed", Held: "held", Waiting: "waiting",
	Rejected: "rejected", Expired: "expired", Cancelled: "cancelled", Refunded: "refunded"}

var statusMoves = map[Status][]Status{
	Queued:    {Confirmed, Held, Waiting, Rejected},
	Held:      {Confirmed, Expired, Cancelled},
	Waiting:   {Held, Confirmed, Cancelled, Rejected},
	Confirmed: {Refunded, Cancelled},
}

func (s Status) String() string { return word(statusWords, s) }

// ParseStatus answers the status of this word, false when there is none.
func ParseStatus(w string) (Status, bool) { return parse[Status](statusWords, w) }

// CanBecome says whether next may follow s.
func (s Status) CanBecome(next Status) bool { return slices.Contains(statusMoves[s], next) }

// Final says whether nothing can follow s any more.
func (s Status) Final() bool { return len(statusMoves[s]) == 0 }

// Reason says why a receipt is rejected; 0 for every other status.
type Reason uint8

// The reasons, one closed set (domain, "Words"). Their numbers are part of the
// log's wire form: never reorder.
const (
	UnknownSale Reason = iota + 1
	NotOpen
	Closed
	SoldOut
	LineFull
	PriceChanged
	OverLimit
	Duplicate
	ShortPoints
	CouponUnusable
	ReasonExpired
	NotPayable
	NotYours
	NotRefundable
	AlreadyFinal
	Suspended
	Lost
	Internal
)

var reasonWords = []string{UnknownSale: "unknown_sale", NotOpen: "not_open", Closed: "closed", SoldOut: "sold_out",
	LineFull: "line_full", PriceChanged: "price_changed", OverLimit: "over_limit", Duplicate: "duplicate",
	ShortPoints: "short_points", CouponUnusable: "coupon_unusable", ReasonExpired: "expired", NotPayable: "not_payable",
	NotYours: "not_yours", NotRefundable: "not_refundable", AlreadyFinal: "already_final", Suspended: "suspended",
	Lost: "lost", Internal: "internal"}

func (r Reason) String() string { return word(reasonWords, r) }

// ParseReason answers the reason of this word, false when there is none.
func ParseReason(w string) (Reason, bool) { return parse[Reason](reasonWords, w) }

// Receipt is a request and what became of it.
type Receipt struct {
	ID          uuid.UUID
	Verb        Verb
	Sale        int64
	Buyer       int64     // account that asked; 0 is the scheduler
	Quantity    int64     // units
	UnitPrice   int64     // points per unit: paid, to be paid, or paid back; 0 when nothing is
	Discount    int64     // points off Quantity × UnitPrice, from Coupon
	Coupon      uuid.UUID // the claim receipt of the coupon it uses
	Status      Status
	Reason      Reason    // set when Status is Rejected
	PayBy       Instant   // when a hold expires; it stays when the hold is over, 0: it never was one
	Passed      int64     // times that others went before it in the line
	Target      uuid.UUID // the receipt a refund, pay, cancel or change of slot is about
	Fingerprint uint64    // of the request, Request.Sum
	Seq         int64     // its number in the partition
	At          Instant   // stream time of the request
}

// Cost is what all its units cost: what was, or is to be, paid.
func (r Receipt) Cost() int64 { return r.Quantity*r.UnitPrice - r.Discount }

// Purchase says whether r, once confirmed, has units: a request that buys, or a
// payment that came too late and bought a unit that was free.
func (r Receipt) Purchase() bool { return r.Verb.Buys() || r.Verb == Pay && r.Quantity > 0 }

// Place is that of a receipt among the holds of a sale, or in its waiting line.
type Place struct {
	Receipt uuid.UUID
	Seq     int64
	At      Instant // of a hold its end, pay_by; in the line the stream time of the request
}

// Compare orders places: the earlier first, then by number.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.At, q.At), cmp.Compare(p.Seq, q.Seq), bytes.Compare(p.Receipt[:], q.Receipt[:]))
}

// HoldPlace is the place of r while it is held.
func (r Receipt) HoldPlace() Place { return Place{r.ID, r.Seq, r.PayBy} }

// LinePlace is the place of r while it waits.
func (r Receipt) LinePlace() Place { return Place{r.ID, r.Seq, r.At} }

// Standing is a receipt and its place in its partition.
type Standing struct {
	Receipt
	Ahead  int64   // requests of the partition to be settled before it; 0 once it is settled
	Behind int64   // requests of the partition settled after it, when Redis was asked; 0 while it is queued
	Drain  float64 // requests the partition settles per second, as its owner saw it last; 0: not known
	Line   int64   // its place in the waiting line of its sale, from 1; 0 unless it is waiting
	Known  bool    // an admission found it there: the request is a repeated one
	Left   int64   // requests that its buyer may still send at once, when it was admitted; else, or without limit, -1

	Still      time.Duration // that the partition has settled nothing although something was queued
	LeaveLine  float64       // receipts that leave the waiting line of its sale per second; 0: not known
	Outlook    Outlook
	Durability Durability
}

// Outlook says, while a purchase is still queued, what comes of it as far as units go;
// "" when nobody can tell.
type Outlook string

// The outlooks. Only gone is certain, unless the seller adds units; it stands for what will be
// rejected as sold_out.
const (
	Likely   Outlook = "likely"   // there are units enough for all who are before it, as they have been buying
	Unlikely Outlook = "unlikely" // they will be gone before its turn
	Gone     Outlook = "sold_out" // they are gone, and none of them returns
)

// stillness is from when on a partition that settles nothing is said to stand still:
// a batch takes less.
const stillness = 500 * time.Millisecond

// ETA is when the receipt is decided (while queued) or promoted (while waiting), from now
// on and as far as the rate shown last tells; 0 when nobody can tell. What stands still is
// expected to go on doing so for as long again.
func (s Standing) ETA() time.Duration {
	var eta time.Duration
	switch {
	case s.Status == Queued && s.Drain > 0:
		eta = perSecond(s.Ahead+1, s.Drain)
		if s.Still > stillness {
			eta += s.Still
		}
	case s.Status == Waiting && s.LeaveLine > 0:
		eta = perSecond(s.Line, s.LeaveLine)
	}
	return min(eta, etaMost)
}

// etaMost is the longest that is told: nobody knows what a day brings.
const etaMost = 24 * time.Hour

// perSecond is how long n take at this rate.
func perSecond(n int64, rate float64) time.Duration {
	return time.Duration(min(float64(n)/rate, etaMost.Seconds()) * float64(time.Second))
}

// Durability says what a receipt survives.
type Durability string

// The levels. What is not settled yet is in Redis alone.
const (
	InMemory Durability = "memory"  // not a crash of Redis, if that comes before it has written it down
	Fsynced  Durability = "fsynced" // a crash of Redis: it was on disk before it was accepted
	InRecord Durability = "settled" // in Postgres, which no client sees before it has committed
)

func word[T ~uint8](words []string, value T) string {
	if int(value) < len(words) {
		return words[value]
	}
	return ""
}

func parse[T ~uint8](words []string, w string) (T, bool) {
	i := slices.Index(words, w)
	return T(max(i, 0)), i > 0 && w != ""
}
