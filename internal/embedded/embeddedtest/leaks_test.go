package embeddedtest

import (
	"strings"
	"testing"
	"time"
)

// TestLeaked is the known-bad twin of the check in Main: a goroutine that nobody
// stops is found, and is no more once it has ended.
func TestLeaked(t *testing.T) {
	stop := make(chan struct{})
	go forgotten(stop)
	found := func() bool {
		err := leaked(0)
		return err != nil && strings.Contains(err.Error(), "embeddedtest.forgotten")
	}
	if !found() {
		t.Error("a goroutine that waits for ever is not found")
	}
	close(stop)
	for deadline := time.Now().Add(patience); found(); {
		if time.Now().After(deadline) {
			t.Fatal("one that has ended is found")
		}
	}
}

func forgotten(stop chan struct{}) { <-stop }
