package httpapi

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// FuzzNames: what is in a path names a sale or a receipt in one spelling, or nothing.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"7", "07", "+7", "-7", "0", "9223372036854775807", "9223372036854775808", "01a200d5-63f9-7001-9a6a-c18952379aa0",
		"01A200D5-63F9-7001-9A6A-C18952379AA0", "{01a200d5-63f9-7001-9a6a-c18952379aa0}", "urn:uuid:01a200d5-63f9-7001-9a6a-c18952379aa0", "", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		id, noSale := parseSaleID(word)
		if noSale == nil && (id <= 0 || strconv.FormatInt(id, 10) != word) || noSale != nil && (id != 0 || !errors.Is(noSale, sale.ErrUnknown)) {
			t.Errorf("%q is the sale %d, %v", word, id, noSale)
		}
		receipt, noReceipt := parseReceiptID(word)
		if noReceipt == nil && receipt.String() != word || noReceipt != nil && !errors.Is(noReceipt, sale.ErrUnknown) {
			t.Errorf("%q is the receipt %s, %v", word, receipt, noReceipt)
		}
		if named, rule := receiptName(word); (rule == "") != (noReceipt == nil) || rule == "" && named != receipt {
			t.Errorf("%q is named %s, %s", word, named, rule)
		}
	})
}

// FuzzNumbers: a number is read in its one spelling and within its bounds.
func FuzzNumbers(f *testing.F) {
	for _, seed := range []string{"1", "0", "-1", "01", "1.0", "1e3", "9007199254740991", "9007199254740992", "", "true", "false", "null"} {
		f.Add(seed, int64(1), int64(sale.MaxPoints))
	}
	f.Fuzz(func(t *testing.T, text string, least, most int64) {
		if n, rule := whole(least, most)(text); rule == "" && (n < least || n > most || strconv.FormatInt(n, 10) != text) || rule != "" && n != 0 {
			t.Errorf("%q between %d and %d is %d, %s", text, least, most, n, rule)
		}
		if d, rule := seconds(0, sale.MaxHold)(text); rule == "" && (d < 0 || d > sale.MaxHold || d%time.Second != 0) {
			t.Errorf("%q is %s", text, d)
		}
		if yes, rule := truth(text); rule == "" && strconv.FormatBool(yes) != text {
			t.Errorf("%q is %t", text, yes)
		}
		if word, rule := oneOf("true", "null")(text); (rule == "") != (text == "true" || text == "null") || rule == "" && word != text {
			t.Errorf("%q is %q, %s", text, word, rule)
		}
	})
}

// FuzzQuoted: a text that is taken is the one that encoding/json reads, whole, short
// enough and without control characters; and no two become one.
func FuzzQuoted(f *testing.F) {
	for _, seed := range []string{`"Lamp"`, `""`, `"\u00fc"`, `"\ud83c\udfee"`, `"\ud83c"`, `"\ufffd"`, `"a\u0000"`, `null`, `1`, `["a"]`, `"a\nb"`, "\"\xff\"", `"abcdefgh"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		text, rule := quoted(line(7))(raw)
		if rule != "" {
			if text != "" || len(raw) > 3 && strings.Contains(rule, raw) {
				t.Errorf("%q is %q, and %s", raw, text, rule)
			}
			return
		}
		var want string
		if err := json.Unmarshal([]byte(raw), &want); err != nil || text != want || utf8.RuneCountInString(text) > 7 || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q is %q, by encoding/json %q, %v", raw, text, want, err)
		}
	})
}

// FuzzNoticeIDs: a list of names is read whole, or not at all.
func FuzzNoticeIDs(f *testing.F) {
	for _, seed := range []string{`[1]`, `[1,2,2]`, `[]`, `[0]`, `[1.0]`, `[1e2]`, `["1"]`, `[[1]]`, `null`, `[1` + strings.Repeat(",1", 100) + `]`, ` [ 1 , 2 ] `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		ids, rule := noticeIDs(raw)
		if rule != "" {
			if ids != nil {
				t.Errorf("%q is %v, and %s", raw, ids, rule)
			}
			return
		}
		var want []int64
		if err := json.Unmarshal([]byte(raw), &want); err != nil || len(ids) != len(want) || len(ids) < 1 || len(ids) > readMost {
			t.Fatalf("%q is %v, by encoding/json %v, %v", raw, ids, want, err)
		}
		for i, id := range ids {
			if id != want[i] || id < 1 || id > sale.MaxPoints {
				t.Errorf("%q is %v", raw, ids)
			}
		}
	})
}

// FuzzHeaders: whatever bytes stand in a header, even what no client could send, a
// key is visible characters or refused, a token is nobody's, and a form is one of two.
func FuzzHeaders(f *testing.F) {
	people, err := accounts.New(nil, nil, []accounts.Key{keyNow})
	if err != nil {
		f.Fatal(err)
	}
	api := &API{accounts: people}
	app := fiber.New()
	for _, seed := range [][2]string{{"one", ""}, {"", ""}, {"a b", "Bearer a.b.c"}, {strings.Repeat("k", 255), "bearer "}, {strings.Repeat("k", 256), "Basic x"},
		{"clé", "text/csv;q=0.9,application/json;q=1e9"}, {"\x00", "*/*;q="}, {"text/csv", "text/csv"}, {"application/json; charset=utf-8", "identity"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		request := &fasthttp.RequestCtx{}
		h := &request.Request.Header
		h.SetMethod(fiber.MethodPost)
		h.Add(keyHeader, first)
		h.Set(fiber.HeaderAuthorization, second)
		h.Set(fiber.HeaderAccept, second)
		h.Set(fiber.HeaderContentType, first)
		h.Set(fiber.HeaderContentEncoding, second)
		c := app.AcquireCtx(request)
		defer app.ReleaseCtx(c)

		key, err := idempotencyKey(c)
		if err == nil && !(visible(key, keyMost) && key == first) || err != nil && problemOf(err).code != badKey {
			t.Errorf("%q is the key %q, %v", first, key, err)
		}
		if who, err := api.who(c); err == nil || who != (accounts.Who{}) {
			t.Errorf("%q is %+v, %v", second, who, err)
		}
		wants := wantsCSV(c)
		if lower := strings.ToLower(second); wants && !strings.Contains(lower, csvType) {
			t.Errorf("%q wants CSV", second)
		}
		if err := checkMedia(c); err != nil && problemOf(err).code != badMediaType || err == nil && !strings.Contains(strings.ToLower(first), fiber.MIMEApplicationJSON) {
			t.Errorf("%q and %q: %v", first, second, err)
		}
		h.Add(keyHeader, first)
		if key, err := idempotencyKey(c); err == nil {
			t.Errorf("twice %q is the key %q", first, key)
		}
	})
}
