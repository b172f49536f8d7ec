//go:build unix && !linux

package embedded

import "syscall"

// attributes makes a child in a process group of its own, and as another user if
// one is named. There is no death signal outside Linux: a child of a parent that
// was killed goes on, and holds the folder until somebody stops it.
func attributes(_ syscall.Signal, as *user) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: as.credential()}
}
