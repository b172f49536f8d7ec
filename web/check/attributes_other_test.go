//go:build !linux

package check

import "syscall"

// attributes gives a child a process group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
