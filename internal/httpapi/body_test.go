package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/internal/sale"
)

// FuzzReadFields: nothing breaks it, and what it accepts encoding/json reads in
// the same way.
func FuzzReadFields(f *testing.F) {
	for _, seed := range []string{goodBid, `{"quantity":1,"price":2,"exact":true}`, `{"quantity":1e3}`, `{"a":[{}]}x`, `{"quantity":1,"quantity":2}`, `{`, ``, `[]`, `{"\u0071uantity":01,}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var quantity, price int64
		var exact bool
		faults, err := readFields(json.NewDecoder(strings.NewReader(text)), []field{
			{name: "quantity", read: into(&quantity, whole(1, sale.MaxStock))},
			{name: "price", read: into(&price, whole(1, sale.MaxPoints))},
			{name: "exact", read: into(&exact, truth), optional: true},
		})
		if len(faults) > faultsMost {
			t.Errorf("%d faults", len(faults))
		}
		if err != nil || len(faults) > 0 {
			return
		}
		var got struct {
			Quantity, Price int64
			Exact           bool
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Quantity != quantity || got.Price != price || got.Exact != exact {
			t.Errorf("%q is read as %d %d %t, by encoding/json as %+v, %v", text, quantity, price, exact, got, err)
		}
	})
}
