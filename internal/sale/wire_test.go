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
	"slices"
	"strings"
	"testing"

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

// eachSample calls test with every form, the name of a sample and its value.
func eachSample(t *testing.T, of map[string]map[string]any, test func(t *testing.T, f form, name string, value any)) {
	for _, f := range forms {
		for name, value := range of[f.name] {
			t.Run(name, func(t *testing.T) { test(t, f, name, value) })
		}
	}
}

// TestGoldenForms: a version stays what it is, since the log and the stream are full
// of it. A change of a form needs a new version beside it.
func TestGoldenForms(t *testing.T) {
	now, v1 := samples()
	eachSample(t, now, func(t *testing.T, f form, name string, value any) {
		form := f.write(value)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name+".hex"), lines(form), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := golden(t, name); !bytes.Equal(form, want) {
			t.Errorf("is written as\n%swant\n%s", lines(form), lines(want))
		}
	})
	for _, version := range []map[string]map[string]any{now, v1} {
		eachSample(t, version, func(t *testing.T, f form, name string, value any) {
			if got, err := f.read(golden(t, name)); err != nil || !reflect.DeepEqual(got, value) {
				t.Errorf("is read as\n%+v, %v\nwant\n%+v", got, err, value)
			}
		})
	}
}

// TestOldRequestsKeepTheirVersion: a consumer of the release before reads them.
func TestOldRequestsKeepTheirVersion(t *testing.T) {
	for name, version := range map[string]byte{
		"request_bid": 1, "request_refund": 1, "request_change": 1, "request_payout": 1, "request_bid_coupon": 2, "request_reserve": 2, "request_join": 2, "request_expire": 2, "request_suspend": 3, "request_resume": 3,
	} {
		if got := golden(t, name)[0]; got != version {
			t.Errorf("%s is of version %d, want %d", name, got, version)
		}
	}
	// Nobody may say the same in two ways: the sum of a request does not tell them apart.
	b := golden(t, "request_bid")
	for trace := len(b) - 1; ; trace-- {
		if b[trace] == 5 { // its length, before which a coupon would stand
			b = slices.Insert(b, trace, 0)
			break
		}
	}
	b[0] = 2
	if got, err := sale.DecodeRequest(b); !errors.Is(err, sale.ErrWire) {
		t.Errorf("a bid without a coupon in version 2 is read as %+v, %v", got, err)
	}
}

// TestOldBatchesKeepTheirVersion: an owner of the release before applies again what it
// knows, which is every batch but those about a sale that is suspended.
func TestOldBatchesKeepTheirVersion(t *testing.T) {
	for name, version := range map[string]byte{
		"entries": 2, "facts": 2, "effects": 2, "outcomes": 2,
		"entries_suspended": 3, "facts_suspended": 3, "effects_suspended": 3, "outcomes_suspended": 2,
	} {
		if got := golden(t, name)[0]; got != version {
			t.Errorf("%s is of version %d, want %d", name, got, version)
		}
	}
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	form, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return form
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
	now, _ := samples()
	eachSample(t, now, func(t *testing.T, f form, _ string, value any) {
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
			if older := version == 1 || version == 2; byte(version) != whole[0] && (!older || f.name == "request") {
				refuse("another version", append([]byte{byte(version)}, whole[1:]...))
			}
		}
	})
}

// TestOldFormsRefuseOtherVersions: what version 1 said is not what any other says.
func TestOldFormsRefuseOtherVersions(t *testing.T) {
	_, v1 := samples()
	eachSample(t, v1, func(t *testing.T, f form, name string, _ any) {
		form := golden(t, name)
		for _, version := range []byte{0, 2, 3} {
			if got, err := f.read(append([]byte{version}, form[1:]...)); !errors.Is(err, sale.ErrWire) {
				t.Errorf("as version %d: read as %+v, %v", version, got, err)
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
		"an unknown verb":  {Receipt: name("a"), Sale: 7, Verb: sale.Resume + 1},
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
		{"of a version to come", append([]byte{4}, whole[1:]...), true},
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
