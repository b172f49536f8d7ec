package sale_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

var update = flag.Bool("update", false, "write testdata/*.hex anew; a changed form also needs a new version")

// form is one wire form: its bytes, and how they are read. read answers what it
// found in a shape that reflect.DeepEqual can compare, and write turns that back.
type form struct {
	name  string
	read  func([]byte) (any, error)
	write func(any) []byte
}

// facts and state travel together.
type stateAndFacts struct {
	state sale.State
	facts sale.Facts
}

var forms = []form{
	{"request",
		func(b []byte) (any, error) { return sale.DecodeRequest(b) },
		func(v any) []byte { return v.(sale.Request).Encode() }},
	{"entries",
		func(b []byte) (any, error) { return sale.DecodeEntries(b) },
		func(v any) []byte { return sale.Batch{Entries: v.([]sale.Entry)}.EncodeEntries() }},
	{"facts",
		func(b []byte) (any, error) {
			state, facts, err := sale.DecodeFacts(b)
			return withoutZeros(stateAndFacts{state, facts}), err
		},
		func(v any) []byte {
			f := v.(stateAndFacts)
			return sale.Batch{State: f.state, Facts: f.facts}.EncodeFacts()
		}},
	{"outcomes",
		func(b []byte) (any, error) { return sale.DecodeOutcomes(b) },
		func(v any) []byte { return sale.Decision{Outcomes: v.([]sale.Outcome)}.EncodeOutcomes() }},
	{"effects",
		func(b []byte) (any, error) { return sale.DecodeEffects(b) },
		func(v any) []byte { return v.(sale.Effects).Encode() }},
}

// withoutZeros: in maps of numbers, zeros are as good as missing.
func withoutZeros(f stateAndFacts) stateAndFacts {
	f.facts.Balances = nonzero(f.facts.Balances)
	for _, s := range f.state {
		s.Buyers = nonzero(s.Buyers)
	}
	return f
}

// sample is one batch with something of everything, the same for ever.
func sample() sale.Batch {
	stand := &sale.Stand{Sale: auction(), Phase: sale.PhaseOpen, Free: 7, Held: 1, Sold: 2, PaidOut: true, Buyers: map[int64]int64{1: 2, 300: 1}}
	stand.Title, stand.Partition = "", 0 // the log has neither
	second := &sale.Stand{Sale: falling(time.Hour, percentage(sale.MaxPoints, 4300, time.Minute)), Phase: sale.Scheduled, Free: 1, Buyers: map[int64]int64{}}
	second.ID, second.Title, second.Partition, second.RefundWindow, second.ShowStock = 8, "", 0, 0, false
	bought, asked := bid(opens, "a", alice, 2, 1000), refund(closes, "r", alice, "a")
	bought.Trace, asked.ID.No, asked.Seq = "req-1", 5, 2
	known := sale.Receipt{
		ID: name("k"), Verb: sale.Bid, Sale: lamp, Buyer: bob, Quantity: 1, UnitPrice: 900, Status: sale.Confirmed,
		Fingerprint: 1<<64 - 1, Seq: 9, At: opens,
	}
	gone := known
	gone.ID, gone.Status, gone.Target = name("g"), sale.Refunded, name("k")
	return sale.Batch{
		Entries: []sale.Entry{bought, asked, {ID: sale.EntryID{At: closes, No: 6}, Seq: 3, Generation: 1}},
		State:   sale.State{7: stand, 8: second},
		Facts: sale.Facts{Generation: 2, Balances: map[int64]int64{1: sale.MaxPoints, 2: 5},
			Receipts: map[uuid.UUID]sale.Receipt{known.ID: known, gone.ID: gone}},
		Decision: sale.Decision{
			Outcomes: []sale.Outcome{{Status: sale.Confirmed, UnitPrice: 900}, {Status: sale.Rejected, Reason: sale.Internal, Stands: true}},
			Effects: sale.Effects{
				Sales: []sale.SaleEffect{{Sale: 7, Free: -3, Held: 1, Sold: 2, Stock: 4, Revenue: -1800, ClosesAt: closes, Phase: sale.PhaseClosed,
					PaidOut: true, Exhausted: true, Changed: true, Buyers: []sale.BuyerEffect{{Buyer: 1, Units: -2}, {Buyer: 300, Units: 2}}}},
				Moves:     []sale.Move{{Receipt: gone}},
				Transfers: []sale.Transfer{{Receipt: name("r"), Debit: escrow, Credit: alice, Amount: 1800}},
			},
		},
	}
}

// samples is one value of each form, by the form's name and the file's.
func samples() map[string]map[string]any {
	b := sample()
	return map[string]map[string]any{
		"request": {"request_bid": b.Entries[0].Request, "request_refund": b.Entries[1].Request,
			"request_change": change(grow(opens, "g", seller, 5), func(e *sale.Entry) { e.ClosesAt = closes }).Request,
			"request_payout": tick(payout, "p", sale.Payout).Request},
		"entries":  {"entries": b.Entries},
		"facts":    {"facts": stateAndFacts{b.State, b.Facts}},
		"outcomes": {"outcomes": b.Outcomes},
		"effects":  {"effects": b.Effects},
	}
}

// eachSample calls test with every form, the name of a sample and its value.
func eachSample(t *testing.T, test func(t *testing.T, f form, name string, value any)) {
	for _, f := range forms {
		for name, value := range samples()[f.name] {
			t.Run(name, func(t *testing.T) { test(t, f, name, value) })
		}
	}
}

