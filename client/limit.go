package client

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit is how often the API lets somebody ask, and how much of that is left
// (draft-ietf-httpapi-ratelimit-headers). What it does not say is zero.
type Limit struct {
	Name      string        // "buyer"
	Quota     int64         // requests in a Window
	Window    time.Duration // whole seconds
	Remaining int64         // requests at the moment
	Reset     time.Duration // until there are more, in whole seconds
}

// limitsOf reads the limits of an answer. A header that breaks the rules says nothing.
func limitsOf(h http.Header) []Limit {
	var limits []Limit
	of := func(name string) *Limit {
		i := slices.IndexFunc(limits, func(l Limit) bool { return l.Name == name })
		if i < 0 {
			i = len(limits)
			limits = append(limits, Limit{Name: name})
		}
		return &limits[i]
	}
	for _, item := range parseItems(h.Values("RateLimit-Policy")) {
		l := of(item.name)
		l.Quota, l.Window = item.numbers["q"], seconds32(item.numbers["w"])
	}
	for _, item := range parseItems(h.Values("RateLimit")) {
		l := of(item.name)
		l.Remaining, l.Reset = item.numbers["r"], seconds32(item.numbers["t"])
	}
	return limits
}

// item is a member of a list of structured fields (RFC 9651): a word and those of
// its parameters that are numbers, none negative.
type item struct {
	name    string
	numbers map[string]int64
}

const itemsMost = 16

// parseItems reads the lines of a header as far as we need them: as a list of strings
// or tokens, each with parameters. nil when it is none.
func parseItems(lines []string) (items []item) {
	members, ok := splitOutside(strings.Join(lines, ","), ',')
	if !ok || len(members) > itemsMost {
		return nil
	}
	for _, member := range members {
		parts, _ := splitOutside(member, ';')
		name := strings.TrimSpace(parts[0])
		if unquoted, err := strconv.Unquote(name); err == nil && name[0] == '"' {
			name = unquoted
		}
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '"' }) {
			return nil
		}
		i := item{name: name, numbers: map[string]int64{}}
		for _, parameter := range parts[1:] {
			key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				i.numbers[key] = n
			}
		}
		items = append(items, i)
	}
	return items
}

// splitOutside cuts s at every sep that is not within a string, and says whether all
// strings end.
func splitOutside(s string, sep byte) (parts []string, whole bool) {
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == sep && !quoted:
			parts, from = append(parts, s[from:i]), i+1
		}
	}
	return append(parts, s[from:]), !quoted
}

// seconds32 is n seconds, at most as many as 31 bits hold: 68 years.
func seconds32(n int64) time.Duration { return time.Duration(min(n, 1<<31-1)) * time.Second }
