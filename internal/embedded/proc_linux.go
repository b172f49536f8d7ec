package embedded

import "syscall"

// attributes makes a child that the kernel signals when the thread that started
// it ends, in a process group of its own, and as another user if one is named.
func attributes(deathSignal syscall.Signal, as *user) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal, Credential: as.credential()}
}
