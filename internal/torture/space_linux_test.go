package torture

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMissingRightIsTold: who may not make a namespace is told which right he lacks.
func TestMissingRightIsTold(t *testing.T) {
	told := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: this thread has no rights any more
		head, none := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
		if err := unix.Capset(&head, &none[0]); err != nil {
			told <- err
			return
		}
		_, _, err := unshare(netip.MustParseAddr("10.77.0.1"))
		told <- err
	}()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "the right CAP_SYS_ADMIN, to make a network namespace, is missing") {
		t.Errorf("told %v", err)
	}
}
