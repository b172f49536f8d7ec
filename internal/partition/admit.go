package partition

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

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
}

// Admit appends request r to the stream of partition p, once: a second call
// under the same receipt answers where that stands. A *sale.Refusal says why it
// was not admitted, and that nothing remains of it.
func (s *Store) Admit(ctx context.Context, p int, r sale.Request, gate Gate, limits Limits) (sale.Standing, error) {
	queued := sale.Receipt{ID: r.Receipt, Verb: r.Verb, Sale: r.Sale, Buyer: r.Buyer, Quantity: r.Quantity,
		Target: r.Target, Coupon: r.Coupon, Fingerprint: r.Sum(), Status: sale.Queued}
	var interval, ahead int64
	if limits.Rate > 0 && r.Buyer != 0 {
		interval = int64(float64(time.Second/time.Microsecond) / limits.Rate)
		ahead = interval * int64(max(limits.Burst, 1))
	}
	keys := []string{slot(p), streamKey(p), receiptKey(p, r.Receipt), rejectedKey(p, 0), rejectedKey(p, 1),
		saleKey(p, r.Sale), paceKey(p, r.Buyer)}
	answer, err := s.run(ctx, s.requests, "admit", keys,
		r.Receipt[:], recordFromVerb(queued), r.Encode(), string(gate), interval, ahead, limits.Backlog)
	if err != nil {
		return sale.Standing{}, fmt.Errorf("admit %s: %w", r.Receipt, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) == 0 {
		return sale.Standing{}, unknown("admit", answer)
	}
	switch code := sale.Code(text(words[0])); {
	case code == "queued" && len(words) == 5:
		queued.Seq, queued.At = number(words[1]), sale.Instant(number(words[2]))
		return standing(queued, number(words[3]), number(words[4])), nil
	case code == "known" && len(words) == 4:
		receipt, err := parseRecord(r.Receipt, text(words[1]))
		if err != nil {
			return sale.Standing{}, err
		}
		if receipt.Fingerprint != queued.Fingerprint {
			return sale.Standing{}, &sale.Refusal{Code: sale.RefusedMismatch}
		}
		found := standing(receipt, number(words[2]), number(words[3]))
		found.Known = true
		return found, nil
	case len(words) <= 2:
		switch code {
		case sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSoldOut,
			sale.RefusedRate, sale.RefusedOverload, sale.RefusedLoading, sale.RefusedEarly:
			refusal := &sale.Refusal{Code: code}
			if len(words) == 2 {
				refusal.RetryAfter = time.Duration(number(words[1])) * time.Millisecond
			}
			return sale.Standing{}, refusal
		}
	}
	return sale.Standing{}, unknown("admit", answer)
}

// Receipt answers where a receipt stands, or sale.ErrUnknown when Redis does not
// remember it.
func (s *Store) Receipt(ctx context.Context, p int, id uuid.UUID) (sale.Standing, error) {
	answer, err := s.run(ctx, s.requests, "receipt",
		[]string{slot(p), receiptKey(p, id), rejectedKey(p, 0), rejectedKey(p, 1)}, id[:])
	if err != nil {
		return sale.Standing{}, fmt.Errorf("read receipt %s: %w", id, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 3 {
		return sale.Standing{}, unknown("receipt", answer)
	}
	line := text(words[0])
	if line == "" {
		return sale.Standing{}, sale.ErrUnknown
	}
	receipt, err := parseRecord(id, line)
	if err != nil {
		return sale.Standing{}, err
	}
	return standing(receipt, number(words[1]), number(words[2])), nil
}

func standing(r sale.Receipt, appliedSeq, drain int64) sale.Standing {
	found := sale.Standing{Receipt: r, Drain: float64(drain)}
	if r.Status == sale.Queued {
		found.Ahead = max(r.Seq-appliedSeq-1, 0)
	}
	return found
}

// text and number read an answer's word, whichever of the two forms it has.
// Anything else is "" and 0, which the callers' contracts do not have.
func text(word any) string {
	s, _ := word.(string)
	return s
}

func number(word any) int64 {
	switch n := word.(type) {
	case int64:
		return n
	case string:
		i, _ := strconv.ParseInt(n, 10, 64)
		return i
	}
	return 0
}
