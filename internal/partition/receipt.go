package partition

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// stand is how a partition stood when a script looked.
type stand struct {
	appliedSeq, drain, still int64 // number of the last entry settled, entries settled per second, ms of standing still
	applied                  sale.EntryID
	now                      sale.Instant // stream time, where something may be queued
}

// together reads what a script has answered to n questions at once: a line for each.
func together(script string, answer any, fault error, n int, now bool) (lines []string, at stand, err error) {
	if fault != nil {
		return nil, at, fault
	}
	words, _ := answer.([]any)
	if len(words) == 1 && text(words[0]) == "loading" {
		return nil, at, loading
	}
	if len(words) != 1+n {
		return nil, at, unknown(script, answer)
	}
	ok := true
	number := func(word string) int64 {
		n, is := count(word)
		ok = ok && is
		return n
	}
	fields := strings.Split(text(words[0]), " ")
	if now && len(fields) == 5 {
		at.now, fields = sale.Instant(number(fields[4])), fields[:4]
	}
	if len(fields) != 4 {
		return nil, at, unknown(script, answer)
	}
	at.appliedSeq, at.drain, at.still = number(fields[0]), number(fields[1]), number(fields[3])
	if at.applied, err = sale.ParseEntryID(fields[2]); err != nil {
		return nil, at, fmt.Errorf("script %s: %w", script, err)
	}
	lines = make([]string, n)
	for i, word := range words[1:] {
		line, is := word.(string)
		lines[i], ok = line, ok && is
	}
	if !ok {
		return nil, at, unknown(script, answer)
	}
	return lines, at, nil
}

// loading is the answer while Redis cannot tell, or may tell what is not true any more.
var loading = &sale.Refusal{Code: sale.RefusedLoading, RetryAfter: time.Second}

// Receipt answers where a receipt stands, or sale.ErrUnknown when Redis does not
// remember it. A refusal as loading when it may have been something else by now:
// Postgres is asked then.
func (s *Store) Receipt(ctx context.Context, p int, id uuid.UUID) (sale.Standing, error) {
	one := reading{receipt: receiptKey(p, id), id: string(id[:]), short: shortID(id)}
	err := s.desks[p].reading.put(ctx, &one)
	if err == nil {
		err = one.err
	}
	switch {
	case err != nil:
		return sale.Standing{}, fmt.Errorf("read receipt %s: %w", id, err)
	case one.record == "":
		return sale.Standing{}, sale.ErrUnknown
	}
	receipt, err := parseRecord(id, one.record)
	if err != nil {
		return sale.Standing{}, err
	}
	return s.standing(receipt, one.stand), nil
}

// reading is a receipt that somebody asks for.
type reading struct {
	receipt, id, short, record string
	stand                      stand
	err                        error
}

// readAll reads receipts of partition p.
func (s *Store) readAll(ctx context.Context, p int, receipts []*reading) {
	n := len(receipts)
	keys, args := make([]string, 3, 3+n), make([]any, 2*n)
	keys[0], keys[1], keys[2] = slot(p), rejectedKey(p, 0), rejectedKey(p, 1)
	for i, r := range receipts {
		keys = append(keys, r.receipt)
		args[i], args[n+i] = r.id, r.short
	}
	answer, err := s.run(ctx, s.base, "receipt", keys, args...)
	lines, stand, err := together("receipt", answer, err, n, false)
	for i, r := range receipts {
		if r.err, r.stand = err, stand; err == nil {
			r.record = lines[i]
		}
	}
}

// standing says where a receipt stands while its partition stands so. What is still
// queued behind the watermark has no entry any more, or nobody reads it: it is lost.
func (s *Store) standing(r sale.Receipt, at stand) sale.Standing {
	if r.Status == sale.Queued && (r.At < at.applied.At || r.At == at.applied.At && r.Seq <= at.appliedSeq) {
		r.Status, r.Reason = sale.Rejected, sale.Lost
	}
	found := sale.Standing{Receipt: r, Drain: float64(at.drain), Left: -1, Durability: sale.InRecord}
	if r.Status == sale.Queued {
		found.Ahead, found.Still = max(r.Seq-at.appliedSeq-1, 0), time.Duration(at.still)*time.Millisecond
		found.Durability = s.durability.level()
	} else {
		found.Behind = max(at.appliedSeq-r.Seq, 0)
	}
	return found
}

// skew is how far the clock of who made a receipt may be ahead of the stream's.
const skew = time.Minute

// Missing says why a receipt is neither in Redis nor in Postgres: sale.ErrUnknown when
// there never was one (or it was a rejection, and is forgotten), sale.ErrLost when it
// may have been queued when Redis lost data, and a refusal as loading while nobody can
// tell.
func (s *Store) Missing(ctx context.Context, p int, id uuid.UUID) error {
	answer, err := s.run(ctx, s.requests, "missing", []string{slot(p)})
	if err != nil {
		return fmt.Errorf("ask after receipt %s: %w", id, err)
	}
	words, ok := answer.([]any)
	switch {
	case ok && len(words) == 1 && text(words[0]) == "loading":
		return loading
	case !ok || len(words) != 2 || text(words[0]) != "since":
		return unknown("missing", answer)
	}
	lost := sale.Instant(number(words[1]))
	if made, known := sale.MadeAt(id); lost == 0 || known && made > lost.Add(skew) {
		return sale.ErrUnknown
	}
	return sale.ErrLost
}

// text and number read an answer's word, whichever of the two forms it has.
// Anything else is "" and 0, which the callers' contracts do not have.
func text(word any) string {
	s, _ := word.(string)
	return s
}

func number(word any) int64 {
	n, _ := count(word)
	return n
}
