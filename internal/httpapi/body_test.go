package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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
			{name: "quantity", read: whole(&quantity, 1, sale.MaxStock)},
			{name: "price", read: whole(&price, 1, sale.MaxPoints)},
			{name: "exact", read: truth(&exact), optional: true},
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

// sqlState is an error as Postgres' driver makes them.
type sqlState string

func (s sqlState) Error() string    { return "postgres: " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

// TestFaultThatPasses: what passes is a 503, what does not is a 500.
func TestFaultThatPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want code
	}{
		{context.DeadlineExceeded, unavailable},
		{io.EOF, unavailable},
		{io.ErrUnexpectedEOF, unavailable},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, unavailable},
		{&net.DNSError{Err: "no such host"}, unavailable},
		{sqlState("57P01"), unavailable}, // shutting down
		{sqlState("53300"), unavailable}, // too many connections
		{sqlState("55P03"), unavailable}, // lock not got
		{sqlState("40P01"), unavailable}, // deadlock
		{sqlState("23505"), internal},
		{sqlState("42P01"), internal},
		{sqlState(""), internal},
		{errors.New("script admit gave an unknown answer"), internal},
	} {
		if got := problemOf(fmt.Errorf("admit: %w", c.err)).code; got != c.want {
			t.Errorf("%v is answered as %s, want %s", c.err, got, c.want)
		}
	}
}
