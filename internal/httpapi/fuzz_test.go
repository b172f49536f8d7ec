package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"sluice/internal/sale"
)

// FuzzMoment: what is read is a time of stream time, and written again it is the
// same moment.
func FuzzMoment(f *testing.F) {
	for _, seed := range []string{"2030-01-31T18:00:00Z", "2030-01-31T18:00:00.25+14:00", "1971-01-01T00:00:00Z", "9998-12-31T23:59:59.999Z",
		"2030-01-31T18:00:00.1234Z", "2030-1-31T18:00:00Z", "2030-01-31 18:00:00Z", "2030-01-31T18:00:00,5Z", "2030-01-31T24:00:00Z", "0000-00-00T00:00:00-23:59", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, rule := moment(text)
		if rule != "" {
			return
		}
		if at <= 0 || at >= sale.At(endOfTime) {
			t.Errorf("%q is %d", text, at)
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err != nil || !want.Equal(at.Time()) {
			t.Errorf("%q is read as %s, by package time as %s, %v", text, at.Time(), want, err)
		}
		written := at.Time().Format(time.RFC3339Nano)
		if again, rule := moment(written); rule != "" || again != at {
			t.Errorf("%q written as %q is %d, %s", text, written, again, rule)
		}
	})
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sale.Instant{
		"1971-01-01T00:00:00Z":                31_536_000_000,
		"2001-09-09T01:46:40Z":                1_000_000_000_000,
		"2001-09-09T03:46:40.007+02:00":       1_000_000_000_007,
		"2001-09-09T01:46:40.500000000Z":      1_000_000_000_500,
		"2001-09-08T20:16:40.1-05:30":         1_000_000_000_100,
		"2001-09-09T01:46:40.0001Z":           -1,
		"1970-12-31T23:59:59.999Z":            -1,
		"1971-01-01T00:00:00+00:01":           -1,
		"9999-01-01T00:00:00Z":                -1,
		"2001-09-09":                          -1,
		"2001-09-09T01:46:40":                 -1,
		"2001-09-09T1:46:40Z":                 -1,
		"2001-09-09T01:46:40,5Z":              -1,
		"2001-09-09 01:46:40Z":                -1,
		"2001-02-29T01:46:40Z":                -1,
		"2001-09-09T01:46:60Z":                -1,
		"2001-09-09T24:00:00Z":                -1,
		"2001-09-09T01:46:40+24:00":           -1,
		"1000000000":                          -1,
		"":                                    -1,
		"2001-09-09T01:46:40Z\n":              -1,
		"2001-09-09T01:46:40.123456789123Z":   -1,
		"+2001-09-09T01:46:40Z":               -1,
		"Sun, 09 Sep 2001 01:46:40 GMT":       -1,
		"2001-09-09T01:46:40Z[Europe/Berlin]": -1,
	} {
		got, rule := moment(text)
		if rule != "" {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d (%s)", text, got, want, rule)
		}
	}
}

// FuzzHours: what is read is hours of a week, and written again it is the same.
func FuzzHours(f *testing.F) {
	for _, seed := range []string{`{"mon":"11:00-21:00"}`, `{"sun":"00:00-23:59","tue":"23:30-00:00"}`, `{}`, `null`, `[]`, `{"mon":"11:00-21:00"`, `{"mon":"24:00-25:00"}`, `{"mon":{"x":1}}`, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, rule := hours(raw)
		if rule != "" {
			return
		}
		for _, span := range got {
			if span != nil && (min(span.Opens, span.Closes) < 0 || max(span.Opens, span.Closes) >= 24*60) {
				t.Errorf("%q is %+v", raw, *span)
			}
		}
		written, err := json.Marshal(hoursBody(got))
		if err != nil {
			t.Fatal(err)
		}
		if again, rule := hours(string(written)); rule != "" || !reflect.DeepEqual(again, got) {
			t.Errorf("%q written as %s is %v, %s", raw, written, again, rule)
		}
	})
}

// FuzzDay: what is read is a date, in its one spelling.
func FuzzDay(f *testing.F) {
	for _, seed := range []string{"2030-01-31", "2028-02-29", "2030-02-29", "1970-12-31", "9999-01-01", "02030-1-1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, rule := day(text); rule == "" && d.String() != text {
			t.Errorf("%q is %s", text, d)
		}
	})
}

// FuzzCursor: nothing breaks it, and what it accepts is a position that could be,
// in its one spelling.
func FuzzCursor(f *testing.F) {
	for _, p := range []position{{}, {at: 1, id: 2, receipt: uuid.Max}, {id: math.MaxInt64}} {
		f.Add(byte(listSales), listSales.cursor(p, "0?"), "0?")
		f.Add(byte(listOfSale), listOfSale.cursor(p, "7?status=refunded"), "7?status=refunded")
	}
	f.Add(byte(listSales), listSales.cursor(position{at: -1}, "0?"), "0?")
	f.Add(byte(0), strings.Repeat("A", cursorLength), "")
	f.Fuzz(func(t *testing.T, of byte, text, asked string) {
		p, ok := list(of).parse(text, asked)
		if !ok {
			return
		}
		if p.at < 0 || p.id < 0 || p.at >= sale.At(endOfTime) {
			t.Errorf("%q is %+v", text, p)
		}
		if again := list(of).cursor(p, asked); again != text {
			t.Errorf("%q is spelled again as %q", text, again)
		}
	})
}

