package httpapi

import (
	"testing"
	"time"
)

// TestPatient: who waits long asks seldom, so that the polls of one request are few however
// wrong the forecast is, and yet nobody learns his verdict much later.
func TestPatient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ wanted, already, want time.Duration }{
		"just come":             {pollLeast, 0, pollLeast},
		"a clock that is ahead": {pollLeast, -time.Minute, pollLeast},
		"next, for long":        {pollLeast, 9 * time.Second, 3 * time.Second},
		"far back":              {20 * time.Second, 9 * time.Second, 20 * time.Second},
		"for ever":              {pollLeast, time.Hour, pollMost},
	} {
		if got := patient(c.wanted, c.already); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// Always told that it is next, he asks some 20 times in a minute, not 1200 times.
	n := 0
	for at := time.Duration(0); at < time.Minute; n++ {
		at += patient(pollLeast, at)
	}
	if n > 30 {
		t.Errorf("%d polls in a minute", n)
	}
}
