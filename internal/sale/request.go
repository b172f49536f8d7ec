package sale

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Verb says what a request asks.
type Verb uint8

// The verbs. Their numbers are part of the stream's wire form: never reorder.
const (
	Bid     Verb = iota + 1 // a buyer's: Quantity units at no more than Price
	Refund                  // a buyer's: Target, whole
	Change                  // a seller's: Quantity more units, a later ClosesAt
	Open                    // the scheduler's ticks
	Close                   //
	Payout                  //
	Rebuilt                 // an owner's mark: Redis was empty and starts here again; it has no receipt
	Reserve                 // a buyer's: Quantity units of a reservation, or one table of a slot; with a Target, instead of that booking
	Claim                   // a buyer's: one coupon
	Join                    // a buyer's: Quantity seats of an event
	Pay                     // a buyer's: Target, which is held
	Cancel                  // a buyer's: Target, held, waiting or confirmed
	Expire                  // a tick
	Suspend                 // the scheduler's, or an operator's: the sale sells no more until it is resumed
	Resume                  // an operator's
)

var verbWords = []string{Bid: "bid", Refund: "refund", Change: "change", Open: "open", Close: "close", Payout: "payout", Rebuilt: "rebuilt",
	Reserve: "reserve", Claim: "claim", Join: "join", Pay: "pay", Cancel: "cancel", Expire: "expire",
	Suspend: "suspend", Resume: "resume"}

// Verbs answers all of them.
func Verbs() []Verb {
	all := make([]Verb, 0, len(verbWords)-1)
	for v := range verbWords[1:] {
		all = append(all, Verb(v+1))
	}
	return all
}

func (v Verb) String() string { return word(verbWords, v) }

// ParseVerb answers the verb of this word, false when there is none.
func ParseVerb(w string) (Verb, bool) { return parse[Verb](verbWords, w) }

// Buys says whether a request with this verb asks for units of a sale.
func (v Verb) Buys() bool { return v == Bid || v == Reserve || v == Claim || v == Join }

// Asked says whether a buyer or a seller asks it, who waits for what comes of it.
func (v Verb) Asked() bool { return v.Buys() || v == Pay || v == Cancel || v == Refund || v == Change }

// Tick says whether it is one of the scheduler's.
func (v Verb) Tick() bool { return v == Open || v == Close || v == Expire || v == Payout }

// MaxTrace is the longest request ID that travels with a request, in bytes.
const MaxTrace = 64

// Request is what somebody asks of a sale.
type Request struct {
	Receipt  uuid.UUID // made by NewReceiptID, KeyedReceiptID or TickReceiptID
	Verb     Verb
	Sale     int64
	Buyer    int64     // account that asks (a seller for change); 0 is the scheduler, or an operator
	Quantity int64     // units: of what buys ≥ 1, of a change the growth ≥ 0
	Price    int64     // points per unit, of a bid: the price it saw
	Exact    bool      // of a bid: refuse any price but Price
	Target   uuid.UUID // of a refund, pay or cancel; of a reserve the booking that it replaces
	From     int64     // of such a reserve: the sale of Target
	Coupon   uuid.UUID // of a bid or reserve: the claim receipt of the coupon it uses
	ClosesAt Instant   // of a change; 0 leaves it
	Trace    string    // X-Request-ID of the HTTP request, at most MaxTrace bytes; not part of what is asked
}

// Sum is the fingerprint of what is asked: 8 bytes of SHA-256 over its canonical
// text. Two requests under one Idempotency-Key must have the same. The text is
// not the wire form, so that a new version of that leaves old keys valid.
func (r Request) Sum() uint64 {
	text := make([]byte, 0, 128)
	for _, n := range [...]int64{int64(r.Verb), r.Sale, r.Buyer, r.Quantity, r.Price, int64(r.ClosesAt)} {
		text = append(strconv.AppendInt(text, n, 10), ' ')
	}
	text = strconv.AppendBool(text, r.Exact)
	text = append(text, r.Target[:]...)
	if r.From != 0 || r.Coupon != uuid.Nil { // else it is as it was before there were these
		text = strconv.AppendInt(append(append(text, ' '), r.Coupon[:]...), r.From, 10)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}

// EntryID is the ID of a stream entry. Its first part is the request's time.
type EntryID struct {
	At Instant
	No int64
}

// ParseEntryID reads Redis' form, "1700000000000-0".
func ParseEntryID(s string) (EntryID, error) {
	at, no, ok := strings.Cut(s, "-")
	if !ok {
		return EntryID{}, fmt.Errorf("entry ID %q has no dash", s)
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || ms < 0 {
		return EntryID{}, fmt.Errorf("entry ID %q has no time", s)
	}
	n, err := strconv.ParseInt(no, 10, 64)
	if err != nil || n < 0 {
		return EntryID{}, fmt.Errorf("entry ID %q has no number", s)
	}
	return EntryID{Instant(ms), n}, nil
}

func (id EntryID) String() string {
	return strconv.FormatInt(int64(id.At), 10) + "-" + strconv.FormatInt(id.No, 10)
}

// Compare orders IDs as the stream does.
func (id EntryID) Compare(other EntryID) int {
	return cmp.Or(cmp.Compare(id.At, other.At), cmp.Compare(id.No, other.No))
}

// Entry is a request with its place in the stream of its partition. One that
// could not be read has no Verb, and no Receipt unless that much was legible; it
// is rejected as internal and harms nobody else.
type Entry struct {
	ID         EntryID
	Seq        int64 // counts the admitted requests of the partition from 1, without a gap
	Generation int64 // of the partition's Redis data when it was admitted
	Request
}

// Settled answers the receipt of e with this outcome.
func (e Entry) Settled(o Outcome) Receipt {
	units := o.Quantity
	if e.Verb.Buys() || e.Verb == Change { // nothing else can name any
		units += e.Quantity
	}
	return Receipt{
		ID: e.Receipt, Verb: e.Verb, Sale: e.Sale, Buyer: e.Buyer, Quantity: units, Target: e.Target, Coupon: e.Coupon,
		Fingerprint: e.Sum(), Seq: e.Seq, At: e.ID.At,
		Status: o.Status, Reason: o.Reason, UnitPrice: o.UnitPrice, Discount: o.Discount, PayBy: o.PayBy,
	}
}
