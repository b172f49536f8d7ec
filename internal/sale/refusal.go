package sale

import "time"

// Refusal says why a request was not admitted. It left no trace and has no
// receipt: the same request may be sent again. An error.
type Refusal struct {
	Code       Code
	RetryAfter time.Duration // a true estimate of when it would be admitted; 0: when something else changes
	Turn       Instant       // of one refused as overloaded: from when on he is let in before newcomers; 0: there is none
}

// Code is why a request was refused at the door; one closed set.
type Code string

// The codes. The first five are also reasons of a receipt.
const (
	RefusedUnknownSale Code = "unknown_sale"
	RefusedNotOpen     Code = "not_open"
	RefusedClosed      Code = "closed"
	RefusedSoldOut     Code = "sold_out"
	RefusedSuspended   Code = "suspended"
	RefusedMismatch    Code = "idempotency_mismatch" // the same key asked something else before
	RefusedRate        Code = "rate_limited"         // this buyer asks too often
	RefusedOverload    Code = "overloaded"           // the partition's backlog is full
	RefusedLoading     Code = "loading"              // the partition is being rebuilt
	RefusedEarly       Code = "early"                // a tick whose time has not come
)

func (r *Refusal) Error() string { return "refused: " + string(r.Code) }
