package httpapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/internal/sale"
)

// A reader makes a value of a text that comes from outside: raw JSON in a body,
// plain text in a query. It answers the rule that the text breaks, or "". A rule
// never repeats the text, which may be a secret.
type reader[T any] func(text string) (value T, rule string)

// into reads into value.
func into[T any](value *T, read reader[T]) func(string) string {
	return func(text string) string {
		got, rule := read(text)
		if rule == "" {
			*value = got
		}
		return rule
	}
}

// given reads what may be left out: value stays nil then.
func given[T any](value **T, read reader[T]) func(string) string {
	return func(text string) string {
		got, rule := read(text)
		if rule == "" {
			*value = &got
		}
		return rule
	}
}

// whole reads a whole number between least and most in its one spelling. A
// fraction or an exponent is not cut off or rounded but refused.
func whole(least, most int64) reader[int64] {
	return func(text string) (int64, string) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < least || n > most || strconv.FormatInt(n, 10) != text {
			return 0, fmt.Sprintf("must be a whole number between %d and %d, in digits only", least, most)
		}
		return n, ""
	}
}

// seconds reads a whole number of seconds.
func seconds(least, most time.Duration) reader[time.Duration] {
	return func(text string) (time.Duration, string) {
		n, rule := whole(int64(least/time.Second), int64(most/time.Second))(text)
		return time.Duration(n) * time.Second, rule
	}
}

// truth reads true or false.
func truth(text string) (bool, string) {
	if text != "true" && text != "false" {
		return false, "must be true or false"
	}
	return text == "true", ""
}

// oneOf reads one word of a closed set.
func oneOf[T ~string](words ...T) reader[T] {
	return func(text string) (T, string) {
		if i := slices.Index(words, T(text)); i >= 0 {
			return words[i], ""
		}
		list := make([]string, len(words))
		for i, word := range words {
			list[i] = string(word)
		}
		return "", "must be " + strings.Join(list, " or ")
	}
}

// anyText reads a text that others judge: accounts know what an e-mail, a password
// or a token is. The body's own limit bounds it.
func anyText(text string) (string, string) { return text, "" }

// line reads up to most characters of one line.
func line(most int) reader[string] { return characters(most, "") }

// lines reads up to most characters, with line breaks and tabs.
func lines(most int) reader[string] { return characters(most, "\n\r\t") }

// characters reads text without control characters but for some. Postgres cannot
// store the first of them at all, and the rest only confuse whoever reads it.
func characters(most int, some string) reader[string] {
	return func(text string) (string, string) {
		forbidden := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(some, r) }
		switch {
		case utf8.RuneCountInString(text) > most:
			return "", fmt.Sprintf("must be at most %d characters", most)
		case strings.ContainsFunc(text, forbidden):
			return "", "must have no control characters"
		}
		return text, ""
	}
}

// quoted reads the text of a JSON string with read. Half a surrogate pair, which
// JSON allows and Unicode does not, would become U+FFFD, and with it different
// texts (passwords, say) the same: what has that character is refused.
func quoted[T any](read reader[T]) reader[T] {
	return func(raw string) (value T, rule string) {
		var text string
		switch err := json.Unmarshal([]byte(raw), &text); {
		case err != nil, raw == "null":
			return value, "must be a string"
		case strings.ContainsRune(text, utf8.RuneError):
			return value, "must be valid Unicode"
		}
		return read(text)
	}
}

// The moments that can be asked for. What is stored and answered stays within the
// four digits of a year, also with a refund window added, and 0 is no moment.
var (
	firstMoment = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
	endOfTime   = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// momentForm is what package time does not insist on: two digits of an hour, a
// point, an offset of less than a day.
var momentForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// moment reads a time as RFC 3339 has it, in any zone, to the millisecond at most:
// stream time knows no more, and a time that was cut off would be another one.
func moment(text string) (sale.Instant, string) {
	t, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil, !momentForm.MatchString(text):
		return 0, "must be a time as in 2030-01-31T18:00:00Z or 2030-01-31T19:00:00.250+01:00 (RFC 3339)"
	case t.Before(firstMoment) || !t.Before(endOfTime):
		return 0, "must be in the years 1971 to 9998"
	case t.Nanosecond()%int(time.Millisecond) != 0:
		return 0, "must be in whole milliseconds"
	}
	return sale.At(t), ""
}
