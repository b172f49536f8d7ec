package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Lead is what a new owner finds in Redis.
type Lead struct {
	Empty      bool // Redis has no data of the partition
	Generation int64
	Applied    sale.EntryID
	AppliedSeq int64
	Seq        int64 // last admitted
}

// Lead announces epoch, shutting out the owners before it, and the generation
// that requests admitted from now on belong to.
func (s *Store) Lead(ctx context.Context, p int, epoch, generation int64) (Lead, error) {
	answer, err := s.run(ctx, s.owners, "lead", []string{slot(p)}, epoch, generation)
	if err != nil {
		return Lead{}, fmt.Errorf("lead partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 4 {
		return Lead{}, unknown("lead", answer)
	}
	if text(words[0]) == "" {
		return Lead{Empty: true}, nil
	}
	applied, err := sale.ParseEntryID(text(words[1]))
	return Lead{Generation: number(words[0]), Applied: applied, AppliedSeq: number(words[2]), Seq: number(words[3])}, err
}

// Rebuild opens partition p under a new generation, right behind the settled
// watermark. It does nothing when the partition has data.
func (s *Store) Rebuild(ctx context.Context, p int, epoch, generation int64, applied sale.EntryID, seq int64) error {
	mark := sale.Request{Verb: sale.Rebuilt}.Encode()
	answer, err := s.run(ctx, s.owners, "rebuild", []string{slot(p), streamKey(p)}, epoch, generation, applied.String(), seq, mark)
	if err != nil {
		return fmt.Errorf("rebuild partition %d: %w", p, err)
	}
	if answer != "rebuilt" && answer != "there" {
		return unknown("rebuild", answer)
	}
	return nil
}

// Apply makes a settled batch true in Redis, once: a second call changes
// nothing. ErrBehind when batches before it are missing, ErrFenced when the epoch
// is over, ErrBroken when it does not fit. epoch is the caller's, drain what it
// settles per second.
func (s *Store) Apply(ctx context.Context, epoch int64, b sale.Batch, drain float64) error {
	return s.Bury(ctx, epoch, b, drain, nil)
}

// Bury is Apply by an owner who knows, of some entries without a Verb, why they go
// to the dead letters.
func (s *Store) Bury(ctx context.Context, epoch int64, b sale.Batch, drain float64, deaths map[sale.EntryID]Death) error {
	p := b.Partition
	keys := []string{slot(p), streamKey(p), rejectedKey(p, 0), rejectedKey(p, 1), deadKey(p)}
	var announced []byte
	rejectedKeys, rejectedArgs, nRejected := []string(nil), []any(nil), 0

	closes := make(map[int64]sale.Instant, len(b.Effects.Sales))
	args := []any{len(b.Effects.Sales)}
	for _, e := range b.Effects.Sales {
		closes[e.Sale] = e.ClosesAt
		keys = saleKeys(keys, p, e.Sale)
		expiry := max(e.ClosesAt, b.Last.At).Add(sale.MaxRefundWindow)
		if stand := b.State[e.Sale]; stand != nil {
			after := stand.Sale
			after.ClosesAt = e.ClosesAt
			expiry = saleExpiry(after, b.Last.At)
		}
		args = append(args, e.Free, e.Held, e.Sold, e.Stock, e.Waiting, string(e.Phase), flag(e.PaidOut), flag(e.Exhausted),
			int64(e.ClosesAt), int64(expiry), len(e.Buyers), len(e.Holds), len(e.Line))
		for _, of := range e.Buyers {
			args = append(args, of.Buyer, of.Units)
		}
		for _, places := range [...][]sale.PlaceEffect{e.Holds, e.Line} {
			for _, place := range places {
				args = append(args, way(place), int64(place.At), member(place.Place))
			}
		}
	}

	decided, nDecided := []any(nil), 0
	for _, r := range append(b.Receipts(), b.Standing()...) {
		announced = append(announced, r.ID[:]...)
		if r.Verb == 0 {
			if err := s.recall(ctx, p, &r); err != nil {
				return fmt.Errorf("apply to partition %d: %w", p, err)
			}
		}
		if r.Status == sale.Rejected {
			rejectedKeys = append(rejectedKeys, receiptKey(p, r.ID))
			rejectedArgs = append(rejectedArgs, r.ID[:], record(r))
			nRejected++
			continue
		}
		keys = append(keys, receiptKey(p, r.ID))
		decided = append(decided, record(r), int64(max(closes[r.Sale], r.PayBy, b.Last.At).Add(receiptGrace)))
		nDecided++
	}
	args = append(append(args, nDecided), decided...)
	keys = append(keys, rejectedKeys...)
	args = append(append(args, nRejected), rejectedArgs...)

	dead, nDead := []any(nil), 0
	for _, e := range b.Entries {
		if e.Verb == 0 {
			death := deaths[e.ID]
			dead = append(dead, e.ID.String(), death.Cause, death.Attempts)
			nDead++
		}
	}
	args = append(append(args, nDead), dead...)

	head := []any{epoch, b.Prev.String(), b.Last.String(), b.Seq, int64(drain), rejectedMost, rejectedOld.Milliseconds(), channel(p), announced}
	answer, err := s.run(ctx, s.owners, "apply", keys, append(head, args...)...)
	if err != nil {
		return fmt.Errorf("apply to partition %d: %w", p, err)
	}
	switch answer {
	case "applied", "again":
		return nil
	case "behind":
		return ErrBehind
	}
	return unknown("apply", answer)
}

// recall gives a receipt whose entry was not used what its record still says of the
// request. So whoever repeats that under the same key gets this receipt, and not the
// complaint that it was another request. Only the owner changes a record.
func (s *Store) recall(ctx context.Context, p int, r *sale.Receipt) error {
	asked, err := s.Receipt(ctx, p, r.ID)
	switch {
	case errors.Is(err, sale.ErrUnknown):
		return nil
	case err != nil:
		return err
	}
	r.Verb, r.Quantity, r.Target, r.Coupon, r.Fingerprint = asked.Verb, asked.Quantity, asked.Target, asked.Coupon, asked.Fingerprint
	return nil
}

// way is what becomes of a place.
func way(e sale.PlaceEffect) string {
	if e.Left {
		return "leave"
	}
	return "take"
}

// saleExpiry is when Redis may forget a sale; it is loaded again when needed. Its
// holds may outlive it.
func saleExpiry(s sale.Sale, now sale.Instant) sale.Instant {
	return max(s.PayoutAt(), s.ClosesAt.Add(s.Hold), now).Add(saleGrace)
}

// idsOf splits an announcement into receipt IDs.
func idsOf(raw string) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(raw)/16)
	for ; len(raw) >= 16; raw = raw[16:] {
		ids = append(ids, uuid.UUID([]byte(raw[:16])))
	}
	return ids
}
