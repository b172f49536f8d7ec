package ledger

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/internal/sale"
)

// row is what Postgres answers, as the driver hands it over: of the right types, and
// with anything in them.
type row []any

func (row) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r row) Values() ([]any, error)                     { return r, nil }
func (row) RawValues() [][]byte                          { return nil }

func (r row) Scan(into ...any) error {
	if len(into) != len(r) {
		return fmt.Errorf("%d values for %d columns", len(r), len(into))
	}
	for i, to := range into {
		at := reflect.ValueOf(to).Elem()
		value := reflect.ValueOf(r[i])
		if !value.IsValid() {
			at.SetZero()
			continue
		}
		if !value.CanConvert(at.Type()) {
			return fmt.Errorf("column %d: %T for %s", i, r[i], at.Type())
		}
		at.Set(value.Convert(at.Type()))
	}
	return nil
}

var _ pgx.CollectableRow = row{}

// FuzzScanReceipt: a receipt has words that are known, and a reason if it is
// rejected and only then; or it is an error.
func FuzzScanReceipt(f *testing.F) {
	f.Add("bid", "confirmed", "", int64(-1), int64(0))
	f.Add("pay", "rejected", "sold_out", int64(1), int64(1700000000000))
	f.Add("bid", "rejected", "", int64(1), int64(1))
	f.Add("bid", "held", "sold_out", int64(1), int64(-1))
	f.Add("bid", "confirmed", "0", int64(1), int64(1))
	f.Add("", "queued", "x", int64(1), int64(1))
	id := sale.NewReceiptID(1)
	f.Fuzz(func(t *testing.T, verb, status, reason string, fingerprint, ms int64) {
		at := time.UnixMilli(ms)
		r, err := scanReceipt(row{[16]byte(id), int64(7), int64(1001), verb, int64(2), int64(3), int64(4), status, reason, &at, int64(5),
			[16]byte{}, [16]byte{}, fingerprint, int64(6), at})
		if err != nil {
			return
		}
		if r.Verb.String() != verb || r.Status.String() != status || r.Reason.String() != reason ||
			(r.Reason != 0) != (r.Status == sale.Rejected) || int64(r.Fingerprint) != fingerprint {
			t.Errorf("%q, %q, %q is %+v", verb, status, reason, r)
		}
	})
}

// FuzzScanBatch: a batch is read whole or not at all, and has an outcome for every
// entry.
func FuzzScanBatch(f *testing.F) {
	b := sale.Batch{State: sale.State{}, Entries: []sale.Entry{{ID: sale.EntryID{At: 2}, Seq: 1, Generation: 1,
		Request: sale.Request{Receipt: sale.NewReceiptID(1), Verb: sale.Bid, Sale: 7, Buyer: 1001, Quantity: 1, Price: 5}}},
		Facts: sale.Facts{Generation: 1, Balances: map[int64]int64{1001: 9}, Receipts: map[uuid.UUID]sale.Receipt{}}}
	b.Decision = sale.Decide(b.State, b.Facts, b.Entries)
	f.Add(b.EncodeEntries(), b.EncodeFacts(), b.EncodeOutcomes(), b.Effects.Encode())
	f.Add(b.EncodeEntries(), b.EncodeFacts(), []byte{2, 0}, b.Effects.Encode())
	f.Add(b.EncodeEntries(), []byte{}, b.EncodeOutcomes(), []byte{3})
	f.Fuzz(func(t *testing.T, entries, facts, outcomes, effects []byte) {
		b, err := scanBatch(row{int64(1), int64(1), int64(0), int64(2), int64(0), int64(1), int64(1), entries, facts, outcomes, effects})
		if err == nil && len(b.Outcomes) != len(b.Entries) {
			t.Errorf("%d entries have %d outcomes", len(b.Entries), len(b.Outcomes))
		}
		if err == nil {
			b.Receipts() // which every reader of the log does
			b.Standing()
		}
	})
}

// FuzzScanStand: what stands in a row comes out of it.
func FuzzScanStand(f *testing.F) {
	f.Add("auction", "constant", "open", int64(60_000), int64(0), int64(1700000000000))
	f.Add("", "", "", int64(-1), int64(1)<<62, int64(-1))
	f.Fuzz(func(t *testing.T, kind, policy, phase string, period, hold, ms int64) {
		at := time.UnixMilli(ms)
		s, err := scanStand(row{int64(7), kind, int64(1), int64(1), "Lamp", "", policy, int64(100), int64(1), int64(0), period,
			int64(1), at, at, at, true, hold, int64(0), int64(0), int64(0), nil, nil, int64(0), &at,
			phase, int64(10), int64(10), int64(0), int64(0), int64(0), false, true})
		if err != nil {
			t.Fatal(err)
		}
		if string(s.Kind) != kind || string(s.Price.Policy) != policy || string(s.Phase) != phase || s.Escrow != -7 ||
			s.RefundWindow != 0 || s.OpensAt != sale.At(at) || s.StartsAt != sale.At(at) || s.ValidFrom != 0 || s.Buyers == nil || s.PaidOut || !s.Suspended {
			t.Errorf("%+v", s)
		}
	})
}

// FuzzScanStore: hours are read whatever days the columns have.
func FuzzScanStore(f *testing.F) {
	f.Add([]byte{22, 22, 22, 22, 22, 0, 0}, []byte{42, 42, 42, 42, 42, 0, 0})
	f.Add([]byte{}, []byte{1})
	f.Add(make([]byte, 9), slices.Repeat([]byte{255}, 9))
	f.Fuzz(func(t *testing.T, opens, closes []byte) {
		column := func(of []byte) (days []*int16) {
			for _, b := range of {
				n := int16(b) * 30
				days = append(days, &n)
				if b == 0 {
					days[len(days)-1] = nil
				}
			}
			return days
		}
		s, err := scanStore(row{int64(7), int64(1), int64(1), "Noodles", "", "UTC", int64(3), int64(0), int64(0), int64(1000), int64(14),
			column(opens), column(closes), time.UnixMilli(1), false})
		if err != nil {
			t.Fatal(err)
		}
		for i, span := range s.Hours {
			there := i < len(opens) && i < len(closes) && opens[i] != 0 && closes[i] != 0
			if there != (span != nil) || there && (span.Opens != int(int16(opens[i])*30) || span.Closes != int(int16(closes[i])*30)) {
				t.Errorf("day %d of %v to %v is %+v", i, opens, closes, span)
			}
		}
	})
}

// FuzzScanAccount: what stands in a row comes out of it.
func FuzzScanAccount(f *testing.F) {
	f.Add("buyer", "ada@example.com", "$argon2id$")
	f.Fuzz(func(t *testing.T, role, email, password string) {
		a, err := scanAccount(row{int64(1001), role, email, password, true, time.UnixMilli(1)})
		if err != nil || string(a.Role) != role || a.Email != email || a.Password != password || !a.Notices {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// FuzzScanEra: a sale is in the era that has its ID, and in no other.
func FuzzScanEra(f *testing.F) {
	f.Add(int64(0), int64(10_000_000), int64(7))
	f.Add(int64(10_000_000), int64(20_000_000), int64(20_000_000))
	f.Add(int64(5), int64(-5), int64(0))
	f.Fuzz(func(t *testing.T, first, past, id int64) {
		e, err := scanEra(row{first, past})
		if err != nil {
			t.Fatal(err)
		}
		if _, in := eraAmong([]era{e}, id); in != (first <= id && id < past) {
			t.Errorf("%d is in %d to %d: %t", id, first, past, in)
		}
	})
}
