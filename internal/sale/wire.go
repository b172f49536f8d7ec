package sale

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
)

// Wire forms are compact and versioned: one version byte, then the fields in a
// fixed order, integers as varints, strings and lists with their length before
// them. A reader refuses a version it does not know, trailing bytes, and
// anything out of range; it never panics and never allocates more than the
// input could hold.

// ErrWire says that bytes are not a wire form we know.
var ErrWire = errors.New("not a known wire form")

// requestVersion is the newest; a request is written in the oldest that can say it,
// so that consumers of the release before still read what they know. Version 2
// added the verbs from Reserve on, and coupons; version 3 the verbs from Suspend on.
const requestVersion = 3

func (r Request) version() uint64 {
	switch {
	case r.Verb >= Suspend:
		return 3
	case r.Verb > Rebuilt, r.Coupon != uuid.Nil:
		return 2
	}
	return 1
}

// Encode answers the wire form of r, as it stands in the stream.
func (r Request) Encode() []byte {
	w := make(writer, 0, 96+len(r.Trace))
	w.uint(r.version())
	w.request(r, r.version())
	return w
}

// DecodeRequest reads what Encode wrote.
func DecodeRequest(b []byte) (Request, error) {
	r := reader{rest: b}
	r.version(requestVersion)
	request := r.request()
	switch _, ours := PartitionOf(request.Receipt); {
	case request.Verb == 0:
		r.fail("no verb")
	case ours == (request.Verb == Rebuilt): // a mark has no receipt, everything else has
		r.fail("receipt")
	case request.Quantity < 0:
		r.fail("quantity")
	case r.is != request.version(): // there is one way to write a request
		r.fail("version")
	}
	return request, r.end("request")
}

// ReceiptIn answers the receipt that bytes which DecodeRequest refuses still
// name, so that whoever holds it can be told. For that, every version of the
// form begins with one version byte and the receipt.
func ReceiptIn(b []byte) (id uuid.UUID, ok bool) {
	if len(b) < 1+len(id) {
		return id, false
	}
	copy(id[:], b[1:])
	_, ok = PartitionOf(id)
	return id, ok
}

func (w *writer) request(r Request, version uint64) {
	w.id(r.Receipt)
	w.uint(uint64(r.Verb))
	w.int(r.Sale)
	w.int(r.Buyer)
	w.int(r.Quantity)
	switch r.Verb {
	case Bid:
		w.int(r.Price)
		w.bool(r.Exact)
	case Refund, Pay, Cancel:
		w.id(r.Target)
	case Reserve:
		w.maybe(r.Target)
		w.int(r.From)
	case Change:
		w.int(int64(r.ClosesAt))
	}
	if version >= 2 && (r.Verb == Bid || r.Verb == Reserve) {
		w.maybe(r.Coupon)
	}
	w.string(r.Trace)
}

func (r *reader) request() (q Request) {
	q.Receipt = r.id()
	q.Verb = Verb(r.uint(uint64(len(verbWords) - 1)))
	q.Sale = r.int()
	q.Buyer = r.int()
	q.Quantity = r.int()
	switch q.Verb {
	case Bid:
		q.Price = r.int()
		q.Exact = r.bool()
	case Refund, Pay, Cancel:
		q.Target = r.id()
	case Reserve:
		q.Target = r.maybe()
		q.From = r.int()
	case Change:
		q.ClosesAt = Instant(r.int())
	}
	if r.is >= 2 && (q.Verb == Bid || q.Verb == Reserve) {
		q.Coupon = r.maybe()
	}
	q.Trace = r.string(MaxTrace)
	return q
}

// writer appends fields to a wire form.
type writer []byte

func (w *writer) uint(n uint64)  { *w = binary.AppendUvarint(*w, n) }
func (w *writer) int(n int64)    { *w = binary.AppendVarint(*w, n) }
func (w *writer) id(u uuid.UUID) { *w = append(*w, u[:]...) }

// maybe writes an ID that is mostly missing.
func (w *writer) maybe(u uuid.UUID) {
	w.bool(u != uuid.Nil)
	if u != uuid.Nil {
		w.id(u)
	}
}

func (w *writer) bool(b bool) {
	if b {
		w.uint(1)
	} else {
		w.uint(0)
	}
}
func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	*w = append(*w, s...)
}

// reader takes fields off a wire form. The first fault sticks; after it every
// field is zero.
type reader struct {
	rest []byte
	is   uint64 // version
	err  error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrWire, what)
	}
	r.rest = nil
}

// end answers the first fault; bytes left over are one.
func (r *reader) end(what string) error {
	if len(r.rest) > 0 {
		r.fail("bytes left over")
	}
	if r.err != nil {
		return fmt.Errorf("read %s: %w", what, r.err)
	}
	return nil
}

func (r *reader) version(newest uint64) {
	if r.is = r.uint(math.MaxUint64); r.err == nil && (r.is == 0 || r.is > newest) {
		r.fail(fmt.Sprintf("version %d", r.is))
	}
}

// since reads fields that a later version added.
func (r *reader) since(version uint64, fields func()) {
	if r.is >= version {
		fields()
	}
}

func (r *reader) uint(most uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > most {
		r.fail("number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail("number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bool() bool { return r.uint(1) == 1 }

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail("too short")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) id() (u uuid.UUID) {
	copy(u[:], r.bytes(len(u)))
	return u
}

func (r *reader) maybe() (u uuid.UUID) {
	if r.bool() {
		if u = r.id(); u == uuid.Nil {
			r.fail("no ID")
		}
	}
	return u
}

func (r *reader) string(most uint64) string { return string(r.bytes(int(r.uint(most)))) }

// each reads a list: its length, then one call of item per element.
func (r *reader) each(item func()) {
	for n := r.uint(uint64(len(r.rest))); n > 0 && r.err == nil; n-- {
		item()
	}
}
