package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// There may be millions of rejected receipts, so each is kept briefly: under an ID of 14
// bytes, and as at most 30 bytes mostly. A field and a value of these sizes take 16 and
// 32 bytes of Redis; as words and under the whole ID it would be 32 and 80.
//
//	verb  reason  fingerprint (8 bytes)  seq  at  sale  buyer  quantity  unit_price
//
// A verb is below ' ', so nobody takes it for the words of record.go; all but the
// fingerprint are unsigned varints. What has a target, a coupon or anything else is kept
// as words, under its whole ID.

// briefChannel is heard by every process that reads brief rejections and waits for news.
// The release before hears the channels of Apply, and not this one.
const briefChannel = "sluice:reads:brief"

// brief says whether everybody reads brief rejections.
type brief struct {
	agreed, before atomic.Bool
	always         bool // nobody of the release before is here: it knows neither clusters nor Sentinels
}

// Agree asks whether every API that hears of batches reads brief rejections; as long as
// one of the release before is there, they are written so that it reads them, too. One
// that is cut off for a moment must not be overlooked: so it takes two answers, some
// seconds apart, for the owners of this store to write them briefly.
func (s *Store) Agree(ctx context.Context) error {
	if s.brief.always {
		return nil
	}
	hear, err := s.leases.conns.one.PubSubNumSub(ctx, channel(0), briefChannel).Result()
	if err != nil {
		return fmt.Errorf("ask who reads brief rejections: %w", err)
	}
	all := hear[briefChannel] >= hear[channel(0)]
	before := s.brief.before.Swap(all)
	s.brief.agreed.Store(all && before)
	return nil
}

// rejection answers under which field, and how, a rejected receipt is kept whose record is
// line.
func (s *Store) rejection(r sale.Receipt, line string) (field, value any) {
	if s.brief.always || s.brief.agreed.Load() {
		if b := briefRecord(r); b != nil {
			return shortID(r.ID), b
		}
	}
	return r.ID[:], line
}

// shortID is an ID of ours without what all of its partition have in common: the
// partition, and the variant, in whose place the version stands. Any other is as it is.
func shortID(id uuid.UUID) string {
	if _, ours := sale.PartitionOf(id); !ours {
		return string(id[:])
	}
	var b [14]byte
	copy(b[:6], id[:6])
	copy(b[6:], id[8:])
	b[6] = b[6]&0x3f | id[6]>>4<<6 // 7 and 8 end in 11 and 00
	return string(b[:])
}

// briefRecord answers a rejected receipt briefly, nil when there is more to say of it.
func briefRecord(r sale.Receipt) []byte {
	if r.Verb == 0 || r.Verb >= ' ' || r.Status != sale.Rejected || r.Reason == 0 || r.Target != uuid.Nil ||
		r.PayBy != 0 || r.Coupon != uuid.Nil || r.Discount != 0 || r.Passed != 0 {
		return nil
	}
	b := append(make([]byte, 0, 48), byte(r.Verb), byte(r.Reason))
	b = binary.BigEndian.AppendUint64(b, r.Fingerprint)
	for _, n := range [...]int64{r.Seq, int64(r.At), r.Sale, r.Buyer, r.Quantity, r.UnitPrice} {
		if n < 0 {
			return nil
		}
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// parseBrief reads what briefRecord wrote. Like every decoder it trusts nothing. As of
// words, what follows is a later release's, an unknown verb none, and an unknown reason
// internal.
func parseBrief(id uuid.UUID, line string) (sale.Receipt, error) {
	b, ok := []byte(line), len(line) >= 10
	next := func() int64 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > 1<<63-1 {
			ok, b = false, nil
			return 0
		}
		b = b[size:]
		return int64(n)
	}
	r := sale.Receipt{ID: id, Status: sale.Rejected}
	if ok {
		r.Verb, r.Reason, r.Fingerprint, b = sale.Verb(b[0]), sale.Reason(b[1]), binary.BigEndian.Uint64(b[2:]), b[10:]
		if r.Verb.String() == "" {
			r.Verb = 0
		}
		if _, known := sale.ParseReason(r.Reason.String()); !known {
			r.Reason = sale.Internal
		}
		r.Seq, r.At = next(), sale.Instant(next())
		r.Sale, r.Buyer, r.Quantity, r.UnitPrice = next(), next(), next(), next()
	}
	if !ok {
		return sale.Receipt{}, fmt.Errorf("receipt %s has an unreadable brief record %.100q", id, line)
	}
	return r, nil
}
