package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// bidFields are those of a bid, and what is read into them.
type bidFields struct {
	quantity, price int64
	exact           bool
	coupon          uuid.UUID
}

func (b *bidFields) fields() []field {
	return []field{
		{name: "quantity", read: into(&b.quantity, units)},
		{name: "price", read: into(&b.price, points)},
		{name: "exact", read: into(&b.exact, truth), optional: true},
		{name: "coupon", read: into(&b.coupon, quoted(receiptName)), optional: true},
	}
}

const someCoupon = `"018f4e9c-0000-8000-8000-000000000001"`

// TestPlainBodies: bodies as programs write them do not need the decoder; all others do.
func TestPlainBodies(t *testing.T) {
	for body, want := range map[string]bool{
		goodBid: true,
		" {\r\n\t\"price\" : 10 , \"quantity\":1}\n":                        true,
		`{"quantity":1,"price":2,"exact":true,"coupon":` + someCoupon + `}`: true,
		`{"quantity":1,"price":2,"exact":false}`:                            true,
		``:                                                                  false,
		`{`:                                                                 false,
		`{}`:                                                                false,
		`[1]`:                                                               false,
		`{"quantity":1}`:                                                    false,
		`{"quantity":1,"price":2`:                                           false,
		`{"quantity":1,"price":2,}`:                                         false,
		`{"quantity":1,"price":2}}`:                                         false,
		`{"quantity":1,"price":2} {}`:                                       false,
		`{"quantity":1 "price":2}`:                                          false,
		`{"quantity" 1,"price":2}`:                                          false,
		`{quantity:1,"price":2}`:                                            false,
		`{"quantity":01,"price":2}`:                                         false,
		`{"quantity":0,"price":2}`:                                          false,
		`{"quantity":-1,"price":2}`:                                         false,
		`{"quantity":1e0,"price":2}`:                                        false,
		`{"quantity":1.0,"price":2}`:                                        false,
		`{"quantity":null,"price":2}`:                                       false,
		`{"quantity":1,"quantity":1,"price":2}`:                             false,
		`{"quantity":1,"price":2,"other":3}`:                                false,
		`{"\u0071uantity":1,"price":2}`:                                     false,
		`{"quantity":1,"price":2,"exact":yes}`:                              false,
		`{"quantity":1,"price":2,"coupon":"x"}`:                             false,
		`{"quantity":1,"price":2,"coupon":"` + "\xff" + `"}`:                false,
		`{"quantity":1,"price":2,"coupon":` + someCoupon[:3] + `\u0038` + `"`: false,
		`{"quantity":[1],"price":2}`:                                          false,
	} {
		var got bidFields
		if read := readPlain([]byte(body), got.fields()); read != want {
			t.Errorf("%s: read %t", body, read)
		}
	}
}

// FuzzReadPlain: what is read without the decoder, the decoder reads in the same way.
func FuzzReadPlain(f *testing.F) {
	for _, seed := range []string{goodBid, `{"quantity":1,"price":2,"exact":true}`, `{"quantity":1,"price":2,"coupon":` + someCoupon + `}`, ` { "price" : 1 ,"quantity":7 } `, `{"quantity":1,"price":2,}`, `{"quantity":1e3}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var plain, decoded bidFields
		if !readPlain([]byte(text), plain.fields()) {
			return
		}
		faults, err := readFields(json.NewDecoder(strings.NewReader(text)), decoded.fields())
		if err != nil || len(faults) > 0 || plain != decoded {
			t.Errorf("%q is read as %+v, decoded as %+v, %v, %v", text, plain, decoded, faults, err)
		}
	})
}

func BenchmarkReadObject(b *testing.B) {
	body := []byte(fmt.Sprintf(`{"quantity":%d,"price":%d}`, 1, sale.MaxPoints))
	for name, read := range map[string]func([]field) bool{
		"plain": func(fields []field) bool { return readPlain(body, fields) },
		"decoder": func(fields []field) bool {
			faults, err := readFields(json.NewDecoder(strings.NewReader(string(body))), fields)
			return err == nil && len(faults) == 0
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var got bidFields
				if !read(got.fields()) {
					b.Fatal("not read")
				}
			}
		})
	}
}
