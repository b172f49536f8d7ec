package bench

import (
	"syscall"
	"time"
)

// sleepUntil puts the thread to sleep, to some ten microseconds.
func sleepUntil(at time.Time) {
	for d := time.Until(at); d > 0; d = time.Until(at) { // a signal ends it early
		nap := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&nap, nil)
	}
}
