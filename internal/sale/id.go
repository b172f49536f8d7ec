package sale

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

// MaxPartitions is how many partitions the 12 bits in a receipt ID can name.
const MaxPartitions = 1 << 12

// A receipt ID names its partition, so that any API process finds the slot of
// any receipt without a lookup:
//
//	v7  (no key)         48 bits time · 4 version · 12 partition · 2 variant · 62 random
//	v8  (key, tick)      48 bits hash · 4 version · 12 partition · 2 variant · 62 hash

// NewReceiptID answers a fresh UUIDv7 for a request without an Idempotency-Key.
func NewReceiptID(partition int) uuid.UUID {
	return place(uuid.Must(uuid.NewV7()), 7, partition)
}

// KeyedReceiptID answers the UUIDv8 of a request under an Idempotency-Key: the
// same four give the same ID, so no table of keys is needed.
func KeyedReceiptID(partition int, buyer, sale int64, verb Verb, key string) uuid.UUID {
	return hashed(partition, fmt.Sprintf("key %d %d %s %s", buyer, sale, verb, key))
}

// RequestID answers the ID of a POST that has no receipt, for a unique column: a
// UUIDv8 that is the same for the same three, or without a key a fresh UUIDv7.
func RequestID(account int64, what, key string) uuid.UUID {
	if key == "" {
		return NewReceiptID(0)
	}
	return hashed(0, fmt.Sprintf("post %d %s %s", account, what, key))
}

// TickReceiptID answers the UUIDv8 of a scheduler's request. Any number of
// schedulers make the same one for the same duty. state is what tells one tick
// from the next when the same is due again.
func TickReceiptID(partition int, sale int64, verb Verb, due Instant, state ...int64) uuid.UUID {
	text := fmt.Sprintf("tick %d %s %d", sale, verb, due)
	for _, n := range state {
		text += fmt.Sprintf(" %d", n)
	}
	return hashed(partition, text)
}

// PartitionOf answers the partition that a receipt ID names. It answers false
// for a UUID that cannot be one of ours.
func PartitionOf(id uuid.UUID) (int, bool) {
	version := id.Version()
	partition := int(binary.BigEndian.Uint16(id[6:]) & (MaxPartitions - 1))
	return partition, (version == 7 || version == 8) && id.Variant() == uuid.RFC4122
}

// Keyed says whether id was made of what was asked, and not of the time.
func Keyed(id uuid.UUID) bool { return id.Version() == 8 }

// MadeAt answers when a receipt ID was made, by the clock of who made it. A keyed one
// does not tell.
func MadeAt(id uuid.UUID) (Instant, bool) {
	if id.Version() != 7 {
		return 0, false
	}
	return Instant(binary.BigEndian.Uint64(id[:8]) >> 16), true
}

func hashed(partition int, text string) (id uuid.UUID) {
	sum := sha256.Sum256([]byte(text))
	copy(id[:], sum[:])
	return place(id, 8, partition)
}

// place writes version, partition and variant into id.
func place(id uuid.UUID, version, partition int) uuid.UUID {
	binary.BigEndian.PutUint16(id[6:], uint16(version<<12|partition&(MaxPartitions-1)))
	id[8] = id[8]&0x3f | 0x80
	return id
}