// TestCursorIsBound: any other letter, list or question, and it is none.
func TestCursorIsBound(t *testing.T) {
	t.Parallel()
	p := position{at: 1_700_000_000_123, id: 42, receipt: uuid.MustParse("018bcfe5-687b-7000-8000-0123456789ab")}
	good := listMine.cursor(p, "7?sale=3")
	if got, ok := listMine.parse(good, "7?sale=3"); !ok || got != p || len(good) != cursorLength {
		t.Fatalf("%q is %+v, %t", good, got, ok)
	}
	for _, asked := range []string{"7?sale=4", "7?", "8?sale=3", ""} {
		if _, ok := listMine.parse(good, asked); ok {
			t.Errorf("it is taken for %q", asked)
		}
	}
	if _, ok := listOfSale.parse(good, "7?sale=3"); ok {
		t.Error("it is taken for another list")
	}
	for i := range good {
		for _, c := range "Ab9_-=+/ \n" {
			bad := good[:i] + string(c) + good[i+1:]
			if bad == good {
				continue
			}
			if _, ok := listMine.parse(bad, "7?sale=3"); ok {
				t.Errorf("%q is taken, which is %q at %d", bad, c, i)
			}
		}
	}
	for _, bad := range []string{"", good + "A", good[1:], good + "\n", good[:28] + "\r\n" + good[28:], good + "====", strings.ToLower(good)} {
		if _, ok := listMine.parse(bad, "7?sale=3"); ok {
			t.Errorf("%q is taken", bad)
		}
	}
	// Who reckons the sum himself gets nowhere that is not.
	for _, forged := range []position{{at: -1}, {at: math.MaxInt64}, {at: sale.At(endOfTime)}, {id: -1}, {id: math.MinInt64}} {
		if _, ok := listSales.parse(listSales.cursor(forged, "0?"), "0?"); ok {
			t.Errorf("%+v is taken", forged)
		}
	}
	body := append([]byte{cursorVersion + 1, byte(listSales)}, make([]byte, 32)...)
	if _, ok := listSales.parse(base64.RawURLEncoding.EncodeToString(append(body, cursorSum(body, "0?")...)), "0?"); ok {
		t.Error("another version is taken")
	}
}

// FuzzReadQuery: nothing breaks it, what it accepts net/url reads in the same way,
// and every refusal names what was wrong.
func FuzzReadQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=5", "limit=5&limit=5", "limit=05", "state=open&order=-opens_at", "from=2030-01-31T18:00:00%2B01:00", "x", "%zz", "a;b", "limit=1&&", "=", "cursor=" + listSales.cursor(position{id: 1}, "0?")} {
		f.Add(seed)
	}
	app := fiber.New()
	f.Fuzz(func(t *testing.T, text string) {
		request := &fasthttp.RequestCtx{}
		request.Request.SetRequestURI("/")
		request.Request.URI().SetQueryString(text)
		c := app.AcquireCtx(request)
		defer app.ReleaseCtx(c)
		var state sale.Shown
		var from sale.Instant
		page, err := readPage(c, listSales, 0,
			param{"state", into(&state, oneOf(sale.ShownOpen, sale.ShownClosed))},
			param{"from", into(&from, moment)},
		)
		if err != nil {
			p := problemOf(err)
			if p.code != badQuery && p.code != badCursor || p.code == badQuery && len(p.fields) == 0 && p.detail == "" || len(p.fields) > faultsMost {
				t.Errorf("%q: %+v", text, p)
			}
			return
		}
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		if values.Get("state") != string(state) || page.limit < 1 || page.limit > limitMost || len(values) > 4 {
			t.Errorf("%q: %+v, state %q", text, page, state)
		}
	})
}

// TestQuoted: texts that are not the same never become the same.
func TestQuoted(t *testing.T) {
	t.Parallel()
	read := quoted(line(5))
	for raw, want := range map[string]string{
		`"Lamp"`: "Lamp", `""`: "", `"\u00fc"`: "ü", `"🏮🏮🏮🏮🏮"`: "🏮🏮🏮🏮🏮", `"\ud83c\udfee"`: "🏮", `"a\"b"`: `a"b`,
	} {
		if got, rule := read(raw); got != want || rule != "" {
			t.Errorf("%s is %q, %s", raw, got, rule)
		}
	}
	for _, raw := range []string{`null`, `1`, `true`, `{}`, `["a"]`, `"\ud83c"`, `"\udfee\ud83c"`, `"\ufffd"`, `"abcdef"`, `"a\u0000"`, `"a\nb"`, `"\u0085"`, `"\u007f"`} {
		if got, rule := read(raw); rule == "" || got != "" {
			t.Errorf("%s is taken as %q", raw, got)
		}
	}
	if got, rule := quoted(lines(9))(`"a\r\n\tb"`); got != "a\r\n\tb" || rule != "" {
		t.Errorf("%q, %s", got, rule)
	}
}
