//go:build !linux

package torture

import "syscall"

// attributes makes a child in a process group of its own. Nothing here kills it when
// we are killed ourselves.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
