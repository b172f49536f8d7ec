package settlement

import (
	"testing"
	"time"
)

// TestDrained: what is told of the rate is right soon after it has changed, whichever way,
// and what is no full batch says little about it.
func TestDrained(t *testing.T) {
	t.Parallel()
	type batches struct {
		times, entries int
		took           time.Duration
	}
	for name, c := range map[string]struct {
		seen           []batches
		atLeast, below float64
	}{
		"slower than guessed":      {[]batches{{4, batchMost, 2 * time.Second}}, 250, 310},
		"faster than guessed":      {[]batches{{4, batchMost, 25 * time.Millisecond}}, 15_000, 20_000},
		"a small one that is slow": {[]batches{{10, batchMost, 2 * time.Second}, {1, 20, 2 * time.Second}}, 225, 255},
		"a trickle":                {[]batches{{100, 1, 2 * time.Millisecond}}, 4000, drainGuess},
		"a hiccup":                 {[]batches{{5, batchMost, 25 * time.Millisecond}, {1, batchMost, time.Second}, {1, batchMost, 25 * time.Millisecond}}, 5000, 20_000},
	} {
		drain := float64(drainGuess)
		for _, b := range c.seen {
			for range b.times {
				drain = drained(drain, b.entries, b.took)
			}
		}
		if drain < c.atLeast || drain >= c.below {
			t.Errorf("%s: %.0f per second, want %.0f to %.0f", name, drain, c.atLeast, c.below)
		}
	}
}

// TestDrainIsHandedOver: a new owner begins with what the one before has seen, and guesses
// only where nobody has seen anything.
func TestDrainIsHandedOver(t *testing.T) {
	h := newHouse(t)
	if o := h.owner(0); o.drain != drainGuess {
		t.Errorf("the first owner begins with %.0f", o.drain)
	}
	h.must(h.plain.HSet(h.ctx, "{s0}", "drain", 77).Err())
	if o := h.owner(0); o.drain != 77 {
		t.Errorf("the next owner begins with %.0f, the one before saw 77", o.drain)
	}
}
