package httpapi

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sluice/internal/sale"
)

// TestSheddingIsToldTwice: one line when it begins, one when it is over, whatever comes in
// between; and again the next time.
func TestSheddingIsToldTwice(t *testing.T) {
	t.Parallel()
	log := logbook{}
	s := newShedding(zerolog.New(&log))
	s.quiet = time.Hour
	const full = code(sale.RefusedOverload)
	ends := func(c code) { // as if an hour had passed
		s.mu.Lock()
		s.kind[c].last = time.Now().Add(-s.quiet)
		s.mu.Unlock()
		s.over(c)
	}
	for range 1000 {
		s.refused(full)
	}
	s.over(full) // the timer, while people are still being sent away
	s.refused(tooManyWaiters)
	if got := log.String(); strings.Count(got, "shedding began") != 2 || strings.Contains(got, "shedding ended") {
		t.Errorf("while it goes on:\n%s", got)
	}
	ends(full)
	if got := log.String(); !strings.Contains(got, `"code":"overloaded","refused":1000,`) || strings.Count(got, "shedding ended") != 1 {
		t.Errorf("when it is over:\n%s", got)
	}
	s.refused(full)
	s.stop()
	if got := log.String(); strings.Count(got, "shedding began") != 3 || strings.Count(got, "shedding ended") != 3 {
		t.Errorf("a second time, and stopped:\n%s", got)
	}
	s.over(full) // a timer that was on its way
}
