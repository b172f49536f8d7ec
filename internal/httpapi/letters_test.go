package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestReceiptsLetterByLetter: a receipt is written as encoding/json writes it, whatever of
// it there is.
func TestReceiptsLetterByLetter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	fields := reflect.TypeFor[receiptBody]()
	for range 5000 {
		var body receiptBody
		for i := range fields.NumField() {
			if random.IntN(2) == 0 {
				continue
			}
			var value any
			switch v := reflect.ValueOf(&body).Elem().Field(i).Addr().Interface().(type) {
			case *string:
				value = []string{"bid", "queued", "sold_out", "no_show"}[random.IntN(4)]
			case *int64:
				value = random.Int64() - random.Int64()
			case **int64:
				value = new(random.Int64N(2))
			case *time.Time:
				value = time.UnixMilli(random.Int64N(int64(endOfTime.UnixMilli()))).UTC()
			case *uuid.UUID:
				value = sale.NewReceiptID(random.IntN(16))
			default:
				t.Fatalf("a %T is in it: how is it written?", v)
			}
			reflect.ValueOf(&body).Elem().Field(i).Set(reflect.ValueOf(value))
		}
		want, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := body.appendTo(nil); string(got) != string(want) {
			t.Fatalf("written\n%s\nnot\n%s", got, want)
		}
	}
}

// TestWordsNeedNoEscape: what appendTo writes as it stands is written so by encoding/json.
func TestWordsNeedNoEscape(t *testing.T) {
	words := []string{string(sale.Likely), string(sale.Unlikely), string(sale.Gone), string(sale.InMemory), string(sale.Fsynced), string(sale.InRecord)}
	for _, verb := range sale.Verbs() {
		words = append(words, verb.String())
	}
	for n := range 256 {
		words = append(words, sale.Status(n).String(), sale.Reason(n).String())
	}
	for _, word := range words {
		if text, err := json.Marshal(word); err != nil || string(text) != `"`+word+`"` {
			t.Errorf("%s is written %s, %v", word, text, err)
		}
	}
}

// TestReceiptsMakeNoGarbage: they are what a crowd asks for, again and again.
func TestReceiptsMakeNoGarbage(t *testing.T) {
	body := bodyOf(sale.Standing{Receipt: sale.Receipt{ID: sale.NewReceiptID(1), Verb: sale.Bid, Sale: 7, Quantity: 1, Status: sale.Queued, At: sale.At(time.Now())}, Drain: 10})
	room := make([]byte, 0, 768)
	if got := testing.AllocsPerRun(100, func() { room = body.appendTo(room[:0]) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
