package sale_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestPartitionOf makes an ID of each sort for each of the 4096 partitions.
func TestPartitionOf(t *testing.T) {
	for partition := range sale.MaxPartitions {
		for version, id := range map[uuid.Version]uuid.UUID{
			7: sale.NewReceiptID(partition),
			8: sale.KeyedReceiptID(partition, 1, 7, sale.Bid, "key"),
		} {
			if id.Version() != version || id.Variant() != uuid.RFC4122 {
				t.Fatalf("%s has version %d, variant %s; want %d, %s", id, id.Version(), id.Variant(), version, uuid.RFC4122)
			}
			if got, ok := sale.PartitionOf(id); !ok || got != partition {
				t.Fatalf("%s names partition %d (%t), want %d", id, got, ok, partition)
			}
		}
		if got, ok := sale.PartitionOf(sale.TickReceiptID(partition, 7, sale.Close, now)); !ok || got != partition {
			t.Fatalf("a tick of partition %d names %d (%t)", partition, got, ok)
		}
	}
}

func TestPartitionOfRefusesOthers(t *testing.T) {
	ours := sale.NewReceiptID(5)
	for version := range byte(16) {
		id := ours
		id[6] = version<<4 | id[6]&0x0f
		if _, ok := sale.PartitionOf(id); ok != (version == 7 || version == 8) {
			t.Errorf("version %d: %t", version, ok)
		}
	}
	for top := range byte(4) { // only 10 in the two top bits is the variant of RFC 9562
		id := ours
		id[8] = top<<6 | id[8]&0x3f
		if _, ok := sale.PartitionOf(id); ok != (top == 2) {
			t.Errorf("variant bits %02b: %t", top, ok)
		}
	}
	for name, id := range map[string]uuid.UUID{"nil": uuid.Nil, "max": uuid.Max, "v4": uuid.New()} {
		if _, ok := sale.PartitionOf(id); ok {
			t.Errorf("%s was taken for one of ours", name)
		}
	}
}

// The same arguments make the same ID for ever, since a key sent again by next
// year's program must still find its receipt.
func TestHashedIDsGolden(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{sale.KeyedReceiptID(3, 1, 7, sale.Bid, "order-42").String(), "2c95ae8c-77d3-8003-9b55-c06cf61dc793"},
		{sale.TickReceiptID(3, 7, sale.Payout, now).String(), "b886162f-060d-8003-9ca6-416044c03591"},
	} {
		if c.got != c.want {
			t.Errorf("made %s, want %s", c.got, c.want)
		}
	}
}

func TestHashedIDsDiffer(t *testing.T) {
	seen := map[uuid.UUID]string{}
	add := func(name string, id uuid.UUID) {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s are both %s", name, other, id)
		}
		seen[id] = name
	}
	add("key", sale.KeyedReceiptID(3, 1, 7, sale.Bid, "k"))
	add("other partition", sale.KeyedReceiptID(4, 1, 7, sale.Bid, "k"))
	add("other buyer", sale.KeyedReceiptID(3, 2, 7, sale.Bid, "k"))
	add("other sale", sale.KeyedReceiptID(3, 1, 8, sale.Bid, "k"))
	add("other verb", sale.KeyedReceiptID(3, 1, 7, sale.Refund, "k"))
	add("other key", sale.KeyedReceiptID(3, 1, 7, sale.Bid, "K"))
	add("no key", sale.KeyedReceiptID(3, 1, 7, sale.Bid, ""))
	add("digits moved from sale to buyer", sale.KeyedReceiptID(3, 17, 7, sale.Bid, "k"))
	add("digits moved from buyer to sale", sale.KeyedReceiptID(3, 1, 77, sale.Bid, "k"))
	add("a word moved into the key", sale.KeyedReceiptID(3, 1, 7, sale.Bid, "bid k"))
	add("a key that looks like a tick", sale.KeyedReceiptID(3, 1, 7, sale.Open, "1"))
	add("tick", sale.TickReceiptID(3, 7, sale.Open, 1))
	add("other partition's tick", sale.TickReceiptID(4, 7, sale.Open, 1))
	add("other sale's tick", sale.TickReceiptID(3, 8, sale.Open, 1))
	add("other verb's tick", sale.TickReceiptID(3, 7, sale.Close, 1))
	add("the same due again", sale.TickReceiptID(3, 7, sale.Open, 1, 5))
	add("and again", sale.TickReceiptID(3, 7, sale.Open, 1, 5, 0))
	add("other due time", sale.TickReceiptID(3, 7, sale.Open, 2))
}

// Postgres keeps receipts by ID: new ones must go to the end of its index.
func TestNewReceiptIDSortsByTime(t *testing.T) {
	start := time.Now().UnixMilli()
	last := make([]byte, 6)
	seen := map[uuid.UUID]bool{}
	for i := range 5000 {
		id := sale.NewReceiptID(i % sale.MaxPartitions)
		if bytes.Compare(id[:6], last) < 0 {
			t.Fatalf("%s is older than the one before", id)
		}
		if seen[id] {
			t.Fatalf("%s was made twice", id)
		}
		seen[id] = true
		copy(last, id[:6])
	}
	var made int64
	for _, b := range last {
		made = made<<8 | int64(b)
	}
	// Made in a burst, they may run ahead of the clock by a few ms.
	if off := made - start; off < -1000 || off > 60_000 {
		t.Errorf("the last one says %d, %d ms after the first was asked for", made, off)
	}
}

func TestParseEntryID(t *testing.T) {
	for _, id := range []sale.EntryID{{}, {At: 1}, {No: 1}, {At: now, No: 12}, {At: 1<<63 - 1, No: 1<<63 - 1}} {
		if got, err := sale.ParseEntryID(id.String()); err != nil || got != id {
			t.Errorf("%s came back as %s, %v", id, got, err)
		}
	}
	for _, bad := range []string{"", "-", "1", "1-", "-1", "-1-1", "1--1", "1-1-1", "a-1", "1-b", " 1-1", "1-1 ", "1.5-0",
		"9223372036854775808-0", "0-9223372036854775808", "$", "+", "0x1-1", strings.Repeat("1", 100) + "-0"} {
		if got, err := sale.ParseEntryID(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}

func TestCompareEntryIDs(t *testing.T) {
	inOrder := []sale.EntryID{{}, {No: 1}, {No: 10}, {At: 1}, {At: 1, No: 9}, {At: 2}, {At: 10}}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%s to %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func FuzzParseEntryID(f *testing.F) {
	for _, seed := range []string{"0-0", "1700000000000-0", "1-9223372036854775807", "-", "1--0", "+1-0", "007-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := sale.ParseEntryID(s)
		if err != nil {
			return
		}
		if id.At < 0 || id.No < 0 {
			t.Fatalf("%q was read as %s, before the first ID there is", s, id)
		}
		if again, err := sale.ParseEntryID(id.String()); err != nil || again != id {
			t.Fatalf("%q was read as %s, and that as %s, %v", s, id, again, err)
		}
	})
}
