package stage

import "syscall"

// attributes makes a child that the kernel kills when the thread that started it
// ends, in a process group of its own.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
