package bench

import (
	"runtime"
	"syscall"
	"time"
)

// computedSoFar is the CPU time of this process.
func computedSoFar() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// thread is work on a thread that does nothing else and does not end before: the death
// signal of a child comes when the thread that started it ends.
func thread(work func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- work()
	}()
	return <-done
}
