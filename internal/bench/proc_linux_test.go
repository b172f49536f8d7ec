package bench

import (
	"testing"
	"time"
)

// TestReadAll: who waits or does nothing computes nothing, and guests are not counted twice.
func TestReadAll(t *testing.T) {
	got, ok := readAll([]byte("cpu  100 20 30 4000 500 6 7 80 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n"))
	if want := 2430 * time.Millisecond; !ok || got != want {
		t.Errorf("%v, %v; want %v", got, ok, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h"} {
		if _, ok := readAll([]byte(bad)); ok {
			t.Errorf("%q is read", bad)
		}
	}
	before, _ := allComputed()
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	if after, ok := allComputed(); !ok || after <= before {
		t.Errorf("the machine computed %v, and later %v", before, after)
	}
}
