package sale_test

import (
	"reflect"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// full is a request with something in every field.
func full() sale.Request {
	return sale.Request{
		Receipt: name("full"), Verb: sale.Bid, Sale: 7, Buyer: 1, Quantity: 2, Price: 1000, Exact: true,
		Target: name("target"), ClosesAt: now, Trace: "trace-1",
	}
}

// The sum is kept with every receipt, so a later program must compute the same.
func TestSumGolden(t *testing.T) {
	for _, c := range []struct {
		name    string
		request sale.Request
		want    uint64
	}{
		{"every field", full(), 0xa8ad20dacbef097},
		{"a bid", bid(opens, "a", alice, 2, 1000).Request, 0x8e585a9973031cc8},
		{"a bid with a coupon", with("c", bid(opens, "a", alice, 2, 1000)).Request, 0xe2fc3ad35473eec8},
		{"a change of slot", move("0:00", "m", alice, "a", 7, 9).Request, 0x866e15dc6e9e7508},
	} {
		if got := c.request.Sum(); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// TestSum changes one field after the other. A field that is new here must find
// its side: part of what is asked, or not.
func TestSum(t *testing.T) {
	notAsked := map[string]bool{"Receipt": true, "Trace": true}
	for i := range reflect.TypeFor[sale.Request]().NumField() {
		field := reflect.TypeFor[sale.Request]().Field(i).Name
		r := full()
		switch v := reflect.ValueOf(&r).Elem().Field(i).Addr().Interface().(type) {
		case *uuid.UUID:
			*v = name("another")
		case *sale.Verb:
			*v = sale.Refund
		case *sale.Instant:
			*v++
		case *int64:
			*v++
		case *bool:
			*v = !*v
		case *string:
			*v += "!"
		default:
			t.Fatalf("field %s has a type this test does not know: %T", field, v)
		}
		if same := r.Sum() == full().Sum(); same != notAsked[field] {
			t.Errorf("with another %s the sum is the same: %t, want %t", field, same, notAsked[field])
		}
	}
	a, b := full(), full()
	a.Sale, a.Buyer, b.Sale, b.Buyer = 1, 11, 11, 1
	if a.Sum() == b.Sum() {
		t.Error("digits moved from one field to the next leave the sum as it was")
	}
}

// The API sums a request before it goes into the stream, the owner after.
func TestSumSurvivesTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := requests.Draw(t, "request")
		got, err := sale.DecodeRequest(sent.Encode())
		if err != nil || got.Sum() != sent.Sum() {
			t.Fatalf("%+v has sum %#x, and %#x afterwards (%v)", sent, sent.Sum(), got.Sum(), err)
		}
	})
}
