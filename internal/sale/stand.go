package sale

import "github.com/google/uuid"

// Phase is how far stream time has moved a sale.
type Phase string

// The phases, in order.
const (
	Scheduled   Phase = "scheduled"
	PhaseOpen   Phase = "open"
	PhaseClosed Phase = "closed"
)

// Phases is all of them, in order. The log has the place of each in it: a new one
// goes to the end.
var Phases = []Phase{Scheduled, PhaseOpen, PhaseClosed}

// Stand is a sale and how it stands at one watermark of its partition.
type Stand struct {
	Sale
	Phase            Phase
	Free, Held, Sold int64 // units; their sum is Stock
	Waiting          int64 // receipts in the line
	PaidOut          bool
	Suspended        bool            // see suspend.go
	Buyers           map[int64]int64 // units each buyer has (confirmed, held, waiting); those with none may be missing

	// In order. A state that a batch is decided on has of the holds those that end by
	// its last entry, though no more than TickMost for each of its ticks when the sale
	// is closed or the batch has nothing but ticks for it; and of the line its first
	// places: when they are too few, the decision is Short.
	Holds []Place
	Line  []Place
}

// Exhausted says that every unit is gone and none can come back, so that a new
// request need not even be queued. A grown stock ends it.
func (s *Stand) Exhausted() bool { return s.Free == 0 && s.Held == 0 && !s.Returns() }

// Payee is the wallet that a purchase is paid into: escrow, or the seller
// himself when nothing can be refunded any more.
func (s *Stand) Payee() int64 {
	if s.RefundWindow == 0 || s.PaidOut {
		return s.Seller
	}
	return s.Escrow
}

// State is the sales that a batch touches, by ID. A sale that is missing does
// not exist.
type State map[int64]*Stand

// Facts is what Postgres knows, at the same watermark, of what a batch touches.
// It is locked until the batch is committed.
type Facts struct {
	Generation int64                     // of the partition; entries of an older one are lost
	Balances   map[int64]int64           // points by wallet; a missing wallet has none
	Coupons    map[uuid.UUID]CouponStand // those named by entries and by the receipts below
	Receipts   map[uuid.UUID]Receipt     // the settled ones: of the entries, of their targets, of payments for those whatever became of them, of all places in the state
}

// CouponStand is a coupon, which has the number of its claim, and how it stands.
type CouponStand struct {
	Sale, Buyer, Seller   int64
	Amount                int64 // points off a purchase
	ValidFrom, ValidUntil Instant
	UsedBy                uuid.UUID // receipt of the purchase that uses it
}