// TestGoldenForms: version 1 stays what it is, since the log and the stream are
// full of it. A change of a form needs a new version beside it.
func TestGoldenForms(t *testing.T) {
	eachSample(t, func(t *testing.T, f form, name string, value any) {
		file := filepath.Join("testdata", name+".hex")
		form := f.write(value)
		if *update {
			if err := os.WriteFile(file, lines(form), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(form, golden) {
			t.Errorf("is written as\n%swant\n%s", lines(form), text)
		}
		if got, err := f.read(golden); err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("is read as\n%+v, %v\nwant\n%+v", got, err, value)
		}
	})
}

// lines is the hex of b, 32 bytes a line.
func lines(b []byte) []byte {
	var out bytes.Buffer
	for i, c := range b {
		out.WriteString(hex.EncodeToString([]byte{c}))
		if i%32 == 31 || i == len(b)-1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func TestFormsRefuseWhatTheyDoNotKnow(t *testing.T) {
	eachSample(t, func(t *testing.T, f form, _ string, value any) {
		whole := f.write(value)
		refuse := func(what string, b []byte) {
			t.Helper()
			if got, err := f.read(b); !errors.Is(err, sale.ErrWire) {
				t.Errorf("%s: read as %+v, %v", what, got, err)
			}
		}
		for n := range whole {
			refuse("cut short", whole[:n])
		}
		refuse("one byte too many", append(bytes.Clone(whole), 0))
		for version := range 256 {
			if version != 1 {
				refuse("another version", append([]byte{byte(version)}, whole[1:]...))
			}
		}
	})
}

// TestFormsRefuseHugeCounts: a length that the bytes cannot hold is refused
// before anything is made for it.
func TestFormsRefuseHugeCounts(t *testing.T) {
	for _, f := range forms {
		for _, count := range []uint64{1 << 20, 1 << 40, 1 << 62, 1<<63 + 1, 1<<64 - 1} {
			form := binary.AppendUvarint([]byte{1}, count)
			if f.name == "request" { // its only length is the trace's, the last field
				form = sale.Request{Verb: sale.Open, Trace: "t"}.Encode()
				form = binary.AppendUvarint(form[:len(form)-2], count)
			}
			form = append(form, make([]byte, 100)...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := f.read(form)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, sale.ErrWire) {
				t.Errorf("%s of %d: %v", f.name, count, err)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 1<<18 {
				t.Errorf("%s of %d: %d bytes were allocated", f.name, count, made)
			}
		}
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	for name, r := range map[string]sale.Request{
		"no verb":          {Receipt: name("a"), Sale: 7},
		"an unknown verb":  {Receipt: name("a"), Sale: 7, Verb: sale.Rebuilt + 1},
		"no receipt":       {Sale: 7, Verb: sale.Open},
		"a strange one":    {Receipt: uuid.UUID{6: 0x40, 8: 0x80}, Sale: 7, Verb: sale.Open},
		"a mark with one":  {Receipt: name("a"), Verb: sale.Rebuilt},
		"less than none":   {Receipt: name("a"), Sale: 7, Verb: sale.Refund, Quantity: -1},
		"a trace too long": {Receipt: name("a"), Sale: 7, Verb: sale.Open, Trace: strings.Repeat("t", sale.MaxTrace+1)},
	} {
		if got, err := sale.DecodeRequest(r.Encode()); !errors.Is(err, sale.ErrWire) {
			t.Errorf("%s: read as %+v, %v", name, got, err)
		}
	}
}

func TestReceiptIn(t *testing.T) {
	whole := full().Encode()
	for _, c := range []struct {
		name string
		form []byte
		ok   bool
	}{
		{"whole", whole, true},
		{"of a version to come", append([]byte{2}, whole[1:]...), true},
		{"torn after the receipt", whole[:17], true},
		{"torn within the receipt", whole[:16], false},
		{"empty", nil, false},
		{"no ID of ours", sale.Request{Receipt: uuid.New(), Verb: sale.Open}.Encode(), false},
		{"zeros", make([]byte, 40), false},
	} {
		id, ok := sale.ReceiptIn(c.form)
		if ok != c.ok || ok && id != full().Receipt {
			t.Errorf("%s: %s, %t", c.name, id, ok)
		}
	}
}

// Whatever can be asked and decided comes back from its form as it was.
func TestFormsRoundTrip(t *testing.T) {
	t.Run("request", rapid.MakeCheck(func(t *rapid.T) { roundTrip(t, forms[0], requests.Draw(t, "request")) }))
	t.Run("batch", rapid.MakeCheck(func(t *rapid.T) {
		b := batches.Draw(t, "batch")
		roundTrip(t, forms[1], b.Entries)
		roundTrip(t, forms[2], withoutZeros(stateAndFacts{b.State, b.Facts}))
		roundTrip(t, forms[3], b.Outcomes)
		roundTrip(t, forms[4], b.Effects)
	}))
}

func roundTrip(t *rapid.T, f form, value any) {
	form := f.write(value)
	got, err := f.read(form)
	if err != nil || !reflect.DeepEqual(got, value) {
		t.Fatalf("%s\n%+v came back as\n%+v, %v", f.name, value, got, err)
	}
	if again := f.write(got); !bytes.Equal(again, form) {
		t.Fatalf("%s is written in two ways: %x, %x", f.name, form, again)
	}
}
