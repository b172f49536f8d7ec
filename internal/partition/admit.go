package partition

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/sale"
)

// Gate says when a request may be admitted.
type Gate string

// The gates.
const (
	Selling Gate = "selling" // only while its sale sells
	Anytime Gate = "any"
)

// From is the gate of a tick: not before that moment.
func From(due sale.Instant) Gate { return Gate(strconv.FormatInt(int64(due), 10)) }

// Limits bound what may be admitted.
type Limits struct {
	Rate    float64 // requests per second of one buyer in one partition; 0: no limit
	Burst   int     // requests a buyer may send at once before Rate holds
	Backlog int64   // requests that may be queued in one partition

	// The turn that a refusal as overloaded has promised the one who asks now; 0: none.
	Turn sale.Instant
}

// Admit appends request r to the stream of partition p, once: a second call
// under the same receipt answers where that stands. A *sale.Refusal says why it
// was not admitted, and that nothing remains of it. ErrForgotten when only Postgres
// can tell whether there is such a receipt.
func (s *Store) Admit(ctx context.Context, p int, r sale.Request, gate Gate, limits Limits) (sale.Standing, error) {
	origin := "fresh"
	if r.Buyer != 0 && sale.Keyed(r.Receipt) { // of a tick Postgres is asked when it is settled
		origin = "keyed"
	}
	return s.admit(ctx, p, r, gate, limits, origin)
}

// AdmitFresh is Admit of a request whose receipt Postgres has not.
func (s *Store) AdmitFresh(ctx context.Context, p int, r sale.Request, gate Gate, limits Limits) (sale.Standing, error) {
	return s.admit(ctx, p, r, gate, limits, "fresh")
}

func (s *Store) admit(ctx context.Context, p int, r sale.Request, gate Gate, limits Limits, origin string) (sale.Standing, error) {
	queued := queuedReceipt(r)
	one := newAdmitting(p, r, queued, gate, limits, origin)
	err := s.desks[p].admission.put(ctx, one)
	if err == nil {
		err = one.err
	}
	if err != nil {
		return sale.Standing{}, fmt.Errorf("admit %s: %w", r.Receipt, err)
	}
	code, rest, _ := strings.Cut(one.answer, " ")
	switch code := sale.Code(code); code {
	case "queued":
		number, left, _ := strings.Cut(rest, " ")
		var ok [2]bool
		queued.Seq, ok[0] = count(number)
		queued.At = one.stand.now
		one.stand.applied = sale.EntryID{} // whatever it says, this is behind it
		found := s.standing(queued, one.stand)
		if found.Left, ok[1] = count(left); !ok[0] || !ok[1] || queued.Seq <= 0 || queued.At <= 0 {
			return sale.Standing{}, unknown("admit", one.answer)
		}
		return found, nil
	case "forgotten":
		return sale.Standing{}, ErrForgotten
	case "known":
		receipt, err := parseRecord(r.Receipt, rest)
		if err != nil {
			return sale.Standing{}, err
		}
		if receipt.Fingerprint != queued.Fingerprint {
			return sale.Standing{}, &sale.Refusal{Code: sale.RefusedMismatch}
		}
		found := s.standing(receipt, one.stand)
		found.Known = true
		return found, nil
	case sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSuspended, sale.RefusedSoldOut,
		sale.RefusedRate, sale.RefusedOverload, sale.RefusedLoading, sale.RefusedEarly:
		refusal := &sale.Refusal{Code: code}
		wait, turn, _ := strings.Cut(rest, " ")
		refusal.RetryAfter = time.Duration(number(wait)) * time.Millisecond
		refusal.Turn = sale.Instant(number(turn))
		return sale.Standing{}, refusal
	}
	return sale.Standing{}, unknown("admit", one.answer)
}

// termsOf answers on what terms r is let in, as the script wants them.
func termsOf(r sale.Request, gate Gate, limits Limits, origin string) string {
	var interval, ahead int64
	if limits.Rate > 0 && r.Buyer != 0 {
		interval = int64(float64(time.Second/time.Microsecond) / limits.Rate)
		ahead = interval * int64(max(limits.Burst, 1))
	}
	b := append(make([]byte, 0, 64), gate...)
	for _, n := range [...]int64{interval, ahead, limits.Backlog} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	b = append(append(b, ' '), origin...)
	return string(strconv.AppendInt(append(b, ' '), int64(limits.Turn), 10))
}

// admitting is a request at the door: its keys, what the script wants of it, and the
// answer.
type admitting struct {
	receipt, sale, pace   string
	id, short             string
	record, terms, answer string
	form                  []byte
	stand                 stand
	err                   error
}

// newAdmitting is r at the door of partition p, to be queued as that receipt.
func newAdmitting(p int, r sale.Request, queued sale.Receipt, gate Gate, limits Limits, origin string) *admitting {
	return &admitting{
		receipt: receiptKey(p, r.Receipt), sale: saleKey(p, r.Sale), pace: paceKey(p, r.Buyer),
		id: string(r.Receipt[:]), short: shortID(r.Receipt), record: recordFromVerb(queued), form: r.Encode(), terms: termsOf(r, gate, limits, origin),
	}
}

// queuedReceipt is that of r when it is queued, but for its number and time.
func queuedReceipt(r sale.Request) sale.Receipt {
	return sale.Receipt{ID: r.Receipt, Verb: r.Verb, Sale: r.Sale, Buyer: r.Buyer, Quantity: r.Quantity,
		Target: r.Target, Coupon: r.Coupon, Fingerprint: r.Sum(), Status: sale.Queued}
}

// admitAll puts requests to partition p.
func (s *Store) admitAll(ctx context.Context, p int, requests []*admitting) {
	n := len(requests)
	keys, args := make([]string, 4+3*n), make([]any, 5*n)
	keys[0], keys[1], keys[2], keys[3] = slot(p), streamKey(p), rejectedKey(p, 0), rejectedKey(p, 1)
	for i, r := range requests {
		keys[4+i], keys[4+n+i], keys[4+2*n+i] = r.receipt, r.sale, r.pace
		args[i], args[n+i], args[2*n+i], args[3*n+i], args[4*n+i] = r.id, r.short, r.record, r.form, r.terms
	}
	answer, err := s.run(ctx, s.base, "admit", keys, args...)
	lines, stand, err := together("admit", answer, err, n, true)
	for i, r := range requests {
		if r.err, r.stand = err, stand; err == nil {
			r.answer = lines[i]
		}
	}
}
