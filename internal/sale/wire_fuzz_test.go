package sale_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"sluice/internal/sale"
)

func FuzzDecodeRequest(f *testing.F)  { fuzz(f, forms[0]) }
func FuzzDecodeEntries(f *testing.F)  { fuzz(f, forms[1]) }
func FuzzDecodeFacts(f *testing.F)    { fuzz(f, forms[2]) }
func FuzzDecodeOutcomes(f *testing.F) { fuzz(f, forms[3]) }
func FuzzDecodeEffects(f *testing.F)  { fuzz(f, forms[4]) }

// growth is how many times longer a form may be than the one it was read from: the
// newest version says more about each thing than the first one did.
const growth = 8

// fuzz reads anything: no panic, no other error than ErrWire, no more than the bytes
// hold; and what can be read is written in a way that reads the same, and is written
// the same from then on.
func fuzz(f *testing.F, form form) {
	now, v1 := samples()
	for _, value := range now[form.name] {
		f.Add(form.write(value))
	}
	for name := range v1[form.name] {
		f.Add(golden(f, name))
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0})
	f.Add([]byte{2, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		value, err := form.read(b)
		if !bytes.Equal(b, before) {
			t.Fatal("reading changed the bytes")
		}
		if err != nil {
			if !errors.Is(err, sale.ErrWire) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		written := form.write(value)
		if len(written) > growth*len(b)+64 {
			t.Errorf("%d bytes became %d", len(b), len(written))
		}
		again, err := form.read(written)
		if err != nil || !reflect.DeepEqual(again, value) {
			t.Fatalf("read\n%+v, and from its own form\n%+v, %v", value, again, err)
		}
		if twice := form.write(again); !bytes.Equal(twice, written) {
			t.Fatalf("written as %x, then as %x", written, twice)
		}
	})
}

// FuzzReceiptIn: of what cannot be read, a receipt is named if it can be one of ours,
// and it is the one that the bytes have.
func FuzzReceiptIn(f *testing.F) {
	f.Add(golden(f, "request_bid"))
	f.Add(golden(f, "request_reserve")[:17])
	f.Add(make([]byte, 16))
	f.Add(slices.Repeat([]byte{0xff}, 17))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, ok := sale.ReceiptIn(b)
		if !ok {
			return
		}
		if _, ours := sale.PartitionOf(id); !ours || !bytes.Equal(id[:], b[1:17]) {
			t.Errorf("%x names %s", b, id)
		}
		if r, err := sale.DecodeRequest(b); err == nil && r.Receipt != id {
			t.Errorf("%x is of %s, and names %s", b, r.Receipt, id)
		}
	})
}

// TestLengthsAreNotBelieved: a length that says more than the bytes hold costs
// nothing. Wherever a length may stand, the largest one is put.
func TestLengthsAreNotBelieved(t *testing.T) {
	now, v1 := samples()
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x7f} // about 2^35
	for _, version := range []map[string]map[string]any{now, v1} {
		eachSample(t, version, func(t *testing.T, form form, name string, _ any) {
			good := golden(t, name)
			var before, after runtime.MemStats
			for i := 1; i <= len(good); i++ {
				for _, length := range [][]byte{huge, {byte(min(len(good)-i, 127))}} {
					bad := slices.Concat(good[:i], length, good[i:])
					runtime.ReadMemStats(&before)
					_, _ = form.read(bad)
					runtime.ReadMemStats(&after)
					if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(1<<16+1000*len(bad)) {
						t.Fatalf("%d bytes with %x at %d took %d bytes to read", len(bad), length, i, spent)
					}
				}
			}
		})
	}
}
