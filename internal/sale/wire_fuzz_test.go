package sale_test

import (
	"bytes"
	"reflect"
	"testing"

	"sluice/internal/sale"
)

func FuzzDecodeRequest(f *testing.F)  { fuzz(f, forms[0]) }
func FuzzDecodeEntries(f *testing.F)  { fuzz(f, forms[1]) }
func FuzzDecodeFacts(f *testing.F)    { fuzz(f, forms[2]) }
func FuzzDecodeOutcomes(f *testing.F) { fuzz(f, forms[3]) }
func FuzzDecodeEffects(f *testing.F)  { fuzz(f, forms[4]) }

// fuzz reads anything: no panic, and what can be read is written in a way that
// reads the same, and is written the same from then on.
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
		sale.ReceiptIn(b)
		if err != nil {
			return
		}
		written := form.write(value)
		again, err := form.read(written)
		if err != nil || !reflect.DeepEqual(again, value) {
			t.Fatalf("read\n%+v, and from its own form\n%+v, %v", value, again, err)
		}
		if twice := form.write(again); !bytes.Equal(twice, written) {
			t.Fatalf("written as %x, then as %x", written, twice)
		}
	})
}
