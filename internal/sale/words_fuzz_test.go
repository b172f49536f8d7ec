package sale_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// FuzzWords: a word is read in its one spelling, and never as nothing.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "bid", "expire", "queued", "refunded", "unknown_sale", "internal", "expired", "Bid", "bid ", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if v, ok := sale.ParseVerb(word); ok && v.String() != word || ok != (v != 0) {
			t.Errorf("%q is the verb %d %q, %t", word, v, v, ok)
		}
		if s, ok := sale.ParseStatus(word); ok && s.String() != word || ok != (s != 0) {
			t.Errorf("%q is the status %d %q, %t", word, s, s, ok)
		}
		if r, ok := sale.ParseReason(word); ok && r.String() != word || ok != (r != 0) {
			t.Errorf("%q is the reason %d %q, %t", word, r, r, ok)
		}
	})
}

// FuzzParseDay: a date is read in its one spelling.
func FuzzParseDay(f *testing.F) {
	for _, seed := range []string{"2030-01-31", "2028-02-29", "2030-02-29", "0000-01-01", "9999-12-31", "2030-1-31", "10000-01-01", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := sale.ParseDay(text)
		if err != nil {
			return
		}
		if d.String() != text || d.Month < time.January || d.Month > time.December || d.Day < 1 || d.Day > 31 {
			t.Errorf("%q is %s", text, d)
		}
	})
}

// FuzzPartitionOf: an ID is one of ours in exactly the way that we make them.
func FuzzPartitionOf(f *testing.F) {
	for _, id := range []uuid.UUID{{}, uuid.Max, sale.NewReceiptID(0), sale.NewReceiptID(sale.MaxPartitions - 1), sale.TickReceiptID(7, 1, sale.Open, 2), uuid.New()} {
		f.Add(id[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var id uuid.UUID
		copy(id[:], b)
		p, ours := sale.PartitionOf(id)
		if p < 0 || p >= sale.MaxPartitions {
			t.Errorf("%s is of partition %d", id, p)
		}
		if want := (id[6]>>4 == 7 || id[6]>>4 == 8) && id[8]>>6 == 2; ours != want {
			t.Errorf("%s is ours: %t", id, ours)
		}
	})
}

// FuzzKeyedReceiptID: whatever the key, the ID is one of ours and of its partition,
// the same each time, and another one for anything else.
func FuzzKeyedReceiptID(f *testing.F) {
	f.Add(3, int64(1001), int64(7), byte(sale.Bid), "one")
	f.Add(0, int64(-1), int64(0), byte(0), "")
	f.Add(sale.MaxPartitions-1, int64(1), int64(1), byte(sale.Cancel), "1 bid 1")
	f.Add(5, int64(1), int64(11), byte(sale.Claim), " \x00\xff")
	f.Fuzz(func(t *testing.T, partition int, buyer, of int64, verb byte, key string) {
		partition &= sale.MaxPartitions - 1
		v := sale.Verb(verb%byte(sale.Resume) + 1)
		id := sale.KeyedReceiptID(partition, buyer, of, v, key)
		if p, ours := sale.PartitionOf(id); !ours || p != partition || id.Version() != 8 {
			t.Errorf("%s is of partition %d, %t, not of %d", id, p, ours, partition)
		}
		if again := sale.KeyedReceiptID(partition, buyer, of, v, key); again != id {
			t.Errorf("%s, and then %s", id, again)
		}
		for what, other := range map[string]uuid.UUID{
			"buyer": sale.KeyedReceiptID(partition, buyer+1, of, v, key),
			"sale":  sale.KeyedReceiptID(partition, buyer, of+1, v, key),
			"verb":  sale.KeyedReceiptID(partition, buyer, of, v%sale.Resume+1, key),
			"key":   sale.KeyedReceiptID(partition, buyer, of, v, key+" "),
			"post":  sale.RequestID(buyer, v.String(), key),
		} {
			if other == id {
				t.Errorf("another %s has the ID %s too", what, id)
			}
		}
	})
}
