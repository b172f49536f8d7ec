//go:build !linux

package stage

import "syscall"

// attributes gives a child a process group of its own. There is no death signal here:
// the children of a test binary that is killed stay.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
