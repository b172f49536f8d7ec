package sale_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

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
	for _, value := range samples()[form.name] {
		f.Add(form.write(value))
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0})
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

// Generators of everything the forms can hold.
var (
	ids     = rapid.Custom(func(t *rapid.T) uuid.UUID { return name(rapid.StringN(0, 3, -1).Draw(t, "name")) })
	numbers = rapid.Int64()
	moments = rapid.Map(numbers, func(n int64) sale.Instant { return sale.Instant(n) })
	counts  = rapid.MapOfN(numbers, rapid.Int64Min(1), 0, 4)

	requests = rapid.Custom(func(t *rapid.T) sale.Request {
		r := sale.Request{
			Receipt: ids.Draw(t, "receipt"), Verb: sale.Verb(rapid.IntRange(int(sale.Bid), int(sale.Rebuilt)).Draw(t, "verb")),
			Sale: numbers.Draw(t, "sale"), Buyer: numbers.Draw(t, "buyer"), Quantity: rapid.Int64Min(0).Draw(t, "quantity"),
			Trace: rapid.StringN(0, -1, sale.MaxTrace).Draw(t, "trace"),
		}
		switch r.Verb { // each verb with what belongs to it
		case sale.Bid:
			r.Price, r.Exact = numbers.Draw(t, "price"), rapid.Bool().Draw(t, "exact")
		case sale.Refund:
			r.Target = ids.Draw(t, "target")
		case sale.Change:
			r.ClosesAt = moments.Draw(t, "closes_at")
		case sale.Rebuilt:
			r.Receipt = uuid.Nil
		}
		return r
	})

	receipts = rapid.Custom(func(t *rapid.T) sale.Receipt {
		return sale.Receipt{
			ID: ids.Draw(t, "id"), Verb: rapid.SampledFrom([]sale.Verb{0, sale.Bid, sale.Payout}).Draw(t, "verb"),
			Sale: numbers.Draw(t, "sale"), Buyer: numbers.Draw(t, "buyer"), Quantity: numbers.Draw(t, "quantity"), UnitPrice: numbers.Draw(t, "price"),
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), Reason: sale.Reason(rapid.IntRange(0, int(sale.Internal)).Draw(t, "reason")),
			Target: ids.Draw(t, "target"), Fingerprint: rapid.Uint64().Draw(t, "fingerprint"), Seq: numbers.Draw(t, "seq"), At: moments.Draw(t, "at"),
		}
	})

	phases = rapid.SampledFrom([]sale.Phase{sale.Scheduled, sale.PhaseOpen, sale.PhaseClosed})

	batches = rapid.Custom(func(t *rapid.T) (b sale.Batch) {
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			e := sale.Entry{ID: sale.EntryID{At: moments.Draw(t, "at"), No: numbers.Draw(t, "no")}, Seq: numbers.Draw(t, "seq"), Generation: numbers.Draw(t, "generation")}
			if rapid.Bool().Draw(t, "legible") {
				e.Request = requests.Draw(t, "request")
			}
			b.Entries = append(b.Entries, e)
			b.Outcomes = append(b.Outcomes, sale.Outcome{Status: rapid.SampledFrom(statuses).Draw(t, "status"),
				Reason: sale.Reason(rapid.IntRange(0, int(sale.Internal)).Draw(t, "reason")), UnitPrice: numbers.Draw(t, "price"), Stands: rapid.Bool().Draw(t, "stands")})
			b.Effects.Moves = append(b.Effects.Moves, sale.Move{Receipt: receipts.Draw(t, "move")})
			b.Effects.Transfers = append(b.Effects.Transfers, sale.Transfer{Receipt: ids.Draw(t, "receipt"),
				Debit: numbers.Draw(t, "debit"), Credit: numbers.Draw(t, "credit"), Amount: numbers.Draw(t, "amount")})
		}
		b.State = sale.State{}
		for range rapid.IntRange(0, 3).Draw(t, "sales") {
			s := drawStand(t)
			b.State[s.ID] = s
			effect := sale.SaleEffect{
				Sale: s.ID, Free: numbers.Draw(t, "free"), Held: numbers.Draw(t, "held"), Sold: numbers.Draw(t, "sold"), Stock: numbers.Draw(t, "stock"),
				Revenue: numbers.Draw(t, "revenue"), Phase: phases.Draw(t, "phase"), ClosesAt: moments.Draw(t, "closes_at"),
				PaidOut: rapid.Bool().Draw(t, "paid out"), Exhausted: rapid.Bool().Draw(t, "exhausted"), Changed: rapid.Bool().Draw(t, "changed"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "buyers") {
				effect.Buyers = append(effect.Buyers, sale.BuyerEffect{Buyer: numbers.Draw(t, "buyer"), Units: numbers.Draw(t, "units")})
			}
			b.Effects.Sales = append(b.Effects.Sales, effect)
		}
		b.Facts = sale.Facts{Generation: numbers.Draw(t, "generation"), Balances: counts.Draw(t, "balances"), Receipts: map[uuid.UUID]sale.Receipt{}}
		for range rapid.IntRange(0, 3).Draw(t, "receipts") {
			r := receipts.Draw(t, "receipt")
			b.Facts.Receipts[r.ID] = r
		}
		return b
	})
)

func drawStand(t *rapid.T) *sale.Stand {
	s := &sale.Stand{
		Sale: drawSale(t, numbers.Draw(t, "id")), Phase: phases.Draw(t, "phase"),
		Free: numbers.Draw(t, "free"), Held: numbers.Draw(t, "held"), Sold: numbers.Draw(t, "sold"),
		PaidOut: rapid.Bool().Draw(t, "paid out"), Buyers: counts.Draw(t, "buyers"),
	}
	s.Title, s.Partition = "", 0 // the log has neither
	s.Kind = rapid.SampledFrom([]sale.Kind{sale.Auction, sale.Reservation, sale.Coupon, sale.Event}).Draw(t, "kind")
	s.RefundWindow = time.Duration(numbers.Draw(t, "window"))
	s.ShowStock = rapid.Bool().Draw(t, "show")
	return s
}
