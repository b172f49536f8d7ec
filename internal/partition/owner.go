package partition

import (
	"context"
	"errors"
	"fmt"

	"sluice/internal/sale"
)

// Lead is what a new owner finds in Redis.
type Lead struct {
	Empty      bool // Redis has no data of the partition
	Generation int64
	Applied    sale.EntryID
	AppliedSeq int64
	Seq        int64 // last admitted
	Drain      int64 // requests settled per second, as the owner before saw it; 0: nobody has
	Strange    bool  // it is another server than the one that was trusted, or has started again
}

// Lead announces epoch, shutting out the owners before it, and the generation
// that requests admitted from now on belong to.
func (s *Store) Lead(ctx context.Context, p int, epoch, generation int64) (Lead, error) {
	answer, err := s.run(ctx, s.owners, "lead", []string{slot(p)}, epoch, generation)
	if err != nil {
		return Lead{}, fmt.Errorf("lead partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 6 {
		return Lead{}, unknown("lead", answer)
	}
	if text(words[0]) == "" {
		return Lead{Empty: true}, nil
	}
	applied, err := sale.ParseEntryID(text(words[1]))
	if err != nil {
		return Lead{}, fmt.Errorf("lead partition %d: %w", p, err)
	}
	lead := Lead{Applied: applied, Strange: text(words[5]) == "strange"}
	for i, of := range map[int]*int64{0: &lead.Generation, 2: &lead.AppliedSeq, 3: &lead.Seq} {
		if *of, ok = count(words[i]); !ok {
			return Lead{}, unknown("lead", answer)
		}
	}
	lead.Drain = max(number(words[4]), 0)
	return lead, nil
}

// Trust says that Redis has been brought to where Postgres stands, applied: whatever
// happened to it, everybody may be told again what it holds.
func (s *Store) Trust(ctx context.Context, p int, epoch int64, applied sale.EntryID) error {
	answer, err := s.run(ctx, s.owners, "trust", []string{slot(p)}, epoch, applied.String())
	if err != nil {
		return fmt.Errorf("trust partition %d: %w", p, err)
	}
	switch answer {
	case "trusted":
		return nil
	case "stale":
		return fmt.Errorf("trust partition %d: %w", p, ErrStale)
	}
	return unknown("trust", answer)
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

// Restore gives a partition that is being rebuilt some rejections back. What is known
// already is left alone, so the latest of a receipt comes first.
func (s *Store) Restore(ctx context.Context, p int, epoch int64, rejected []sale.Receipt) error {
	args := make([]any, 0, 1+2*len(rejected))
	args = append(args, epoch)
	for _, r := range rejected {
		field, value := s.rejection(r, record(r))
		args = append(args, field, value)
	}
	answer, err := s.run(ctx, s.owners, "restore", []string{slot(p), rejectedKey(p, 0)}, args...)
	if err != nil {
		return fmt.Errorf("restore partition %d: %w", p, err)
	}
	if answer != "restored" {
		return unknown("restore", answer)
	}
	return nil
}

// announces is the command by which a batch is announced.
func (s *Store) announces() string {
	if s.sharded {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// Apply makes a settled batch true in Redis, once: a second call changes
// nothing. ErrBehind when batches before it are missing, ErrFenced when the epoch
// is over, ErrBroken when it does not fit. epoch is the caller's, drain what it
// settles per second.
func (s *Store) Apply(ctx context.Context, epoch int64, b sale.Batch, drain float64) error {
	_, err := s.Bury(ctx, epoch, b, drain, nil)
	if errors.Is(err, ErrStrange) { // whoever repeats a batch has still to trust
		return nil
	}
	return err
}

// Bury is Apply by an owner who knows, of some entries without a Verb, why they go
// to the dead letters. It answers when the batch became true, by the clock that its
// entries have their times from; 0 when it already was. ErrStrange beside that when another
// server than the one that was trusted has it now.
func (s *Store) Bury(ctx context.Context, epoch int64, b sale.Batch, drain float64, deaths map[sale.EntryID]Death) (at sale.Instant, err error) {
	p := b.Partition
	keys := []string{slot(p), streamKey(p), rejectedKey(p, 0), rejectedKey(p, 1), deadKey(p)}
	news := Changes{Seq: b.Seq, Drain: drain}
	rejectedKeys, rejectedArgs, nRejected := []string(nil), []any(nil), 0

	closes := make(map[int64]sale.Instant, len(b.Effects.Sales))
	args := []any{len(b.Effects.Sales)}
	for _, e := range b.Effects.Sales {
		closes[e.Sale] = e.ClosesAt
		news.Sales = append(news.Sales, e.Sale)
		keys = saleKeys(keys, p, e.Sale)
		expiry := max(e.ClosesAt, b.Last.At).Add(sale.MaxRefundWindow)
		if stand := b.State[e.Sale]; stand != nil {
			after := stand.Sale
			after.ClosesAt = e.ClosesAt
			expiry = saleExpiry(after, b.Last.At)
		}
		args = append(args, e.Free, e.Held, e.Sold, e.Stock, e.Waiting, string(e.Phase), flag(e.PaidOut), flag(e.Exhausted),
			int64(e.ClosesAt), flag(e.Suspended), int64(expiry), len(e.Buyers), len(e.Holds), len(e.Line))
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
		if r.Verb == 0 {
			if err := s.recall(ctx, p, &r); err != nil {
				return 0, fmt.Errorf("apply to partition %d: %w", p, err)
			}
		}
		line := record(r)
		news.Receipts = append(news.Receipts, Changed{r.ID, r.Buyer, line})
		if r.Status == sale.Rejected {
			rejectedKeys = append(rejectedKeys, receiptKey(p, r.ID))
			field, value := s.rejection(r, line)
			rejectedArgs = append(rejectedArgs, field, value)
			nRejected++
			continue
		}
		keys = append(keys, receiptKey(p, r.ID))
		decided = append(decided, line, int64(max(closes[r.Sale], r.PayBy, b.Last.At).Add(receiptGrace)))
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

	head := []any{epoch, b.Prev.String(), b.Last.String(), b.Seq, int64(drain), RejectedMost, rejectedOld.Milliseconds(), s.announces(), channel(p), announcement(news)}
	answer, err := s.run(ctx, s.owners, "apply", keys, append(head, args...)...)
	if err != nil {
		return 0, fmt.Errorf("apply to partition %d: %w", p, err)
	}
	switch words, _ := answer.([]any); {
	case (len(words) == 2 || len(words) == 3 && words[2] == "strange") && text(words[0]) == "applied":
		if at = sale.Instant(number(words[1])); at > 0 && len(words) == 3 {
			return at, ErrStrange
		} else if at > 0 {
			return at, nil
		}
	case answer == "again":
		return 0, nil
	case answer == "behind":
		return 0, ErrBehind
	}
	return 0, unknown("apply", answer)
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
